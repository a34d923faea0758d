//! Events as Calendar shows them.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::calendar::Calendar;
use super::event::Event;
use super::when::When;
use crate::clock::iso;

/// Whose calendar is looked at, and in which time zone.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) calendar: &'a Calendar,
    pub(crate) shown_in: TimeZone,
}

impl View<'_> {
    fn when(&self, when: &When) -> Value {
        when.wire(&self.shown_in, &self.calendar.zone)
    }

    /// Everything about a stored event.
    pub(crate) fn full(&self, event: &Event) -> Value {
        let mut body = self.common(event, &event.id);
        body.insert("start".into(), self.when(&event.start));
        body.insert("end".into(), self.when(&event.end));
        if event.is_series() {
            body.insert("recurrence".into(), json!(event.recurrence));
        }
        if let Some(of) = &event.of {
            body.insert("recurringEventId".into(), json!(of.master));
            body.insert("originalStartTime".into(), self.when(&of.original));
        }
        Value::Object(body)
    }

    /// An instance of a series that nobody touched.
    pub(crate) fn instance(&self, series: &Event, original: &When) -> Value {
        let mut body = self.common(series, &series.instance_id(original));
        let end = original.after(&series.start, &series.end);
        body.insert("start".into(), self.when(original));
        body.insert("end".into(), self.when(&end));
        body.insert("recurringEventId".into(), json!(series.id));
        body.insert("originalStartTime".into(), self.when(original));
        Value::Object(body)
    }

    /// What is left of a cancelled event in a list.
    pub(crate) fn bare(&self, id: &str, seq: u64, of: Option<(&str, &When)>) -> Value {
        let mut body =
            json!({"kind": "calendar#event", "etag": etag(seq, id), "id": id, "status": "cancelled"});
        if let Some((master, original)) = of {
            body["recurringEventId"] = json!(master);
            body["originalStartTime"] = self.when(original);
        }
        body
    }

    fn common(&self, event: &Event, id: &str) -> Map<String, Value> {
        let mut body = event.details.clone();
        let own = |one: &mut Value| {
            if one["email"].as_str() == Some(self.calendar.email.as_str()) {
                one["self"] = json!(true);
            }
        };
        for role in ["creator", "organizer"] {
            if let Some(one) = body.get_mut(role) {
                own(one);
            }
        }
        let organizer = event.organizer();
        if let Some(list) = body.get_mut("attendees").and_then(Value::as_array_mut) {
            for one in list {
                own(one);
                if one["email"].as_str() == Some(organizer) {
                    one["organizer"] = json!(true);
                }
            }
        }
        let fixed = json!({
            "kind": "calendar#event", "etag": etag(event.seq, id), "id": id, "status": event.status,
            "htmlLink": format!("https://www.google.com/calendar/event?eid={id}"),
            "created": iso(event.created_ms), "updated": iso(event.updated_ms), "iCalUID": event.ical_uid,
            "sequence": event.sequence,
        });
        if let Value::Object(fixed) = fixed {
            body.extend(fixed);
        }
        if let Some(code) = event.meeting_code() {
            body.insert("hangoutLink".into(), json!(format!("https://meet.google.com/{code}")));
        }
        body.entry("eventType").or_insert_with(|| json!("default"));
        body.entry("reminders").or_insert_with(|| json!({"useDefault": true}));
        body
    }
}

/// The version of an event, in quotes as the header has it.
pub(crate) fn etag(seq: u64, id: &str) -> String {
    let mut sum = seq;
    for byte in id.bytes() {
        sum = sum.wrapping_mul(31).wrapping_add(u64::from(byte));
    }
    format!("\"{}{sum:016}\"", seq + 3_000)
}
