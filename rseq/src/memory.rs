//! Per-CPU memory: words for every CPU at a fixed stride, in this process or shared with others.
//!
//! ```text
//!   header            CPU 0                     CPU 1                        common
//!   ┌──────────────┬─────────────────────────┬─────────────────────────┬───┬──────────┐
//!   │ what it is   │ local words │ remote    │ local words │ remote    │ … │ words    │
//!   └──────────────┴─────────────────────────┴─────────────────────────┴───┴──────────┘
//!   one page        stride, a power of two, at least a page
//! ```
//!
//! The *local* words of a CPU are written by restartable sequences on that CPU only, with plain
//! stores. Its *remote* words are written with atomics by whoever could not use a sequence: a
//! thread without rseq, a process started with rseq off, a section that was interrupted again and
//! again. The two never meet in one word, so both kinds of threads work on one structure at the
//! same time, and neither has to know of the other.
//!
//! A page is touched when its CPU first writes it, so CPUs that never run cost address space only.
//!
//! Invariant: the layout is fixed when the memory is made; a shared one is sealed against shrinking
//! before anybody else can map it, so that no access can fault.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::cpus::{current_cpu, possible_cpus};
use crate::map::Map;
use crate::ops::Interrupted;
use crate::registration::Rseq;
use crate::slot::CpuId;
use crate::sync::{AtomicU64, Ordering::Relaxed};

const MAGIC: u64 = u64::from_le_bytes(*b"lw-rseq1");
/// Two cache lines: the one next to it is often fetched along.
const LINE_BYTES: usize = 128;
const WORD_BYTES: usize = size_of::<AtomicU64>();
/// More words than anybody needs per CPU or in common; keeps every sum below far from overflow.
const MAX_WORDS: usize = 1 << 32;
const MAX_CPUS: usize = 1 << 16;

/// Where per-CPU memory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// In this process only. A child of fork(2) gets a copy.
    Private,
    /// In a memfd that other processes can map: hand them [`Memory::fd`], and let them
    /// [`attach`](Memory::attach).
    Shared,
}

/// What a piece of per-CPU memory consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// What the words mean: a number of the structure's choice, checked when others attach.
    pub kind: u64,
    /// Words per CPU on either side.
    pub words: usize,
    /// Words that belong to no CPU.
    pub common: usize,
}

/// Why there is no per-CPU memory.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The kernel gave no memory, or refused to map it.
    System {
        /// What was asked of it.
        call: &'static str,
        /// What it said.
        error: io::Error,
    },
    /// More words than fit.
    TooLarge {
        /// The shape that was asked for.
        shape: Shape,
    },
    /// The descriptor does not lead to memory of this kind.
    NotOurs {
        /// What about it is wrong.
        reason: &'static str,
        /// The value found there.
        found: u64,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System { call, error } => write!(f, "{call} failed for per-CPU memory: {error}"),
            Self::TooLarge { shape } => write!(
                f,
                "{} words per CPU and {} in common are too many; at most {MAX_WORDS} each",
                shape.words, shape.common
            ),
            Self::NotOurs { reason, found } => write!(
                f,
                "the descriptor does not lead to the per-CPU memory expected: {reason} ({found:#x})"
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::System { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// Words for every CPU of the machine, all zero when made.
#[derive(Debug)]
pub struct Memory {
    map: Map,
    layout: Layout,
    rseq: Rseq,
}

/// Offsets in words.
#[derive(Clone, Copy, Debug)]
struct Layout {
    cpus: u32,
    words: usize,
    common: usize,
    /// Words from a CPU's local to its remote side.
    side: usize,
    /// The stride is `1 << stride_shift`.
    stride_shift: u32,
    /// Words before CPU 0.
    header: usize,
}

impl Layout {
    fn new(cpus: u32, shape: Shape, page_bytes: usize) -> Option<Self> {
        if shape.words > MAX_WORDS || shape.common > MAX_WORDS || cpus as usize > MAX_CPUS {
            return None;
        }
        let side = shape.words.next_multiple_of(LINE_BYTES / WORD_BYTES);
        let header = page_bytes / WORD_BYTES;
        let stride = (2 * side).max(header).next_power_of_two();
        Some(Self {
            cpus,
            words: shape.words,
            common: shape.common,
            side,
            stride_shift: stride.trailing_zeros(),
            header,
        })
    }

    fn common_start(&self) -> usize {
        self.header + ((self.cpus as usize) << self.stride_shift)
    }

    fn total(&self) -> usize {
        (self.common_start() + self.common).next_multiple_of(self.header)
    }
}

/// The words of the header.
#[repr(usize)]
enum Header {
    Magic,
    Kind,
    Cpus,
    Words,
    Common,
    PageBytes,
    Count,
}

impl Memory {
    /// Makes memory of this shape for all possible CPUs.
    ///
    /// # Errors
    /// [`Error::TooLarge`], or what the kernel says.
    pub fn new(shape: Shape, backing: Backing) -> Result<Self, Error> {
        let rseq = Rseq::get();
        let cpus = possible_cpus();
        let page_bytes = crate::map::page_bytes();
        let layout = Layout::new(cpus, shape, page_bytes).ok_or(Error::TooLarge { shape })?;
        let map = match backing {
            Backing::Private => Map::private(layout.total()),
            Backing::Shared => Map::shared(layout.total()),
        }?;
        let header = map.words(0, Header::Count as usize);
        for (word, value) in header.iter().zip([
            MAGIC,
            shape.kind,
            u64::from(cpus),
            shape.words as u64,
            shape.common as u64,
            page_bytes as u64,
        ]) {
            word.store(value, Relaxed); // nobody else has the descriptor yet
        }
        Ok(Self { map, layout, rseq })
    }

    /// Maps memory that another process made with [`Backing::Shared`].
    ///
    /// Everything the descriptor leads to is a claim and checked; what a hostile peer writes later
    /// can spoil the structure's contents and nothing else.
    ///
    /// # Errors
    /// [`Error::NotOurs`] if it is no such memory or of another kind, [`Error::System`] if it
    /// cannot be mapped.
    pub fn attach(fd: OwnedFd, kind: u64) -> Result<Self, Error> {
        let map = Map::attach(fd, Header::Count as usize)?;
        let claim = |word: Header| map.words(word as usize, 1)[0].load(Relaxed);
        let check = |reason, found, right| {
            if right {
                Ok(())
            } else {
                Err(Error::NotOurs { reason, found })
            }
        };
        let magic = claim(Header::Magic);
        check("it has another magic number", magic, magic == MAGIC)?;
        let found = claim(Header::Kind);
        check("it is of another kind", found, found == kind)?;
        let size = |word, reason| {
            let found = claim(word);
            usize::try_from(found).map_err(|_| Error::NotOurs { reason, found })
        };
        let cpus = size(Header::Cpus, "its number of CPUs is absurd")?;
        check(
            "its number of CPUs is absurd",
            cpus as u64,
            (1..=MAX_CPUS).contains(&cpus),
        )?;
        let page_bytes = size(Header::PageBytes, "its page size is absurd")?;
        let sane = page_bytes.is_power_of_two() && (4096..=1 << 24).contains(&page_bytes);
        check("its page size is absurd", page_bytes as u64, sane)?;
        let shape = Shape {
            kind,
            words: size(Header::Words, "its words are absurd")?,
            common: size(Header::Common, "its words are absurd")?,
        };
        let layout =
            Layout::new(cpus as u32, shape, page_bytes).ok_or(Error::TooLarge { shape })?;
        let length = map.len();
        check(
            "it is shorter than its header says",
            length as u64,
            layout.total() <= length,
        )?;
        Ok(Self {
            map,
            layout,
            rseq: Rseq::get(),
        })
    }

    /// Refuses memory whose sizes are not what its structure needs.
    pub(crate) fn require(self, right: impl FnOnce(usize, usize) -> bool) -> Result<Self, Error> {
        if right(self.layout.words, self.layout.common) {
            return Ok(self);
        }
        let (reason, found) = (
            "its sizes do not fit its kind; words",
            self.layout.words as u64,
        );
        Err(Error::NotOurs { reason, found })
    }

    /// The descriptor to hand to other processes; `None` for private memory.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.map.fd().map(AsFd::as_fd)
    }

    /// The CPUs there are words for.
    pub fn cpus(&self) -> u32 {
        self.layout.cpus
    }

    /// The shape's `words` and `common`, as they are in the memory.
    pub fn sizes(&self) -> (usize, usize) {
        (self.layout.words, self.layout.common)
    }

    /// What sequences run with.
    #[inline(always)]
    pub fn rseq(&self) -> Rseq {
        self.rseq
    }

    /// [`Rseq::try_local`] with the local words of the current CPU.
    ///
    /// ```
    /// use laneway_rseq::{Backing, Memory, Shape};
    /// use std::sync::atomic::Ordering::Relaxed;
    ///
    /// let memory = Memory::new(Shape { kind: 1, words: 1, common: 0 }, Backing::Private)?;
    /// let done = memory.try_local(|cpu, words| memory.rseq().add(cpu, &words[0], 5));
    /// if done.is_none() {
    ///     memory.remote()[0].fetch_add(5, Relaxed);
    /// }
    /// let sum: u64 = memory.slots().map(|s| s.local[0].load(Relaxed) + s.remote[0].load(Relaxed)).sum();
    /// assert_eq!(sum, 5);
    /// # Ok::<(), laneway_rseq::Error>(())
    /// ```
    #[inline(always)]
    pub fn try_local<R>(
        &self,
        mut local: impl FnMut(CpuId, &[AtomicU64]) -> Result<R, Interrupted>,
    ) -> Option<R> {
        self.rseq.try_local(self.layout.cpus, |cpu| {
            local(
                cpu,
                self.map.words(self.local_start(cpu), self.layout.words),
            )
        })
    }

    /// The remote words of the current CPU, whether or not this thread has rseq.
    pub fn remote(&self) -> &[AtomicU64] {
        self.remote_of(CpuId(current_cpu().0 % self.layout.cpus))
    }

    /// The local words of a CPU: to read, or to write when no sequence can be under way.
    ///
    /// # Panics
    /// If there is no such CPU.
    pub fn local_of(&self, cpu: CpuId) -> &[AtomicU64] {
        assert!(cpu.0 < self.layout.cpus, "{cpu:?} of {}", self.layout.cpus);
        self.map.words(self.local_start(cpu), self.layout.words)
    }

    /// The remote words of a CPU.
    ///
    /// # Panics
    /// If there is no such CPU.
    pub fn remote_of(&self, cpu: CpuId) -> &[AtomicU64] {
        assert!(cpu.0 < self.layout.cpus, "{cpu:?} of {}", self.layout.cpus);
        let start = self.local_start(cpu) + self.layout.side;
        self.map.words(start, self.layout.words)
    }

    /// The words that belong to no CPU.
    #[inline]
    pub fn common(&self) -> &[AtomicU64] {
        self.map
            .words(self.layout.common_start(), self.layout.common)
    }

    /// The words of every CPU, in order.
    pub fn slots(&self) -> impl Iterator<Item = CpuWords<'_>> {
        (0..self.layout.cpus).map(CpuId).map(|cpu| CpuWords {
            cpu,
            local: self.local_of(cpu),
            remote: self.remote_of(cpu),
        })
    }

    #[inline(always)]
    fn local_start(&self, cpu: CpuId) -> usize {
        self.layout.header + (cpu.index() << self.layout.stride_shift)
    }
}

/// The words of one CPU.
#[derive(Clone, Copy, Debug)]
pub struct CpuWords<'a> {
    /// Whose.
    pub cpu: CpuId,
    /// Written by sequences on that CPU.
    pub local: &'a [AtomicU64],
    /// Written with atomics.
    pub remote: &'a [AtomicU64],
}
