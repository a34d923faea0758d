use connector::ErrorKind;
use jiff::{SignedDuration, Timestamp};
use sandbox::google::FaultKind;
use serde_json::json;

use crate::house::{at, connected, live, meeting, time};

#[tokio::test]
async fn a_meeting_is_told_with_its_time_its_people_and_its_address() {
    let house = connected().await;
    let start = at(90);
    let id = house.meet(meeting("Quarterly review", start));
    let (told, _) = house.read("calendar", None).await;
    let [told] = told.as_slice() else { panic!("{} meetings", told.len()) };
    assert_eq!((told.external_id.as_str(), told.kind.as_str()), (id.as_str(), "meeting"));
    assert_eq!((told.subject.as_str(), told.at), ("Quarterly review", start));
    assert!(told.url.starts_with("https://"), "{}", told.url);
    let people: Vec<_> =
        told.participants.iter().map(|who| (who.role.as_str(), who.email.as_str())).collect();
    assert_eq!(people, [("organizer", house.sandbox.email()), ("attendee", "kim.lee@partner.example")]);
}

#[tokio::test]
async fn an_event_without_a_meet_link_is_ignored_until_it_gets_one_and_gone_when_it_loses_it() {
    let house = connected().await;
    let mut lunch = meeting("Lunch", at(60));
    lunch["meet"] = json!(false);
    let id = house.meet(lunch);
    // Google tells to the second when an event was made.
    house.sandbox.advance_clock(1_000);
    let (told, position) = house.read("calendar", None).await;
    assert!(told.is_empty());
    let room = house.meet(meeting("Call", at(120)));
    let (told, position) = house.read("calendar", Some(&position)).await;
    assert_eq!(told.len(), 1);
    let room = house.sandbox.control("POST", "/_sandbox/edit", json!({"id": room, "fields": {}})).unwrap();
    let fields = json!({"conferenceData": room["conferenceData"]});
    house.sandbox.control("POST", "/_sandbox/edit", json!({"id": id, "fields": fields})).unwrap();
    let (told, position) = house.read("calendar", Some(&position)).await;
    assert!(live(&told).contains_key(id.as_str()));
    house
        .sandbox
        .control("POST", "/_sandbox/edit", json!({"id": id, "fields": {"conferenceData": null}}))
        .unwrap();
    let (told, _) = house.read("calendar", Some(&position)).await;
    assert!(told.len() == 1 && told[0].is_gone);
    // Whoever was away when it lost its link is told as well.
    let (told, _) = house.read("calendar", None).await;
    assert!(told.iter().any(|one| one.external_id == id && one.is_gone));
}

#[tokio::test]
async fn a_private_meeting_stays_with_its_owner() {
    let house = connected().await;
    let mut secret = meeting("A matter of my own", at(60));
    secret["visibility"] = json!("private");
    house.meet(secret);
    let id = house.meet(meeting("Review", at(60)));
    let (told, position) = house.read("calendar", None).await;
    assert_eq!(told.len(), 1);
    let body = json!({"id": id, "fields": {"visibility": "private"}});
    house.sandbox.control("POST", "/_sandbox/edit", body).unwrap();
    let (told, _) = house.read("calendar", Some(&position)).await;
    assert!(told.len() == 1 && told[0].is_gone && told[0].subject.is_empty());
}

#[tokio::test]
async fn a_recurring_meeting_is_told_time_by_time_with_its_exceptions() {
    let house = connected().await;
    let start = at(24 * 60);
    let mut weekly = meeting("Weekly", start);
    weekly["recurrence"] = json!(["RRULE:FREQ=WEEKLY;COUNT=4"]);
    let series = house.meet(weekly);
    let (told, position) = house.read("calendar", None).await;
    assert_eq!(told.len(), 4);
    assert!(told.iter().all(|one| one.thread == series && one.external_id != series));
    let mut times: Vec<_> = told.iter().map(|one| (one.at, one.external_id.clone())).collect();
    times.sort();
    let moved_to = start + SignedDuration::from_hours(8 * 24);
    house.sandbox.shift(&times[1].1, time(moved_to)).unwrap();
    house.sandbox.cancel(&times[2].1).unwrap();
    let (news, position) = house.read("calendar", Some(&position)).await;
    assert_eq!(news.len(), 2, "the other times did not change");
    let all: Vec<_> = told.iter().chain(&news).cloned().collect();
    let known = live(&all);
    assert_eq!(known.len(), 3);
    assert_eq!((known[times[1].1.as_str()].at, known[times[0].1.as_str()].at), (moved_to, times[0].0));
    house.sandbox.cancel(&series).unwrap();
    let (news, _) = house.read("calendar", Some(&position)).await;
    let all: Vec<_> = all.into_iter().chain(news).collect();
    assert!(live(&all).is_empty(), "a time of a cancelled series is left");
}

#[tokio::test]
async fn a_meeting_that_recurs_for_ever_is_told_a_few_months_ahead_and_read_again_in_time() {
    let house = connected().await.lasting();
    let mut daily = meeting("Daily", at(24 * 60));
    daily["recurrence"] = json!(["RRULE:FREQ=DAILY"]);
    house.meet(daily);
    let (told, position) = house.read("calendar", None).await;
    assert!((110..=120).contains(&told.len()), "{} times", told.len());
    let last = |told: &[connector::Activity]| told.iter().map(|one| one.at).max().unwrap();
    let ahead = last(&told);
    house.wait(31 * 24 * 60).await;
    let (told, _) = house.read("calendar", Some(&position)).await;
    assert!(last(&told).duration_since(ahead) > SignedDuration::from_hours(29 * 24));
}

/// B: a sync token that expires while the changes are read.
#[tokio::test]
async fn a_sync_token_that_expires_between_two_pages_doubles_and_loses_nothing() {
    let house = connected().await;
    let ids: Vec<String> = (0..300).map(|number| house.meet(meeting("Review", at(number)))).collect();
    let (mut told, position) = house.read("calendar", None).await;
    for id in &ids {
        house.sandbox.shift(id, time(at(2_000))).unwrap();
    }
    house.sandbox.cancel(&ids[7]).unwrap();
    let page = house.page("calendar", Some(&position)).await.unwrap();
    assert!(page.more, "the changes fit into one page");
    told.extend(page.activities);
    house.sandbox.expire_sync_tokens();
    let lost = house.page("calendar", Some(&page.position)).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::PositionLost);
    let (anew, position) = house.read("calendar", None).await;
    told.extend(anew);
    let known = live(&told);
    assert_eq!(known.len(), 299);
    assert!(known.values().all(|one| one.at >= at(1_990)), "an old time is left");
    assert!(house.read("calendar", Some(&position)).await.0.is_empty());
    // What is no position at all is as good as none.
    let nonsense = format!(r#"{{"since":"{}","sync":"nonsense"}}"#, at(0));
    for garbage in ["", "{}", "null", &nonsense] {
        let lost = house.page("calendar", Some(garbage)).await.unwrap_err();
        assert_eq!(lost.kind, ErrorKind::PositionLost, "{garbage}");
    }
}

#[tokio::test]
async fn a_page_of_nothing_is_not_the_end() {
    let house = connected().await;
    house.meet(meeting("Review", at(10)));
    house.fault("/calendar", FaultKind::EmptyPage, 1);
    assert_eq!(house.read("calendar", None).await.0.len(), 1);
}

/// Two calendars that invite each other hold one meeting, not two.
#[tokio::test]
async fn a_meeting_in_two_calendars_is_one_activity() {
    let house = connected().await;
    let other = house.sandbox.other_email();
    let mut both = meeting("Both", at(30));
    both["attendees"] = json!([{"email": other}, {"email": house.sandbox.email()}]);
    let id = house.meet(both);
    let colleague = crate::house::consent(&house.google, other, None).await;
    let session = connector::Session::for_tests(house.google.clone(), "", colleague.access_token).unwrap();
    let (mine, _) = house.read("calendar", None).await;
    let google: &dyn connector::Connector = house.google.as_ref();
    let hers = google.fetch_activities(&session, "calendar", None, session.now()).await.unwrap().activities;
    for told in [&mine, &hers] {
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].external_id.as_str(), told[0].participants.len()), (id.as_str(), 2));
    }
}

#[tokio::test]
async fn a_meeting_is_at_its_moment_in_whatever_zone_it_was_made() {
    let house = connected().await;
    let day = |zone: &str, hour: i8| {
        let noon = at(10 * 24 * 60).to_zoned(jiff::tz::TimeZone::UTC).date().at(hour, 0, 0, 0);
        (noon, noon.to_zoned(jiff::tz::TimeZone::get(zone).unwrap()).unwrap().timestamp())
    };
    for zone in ["America/Los_Angeles", "Asia/Kolkata", "Pacific/Auckland"] {
        let (wall, moment): (_, Timestamp) = day(zone, 9);
        let mut event = meeting(zone, at(0));
        event["start"] = json!({"dateTime": wall.to_string(), "timeZone": zone});
        event["end"] = json!({"dateTime": day(zone, 10).0.to_string(), "timeZone": zone});
        let id = house.meet(event);
        let (told, _) = house.read("calendar", None).await;
        assert_eq!(live(&told)[id.as_str()].at, moment, "{zone}");
    }
}
