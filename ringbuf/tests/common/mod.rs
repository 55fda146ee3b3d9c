//! A traced process and its consumer in one: threads that emit numbered events, and a
//! reader that checks each of them.

#![allow(dead_code)]

use laneway_ringbuf::clock::ClockKind;
use laneway_ringbuf::{
    BufferReader, Channel, ChannelSettings, Geometry, Header, LaneChoice, Lost, Packet, Saved,
    SharedMemory, WhenFull,
};
use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// The settings most tests use.
pub(crate) fn settings(when_full: WhenFull, rseq: bool) -> ChannelSettings {
    ChannelSettings {
        when_full,
        clock: ClockKind::best(),
        slot: 1,
        rseq,
        lanes: LaneChoice::Cpu,
    }
}

/// A channel with fresh memory of that geometry, and the reader of the memory.
pub(crate) fn attach(
    channel: &Channel,
    geometry: Geometry,
    settings: ChannelSettings,
) -> BufferReader {
    let (fd, memory) = SharedMemory::create(geometry).unwrap();
    channel.attach(memory, settings).unwrap();
    BufferReader::map(&fd).unwrap()
}

/// Emits one event: who, the how-manieth, and filler that both sides can compute.
pub(crate) fn emit(channel: &Channel, who: u32, number: u64, filler: usize) -> bool {
    let content = 12 + filler;
    channel.record(9, content, |at| {
        // SAFETY: `content` bytes are there.
        unsafe {
            at.cast::<u32>().write_unaligned(who);
            at.add(4).cast::<u64>().write_unaligned(number);
            at.add(12).write_bytes(number as u8, filler);
        }
    })
}

/// What a reader has seen of one emitter.
#[derive(Default, Debug)]
pub(crate) struct Seen {
    pub(crate) events: u64,
    pub(crate) sum: u128,
    pub(crate) last: HashMap<u32, u64>,
}

/// Reads packets and checks every record in them.
#[derive(Default)]
pub(crate) struct Checker {
    pub(crate) seen: HashMap<u32, Seen>,
    pub(crate) events: u64,
    pub(crate) packets: u64,
    pub(crate) extended: u64,
    pub(crate) late: u64,
    clocks: HashMap<u32, u64>,
    positions: HashMap<u32, u64>,
}

impl Checker {
    /// Takes what is whole, and the published rest too if `partial`.
    pub(crate) fn drain(&mut self, reader: &mut BufferReader, partial: bool) {
        for lane in reader.lanes() {
            while let Some(packet) = lane.next_packet() {
                self.check(&packet);
                packet.release();
            }
            if partial && let Some(packet) = lane.partial_packet() {
                self.check(&packet);
                packet.release();
            }
        }
    }

    pub(crate) fn check(&mut self, packet: &Packet<'_>) {
        let mut bytes = Vec::new();
        packet.copy_to(&mut bytes);
        let saved = Saved {
            position: packet.position(),
            begin: packet.begin(),
            end: packet.end(),
            records: packet.records(),
            bytes,
            padding: packet.padding(),
            lost: packet.lost(),
        };
        self.check_copy(packet.lane(), packet.is_late(), &saved);
    }

    pub(crate) fn check_copy(&mut self, lane: u32, late: bool, packet: &Saved) {
        let bytes = &packet.bytes;
        self.packets += 1;
        self.late += u64::from(late);
        assert!(packet.begin <= packet.end);
        let mut clock = packet.begin;
        if !late {
            let position = self.positions.entry(lane).or_default();
            assert!(
                packet.position >= *position,
                "packets of a lane come in order"
            );
            *position = packet.position + bytes.len() as u64;
            let before = self.clocks.insert(lane, packet.end).unwrap_or(0);
            assert!(
                before <= clock,
                "lane {lane}: a packet begins at {clock}, before {before}"
            );
        }
        let (mut at, mut records) = (0, 0);
        while at < bytes.len() {
            let header = Header::from_bits(word(bytes, at));
            assert!(!header.is_busy(), "lane {lane}: a busy record in a packet");
            assert_eq!(header.id(), 9, "lane {lane}: a record nobody emitted");
            let mut payload = at + 8;
            let now = if header.is_extended() {
                self.extended += 1;
                payload += 10;
                let again = u16::from_le_bytes([bytes[at + 16], bytes[at + 17]]);
                assert_eq!(again, header.id(), "the id behind the clock");
                word(bytes, at + 8)
            } else {
                let now = clock & !0xffff_ffff | u64::from(header.clock_low());
                if now < clock { now + (1 << 32) } else { now }
            };
            assert!(
                now >= clock,
                "lane {lane}: time runs backwards, {now} after {clock}"
            );
            clock = now;
            let end = at + header.record_bytes();
            let padding = bytes[end - 1];
            assert!((1..=8).contains(&padding));
            let content = end - usize::from(padding);
            let who = u32::from_le_bytes(bytes[payload..payload + 4].try_into().unwrap());
            let number = word(bytes, payload + 4);
            let filler = &bytes[payload + 12..content];
            assert!(
                filler.iter().all(|&byte| byte == number as u8),
                "a torn record"
            );
            let seen = self.seen.entry(who).or_default();
            seen.events += 1;
            seen.sum += u128::from(number);
            if !late && let Some(last) = seen.last.insert(lane, number) {
                assert!(
                    last < number,
                    "emitter {who}, lane {lane}: {number} after {last}"
                );
            }
            records += 1;
            at = end;
            if at == bytes.len() {
                assert_eq!(padding, packet.padding);
            }
        }
        assert!(
            clock <= packet.end,
            "lane {lane}: {clock} is after the packet's end"
        );
        assert_eq!(
            records, packet.records,
            "lane {lane}: the counters disagree"
        );
        self.events += records;
    }
}

fn word(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// All losses of all lanes.
pub(crate) fn lost(reader: &mut BufferReader) -> Lost {
    let mut sum = Lost::default();
    for lane in reader.lanes() {
        let lost = lane.lost();
        sum.full += lost.full;
        sum.too_large += lost.too_large;
        sum.timed_out += lost.timed_out;
        sum.unfinished += lost.unfinished;
        sum.overwritten += lost.overwritten;
    }
    sum
}

/// A small fast generator, so that a run can be repeated.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// How much longer than usual the stress tests run: `LANEWAY_STRESS`.
pub(crate) fn stress_factor() -> u64 {
    std::env::var("LANEWAY_STRESS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
}

/// Puts thread `tid` on one CPU.
pub(crate) fn pin(tid: i32, cpu: usize) {
    // SAFETY: a CPU set on the stack, read by the kernel.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(tid, size_of_val(&set), &set);
    }
}

pub(crate) fn gettid() -> i32 {
    // SAFETY: no arguments.
    unsafe { libc::gettid() }
}

pub(crate) fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |count| count.get() as u32)
}

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Runs a test with restartable sequences and without.
pub(crate) fn both_kinds_of_lanes(test: impl Fn(bool)) {
    test(true);
    test(false);
}

/// Words that all processes see which are forked from this one.
pub(crate) fn shared_words() -> &'static [AtomicU64; 64] {
    // SAFETY: a fresh shared mapping of a page, never unmapped.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            4096,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        assert_ne!(page, libc::MAP_FAILED);
        &*page.cast()
    }
}

/// Waits for the end of `child`, after sending it `signal` if there is one.
pub(crate) fn wait_for(child: i32, signal: Option<i32>) {
    // SAFETY: the process is our child and not yet waited for.
    unsafe {
        if let Some(signal) = signal {
            libc::kill(child, signal);
        }
        libc::waitpid(child, std::ptr::null_mut(), 0);
    }
}
