//! Names that are not `provider:event`.

use laneway::{event_enabled, trace};

fn main() {
    trace!("order");
    trace!(":order");
    trace!("shop:");
    trace!("shop::order");
    trace!("shop:new order");
    trace!("");
    trace!("shop:1");
    let _ = event_enabled!("order");
}
