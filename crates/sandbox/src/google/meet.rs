//! Meet v2: spaces, conference records, participants, transcripts and what was said.

use serde_json::{Map, Value, json};

use super::call::{Call, Outcome, Reply};
use super::conference::{Conference, Participant, REMEMBERED_MS, Transcript};
use super::errors::Failure;
use super::filter::{self, Filter};
use super::sim::Sim;
use super::token;
use crate::clock::iso;

fn denied() -> Failure {
    let message = "Requested entity was not found.";
    Failure::new(http::StatusCode::NOT_FOUND, "global", "notFound", message)
}

/// A page of a list: `{key: […], nextPageToken}`; a list of nothing has no key.
fn page(call: &Call, key: &str, items: Vec<Value>, default: usize, most: usize) -> Result<Value, Failure> {
    let wrong = |message| Failure::bad("invalid", message);
    let size = match call.query("pageSize").map(str::parse::<i64>) {
        None | Some(Ok(0)) => default,
        Some(Ok(size)) if size > 0 => usize::try_from(size).unwrap_or(most).min(most),
        Some(_) => return Err(wrong("Page size must not be negative.")),
    };
    let size = if call.empty_page { 0 } else { size };
    let skip: usize = match call.query("pageToken") {
        Some(text) => token::read(text).ok_or_else(|| wrong("Page token is invalid."))?,
        None => 0,
    };
    let more = items.len().saturating_sub(skip) > size || call.empty_page;
    let shown: Vec<Value> = items.into_iter().skip(skip).take(size).collect();
    let mut body = Map::new();
    if !shown.is_empty() {
        body.insert(key.to_owned(), Value::Array(shown));
    }
    if more {
        body.insert("nextPageToken".into(), json!(token::write(&skip.saturating_add(size))));
    }
    Ok(Value::Object(body))
}

fn read_filter(call: &Call, fields: &[&str]) -> Result<Filter, Failure> {
    let text = call.query("filter").unwrap_or_default();
    Filter::read(text, fields).ok_or_else(|| Failure::bad("invalid", "Request contains an invalid argument."))
}

/// The conference of a call, if its caller may see it.
fn conference<'a>(sim: &'a Sim, call: &Call) -> Result<&'a Conference, Failure> {
    let id = call.param("conference");
    let found = sim.conferences.iter().find(|one| one.id == id && one.is_known(call.now_ms));
    let found = found.ok_or_else(denied)?;
    if found.owner != call.email() {
        let message = "Permission denied on resource conference record (or it might not exist).";
        return Err(Failure::new(http::StatusCode::FORBIDDEN, "global", "forbidden", message));
    }
    Ok(found)
}

fn record(one: &Conference, now_ms: i64) -> Value {
    let mut body = json!({"name": format!("conferenceRecords/{}", one.id), "startTime": iso(one.start_ms),
        "space": format!("spaces/{}", one.space)});
    if one.end_ms <= now_ms {
        body["endTime"] = json!(iso(one.end_ms));
        body["expireTime"] = json!(iso(one.end_ms.saturating_add(REMEMBERED_MS)));
    }
    body
}

/// `GET /v2/conferenceRecords`
pub(crate) fn records(sim: &mut Sim, call: &Call) -> Outcome {
    let filter = read_filter(call, &["space.name", "space.meeting_code", "start_time", "end_time"])?;
    let passes = |one: &&Conference| {
        one.owner == call.email()
            && one.is_known(call.now_ms)
            && filter.passes(|field| match field {
                "space.name" => filter::Value::Text(format!("spaces/{}", one.space)),
                "space.meeting_code" => filter::Value::Text(one.code.clone()),
                "start_time" => filter::Value::Time(one.start_ms),
                _ if one.end_ms > call.now_ms => filter::Value::Null,
                _ => filter::Value::Time(one.end_ms),
            })
    };
    let mut found: Vec<&Conference> = sim.conferences.iter().filter(passes).collect();
    found.sort_by_key(|one| std::cmp::Reverse(one.start_ms));
    let items = found.into_iter().map(|one| record(one, call.now_ms)).collect();
    Reply::ok(&page(call, "conferenceRecords", items, 25, 100)?)
}

/// `GET /v2/conferenceRecords/{conference}`
pub(crate) fn get_record(sim: &mut Sim, call: &Call) -> Outcome {
    Reply::ok(&record(conference(sim, call)?, call.now_ms))
}

fn participant(one: &Conference, who: &Participant, now_ms: i64) -> Value {
    let first = who.sessions.first().map_or(one.start_ms, |session| session.0);
    let last = who.sessions.last().map_or(one.end_ms, |session| session.1);
    let mut body = json!({"name": format!("conferenceRecords/{}/participants/{}", one.id, who.id),
        "earliestStartTime": iso(first)});
    let name = json!({"displayName": who.name});
    match who.kind {
        super::conference::Kind::SignedIn => {
            body["signedinUser"] = json!({"user": who.user, "displayName": who.name});
        }
        super::conference::Kind::Anonymous => body["anonymousUser"] = name,
        super::conference::Kind::Phone => body["phoneUser"] = name,
    }
    if last <= now_ms {
        body["latestEndTime"] = json!(iso(last));
    }
    body
}

/// `GET /v2/conferenceRecords/{conference}/participants`
pub(crate) fn participants(sim: &mut Sim, call: &Call) -> Outcome {
    let one = conference(sim, call)?;
    let filter = read_filter(call, &["earliest_start_time", "latest_end_time"])?;
    let here = |who: &&Participant| who.sessions.first().is_none_or(|first| first.0 <= call.now_ms);
    let passes = |who: &&Participant| {
        filter.passes(|field| {
            let at = match field {
                "earliest_start_time" => who.sessions.first().map(|session| session.0),
                _ => who.sessions.last().map(|session| session.1).filter(|end| *end <= call.now_ms),
            };
            at.map_or(filter::Value::Null, filter::Value::Time)
        })
    };
    let found: Vec<Value> = one
        .participants
        .iter()
        .filter(here)
        .filter(passes)
        .map(|who| participant(one, who, call.now_ms))
        .collect();
    let total = found.len();
    let mut body = page(call, "participants", found, 100, 250)?;
    if total > 0 {
        body["totalSize"] = json!(total);
    }
    Reply::ok(&body)
}

fn who<'a>(one: &'a Conference, call: &Call) -> Result<&'a Participant, Failure> {
    one.participants.iter().find(|who| who.id == call.param("participant")).ok_or_else(denied)
}

/// `GET /v2/conferenceRecords/{conference}/participants/{participant}`
pub(crate) fn get_participant(sim: &mut Sim, call: &Call) -> Outcome {
    let one = conference(sim, call)?;
    Reply::ok(&participant(one, who(one, call)?, call.now_ms))
}

/// `GET /v2/conferenceRecords/{conference}/participants/{participant}/participantSessions`
pub(crate) fn sessions(sim: &mut Sim, call: &Call) -> Outcome {
    let one = conference(sim, call)?;
    let who = who(one, call)?;
    let session = |(at, (start, end)): (usize, &(i64, i64))| {
        let (conference, who) = (&one.id, &who.id);
        let name =
            format!("conferenceRecords/{conference}/participants/{who}/participantSessions/{}", at + 1);
        let mut body = json!({"name": name, "startTime": iso(*start)});
        if *end <= call.now_ms {
            body["endTime"] = json!(iso(*end));
        }
        body
    };
    let items = who.sessions.iter().enumerate().map(session).collect();
    Reply::ok(&page(call, "participantSessions", items, 100, 250)?)
}

fn transcript(one: &Conference, of: &Transcript, now_ms: i64) -> Value {
    let mut body = json!({"name": format!("conferenceRecords/{}/transcripts/{}", one.id, of.id),
        "state": of.state(now_ms), "startTime": iso(of.start_ms)});
    if of.end_ms <= now_ms {
        body["endTime"] = json!(iso(of.end_ms));
    }
    if of.ready_ms <= now_ms {
        body["docsDestination"] = json!({"document": of.document, "exportUri": export_uri(of)});
    }
    body
}

/// Where the transcript's file is read.
pub(crate) fn export_uri(of: &Transcript) -> String {
    format!("https://docs.google.com/document/d/{}/view", of.document)
}

/// `GET /v2/conferenceRecords/{conference}/transcripts`
pub(crate) fn transcripts(sim: &mut Sim, call: &Call) -> Outcome {
    let one = conference(sim, call)?;
    let begun = one.transcripts.iter().filter(|of| of.start_ms <= call.now_ms);
    let items = begun.map(|of| transcript(one, of, call.now_ms)).collect();
    Reply::ok(&page(call, "transcripts", items, 10, 100)?)
}

fn said<'a>(one: &'a Conference, call: &Call) -> Result<&'a Transcript, Failure> {
    one.transcripts.iter().find(|of| of.id == call.param("transcript")).ok_or_else(denied)
}

/// `GET /v2/conferenceRecords/{conference}/transcripts/{transcript}`
pub(crate) fn get_transcript(sim: &mut Sim, call: &Call) -> Outcome {
    let one = conference(sim, call)?;
    Reply::ok(&transcript(one, said(one, call)?, call.now_ms))
}

/// What was said, once it is written down.
fn lines(one: &Conference, of: &Transcript, now_ms: i64) -> Vec<Value> {
    let of_this = format!("conferenceRecords/{}", one.id);
    let entry = |entry: &super::conference::Entry| {
        json!({"name": format!("{of_this}/transcripts/{}/entries/{}", of.id, entry.id),
            "participant": format!("{of_this}/participants/{}", entry.participant), "text": entry.text,
            "languageCode": entry.language, "startTime": iso(entry.start_ms), "endTime": iso(entry.end_ms)})
    };
    let ready = of.ready_ms <= now_ms;
    of.entries.iter().filter(|_| ready).map(entry).collect()
}

/// `GET /v2/conferenceRecords/{conference}/transcripts/{transcript}/entries`
pub(crate) fn entries(sim: &mut Sim, call: &Call) -> Outcome {
    let one = conference(sim, call)?;
    let items = lines(one, said(one, call)?, call.now_ms);
    Reply::ok(&page(call, "transcriptEntries", items, 10, 100)?)
}

/// `GET /v2/conferenceRecords/{conference}/transcripts/{transcript}/entries/{entry}`
pub(crate) fn get_entry(sim: &mut Sim, call: &Call) -> Outcome {
    let one = conference(sim, call)?;
    let of = said(one, call)?;
    let at = of.entries.iter().position(|entry| entry.id == call.param("entry"));
    let mut items = lines(one, of, call.now_ms);
    let at = at.filter(|at| *at < items.len()).ok_or_else(denied)?;
    Reply::ok(&items.swap_remove(at))
}

/// `GET /v2/conferenceRecords/{conference}/recordings` and `smartNotes`: none is ever made.
pub(crate) fn nothing(sim: &mut Sim, call: &Call) -> Outcome {
    conference(sim, call)?;
    Reply::ok(&json!({}))
}

/// `GET /v2/spaces/{space}`: by its name or its meeting code.
pub(crate) fn space(sim: &mut Sim, call: &Call) -> Outcome {
    let wanted = call.param("space");
    let known = sim.spaces.iter().find(|(code, space)| *code == wanted || *space == wanted);
    let (code, space) = known.ok_or_else(denied)?;
    let mut body = json!({"name": format!("spaces/{space}"), "meetingCode": code,
        "meetingUri": format!("https://meet.google.com/{code}"),
        "config": {"accessType": "TRUSTED", "entryPointAccess": "ALL"}});
    let live =
        |one: &&Conference| one.code == *code && one.start_ms <= call.now_ms && call.now_ms < one.end_ms;
    if let Some(one) = sim.conferences.iter().find(live) {
        body["activeConference"] = json!({"conferenceRecord": format!("conferenceRecords/{}", one.id)});
    }
    Reply::ok(&body)
}
