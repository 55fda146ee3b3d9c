//! Where an application and its consumer meet: a Unix socket and three small files next to it.
//!
//! ```text
//!   $LANEWAY_SOCKET                      set by `laneway record` for its child: a private directory
//!   $XDG_RUNTIME_DIR/laneway/socket      else, where there is a runtime directory
//!   /tmp/laneway-<uid>/socket            else
//!
//!   socket           what to connect to
//!   socket.channel   how the rings have to look, see `ChannelConfig`
//!   socket.lock      held by the consumer while it lives
//!   socket.gate      where applications wait for a consumer, see `Gate`
//! ```
//!
//! Invariant: a directory that Laneway made is `0700` and belongs to this user; anything else under its name is refused.
//! A program that runs with somebody else's rights (setuid) takes no path from the environment.

use std::env;
use std::fs::{DirBuilder, symlink_metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::Error;

/// The environment variable that names the socket to use.
pub const SOCKET_VARIABLE: &str = "LANEWAY_SOCKET";

/// Bytes a socket's path may have: `sun_path` of unix(7) less its NUL.
pub const MAX_SOCKET_PATH: usize = 107;

/// A place to meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendezvous {
    socket: PathBuf,
    well_known: bool,
}

impl Rendezvous {
    /// The place that the environment names, or else the well-known one of this user.
    ///
    /// A program that runs with other rights than those of the user who started it takes the place that
    /// [`without_env`](Self::without_env) names; one that has more rights for another reason (`AT_SECURE` of
    /// getauxval(3)) should call that itself.
    ///
    /// # Errors
    /// The path is longer than a socket's path can be.
    pub fn from_env() -> Result<Rendezvous, Error> {
        let trusted = rustix::process::getuid() == rustix::process::geteuid()
            && rustix::process::getgid() == rustix::process::getegid();
        if !trusted {
            return Rendezvous::without_env();
        }
        let variable = |name| {
            env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        if let Some(path) = variable(SOCKET_VARIABLE) {
            return Rendezvous::at(path);
        }
        match variable("XDG_RUNTIME_DIR") {
            Some(runtime) if runtime.is_absolute() => {
                Rendezvous::well_known(runtime.join("laneway"))
            }
            _ => Rendezvous::without_env(),
        }
    }

    /// The well-known place of this user in `/tmp`.
    ///
    /// # Errors
    /// None: the path is short enough.
    pub fn without_env() -> Result<Rendezvous, Error> {
        let uid = rustix::process::geteuid().as_raw();
        Rendezvous::well_known(PathBuf::from(format!("/tmp/laneway-{uid}")))
    }

    fn well_known(directory: PathBuf) -> Result<Rendezvous, Error> {
        Ok(Rendezvous {
            well_known: true,
            ..Rendezvous::at(directory.join("socket"))?
        })
    }

    /// A place of one's own choice; its directory has to exist.
    ///
    /// # Errors
    /// The path is longer than a socket's path can be.
    pub fn at(socket: impl Into<PathBuf>) -> Result<Rendezvous, Error> {
        let socket = socket.into();
        let bytes = socket.as_os_str().len();
        if bytes > MAX_SOCKET_PATH || socket.as_os_str().as_bytes().contains(&0) {
            return Err(Error::SocketPath {
                path: socket,
                bytes,
            });
        }
        Ok(Rendezvous {
            socket,
            well_known: false,
        })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The file with the channel's set-up.
    #[must_use]
    pub fn channel_file(&self) -> PathBuf {
        self.beside(".channel")
    }

    /// The FIFO at which applications wait for a consumer, see [`Gate`](crate::Gate).
    #[must_use]
    pub fn gate_file(&self) -> PathBuf {
        self.beside(".gate")
    }

    /// The file that a living consumer holds locked.
    #[must_use]
    pub fn lock_file(&self) -> PathBuf {
        self.beside(".lock")
    }

    /// The directory that holds the socket.
    #[must_use]
    pub fn directory(&self) -> &Path {
        match self.socket.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Makes the well-known directory if it is missing, and makes sure that it is this user's own.
    /// A directory somebody chose is left alone.
    ///
    /// # Errors
    /// It cannot be made, or something else has its name.
    pub fn prepare(&self) -> Result<(), Error> {
        if !self.well_known {
            return Ok(());
        }
        let path = self.directory();
        let fail = |what| {
            move |source: io::Error| Error::Io {
                what,
                path: path.to_owned(),
                source,
            }
        };
        match DirBuilder::new().mode(0o700).create(path) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(fail("make")(e)),
            _ => {}
        }
        let found = symlink_metadata(path).map_err(fail("look at"))?;
        if !found.is_dir() {
            return Err(Error::NotADirectory {
                path: path.to_owned(),
            });
        }
        let me = rustix::process::geteuid().as_raw();
        if found.uid() != me {
            return Err(Error::SomebodyElses {
                path: path.to_owned(),
                uid: found.uid(),
            });
        }
        if found.mode() & 0o022 != 0 {
            return Err(Error::OpenToOthers {
                path: path.to_owned(),
            });
        }
        Ok(())
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut path = self.socket.clone().into_os_string();
        path.push(suffix);
        path.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    fn well_known(directory: &Path) -> Rendezvous {
        Rendezvous::well_known(directory.to_owned()).unwrap()
    }

    #[test]
    fn the_longest_path_fits_and_one_byte_more_does_not() {
        let longest = format!("/{}", "x".repeat(MAX_SOCKET_PATH - 1));
        assert!(Rendezvous::at(&longest).is_ok());
        let error = Rendezvous::at(longest + "x").unwrap_err().to_string();
        assert!(error.contains("108 bytes"), "{error}");
    }

    #[test]
    fn a_missing_directory_is_made_for_this_user_alone() {
        let dir = tempfile::tempdir().unwrap();
        let meeting = well_known(&dir.path().join("laneway"));
        meeting.prepare().unwrap();
        meeting.prepare().unwrap();
        let mode = fs::metadata(meeting.directory()).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }

    #[test]
    fn a_link_under_the_well_known_name_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        std::os::unix::fs::symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        let error = well_known(&dir.path().join("link")).prepare().unwrap_err();
        assert!(matches!(error, Error::NotADirectory { .. }), "{error}");
    }

    #[test]
    fn a_directory_others_can_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        let error = well_known(&open).prepare().unwrap_err();
        assert!(matches!(error, Error::OpenToOthers { .. }), "{error}");
    }

    #[test]
    fn the_files_lie_beside_the_socket() {
        let meeting = Rendezvous::at("/run/x/socket").unwrap();
        assert_eq!(meeting.channel_file(), Path::new("/run/x/socket.channel"));
        assert_eq!(meeting.lock_file(), Path::new("/run/x/socket.lock"));
        assert_eq!(
            Rendezvous::at("socket").unwrap().directory(),
            Path::new(".")
        );
    }
}
