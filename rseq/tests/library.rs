//! A library that uses the crate is loaded into a program and unloaded: the descriptors its threads
//! may still point to must stay.

#![cfg(all(not(target_feature = "crt-static"), not(miri), not(loom)))]

use std::ffi::{CStr, CString, c_void};
use std::path::PathBuf;
use std::process::Command;

const NAME: &str = "an_unloaded_library_stays_while_the_kernel_may_look_at_it";

/// `examples/library.rs`, which `cargo test` builds unless it is told to build this test only.
fn library() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().and_then(|deps| deps.parent()).unwrap();
    let library = profile.join("examples/liblibrary.so");
    if !library.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "-p",
            env!("CARGO_PKG_NAME"),
            "--example",
            "library",
        ]);
        assert!(build.status().unwrap().success());
    }
    library
}

/// The function `name` of a loaded library.
fn function(handle: *mut c_void, name: &CStr) -> *mut c_void {
    // SAFETY: an open handle and a C string.
    let function = unsafe { libc::dlsym(handle, name.as_ptr()) };
    assert!(!function.is_null());
    function
}

fn mapped() -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .unwrap()
        .matches("liblibrary.so")
        .count()
}

#[test]
fn an_unloaded_library_stays_while_the_kernel_may_look_at_it() {
    if std::env::var_os("LANEWAY_TEST_ROLE").is_none() {
        let nobody = ("GLIBC_TUNABLES", "glibc.pthread.rseq=0");
        for (name, value) in [("LANEWAY_TEST", ""), nobody, ("LANEWAY_RSEQ", "off")] {
            let mut again = Command::new(std::env::current_exe().unwrap());
            again
                .args(["--exact", NAME])
                .env("LANEWAY_TEST_ROLE", "loader")
                .env(name, value);
            assert!(again.output().unwrap().status.success(), "{name}={value}");
        }
        return;
    }
    let path = CString::new(library().to_str().unwrap()).unwrap();
    // SAFETY: a library of ours, whose functions have these types.
    let (handle, count, has_rseq) = unsafe {
        let handle = libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        assert!(!handle.is_null());
        (
            handle,
            std::mem::transmute::<*mut c_void, extern "C" fn() -> u64>(function(handle, c"count")),
            std::mem::transmute::<*mut c_void, extern "C" fn() -> bool>(function(
                handle,
                c"has_rseq",
            )),
        )
    };
    for n in 1..=1000 {
        assert_eq!(count(), n);
    }
    let has_rseq = has_rseq();
    // SAFETY: the handle from above, used no more.
    assert_eq!(unsafe { libc::dlclose(handle) }, 0);
    if has_rseq {
        assert!(mapped() > 0, "the descriptor of the last sequence is gone");
    }
    // The kernel looks at the descriptor when it interrupts the thread.
    let until = std::time::Instant::now() + std::time::Duration::from_millis(50);
    while std::time::Instant::now() < until {
        std::thread::yield_now();
    }
}
