//! The simulator's time: the real clock plus an offset that the control API moves.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// The farthest the clock goes forward: some six thousand years, still within the calendar.
const FAR_MS: i64 = 200_000_000_000_000;

/// A clock that tells real time plus an offset.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_ms: i64,
}

impl Clock {
    pub(crate) fn with_offset_ms(offset_ms: i64) -> Self {
        Self { offset_ms }
    }

    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// Milliseconds since 1970 as the simulated vendor sees them.
    #[expect(clippy::disallowed_methods, reason = "the one place where the simulator reads real time")]
    pub(crate) fn now_ms(&self) -> i64 {
        Timestamp::now().as_millisecond() + self.offset_ms
    }

    pub(crate) fn advance(&mut self, by_ms: i64) {
        self.offset_ms = self.offset_ms.saturating_add(by_ms).min(FAR_MS);
    }
}

/// `2024-01-05T10:11:12.345Z`, the vendor's one output format for times.
pub(crate) fn iso(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map(|at| format!("{at:.3}")).unwrap_or_default()
}

/// Reads what the vendor accepts as a time: epoch milliseconds, ISO 8601, or a bare date.
pub(crate) fn parse_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(ms) = text.parse::<i64>() {
        return Timestamp::from_millisecond(ms).ok().map(|_| ms);
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond());
    }
    let date = parse_date(text)?;
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_millisecond())
}

/// Reads what the vendor accepts as a date: `YYYY-MM-DD`, or midnight UTC in epoch milliseconds.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    const DAY_MS: i64 = 86_400_000;
    if let Ok(ms) = text.parse::<i64>() {
        let midnight = ms % DAY_MS == 0;
        let at = Timestamp::from_millisecond(ms).ok().filter(|_| midnight)?;
        return Some(at.to_zoned(TimeZone::UTC).date());
    }
    if text.len() != 10 {
        return None;
    }
    text.parse::<Date>().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_reads_back_from_the_form_it_is_written_in(ms in -62_000_000_000_000_i64..253_000_000_000_000) {
            prop_assert_eq!(parse_ms(&iso(ms)), Some(ms));
            prop_assert_eq!(parse_ms(&ms.to_string()), Some(ms));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in ".{0,40}") {
            let _read = (parse_ms(&text), parse_date(&text));
        }
    }
}
