//! Events that clients write.

use reqwest::Method;
use serde_json::{Value, json};

use super::{EVENTS, each, google, refused, text, zurich};
use crate::client::read;

fn call() -> Value {
    json!({"summary": "Call", "start": zurich("2027-02-01T10:00:00"), "end": zurich("2027-02-01T10:30:00"),
        "attendees": [{"email": "Mia@Northwind.example"}]})
}

#[tokio::test]
async fn an_event_is_created_read_changed_replaced_and_deleted() {
    let google = google().await;
    let made = google.post("", call()).await.ok();
    let id = text(&made["id"]);
    assert_eq!((&made["status"], &made["kind"]), (&json!("confirmed"), &json!("calendar#event")));
    assert_eq!(made["organizer"], json!({"email": google.handle.email(), "self": true}));
    assert_eq!(
        made["attendees"],
        json!([{"email": "mia@northwind.example", "responseStatus": "needsAction"}])
    );
    assert_eq!(made["start"], json!({"dateTime": "2027-02-01T10:00:00+01:00", "timeZone": "Europe/Zurich"}));
    assert_eq!(made["iCalUID"], format!("{id}@google.com"));
    let path = format!("/{id}");
    assert_eq!(google.get(&format!("{EVENTS}{path}")).await.ok(), made);
    let path = format!("{EVENTS}{path}");
    let changed = google.patch(&path, json!({"location": "Bern", "summary": null})).await.ok();
    assert_eq!((&changed["location"], &changed["summary"]), (&json!("Bern"), &Value::Null));
    assert_ne!(changed["etag"], made["etag"]);
    // Whoever saw an older version is told so.
    let stale = google.http.patch(format!("{}{path}", google.handle.url()));
    let stale = stale.bearer_auth(google.handle.access_token()).header("If-Match", text(&made["etag"]));
    refused(
        &read(stale.json(&json!({"location": "Basel"})).send().await.expect("an answer")).await,
        412,
        "conditionNotMet",
    );
    let replaced = google.put(&path, call()).await.ok();
    assert_eq!((&replaced["location"], &replaced["summary"]), (&Value::Null, &json!("Call")));
    let gone = google.delete(&path).await;
    assert_eq!((gone.status, gone.body), (204, json!("")));
    assert_eq!(google.get(&path).await.ok()["status"], "cancelled");
    refused(&google.delete(&path).await, 410, "deleted");
    refused(&google.get(&format!("{EVENTS}/nothing")).await, 404, "notFound");
    refused(&google.patch(&format!("{EVENTS}/nothing"), json!({})).await, 404, "notFound");
}

#[tokio::test]
async fn wrong_events_are_refused_by_reason() {
    let google = google().await;
    let with = |name: &str, value: Value| {
        let mut event = call();
        event[name] = value;
        event
    };
    for (event, reason) in [
        (json!({}), "required"),
        (json!({"start": {"date": "2027-02-01"}}), "required"),
        (with("end", json!({})), "required"),
        (with("end", zurich("2027-02-01T09:00:00")), "timeRangeEmpty"),
        (with("end", json!({"date": "2027-02-02"})), "invalid"),
        (with("start", json!({"date": "2027-02-30"})), "invalid"),
        (with("start", json!({"dateTime": "soon"})), "invalid"),
        (with("start", json!({"dateTime": "2027-02-01T10:00:00Z", "timeZone": "Mars/Base"})), "invalid"),
        (with("recurrence", json!(["RRULE:FREQ=SOMETIMES"])), "invalid"),
        (with("recurrence", json!("RRULE:FREQ=DAILY")), "invalid"),
        (with("attendees", json!([{"displayName": "Mia"}])), "invalid"),
        (with("attendees", json!("mia")), "invalid"),
        (with("status", json!("perhaps")), "invalid"),
        (with("id", json!("NOT-AN-ID")), "invalid"),
    ] {
        refused(&google.post("", event.clone()).await, 400, reason);
    }
    let zoneless = json!({"dateTime": "2027-02-01T08:00:00Z"});
    let mut series = with("recurrence", json!(["RRULE:FREQ=DAILY;COUNT=2"]));
    series["start"] = zoneless;
    refused(&google.post("", series).await, 400, "required");
    google.post("", with("id", json!("abcde12345"))).await.ok();
    refused(&google.post("", with("id", json!("abcde12345"))).await, 409, "duplicate");
    let url = format!("{}{EVENTS}", google.handle.url());
    for body in ["[", "[]", "\"x\"", "{\"start\":"] {
        let request = google.http.post(&url).bearer_auth(google.handle.access_token()).body(body);
        refused(&read(request.send().await.expect("an answer")).await, 400, "parseError");
    }
    let nowhere = google.send(Method::PUT, EVENTS, google.handle.access_token(), None).await;
    refused(&nowhere, 405, "httpMethodNotAllowed");
    refused(&google.get("/calendar/v3/everything").await, 404, "notFound");
    assert_eq!(google.list(&[]).await.ok()["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_meet_room_is_made_for_clients_that_know_conferences() {
    let google = google().await;
    let mut event = call();
    event["conferenceData"] = json!({"createRequest": {"requestId": "r-1",
        "conferenceSolutionKey": {"type": "hangoutsMeet"}}});
    assert_eq!(google.post("", event.clone()).await.ok()["conferenceData"], Value::Null);
    let made = google.post(&format!("{EVENTS}?conferenceDataVersion=1"), event).await.ok();
    let code = text(&made["conferenceData"]["conferenceId"]);
    let parts: Vec<usize> = code.split('-').map(str::len).collect();
    assert_eq!(parts, [3, 4, 3], "{code}");
    assert_eq!(made["conferenceData"]["conferenceSolution"]["key"]["type"], "hangoutsMeet");
    assert_eq!(made["conferenceData"]["createRequest"]["status"]["statusCode"], "success");
    assert_eq!(made["hangoutLink"], format!("https://meet.google.com/{code}"));
    assert_eq!(made["conferenceData"]["entryPoints"][0]["uri"], made["hangoutLink"]);
    let space = google.get(&format!("/v2/spaces/{code}")).await.ok();
    assert_eq!((&space["meetingCode"], &space["meetingUri"]), (&json!(code), &made["hangoutLink"]));
    assert_eq!(google.get(&format!("/v2/{}", text(&space["name"]))).await.ok(), space);
    // Another vendor's room is kept as it is and has no Meet link.
    let mut event = call();
    event["conferenceData"] =
        json!({"conferenceId": "123", "conferenceSolution": {"key": {"type": "addOn"}}});
    let made = google.post(&format!("{EVENTS}?conferenceDataVersion=1"), event.clone()).await.ok();
    assert_eq!((&made["conferenceData"], &made["hangoutLink"]), (&event["conferenceData"], &Value::Null));
}

#[tokio::test]
async fn an_invitation_is_in_both_calendars_under_one_ical_uid() {
    let google = google().await;
    let other = google.handle.other_email();
    let mut event = call();
    event["attendees"] = json!([{"email": other}]);
    let made = google.post("", event).await.ok();
    let (id, path) = (text(&made["id"]), format!("{EVENTS}/{}", text(&made["id"])));
    let theirs = || {
        let path = format!("/_sandbox/state?account={other}");
        google.handle.control("GET", &path, Value::Null).expect("the state")
    };
    let copy = theirs()["results"][0].clone();
    assert_eq!(
        (&copy["iCalUID"], &copy["organizer"]["email"]),
        (&made["iCalUID"], &json!(google.handle.email()))
    );
    assert_eq!((&copy["attendees"][0]["self"], &copy["organizer"]["self"]), (&json!(true), &Value::Null));
    google.patch(&path, json!({"summary": "Renamed"})).await.ok();
    assert_eq!(theirs()["results"][0]["summary"], "Renamed");
    google.patch(&path, json!({"attendees": []})).await.ok();
    assert_eq!(theirs()["results"][0]["status"], "cancelled");
    // A guest changes an own copy, not what is shared.
    let event = json!({"account": other, "summary": "Theirs", "start": zurich("2027-02-02T10:00:00"),
        "end": zurich("2027-02-02T11:00:00"), "attendees": [{"email": google.handle.email()}]});
    let invited = text(&google.handle.meeting(event).expect("a meeting")["id"]);
    assert_ne!(invited, id);
    let path = format!("{EVENTS}/{invited}");
    refused(&google.patch(&path, json!({"summary": "Mine"})).await, 403, "forbiddenForNonOrganizer");
    let answer = json!({"attendees": [{"email": google.handle.email(), "responseStatus": "accepted"}]});
    assert_eq!(google.patch(&path, answer).await.ok()["attendees"][0]["responseStatus"], "accepted");
    google
        .handle
        .control("POST", "/_sandbox/cancel", json!({"account": other, "id": invited}))
        .expect("cancelled");
    assert!(!each(&google.list(&[]).await.ok(), "id").contains(&invited));
}
