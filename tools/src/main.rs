//! The `laneway` command.

fn main() {}
