//! Mails to many: campaigns and sequences, who gets them, and who gets none.

pub(crate) mod detail;
mod draft;
pub(crate) mod form;
pub(crate) mod list;
pub(crate) mod mailboxes;
pub(crate) mod suppressions;

use jiff::{Timestamp, tz::TimeZone};
use proto::crm::{Campaign, SendingWindow};

use crate::ui;

pub(crate) const PATH: &str = "/campaigns";
pub(crate) const ONLY_WRITERS: &str = "Only an Owner, Admin or Member sends mails to many.";

/// How a campaign stands, as a pill.
pub(crate) fn state(it: &Campaign, now: &Timestamp) -> ui::Markup {
    use ui::Tone::{Busy, Good, Quiet, Warn};
    match it.state.as_str() {
        "running" if starts(it, now).is_some() => ui::pill(Busy, "Scheduled"),
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

/// When the first mails of a campaign go out, where that is still to come.
pub(crate) fn starts(it: &Campaign, now: &Timestamp) -> Option<ui::Markup> {
    let at = ui::to_time(it.starts_at.as_ref()).filter(|at| at > now)?;
    let zone = zone_of(it.window.as_ref());
    let name = zone.iana_name().unwrap_or(UTC).to_owned();
    let said = at.to_zoned(zone).strftime("%A, %e %B %Y at %H:%M").to_string();
    let said = format!("{} ({name})", said.replace("  ", " "));
    Some(ui::Markup(format!(r#"<time datetime="{at}">{}</time>"#, ui::escape(&said))))
}

const UTC: &str = "UTC";

/// The time zone of a campaign's hours; where it goes out at any hour, that of nowhere.
fn zone_of(window: Option<&SendingWindow>) -> TimeZone {
    window.and_then(|window| TimeZone::get(&window.time_zone).ok()).unwrap_or(TimeZone::UTC)
}

/// What is wrong with the fields of a form, by their names.
#[derive(Default)]
pub(crate) struct Wrong(Vec<(String, String)>);

impl Wrong {
    fn put(&mut self, field: impl Into<String>, said: impl Into<String>) {
        self.0.push((field.into(), said.into()));
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is wrong with this field; empty where nothing is.
    fn of(&self, field: &str) -> &str {
        self.0.iter().find(|(name, _)| name == field).map_or("", |(_, said)| said)
    }
}

/// The field that a room refused, where it named one.
fn field(status: &tonic::Status) -> String {
    let named = status.metadata().get("accord-field").and_then(|field| field.to_str().ok());
    named.unwrap_or_default().to_owned()
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
