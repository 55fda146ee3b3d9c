//! A program with callsites of its own and those of its library: see `../callsites.rs`.

#![forbid(unsafe_code)]

use callsites_fixture::{copied, fixture_run, generic};

fn main() {
    let n = std::env::args().count();
    fixture_run(n);
    generic(n as u32);
    generic([0.5_f32; 3]);
    copied(n);
    laneway::trace!("app:in_vain", value = in_vain());
    if laneway::event_enabled!("app:in_vain") {
        in_vain();
    }
    laneway::trace!(level: Warn, "app:end", n, ok = true);
}

/// What nobody asked for. (Were it to end the program always, the compiler would leave out the
/// event, which could never happen.)
fn in_vain() -> u8 {
    if std::env::args().count() < 100 {
        std::process::exit(3)
    }
    1
}
