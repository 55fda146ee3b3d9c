//! What babeltrace's text shows: the options that `babeltrace2` has for names, fields and clock.

use super::time::{ClockFormat, Zone};

/// What to print, and how. The default is what `babeltrace2 --clock-gmt` prints.
#[derive(Clone, Debug)]
pub struct BabeltraceOptions {
    /// How times are shown.
    pub clock: ClockFormat,
    /// Where times of the day are those of.
    pub zone: Zone,
    /// The time since the event before.
    pub delta: bool,
    /// Names before values.
    pub names: Names,
    /// What of the trace and the event class is shown.
    pub fields: Fields,
    /// Colours, as on a terminal.
    pub color: bool,
}

/// Where names stand before values.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// In payloads.
    pub payload: bool,
    /// In contexts.
    pub context: bool,
    /// In front of timestamp, host and event name.
    pub header: bool,
    /// In front of the scopes.
    pub scope: bool,
}

/// What of the trace and the event class is shown.
#[derive(Clone, Copy, Debug)]
pub struct Fields {
    /// The name of the trace.
    pub trace: bool,
    /// The host it was made on.
    pub hostname: bool,
    /// The domain of the tracer.
    pub domain: bool,
    /// The name of the process, if the whole trace is of one.
    pub procname: bool,
    /// The id of the process, if the whole trace is of one.
    pub vpid: bool,
    /// The log level.
    pub loglevel: bool,
    /// The link to the event's model.
    pub emf: bool,
}

impl Default for BabeltraceOptions {
    fn default() -> Self {
        BabeltraceOptions {
            clock: ClockFormat::Time,
            zone: Zone::Utc,
            delta: true,
            names: Names {
                payload: true,
                context: true,
                header: false,
                scope: false,
            },
            fields: Fields {
                trace: false,
                hostname: true,
                domain: false,
                procname: true,
                vpid: true,
                loglevel: false,
                emf: false,
            },
            color: false,
        }
    }
}
