//! Quotas and faults on dial.

use std::time::Instant;

use sandbox::google::{Fault, FaultKind, FaultMatch, Settings};
use serde_json::{Value, json};

use super::{EVENTS, each, google, google_with, refused, text};

#[tokio::test]
async fn the_quota_of_a_minute_refuses_with_403_or_429_and_recovers() {
    let google = google_with(Settings { calls_per_minute: 3, ..Settings::default() }).await;
    for _ in 0..3 {
        google.list(&[]).await.ok();
    }
    refused(&google.list(&[]).await, 403, "rateLimitExceeded");
    google.control("settings", json!({"quota_status": 429}));
    let answer = google.list(&[]).await;
    refused(&answer, 429, "rateLimitExceeded");
    assert_eq!(answer.body["error"]["errors"][0]["domain"], "usageLimits");
    // Meet has a quota of its own, and its own words.
    for _ in 0..3 {
        google.meet("conferenceRecords", &[]).await.ok();
    }
    let answer = google.meet("conferenceRecords", &[]).await;
    assert_eq!((answer.status, &answer.body["error"]["status"]), (429, &json!("RESOURCE_EXHAUSTED")));
    google.handle.advance_clock(61_000);
    google.list(&[]).await.ok();
}

#[tokio::test]
async fn an_answer_can_be_an_error_of_any_kind() {
    let google = google().await;
    for (kind, status, reason) in [
        ("429", 429, "rateLimitExceeded"),
        ("403_rate_limit", 403, "rateLimitExceeded"),
        ("403_quota", 403, "quotaExceeded"),
        ("401", 401, "authError"),
        ("410", 410, "fullSyncRequired"),
        ("500", 500, "backendError"),
        ("503", 503, "backendError"),
    ] {
        google.control(
            "faults",
            json!({"match": {"path_prefix": EVENTS, "method": "get"}, "kind": kind, "times": 1}),
        );
        google.get("/calendar/v3/users/me/calendarList").await.ok();
        refused(&google.list(&[]).await, status, reason);
        google.list(&[]).await.ok();
    }
    google.control("faults", json!({"kind": "502_html", "times": 1}));
    let answer = google.list(&[]).await;
    assert_eq!(answer.status, 502);
    assert!(text(&answer.body).contains("Bad Gateway"));
    google.control("faults", json!({"kind": "503"}));
    let meet = google.meet("conferenceRecords", &[]).await;
    assert_eq!((meet.status, &meet.body["error"]["status"]), (503, &json!("UNAVAILABLE")));
    let listed = google.handle.control("GET", "/_sandbox/faults", Value::Null).expect("faults");
    assert_eq!(listed["faults"].as_array().map(Vec::len), Some(1));
    google.handle.control("DELETE", "/_sandbox/faults", Value::Null).expect("cleared");
    google.list(&[]).await.ok();
    for wrong in [
        json!({"kind": "503", "times": 0}),
        json!({"kind": "bad mood"}),
        json!({"kind": "500", "probability": 2}),
    ] {
        assert_eq!(
            google.handle.control("POST", "/_sandbox/faults", wrong).expect_err("refused").status,
            400
        );
    }
}

#[tokio::test]
async fn an_empty_page_has_a_next_one_and_nothing_is_lost() {
    let google = google().await;
    let made: Vec<String> = (0..3).map(|at| text(&google.meeting("M", at)["id"])).collect();
    google.control("faults", json!({"kind": "empty_page", "times": 1}));
    let empty = google.list(&[]).await.ok();
    assert_eq!((&empty["items"], &empty["nextSyncToken"]), (&json!([]), &Value::Null));
    let page = text(&empty["nextPageToken"]);
    let full = google.list(&[("pageToken", &page), ("maxResults", "2")]).await.ok();
    assert_eq!(each(&full, "id"), made[..2]);
    let page = text(&full["nextPageToken"]);
    google.control("faults", json!({"kind": "empty_page", "times": 1}));
    let empty = google.list(&[("pageToken", &page)]).await.ok();
    let last = google.list(&[("pageToken", &text(&empty["nextPageToken"]))]).await.ok();
    assert_eq!(each(&last, "id"), made[2..]);
    google.handle.hold(json!({"id": google.meeting("Held", -2)["id"]})).expect("held");
    google.control("faults", json!({"kind": "empty_page", "times": 1}));
    let empty = google.meet("conferenceRecords", &[]).await.ok();
    assert_eq!(empty["conferenceRecords"], Value::Null);
    let next = google.meet("conferenceRecords", &[("pageToken", &text(&empty["nextPageToken"]))]).await.ok();
    assert_eq!(next["conferenceRecords"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn answers_come_late_in_half_or_never() {
    let google = google().await;
    let fault = |kind| Fault {
        on: FaultMatch { path_prefix: Some(EVENTS.to_owned()), method: None },
        kind,
        times: Some(1),
        probability: None,
        delay_ms: Some(60),
    };
    google.handle.add_fault(fault(FaultKind::Slow));
    let began = Instant::now();
    google.list(&[]).await.ok();
    assert!(began.elapsed().as_millis() >= 60);
    let insert = async |name: &str| {
        let event = json!({"summary": name, "start": google.hours(1), "end": google.hours(2)});
        let request = google.http.post(format!("{}{EVENTS}", google.handle.url()));
        let answer = request.bearer_auth(google.handle.access_token()).json(&event).send().await;
        match answer {
            Ok(answer) => answer.text().await.is_ok(),
            Err(_) => false,
        }
    };
    for (kind, took_effect) in [
        (FaultKind::CutMidBody, true),
        (FaultKind::DropConnection, false),
        (FaultKind::TimeoutAfterApply, true),
    ] {
        google.handle.add_fault(fault(kind));
        let name = format!("{kind:?}");
        assert!(!insert(&name).await, "{name} answers nothing whole");
        let found = google.list(&[("q", &name)]).await.ok();
        assert_eq!(each(&found, "summary").len(), usize::from(took_effect), "{name}");
    }
    google.handle.add_fault(fault(FaultKind::Internal));
    google.handle.clear_faults();
    assert!(insert("Fine").await);
}
