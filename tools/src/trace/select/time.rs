//! Times as people write them.
//!
//! ```text
//!  08:40:03.5   "2026-11-20 08:40"   2026-11-20T08:40:03Z   1795164003.5   +2s   -1.5ms
//! ```
//! A time of the day is that of the day on which the trace begins; `+` counts from the trace's begin, `-` from its end.

use anyhow::Context;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

const NS: i64 = 1_000_000_000;

/// Whether a time can only be understood by whoever knows when the trace begins and ends.
pub(super) fn needs_span(text: &str) -> bool {
    text.parse::<f64>().is_err() || text.starts_with(['+', '-'])
}

/// A time as people write it, in nanoseconds since 1970.
pub(super) fn parse_time(
    text: &str,
    span: Option<(i64, i64)>,
    zone: &TimeZone,
) -> anyhow::Result<i64> {
    let wrong = || {
        format!(
            "{text:?} is no time: write 08:40:03.5, \"2026-11-20 08:40\", 1795164003.5, +2s (from the begin) or -2s \
             (from the end)"
        )
    };
    let relative = |from: Option<i64>, text: &str, sign: i64| {
        let from = from.context("the trace does not say when it begins and ends")?;
        Ok(from + sign * duration(text).with_context(wrong)?)
    };
    if let Some(rest) = text.strip_prefix('+') {
        return relative(span.map(|(begin, _)| begin), rest, 1);
    }
    if let Some(rest) = text.strip_prefix('-') {
        return relative(span.map(|(_, end)| end), rest, -1);
    }
    if let Some(ns) = seconds(text) {
        return Ok(ns);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return i64::try_from(timestamp.as_nanosecond()).with_context(wrong);
    }
    let at = |local: DateTime| -> anyhow::Result<i64> {
        let zoned = local.to_zoned(zone.clone()).with_context(wrong)?;
        i64::try_from(zoned.timestamp().as_nanosecond()).with_context(wrong)
    };
    if let Ok(local) = text.parse::<DateTime>() {
        return at(local);
    }
    if let Ok(date) = text.parse::<Date>() {
        return at(date.to_datetime(Time::midnight()));
    }
    // A time of the day: that of the day on which the trace begins, or of the next if that is over by then.
    let time: Time = text.parse().ok().with_context(wrong)?;
    let (begin, end) =
        span.context("the trace does not say when it begins: write the date, too")?;
    let first = Timestamp::from_nanosecond(i128::from(begin))?.to_zoned(zone.clone());
    let same_day = at(first.date().to_datetime(time))?;
    let next_day = at(first.date().checked_add(1.day())?.to_datetime(time))?;
    Ok(if same_day < begin && next_day <= end {
        next_day
    } else {
        same_day
    })
}

/// Seconds with a fraction, exactly.
fn seconds(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if whole.is_empty()
        || fraction.len() > 9
        || !text.bytes().all(|c| c.is_ascii_digit() || c == b'.')
    {
        return None;
    }
    let fraction: i64 = format!("{fraction:0<9}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(NS)?
        .checked_add(fraction)
}

/// `2s`, `1.5ms`, `10us`, `3m`, `1h`; a number alone is seconds.
fn duration(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => NS,
        "ms" => NS / 1_000,
        "us" => NS / 1_000_000,
        "ns" => 1,
        "m" | "min" => 60 * NS,
        "h" => 3600 * NS,
        _ => return None,
    };
    let ns = i128::from(seconds(digits)?) * i128::from(unit) / i128::from(NS);
    i64::try_from(ns).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let span = Some((1_795_164_003_000_000_000, 1_795_164_100_000_000_000));
        let ns = |text: &str| parse_time(text, span, &TimeZone::UTC).unwrap();
        assert_eq!(ns("1795164003.5"), 1_795_164_003_500_000_000);
        assert_eq!(ns("2026-11-20 08:40:03.25"), 1_795_164_003_250_000_000);
        assert_eq!(ns("2026-11-20T08:40:03Z"), 1_795_164_003_000_000_000);
        assert_eq!(ns("08:40:04"), 1_795_164_004_000_000_000);
        assert_eq!(ns("+1.5ms"), 1_795_164_003_001_500_000);
        assert_eq!(ns("-10"), 1_795_164_090_000_000_000);
        for wrong in ["", "soon", "+5 parsecs", "25:00"] {
            let error = format!("{:#}", parse_time(wrong, span, &TimeZone::UTC).unwrap_err());
            assert!(error.contains("is no time"), "{error}");
        }
    }
}
