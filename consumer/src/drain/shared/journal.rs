//! What a consumer that comes after this one has to know to go on with the shared ring.
//!
//! ```text
//!   DIR/.UUID.journal       {"events":[…]}
//!                           {"joined":{"slot":1,"pid":4711,…}}
//!                           {"events":[…]}
//!                           {"joined":{"slot":2,…}}
//!                           {"left":1}
//!                           {"joi                           half a line at the end: it counts for nothing
//! ```
//! In the ring there are numbers only, of events and of processes; and those that died with their consumer can tell nobody
//! what they mean.
//!
//! Invariant: while there is a journal, no application has a number that is not in it. One that cannot be written is
//! removed, and then nobody goes on with the ring.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use laneway_control::EventSchema;
use laneway_ctf::model::Uuid;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::host::start_time;
use crate::session::Session;
use crate::summary::SharedProcess;

/// The journals of rings that an earlier consumer of a session left, and somebody may still bring. Those of rings whose
/// processes are all dead are removed, as the rings are.
pub(crate) fn living_rings(session: &Session) -> BTreeMap<Uuid, PathBuf> {
    let mut living = journals(session.directory()).unwrap_or_default();
    living.retain(|_, journal| {
        // What cannot be read, whoever brings the ring is told of.
        let all_dead = Past::read(journal).is_ok_and(|past| {
            let mut members = past.members.values();
            members.all(|member| matches!(member.life(), Life::Dead))
        });
        if all_dead {
            let _ = fs::remove_file(journal);
        }
        !all_dead
    });
    living
}

fn journals(session: &Path) -> io::Result<BTreeMap<Uuid, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(session)? {
        let entry = entry?;
        let name = entry.file_name();
        let uuid = name.to_str().and_then(|name| {
            let name = name.strip_prefix('.')?.strip_suffix(".journal")?;
            name.parse().ok()
        });
        found.extend(uuid.map(|uuid| (uuid, entry.path())));
    }
    Ok(found)
}

/// Where the journal of a ring is. Readers of traces pass over hidden files.
pub(super) fn path_of(session: &Path, ring: Uuid) -> PathBuf {
    session.join(format!(".{ring}.journal"))
}

/// A process that was let into the ring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Member {
    /// What it writes into busy headers.
    pub(crate) slot: u16,
    /// Its process id as the consumer sees it; 0 if it does not, as one of another PID namespace.
    pub(crate) pid: u32,
    /// When it was started, by which it is told from another one that has got its process id.
    pub(crate) started: u64,
    /// What else is known of it.
    pub(crate) process: SharedProcess,
}

/// Whether a process lives that an earlier consumer let into the ring.
#[derive(Debug)]
pub(crate) enum Life {
    /// It does; the descriptor is readable when that ends. Without one nobody can see its end.
    Alive(Option<OwnedFd>),
    /// It is dead.
    Dead,
}

impl Member {
    pub(crate) fn life(&self) -> Life {
        let Some(pid) = Pid::from_raw(self.pid.cast_signed()) else {
            return Life::Alive(None);
        };
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(pidfd) if start_time(self.pid) == Some(self.started) => Life::Alive(Some(pidfd)),
            Ok(_) | Err(Errno::SRCH) => Life::Dead,
            Err(_) => Life::Alive(None),
        }
    }
}

/// A line.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Entry {
    /// Events that got the next numbers.
    Events(Vec<EventSchema>),
    /// A process got a slot.
    Joined(Member),
    /// Nothing of the process that had this slot is in the ring any more.
    Left(u16),
}

/// What an earlier consumer wrote down.
#[derive(Debug, Default)]
pub(crate) struct Past {
    /// All events, in the order of their numbers.
    pub(crate) events: Vec<EventSchema>,
    /// Who may have something in the ring.
    pub(crate) members: BTreeMap<u16, Member>,
}

impl Past {
    /// What is in a journal.
    ///
    /// # Errors
    /// It cannot be read, or a line in it is none.
    pub(crate) fn read(journal: &Path) -> Result<Past, Error> {
        let text = fs::read(journal).map_err(Error::io("read", journal))?;
        let mut past = Past::default();
        for line in whole_lines(&text).split_inclusive(|&byte| byte == b'\n') {
            let entry = serde_json::from_slice(line).map_err(|e| Error::Io {
                what: "understand",
                path: journal.to_owned(),
                source: e.into(),
            })?;
            match entry {
                Entry::Events(events) => past.events.extend(events),
                Entry::Joined(member) => {
                    past.members.insert(member.slot, member);
                }
                Entry::Left(slot) => {
                    past.members.remove(&slot);
                }
            }
        }
        Ok(past)
    }
}

/// The journal of a ring that is in use.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    /// None if it could not be written.
    file: Option<File>,
    problem: Option<String>,
    /// Who has a slot, as the journal says it.
    members: BTreeMap<u16, Member>,
    bytes: u64,
    /// How long it may get before it is written anew, without those who have left.
    limit: u64,
}

/// The shortest journal that is written anew: some thousand processes.
const WRITE_ANEW: u64 = 1 << 20;

impl Journal {
    /// Begins one with these events and members, in place of the one there is.
    pub(super) fn begin(
        path: PathBuf,
        events: &[EventSchema],
        members: BTreeMap<u16, Member>,
    ) -> Journal {
        let mut journal = Journal {
            path,
            file: None,
            problem: None,
            members,
            bytes: 0,
            limit: 0,
        };
        journal.write_anew(events);
        journal
    }

    /// A process is about to be let in; these are all events, of which nobody had those from `known` on before.
    pub(super) fn joined(&mut self, events: &[EventSchema], known: usize, member: Member) {
        self.members.insert(member.slot, member.clone());
        let new = &events[known..];
        let new = (!new.is_empty()).then(|| Entry::Events(new.to_vec()));
        self.add(new.into_iter().chain([Entry::Joined(member)]));
        if self.file.is_some() && self.bytes > self.limit {
            self.write_anew(events);
        }
    }

    /// A process has nothing in the ring any more.
    pub(super) fn left(&mut self, slot: u16) {
        self.members.remove(&slot);
        self.add([Entry::Left(slot)]);
    }

    fn add(&mut self, entries: impl IntoIterator<Item = Entry>) {
        let Some(file) = &mut self.file else { return };
        match lines(entries).and_then(|lines| Ok((file.write_all(&lines)?, lines.len()))) {
            Ok(((), bytes)) => self.bytes += bytes as u64,
            Err(e) => self.give_up(&e),
        }
    }

    fn write_anew(&mut self, events: &[EventSchema]) {
        let draft = self.path.with_extension("draft");
        let members = self.members.values().cloned().map(Entry::Joined);
        let entries = [Entry::Events(events.to_vec())].into_iter().chain(members);
        let written = lines(entries).and_then(|lines| {
            let mut file = File::create(&draft)?;
            file.write_all(&lines)?;
            fs::rename(&draft, &self.path)?;
            Ok((file, lines.len() as u64))
        });
        match written {
            Ok((file, bytes)) => {
                self.file = Some(file);
                self.bytes = bytes;
                self.limit = WRITE_ANEW.max(4 * bytes);
            }
            Err(e) => {
                let _ = fs::remove_file(&draft);
                self.give_up(&e);
            }
        }
    }

    fn give_up(&mut self, e: &io::Error) {
        self.remove();
        self.problem = Some(format!(
            "cannot write {}: {e}; should this consumer die, no other can go on with the shared ring",
            self.path.display()
        ));
    }

    /// All that was in the ring is in the trace.
    pub(super) fn remove(&mut self) {
        self.file = None;
        let _ = fs::remove_file(&self.path);
    }

    /// What went wrong, in a sentence.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

fn lines(entries: impl IntoIterator<Item = Entry>) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for entry in entries {
        serde_json::to_writer(&mut lines, &entry)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Without what stands behind the last end of a line.
fn whole_lines(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&byte| byte == b'\n');
    &text[..end.map_or(0, |end| end + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use laneway_control::{Field, FieldType, Level};

    fn event(name: &str) -> EventSchema {
        EventSchema {
            provider: "shop".into(),
            name: name.into(),
            level: Level::Info,
            file: String::new(),
            line: 0,
            module: String::new(),
            fields: vec![Field::new(
                "a \"quoted\"\nname",
                FieldType::Optional(Box::new(FieldType::Str)),
            )],
        }
    }

    fn member(slot: u16) -> Member {
        Member {
            slot,
            pid: std::process::id(),
            started: start_time(std::process::id()).unwrap(),
            process: SharedProcess {
                name: "shop".into(),
                ..SharedProcess::default()
            },
        }
    }

    fn uuid() -> Uuid {
        Uuid::from_random([7; 16])
    }

    #[test]
    fn a_journal_that_is_cut_anywhere_says_what_its_whole_lines_say() {
        let dir = tempfile::tempdir().unwrap();
        assert!(journals(dir.path()).unwrap().is_empty());
        let path = path_of(dir.path(), uuid());
        let mut journal = Journal::begin(path.clone(), &[], BTreeMap::new());
        let events = ["order", "paid", "late"].map(event);
        journal.joined(&events[..2], 0, member(1));
        journal.joined(&events[..2], 2, member(2));
        let found = journals(dir.path()).unwrap();
        assert_eq!(found, BTreeMap::from([(uuid(), path.clone())]));
        let before = fs::read(&path).unwrap();
        journal.joined(&events, 2, member(3));
        journal.left(1);
        let whole = fs::read(&path).unwrap();
        let past = Past::read(&path).unwrap();
        assert_eq!(past.events, events);
        assert_eq!(past.members, BTreeMap::from([2, 3].map(|n| (n, member(n)))));
        for len in before.len()..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let past = Past::read(&path).unwrap();
            // The slot goes with the events, not before them.
            assert!(past.members.len() == 2 || past.events.len() == 3, "{len}");
            assert!(past.members.contains_key(&1), "cut to {len} bytes");
        }
        // The next one goes on with what whole lines say.
        let past = Past::read(&path).unwrap();
        let mut journal = Journal::begin(path.clone(), &past.events, past.members);
        journal.left(2);
        let left = Past::read(&path).unwrap().members;
        assert_eq!(left.into_keys().collect::<Vec<_>>(), [1, 3]);
        assert_eq!(journal.problem(), None);
        journal.remove();
        assert!(!path.exists());
    }

    #[test]
    fn processes_that_come_and_go_do_not_fill_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_of(dir.path(), uuid());
        let mut journal = Journal::begin(path.clone(), &[], BTreeMap::new());
        let events = ["order", "paid"].map(event);
        journal.joined(&events, 0, member(1));
        let mut most = 0;
        for _ in 0..20_000 {
            journal.joined(&events, 2, member(2));
            journal.left(2);
            most = most.max(journal.bytes);
        }
        assert!(
            (WRITE_ANEW / 2..WRITE_ANEW + 1024).contains(&most),
            "{most} bytes"
        );
        assert_eq!(fs::metadata(&path).unwrap().len(), journal.bytes);
        let past = Past::read(&path).unwrap();
        assert_eq!(past.events, events);
        assert_eq!(past.members, BTreeMap::from([(1, member(1))]));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft");
    }

    #[test]
    fn the_journal_of_the_dead_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let session = Session::create(dir.path().join("session")).unwrap();
        let rings = [1, 2, 3].map(|n| Uuid::from_random([n; 16]));
        let [dead, living, empty] = rings.map(|ring| path_of(session.directory(), ring));
        let gone = Member {
            started: 1,
            ..member(1)
        };
        let begin = |path: &PathBuf| Journal::begin(path.clone(), &[], BTreeMap::new());
        begin(&dead).joined(&[], 0, gone.clone());
        let mut journal = begin(&living);
        journal.joined(&[], 0, gone);
        journal.joined(&[], 0, member(2));
        drop(begin(&empty));
        let left = living_rings(&session);
        assert_eq!(left, BTreeMap::from([(rings[1], living)]));
        assert!(!dead.exists() && !empty.exists());
    }

    #[test]
    fn a_line_that_is_none_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_of(dir.path(), uuid());
        fs::write(&path, "{\"left\":1}\nnonsense\n").unwrap();
        let error = Past::read(&path).unwrap_err().to_string();
        assert!(error.starts_with("cannot understand"), "{error}");
        assert!(error.contains(".journal"), "{error}");
    }

    #[test]
    fn where_it_cannot_be_written_there_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_of(&dir.path().join("missing"), uuid());
        let mut journal = Journal::begin(path, &[], BTreeMap::new());
        journal.left(1);
        let problem = journal.problem().unwrap();
        assert!(problem.contains("No such file"), "{problem}");
    }

    #[test]
    fn who_has_the_number_of_one_that_is_dead_is_not_taken_for_it() {
        assert!(matches!(member(1).life(), Life::Alive(Some(_))));
        let other = Member {
            started: 1,
            ..member(1)
        };
        assert!(matches!(other.life(), Life::Dead));
        let nobody = Member {
            pid: i32::MAX.cast_unsigned(),
            ..member(1)
        };
        assert!(matches!(nobody.life(), Life::Dead));
        let hidden = Member {
            pid: 0,
            ..member(1)
        };
        assert!(matches!(hidden.life(), Life::Alive(None)));
    }
}
