//! A large trace in the layout of lanes: two lanes, packets of a megabyte, numbers and some text.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use laneway_ctf::lane::{self, PacketHeader};
use laneway_ctf::model::{ClockClass, EventClass, Integer, StringClass, Structure, Uuid};
use laneway_ctf::tsdl;

const LANES: u64 = 2;

/// Writes the trace.
pub(crate) fn generate(dir: &Path, events: u64) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(dir)?;
    let uuid = Uuid::from_random([0x5a; 16]);
    let mut clock = ClockClass::new("tsc", 2_399_999_000);
    clock.set_offset_ns(1_795_160_882_543_279_234);
    let mut trace = lane::trace_class(uuid, clock);
    trace.set_env("hostname", "vm");
    trace.streams.push(lane::stream_class(0, "tsc", true));
    let two = Structure::new()
        .with("a", Integer::unsigned(64))
        .with("b", Integer::unsigned(64));
    trace.streams[0]
        .events
        .push(EventClass::new(0, "bench:two", two).with_log_level(6));
    let named = Structure::new()
        .with("a", Integer::unsigned(64))
        .with("name", StringClass::default());
    trace.streams[0]
        .events
        .push(EventClass::new(1, "bench:named", named).with_log_level(6));
    std::fs::write(dir.join("metadata"), tsdl::write(&trace))?;

    for lane in 0..LANES {
        let mut file = BufWriter::new(File::create(dir.join(format!("lane_{lane}")))?);
        let mut clock = 1_000_000_000_000 + lane * 77;
        let (mut n, mut sequence) = (0, 0);
        while n < events / LANES {
            let begin = clock;
            let mut records = Vec::with_capacity(1 << 20);
            while records.len() < (1 << 20) - 64 && n < events / LANES {
                clock += 100 + n % 7;
                let from = records.len();
                records.extend([0; 8]);
                records.extend((4000 + n as i32 % 8).to_le_bytes());
                records.extend(n.to_le_bytes());
                let id = u64::from(n % 4 == 3);
                match id {
                    0 => records.extend((n * n).to_le_bytes()),
                    _ => records.extend(b"a name of some length\0"),
                }
                let padding = 8 - records.len() % 8;
                records.extend(std::iter::repeat_n(0, padding - 1));
                records.push(padding as u8);
                let words = (records.len() - from) as u64 / 8;
                let header = clock & 0xffff_ffff | words << 32 | id << 48;
                records[from..from + 8].copy_from_slice(&header.to_le_bytes());
                n += 1;
            }
            let header = PacketHeader {
                uuid,
                stream_class: 0,
                stream: lane as u16,
                position: 0,
                begin,
                end: clock,
                sequence,
                discarded: 0,
                cpu: lane as u32,
                events: 0,
                records: records.len() as u64,
                padding: *records.last().unwrap_or(&0),
            };
            sequence += 1;
            file.write_all(&header.encode())?;
            file.write_all(&records)?;
        }
        file.flush()?;
    }
    Ok(())
}
