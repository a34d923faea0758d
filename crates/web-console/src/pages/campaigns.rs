//! Mails to many: campaigns and sequences, who gets them, and who gets none.

pub(crate) mod detail;
pub(crate) mod form;
pub(crate) mod list;
pub(crate) mod suppressions;

use crate::ui;

pub(crate) const PATH: &str = "/campaigns";
pub(crate) const ONLY_WRITERS: &str = "Only an Owner, Admin or Member sends mails to many.";

/// How a campaign stands, as a pill.
pub(crate) fn state(name: &str) -> ui::Markup {
    use ui::Tone::{Busy, Good, Quiet, Warn};
    match name {
        "draft" => ui::pill(Quiet, "Draft"),
        "running" => ui::pill(Busy, "Running"),
        "paused" => ui::pill(Warn, "Paused"),
        "finished" => ui::pill(Good, "Finished"),
        other => ui::state(other),
    }
}

/// How a recipient stands, as a pill.
pub(crate) fn standing(name: &str) -> ui::Markup {
    use ui::Tone::{Bad, Busy, Good, Quiet, Warn};
    match name {
        "scheduled" => ui::pill(Quiet, "Scheduled"),
        "sending" => ui::pill(Busy, "Sending"),
        "sent" => ui::pill(Busy, "Sent"),
        "finished" => ui::pill(Good, "Finished"),
        "replied" => ui::pill(Good, "Replied"),
        "stopped" => ui::pill(Quiet, "Stopped"),
        "suppressed" => ui::pill(Quiet, "Suppressed"),
        "opted_out" => ui::pill(Warn, "Opted out"),
        "bounced" => ui::pill(Bad, "Bounced"),
        "failed" => ui::pill(Bad, "Failed"),
        other => ui::state(other),
    }
}

/// A minute of the day, as 09:30.
pub(crate) fn minute(of_day: &u32) -> String {
    format!("{:02}:{:02}", of_day / 60, of_day % 60)
}

/// So many of something, in words.
pub(crate) fn count(of: &u32, one: &str, many: &str) -> String {
    ui::count(&u64::from(*of), one, many)
}

/// A number, as people read it.
pub(crate) fn number(of: &u32) -> String {
    ui::number(&u64::from(*of))
}
