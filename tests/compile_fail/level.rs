//! Levels that are none.

use laneway::trace;

fn main() {
    trace!(level: Fatal, "shop:order");
    trace!(level: Debug);
    trace!(level: laneway::Level::Debug, "shop:order");
}
