//! Counting events, which needs no order: stream after stream, packet after packet.

use super::reader::{Notice, Reader, losses};
use super::stream::Step;

/// How many events the streams of a reader hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// For every stream, for every event class of it.
    pub events: Vec<Vec<u64>>,
    /// What was lost and what is damaged.
    pub notices: Vec<Notice>,
}

impl Counts {
    /// All events.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.events.iter().flatten().sum()
    }
}

impl Reader {
    /// Counts the events of all streams, from where they are now on.
    #[must_use]
    pub fn count(self) -> Counts {
        let mut counts = Counts::default();
        let (streams, pending) = self.into_streams();
        counts.notices.extend(pending);
        for (index, (mut stream, at_event)) in streams.into_iter().enumerate() {
            let mut events = vec![0; stream.stream_class().events.len()];
            if at_event {
                events[stream.event.class] += 1;
            }
            loop {
                let result = match stream.count_packet(&mut events) {
                    Ok(()) => stream.step(),
                    Err(damage) => Err(damage),
                };
                match result {
                    Ok(Step::Event) => events[stream.event.class] += 1,
                    Ok(Step::Packet) => {
                        let losses = losses(index, &stream.packet, stream.previous.as_ref());
                        counts
                            .notices
                            .extend(losses.into_iter().flatten().map(Notice::Lost));
                    }
                    Ok(Step::End) => break,
                    Err(damage) => counts.notices.push(Notice::Damage(damage)),
                }
            }
            counts.events.push(events);
        }
        counts
    }
}
