//! How a channel is set up, told by the consumer to applications before they speak to each other.
//!
//! An application makes its ring itself and traces into it before anybody has accepted it, so it must know the ring's
//! shape beforehand. The consumer writes it into a small file next to its socket, *before* it listens:
//!
//! ```text
//!   consumer: take the lock ─▶ write `socket.channel` ─▶ bind and listen on `socket`
//!   application:   connect to `socket` ─▶ read `socket.channel` ─▶ make the ring ─▶ say hello
//! ```
//!
//! Invariant: the file is moved into place whole, so nobody reads half of it, and it is believed only when it
//! belongs to the reader's user or to root.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode as FileMode, OFlags};
use serde::{Deserialize, Serialize};

use crate::message::PROTOCOL;
use crate::rendezvous::Rendezvous;
use crate::{Error, codec};

/// More than a channel file can have.
const MAX_FILE_BYTES: usize = 4096;

/// Bytes of the path of the directory that holds buffers.
const MAX_DIRECTORY_BYTES: usize = 2048;

/// The set-up of one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelConfig {
    /// The name of the channel.
    pub name: String,
    /// What happens when a lane is full.
    pub mode: Mode,
    /// Bytes of one sub-buffer.
    pub sub_buffer_bytes: u64,
    /// Sub-buffers of one lane.
    pub sub_buffers: u32,
    /// Whether every record names its thread.
    pub thread_ids: bool,
    /// Which clock stamps the records.
    pub clock: ClockChoice,
    /// Whose records a buffer holds.
    pub buffers: Buffers,
    /// What a lane belongs to.
    pub lanes: Lanes,
    /// Whether the memory of the lanes is touched before the first event, so that none of them has to wait for it.
    pub populate: bool,
    /// Where the buffers lie as files, which outlive application and consumer: a directory on a tmpfs. The application
    /// makes them (see [`BufferFile`](crate::BufferFile)); the consumer removes them when it has recorded all of it.
    pub directory: Option<String>,
}

impl Default for ChannelConfig {
    /// 8 sub-buffers of 256 KiB per lane, newest events discarded when they are full, with thread ids.
    fn default() -> Self {
        ChannelConfig {
            name: "channel0".into(),
            mode: Mode::Discard,
            sub_buffer_bytes: 256 * 1024,
            sub_buffers: 8,
            thread_ids: true,
            clock: ClockChoice::Auto,
            buffers: Buffers::PerProcess,
            lanes: Lanes::Cpu,
            populate: false,
            directory: None,
        }
    }
}

/// What happens to an event for which there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// It is lost, and counted.
    Discard,
    /// Its thread waits for room, up to this long; then it is lost, and counted. Only where the application allows it.
    Block {
        /// The longest wait, in nanoseconds.
        timeout_ns: u64,
    },
    /// The oldest events make room for it; what is there is read by a snapshot.
    Overwrite,
}

impl Mode {
    /// Block for up to `timeout`.
    #[must_use]
    pub fn block(timeout: Duration) -> Self {
        Mode::Block {
            timeout_ns: u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
        }
    }
}

/// Which clock stamps the records of a channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClockChoice {
    /// The TSC where it is invariant and the kernel's own clock source, else `CLOCK_MONOTONIC`.
    #[default]
    Auto,
    /// The TSC.
    Tsc,
    /// `CLOCK_MONOTONIC`.
    Monotonic,
}

/// Whose records a buffer holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Buffers {
    /// Each process has one of its own, and makes it.
    #[default]
    PerProcess,
    /// All processes of the session write into one, which the consumer makes.
    Shared,
}

/// What a lane belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Lanes {
    /// A CPU of the machine.
    #[default]
    Cpu,
    /// One of the process's threads that run at the same time: the kernel's `mm_cid`. Then each record names its CPU.
    Concurrency,
}

impl ChannelConfig {
    /// Whether there can be such a channel, wherever it is.
    ///
    /// # Errors
    /// Two of its settings exclude each other.
    pub fn check(&self) -> Result<(), Error> {
        if self.buffers == Buffers::Shared && self.lanes == Lanes::Concurrency {
            return Err(Error::SharedConcurrency);
        }
        match &self.directory {
            Some(_) if self.buffers == Buffers::Shared => Err(Error::SharedDirectory),
            Some(path) if !path.starts_with('/') || path.len() > MAX_DIRECTORY_BYTES => {
                Err(Error::BufferDirectory { path: path.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Puts this set-up where applications that use `meeting` look for it.
    ///
    /// # Errors
    /// There can be no such channel, or the file cannot be written.
    pub fn publish(&self, meeting: &Rendezvous) -> Result<(), Error> {
        self.check()?;
        let path = meeting.channel_file();
        let draft = path.with_extension("draft");
        let bytes = codec::encode(&(PROTOCOL, self), MAX_FILE_BYTES)?;
        let write = || -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW;
            let mode = FileMode::RUSR | FileMode::WUSR;
            let fd = rustix::fs::open(&draft, flags | OFlags::CLOEXEC, mode)?;
            File::from(fd).write_all(&bytes)?;
            std::fs::rename(&draft, &path)
        };
        write().map_err(|source| Error::Io {
            what: "write",
            path: path.clone(),
            source,
        })
    }

    /// Reads the set-up that a consumer published at `meeting`.
    ///
    /// # Errors
    /// There is none, it belongs to somebody else, it was written by another version, or there can be no such channel.
    pub fn find(meeting: &Rendezvous) -> Result<ChannelConfig, Error> {
        let path = meeting.channel_file();
        let fail = |source: io::Error| Error::Io {
            what: "read",
            path: path.clone(),
            source,
        };
        // NONBLOCK: a FIFO in this place must not hang the application.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, FileMode::empty()).map_err(|e| fail(e.into()))?;
        check_owner(&file, &path)?;
        let mut bytes = Vec::new();
        File::from(file)
            .take(MAX_FILE_BYTES as u64)
            .read_to_end(&mut bytes)
            .map_err(fail)?;

        let (protocol, at) = codec::decode_prefix::<u32>(&bytes)?;
        if protocol != PROTOCOL {
            return Err(Error::OtherProtocol { theirs: protocol });
        }
        let config: ChannelConfig = codec::decode(&bytes[at..])?;
        config.check()?;
        Ok(config)
    }
}

pub(crate) fn check_owner(file: &OwnedFd, path: &Path) -> Result<(), Error> {
    let stat = rustix::fs::fstat(file).map_err(|e| Error::Io {
        what: "look at",
        path: path.to_owned(),
        source: e.into(),
    })?;
    let me = rustix::process::geteuid().as_raw();
    if stat.st_uid != me && stat.st_uid != 0 {
        return Err(Error::SomebodyElses {
            path: path.to_owned(),
            uid: stat.st_uid,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meeting(dir: &tempfile::TempDir) -> Rendezvous {
        Rendezvous::at(dir.path().join("socket")).unwrap()
    }

    #[test]
    fn an_application_finds_what_the_consumer_published() {
        let dir = tempfile::tempdir().unwrap();
        let config = ChannelConfig {
            mode: Mode::block(Duration::from_secs(2)),
            sub_buffers: 3,
            clock: ClockChoice::Monotonic,
            lanes: Lanes::Concurrency,
            populate: true,
            directory: Some("/dev/shm/rings".into()),
            ..ChannelConfig::default()
        };
        config.publish(&meeting(&dir)).unwrap();
        assert_eq!(ChannelConfig::find(&meeting(&dir)).unwrap(), config);
        ChannelConfig::default().publish(&meeting(&dir)).unwrap();
        assert_eq!(
            ChannelConfig::find(&meeting(&dir)).unwrap(),
            ChannelConfig::default()
        );
    }

    #[test]
    fn settings_that_exclude_each_other_are_refused_on_both_sides() {
        let shared = ChannelConfig {
            buffers: Buffers::Shared,
            ..ChannelConfig::default()
        };
        let in_directory = |path: &str| Some(path.to_owned());
        let refused = [
            ChannelConfig {
                lanes: Lanes::Concurrency,
                ..shared.clone()
            },
            ChannelConfig {
                directory: in_directory("/dev/shm"),
                ..shared.clone()
            },
            ChannelConfig {
                directory: in_directory("rings"),
                ..ChannelConfig::default()
            },
        ];
        let dir = tempfile::tempdir().unwrap();
        shared.publish(&meeting(&dir)).unwrap();
        for config in refused {
            assert!(config.publish(&meeting(&dir)).is_err(), "{config:?}");
            // A consumer that checks nothing.
            let bytes = codec::encode(&(PROTOCOL, &config), MAX_FILE_BYTES).unwrap();
            std::fs::write(meeting(&dir).channel_file(), bytes).unwrap();
            assert!(ChannelConfig::find(&meeting(&dir)).is_err(), "{config:?}");
        }
    }

    #[test]
    fn another_version_is_told_by_its_number() {
        let dir = tempfile::tempdir().unwrap();
        let bytes = codec::encode(&(PROTOCOL + 1, "something new"), 100).unwrap();
        std::fs::write(meeting(&dir).channel_file(), bytes).unwrap();
        assert!(matches!(
            ChannelConfig::find(&meeting(&dir)),
            Err(Error::OtherProtocol { theirs }) if theirs == PROTOCOL + 1
        ));
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let elsewhere = Rendezvous::at(dir.path().join("elsewhere")).unwrap();
        ChannelConfig::default().publish(&elsewhere).unwrap();
        std::os::unix::fs::symlink(elsewhere.channel_file(), meeting(&dir).channel_file()).unwrap();
        assert!(ChannelConfig::find(&meeting(&dir)).is_err());
    }

    #[test]
    fn a_fifo_in_its_place_does_not_hang() {
        let dir = tempfile::tempdir().unwrap();
        let path = meeting(&dir).channel_file();
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, FileMode::RUSR, 0).unwrap();
        assert!(ChannelConfig::find(&meeting(&dir)).is_err());
    }
}
