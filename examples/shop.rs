//! A shop, traced: what its customers order, and how it goes.
//!
//! ```text
//! cargo build --release --example shop
//! laneway record -o /tmp/shop -- target/release/examples/shop 1000
//! babeltrace2 /tmp/shop
//! ```
//! There is nothing about tracing in `main`. Without `laneway record` the shop runs as it is,
//! and every `trace!` costs a load and a branch.

use std::collections::HashMap;
use std::env;
use std::time::Instant;

use laneway::{event_enabled, trace};

/// What the events call an order: its fields are a structure in the trace.
struct Order {
    id: u64,
    item: &'static str,
    pieces: u32,
}
laneway::value_struct!(Order { id: u64, item: &'static str, pieces: u32 });

/// Why an order fails; `Display` is what a person reads.
#[derive(Debug)]
enum Refused {
    UnknownItem,
    OutOfStock { left: u32 },
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::UnknownItem => f.write_str("we do not sell this"),
            Refused::OutOfStock { left } => write!(f, "only {left} left"),
        }
    }
}

struct Shop {
    stock: HashMap<&'static str, u32>,
    sold: u64,
}

impl Shop {
    fn open() -> Self {
        let stock = HashMap::from([("tea", 2_000), ("coffee", 500), ("cake", 50)]);
        trace!("shop:open", items = stock.len());
        Shop { stock, sold: 0 }
    }

    fn serve(&mut self, order: &Order) -> Result<(), Refused> {
        let began = Instant::now();
        let outcome = self.take(order);
        match &outcome {
            Ok(left) => trace!("shop:sold", order, left, took = began.elapsed()),
            // `%` records what `Display` prints, `?` what `Debug` does.
            Err(why) => trace!(level: Warn, "shop:refused", order.id, %why, detail = ?why),
        }
        outcome.map(drop)
    }

    fn take(&mut self, order: &Order) -> Result<u32, Refused> {
        let left = self.stock.get_mut(order.item).ok_or(Refused::UnknownItem)?;
        *left = left
            .checked_sub(order.pieces)
            .ok_or(Refused::OutOfStock { left: *left })?;
        self.sold += u64::from(order.pieces);
        Ok(*left)
    }

    fn close(self) {
        // An inventory takes time: it is made only if somebody records it.
        if event_enabled!("shop:inventory") {
            let mut items: Vec<_> = self.stock.iter().collect();
            items.sort_unstable();
            let (names, left): (Vec<&str>, Vec<u32>) = items.into_iter().unzip();
            trace!(level: Debug, "shop:inventory", names, left);
        }
        trace!("shop:close", self.sold);
    }
}

fn main() {
    let orders = env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(20);
    let mut shop = Shop::open();
    let mut refused = 0;
    for id in 1..=orders {
        let item = ["tea", "coffee", "tea", "cake", "soup"][id as usize % 5];
        let order = Order {
            id,
            item,
            pieces: 1 + (id % 3) as u32,
        };
        refused += u64::from(shop.serve(&order).is_err());
    }
    println!("{orders} orders, {refused} of them refused");
    shop.close();
}
