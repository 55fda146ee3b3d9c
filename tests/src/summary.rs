//! The summary that `laneway` writes as JSON.

#![expect(
    missing_docs,
    reason = "the fields are those of `laneway_consumer::Summary`, where they are described"
)]

use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub struct Summary {
    pub total: Counts,
    pub processes: Vec<Process>,
    pub refused: Vec<Refusal>,
    #[serde(default)]
    pub shared: Option<Shared>,
}

#[derive(Debug, Deserialize)]
pub struct Shared {
    pub trace: PathBuf,
    pub counts: Counts,
    pub processes: Vec<SharedProcess>,
    pub problems: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct SharedProcess {
    pub pid: u32,
    pub unfinished: u64,
    pub problems: Vec<String>,
}

impl Shared {
    /// The process of that number.
    ///
    /// # Panics
    /// There was none.
    #[track_caller]
    #[must_use]
    pub fn of(&self, pid: u32) -> &SharedProcess {
        let mut processes = self.processes.iter();
        let process = processes.find(|process| process.pid == pid);
        process.unwrap_or_else(|| panic!("nothing of process {pid}: {self:#?}"))
    }
}

#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    pub pid: u32,
    pub name: String,
    pub trace: PathBuf,
    pub rseq_off: Option<String>,
    pub counts: Counts,
    pub lanes: Vec<Lane>,
    pub problems: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Lane {
    pub cpu: u32,
    pub atomic: bool,
    pub counts: Counts,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Counts {
    pub emitted: u64,
    pub recorded: u64,
    pub lost: Lost,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Lost {
    pub full: u64,
    pub too_large: u64,
    pub timed_out: u64,
    pub unfinished: u64,
    pub storage: u64,
    pub before_attach: u64,
    pub overwritten: u64,
}

#[derive(Debug, Deserialize)]
pub struct Refusal {
    pub reason: String,
    pub times: u64,
}

impl Lost {
    /// All causes together.
    #[must_use]
    pub fn total(&self) -> u64 {
        let Lost {
            full,
            too_large,
            timed_out,
            unfinished,
            storage,
            before_attach,
            overwritten,
        } = self;
        // A hostile application may claim anything.
        [
            too_large,
            timed_out,
            unfinished,
            storage,
            before_attach,
            overwritten,
        ]
        .into_iter()
        .fold(*full, |sum, lost| sum.saturating_add(*lost))
    }
}

impl Summary {
    /// Reads what `laneway` wrote.
    ///
    /// # Panics
    /// It is no summary, or its sums are wrong.
    #[track_caller]
    #[must_use]
    pub fn parse(json: &str) -> Summary {
        let summary: Summary =
            serde_json::from_str(json).unwrap_or_else(|e| panic!("{e}: {json:?}"));
        for counts in summary.all_counts() {
            let sum = counts.recorded.saturating_add(counts.lost.total());
            assert_eq!(counts.emitted, sum, "emitted is recorded and lost: {json}");
        }
        summary
    }

    /// The only process there was.
    ///
    /// # Panics
    /// There was none, or there were several.
    #[track_caller]
    #[must_use]
    pub fn process(&self) -> &Process {
        let [process] = &self.processes[..] else {
            panic!("not one process: {self:#?}");
        };
        process
    }

    /// The process of that number.
    ///
    /// # Panics
    /// There was none, or there were several.
    #[track_caller]
    #[must_use]
    pub fn of(&self, pid: u32) -> &Process {
        let mut of_pid = self.processes.iter().filter(|process| process.pid == pid);
        match (of_pid.next(), of_pid.next()) {
            (Some(process), None) => process,
            (None, _) => panic!("nothing of process {pid}: {self:#?}"),
            _ => panic!("several processes {pid}: {self:#?}"),
        }
    }

    fn all_counts(&self) -> impl Iterator<Item = &Counts> {
        let processes = self.processes.iter();
        let lanes = processes.clone().flat_map(|p| &p.lanes);
        std::iter::once(&self.total)
            .chain(processes.map(|p| &p.counts))
            .chain(lanes.map(|l| &l.counts))
    }
}
