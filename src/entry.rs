//! The section that knows every callsite of this binary.
//!
//! ```text
//!   code                                    section laneway_callsites (writable, retained)
//!   trace!:                                 describe   anchor   id         channels
//!     mov  eax, [rip + gate.channels] ────▶ Gate       •        -          a bit each
//!     test eax, eax
//!     jne  wanted
//!     …
//!   wanted:
//!     lea  rdx, [rip + entry] ────────────▶ Event      •        event id   a bit each
//!     jmp  record::<Fields>
//! ```
//! A callsite's field types are inferred, and may be those of a generic function; only
//! code that the compiler makes for these types knows them, and a `static` cannot be
//! generic. But an `asm!` can, and what it pushes into a section is there before the
//! program runs: the linker collects the entries, and gives the bounds names because the
//! section's name is a C identifier. The names are hidden, so every executable and every
//! library sees its own entries and no other's. And because the code and its entry are in
//! one `asm!`, the address is known relative to the instruction: no global offset table
//! is in between, as it would be for a `static` of a library.
//!
//! The optimiser may copy a function with its entry; [`crate::registry`] gives equal
//! events the same id. Several copies of this crate in one binary share the section, so
//! an entry carries an address by which each knows its own; it also makes a linker that
//! takes a callsite from a static library take the constructor along.
//!
//! Invariant: an entry with our anchor was pushed by the `asm!` below, and has its layout.

use std::arch::asm;
use std::ptr;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::callsite::Callsite;
use crate::startup::{CONSTRUCTOR, Constructor};

/// One callsite's place in the section, as the `asm!` lays it out.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Entry {
    describe: Option<fn() -> Callsite>,
    anchor: *const Constructor,
    id: AtomicU32,
    channels: AtomicU32,
}

// SAFETY: the pointer is only compared, and the rest is atomic or never written.
unsafe impl Sync for Entry {}

impl Entry {
    /// The channels that want this event, one bit for each. What is read with a bit of
    /// them set is valid.
    #[inline(always)]
    pub(crate) fn channels(&self) -> u32 {
        // SYNC(enable): pairs with the Release in `enable`; with a bit comes the id.
        self.channels.load(Ordering::Acquire)
    }

    /// The event id; `0xffff`, that of padding, until the registry has set it.
    #[inline(always)]
    pub(crate) fn id(&self) -> u16 {
        self.id.load(Ordering::Relaxed) as u16
    }

    pub(crate) fn set_id(&self, id: u16) {
        self.id.store(u32::from(id), Ordering::Relaxed);
    }

    pub(crate) fn enable(&self, channels: u32) {
        // SYNC(enable): pairs with the Acquire in `channels`.
        self.channels.fetch_or(channels, Ordering::Release);
    }

    pub(crate) fn disable(&self, channels: u32) {
        self.channels.fetch_and(!channels, Ordering::Relaxed);
    }
}

/// What stands behind an entry.
pub(crate) trait Describe {
    /// Says what it is the entry of.
    fn describe() -> Callsite;
}

/// The beginning of an `asm!` that pushes into the section. On 32-bit Arm `@` begins a comment.
macro_rules! section {
    () => {
        concat!(
            ".pushsection laneway_callsites,\"awR\",",
            cfg_select! { target_arch = "arm" => { "%" } _ => { "@" } },
            "progbits\n.balign 8"
        )
    };
}

/// A pointer to `symbol` in the section.
macro_rules! pointer {
    ($symbol:literal) => {
        concat!(
            cfg_select! { target_pointer_width = "64" => { ".quad " } _ => { ".long " } },
            $symbol
        )
    };
}

/// Loads the address of `symbol`, which is in this binary, into `register`.
macro_rules! address {
    ($register:literal, $symbol:literal) => {
        cfg_select! {
            target_arch = "x86_64" => {
                concat!("lea {", $register, "}, [rip + ", $symbol, "]")
            }
            target_arch = "aarch64" => {
                concat!(
                    "adrp {", $register, "}, ", $symbol,
                    "\nadd {", $register, "}, {", $register, "}, :lo12:", $symbol
                )
            }
            any(target_arch = "riscv64", target_arch = "riscv32") => {
                concat!("lla {", $register, "}, ", $symbol)
            }
            target_arch = "loongarch64" => {
                concat!("la.local {", $register, "}, ", $symbol)
            }
            target_arch = "s390x" => {
                concat!("larl {", $register, "}, ", $symbol)
            }
            _ => {
                compile_error!("how this architecture computes an address has to be added to laneway's src/entry.rs")
            }
        }
    };
}

/// Loads the 32 bits at `symbol`, which is in this binary, into `register`.
macro_rules! load {
    ($register:literal, $symbol:literal) => {
        cfg_select! {
            target_arch = "x86_64" => {
                concat!("mov {", $register, ":e}, dword ptr [rip + ", $symbol, "]")
            }
            target_arch = "aarch64" => {
                concat!(
                    "adrp {", $register, ":x}, ", $symbol,
                    "\nldr {", $register, ":w}, [{", $register, ":x}, :lo12:", $symbol, "]"
                )
            }
            any(target_arch = "riscv64", target_arch = "riscv32") => {
                concat!("lw {", $register, "}, ", $symbol)
            }
            target_arch = "loongarch64" => {
                concat!("la.local {", $register, "}, ", $symbol, "\nld.w {", $register, "}, {", $register, "}, 0")
            }
            target_arch = "s390x" => {
                concat!("lrl {", $register, "}, ", $symbol)
            }
            _ => {
                compile_error!("how this architecture loads a word has to be added to laneway's src/entry.rs")
            }
        }
    };
}

/// An `asm!` that pushes an entry for `D`, labelled 77 and, at its last word, 78, and
/// executes `instruction`.
macro_rules! push_entry {
    ($describe:ident $(, $instruction:expr, $operand:ident = $($register:tt)*)?) => {
        asm!(
            section!(),
            "77:",
            pointer!("{describe}"), // Entry::describe
            pointer!("{anchor}"),   // Entry::anchor
            ".long 0xffff",         // Entry::id
            "78:",
            ".long 0",              // Entry::channels
            ".popsection",
            $($instruction,)?
            describe = sym $describe::describe,
            anchor = sym CONSTRUCTOR,
            $($operand = $($register)*,)?
            options(readonly, nostack, preserves_flags),
        )
    };
}

/// Gives `D` an entry, and says where it is.
#[inline(always)]
pub(crate) fn of<D: Describe>() -> &'static Entry {
    let entry: *const Entry;
    // SAFETY: adds to no section but its own, and computes an address.
    unsafe { push_entry!(D, address!("entry", "77b"), entry = lateout(reg) entry) };
    // SAFETY: a static of the program with the layout of `Entry`, written through its atomics only.
    unsafe { &*entry }
}

/// Gives `D` an entry of its own in every inlined copy, and says whether any channel
/// wants it: a load, for the caller to branch on.
#[inline(always)]
pub(crate) fn is_wanted<D: Describe>() -> bool {
    let channels: u32;
    // SAFETY: adds to no section but its own, and loads an aligned word of the entry, as
    // a relaxed atomic load does. It is not `pure`, so a loop looks anew each time.
    unsafe { push_entry!(D, load!("channels", "78b"), channels = lateout(reg) channels) };
    channels != 0
}

/// Gives `D` an entry.
#[inline(always)]
pub(crate) fn push<D: Describe>() {
    // SAFETY: adds to no section but its own, and executes nothing.
    unsafe { push_entry!(D) };
}

/// The callsites that this copy of the crate serves in this binary, each with its entry;
/// those the optimiser copied come twice.
pub(crate) fn all() -> impl Iterator<Item = (&'static Entry, Callsite)> {
    let anchor = &raw const CONSTRUCTOR;
    section()
        .iter()
        .filter(move |entry| ptr::eq(entry.anchor, anchor))
        .filter_map(|entry| Some((entry, entry.describe?())))
}

/// The whole section. An entry of zeros is pushed here, so that a program without
/// callsites has the section too.
#[inline(never)]
fn section() -> &'static [Entry] {
    let start: *const Entry;
    let stop: *const Entry;
    // SAFETY: adds to no section but its own, and computes addresses.
    unsafe {
        asm!(
            section!(),
            ".zero {bytes}",
            ".popsection",
            ".hidden __start_laneway_callsites",
            ".hidden __stop_laneway_callsites",
            address!("start", "__start_laneway_callsites"),
            address!("stop", "__stop_laneway_callsites"),
            bytes = const size_of::<Entry>(),
            start = out(reg) start,
            stop = lateout(reg) stop,
            options(nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: the linker put both around the section, which consists of entries of this size only.
    unsafe { slice::from_raw_parts(start, stop.offset_from_unsigned(start)) }
}
