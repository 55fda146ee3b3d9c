//! The name of the one symbol this crate defines in assembly.
//!
//! ```text
//!   laneway_rseq_own_0_1_0   the own area, thread-local, hidden
//! ```
//!
//! It carries the crate's version: two versions in one program are two areas.

#[allow(unused_macros, reason = "without assembly there is no symbol")]
macro_rules! own_symbol {
    () => {
        concat!(
            "laneway_rseq_own_",
            env!("CARGO_PKG_VERSION_MAJOR"),
            "_",
            env!("CARGO_PKG_VERSION_MINOR"),
            "_",
            env!("CARGO_PKG_VERSION_PATCH")
        )
    };
}
