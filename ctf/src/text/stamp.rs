//! Times and deltas at the begin of a line, in every form that babeltrace has.
//!
//! ```text
//!  [08:40:03.025798749] (+0.000000450)      timestamp = 00000000000000004711, delta = +000000000450,
//! ```

use super::form::{BOLD, RESET, TIME, name_equal};
use super::line::Line;
use super::number::{padded, unsigned};
use super::options::BabeltraceOptions;
use super::time::{ClockFormat, TimeWriter};
use crate::read::Event;

/// The time of the event before, and how times are written.
pub(super) struct Stamps {
    pub(super) time: TimeWriter,
    pub(super) last_ns: Option<i64>,
    last_cycles: Option<u64>,
    delta_ns: Option<u64>,
    delta_cycles: Option<u64>,
    /// Where the begin of a line is made.
    begin: Vec<u8>,
}

impl Stamps {
    pub(super) fn new(options: &BabeltraceOptions) -> Self {
        Stamps {
            time: TimeWriter::new(options.clock, options.zone),
            last_ns: None,
            last_cycles: None,
            delta_ns: None,
            delta_cycles: None,
            begin: Vec::new(),
        }
    }

    /// Begins a line, in whatever form.
    #[cold]
    pub(super) fn begin_line(
        &mut self,
        line: &mut Line,
        options: &BabeltraceOptions,
        event: &Event<'_>,
        ns: Option<i64>,
    ) {
        let mut begin = std::mem::take(&mut self.begin);
        begin.clear();
        self.timestamp(&mut begin, options, event, ns);
        line.text(&begin);
        self.begin = begin;
    }

    fn timestamp(
        &mut self,
        out: &mut Vec<u8>,
        options: &BabeltraceOptions,
        event: &Event<'_>,
        ns: Option<i64>,
    ) {
        let Some(cycles) = event.cycles() else {
            return;
        };
        let named = options.names.header;
        match named {
            true => name_equal(out, "timestamp", options.color, BOLD),
            false => out.push(b'['),
        }
        if options.color {
            out.extend_from_slice(TIME.as_bytes());
        }
        let of_cycles = options.clock == ClockFormat::Cycles;
        if of_cycles {
            padded::<20>(out, cycles);
            self.delta_cycles = self.last_cycles.map(|last| cycles.wrapping_sub(last));
            self.last_cycles = Some(cycles);
        } else {
            match ns {
                Some(ns) => {
                    self.time.write(out, ns);
                    self.delta_ns = self.last_ns.map(|last| ns.wrapping_sub(last) as u64);
                    self.last_ns = Some(ns);
                }
                None => out.extend_from_slice(b"Error"),
            }
        }
        if options.color {
            out.extend_from_slice(RESET.as_bytes());
        }
        if !named {
            out.extend_from_slice(b"] ");
        }
        if !options.delta {
            return;
        }
        match named {
            true => {
                out.extend_from_slice(b", ");
                name_equal(out, "delta", options.color, BOLD);
            }
            false => out.push(b'('),
        }
        match (of_cycles, self.delta_cycles, self.delta_ns) {
            (true, None, _) => out.extend_from_slice(b"+????????????"),
            (true, Some(delta), _) => {
                out.push(b'+');
                padded::<12>(out, delta);
            }
            (false, _, None) => out.extend_from_slice(b"+?.?????????"),
            (false, _, Some(delta)) => {
                out.push(b'+');
                unsigned(out, delta / 1_000_000_000);
                out.push(b'.');
                padded::<9>(out, delta % 1_000_000_000);
            }
        }
        if !named {
            out.extend_from_slice(b") ");
        }
    }
}
