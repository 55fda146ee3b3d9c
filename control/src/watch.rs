//! Notices that a consumer has begun to listen, without polling.
//!
//! ```text
//!   consumer: bind ── listen ── chmod          application: wait_readable([watcher, …])
//!               │                 │                               ▲
//!               └── IN_CREATE ────┴── IN_ATTRIB ── inotify(7) ────┘
//! ```
//!
//! Between bind and listen a connection is refused, so the consumer touches the socket's mode once it listens: that
//! event is the one that counts.
//!
//! Invariant: whoever makes a watcher first and tries to connect second misses no consumer.

use std::ffi::OsString;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::Error;
use crate::rendezvous::Rendezvous;

/// Watches for the socket of one [`Rendezvous`]. It can be read when there is news.
#[derive(Debug)]
pub struct Watcher {
    inotify: OwnedFd,
    socket_name: OsString,
}

/// What happened in the watched directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that matters.
    Nothing,
    /// The socket is there, or was touched: try to connect.
    Appeared,
    /// The directory is gone, and with it the watch: make a new watcher.
    WatchLost,
}

impl Watcher {
    /// Begins to watch. The well-known directory is made if it is missing.
    ///
    /// # Errors
    /// There is no such directory, or no more watches (`fs.inotify.max_user_instances`).
    pub fn new(meeting: &Rendezvous) -> Result<Watcher, Error> {
        meeting.prepare()?;
        let fail = |e: Errno| Error::Io {
            what: "watch",
            path: meeting.directory().to_owned(),
            source: e.into(),
        };
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(fail)?;
        let events = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        inotify::add_watch(&inotify, meeting.directory(), events).map_err(fail)?;
        Ok(Watcher {
            inotify,
            socket_name: meeting.socket().file_name().unwrap_or_default().to_owned(),
        })
    }

    /// Takes all news there is, without waiting.
    ///
    /// # Errors
    /// The watch cannot be read.
    pub fn news(&mut self) -> Result<News, Error> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut news = News::Nothing;
        loop {
            match reader.next() {
                Ok(event) => {
                    let flags = event.events();
                    let lost = ReadFlags::IGNORED
                        | ReadFlags::DELETE_SELF
                        | ReadFlags::MOVE_SELF
                        | ReadFlags::UNMOUNT;
                    if flags.intersects(lost) {
                        news = News::WatchLost;
                    } else if news == News::Nothing
                        && (flags.contains(ReadFlags::QUEUE_OVERFLOW)
                            || event
                                .file_name()
                                .is_some_and(|name| name.to_bytes() == self.socket_name.as_bytes()))
                    {
                        news = News::Appeared;
                    }
                }
                Err(Errno::AGAIN) => return Ok(news),
                Err(Errno::INTR) => {}
                Err(e) => return Err(Error::socket(e)),
            }
        }
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::wait_readable;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    fn watch(dir: &tempfile::TempDir) -> (Rendezvous, Watcher) {
        let meeting = Rendezvous::at(dir.path().join("socket")).unwrap();
        let watcher = Watcher::new(&meeting).unwrap();
        (meeting, watcher)
    }

    #[test]
    fn a_socket_that_appears_wakes_the_waiter() {
        let dir = tempfile::tempdir().unwrap();
        let (meeting, mut watcher) = watch(&dir);
        assert_eq!(watcher.news().unwrap(), News::Nothing);
        let socket = meeting.socket().to_owned();
        let consumer = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            UnixListener::bind(socket).unwrap()
        });
        let [readable] = wait_readable([watcher.as_fd()], Some(Duration::from_secs(10))).unwrap();
        assert!(readable);
        assert_eq!(watcher.news().unwrap(), News::Appeared);
        consumer.join().unwrap();
    }

    #[test]
    fn a_touched_socket_is_news_and_another_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let (meeting, mut watcher) = watch(&dir);
        fs::write(meeting.channel_file(), "").unwrap();
        assert_eq!(watcher.news().unwrap(), News::Nothing);
        fs::write(meeting.socket(), "").unwrap();
        assert_eq!(watcher.news().unwrap(), News::Appeared);
        fs::set_permissions(meeting.socket(), fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(watcher.news().unwrap(), News::Appeared);
        assert_eq!(watcher.news().unwrap(), News::Nothing);
    }

    #[test]
    fn a_directory_that_goes_away_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (_meeting, mut watcher) = watch(&dir);
        drop(dir);
        assert_eq!(watcher.news().unwrap(), News::WatchLost);
    }
}
