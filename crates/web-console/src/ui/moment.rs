use jiff::{SignedDuration, Timestamp};

use super::Markup;

/// A moment of the wire.
pub(crate) fn to_time(at: Option<&prost_types::Timestamp>) -> Option<Timestamp> {
    at.and_then(proto::from_wire_time)
}

/// A moment as people say it ("4 minutes ago"), with the exact one for the pointer and for programs. The script
/// counts on from it.
pub(crate) fn time(at: &Option<prost_types::Timestamp>, now: &Timestamp) -> Markup {
    let Some(at) = to_time(at.as_ref()) else {
        return Markup(r#"<span class="muted">never</span>"#.to_owned());
    };
    let exact = at.strftime("%e %b %Y, %H:%M:%S UTC");
    Markup(format!(
        r#"<time datetime="{}" title="{}">{}</time>"#,
        at.round(jiff::Unit::Second).unwrap_or(at),
        exact.to_string().trim_start(),
        ago(at, *now)
    ))
}

/// "4 minutes ago", "in 2 hours", and from a month on the day.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let passed = now.duration_since(at);
    let is_past = passed >= SignedDuration::ZERO;
    let seconds = passed.as_secs().unsigned_abs();
    let span = match seconds {
        // A finer answer would make every fragment new each second; the script counts the seconds.
        0..60 => return "just now".to_owned(),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        86_400..2_592_000 if seconds < 172_800 => "1 day".to_owned(),
        86_400..2_592_000 => format!("{} days", seconds / 86_400),
        _ => return at.strftime("%e %b %Y").to_string().trim_start().to_owned(),
    };
    if is_past { format!("{span} ago") } else { format!("in {span}") }
}

/// A span of time as people say it: `840 ms`, `3.2 s`, `4 min`.
pub(crate) fn duration_ms(ms: &u64) -> String {
    match ms {
        0..1000 => format!("{ms} ms"),
        1000..60_000 => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1000),
        _ => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
    }
}

/// The same from seconds with a fraction.
pub(crate) fn seconds(seconds: &f64) -> String {
    let ms = (seconds * 1000.0).clamp(0.0, 1e15);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits")]
    let ms = ms as u64;
    duration_ms(&ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_read_as_people_say_them() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        for (at, said) in [
            ("2026-01-31T11:59:58Z", "just now"),
            ("2026-01-31T11:58:20Z", "1 min ago"),
            ("2026-01-31T11:01:00Z", "59 min ago"),
            ("2026-01-31T02:00:00Z", "10 h ago"),
            ("2026-01-29T12:00:00Z", "2 days ago"),
            ("2026-01-30T12:00:00Z", "1 day ago"),
            ("2025-06-02T12:00:00Z", "2 Jun 2025"),
            ("2026-01-31T14:00:00Z", "in 2 h"),
        ] {
            assert_eq!(ago(at.parse().unwrap(), now), said);
        }
    }

    #[test]
    fn spans_keep_the_digits_that_matter() {
        for (ms, said) in
            [(0, "0 ms"), (999, "999 ms"), (3240, "3.2 s"), (61_000, "1 min 1 s"), (7_260_000, "2 h 1 min")]
        {
            assert_eq!(duration_ms(&ms), said);
        }
    }
}
