//! The options that describe a channel, the same for every command that records.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::ValueEnum;
use laneway_consumer::{Options, TraceFormat};
use laneway_control::{Buffers, ChannelConfig, ClockChoice, Lanes, Mode};
use laneway_ringbuf::Geometry;
use laneway_ringbuf::clock::ClockKind;

use crate::units::{parse_duration, parse_size};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Recording")]
pub(crate) struct ChannelArgs {
    /// What happens to an event when its lane is full
    #[arg(long, value_enum, default_value_t = ModeArg::Discard)]
    mode: ModeArg,

    /// With `--mode block`: the longest time a thread waits before its event is lost after all
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    block_timeout: Duration,

    /// Bytes of a sub-buffer, a power of two: an event must fit in
    #[arg(long, value_name = "SIZE", default_value = "256K", value_parser = parse_size)]
    sub_buffer_size: u64,

    /// Sub-buffers for each CPU, a power of two: the more, the longer the disk may be slow
    #[arg(long, value_name = "N", default_value_t = 8)]
    sub_buffers: u32,

    /// Whose events a buffer holds
    #[arg(long, value_enum, default_value_t = BuffersArg::Process)]
    buffers: BuffersArg,

    /// What a lane of a buffer belongs to
    #[arg(long, value_enum, default_value_t = LanesArg::Cpu)]
    lanes: LanesArg,

    /// Touch all memory of a buffer before the first event, so that no event has to wait for it
    #[arg(long)]
    populate: bool,

    /// Keep buffers in files in DIR, on a tmpfs such as /dev/shm: should a program and this command both be killed,
    /// `laneway recover` finds there what was in memory
    #[arg(long, value_name = "DIR")]
    buffer_directory: Option<PathBuf>,

    /// Leave the thread's id out of the events
    #[arg(long)]
    no_thread_id: bool,

    /// Which clock stamps the events
    #[arg(long, value_enum, default_value_t = ClockArg::Auto)]
    clock: ClockArg,

    /// The longest time an event waits before it is written
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = parse_duration)]
    flush_period: Duration,

    /// What traces are written in
    #[arg(long, value_enum, default_value_t = FormatArg::Ctf1_8)]
    trace_format: FormatArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum FormatArg {
    /// Common Trace Format 1.8: all its readers know it
    #[value(name = "ctf-1.8")]
    Ctf1_8,
    /// Common Trace Format 2: babeltrace2 knows it from version 2.1 on
    #[value(name = "ctf-2")]
    Ctf2,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ModeArg {
    /// It is lost, and counted
    Discard,
    /// The oldest events in memory make room for it; SIGUSR1 to this command writes those that are there into a snapshot,
    /// and so does the end of a program, or where programs share a buffer the end of this command
    Overwrite,
    /// Its thread waits; only in a program that allows it, by `laneway::allow_blocking` or started with
    /// LANEWAY_ALLOW_BLOCK=1
    Block,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BuffersArg {
    /// Each process has one of its own, and a trace of its own
    Process,
    /// All processes write into one, and one trace; each event names its process
    Shared,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LanesArg {
    /// A CPU of the machine
    Cpu,
    /// One of the threads that run at once (Linux 6.3): on a large machine a process with few threads takes less memory
    Concurrency,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ClockArg {
    /// The TSC where it is sound, else CLOCK_MONOTONIC
    Auto,
    /// The time stamp counter of the CPU
    Tsc,
    /// CLOCK_MONOTONIC
    Monotonic,
}

impl From<FormatArg> for TraceFormat {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Ctf1_8 => TraceFormat::Ctf1_8,
            FormatArg::Ctf2 => TraceFormat::Ctf2,
        }
    }
}

impl ChannelArgs {
    /// Whether events stay in memory until a snapshot is asked for.
    pub(crate) fn overwrites(&self) -> bool {
        matches!(self.mode, ModeArg::Overwrite)
    }

    /// What applications are told.
    pub(crate) fn config(&self) -> anyhow::Result<ChannelConfig> {
        let sub_buffers = u64::from(self.sub_buffers);
        Geometry::new(1, self.sub_buffer_size, sub_buffers).context("wrong sub-buffers")?;
        let clock = match self.clock {
            ClockArg::Auto => ClockChoice::Auto,
            ClockArg::Monotonic => ClockChoice::Monotonic,
            ClockArg::Tsc => {
                anyhow::ensure!(
                    ClockKind::best() == ClockKind::Tsc,
                    "the time stamp counter of this machine is not invariant, or not the kernel's clock; \
                     use --clock monotonic"
                );
                ClockChoice::Tsc
            }
        };
        if self.lanes == LanesArg::Concurrency {
            require_concurrency_ids()?;
        }
        let directory = self.buffer_directory.as_deref();
        let config = ChannelConfig {
            buffers: match self.buffers {
                BuffersArg::Process => Buffers::PerProcess,
                BuffersArg::Shared => Buffers::Shared,
            },
            lanes: match self.lanes {
                LanesArg::Cpu => Lanes::Cpu,
                LanesArg::Concurrency => Lanes::Concurrency,
            },
            populate: self.populate,
            directory: directory.map(buffer_directory).transpose()?,
            mode: match self.mode {
                ModeArg::Discard => Mode::Discard,
                ModeArg::Overwrite => Mode::Overwrite,
                ModeArg::Block => Mode::block(self.block_timeout),
            },
            sub_buffer_bytes: self.sub_buffer_size,
            sub_buffers: self.sub_buffers,
            thread_ids: !self.no_thread_id,
            clock,
            ..ChannelConfig::default()
        };
        config.check()?;
        Ok(config)
    }

    /// What the consumer is told.
    pub(crate) fn options(&self) -> anyhow::Result<Options> {
        anyhow::ensure!(
            self.flush_period >= Duration::from_millis(1),
            "a flush period below 1 ms would do nothing but flush; choose a longer one"
        );
        Ok(Options {
            flush_period: self.flush_period,
            trace_format: self.trace_format.into(),
            // With $LANEWAY_SOCKET this command finds its own, too.
            record_self: false,
            ..Options::default()
        })
    }
}

/// The kernel numbers the threads of a process that run at once; or the reason why not.
fn require_concurrency_ids() -> anyhow::Result<()> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    anyhow::ensure!(
        laneway_rseq::Rseq::get().mm_cid().is_some(),
        "the kernel ({}) gives threads no concurrency ids here, which came with Linux 6.3 and need rseq; use --lanes cpu",
        release.trim()
    );
    Ok(())
}

/// An absolute path, of a directory whose files are memory.
fn buffer_directory(directory: &Path) -> anyhow::Result<String> {
    let shown = directory.display();
    let path = directory
        .canonicalize()
        .with_context(|| format!("cannot keep buffers in {shown}"))?;
    let found =
        rustix::fs::statfs(&path).with_context(|| format!("cannot keep buffers in {shown}"))?;
    anyhow::ensure!(
        path.is_dir() && found.f_type == 0x0102_1994, /* TMPFS_MAGIC */
        "{shown} is not a directory on a tmpfs; choose one that is, such as /dev/shm"
    );
    path.into_os_string()
        .into_string()
        .map_err(|_| anyhow::anyhow!("the name of {shown} is no UTF-8; choose another directory"))
}
