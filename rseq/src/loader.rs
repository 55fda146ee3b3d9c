//! What the dynamic loader knows: whether libc owns rseq, and which library we are part of.
//!
//! ```text
//!   dynamic   dlsym(RTLD_DEFAULT, "__rseq_size")        no version is asked of libc: the binary starts on glibc 2.17
//!   static    weak references, filled in by the linker  dlsym finds nothing in a static program
//! ```
//!
//! Source: glibc manual, "Restartable Sequences"; dlsym(3); dlopen(3), `RTLD_NODELETE`.

/// The offset of libc's area, if libc registered one (`__rseq_size` is then not 0).
pub(crate) fn libc_area() -> Option<isize> {
    let offset = imp::rseq_offset().cast::<isize>();
    let size = imp::rseq_size().cast::<u32>();
    if offset.is_null() || size.is_null() {
        return None;
    }
    // SAFETY: both are objects that libc defines with these types (`sys/rseq.h`) and does not
    // change after the program has started.
    unsafe { (size.read() != 0).then(|| offset.read()) }
}

pub(crate) use imp::pin;

#[cfg(not(any(target_feature = "crt-static", miri, loom)))]
mod imp {
    use core::ffi::{CStr, c_void};

    pub(crate) fn rseq_offset() -> *const c_void {
        symbol(c"__rseq_offset")
    }

    pub(crate) fn rseq_size() -> *const c_void {
        symbol(c"__rseq_size")
    }

    fn symbol(name: &CStr) -> *const c_void {
        // SAFETY: a C string, and the handle that means "as the program itself resolves it".
        unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.cast_const()
    }

    /// Makes the library this code is part of stay until the process ends, as the kernel may look
    /// at the descriptors in it at any time, and threads unregister through a function in it.
    pub(crate) fn pin() {
        let here = (pin as fn()) as *const c_void;
        // SAFETY: plain data, for which zero is a value.
        let mut info: libc::Dl_info = unsafe { core::mem::zeroed() };
        // SAFETY: an address of ours and a writable struct.
        if unsafe { libc::dladdr(here, &raw mut info) } == 0 || info.dli_fname.is_null() {
            return;
        }
        // The program itself stays anyhow. Its program headers are in its first page.
        // SAFETY: getauxval reads a constant table.
        let headers = unsafe { libc::getauxval(libc::AT_PHDR) } as usize;
        if headers & !0xfff == info.dli_fbase as usize {
            return;
        }
        let flags = libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE;
        // SAFETY: NOLOAD: nothing is loaded and no constructor runs; the name is the loader's own.
        unsafe { libc::dlopen(info.dli_fname, flags) };
    }
}

#[cfg(all(target_feature = "crt-static", not(any(miri, loom))))]
mod imp {
    pub(crate) use crate::arch::{rseq_offset, rseq_size};

    /// A static program is never unloaded.
    pub(crate) fn pin() {}
}

#[cfg(any(miri, loom))]
mod imp {
    use core::ffi::c_void;

    pub(crate) fn rseq_offset() -> *const c_void {
        core::ptr::null()
    }

    pub(crate) fn rseq_size() -> *const c_void {
        core::ptr::null()
    }

    pub(crate) fn pin() {}
}
