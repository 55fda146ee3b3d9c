//! Any bytes anywhere in the memory of a ring, at any time: who reads it does a bounded amount of work, and hands out what
//! lies in the ring; who writes into it does not come to harm.
//!
//! The first byte is how it is read, and whether it is written by restartable sequences; then come the steps.
#![no_main]

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use laneway_ringbuf::clock::ClockKind;
use laneway_ringbuf::{
    BufferReader, Channel, ChannelSettings, Geometry, LaneChoice, LaneReader, Packet, Reading,
    SharedMemory, WhenFull,
};
use libfuzzer_sys::fuzz_target;

const SUB_BUFFER: u64 = 4096;
const SUB_BUFFERS: u64 = 4;

/// The smallest record: its header, and one word with the padding.
const SMALLEST: u64 = 16;

struct Ring {
    channel: Channel,
    fd: OwnedFd,
    file: File,
    /// What is in the memory before anything has happened.
    fresh: Vec<u8>,
}

impl Ring {
    fn new(rseq: bool) -> Ring {
        let geometry = Geometry::new(1, SUB_BUFFER, SUB_BUFFERS).expect("a small ring");
        let (fd, memory) = SharedMemory::create(geometry).expect("a memory file");
        let file = File::from(fd.try_clone().expect("a descriptor"));
        let mut fresh = vec![0; geometry.buffer_bytes() as usize];
        file.read_exact_at(&mut fresh, 0).expect("it is as long");
        let channel = Channel::new();
        let settings = ChannelSettings {
            when_full: WhenFull::Discard,
            clock: ClockKind::best(),
            slot: 1,
            rseq,
            lanes: LaneChoice::Cpu,
        };
        channel.attach(memory, settings).expect("nobody has it");
        Ring {
            channel,
            fd,
            file,
            fresh,
        }
    }
}

impl Drop for Ring {
    /// Nobody can be asked whether all is counted in memory that says anything; in fresh memory it is.
    fn drop(&mut self) {
        self.file.write_all_at(&self.fresh, 0).expect("memory");
        assert!(self.channel.detach(Duration::from_secs(1)));
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&kind, steps)) = input.split_first() else {
        return;
    };
    let ring = &Ring::new(kind & 2 != 0);
    let reading = match kind & 1 {
        0 => Reading::InOrder,
        _ => Reading::Snapshots,
    };
    let Some(mut reader) = reader(ring, reading) else {
        unreachable!("it is fresh");
    };
    let mut steps = Steps(steps);
    while let Some(step) = steps.byte() {
        match step % 8 {
            0..=2 => emit(ring, &mut steps),
            3 | 4 => spoil(ring, &mut steps),
            5 => read(&mut reader, reading),
            6 => {
                let slot = u16::from(steps.byte().unwrap_or(1));
                reader.bury(slot);
                reader.wait(Duration::from_nanos(1));
            }
            _ => {
                // The reader has died; the next one may find no ring any more.
                let Some(next) = self::reader(ring, reading) else {
                    return;
                };
                reader = next;
                for lane in reader.lanes() {
                    lane.skip(steps.word(), steps.word(), steps.word());
                }
            }
        }
    }
    if reading == Reading::InOrder {
        let most = (SUB_BUFFERS + 1) * SUB_BUFFER / SMALLEST;
        for lane in reader.lanes() {
            // A consumer stops after a lap. So much it may hand out if each record is a packet of its own.
            let packets = (0..=most).take_while(|_| take(lane, LaneReader::final_packet));
            let _ = packets.count();
        }
    }
});

fn reader(ring: &Ring, reading: Reading) -> Option<BufferReader> {
    let memory = SharedMemory::open(&ring.fd).ok()?;
    Some(BufferReader::of(memory, reading))
}

fn emit(ring: &Ring, steps: &mut Steps<'_>) {
    let (times, content) = (steps.byte().unwrap_or(0), steps.byte().unwrap_or(0));
    for _ in 0..times {
        let content = usize::from(content);
        ring.channel.record(7, content, |at| {
            // SAFETY: the channel gives as much room as was asked for.
            unsafe { at.write_bytes(0x55, content) }
        });
    }
}

/// Writes a word anywhere; most of the places are in the first pages, where the control blocks are.
fn spoil(ring: &Ring, steps: &mut Steps<'_>) {
    let place = usize::from(u16::from_le_bytes([
        steps.byte().unwrap_or(0),
        steps.byte().unwrap_or(0),
    ]));
    let at = (place * 8) % (ring.fresh.len() - 8);
    ring.file
        .write_all_at(&steps.word().to_ne_bytes(), at as u64)
        .expect("memory");
}

fn read(reader: &mut BufferReader, reading: Reading) {
    if reading == Reading::Snapshots {
        for copy in reader.snapshot() {
            let copied: usize = copy.packets.iter().map(|packet| packet.bytes.len()).sum();
            // Sub-buffers that changed meanwhile are looked at again.
            assert!(copied as u64 <= 2 * SUB_BUFFERS * SUB_BUFFER);
        }
        return;
    }
    for lane in reader.lanes() {
        let most = 2 * SUB_BUFFERS as usize;
        let packets = (0..=most).take_while(|_| take(lane, LaneReader::next_packet));
        assert!(packets.count() <= most, "more packets than sub-buffers");
        take(lane, LaneReader::partial_packet);
    }
}

fn take(lane: &mut LaneReader, next: for<'l> fn(&'l mut LaneReader) -> Option<Packet<'l>>) -> bool {
    let mut bytes = Vec::new();
    let Some(packet) = next(lane) else {
        return false;
    };
    packet.copy_to(&mut bytes);
    assert!(bytes.len() as u64 <= SUB_BUFFER, "more than a sub-buffer");
    packet.release();
    true
}

/// What is left of the input.
struct Steps<'i>(&'i [u8]);

impl Steps<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Eight bytes; what is missing of them is 0.
    fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte().unwrap_or(0)))
    }
}
