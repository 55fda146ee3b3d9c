//! What the compiler says when a `trace!` is wrong.
//!
//! Every file in `compile_fail/` is a program with mistakes; next to it stands what the
//! compiler answers. After a change that is meant, `TRYBUILD=overwrite cargo test --test
//! compile_fail` writes the answers anew: read them before they are committed.

#[test]
fn a_mistake_is_explained_by_the_compiler() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
