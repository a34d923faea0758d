//! What people do: they set up, move, cancel and hold meetings.

use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::calendar::Target;
use super::call::{Call, Outcome, Reply};
use super::conference::{Conference, Entry, Kind, Participant, Transcript};
use super::errors::Failure;
use super::event::Event;
use super::events::{meet, show};
use super::sim::Sim;
use super::when::When;
use super::{meet as rooms, seed as planting};

/// How long a spoken line takes where nothing is said about it.
const LINE_MS: i64 = 6_000;
const MEETING_MS: i64 = 1_800_000;

/// The account that a body names, or the first one.
fn account(sim: &Sim, body: &mut Map<String, Value>) -> Result<String, Failure> {
    let wanted = body.remove("account");
    let wanted = wanted.as_ref().and_then(Value::as_str);
    let found = sim.calendars.iter().find(|one| wanted.is_none_or(|wanted| one.email == wanted));
    found.map(|one| one.email.clone()).ok_or_else(Failure::not_found)
}

/// The account and the event or instance that a body names by `id`.
fn named(sim: &mut Sim, body: &mut Map<String, Value>, now_ms: i64) -> Result<(String, Target), Failure> {
    let email = account(sim, body)?;
    let id = body.remove("id");
    let id = id.as_ref().and_then(Value::as_str).unwrap_or_default();
    let calendar = sim.calendar_of(&email).ok_or_else(Failure::not_found)?;
    let target = calendar.find(id, now_ms).ok_or_else(Failure::not_found)?;
    Ok((email, target))
}

fn answer(sim: &mut Sim, email: &str, id: String, status: StatusCode) -> Outcome {
    let calendar = sim.calendar_of(email).ok_or_else(Failure::not_found)?;
    Reply::json(status, &show(calendar, &Target::Stored(id), None)?)
}

/// `POST /_sandbox/meeting`: an event in the vendor's words, with a Meet room unless `"meet": false`.
pub(crate) fn meeting(sim: &mut Sim, call: &Call) -> Outcome {
    let mut body = call.object()?;
    let email = account(sim, &mut body)?;
    if body.remove("meet") != Some(json!(false)) && !body.contains_key("conferenceData") {
        let code = sim.new_code();
        body.insert("conferenceData".into(), meet(&code, &json!({"requestId": code})));
    }
    let id = sim.add_event(&email, body, call.now_ms)?;
    answer(sim, &email, id, StatusCode::CREATED)
}

/// `POST /_sandbox/edit`: `{"id", "fields"}` in the vendor's words; null removes.
pub(crate) fn edit(sim: &mut Sim, call: &Call) -> Outcome {
    let mut body = call.object()?;
    let (email, target) = named(sim, &mut body, call.now_ms)?;
    let Some(Value::Object(fields)) = body.remove("fields") else {
        return Err(Failure::bad("required", "fields is missing"));
    };
    let id = sim.change_event(&email, &target, fields, call.now_ms)?;
    answer(sim, &email, id, StatusCode::OK)
}

/// `POST /_sandbox/move`: to another start; it lasts as long as before unless `end` says otherwise.
pub(crate) fn shift(sim: &mut Sim, call: &Call) -> Outcome {
    let mut body = call.object()?;
    let (email, target) = named(sim, &mut body, call.now_ms)?;
    let calendar = sim.calendar_of(&email).ok_or_else(Failure::not_found)?;
    let start = body.get("start").ok_or_else(|| Failure::bad("required", "start is missing"))?;
    let mut fields = Map::new();
    fields.insert("start".into(), start.clone());
    let end = match body.get("end") {
        Some(end) => end.clone(),
        None => {
            let (Target::Stored(id) | Target::Instance(id, _)) = &target;
            let event = calendar.events.get(id).ok_or_else(Failure::not_found)?;
            let start = When::read(start, &calendar.zone)?;
            start.after(&event.start, &event.end).wire(&calendar.tz(), &calendar.zone)
        }
    };
    fields.insert("end".into(), end);
    let id = sim.change_event(&email, &target, fields, call.now_ms)?;
    answer(sim, &email, id, StatusCode::OK)
}

/// `POST /_sandbox/cancel`: an event, a series, or one time of it.
pub(crate) fn cancel(sim: &mut Sim, call: &Call) -> Outcome {
    let (email, target) = named(sim, &mut call.object()?, call.now_ms)?;
    sim.cancel_event(&email, &target, call.now_ms)?;
    Reply::empty()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Who {
    name: String,
    #[serde(default)]
    kind: Kind,
    /// Pairs of seconds after the start; without them, from start to end.
    #[serde(default)]
    sessions: Vec<(i64, i64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    speaker: String,
    text: String,
    /// Seconds after the start.
    at_s: Option<i64>,
    #[serde(default)]
    language: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    account: Option<String>,
    /// An event or an instance.
    id: Option<String>,
    /// A room, where there is no event.
    code: Option<String>,
    /// When it began; without it, at the event's start.
    start: Option<jiff::Timestamp>,
    minutes: Option<i64>,
    /// It ends at this moment.
    #[serde(default)]
    now: bool,
    #[serde(default)]
    participants: Vec<Who>,
    #[serde(default)]
    lines: Vec<Line>,
    /// Whether what is said is written down; without it, when something is said.
    transcript: Option<bool>,
    transcript_delay_ms: Option<i64>,
}

/// `POST /_sandbox/hold`: a meeting takes place.
pub(crate) fn hold(sim: &mut Sim, call: &Call) -> Outcome {
    let held: Held = call.shape()?;
    let conference = take_place(sim, held, call.now_ms)?;
    let body = json!({"conferenceRecord": format!("conferenceRecords/{}", conference.id),
        "code": conference.code, "start_ms": conference.start_ms, "end_ms": conference.end_ms,
        "transcripts": conference.transcripts.iter()
            .map(|of| json!({"id": of.id, "ready_ms": of.ready_ms})).collect::<Vec<_>>()});
    sim.held.insert(conference.id.clone());
    sim.conferences.push(conference);
    Reply::json(StatusCode::CREATED, &body)
}

/// The event of a meeting with its times, in milliseconds.
fn scheduled(sim: &mut Sim, email: &str, id: &str, now_ms: i64) -> Result<(Event, i64, i64), Failure> {
    let calendar = sim.calendar_of(email).ok_or_else(Failure::not_found)?;
    let tz = calendar.tz();
    let event = match calendar.find(id, now_ms).ok_or_else(Failure::not_found)? {
        Target::Stored(id) => calendar.events.get(&id).cloned(),
        Target::Instance(id, original) => {
            calendar.events.get(&id).map(|series| series.exception(&original, now_ms))
        }
    };
    let mut event = event.ok_or_else(Failure::not_found)?;
    if event.is_series() {
        event = event.exception(&event.start.clone(), now_ms);
    }
    let (start, end) = (event.start.ms(&tz), event.end.ms(&tz));
    Ok((event, start, end))
}

fn take_place(sim: &mut Sim, held: Held, now_ms: i64) -> Result<Conference, Failure> {
    let mut whose = Map::new();
    if let Some(account) = &held.account {
        whose.insert("account".into(), json!(account));
    }
    let owner = account(sim, &mut whose)?;
    let event = match &held.id {
        Some(id) => Some(scheduled(sim, &owner, id, now_ms)?),
        None => None,
    };
    let code = event.as_ref().and_then(|(event, ..)| event.meeting_code()).or(held.code.as_deref());
    let code = code.map(str::to_owned);
    let code = code.ok_or_else(|| Failure::bad("required", "the meeting has no Meet room"))?;
    let space = match sim.spaces.get(&code) {
        Some(space) => space.clone(),
        None => return Err(Failure::not_found()),
    };
    let planned_ms = event.as_ref().map(|(_, start, end)| end - start).filter(|length| *length > 0);
    let length_ms = held.minutes.map(|minutes| minutes.clamp(1, 1_440) * 60_000);
    let length_ms = length_ms.or(planned_ms).unwrap_or(MEETING_MS);
    let start_ms = match (held.now, held.start) {
        (true, _) => now_ms - length_ms,
        (_, Some(start)) => start.as_millisecond(),
        (_, None) => event.as_ref().map_or(now_ms - length_ms, |(_, start, _)| *start),
    };
    let end_ms = start_ms.saturating_add(length_ms);
    let mut conference = Conference {
        id: sim.new_id(),
        space,
        code,
        owner,
        event: event.map(|(event, ..)| event.id),
        start_ms,
        end_ms,
        participants: Vec::new(),
        transcripts: Vec::new(),
    };
    for who in &held.participants {
        let at = |seconds: i64| start_ms.saturating_add(seconds.clamp(0, 86_400) * 1_000);
        let sessions = who.sessions.iter().map(|(from, to)| (at(*from), at(*to))).collect();
        join(sim, &mut conference, &who.name, who.kind, sessions);
    }
    if held.transcript.unwrap_or(!held.lines.is_empty()) {
        let delay = held.transcript_delay_ms.unwrap_or(sim.settings.transcript_delay_ms).max(0);
        let transcript = write_down(sim, &mut conference, &held.lines, delay);
        conference.transcripts.push(transcript);
    }
    Ok(conference)
}

/// Somebody takes part; gives the participant's id.
fn join(
    sim: &mut Sim,
    conference: &mut Conference,
    name: &str,
    kind: Kind,
    sessions: Vec<(i64, i64)>,
) -> String {
    let id = sim.new_id();
    let whole = vec![(conference.start_ms, conference.end_ms)];
    let account = sim.calendars.iter().find(|one| one.name == name).map(|one| one.subject.clone());
    let user = account.unwrap_or_else(|| format!("1{}", sim.letters(b"0123456789", 20)));
    conference.participants.push(Participant {
        id: id.clone(),
        kind,
        name: name.to_owned(),
        user: format!("users/{user}"),
        sessions: if sessions.is_empty() { whole } else { sessions },
    });
    id
}

fn write_down(sim: &mut Sim, conference: &mut Conference, lines: &[Line], delay_ms: i64) -> Transcript {
    let mut entries = Vec::with_capacity(lines.len());
    let mut at_ms = conference.start_ms;
    for line in lines {
        let known = conference.participants.iter().find(|who| who.name == line.speaker);
        let participant = match known.map(|who| who.id.clone()) {
            Some(id) => id,
            None => join(sim, conference, &line.speaker, Kind::SignedIn, Vec::new()),
        };
        if let Some(seconds) = line.at_s {
            at_ms = conference.start_ms.saturating_add(seconds.clamp(0, 86_400) * 1_000);
        }
        entries.push(Entry {
            id: sim.new_id(),
            participant,
            text: line.text.clone(),
            language: line.language.clone().unwrap_or_else(|| "en-US".to_owned()),
            start_ms: at_ms,
            end_ms: at_ms.saturating_add(LINE_MS),
        });
        at_ms = at_ms.saturating_add(LINE_MS);
    }
    entries.sort_by_key(|entry| entry.start_ms);
    Transcript {
        id: sim.new_id(),
        start_ms: conference.start_ms,
        end_ms: conference.end_ms,
        ready_ms: conference.end_ms.saturating_add(delay_ms),
        document: sim.letters(b"ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz0123456789-_", 44),
        entries,
        attached: false,
    }
}

impl Sim {
    /// Transcripts that are ready now are attached to the organizer's events.
    pub(crate) fn attach_transcripts(&mut self, now_ms: i64) {
        let mut conferences = std::mem::take(&mut self.conferences);
        for one in &mut conferences {
            for of in one.transcripts.iter_mut().filter(|of| !of.attached && of.ready_ms <= now_ms) {
                of.attached = true;
                self.held.insert(one.id.clone());
                let Some(id) = &one.event else { continue };
                let Some(calendar) = self.calendars.iter_mut().find(|known| known.email == one.owner) else {
                    continue;
                };
                let Some(target) = calendar.find(id, now_ms) else { continue };
                let (Target::Stored(known) | Target::Instance(known, _)) = &target;
                let Some(event) = calendar.events.get(known).filter(|event| !event.is_cancelled()) else {
                    continue;
                };
                let title = event.details.get("summary").and_then(Value::as_str).unwrap_or("Meeting");
                let mut files = event.details.get("attachments").and_then(Value::as_array).cloned();
                let files = files.get_or_insert_default();
                files
                    .push(json!({"fileUrl": rooms::export_uri(of), "title": format!("{title} - Transcript"),
                    "mimeType": "application/vnd.google-apps.document", "fileId": of.document}));
                let mut fields = Map::new();
                fields.insert("attachments".into(), json!(files));
                let _if_it_still_can = calendar.change(&target, fields, now_ms);
            }
        }
        self.conferences = conferences;
    }
}

/// `POST /_sandbox/seed`
pub(crate) fn seed(sim: &mut Sim, call: &Call) -> Outcome {
    let order: planting::Order = call.shape()?;
    let made = planting::meetings(sim, &order, call.now_ms)?;
    for wish in made.held {
        let held: Held = serde_json::from_value(wish).map_err(|_| Failure::backend())?;
        let conference = take_place(sim, held, call.now_ms)?;
        sim.held.insert(conference.id.clone());
        sim.conferences.push(conference);
    }
    Reply::ok(&json!({"created": made.ids.len(), "ids": made.ids}))
}

/// `GET /_sandbox/state?account=`: every event, cancelled ones too, and every conference.
pub(crate) fn state(sim: &mut Sim, call: &Call) -> Outcome {
    let wanted = call.query("account");
    let found = sim.calendars.iter().find(|one| wanted.is_none_or(|wanted| one.email == wanted));
    let calendar = found.ok_or_else(Failure::not_found)?;
    let shown = |id: &String| show(calendar, &Target::Stored(id.clone()), None);
    let events: Vec<Value> = calendar.events.keys().map(shown).collect::<Result<_, _>>()?;
    let conferences: Vec<&Conference> =
        sim.conferences.iter().filter(|one| one.owner == calendar.email).collect();
    Reply::ok(&json!({"email": calendar.email, "total": events.len(), "results": events,
        "conferences": conferences}))
}
