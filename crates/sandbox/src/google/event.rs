//! An event as the calendar keeps it: its times and state apart, everything else in the vendor's words.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::errors::Failure;
use super::recurrence::Rule;
use super::when::{When, zone};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Confirmed,
    Tentative,
    Cancelled,
}

/// Which time of a series an exception stands for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Occurrence {
    pub(crate) master: String,
    pub(crate) original: When,
}

/// A time that a series had and has no more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dropped {
    pub(crate) seq: u64,
    pub(crate) original: When,
}

/// One event: a single one, a series, or an exception of a series.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Event {
    pub(crate) id: String,
    pub(crate) ical_uid: String,
    pub(crate) status: Status,
    pub(crate) created_ms: i64,
    pub(crate) updated_ms: i64,
    /// Its place in the calendar's order of changes.
    pub(crate) seq: u64,
    /// How often its times changed.
    pub(crate) sequence: u32,
    pub(crate) start: When,
    pub(crate) end: When,
    pub(crate) recurrence: Vec<String>,
    pub(crate) of: Option<Occurrence>,
    /// Everything else, as it was sent.
    pub(crate) details: Map<String, Value>,
    /// By instance id.
    pub(crate) dropped: BTreeMap<String, Dropped>,
}

/// What a client cannot write.
const READ_ONLY: [&str; 15] = [
    "kind",
    "etag",
    "id",
    "iCalUID",
    "htmlLink",
    "created",
    "updated",
    "creator",
    "organizer",
    "recurringEventId",
    "originalStartTime",
    "hangoutLink",
    "sequence",
    "locked",
    "attendeesOmitted",
];

impl Event {
    pub(crate) fn is_series(&self) -> bool {
        !self.recurrence.is_empty()
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.status == Status::Cancelled
    }

    /// The rule of a series.
    pub(crate) fn rule(&self, home: &str) -> Option<Rule> {
        let name = match &self.start {
            When::Moment(_, Some(name)) => name,
            _ => home,
        };
        Rule::read(&self.recurrence, &zone(name)?)
    }

    /// The id of the instance that starts at a time.
    pub(crate) fn instance_id(&self, original: &When) -> String {
        format!("{}_{}", self.id, original.suffix())
    }

    /// Takes what a client writes: what is named changes, null removes.
    pub(crate) fn apply(&mut self, body: Map<String, Value>, home: &str) -> Result<(), Failure> {
        let before = (self.start.clone(), self.end.clone(), self.recurrence.clone());
        for (key, value) in body {
            match key.as_str() {
                "start" => self.start = When::read(&value, home)?,
                "end" => self.end = When::read(&value, home)?,
                "recurrence" => {
                    self.recurrence = match value {
                        Value::Null => Vec::new(),
                        lines => serde_json::from_value(lines)
                            .map_err(|_| Failure::bad("invalid", "Invalid recurrence rule."))?,
                    }
                }
                "status" => {
                    self.status = serde_json::from_value(value)
                        .map_err(|_| Failure::bad("invalid", "Invalid value for: status"))?;
                }
                "attendees" if !value.is_null() => {
                    self.details.insert(key, attendees(&value)?);
                }
                key if READ_ONLY.contains(&key) => {}
                _ if value.is_null() => {
                    self.details.remove(&key);
                }
                _ => {
                    self.details.insert(key, value);
                }
            }
        }
        if before != (self.start.clone(), self.end.clone(), self.recurrence.clone()) {
            self.sequence += 1;
        }
        self.check(home)
    }

    /// Whether it can be: it ends after it starts, and its rule is understood.
    pub(crate) fn check(&self, home: &str) -> Result<(), Failure> {
        let tz = zone(home).unwrap_or(jiff::tz::TimeZone::UTC);
        let alike = matches!(self.start, When::Day(_)) == matches!(self.end, When::Day(_));
        if !alike {
            return Err(Failure::bad("invalid", "Invalid start time."));
        }
        let (start, end) = (self.start.ms(&tz), self.end.ms(&tz));
        if end < start || (end == start && matches!(self.start, When::Day(_))) {
            return Err(Failure::new(
                http::StatusCode::BAD_REQUEST,
                "calendar",
                "timeRangeEmpty",
                "The specified time range is empty.",
            ));
        }
        if self.is_series() && self.of.is_none() && self.rule(home).is_none() {
            return Err(Failure::bad("invalid", "Invalid recurrence rule."));
        }
        if self.is_series() && matches!(&self.start, When::Moment(_, None)) {
            return Err(Failure::bad("required", "Missing time zone definition for start time."));
        }
        Ok(())
    }

    /// The exception that an instance of this series becomes when it is touched.
    pub(crate) fn exception(&self, original: &When, now_ms: i64) -> Self {
        Self {
            id: self.instance_id(original),
            start: original.clone(),
            end: original.after(&self.start, &self.end),
            recurrence: Vec::new(),
            of: Some(Occurrence { master: self.id.clone(), original: original.clone() }),
            updated_ms: now_ms,
            dropped: BTreeMap::new(),
            ..self.clone()
        }
    }

    pub(crate) fn organizer(&self) -> &str {
        self.details.get("organizer").and_then(|one| one["email"].as_str()).unwrap_or_default()
    }

    /// Whether an address is among the attendees.
    pub(crate) fn invites(&self, email: &str) -> bool {
        let list = self.details.get("attendees").and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|one| one["email"].as_str() == Some(email)))
    }

    /// The meeting code of its Meet conference.
    pub(crate) fn meeting_code(&self) -> Option<&str> {
        let data = self.details.get("conferenceData")?;
        let is_meet = data["conferenceSolution"]["key"]["type"] == json!("hangoutsMeet");
        data["conferenceId"].as_str().filter(|_| is_meet)
    }
}

fn attendees(list: &Value) -> Result<Value, Failure> {
    let wrong = || Failure::bad("invalid", "Invalid attendee email.");
    let list = list.as_array().ok_or_else(wrong)?;
    let mut checked = Vec::with_capacity(list.len());
    for one in list {
        let email = one["email"].as_str().map(str::trim).ok_or_else(wrong)?;
        if !email.contains('@') || email.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let mut one = one.clone();
        one["email"] = json!(email.to_lowercase());
        if one["responseStatus"].is_null() {
            one["responseStatus"] = json!("needsAction");
        }
        checked.push(one);
    }
    Ok(Value::Array(checked))
}
