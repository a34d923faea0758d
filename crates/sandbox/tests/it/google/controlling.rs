//! The control API: what people and operators do.

use sandbox::google::Settings;
use serde_json::{Value, json};

use super::{HOUR_MS, each, google, google_with, text};

#[tokio::test]
async fn planted_meetings_look_real_and_those_that_are_over_were_held() {
    let google = google().await;
    let planted = google.handle.seed(40).expect("planted");
    assert_eq!(planted["created"], 40);
    let health = google.handle.control("GET", "/_sandbox/health", Value::Null).expect("health");
    // Series that were held have an exception beside them, which shows the transcript.
    assert!((40..=44).contains(&health["accounts"][0]["events"].as_u64().expect("a count")), "{health}");
    let held = health["conferences"].as_u64().expect("a count");
    assert!((5..36).contains(&held), "some of them are over: {held}");
    let list = google.list(&[]).await.ok();
    for event in list["items"].as_array().expect("items") {
        assert!(event["conferenceData"]["conferenceId"].is_string(), "{event}");
        assert!(
            event["attendees"][0]["email"].as_str().is_some_and(|email| email.ends_with(".example")),
            "{event}"
        );
    }
    let records = google.meet("conferenceRecords", &[("pageSize", "100")]).await.ok();
    let name = text(&records["conferenceRecords"][20.min(held as usize - 1)]["name"]);
    let transcripts = google.meet(&format!("{name}/transcripts"), &[]).await.ok();
    let entries = format!("{}/entries", text(&transcripts["transcripts"][0]["name"]));
    assert_eq!(google.meet(&entries, &[]).await.ok()["transcriptEntries"].as_array().map(Vec::len), Some(4));
    let ordered = json!({"count": 3, "seed": 9, "domains": ["partner.test"]});
    google.control("seed", ordered);
    assert_eq!(each(&google.list(&[("q", "partner.test")]).await.ok(), "id").len(), 3);
    assert_eq!(google.handle.seed(5_001).expect_err("too many").status, 400);
}

#[tokio::test]
async fn people_set_up_edit_move_and_cancel_meetings() {
    let google = google().await;
    let id = text(&google.meeting("Plan", 2)["id"]);
    let edited = google.control("edit", json!({"id": id, "fields": {"summary": "Better plan"}}));
    assert_eq!(edited["summary"], "Better plan");
    let start = google.hours(5);
    let moved = google.control("move", json!({"id": id, "start": start, "end": google.hours(8)}));
    assert_eq!(moved["sequence"], 1);
    let stays = google.control("move", json!({"id": id, "start": google.hours(6)}));
    let length = |event: &Value| {
        let at =
            |end: &str| text(&event[end]["dateTime"]).parse::<jiff::Timestamp>().expect("a time").as_second();
        at("end") - at("start")
    };
    assert_eq!((length(&moved), length(&stays)), (3 * 3_600, 3 * 3_600));
    google.handle.cancel(&id).expect("cancelled");
    let state = google.handle.control("GET", "/_sandbox/state", Value::Null).expect("the state");
    assert_eq!((&state["total"], &state["results"][0]["status"]), (&json!(1), &json!("cancelled")));
    for (path, body) in [
        ("move", json!({"id": id})),
        ("move", json!({"id": "nothing", "start": start})),
        ("edit", json!({"id": id})),
        ("meeting", json!({"account": "nobody@harborline.example"})),
        ("hold", json!({"code": "xxx-xxxx-xxx"})),
        ("hold", json!({})),
        ("hold", json!({"lines": "none"})),
    ] {
        let refused = google.handle.control("POST", &format!("/_sandbox/{path}"), body).expect_err("refused");
        assert!([400, 404].contains(&refused.status), "{path}: {refused}");
    }
    assert_eq!(
        google.handle.control("GET", "/calendar/v3/nothing", Value::Null).expect_err("refused").status,
        404
    );
}

#[tokio::test]
async fn settings_are_changed_by_name_and_the_clock_goes_forward_only() {
    let google = google().await;
    let all = google.control("settings", json!({"transcript_delay_ms": 5, "calls_per_minute": 9}));
    assert_eq!((&all["transcript_delay_ms"], &all["calls_per_minute"]), (&json!(5), &json!(9)));
    assert_eq!(google.control("settings", Value::Null), all);
    for wrong in [json!({"mood": "good"}), json!({"quota_status": 500}), json!({"sync_token_days": -1})] {
        assert_eq!(google.handle.change_settings(wrong).expect_err("refused").status, 400);
    }
    let before = google.now_ms();
    google.control("clock", json!({"advance_ms": HOUR_MS}));
    assert!(google.now_ms() >= before + 3_600_000);
    let back = google.handle.control("POST", "/_sandbox/clock", json!({"advance_ms": -1}));
    assert_eq!(back.expect_err("refused").status, 400);
}

#[tokio::test]
async fn calls_are_counted_by_route_and_remembered() {
    let google = google().await;
    google.list(&[]).await.ok();
    google.list(&[("pageToken", "x")]).await;
    google.meet("conferenceRecords", &[]).await.ok();
    let calls = google.handle.control("GET", "/_sandbox/calls?last=1", Value::Null).expect("calls");
    assert_eq!((&calls["total"], &calls["classes"]["api"]), (&json!(3), &json!(3)));
    let route = &calls["routes"]["GET /calendar/v3/calendars/{calendarId}/events"]["by_status"];
    assert_eq!(route, &json!({"200": 1, "400": 1}));
    assert_eq!(calls["last"][0]["account"], google.handle.email());
    google.handle.control("DELETE", "/_sandbox/calls", Value::Null).expect("cleared");
    assert_eq!(google.handle.calls()["total"], 0);
}

#[tokio::test]
async fn a_restart_resumes_with_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = || Settings { state_file: Some(folder.path().join("google.json")), ..Settings::default() };
    let google = google_with(settings()).await;
    let id = text(&google.meeting("Kept", -2)["id"]);
    google.handle.hold(json!({"id": id, "lines": [{"speaker": "Mia", "text": "Hello"}]})).expect("held");
    google.handle.advance_clock(HOUR_MS);
    let channel = json!({"id": "kept", "type": "web_hook", "address": "http://127.0.0.1:9/"});
    google.post("/calendar/v3/calendars/primary/events/watch", channel).await.ok();
    let sync = text(&google.list(&[]).await.ok()["nextSyncToken"]);
    let (token, before) = (google.handle.access_token().to_owned(), google.now_ms());
    let state =
        |google: &super::Google| google.handle.control("GET", "/_sandbox/state", Value::Null).expect("state");
    let kept = state(&google);
    google.handle.shutdown().await;
    let google = google_with(settings()).await;
    assert_eq!((google.handle.access_token(), state(&google)), (token.as_str(), kept));
    assert!(google.now_ms() >= before);
    let new = text(&google.meeting("New", 1)["id"]);
    assert_eq!(each(&google.list(&[("syncToken", &sync)]).await.ok(), "id"), [new]);
    let channels = google.handle.control("GET", "/_sandbox/channels", Value::Null).expect("channels");
    assert_eq!(channels["channels"][0]["id"], "kept");
    // What was answered is in the file before the process ends in any way.
    let copy = folder.path().join("copy.json");
    std::fs::copy(folder.path().join("google.json"), &copy).expect("a copy");
    let killed = google_with(Settings { state_file: Some(copy), ..Settings::default() }).await;
    assert_eq!(state(&killed), state(&google));
    google.control("expire_sync_tokens", Value::Null);
    google.handle.shutdown().await;
    let google = google_with(settings()).await;
    super::refused(&google.list(&[("syncToken", &sync)]).await, 410, "fullSyncRequired");
}
