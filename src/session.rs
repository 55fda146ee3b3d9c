//! The time with one consumer: from hello to its last word, or its death.
//!
//! ```text
//!   begin ──▶ hello ──▶ [AcceptedShared: join] ──▶ serve ─┬─ Stop, Stopped ──▶ Ended::Stopped
//!   resume ─▶ hello again ────────────────────────────────┤  Rejected ───────▶ Ended::Rejected
//!                                                         └  gone ───────────▶ Ended::Alone(attachment)
//! ```
//! Invariant: an [`Attachment`] is either served here, handed back in `Ended::Alone`, or has left its ring.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use laneway_control::{
    ChannelConfig, Connection, Error, Rendezvous, ToApplication, ToConsumer, wait_readable,
};

use crate::attachment::{Attachment, Trouble};
use crate::{hello, report};

/// See the text of this module.
pub(crate) struct Session {
    connection: Connection,
    attachment: Attachment,
    accepted: bool,
    /// What `await_ring` heard and is for `serve` to heed.
    early: Option<Result<ToApplication, Error>>,
}

/// Why there is no session.
pub(crate) enum NoSession {
    /// There is no consumer, or none that has time.
    Nobody,
    /// There is one, and it was told why this process cannot be recorded.
    Unable,
}

/// How a session ended.
pub(crate) enum Ended {
    /// The consumer had enough.
    Stopped,
    /// The consumer did not want us.
    Rejected,
    /// The consumer is gone, and the ring is still there.
    Alone(Attachment),
}

impl Session {
    /// Attaches to the consumer at `meeting`, if there is one.
    pub(crate) fn begin(meeting: &Rendezvous) -> Result<Self, NoSession> {
        let config = match ChannelConfig::find(meeting) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(NoSession::Nobody);
            }
            config => config.map_err(Trouble::new),
        };
        let connection = connect(meeting)?;
        let attachment = match config.and_then(Attachment::make) {
            Ok(attachment) => attachment,
            Err(trouble) => {
                report::say(format_args!("this process is not recorded: {trouble}"));
                let _ = connection.send(&hello::unable(&trouble), &[]);
                return Err(NoSession::Unable);
            }
        };
        let session = Session {
            connection,
            attachment,
            accepted: false,
            early: None,
        };
        if let Err(e) = session.attachment.say_hello(&session.connection) {
            report::say(format_args!("the consumer does not hear: {e}"));
            session.attachment.remove_file();
            session.attachment.leave();
            return Err(NoSession::Nobody);
        }
        session.attachment.enable();
        Ok(session)
    }

    /// Tells the consumer at `meeting`, if there is one, of a ring that an earlier one left.
    pub(crate) fn resume(meeting: &Rendezvous, attachment: Attachment) -> Result<Self, Attachment> {
        // Why not, is no news to anybody: this is tried again and again.
        let Ok(connection) = Connection::connect(meeting) else {
            return Err(attachment);
        };
        if let Err(e) = attachment.say_hello(&connection) {
            report::say(format_args!("the new consumer does not hear: {e}"));
            return Err(attachment);
        }
        Ok(Session {
            connection,
            attachment,
            accepted: false,
            early: None,
        })
    }

    /// Waits for the ring of a shared session, but not for long. It may still come later.
    pub(crate) fn await_ring(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while !self.attachment.has_ring() && self.early.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || wait_readable([self.connection.as_fd()], Some(left)).is_err() {
                return;
            }
            self.early = match self.connection.receive().transpose() {
                Some(Ok(ToApplication::AcceptedShared { slot })) => match self.join(slot) {
                    Ok(()) => None,
                    Err(trouble) => Some(Ok(ToApplication::Rejected {
                        reason: trouble.to_string(),
                    })),
                },
                other => other,
            };
        }
    }

    /// Stays until the consumer is gone or has had enough.
    pub(crate) fn serve(mut self) -> Ended {
        loop {
            match self.next() {
                Ok(None) => {}
                Ok(Some(ToApplication::Accepted)) => {
                    self.accepted = true;
                    self.attachment.attended();
                }
                Ok(Some(ToApplication::AcceptedShared { slot })) => {
                    if let Err(trouble) = self.join(slot) {
                        return self.rejected(&trouble);
                    }
                }
                Ok(Some(ToApplication::Trim)) => {
                    let bytes = self.attachment.trim();
                    report::say(format_args!("{bytes} bytes given back to the system"));
                }
                Ok(Some(ToApplication::Stop)) => return self.stop(),
                Ok(Some(ToApplication::Rejected { reason })) => return self.rejected(&reason),
                Err(e) => {
                    report::say(format_args!("the consumer is gone: {e}"));
                    return self.alone();
                }
            }
        }
    }

    fn next(&mut self) -> Result<Option<ToApplication>, Error> {
        if let Some(early) = self.early.take() {
            return early.map(Some);
        }
        wait_readable([self.connection.as_fd()], None)?;
        self.connection.receive()
    }

    fn join(&mut self, slot: u16) -> Result<(), Trouble> {
        if self.attachment.has_ring() {
            return Err(Trouble::new("the consumer sent a second ring"));
        }
        let fds = self.connection.take_fds();
        self.attachment.join(slot, fds)?;
        self.accepted = true;
        Ok(())
    }

    fn stop(mut self) -> Ended {
        self.attachment.leave();
        let _ = self.connection.send(&ToConsumer::Stopped, &[]);
        // Until the consumer closes: it is the one that has more to do.
        while wait_readable([self.connection.as_fd()], None).is_ok()
            && self.connection.receive::<ToApplication>().is_ok()
        {}
        Ended::Stopped
    }

    fn rejected(self, reason: &dyn std::fmt::Display) -> Ended {
        report::say(format_args!("this process is not recorded: {reason}"));
        if !self.accepted {
            self.attachment.remove_file();
        }
        self.attachment.leave();
        Ended::Rejected
    }

    fn alone(self) -> Ended {
        let mut attachment = self.attachment;
        match attachment.has_ring() {
            true => {
                attachment.unattended();
                Ended::Alone(attachment)
            }
            false => {
                attachment.leave();
                Ended::Rejected
            }
        }
    }
}

fn connect(meeting: &Rendezvous) -> Result<Connection, NoSession> {
    Connection::connect(meeting).map_err(|e| {
        if !matches!(e, Error::NobodyThere { .. }) {
            report::say(e);
        }
        NoSession::Nobody
    })
}
