//! Calendars and the list of them: each account has its primary one.

use serde_json::{Value, json};

use super::calendar::Calendar;
use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::render::etag;
use super::sim::Sim;
use super::token;

/// What the calendar list says of a calendar; its sync token counts nothing, for nothing of it changes.
fn entry(calendar: &Calendar) -> Value {
    json!({
        "kind": "calendar#calendarListEntry", "etag": etag(1, &calendar.email), "id": calendar.email,
        "summary": calendar.email, "timeZone": calendar.zone, "colorId": "14", "backgroundColor": "#9fe1e7",
        "foregroundColor": "#000000", "selected": true, "accessRole": "owner", "primary": true,
        "defaultReminders": [{"method": "popup", "minutes": 10}],
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    })
}

/// `GET /calendar/v3/calendars/{calendarId}`
pub(crate) fn get(sim: &mut Sim, call: &Call) -> Outcome {
    let calendar = sim.calendar(call)?;
    Reply::ok(&json!({
        "kind": "calendar#calendar", "etag": etag(1, &calendar.email), "id": calendar.email,
        "summary": calendar.email, "timeZone": calendar.zone,
        "conferenceProperties": {"allowedConferenceSolutionTypes": ["hangoutsMeet"]},
    }))
}

/// `GET /calendar/v3/users/me/calendarList`
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    let calendar = sim.own(call)?;
    let items = match call.query("syncToken") {
        None => vec![entry(calendar)],
        Some(text) => {
            let email: String = token::read(text).ok_or_else(|| Failure::invalid("syncToken"))?;
            if email != calendar.email {
                return Err(Failure::sync_token_gone());
            }
            Vec::new()
        }
    };
    Reply::ok(&json!({"kind": "calendar#calendarList", "etag": etag(1, &calendar.email),
        "nextSyncToken": token::write(&calendar.email), "items": items}))
}

/// `GET /calendar/v3/users/me/calendarList/{calendarId}`
pub(crate) fn list_get(sim: &mut Sim, call: &Call) -> Outcome {
    Reply::ok(&entry(sim.calendar(call)?))
}
