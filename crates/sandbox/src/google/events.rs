//! The events of a calendar, over the vendor's API.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::calendar::{Calendar, Target};
use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::event::Event;
use super::list as listing;
use super::render::{View, etag};
use super::sim::Sim;
use super::when::zone;

/// What a guest may change in a copy of an event.
const OF_GUESTS: [&str; 6] =
    ["attendees", "reminders", "colorId", "transparency", "visibility", "extendedProperties"];

/// `GET /calendar/v3/calendars/{calendarId}/events`
pub(crate) fn list(sim: &mut Sim, call: &Call) -> Outcome {
    sim.calendar(call)?;
    let settings = sim.settings.clone();
    Reply::ok(&listing::list(sim.calendar(call)?, call, &settings)?)
}

/// `GET /calendar/v3/calendars/{calendarId}/events/{eventId}/instances`
pub(crate) fn instances(sim: &mut Sim, call: &Call) -> Outcome {
    Reply::ok(&listing::instances(sim.calendar(call)?, call, call.param("eventId"))?)
}

/// `GET /calendar/v3/calendars/{calendarId}/events/{eventId}`
pub(crate) fn get(sim: &mut Sim, call: &Call) -> Outcome {
    let calendar = sim.calendar(call)?;
    let target = calendar.find(call.param("eventId"), call.now_ms).ok_or_else(Failure::not_found)?;
    Reply::ok(&show(calendar, &target, call.query("timeZone"))?)
}

/// An event or instance in full.
pub(crate) fn show(calendar: &Calendar, target: &Target, zone_name: Option<&str>) -> Result<Value, Failure> {
    let shown_in = match zone_name {
        Some(name) => zone(name).ok_or_else(|| Failure::invalid("timeZone"))?,
        None => calendar.tz(),
    };
    let view = View { calendar, shown_in };
    let stored = |id: &String| calendar.events.get(id).ok_or_else(Failure::not_found);
    Ok(match target {
        Target::Stored(id) => view.full(stored(id)?),
        Target::Instance(master, original) => view.instance(stored(master)?, original),
    })
}

/// `POST /calendar/v3/calendars/{calendarId}/events`
pub(crate) fn insert(sim: &mut Sim, call: &Call) -> Outcome {
    let email = sim.calendar(call)?.email.clone();
    let mut body = call.object()?;
    conference(sim, call, &mut body)?;
    let id = sim.add_event(&email, body, call.now_ms)?;
    answer(sim, call, &id)
}

/// `PATCH /calendar/v3/calendars/{calendarId}/events/{eventId}`
pub(crate) fn patch(sim: &mut Sim, call: &Call) -> Outcome {
    let mut body = call.object()?;
    let target = permitted(sim, call, &body)?;
    conference(sim, call, &mut body)?;
    let email = sim.calendar(call)?.email.clone();
    let id = sim.change_event(&email, &target, body, call.now_ms)?;
    answer(sim, call, &id)
}

/// `PUT /calendar/v3/calendars/{calendarId}/events/{eventId}`: what is not named is removed.
pub(crate) fn update(sim: &mut Sim, call: &Call) -> Outcome {
    let mut body = call.object()?;
    if body.get("start").or(body.get("end")).is_none() {
        return Err(Failure::bad("required", "Missing end time."));
    }
    let target = permitted(sim, call, &body)?;
    conference(sim, call, &mut body)?;
    let calendar = sim.calendar(call)?;
    let known = match &target {
        Target::Stored(id) | Target::Instance(id, _) => calendar.events.get(id),
    };
    for name in known.map(|event| event.details.keys()).into_iter().flatten() {
        let kept = ["conferenceData", "creator", "organizer"].contains(&name.as_str());
        if !kept && !body.contains_key(name) {
            body.insert(name.clone(), Value::Null);
        }
    }
    if let (Target::Stored(_), false) = (&target, body.contains_key("recurrence")) {
        body.insert("recurrence".into(), Value::Null);
    }
    let email = calendar.email.clone();
    let id = sim.change_event(&email, &target, body, call.now_ms)?;
    answer(sim, call, &id)
}

/// `DELETE /calendar/v3/calendars/{calendarId}/events/{eventId}`
pub(crate) fn delete(sim: &mut Sim, call: &Call) -> Outcome {
    let target = permitted(sim, call, &Map::new())?;
    let email = sim.calendar(call)?.email.clone();
    sim.cancel_event(&email, &target, call.now_ms)?;
    Reply::empty()
}

fn answer(sim: &mut Sim, call: &Call, id: &str) -> Outcome {
    let calendar = sim.calendar(call)?;
    Reply::ok(&show(calendar, &Target::Stored(id.to_owned()), None)?)
}

/// What a call is about, if the caller may do this to it and has seen its latest version.
fn permitted(sim: &mut Sim, call: &Call, body: &Map<String, Value>) -> Result<Target, Failure> {
    let calendar = sim.calendar(call)?;
    let target = calendar.find(call.param("eventId"), call.now_ms).ok_or_else(Failure::not_found)?;
    let (Target::Stored(id) | Target::Instance(id, _)) = &target;
    let event = calendar.events.get(id).ok_or_else(Failure::not_found)?;
    let id = call.param("eventId");
    if call.header("if-match").is_some_and(|wanted| wanted != "*" && wanted != etag(event.seq, id)) {
        let message = "Precondition Failed";
        return Err(Failure::new(StatusCode::PRECONDITION_FAILED, "global", "conditionNotMet", message)
            .at("header", "If-Match"));
    }
    let guest = event.organizer() != calendar.email;
    if guest && body.keys().any(|key| !OF_GUESTS.contains(&key.as_str())) {
        let message = "Shared properties can only be changed by the organizer of the event.";
        return Err(Failure::new(StatusCode::FORBIDDEN, "calendar", "forbiddenForNonOrganizer", message));
    }
    Ok(target)
}

/// Conference data is heard only by clients that say they know it; a request for one makes a Meet room.
fn conference(sim: &mut Sim, call: &Call, body: &mut Map<String, Value>) -> Result<(), Failure> {
    if call.query("conferenceDataVersion") != Some("1") {
        body.remove("conferenceData");
        return Ok(());
    }
    let Some(data) = body.get_mut("conferenceData") else { return Ok(()) };
    let Some(request) = data.get("createRequest").cloned() else { return Ok(()) };
    if request["requestId"].as_str().is_none_or(str::is_empty) {
        return Err(Failure::bad("invalid", "Invalid conference type value."));
    }
    let code = sim.new_code();
    *data = meet(&code, &request);
    Ok(())
}

/// The conference data of a Meet room.
pub(crate) fn meet(code: &str, request: &Value) -> Value {
    json!({
        "conferenceId": code,
        "conferenceSolution": {"key": {"type": "hangoutsMeet"}, "name": "Google Meet",
            "iconUri": "https://fonts.gstatic.com/s/i/productlogos/meet_2020q4/v6/web-512dp/logo_meet_2020q4_color_2x_web_512dp.png"},
        "entryPoints": [{"entryPointType": "video", "uri": format!("https://meet.google.com/{code}"),
            "label": format!("meet.google.com/{code}")}],
        "createRequest": {"requestId": request["requestId"],
            "conferenceSolutionKey": {"type": "hangoutsMeet"}, "status": {"statusCode": "success"}},
    })
}

impl Sim {
    /// A new event of an account, from the vendor's words.
    pub(crate) fn add_event(
        &mut self,
        email: &str,
        mut body: Map<String, Value>,
        now_ms: i64,
    ) -> Result<String, Failure> {
        let missing = || Failure::bad("required", "Missing end time.");
        let id = match body.remove("id").filter(|id| !id.is_null()) {
            None => self.new_id(),
            Some(id) => {
                let id = id.as_str().unwrap_or_default();
                let fits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'v').contains(&byte);
                if !(5..=1_024).contains(&id.len()) || !id.bytes().all(fits) {
                    return Err(Failure::bad("invalid", "Invalid resource id value."));
                }
                id.to_owned()
            }
        };
        let ical_uid = body.get("iCalUID").and_then(Value::as_str).map(str::to_owned);
        let calendar = self.calendar_of(email).ok_or_else(Failure::not_found)?;
        let home = calendar.zone.clone();
        let start = super::when::When::read(body.get("start").ok_or_else(missing)?, &home)?;
        let end = super::when::When::read(body.get("end").ok_or_else(missing)?, &home)?;
        let mut event = Event {
            ical_uid: ical_uid.unwrap_or_else(|| format!("{id}@google.com")),
            id,
            status: super::event::Status::Confirmed,
            created_ms: now_ms,
            updated_ms: now_ms,
            seq: 0,
            sequence: 0,
            start,
            end,
            recurrence: Vec::new(),
            of: None,
            details: Map::new(),
            dropped: std::collections::BTreeMap::new(),
        };
        event.apply(body, &home)?;
        event.sequence = 0;
        for role in ["creator", "organizer"] {
            event.details.insert(role.to_owned(), json!({"email": email}));
        }
        let since = calendar.seq;
        let id = calendar.add(event, now_ms)?;
        self.invite(email, since, now_ms);
        Ok(id)
    }

    pub(crate) fn change_event(
        &mut self,
        email: &str,
        target: &Target,
        body: Map<String, Value>,
        now_ms: i64,
    ) -> Result<String, Failure> {
        let calendar = self.calendar_of(email).ok_or_else(Failure::not_found)?;
        let since = calendar.seq;
        let id = calendar.change(target, body, now_ms)?;
        self.invite(email, since, now_ms);
        Ok(id)
    }

    pub(crate) fn cancel_event(
        &mut self,
        email: &str,
        target: &Target,
        now_ms: i64,
    ) -> Result<String, Failure> {
        let calendar = self.calendar_of(email).ok_or_else(Failure::not_found)?;
        let since = calendar.seq;
        let id = calendar.cancel(target, now_ms)?;
        self.invite(email, since, now_ms);
        Ok(id)
    }

    /// What changed in an account's calendar since then reaches the calendars of the accounts that are invited.
    fn invite(&mut self, email: &str, since: u64, now_ms: i64) {
        let Some(at) = self.calendars.iter().position(|one| one.email == email) else { return };
        let mine = |event: &&Event| event.seq > since && event.organizer() == email;
        let changed: Vec<Event> = self.calendars[at].events.values().filter(mine).cloned().collect();
        for other in self.calendars.iter_mut().filter(|one| one.email != email) {
            for event in &changed {
                let known = other.events.get(&event.id);
                if event.invites(&other.email) {
                    other.receive(event, now_ms);
                } else if known.is_some_and(|known| !known.is_cancelled()) {
                    let _gone = other.cancel(&Target::Stored(event.id.clone()), now_ms);
                }
            }
        }
    }
}
