//! What runs before `main`: nothing, unless somebody wants to know.
//!
//! ```text
//!   loader ─▶ CONSTRUCTOR ─┬─ LANEWAY_LIST=<fd>   write all events to it, and end
//!                          └─ else                attach, if a consumer is there
//!   … other constructors ─▶ main
//! ```
//! Every executable and every library with this crate in it has a constructor of its own,
//! which serves its own callsites.
//!
//! Invariant: the environment of a program that runs with other rights than its caller's
//! (`AT_SECURE`) is not looked at.

use std::env;
use std::ffi::{CStr, OsString};
use std::mem::MaybeUninit;

use crate::{listing, registry};

/// A function that the loader calls. glibc passes arguments, other C libraries do not.
pub(crate) type Constructor = extern "C" fn();

/// The loader's way in. Its address marks the callsites that belong to this copy of the crate.
///
/// Its priority is the first that is not reserved (65535 is that of constructors without
/// one), so that those of other libraries can trace.
#[used]
#[unsafe(link_section = ".init_array.00101")]
pub(crate) static CONSTRUCTOR: Constructor = start;

extern "C" fn start() {
    if let Some(fd) = variable("LANEWAY_LIST") {
        listing::answer(&fd);
    }
    if variable("LANEWAY_SOCKET").is_none() && registry::attaches_only_when_asked() {
        return;
    }
    crate::blocking::read_environment();
    crate::report::read_environment();
    crate::attach::start();
}

/// The value of an environment variable, unless the program runs with other rights than
/// its caller's.
pub(crate) fn variable(name: &str) -> Option<OsString> {
    if is_secure() { None } else { env::var_os(name) }
}

/// Whether the loader says that the caller is not to be trusted: see `AT_SECURE` in getauxval(3).
pub(crate) fn is_secure() -> bool {
    // SAFETY: reads a word that the kernel passed; has no preconditions.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Keeps the library that holds this code from being unloaded, once a thread runs in it.
/// An executable needs no such thing.
///
/// Says whether it is pinned now.
pub(crate) fn pin_library() -> bool {
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    // SAFETY: the address is one of this code, and `info` has room for the answer.
    let found = unsafe { libc::dladdr((&raw const CONSTRUCTOR).cast(), info.as_mut_ptr()) } != 0;
    // SAFETY: all zeros is a valid `Dl_info`, and `dladdr` stores only valid ones.
    let info = unsafe { info.assume_init() };
    if !found || info.dli_fname.is_null() {
        return false;
    }
    // SAFETY: the loader keeps the name as a C string while the library, which this code
    // is in, is loaded.
    let name = unsafe { CStr::from_ptr(info.dli_fname) };
    // SAFETY: the name is a C string; with RTLD_NOLOAD nothing is loaded, so no constructor runs.
    let handle = unsafe {
        libc::dlopen(
            name.as_ptr(),
            libc::RTLD_LAZY | libc::RTLD_NOLOAD | libc::RTLD_NODELETE,
        )
    };
    !handle.is_null()
}
