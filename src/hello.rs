//! What a process tells a consumer of itself.

use std::fs;

use laneway_control::{ChannelConfig, ClockChoice, ClockKind, Hello, Rseq, ToConsumer};
use laneway_ringbuf::clock;

use crate::attachment::Trouble;
use crate::{blocking, identity};

/// The first words to a consumer, as far as they are known before there is a ring.
pub(crate) fn new(channel: ChannelConfig, clock: fn(ClockChoice) -> clock::ClockKind) -> Hello {
    let rseq = match laneway_rseq::Rseq::get().process() {
        Ok(_) => Rseq::Active,
        Err(reason) => Rseq::Off(reason.to_string()),
    };
    let exe = fs::read_link("/proc/self/exe").unwrap_or_default();
    Hello {
        pid: std::process::id(),
        exe: exe.to_string_lossy().into_owned(),
        name: identity::name(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        rseq,
        clock: match clock(channel.clock) {
            clock::ClockKind::Tsc => ClockKind::Tsc,
            clock::ClockKind::Monotonic => ClockKind::Monotonic,
        },
        allow_block: !blocking::limit().is_zero(),
        channel,
        ring: [0; 16],
        slot: 0,
        resumed: false,
        buffer_file: None,
    }
}

/// The only words to a consumer that cannot have a ring.
pub(crate) fn unable(trouble: &Trouble) -> ToConsumer {
    ToConsumer::Unable {
        pid: std::process::id(),
        name: identity::name(),
        reason: trouble.to_string(),
    }
}
