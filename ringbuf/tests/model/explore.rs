//! Every state that can be reached, and how.
//!
//! ```text
//!   state ──▶ every step that anybody could make ──▶ new states ──┐
//!     ▲                                                           │
//!     └───────────────────────────────────────────────────────────┘  until there are no new ones
//! ```
//! Of a state that was visited only a fingerprint of 64 bits is kept. That two of `n` states
//! share one, so that the second is taken for visited, has a chance of `n² / 2^65`: one in
//! twenty thousand for fifty million.

use super::setup::Setup;
use super::state::State;
use super::step;
use rustc_hash::FxHashSet;
use std::hash::{Hash, Hasher};

/// More states than any of the set-ups has: a model that grows without end is a bug.
const MOST: usize = 200_000_000;

/// Visits every state and checks each; the number of states, or what is wrong with one.
pub(crate) fn explore(setup: &Setup) -> Result<usize, String> {
    let first = State::new(setup);
    let mut seen = FxHashSet::default();
    seen.insert(fingerprint(&first));
    let mut open = vec![first];
    let mut next = Vec::new();
    while let Some(state) = open.pop() {
        step::successors(&state, setup, &mut next)?;
        for (_, state) in next.drain(..) {
            if seen.insert(fingerprint(&state)) {
                open.push(state);
            }
        }
        assert!(seen.len() < MOST, "more than {MOST} states");
    }
    Ok(seen.len())
}

pub(crate) fn fingerprint(state: &State) -> u64 {
    let mut packer = Packer::default();
    state.hash(&mut packer);
    packer.finish()
}

/// Packs the bytes of which a state consists into words, and mixes those.
#[derive(Default)]
struct Packer {
    mixed: u64,
    word: u64,
    bytes: u32,
}

impl Packer {
    fn byte(&mut self, byte: u8) {
        self.word = self.word << 8 | u64::from(byte);
        self.bytes += 1;
        if self.bytes.is_multiple_of(8) {
            self.mix();
        }
    }

    fn mix(&mut self) {
        let product = u128::from(self.mixed ^ self.word ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from(0xd6e8_feb8_6659_fd93 ^ u64::from(self.bytes) << 17);
        self.mixed = (product >> 64) as u64 ^ product as u64;
        self.word = 0;
    }
}

impl Hasher for Packer {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.byte(*byte);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.byte(value);
    }

    fn write_u16(&mut self, value: u16) {
        self.byte(value as u8);
        self.byte((value >> 8) as u8);
    }

    // Discriminants and lengths of arrays: small.
    fn write_isize(&mut self, value: isize) {
        self.byte(value as u8);
    }

    fn write_usize(&mut self, value: usize) {
        self.byte(value as u8);
    }

    fn finish(&self) -> u64 {
        let mut last = Packer { ..*self };
        last.mix();
        last.mix();
        last.mixed
    }
}
