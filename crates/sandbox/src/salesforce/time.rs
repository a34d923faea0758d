//! Times as the vendor writes and reads them. Everything is kept in whole seconds.

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};

/// `2011-07-07T00:37:00.000+0000`: no colon in the offset, always UTC, no milliseconds.
pub(crate) fn datetime(seconds: i64) -> String {
    let Ok(at) = Timestamp::from_second(seconds) else { return String::new() };
    // By hand: every row of every page has several of them.
    let at = Offset::UTC.to_datetime(at);
    let (year, month, day) = (at.year(), at.month(), at.day());
    let (hour, minute, second) = (at.hour(), at.minute(), at.second());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000+0000")
}

/// Reads ISO 8601 with `Z`, `+0000` or `+00:00`; a time without an offset is UTC. Fractions of seconds are dropped.
pub(crate) fn parse_datetime(text: &str) -> Option<i64> {
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some(at.as_millisecond().div_euclid(1_000));
    }
    // An offset without a colon: `+0000`.
    if let Some(split) = text.len().checked_sub(4).filter(|_| text.is_ascii() && text.contains('T')) {
        let with_colon = format!("{}{}:{}", &text[..split], &text[split..split + 2], &text[split + 2..]);
        if let Ok(at) = with_colon.parse::<Timestamp>() {
            return Some(at.as_millisecond().div_euclid(1_000));
        }
    }
    let local: jiff::civil::DateTime = text.contains('T').then(|| text.parse().ok())??;
    local.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_second())
}

/// Reads `YYYY-MM-DD`; of a whole time, its date.
pub(crate) fn parse_date(text: &str) -> Option<Date> {
    if text.len() == 10 {
        return text.parse().ok();
    }
    parse_datetime(text).map(date_of)
}

pub(crate) fn parse_time(text: &str) -> Option<String> {
    let bare = text.strip_suffix('Z').unwrap_or(text);
    bare.parse::<Time>().ok().map(|time| format!("{}Z", time.strftime("%H:%M:%S%.3f")))
}

/// The UTC date of a moment.
pub(crate) fn date_of(seconds: i64) -> Date {
    let at = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned(TimeZone::UTC).date()
}

/// Midnight UTC of a date.
pub(crate) fn midnight(date: Date) -> i64 {
    date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp().as_second()).unwrap_or_default()
}

/// Reads the date of an HTTP header (`Wed, 21 Oct 2015 07:28:00 GMT`).
pub(crate) fn parse_http(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp().as_second())
}

/// Writes the date of an HTTP header.
pub(crate) fn http(seconds: i64) -> String {
    Timestamp::from_second(seconds)
        .map(|at| at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_of_an_offset_is_read() {
        for text in [
            "2011-07-07T00:37:00.000+0000",
            "2011-07-07T00:37:00Z",
            "2011-07-07T02:37:00.9+02:00",
            "2011-07-06T19:37:00-0500",
            "2011-07-07T00:37:00",
        ] {
            assert_eq!(
                parse_datetime(text).map(datetime).as_deref(),
                Some("2011-07-07T00:37:00.000+0000"),
                "{text}"
            );
        }
        assert_eq!(parse_http("Thu, 07 Jul 2011 00:37:00 GMT"), parse_datetime("2011-07-07T00:37:00Z"));
        assert_eq!(parse_date("2011-07-07").map(midnight), parse_datetime("2011-07-07T00:00:00Z"));
        assert_eq!(parse_datetime("2011-07-07"), None);
    }

    proptest! {
        #[test]
        fn a_time_reads_back_from_the_form_it_is_written_in(at in -62_000_000_000_i64..253_000_000_000) {
            prop_assert_eq!(parse_datetime(&datetime(at)), Some(at));
            prop_assert_eq!(parse_http(&http(at)), Some(at));
        }

        #[test]
        fn no_text_makes_the_readers_panic(text in ".{0,40}") {
            let _read = (parse_datetime(&text), parse_date(&text), parse_time(&text), parse_http(&text));
        }
    }
}
