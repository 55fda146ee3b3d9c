//! A consumer that takes every event and keeps none: for what an event costs its thread.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use laneway_control::{ChannelConfig, Connection, Mode, Rendezvous, ToConsumer};
use laneway_ringbuf::BufferReader;

/// Runs `application` with the path of a socket behind which everything is drained and
/// thrown away, until it returns. No event is lost: the channel blocks.
///
/// # Errors
/// The socket cannot be made.
///
/// # Panics
/// An application says something else than hello.
pub fn drain_to_nowhere<T>(application: impl FnOnce(&Path) -> T) -> io::Result<T> {
    let dir = tempfile::tempdir()?;
    let socket = dir.path().join("socket");
    let meeting = Rendezvous::at(&socket).map_err(io::Error::other)?;
    let config = ChannelConfig {
        mode: Mode::block(Duration::from_secs(10)),
        ..ChannelConfig::default()
    };
    config.publish(&meeting).map_err(io::Error::other)?;
    let listener = UnixListener::bind(&socket)?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let drain = scope.spawn(|| {
            let (stream, _) = listener.accept().expect("the application connects");
            let mut connection = Connection::from_socket(stream.into());
            let mut reader = hello(&mut connection);
            while !done.load(Ordering::Relaxed) {
                for lane in reader.lanes() {
                    while let Some(packet) = lane.next_packet() {
                        packet.release();
                    }
                }
                reader.wait(Duration::from_millis(10));
            }
        });
        let result = application(&socket);
        done.store(true, Ordering::Relaxed);
        drain.join().expect("the drain runs to its end");
        Ok(result)
    })
}

fn hello(connection: &mut Connection) -> BufferReader {
    loop {
        match connection.receive().expect("a message") {
            Some(ToConsumer::Hello(_)) => {
                let fds = connection.take_fds();
                return BufferReader::map(&fds[0]).expect("a ring");
            }
            Some(other) => panic!("{other:?} in place of a hello"),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}
