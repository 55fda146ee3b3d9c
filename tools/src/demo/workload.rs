//! The traced program of the demo: counts the lines of all files in a tree, by many threads.
//!
//! It is an ordinary program that happens to live in this binary: nothing but the `trace!`s in it has to do with
//! tracing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use laneway::trace;

use crate::units::{bytes, count, seconds};

/// Walk over a tree and count lines (the traced program of `laneway demo`)
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The tree
    path: PathBuf,

    /// How long to walk at most, in seconds
    #[arg(long, default_value_t = 20)]
    walk_seconds: u64,

    /// How many events each thread emits at full speed in the end
    #[arg(long, default_value_t = 250_000)]
    burst: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<u8> {
    laneway::allow_blocking(Duration::from_secs(10));
    let cpus = thread::available_parallelism().map_or(2, usize::from);
    let threads = 2 * cpus + 1;
    let walk = Walk::new(&args.path, Duration::from_secs(args.walk_seconds));
    let began = Instant::now();
    let total = thread::scope(|scope| {
        let walk = &walk;
        let threads: Vec<_> = (0..threads)
            .map(|number| scope.spawn(move || walk.work(number)))
            .collect();
        threads.into_iter().fold(Total::default(), |sum, thread| {
            sum.plus(thread.join().expect("a walker does not panic"))
        })
    });
    println!(
        "{threads} threads counted {} lines in {} files ({}) of {}{} in {}",
        count(total.lines),
        count(total.files),
        bytes(total.bytes),
        args.path.display(),
        if walk.was_cut_short() {
            ", not all of it,"
        } else {
            ""
        },
        seconds(began.elapsed().as_secs_f64()),
    );

    let began = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads as u64 {
            scope.spawn(move || {
                for n in 0..args.burst {
                    trace!("demo:burst", thread, n);
                }
            });
        }
    });
    println!(
        "and emitted {} events at full speed in {}",
        count(threads as u64 * args.burst),
        seconds(began.elapsed().as_secs_f64())
    );
    Ok(0)
}

/// What a thread has counted.
#[derive(Clone, Copy, Debug, Default)]
struct Total {
    files: u64,
    bytes: u64,
    lines: u64,
}

impl Total {
    fn plus(self, other: Total) -> Total {
        Total {
            files: self.files + other.files,
            bytes: self.bytes + other.bytes,
            lines: self.lines + other.lines,
        }
    }
}

/// Directories that wait for a thread.
#[derive(Debug)]
struct Walk {
    queue: Mutex<Queue>,
    changed: Condvar,
    until: Instant,
}

#[derive(Debug)]
struct Queue {
    waiting: Vec<PathBuf>,
    /// Threads that may still add to it.
    busy: usize,
    cut_short: bool,
}

impl Walk {
    fn new(root: &Path, limit: Duration) -> Walk {
        Walk {
            queue: Mutex::new(Queue {
                waiting: vec![root.to_owned()],
                busy: 0,
                cut_short: false,
            }),
            changed: Condvar::new(),
            until: Instant::now() + limit,
        }
    }

    fn was_cut_short(&self) -> bool {
        self.lock().cut_short
    }

    /// One thread's part.
    fn work(&self, thread: usize) -> Total {
        let mut total = Total::default();
        while let Some(directory) = self.next() {
            let subdirectories = visit(&directory, &mut total);
            let mut queue = self.lock();
            queue.waiting.extend(subdirectories);
            queue.busy -= 1;
            self.changed.notify_all();
        }
        let Total {
            files,
            bytes,
            lines,
        } = total;
        trace!("demo:thread_done", thread, files, bytes, lines);
        total
    }

    /// A directory to visit, or `None` when there is none left and nobody who might find one.
    fn next(&self) -> Option<PathBuf> {
        let mut queue = self.lock();
        loop {
            if Instant::now() >= self.until && !queue.waiting.is_empty() {
                queue.cut_short = true;
                queue.waiting.clear();
            }
            if let Some(directory) = queue.waiting.pop() {
                queue.busy += 1;
                return Some(directory);
            }
            if queue.busy == 0 {
                self.changed.notify_all();
                return None;
            }
            queue = self
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the lines of all files in a directory; returns the directories in it.
fn visit(directory: &Path, total: &mut Total) -> Vec<PathBuf> {
    let began = Instant::now();
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => {
            trace!(level: Warn, "demo:unreadable", path = directory, %error);
            return Vec::new();
        }
    };
    let mut directories = Vec::new();
    let mut files = 0_u64;
    for entry in entries.flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => directories.push(entry.path()),
            Ok(kind) if kind.is_file() => {
                files += 1;
                count_lines(&entry.path(), total);
            }
            _ => {} // links lead out of the tree, and devices do not end
        }
    }
    let took = began.elapsed();
    trace!(
        "demo:directory",
        path = directory,
        files,
        directories = directories.len(),
        took
    );
    directories
}

fn count_lines(path: &Path, total: &mut Total) {
    let began = Instant::now();
    match lines_of(path) {
        Ok((bytes, lines)) => {
            let took = began.elapsed();
            trace!("demo:file", path, bytes, lines, took);
            total.files += 1;
            total.bytes += bytes;
            total.lines += lines;
        }
        Err(error) => trace!(level: Warn, "demo:unreadable", path, %error),
    }
}

fn lines_of(path: &Path) -> io::Result<(u64, u64)> {
    let mut file = File::open(path)?;
    let mut buffer = [0; 64 * 1024];
    let (mut bytes, mut lines) = (0, 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((bytes, lines)),
            n => {
                bytes += n as u64;
                lines += memchr::memchr_iter(b'\n', &buffer[..n]).count() as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_tree_is_counted_once() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        fs::create_dir_all(&deep).unwrap();
        for (i, place) in [dir.path(), &deep, deep.parent().unwrap()]
            .iter()
            .enumerate()
        {
            fs::write(place.join("file"), "line\n".repeat(i + 1)).unwrap();
        }
        std::os::unix::fs::symlink(dir.path(), deep.join("loop")).unwrap();
        let walk = Walk::new(dir.path(), Duration::from_secs(60));
        let total = thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(|| walk.work(0)));
            threads
                .map(|t| t.join().unwrap())
                .into_iter()
                .fold(Total::default(), Total::plus)
        });
        assert_eq!((total.files, total.lines, total.bytes), (3, 6, 30));
        assert!(!walk.was_cut_short());
    }

    #[test]
    fn a_walk_ends_when_its_time_is_over() {
        let walk = Walk::new(Path::new("/usr"), Duration::ZERO);
        assert_eq!(walk.work(0).files, 0);
        assert!(walk.was_cut_short());
    }
}
