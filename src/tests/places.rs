//! Where `trace!` can stand.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use std::{hint, panic, thread};

use super::{text, texts};
use crate::{Value, trace};

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
}

#[test]
fn in_async_code_even_around_an_await() {
    async fn answer() -> u8 {
        42
    }
    async fn work(name: &str) {
        trace!("places:async", name, answer = answer().await);
        let inner = async { trace!("places:async_block", answer = answer().await) };
        inner.await;
    }
    let texts = texts(|| block_on(work("x")));
    assert_eq!(
        texts,
        [r#"name: str = "x", answer: u8 = 42"#, "answer: u8 = 42"]
    );
}

#[test]
fn a_future_with_events_can_be_sent_to_another_thread() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    async fn pause() -> u8 {
        1
    }
    let future = is_send(async {
        let text = String::from("x");
        trace!("places:send", text, a = %text);
        trace!("places:send_across", a = %text, b = text, c = pause().await);
        pause().await;
        trace!("places:send", text);
    });
    assert_eq!(texts(|| block_on(future)).len(), 3);
}

#[test]
fn in_closures_that_borrow_and_that_move() {
    let text = String::from("kept");
    let borrow = || trace!("places:borrow", text);
    borrow();
    let also = text.clone();
    let texts = texts(move || {
        let take = move || trace!("places:move", also);
        take();
    });
    assert_eq!(texts, [r#"also: str = "kept""#]);
    assert_eq!(text, "kept");
}

#[test]
fn in_expressions_and_match_arms() {
    let texts = texts(|| {
        for i in 0..3 {
            match i {
                0 => trace!("places:arm", i),
                1 => [i].map(|i| trace!("places:closure", i))[0],
                _ => {
                    let () = trace!("places:unit");
                }
            }
        }
    });
    assert_eq!(texts, ["i: i32 = 0", "i: i32 = 1", ""]);
}

#[test]
fn in_methods_of_generic_types_with_lifetimes() {
    struct View<'a, T>(&'a [T]);
    impl<T: crate::Encode> View<'_, T> {
        const LIMIT: usize = 2;

        fn show(&self) {
            trace!("places:method", all = self.0, limit = Self::LIMIT);
        }
    }
    assert_eq!(
        text(|| View(&[1_u8]).show()),
        "all: bytes = 01, limit: u64 = 2"
    );
}

#[test]
fn in_generics_over_anything_that_borrows() {
    fn first<'a, V: Value + ?Sized>(values: &'a [&'a V]) -> Option<&'a V> {
        let value = *values.first()?;
        trace!("places:unsized", value);
        Some(value)
    }
    assert_eq!(
        text(|| _ = first::<str>(&["a", "b"])),
        r#"value: str = "a""#
    );
    assert_eq!(
        text(|| _ = first::<[u16]>(&[&[1, 2]])),
        "value: [u16] = [1, 2]"
    );
}

#[test]
fn an_early_return_in_a_field_leaves_no_event() {
    fn parse(text: &str) -> Result<(), std::num::ParseIntError> {
        trace!("places:question", n = text.parse::<u32>()?);
        Ok(())
    }
    assert_eq!(texts(|| assert!(parse("x").is_err())), [""; 0]);
    assert_eq!(text(|| parse("7").unwrap()), "n: u32 = 7");
}

#[test]
fn a_panic_in_a_field_leaves_no_event_and_the_next_is_whole() {
    // Were it to panic always, there would be no event, as none could ever happen.
    fn fail(really: bool) -> u8 {
        assert!(!really, "on purpose");
        0
    }
    let texts = texts(|| {
        let panicked =
            panic::catch_unwind(|| trace!("places:panic", a = 1, b = fail(hint::black_box(true))));
        assert!(panicked.is_err());
        trace!("places:after", a = 1);
    });
    assert_eq!(texts, ["a: i32 = 1"]);
}

#[test]
fn an_event_may_happen_while_another_is_formatted() {
    struct Nosy;
    impl std::fmt::Display for Nosy {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            trace!("places:inner");
            f.write_str("nosy")
        }
    }
    assert_eq!(
        texts(|| trace!("places:outer", a = %Nosy)),
        ["", r#"a: str = "nosy""#]
    );
}

#[test]
fn in_destructors_of_thread_locals() {
    static DROPPED: AtomicU64 = AtomicU64::new(0);
    struct Last(u64);
    impl Drop for Last {
        fn drop(&mut self) {
            trace!("places:thread_exit", value = self.0);
            DROPPED.store(self.0, Ordering::Relaxed);
        }
    }
    thread_local!(static LAST: Last = const { Last(7) });
    thread::spawn(|| LAST.with(|_| {})).join().unwrap();
    assert_eq!(DROPPED.load(Ordering::Relaxed), 7);
}
