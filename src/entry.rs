//! The section that knows every callsite of this binary.
//!
//! ```text
//!   emit::<Site, Fields>                       section laneway_callsites (writable, retained)
//!   ┌──────────────────────────┐               ┌─────────────┬────────┬──────────┐
//!   │ lea entry, [rip + 77b]   │ ────────────▶ │ describe fn │ anchor │ event id │
//!   │ mov id, [entry + 16]     │               ├─────────────┼────────┼──────────┤
//!   │ …                        │               │ …           │ …      │ …        │
//!   └──────────────────────────┘               └─────────────┴────────┴──────────┘
//!                                              __start_                    __stop_
//! ```
//! A callsite's field types are inferred, and may be those of a generic function; only code that the compiler makes for these
//! types knows them, and a `static` cannot be generic. But an `asm!` can, and what it pushes into a section is there before
//! the program runs: the linker collects the entries, and gives the bounds names because the section's name is a C identifier.
//! The names are hidden, so every executable and every library sees its own entries and no other's.
//!
//! The optimiser may copy a function with its entry; [`crate::registry`] gives equal events the same id. Several copies of
//! this crate in one binary share the section, so an entry carries an address by which each knows its own; it also makes a linker
//! that takes a callsite from a static library take the constructor along.
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
    reserved: u32,
}

// SAFETY: the pointer is only compared, and the rest is atomic or never written.
unsafe impl Sync for Entry {}

impl Entry {
    /// The event id; `0xffff`, that of padding, until the registry has set it.
    #[inline(always)]
    pub(crate) fn id(&self) -> u16 {
        self.id.load(Ordering::Relaxed) as u16
    }

    pub(crate) fn set_id(&self, id: u16) {
        self.id.store(u32::from(id), Ordering::Relaxed);
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
                concat!("lea ", $register, ", [rip + ", $symbol, "]")
            }
            target_arch = "aarch64" => {
                concat!(
                    "adrp ", $register, ", ", $symbol,
                    "\nadd ", $register, ", ", $register, ", :lo12:", $symbol
                )
            }
            any(target_arch = "riscv64", target_arch = "riscv32") => {
                concat!("lla ", $register, ", ", $symbol)
            }
            target_arch = "loongarch64" => {
                concat!("la.local ", $register, ", ", $symbol)
            }
            target_arch = "s390x" => {
                concat!("larl ", $register, ", ", $symbol)
            }
            _ => {
                compile_error!("how an address is loaded on this architecture has to be added to laneway's src/entry.rs")
            }
        }
    };
}

/// Pushes an entry for `D`, labelled 77, and executes `$instruction` where it stands.
macro_rules! push_entry {
    ($describe:ident $(, $instruction:expr, $($operand:tt)*)?) => {
        asm!(
            section!(),
            "77:",
            pointer!("{describe}"), // Entry::describe
            pointer!("{anchor}"),   // Entry::anchor
            ".long 0xffff",         // Entry::id
            ".long 0",              // Entry::reserved
            ".popsection",
            $($instruction,)?
            describe = sym $describe::describe,
            anchor = sym CONSTRUCTOR,
            $($($operand)*,)?
            options(nomem, nostack, preserves_flags),
        )
    };
}

/// Gives `D` an entry, and says where it is.
#[inline(always)]
pub(crate) fn of<D: Describe>() -> &'static Entry {
    let entry: *const Entry;
    // SAFETY: adds to no section but its own, touches no memory, and computes an address.
    unsafe { push_entry!(D, address!("{entry}", "77b"), entry = lateout(reg) entry) };
    // SAFETY: a static of the program with the layout of `Entry`, written through its atomic only.
    unsafe { &*entry }
}

/// Gives `D` an entry.
#[inline(always)]
pub(crate) fn push<D: Describe>() {
    // SAFETY: adds to no section but its own, and executes nothing.
    unsafe { push_entry!(D) };
}

/// The callsites that this copy of the crate serves in this binary, each with its entry; those the optimiser copied come twice.
pub(crate) fn all() -> impl Iterator<Item = (&'static Entry, Callsite)> {
    let anchor = &raw const CONSTRUCTOR;
    section()
        .iter()
        .filter(move |entry| ptr::eq(entry.anchor, anchor))
        .filter_map(|entry| Some((entry, entry.describe?())))
}

/// The whole section. An entry of zeros is pushed here, so that a program without callsites has the section too.
#[inline(never)]
fn section() -> &'static [Entry] {
    let start: *const Entry;
    let stop: *const Entry;
    // SAFETY: adds to no section but its own, touches no memory, and computes addresses.
    unsafe {
        asm!(
            section!(),
            ".zero {bytes}",
            ".popsection",
            ".hidden __start_laneway_callsites",
            ".hidden __stop_laneway_callsites",
            address!("{start}", "__start_laneway_callsites"),
            address!("{stop}", "__stop_laneway_callsites"),
            bytes = const size_of::<Entry>(),
            start = out(reg) start,
            stop = lateout(reg) stop,
            options(nomem, nostack, preserves_flags),
        );
    }
    // SAFETY: the linker put both around the section, which consists of entries of this size only.
    unsafe { slice::from_raw_parts(start, stop.offset_from_unsigned(start)) }
}
