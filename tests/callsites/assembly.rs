//! Callsites to look at as assembly: see `../callsites.rs` and `docs/callsite.md`.

#![forbid(unsafe_op_in_unsafe_fn)]

use std::hint::black_box;

use laneway::{event_enabled, trace};

/// An event with two numbers.
#[unsafe(no_mangle)]
pub fn order(id: u64, price: u64) {
    trace!("shop:order", id, price);
}

/// Text and a temporary: nothing of it is evaluated in vain.
#[unsafe(no_mangle)]
pub fn customer(name: &str) {
    trace!("shop:customer", name, initial = name.chars().next());
}

/// Formatting borrows, but nothing has to be put into memory for it.
#[unsafe(no_mangle)]
pub fn formatted(name: &str, age: u32) {
    trace!("shop:formatted", %name, age = ?age);
}

/// A callsite in a loop looks anew each time.
#[unsafe(no_mangle)]
pub fn counted(n: u64) {
    for i in 0..n {
        trace!("shop:counted", i);
    }
}

/// A question without an event.
#[unsafe(no_mangle)]
pub fn inventory(prepare: fn()) {
    if event_enabled!("shop:order") {
        prepare();
    }
}

fn main() {
    black_box(order as fn(u64, u64))(1, 2);
    black_box(customer as fn(&str))("Ada");
    black_box(formatted as fn(&str, u32))("Ada", 36);
    black_box(counted as fn(u64))(3);
    black_box(inventory as fn(fn()))(|| ());
}
