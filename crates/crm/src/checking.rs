//! What is checked of every activity that comes in, whoever tells it.

use proto::crm as wire;

use crate::{
    domain::activity::{KINDS, NewActivity, Participant},
    error::Refusal,
    text::{self, LONGEST_LINE, LONGEST_NAME},
};

const MOST_PARTICIPANTS: usize = 2_000;
const MOST_RECORDS: usize = 50;
/// The longest text of an activity, in bytes.
const LONGEST_BODY: usize = 1024 * 1024;
const DIRECTIONS: [&str; 3] = ["", "inbound", "outbound"];

/// No such kind is taken.
pub(crate) fn kind_invalid(field: impl Into<String>, kinds: &[&str]) -> Refusal {
    let message = format!("A kind is one of {}.", kinds.join(", "));
    Refusal::invalid(field, "kind_invalid", message)
}

/// An activity as a source tells it, whose fields a refusal names behind `prefix`.
pub(crate) fn activity(prefix: &str, told: wire::NewActivity) -> Result<NewActivity, Refusal> {
    let field = |name: &str| format!("{prefix}{name}");
    let kind = KINDS
        .into_iter()
        .find(|kind| *kind == told.kind)
        .ok_or_else(|| kind_invalid(field("kind"), &KINDS))?;
    let direction = DIRECTIONS.into_iter().find(|direction| *direction == told.direction);
    let direction = direction.ok_or_else(|| {
        Refusal::invalid(
            field("direction"),
            "direction_invalid",
            "A direction is inbound, outbound or empty.",
        )
    })?;
    let url = text::optional(&field("url"), &told.url, LONGEST_LINE)?;
    if !url.is_empty() && !url.starts_with("https://") {
        return Err(Refusal::invalid(field("url"), "url_invalid", "An address begins with https://."));
    }
    let count = told.participants.len();
    if count > MOST_PARTICIPANTS || told.record_ids.len() > MOST_RECORDS {
        let message =
            format!("At most {MOST_PARTICIPANTS} participants and {MOST_RECORDS} records are taken.");
        let name = if count > MOST_PARTICIPANTS { "participants" } else { "record_ids" };
        return Err(Refusal::invalid(field(name), "too_many", message));
    }
    let told_of = |id: &String| {
        let wrong = |_| {
            Refusal::invalid(field("record_ids"), "record_invalid", "An id is of the form rec_… or ptnr_….")
        };
        id.parse().map_err(wrong)
    };
    Ok(NewActivity {
        source: text::required(&field("source"), &told.source, LONGEST_NAME)?,
        external_id: text::required(&field("external_id"), &told.external_id, LONGEST_LINE)?,
        version: told.version,
        is_gone: false,
        kind,
        direction,
        at: text::moment(&field("at"), told.at.as_ref())?,
        subject: text::optional(&field("subject"), &told.subject, LONGEST_LINE)?,
        body: text::optional(&field("body"), &told.body, LONGEST_BODY)?,
        is_preview: false,
        thread: text::optional(&field("thread"), &told.thread, LONGEST_LINE)?,
        url,
        participants: participants(prefix, told.participants)?,
        told: told.record_ids.iter().map(told_of).collect::<Result<_, _>>()?,
        automatic: String::new(),
    })
}

fn participants(prefix: &str, told: Vec<wire::Participant>) -> Result<Vec<Participant>, Refusal> {
    let read = |(number, who): (usize, wire::Participant)| {
        let field = |name: &str| format!("{prefix}participants[{number}].{name}");
        Ok(Participant::new(
            text::optional(&field("role"), &who.role, LONGEST_NAME)?,
            text::optional(&field("name"), &who.name, LONGEST_NAME)?,
            text::optional(&field("email"), &who.email, LONGEST_NAME)?,
        ))
    };
    told.into_iter().enumerate().map(read).collect()
}
