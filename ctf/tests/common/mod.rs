//! What the tests share: records as a ring buffer holds them, and babeltrace2 to judge what was written.
#![allow(dead_code)]

use std::path::Path;
use std::process::Command;

use laneway_ctf::lane::PacketHeader;
use laneway_ctf::model::Uuid;

/// One record, padding included, as `laneway_ctf::lane` draws it.
pub(crate) fn record(
    clock: u64,
    extended: bool,
    id: u16,
    vtid: Option<i32>,
    payload: &[u8],
) -> Vec<u8> {
    let mut bytes = vec![0; 8];
    if extended {
        bytes.extend(clock.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    if let Some(vtid) = vtid {
        bytes.extend(vtid.to_le_bytes());
    }
    bytes.extend(payload);
    let padding = 8 - bytes.len() % 8;
    bytes.extend(std::iter::repeat_n(0xee, padding - 1));
    bytes.push(padding as u8);
    let words = bytes.len() as u64 / 8;
    let header =
        clock & 0xffff_ffff | words << 32 | u64::from(extended) << 46 | u64::from(id) << 48;
    bytes[..8].copy_from_slice(&header.to_le_bytes());
    bytes
}

/// A packet of these records; the rest of its header is the caller's.
pub(crate) fn packet(header: PacketHeader, records: &[Vec<u8>]) -> Vec<u8> {
    let events = records.len() as u32;
    let records = records.concat();
    let header = PacketHeader {
        events,
        records: records.len() as u64,
        padding: records.last().copied().unwrap_or(0),
        ..header
    };
    let mut bytes = header.encode().to_vec();
    bytes.extend(records);
    bytes
}

/// The UUID of every trace here.
pub(crate) const UUID: Uuid = Uuid([
    0xd1, 0x0a, 0x44, 0x27, 0xbd, 0x4f, 0x48, 0x0e, 0x8c, 0x38, 0x8c, 0x7a, 0x8f, 0x4a, 0x22, 0x3a,
]);

/// What babeltrace2 says about a trace: its standard output and its standard error, if it succeeded.
pub(crate) fn babeltrace2(args: &[&str], dir: &Path) -> (String, String) {
    let output = Command::new("babeltrace2")
        .args(args)
        .arg(dir)
        .output()
        .expect("babeltrace2 is installed (Debian: apt install babeltrace2)");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "babeltrace2: {}\n{stderr}\n{stdout}",
        output.status
    );
    (stdout, stderr)
}
