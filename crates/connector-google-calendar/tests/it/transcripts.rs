use jiff::SignedDuration;
use sandbox::google::Settings;
use serde_json::{Value as Json, json};

use crate::house::{House, at, connected, connected_with, meeting, time};

fn hold(house: &House, mut held: Json) {
    if held["lines"].is_null() {
        held["lines"] = json!([
            {"speaker": "Dana Whitfield", "text": "Good morning.", "at_s": 5},
            {"speaker": "Kim Lee", "text": "Shall we talk about the renewal?", "at_s": 3_725},
            {"speaker": "A caller", "text": "Yes.", "at_s": 3_726}
        ]);
    }
    house.sandbox.hold(held).unwrap();
}

/// R36: what was said is found by those who were invited.
#[tokio::test]
async fn a_transcript_is_told_with_speakers_times_and_the_guests_of_its_meeting() {
    let house = connected().await;
    let id = house.meet(meeting("Quarterly review", at(-120)));
    hold(&house, json!({"id": id, "minutes": 70, "participants": [{"name": "A caller", "kind": "phone"}]}));
    let (told, position) = house.read("transcripts", None).await;
    let [told] = told.as_slice() else { panic!("{} transcripts", told.len()) };
    let body = "[0:00:05] Dana Whitfield: Good morning.\n[1:02:05] Kim Lee: Shall we talk about the renewal?\n\
        [1:02:06] A caller: Yes.";
    assert_eq!(told.body, body);
    assert_eq!((told.kind.as_str(), told.thread.as_str()), ("call", id.as_str()));
    assert_eq!((told.subject.as_str(), told.at), ("Transcript: Quarterly review", at(-120)));
    assert!(told.external_id.starts_with("conferenceRecords/"), "{}", told.external_id);
    assert!(told.url.starts_with("https://docs.google.com/"), "{}", told.url);
    let guest = told.participants.iter().find(|who| who.email == "kim.lee@partner.example").unwrap();
    assert_eq!((guest.role.as_str(), guest.name.as_str()), ("speaker", "Kim Lee"));
    assert!(told.participants.iter().any(|who| who.name == "A caller" && who.email.is_empty()));
    assert!(house.read("transcripts", Some(&position)).await.0.is_empty());
}

#[tokio::test]
async fn a_transcript_that_appears_days_later_is_told_once_it_is_there() {
    let settings =
        Settings { rate_limits: false, transcript_delay_ms: 3 * 86_400_000, ..Settings::default() };
    let house = connected_with(settings).await.lasting();
    let id = house.meet(meeting("Review", at(-60)));
    hold(&house, json!({"id": id}));
    let (told, mut position) = house.read("transcripts", None).await;
    assert!(told.is_empty());
    let mut days = 0;
    let told = loop {
        house.wait(24 * 60).await;
        days += 1;
        let (told, next) = house.read("transcripts", Some(&position)).await;
        position = next;
        if !told.is_empty() {
            break told;
        }
        assert!(days < 5, "the transcript never came");
    };
    assert_eq!((days, told.len()), (3, 1));
    house.wait(24 * 60).await;
    assert!(house.read("transcripts", Some(&position)).await.0.is_empty());
}

#[tokio::test]
async fn a_call_without_a_transcript_is_given_up_when_google_forgets_it() {
    let house = connected().await.lasting();
    let id = house.meet(meeting("Review", at(-60)));
    hold(&house, json!({"id": id, "transcript": false, "lines": []}));
    let (_, position) = house.read("transcripts", None).await;
    assert!(position.contains("\"waiting\""), "it is not waited for");
    house.wait(31 * 24 * 60).await;
    let (told, position) = house.read("transcripts", Some(&position)).await;
    assert!(told.is_empty() && !position.contains("\"waiting\""), "{position}");
}

#[tokio::test]
async fn each_time_of_a_recurring_meeting_has_its_own_transcript() {
    let house = connected().await;
    let mut daily = meeting("Daily", at(-3 * 24 * 60));
    daily["recurrence"] = json!(["RRULE:FREQ=DAILY;COUNT=3"]);
    house.meet(daily);
    let (meetings, _) = house.read("calendar", None).await;
    assert_eq!(meetings.len(), 3);
    let mut first: Vec<_> = meetings.iter().map(|one| (one.at, one.external_id.as_str())).collect();
    first.sort_unstable();
    // The second one is moved to the evening of the first, so that both are about the same time in the same room.
    house.sandbox.shift(first[1].1, time(first[0].0 + SignedDuration::from_hours(3))).unwrap();
    let (meetings, _) = house.read("calendar", None).await;
    for one in &meetings {
        // They begin late, in the same room.
        let start = one.at + SignedDuration::from_mins(11);
        hold(
            &house,
            json!({"id": one.external_id, "start": start.to_string(), "minutes": 20,
            "lines": [{"speaker": "Kim Lee", "text": one.external_id}]}),
        );
    }
    let (told, _) = house.read("transcripts", None).await;
    assert_eq!(told.len(), 3);
    assert!(told.iter().all(|one| one.body.ends_with(&one.thread)), "a transcript is at another time's");
}

#[tokio::test]
async fn a_call_of_no_meeting_and_one_of_a_private_meeting_are_not_told() {
    let house = connected().await;
    let gone = house.meet(meeting("Gone", at(-60)));
    hold(&house, json!({"id": gone}));
    house.sandbox.cancel(&gone).unwrap();
    let mut secret = meeting("A matter of my own", at(-120));
    secret["visibility"] = json!("private");
    let secret = house.meet(secret);
    hold(&house, json!({"id": secret}));
    let kept = house.meet(meeting("Review", at(-180)));
    hold(&house, json!({"id": kept}));
    let (told, _) = house.read("transcripts", None).await;
    assert_eq!(told.iter().map(|one| one.thread.as_str()).collect::<Vec<_>>(), [kept]);
}
