//! Series: their times, exceptions and how they end.

use serde_json::{Value, json};

use super::{Google, each, google, refused, text, zurich};

/// Every Tuesday at ten from the 19th of March 2024, five times, over the change to summer time.
fn weekly(google: &Google) -> String {
    let event = json!({"summary": "Weekly", "start": zurich("2024-03-19T10:00:00"),
        "end": zurich("2024-03-19T10:45:00"), "recurrence": ["RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=5"]});
    text(&google.handle.meeting(event).expect("a series")["id"])
}

fn starts(body: &Value) -> Vec<String> {
    let items = body["items"].as_array().expect("items");
    items.iter().map(|item| item["start"]["dateTime"].as_str().unwrap_or("-").to_owned()).collect()
}

const SINGLE: (&str, &str) = ("singleEvents", "true");

#[tokio::test]
async fn a_series_keeps_its_time_on_the_wall_across_the_change_of_summer_time() {
    let google = google().await;
    let id = weekly(&google);
    let masters = google.list(&[]).await.ok();
    assert_eq!(each(&masters, "id"), std::slice::from_ref(&id));
    assert_eq!(masters["items"][0]["recurrence"], json!(["RRULE:FREQ=WEEKLY;BYDAY=TU;COUNT=5"]));
    let times = google.list(&[SINGLE, ("orderBy", "startTime")]).await.ok();
    assert_eq!(
        starts(&times),
        [
            "2024-03-19T10:00:00+01:00",
            "2024-03-26T10:00:00+01:00",
            "2024-04-02T10:00:00+02:00",
            "2024-04-09T10:00:00+02:00",
            "2024-04-16T10:00:00+02:00"
        ]
    );
    let third = &times["items"][2];
    assert_eq!(third["id"], format!("{id}_20240402T080000Z"));
    assert_eq!((&third["recurringEventId"], &third["recurrence"]), (&json!(id), &Value::Null));
    assert_eq!(third["originalStartTime"], third["start"]);
    assert_eq!(third["end"]["dateTime"], "2024-04-02T10:45:00+02:00");
    assert_eq!(third["iCalUID"], masters["items"][0]["iCalUID"]);
    assert_eq!(
        third["conferenceData"]["conferenceId"],
        masters["items"][0]["conferenceData"]["conferenceId"]
    );
    // A window makes only what is in it; a page ends in the middle of a series.
    let window = [SINGLE, ("timeMin", "2024-03-26T09:45:00Z"), ("timeMax", "2024-04-09T08:00:00Z")];
    assert_eq!(starts(&google.list(&window).await.ok()), ["2024-04-02T10:00:00+02:00"]);
    assert_eq!(each(&google.list(&window[1..]).await.ok(), "id"), std::slice::from_ref(&id));
    let first = google.list(&[SINGLE, ("maxResults", "3")]).await.ok();
    let rest = google.list(&[SINGLE, ("pageToken", &text(&first["nextPageToken"]))]).await.ok();
    assert_eq!((starts(&first).len(), starts(&rest).len()), (3, 2));
    let path = format!("{}/{id}/instances", super::EVENTS);
    let page = google.get(&format!("{path}?maxResults=4")).await.ok();
    let last = google.get(&format!("{path}?pageToken={}", text(&page["nextPageToken"]))).await.ok();
    assert_eq!((starts(&page).len(), starts(&last)), (4, vec!["2024-04-16T10:00:00+02:00".to_owned()]));
    let one = google.get(&format!("{}/{id}_20240402T080000Z", super::EVENTS)).await.ok();
    assert_eq!(&one, third);
    refused(&google.get(&format!("{}/{id}_20240403T080000Z", super::EVENTS)).await, 404, "notFound");
}

#[tokio::test]
async fn exceptions_of_a_series_are_told_with_their_original_start() {
    let google = google().await;
    let id = weekly(&google);
    let (masters, times) = (google.list(&[]).await.ok(), google.list(&[SINGLE]).await.ok());
    let (moved, gone) = (format!("{id}_20240326T090000Z"), format!("{id}_20240402T080000Z"));
    google.handle.shift(&moved, zurich("2024-03-27T15:00:00")).expect("moved");
    google.handle.cancel(&gone).expect("cancelled");
    for (before, single) in [(masters, "false"), (times, "true")] {
        let sync = text(&before["nextSyncToken"]);
        let news = google.list(&[("syncToken", &sync), ("singleEvents", single)]).await.ok();
        assert_eq!(each(&news, "id"), [moved.clone(), gone.clone()]);
        let [shifted, cancelled] = [&news["items"][0], &news["items"][1]];
        assert_eq!(shifted["start"]["dateTime"], "2024-03-27T15:00:00+01:00");
        assert_eq!(shifted["end"]["dateTime"], "2024-03-27T15:45:00+01:00");
        assert_eq!(shifted["originalStartTime"]["dateTime"], "2024-03-26T10:00:00+01:00");
        assert_eq!(shifted["recurringEventId"], json!(id));
        assert_eq!(cancelled["originalStartTime"]["dateTime"], "2024-04-02T10:00:00+02:00");
        let mut keys: Vec<&String> = cancelled.as_object().expect("an object").keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["etag", "id", "kind", "originalStartTime", "recurringEventId", "status"]);
    }
    // A full list of masters has the cancelled time of the live series; one of times has not.
    let full = each(&google.list(&[]).await.ok(), "id");
    assert_eq!(full, [id.clone(), moved.clone(), gone.clone()]);
    let times = each(&google.list(&[SINGLE, ("orderBy", "startTime")]).await.ok(), "id");
    assert_eq!(times.len(), 4);
    assert!(times.contains(&moved) && !times.contains(&gone), "{times:?}");
    refused(&google.delete(&format!("{}/{gone}", super::EVENTS)).await, 410, "deleted");
}

#[tokio::test]
async fn a_series_that_moves_takes_back_the_times_it_had() {
    let google = google().await;
    let id = weekly(&google);
    let sync = text(&google.list(&[SINGLE]).await.ok()["nextSyncToken"]);
    google.handle.shift(&format!("{id}_20240326T090000Z"), zurich("2024-03-27T15:00:00")).expect("moved");
    // From the first change on: Wednesdays, three of them.
    google.control(
        "edit",
        json!({"id": id, "fields": {"start": zurich("2024-03-20T10:00:00"),
        "end": zurich("2024-03-20T11:00:00"), "recurrence": ["RRULE:FREQ=WEEKLY;COUNT=3"]}}),
    );
    let news = google.list(&[SINGLE, ("syncToken", &sync)]).await.ok();
    let items = news["items"].as_array().expect("items");
    let is_cancelled = |item: &&Value| item["status"] == "cancelled";
    let lost: Vec<&Value> = items.iter().filter(is_cancelled).map(|item| &item["id"]).collect();
    let old =
        ["20240319T090000Z", "20240326T090000Z", "20240402T080000Z", "20240409T080000Z", "20240416T080000Z"];
    assert_eq!(lost.len(), old.len(), "{news}");
    assert!(old.iter().all(|time| lost.contains(&&json!(format!("{id}_{time}")))), "{lost:?}");
    let live: Vec<&Value> =
        items.iter().filter(|item| !is_cancelled(item)).map(|item| &item["start"]["dateTime"]).collect();
    assert_eq!(live, ["2024-03-20T10:00:00+01:00", "2024-03-27T10:00:00+01:00", "2024-04-03T10:00:00+02:00"]);
    // It goes as a whole.
    let sync = text(&news["nextSyncToken"]);
    google.handle.cancel(&id).expect("cancelled");
    let end = google.list(&[SINGLE, ("syncToken", &sync)]).await.ok();
    assert_eq!(each(&end, "status"), ["cancelled"; 3]);
    assert_eq!(google.list(&[SINGLE]).await.ok()["items"], json!([]));
    assert_eq!(
        google.list(&[]).await.ok()["items"],
        json!([]),
        "the cancelled series takes its exceptions along"
    );
}

#[tokio::test]
async fn an_event_of_whole_days_has_dates_without_a_zone() {
    let google = google().await;
    let days =
        |from: &str, to: &str| json!({"summary": "Fair", "start": {"date": from}, "end": {"date": to}});
    let one = google.handle.meeting(days("2024-07-01", "2024-07-03")).expect("an event");
    assert_eq!(
        (&one["start"], &one["end"]),
        (&json!({"date": "2024-07-01"}), &json!({"date": "2024-07-03"}))
    );
    // The end is exclusive, midnight in the calendar's zone.
    assert_eq!(google.list(&[("timeMin", "2024-07-02T22:00:00Z")]).await.ok()["items"], json!([]));
    assert_eq!(each(&google.list(&[("timeMin", "2024-07-02T21:59:59Z")]).await.ok(), "id").len(), 1);
    let mut yearly = days("2024-02-05", "2024-02-06");
    yearly["recurrence"] = json!(["RRULE:FREQ=YEARLY;COUNT=2"]);
    let id = text(&google.handle.meeting(yearly).expect("a series")["id"]);
    let times = google.list(&[SINGLE, ("timeMax", "2025-03-01T00:00:00Z"), ("q", "fair")]).await.ok();
    let ids = each(&times, "id");
    assert!(ids.contains(&format!("{id}_20240205")) && ids.contains(&format!("{id}_20250205")), "{ids:?}");
    let again = google.handle.shift(&format!("{id}_20250205"), json!({"date": "2025-02-07"})).expect("moved");
    assert_eq!(
        (&again["end"], &again["originalStartTime"]),
        (&json!({"date": "2025-02-08"}), &json!({"date": "2025-02-05"}))
    );
}
