//! Calls that are no `trace!("provider:event", fields…)`.

use laneway::{event_enabled, trace};

const NAME: &str = "shop:order";

fn main() {
    let (id, pair) = (1, (1, 2));
    trace!();
    trace!(NAME, id);
    trace!(id, "shop:order");
    trace!("shop:order" id);
    trace!("shop:order", "order {}", id);
    trace!("shop:order", "id" = id);
    trace!("shop:order", pair.0);
    trace!("shop:order", id + 1);
    trace!("shop:order", id: 1);
    trace!("shop:order", id = 1 next = 2);
    let _ = event_enabled!(NAME);
}
