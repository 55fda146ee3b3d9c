//! An implementation of `Value` without a layout.

use laneway::Value;

struct Id(u64);

struct Order {
    id: Id,
}

impl Value for Order {
    type Repr<'a> = &'a Id;

    fn repr(&self) -> &Id {
        &self.id
    }
}

fn main() {}
