//! The answer to `LANEWAY_LIST`: the events of a program and of all libraries loaded with it.
//!
//! ```text
//!   the first constructor that runs
//!     └─ dl_iterate_phdr ─▶ executable   PT_NOTE "Laneway" ─▶ describe ─┐
//!                           library      PT_NOTE "Laneway" ─▶ describe ─┼─▶ fd, then _exit
//!                           library      no such note                   │
//!                           …                                          ─┘
//! ```
//! Every executable and every library knows its own callsites only, and the process is to end
//! before its `main`: in the constructor of whichever comes first. So each carries an ELF note
//! (elf(5)) with the way to a function that describes its events. The loader has mapped and
//! relocated all of them before it calls the first constructor.
//!
//! Invariant: a note of our name and version was written by the `asm!` below.

use std::arch::asm;
use std::collections::HashSet;
use std::ffi::{OsStr, c_int, c_void};
use std::fs::File;
use std::io::Write;
use std::mem::{self, ManuallyDrop};
use std::os::fd::{FromRawFd, RawFd};
use std::{io, ptr, slice};

use laneway_control::{EventSchema, decode_schemas, encode_schemas};

use crate::registry;

/// The owner of the note, with its NUL.
const OWNER: &[u8; 8] = b"Laneway\0";

/// The type of the note: raised when [`Describe`] or the encoding of events changes.
const VERSION: u32 = 1;

/// Hands the encoded events of a binary to `visit`.
type Describe = extern "C" fn(visit: Visit, context: *mut c_void);
type Visit = extern "C" fn(context: *mut c_void, bytes: *const u8, len: usize);

/// Writes all events to the file descriptor that `fd` names, and ends the process.
pub(crate) fn answer(fd: &OsStr) -> ! {
    let code = match write_to(fd) {
        Ok(()) => 0,
        Err(reason) => {
            let _ = writeln!(io::stderr(), "laneway: LANEWAY_LIST: {reason}");
            1
        }
    };
    // SAFETY: runs no code of this process; has no preconditions.
    unsafe { libc::_exit(code) }
}

fn write_to(fd: &OsStr) -> Result<(), String> {
    let fd = parse_fd(fd)?;
    let events = all_events().map_err(|e| e.to_string())?;
    let bytes = encode_schemas(&events).map_err(|e| e.to_string())?;
    // SAFETY: `parse_fd` found it open. It is not ours, and not closed here.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    file.write_all(&bytes)
        .map_err(|e| format!("cannot write to file descriptor {fd}: {e}"))
}

fn parse_fd(fd: &OsStr) -> Result<RawFd, String> {
    let number: RawFd = fd
        .to_str()
        .and_then(|fd| fd.parse().ok())
        .ok_or_else(|| format!("{fd:?} is not a file descriptor"))?;
    // SAFETY: asks about a number; has no preconditions.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(format!("file descriptor {number} is not open"));
    }
    Ok(number)
}

/// The events of everything that is loaded. What the same library brings along twice, as a part
/// of the executable and by itself, is there once.
fn all_events() -> Result<Vec<EventSchema>, laneway_control::Error> {
    let mut encoded: Vec<Vec<u8>> = Vec::new();
    for describe in describers() {
        describe(collect, (&raw mut encoded).cast());
    }
    let mut events = Vec::new();
    for bytes in encoded {
        events.extend(decode_schemas(&bytes)?);
    }
    let mut seen = HashSet::new();
    events.retain(|event| seen.insert(event.clone()));
    Ok(events)
}

/// The [`Visit`] of `all_events`.
extern "C" fn collect(context: *mut c_void, bytes: *const u8, len: usize) {
    // SAFETY: `all_events` passes its vector, and a `Describe` the bytes of a slice.
    unsafe {
        let encoded: &mut Vec<Vec<u8>> = &mut *context.cast();
        encoded.push(slice::from_raw_parts(bytes, len).to_vec());
    }
}

/// The [`Describe`] of this binary.
extern "C" fn describe(visit: Visit, context: *mut c_void) {
    // The events of one binary are within the limits, or no consumer could take them.
    if let Ok(bytes) = encode_schemas(&registry::schemas()) {
        visit(context, bytes.as_ptr(), bytes.len());
    }
}

/// The functions that the notes of all loaded binaries lead to, this one's among them.
#[inline(never)]
fn describers() -> Vec<Describe> {
    // On 32-bit Arm `@` begins a comment.
    macro_rules! note {
        () => {
            cfg_select! {
                target_arch = "arm" => { ".pushsection .note.laneway,\"aR\",%note" }
                _ => { ".pushsection .note.laneway,\"aR\",@note" }
            }
        };
    }
    // SAFETY: adds to no section but its own, and executes nothing.
    unsafe {
        asm!(
            note!(),
            ".balign 4",
            ".long {owner_bytes}",
            ".long 4", // bytes of what follows the owner
            ".long {version}",
            ".asciz \"Laneway\"",
            "79:",
            ".long {describe} - 79b",
            ".popsection",
            owner_bytes = const OWNER.len(),
            version = const VERSION,
            describe = sym describe,
            options(nomem, nostack, preserves_flags),
        );
    }
    let mut found: Vec<usize> = Vec::new();
    // SAFETY: `visit_module` gets the vector, which lives longer than the call.
    unsafe { libc::dl_iterate_phdr(Some(visit_module), (&raw mut found).cast()) };
    // The optimiser may have copied this function with its note.
    found.sort_unstable();
    found.dedup();
    let function = |address| {
        let address: *const () = ptr::with_exposed_provenance(address);
        // SAFETY: a note of our name and version is the way to a `Describe` in its binary.
        unsafe { mem::transmute::<*const (), Describe>(address) }
    };
    found.into_iter().map(function).collect()
}

/// Looks through the notes of one executable or library, for the addresses they lead to.
unsafe extern "C" fn visit_module(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    found: *mut c_void,
) -> c_int {
    // SAFETY: `describers` passes its vector; the loader describes a binary that is mapped, and
    // stays so while constructors run.
    let (found, info, headers) = unsafe {
        let info = &*info;
        let headers = slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into());
        (&mut *found.cast::<Vec<usize>>(), info, headers)
    };
    for header in headers.iter().filter(|h| h.p_type == libc::PT_NOTE) {
        let start = (info.dlpi_addr + header.p_vaddr) as usize;
        // SAFETY: a segment of notes is mapped readable, and nobody writes to it.
        let notes = unsafe {
            slice::from_raw_parts(
                ptr::with_exposed_provenance::<u8>(start),
                header.p_memsz as usize,
            )
        };
        let align = if header.p_align == 8 { 8 } else { 4 };
        found.extend(ours(notes, align).map(|at| {
            let way = i32::from_ne_bytes(*notes[at..].first_chunk().unwrap_or(&[0; 4]));
            (start + at).wrapping_add_signed(way as isize)
        }));
    }
    0
}

/// Where the contents of our notes are among `notes`.
fn ours(notes: &[u8], align: usize) -> impl Iterator<Item = usize> {
    let word = |at: usize| {
        let bytes = notes.get(at..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes) as usize)
    };
    let mut at = 0;
    let all = std::iter::from_fn(move || {
        let (owner_bytes, content_bytes, kind) = (word(at)?, word(at + 4)?, word(at + 8)?);
        let owner = at + 12;
        let content = (owner.checked_add(owner_bytes)?).checked_next_multiple_of(align)?;
        at = (content.checked_add(content_bytes)?).checked_next_multiple_of(align)?;
        let is_ours = notes.get(owner..owner + owner_bytes)? == OWNER
            && kind == VERSION as usize
            && content_bytes == 4
            && content + 4 <= notes.len();
        Some(is_ours.then_some(content))
    });
    all.flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(owner: &[u8], kind: u32, content: &[u8], align: usize) -> Vec<u8> {
        let mut note = Vec::new();
        for word in [owner.len() as u32, content.len() as u32, kind] {
            note.extend(word.to_ne_bytes());
        }
        for part in [owner, content] {
            note.extend(part);
            note.resize(note.len().next_multiple_of(align), 0);
        }
        note
    }

    #[test]
    fn our_note_is_found_among_others() {
        for align in [4, 8] {
            let mut notes = note(b"GNU\0", 3, &[7; 20], align);
            notes.extend(note(b"Laneway\0", VERSION + 1, &[1; 4], align));
            let before = notes.len();
            notes.extend(note(b"Laneway\0", VERSION, &[2; 4], align));
            notes.extend(note(b"x\0", 1, &[], align));
            let found: Vec<_> = ours(&notes, align).collect();
            assert_eq!(found.len(), 1, "aligned to {align}");
            assert!(found[0] > before);
            assert_eq!(notes[found[0]..][..4], [2; 4]);
        }
    }

    #[test]
    fn notes_cut_anywhere_are_read_without_harm() {
        let mut notes = note(b"GNU\0", 3, &[7; 20], 4);
        notes.extend(note(b"Laneway\0", VERSION, &[2; 4], 4));
        for len in 0..notes.len() {
            assert_eq!(ours(&notes[..len], 4).count(), 0, "cut to {len} bytes");
        }
        let huge = [u32::MAX.to_ne_bytes(); 3].concat();
        assert_eq!(ours(&huge, 4).count(), 0);
    }

    #[test]
    fn this_program_finds_its_own_note_once() {
        assert_eq!(describers().len(), 1);
        assert!(!all_events().unwrap().is_empty());
    }
}
