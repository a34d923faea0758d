//! Lists of events: pages, sync tokens, bounds.

use serde_json::{Value, json};

use super::{HOUR_MS, each, google, refused, text};

#[tokio::test]
async fn a_full_list_is_paged_and_only_its_last_page_has_a_sync_token() {
    let google = google().await;
    let made: Vec<String> = (0..7).map(|at| text(&google.meeting(&format!("M{at}"), at)["id"])).collect();
    let (mut seen, mut page) = (Vec::new(), String::new());
    loop {
        let body = google.list(&[("maxResults", "3"), ("pageToken", &page)]).await.ok();
        seen.extend(each(&body, "id"));
        let (next, sync) = (&body["nextPageToken"], &body["nextSyncToken"]);
        assert_ne!(next.is_string(), sync.is_string(), "one of the two: {body}");
        if next.is_null() {
            break;
        }
        page = text(next);
    }
    assert_eq!(seen, made);
    let body = google.list(&[]).await.ok();
    assert_eq!((&body["kind"], &body["summary"]), (&json!("calendar#events"), &json!(google.handle.email())));
    assert_eq!((&body["timeZone"], &body["accessRole"]), (&json!("Europe/Zurich"), &json!("owner")));
}

#[tokio::test]
async fn an_incremental_list_tells_what_changed_and_what_was_cancelled() {
    let google = google().await;
    let [stays, changes, goes] =
        ["Stays", "Changes", "Goes"].map(|name| text(&google.meeting(name, 5)["id"]));
    let sync = text(&google.list(&[]).await.ok()["nextSyncToken"]);
    let none = google.list(&[("syncToken", &sync)]).await.ok();
    assert_eq!(none["items"], json!([]));
    google.handle.shift(&changes, google.hours(9)).expect("moved");
    google.handle.cancel(&goes).expect("cancelled");
    let comes = text(&google.meeting("Comes", 6)["id"]);
    let sync = text(&none["nextSyncToken"]);
    let first = google.list(&[("syncToken", &sync), ("maxResults", "2")]).await.ok();
    assert_eq!(each(&first, "id"), [changes, goes.clone()]);
    assert_eq!(first["nextSyncToken"], Value::Null);
    let cancelled = &first["items"][1];
    assert_eq!((&cancelled["id"], &cancelled["status"]), (&json!(goes), &json!("cancelled")));
    assert_eq!(cancelled["summary"], Value::Null);
    let page = text(&first["nextPageToken"]);
    let last = google.list(&[("syncToken", &sync), ("maxResults", "2"), ("pageToken", &page)]).await.ok();
    assert_eq!(each(&last, "id"), [comes]);
    // The old token repeats, the new one has nothing.
    assert_eq!(each(&google.list(&[("syncToken", &sync)]).await.ok(), "id").len(), 3);
    let new = text(&last["nextSyncToken"]);
    assert_eq!(google.list(&[("syncToken", &new)]).await.ok()["items"], json!([]));
    // A full list does not show the cancelled one unless it is asked for.
    assert!(!each(&google.list(&[]).await.ok(), "id").contains(&goes));
    let all = each(&google.list(&[("showDeleted", "true")]).await.ok(), "id");
    assert!(all.contains(&goes) && all.contains(&stays), "{all:?}");
}

#[tokio::test]
async fn what_changes_while_a_list_is_read_comes_with_the_next_one() {
    let google = google().await;
    let made: Vec<String> = (0..4).map(|at| text(&google.meeting("M", at)["id"])).collect();
    let first = google.list(&[("maxResults", "2")]).await.ok();
    assert_eq!(each(&first, "id"), made[..2]);
    // One that was shown, one that was not, and one that is new.
    google.handle.shift(&made[0], google.hours(20)).expect("moved");
    google.handle.cancel(&made[2]).expect("cancelled");
    let new = text(&google.meeting("New", 7)["id"]);
    let last = google.list(&[("maxResults", "2"), ("pageToken", &text(&first["nextPageToken"]))]).await.ok();
    assert_eq!(each(&last, "id"), made[3..]);
    let next = google.list(&[("syncToken", &text(&last["nextSyncToken"]))]).await.ok();
    assert_eq!(each(&next, "id"), [made[0].clone(), made[2].clone(), new]);
}

#[tokio::test]
async fn a_sync_token_goes_with_no_other_restriction() {
    let google = google().await;
    let sync = text(&google.list(&[]).await.ok()["nextSyncToken"]);
    for (name, value) in [
        ("iCalUID", "x"),
        ("orderBy", "updated"),
        ("privateExtendedProperty", "a=b"),
        ("q", "x"),
        ("sharedExtendedProperty", "a=b"),
        ("timeMin", "2024-01-01T00:00:00Z"),
        ("timeMax", "2024-01-01T00:00:00Z"),
        ("updatedMin", "2024-01-01T00:00:00Z"),
        ("showDeleted", "false"),
    ] {
        refused(&google.list(&[("syncToken", &sync), (name, value)]).await, 400, "badRequest");
    }
    refused(&google.list(&[("syncToken", &sync), ("singleEvents", "true")]).await, 400, "invalid");
    for token in ["x", "bnVsbA==", "e30="] {
        refused(&google.list(&[("syncToken", token)]).await, 400, "invalid");
        refused(&google.list(&[("pageToken", token)]).await, 400, "invalid");
    }
    // Lists in another order or of some events only cannot be continued.
    for restriction in [("orderBy", "updated"), ("q", "x"), ("updatedMin", "2024-01-01T00:00:00Z")] {
        assert_eq!(google.list(&[restriction]).await.ok()["nextSyncToken"], Value::Null, "{restriction:?}");
    }
}

#[tokio::test]
async fn a_sync_token_that_is_gone_answers_410_also_in_the_middle_of_a_list() {
    let google = google().await;
    let sync = text(&google.list(&[]).await.ok()["nextSyncToken"]);
    for at in 0..3 {
        google.meeting("M", at);
    }
    let first = google.list(&[("syncToken", &sync), ("maxResults", "2")]).await.ok();
    let page = text(&first["nextPageToken"]);
    google.control("expire_sync_tokens", Value::Null);
    let gone = json!({"error": {"errors": [{"domain": "calendar", "reason": "fullSyncRequired",
        "message": "Sync token is no longer valid, a full sync is required.",
        "locationType": "parameter", "location": "syncToken"}], "code": 410,
        "message": "Sync token is no longer valid, a full sync is required."}});
    for query in [vec![("syncToken", sync.as_str())], vec![("syncToken", &sync), ("pageToken", &page)]] {
        let answer = google.list(&query).await;
        assert_eq!((answer.status, &answer.body), (410, &gone));
    }
    let fresh = google.list(&[]).await.ok();
    assert_eq!(each(&fresh, "id").len(), 3);
    let sync = text(&fresh["nextSyncToken"]);
    google.list(&[("syncToken", &sync)]).await.ok();
    google.handle.advance_clock(29 * 24 * HOUR_MS);
    refused(&google.list(&[("syncToken", &sync)]).await, 410, "fullSyncRequired");
}

#[tokio::test]
async fn a_list_is_bounded_by_times_words_and_ids() {
    let google = google().await;
    let event = |name: &str, day: u32| {
        let at = |hour: u32| super::zurich(&format!("2024-05-{day:02}T{hour:02}:00:00"));
        json!({"summary": name, "start": at(10), "end": at(11), "description": format!("about {name}s")})
    };
    for (name, day) in [("Pear", 3), ("Apple", 1), ("Plum", 2)] {
        google.handle.meeting(event(name, day)).expect("a meeting");
    }
    let names = async |query: &[(&str, &str)]| each(&google.list(query).await.ok(), "summary");
    // Both bounds are exclusive, of the end and of the start.
    assert_eq!(names(&[("timeMin", "2024-05-01T11:00:00+02:00")]).await, ["Pear", "Plum"]);
    assert_eq!(names(&[("timeMin", "2024-05-01T10:59:59+02:00")]).await, ["Pear", "Apple", "Plum"]);
    assert_eq!(names(&[("timeMax", "2024-05-02T08:00:00Z")]).await, ["Apple"]);
    assert_eq!(names(&[("timeMax", "2024-05-02T08:00:01Z")]).await, ["Apple", "Plum"]);
    assert_eq!(names(&[("q", "apples")]).await, ["Apple"]);
    assert_eq!(names(&[("orderBy", "startTime"), ("singleEvents", "true")]).await, ["Apple", "Plum", "Pear"]);
    let first =
        google.list(&[("orderBy", "startTime"), ("singleEvents", "true"), ("maxResults", "2")]).await.ok();
    let page = text(&first["nextPageToken"]);
    let ordered = [("orderBy", "startTime"), ("singleEvents", "true"), ("pageToken", page.as_str())];
    assert_eq!(names(&ordered).await, ["Pear"]);
    let uid = text(&first["items"][0]["iCalUID"]);
    assert_eq!(names(&[("iCalUID", &uid)]).await, ["Apple"]);
    let zone = google.list(&[("timeZone", "America/New_York"), ("q", "apple")]).await.ok();
    assert_eq!(zone["items"][0]["start"]["dateTime"], "2024-05-01T04:00:00-04:00");
    assert_eq!(zone["items"][0]["start"]["timeZone"], "Europe/Zurich");
    for (name, value, reason) in [
        ("timeMin", "2024-05-01T10:00:00", "badRequest"),
        ("timeMin", "yesterday", "badRequest"),
        ("maxResults", "0", "invalid"),
        ("maxResults", "-1", "invalid"),
        ("orderBy", "startTime", "badRequest"),
        ("orderBy", "color", "invalid"),
        ("timeZone", "Mars/Base", "invalid"),
    ] {
        refused(&google.list(&[(name, value)]).await, 400, reason);
    }
    let turned = [("timeMin", "2024-05-02T00:00:00Z"), ("timeMax", "2024-05-01T00:00:00Z")];
    refused(&google.list(&turned).await, 400, "timeRangeEmpty");
}
