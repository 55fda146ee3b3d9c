//! Fields that a trace could not tell apart, or not name.

use laneway::trace;

struct Order {
    id: u32,
}

impl Order {
    fn trace(&self, id: u32) {
        trace!("shop:order", id, self.id);
    }
}

fn main() {
    Order { id: 1 }.trace(2);
    trace!("shop:order", http.status = 200, http_status = 404);
    trace!("shop:order", größe = 1);
}
