//! Values of types that `trace!` does not know.

use laneway::trace;

struct Customer;

fn main() {
    let customer = Customer;
    trace!("shop:order", who = Some(&customer));
    trace!("shop:order", all = [customer]);
    trace!("shop:order", who = %customer);
}
