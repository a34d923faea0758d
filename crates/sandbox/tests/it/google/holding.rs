//! Meetings that take place, and what Meet knows of them.

use serde_json::{Value, json};

use super::{EVENTS, Google, HOUR_MS, each, google, text, zurich};
use crate::client::Answer;

const DAY_MS: u64 = 24 * HOUR_MS;

fn lines() -> Value {
    json!([
        {"speaker": "Dana Whitfield", "text": "Shall we begin?", "at_s": 5},
        {"speaker": "Mia Novak", "text": "Ja, gern.", "at_s": 12, "language": "de-DE"},
        {"speaker": "Dana Whitfield", "text": "The offer is ready.", "at_s": 20},
    ])
}

/// The names of a list's entries.
fn names(body: &Value, key: &str) -> Vec<String> {
    let list = body[key].as_array().cloned().unwrap_or_default();
    list.iter().map(|one| text(&one["name"])).collect()
}

/// A meeting that began an hour ago and has just ended; gives its event and its record's name.
async fn held(google: &Google) -> (Value, String) {
    let event = google.meeting("Offer", -1);
    let held = google.handle.hold(json!({"id": event["id"], "lines": lines()})).expect("held");
    (event, text(&held["conferenceRecord"]))
}

#[track_caller]
fn refused(answer: &Answer, status: u16, word: &str) {
    let error = &answer.body["error"];
    assert_eq!((answer.status, error["status"].as_str()), (status, Some(word)), "{}", answer.body);
    assert_eq!(error["errors"], Value::Null, "the newer shape");
}

#[tokio::test]
async fn a_transcript_comes_into_being_some_time_after_the_meeting() {
    let google = google().await;
    let event = google.meeting("Offer", 1);
    let code = text(&event["conferenceData"]["conferenceId"]);
    google.handle.hold(json!({"id": event["id"], "lines": lines()})).expect("held");
    let filter = format!("space.meeting_code = \"{code}\"");
    let records = async || google.meet("conferenceRecords", &[("filter", &filter)]).await.ok();
    // Before it begins there is nothing, not even the key.
    assert_eq!(records().await, json!({}));
    google.handle.advance_clock(HOUR_MS + 60_000);
    let running = records().await;
    let record = text(&running["conferenceRecords"][0]["name"]);
    assert_eq!(running["conferenceRecords"][0]["endTime"], Value::Null);
    assert_eq!(
        google.get(&format!("/v2/spaces/{code}")).await.ok()["activeConference"]["conferenceRecord"],
        record
    );
    let transcripts = async || google.meet(&format!("{record}/transcripts"), &[]).await.ok();
    assert_eq!(transcripts().await["transcripts"][0]["state"], "STARTED");
    google.handle.advance_clock(HOUR_MS);
    let ended = records().await["conferenceRecords"][0].clone();
    assert!(ended["endTime"].is_string() && ended["expireTime"].is_string(), "{ended}");
    assert_eq!(google.meet(&record, &[]).await.ok(), ended);
    let ended = transcripts().await["transcripts"][0].clone();
    assert_eq!((&ended["state"], &ended["docsDestination"]), (&json!("ENDED"), &Value::Null));
    let transcript = text(&ended["name"]);
    let entries =
        async |query: &[(&str, &str)]| google.meet(&format!("{transcript}/entries"), query).await.ok();
    assert_eq!(entries(&[]).await, json!({}));
    let sync = text(&google.list(&[]).await.ok()["nextSyncToken"]);
    google.handle.advance_clock(10 * 60_000);
    let ready = google.meet(&transcript, &[]).await.ok();
    assert_eq!(ready["state"], "FILE_GENERATED");
    let file = text(&ready["docsDestination"]["document"]);
    assert!(text(&ready["docsDestination"]["exportUri"]).contains(&file));
    // Page by page, in the order of speech, each by its participant.
    let first = entries(&[("pageSize", "2")]).await;
    let rest = entries(&[("pageSize", "2"), ("pageToken", &text(&first["nextPageToken"]))]).await;
    let said: Vec<Value> = [&first, &rest]
        .iter()
        .flat_map(|page| page["transcriptEntries"].as_array().cloned().unwrap_or_default())
        .collect();
    let texts: Vec<String> = said.iter().map(|one| text(&one["text"])).collect();
    assert_eq!(texts, ["Shall we begin?", "Ja, gern.", "The offer is ready."]);
    assert_eq!(said[1]["languageCode"], "de-DE");
    assert_eq!(google.meet(&text(&said[1]["name"]), &[]).await.ok(), said[1]);
    let speaker = google.meet(&text(&said[1]["participant"]), &[]).await.ok();
    assert_eq!(speaker["signedinUser"]["displayName"], "Mia Novak");
    assert_eq!(said[0]["participant"], said[2]["participant"]);
    assert_eq!(rest["nextPageToken"], Value::Null);
    // The organizer's event shows the file, and incremental lists tell so.
    let news = google.list(&[("syncToken", &sync)]).await.ok();
    assert_eq!(each(&news, "id"), [text(&event["id"])]);
    assert_eq!(news["items"][0]["attachments"][0]["fileId"], file);
    assert_eq!(news["items"][0]["attachments"][0]["title"], "Offer - Transcript");
}

#[tokio::test]
async fn a_conference_is_forgotten_after_thirty_days() {
    let google = google().await;
    let (_, record) = held(&google).await;
    google.handle.advance_clock(30 * DAY_MS - 60_000);
    google.meet(&record, &[]).await.ok();
    let transcripts = google.meet(&format!("{record}/transcripts"), &[]).await.ok();
    let transcript = names(&transcripts, "transcripts").remove(0);
    google.handle.advance_clock(120_000);
    for path in [
        record.clone(),
        format!("{record}/participants"),
        transcript.clone(),
        format!("{transcript}/entries"),
    ] {
        refused(&google.meet(&path, &[]).await, 404, "NOT_FOUND");
    }
    assert_eq!(google.meet("conferenceRecords", &[]).await.ok(), json!({}));
}

#[tokio::test]
async fn participants_are_told_by_how_they_came() {
    let google = google().await;
    let event = google.meeting("Many", -1);
    let held = google.handle.hold(json!({"id": event["id"], "participants": [
        {"name": "Riley Okafor", "sessions": [[0, 600], [900, 3600]]},
        {"name": "A guest", "kind": "anonymous"}, {"name": "+1 617 …", "kind": "phone"}]}));
    let record = text(&held.expect("held")["conferenceRecord"]);
    let path = format!("{record}/participants");
    let all = google.meet(&path, &[]).await.ok();
    assert_eq!(all["totalSize"], 3);
    let [riley, guest, phone] = [0, 1, 2].map(|at| all["participants"][at].clone());
    assert!(text(&riley["signedinUser"]["user"]).starts_with("users/"), "{riley}");
    assert_eq!(
        (&guest["anonymousUser"]["displayName"], &guest["signedinUser"]),
        (&json!("A guest"), &Value::Null)
    );
    assert!(phone["phoneUser"]["displayName"].is_string());
    let sessions = google.meet(&format!("{}/participantSessions", text(&riley["name"])), &[]).await.ok();
    let sessions = sessions["participantSessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 2);
    assert_eq!(
        (&sessions[0]["startTime"], &sessions[1]["endTime"]),
        (&riley["earliestStartTime"], &riley["latestEndTime"])
    );
    let page = google.meet(&path, &[("pageSize", "2")]).await.ok();
    let last = google.meet(&path, &[("pageToken", &text(&page["nextPageToken"]))]).await.ok();
    assert_eq!((names(&page, "participants").len(), names(&last, "participants").len()), (2, 1));
    let still = google.meet(&path, &[("filter", "latest_end_time IS NULL")]).await.ok();
    assert_eq!(names(&still, "participants").len(), 0, "all have left");
    // Nothing was said, nothing written down, nothing recorded.
    for list in ["transcripts", "recordings", "smartNotes"] {
        assert_eq!(google.meet(&format!("{record}/{list}"), &[]).await.ok(), json!({}));
    }
}

#[tokio::test]
async fn conferences_of_one_room_are_told_apart_by_their_times() {
    let google = google().await;
    let series = json!({"summary": "Weekly", "start": google.hours(-24 * 15), "end": google.hours(1 - 24 * 15),
        "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"]});
    let id = text(&google.handle.meeting(series).expect("a series")["id"]);
    let times = google.list(&[("singleEvents", "true"), ("orderBy", "startTime")]).await.ok();
    let code = text(&times["items"][0]["conferenceData"]["conferenceId"]);
    let mut records = Vec::new();
    for time in each(&times, "id") {
        assert!(time.starts_with(&id), "{time}");
        records.push(text(
            &google.handle.hold(json!({"id": time, "lines": lines()})).expect("held")["conferenceRecord"],
        ));
    }
    let found = async |filter: &str| {
        names(&google.meet("conferenceRecords", &[("filter", filter)]).await.ok(), "conferenceRecords")
    };
    let room = format!("space.meeting_code = \"{code}\"");
    let newest_first: Vec<String> = records.iter().rev().cloned().collect();
    assert_eq!(found(&room).await, newest_first);
    let start = |at: usize| text(&times["items"][at]["start"]["dateTime"]);
    let second = format!("{room} AND start_time >= \"{}\" AND start_time < \"{}\"", start(1), start(2));
    assert_eq!(found(&second).await, [records[1].clone()]);
    assert_eq!(found(&format!("{room} AND end_time IS NULL")).await, Vec::<String>::new());
    assert_eq!(found("space.meeting_code = \"xxx-xxxx-xxx\"").await, Vec::<String>::new());
    for filter in ["space.meeting_code = abc", "start_time > \"soon\"", "color = \"red\""] {
        refused(&google.meet("conferenceRecords", &[("filter", filter)]).await, 400, "INVALID_ARGUMENT");
    }
    for query in [("pageSize", "-1"), ("pageSize", "many"), ("pageToken", "x")] {
        refused(&google.meet("conferenceRecords", &[query]).await, 400, "INVALID_ARGUMENT");
    }
    let page = google.meet("conferenceRecords", &[("pageSize", "2")]).await.ok();
    let rest = google.meet("conferenceRecords", &[("pageToken", &text(&page["nextPageToken"]))]).await.ok();
    assert_eq!([names(&page, "conferenceRecords"), names(&rest, "conferenceRecords")].concat(), newest_first);
    // The transcript belongs to one time of the series only.
    google.handle.advance_clock(DAY_MS);
    let times = google.list(&[("singleEvents", "true"), ("orderBy", "startTime")]).await.ok();
    let files: Vec<usize> =
        (0..3).map(|at| times["items"][at]["attachments"].as_array().map_or(0, Vec::len)).collect();
    assert_eq!(files, [1, 1, 1]);
    assert_eq!(google.get(&format!("{EVENTS}/{id}")).await.ok()["attachments"], Value::Null);
}

#[tokio::test]
async fn what_others_hold_is_not_shown() {
    let google = google().await;
    let event = json!({"account": google.handle.other_email(), "summary": "Theirs",
        "start": zurich("2024-03-01T10:00:00"), "end": zurich("2024-03-01T11:00:00")});
    let event = google.handle.meeting(event).expect("a meeting");
    let ask = json!({"account": google.handle.other_email(), "id": event["id"], "start": google.hours(-1)["dateTime"],
        "minutes": 20, "lines": lines()});
    let record = text(&google.handle.hold(ask).expect("held")["conferenceRecord"]);
    refused(&google.meet(&record, &[]).await, 403, "PERMISSION_DENIED");
    assert_eq!(google.meet("conferenceRecords", &[]).await.ok(), json!({}));
    refused(&google.meet("conferenceRecords/nothing", &[]).await, 404, "NOT_FOUND");
    refused(&google.meet("spaces/nothing", &[]).await, 404, "NOT_FOUND");
    let plain =
        json!({"summary": "No room", "meet": false, "start": google.hours(-2), "end": google.hours(-1)});
    let plain = google.handle.meeting(plain).expect("an event");
    let refused = google.handle.hold(json!({"id": plain["id"]})).expect_err("no room");
    assert_eq!(refused.status, 400);
}
