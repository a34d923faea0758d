//! Events of the calendar as meetings: pure.

use connector::Activity;
use jiff::{
    Timestamp,
    civil::{Date, DateTime},
    tz::TimeZone,
};
use model::ActivityParticipant;

use crate::wire::{Event, Person, When};

const MEET: &str = "https://meet.google.com/";

/// What an event is to a timeline.
pub(crate) struct Reading<'a> {
    /// The calendar's time zone: a day begins in it.
    pub(crate) zone: &'a TimeZone,
    /// When the calendar was last changed: the version of what says nothing of itself.
    pub(crate) changed_at: Timestamp,
    /// Whether everything is read, rather than what changed.
    pub(crate) is_whole: bool,
}

impl Reading<'_> {
    /// What is told of an event. Nothing of one that was never a Meet call as far as anybody could have been told.
    pub(crate) fn tell(&self, event: &Event) -> Option<Activity> {
        if event.id.is_empty() {
            return None;
        }
        let updated = event.updated.as_deref().and_then(moment);
        let version = updated.unwrap_or(self.changed_at);
        let at = event.start.as_ref().and_then(|start| begins(start, self.zone));
        // Nothing more of it than its id: it may be a matter of its owner alone.
        let gone = || Activity::gone(event.id.as_str(), version.as_millisecond(), version);
        if event.status.as_deref() == Some("cancelled") {
            // There is nothing in it to say whether it was a call.
            return Some(gone());
        }
        match at.filter(|_| is_captured(event)) {
            Some(at) => Some(activity(event, version, at)),
            // It may have been a call before it was changed.
            None if !self.is_whole || was_changed(event) => Some(gone()),
            None => None,
        }
    }
}

fn activity(event: &Event, version: Timestamp, at: Timestamp) -> Activity {
    Activity {
        external_id: event.id.clone(),
        version: version.as_millisecond(),
        is_gone: false,
        kind: "meeting".to_owned(),
        direction: String::new(),
        at,
        subject: event.summary.clone().unwrap_or_default(),
        body: String::new(),
        thread: event.recurring_event_id.clone().unwrap_or_default(),
        url: event.html_link.clone().unwrap_or_default(),
        participants: participants(event),
        automatic: "",
    }
}

/// A Meet call that its owner does not keep to themselves.
pub(crate) fn is_captured(event: &Event) -> bool {
    let is_private = matches!(event.visibility.as_deref(), Some("private" | "confidential"));
    meeting_code(event).is_some() && !is_private && event.status.as_deref() != Some("cancelled")
}

/// The code of the event's Meet room, in small letters. Calls of other vendors have none.
pub(crate) fn meeting_code(event: &Event) -> Option<String> {
    let code = match &event.conference_data {
        Some(data) => {
            let solution = data.conference_solution.as_ref()?;
            data.conference_id.as_deref().filter(|_| solution.key.kind == "hangoutsMeet")
        }
        None => event.hangout_link.as_deref().and_then(|link| link.strip_prefix(MEET)),
    };
    let code = code?.split(['?', '/']).next().unwrap_or_default();
    Some(code.to_ascii_lowercase()).filter(|code| !code.is_empty())
}

fn was_changed(event: &Event) -> bool {
    let second = |text: &Option<String>| text.as_deref().and_then(moment).map(Timestamp::as_second);
    second(&event.updated) > second(&event.created)
}

/// The organizer and everybody who is invited; rooms and devices are left out.
pub(crate) fn participants(event: &Event) -> Vec<ActivityParticipant> {
    let organizer = event.organizer.iter();
    let invited = event.attendees.iter().filter(|person| !person.resource);
    let mut people: Vec<ActivityParticipant> = Vec::new();
    for (person, organizes) in
        organizer.map(|person| (person, true)).chain(invited.map(|person| (person, person.organizer)))
    {
        let Some(email) = address(person) else { continue };
        let name = person.display_name.clone().unwrap_or_default();
        match people.iter_mut().find(|known| known.email == email) {
            Some(known) if known.name.is_empty() => known.name = name,
            Some(_) => {}
            None => {
                let role = if organizes { "organizer" } else { "attendee" };
                people.push(ActivityParticipant { role: role.to_owned(), name, email });
            }
        }
    }
    people
}

/// The address of a person. A shared calendar that organizes something is none.
fn address(person: &Person) -> Option<String> {
    let email = person.email.as_deref()?.trim().to_lowercase();
    let is_calendar = email.ends_with("calendar.google.com");
    Some(email).filter(|email| email.contains('@') && !is_calendar)
}

/// When something begins. A day begins at midnight of the calendar's zone; a time without an offset is one of its own zone.
pub(crate) fn begins(when: &When, calendar: &TimeZone) -> Option<Timestamp> {
    let zone = when.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok());
    let civil = match (when.date_time.as_deref(), when.date.as_deref()) {
        (Some(text), _) => match moment(text) {
            Some(at) => return Some(at),
            None => text.parse::<DateTime>().ok()?,
        },
        (None, Some(date)) => date.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
        (None, None) => return None,
    };
    let zone = zone.unwrap_or_else(|| calendar.clone());
    Some(zone.to_ambiguous_zoned(civil).compatible().ok()?.timestamp())
}

/// A moment as Google writes it.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn zurich() -> TimeZone {
        TimeZone::get("Europe/Zurich").unwrap()
    }

    fn event(json: &str) -> Event {
        serde_json::from_str(json).unwrap()
    }

    fn tell(event: &Event, is_whole: bool) -> Option<Activity> {
        let changed_at = "2026-03-02T10:00:00Z".parse().unwrap();
        Reading { zone: &zurich(), changed_at, is_whole }.tell(event)
    }

    const MEET_CALL: &str = r#"{"id": "abc_20260301T090000Z", "status": "confirmed", "htmlLink": "https://g.example/e",
        "created": "2026-01-01T00:00:00.000Z", "updated": "2026-02-01T08:00:00.250Z", "summary": "Quarterly review",
        "start": {"dateTime": "2026-03-01T10:00:00+01:00", "timeZone": "Europe/Zurich"}, "recurringEventId": "abc",
        "organizer": {"email": "Dana@harborline.example", "self": true},
        "attendees": [{"email": "dana@harborline.example", "displayName": "Dana", "organizer": true},
            {"email": "room-7@harborline.example", "resource": true},
            {"email": "kim@partner.example", "displayName": "Kim", "responseStatus": "accepted"}],
        "conferenceData": {"conferenceId": "abc-MNOP-xyz", "conferenceSolution": {"key": {"type": "hangoutsMeet"}}}}"#;

    #[test]
    fn a_meet_call_is_a_meeting_with_its_people_and_without_its_rooms() {
        let told = tell(&event(MEET_CALL), true).unwrap();
        assert_eq!((told.kind.as_str(), told.subject.as_str()), ("meeting", "Quarterly review"));
        assert_eq!(told.at, "2026-03-01T09:00:00Z".parse().unwrap());
        assert_eq!((told.version, told.thread.as_str()), (1_769_932_800_250, "abc"));
        let people: Vec<_> = told
            .participants
            .iter()
            .map(|who| (who.role.as_str(), who.name.as_str(), who.email.as_str()))
            .collect();
        assert_eq!(
            people,
            [("organizer", "Dana", "dana@harborline.example"), ("attendee", "Kim", "kim@partner.example")]
        );
        assert_eq!(meeting_code(&event(MEET_CALL)).as_deref(), Some("abc-mnop-xyz"));
    }

    #[test]
    fn a_call_of_another_vendor_and_a_private_one_are_no_meetings() {
        let zoom = MEET_CALL.replace("hangoutsMeet", "addOn");
        let private = MEET_CALL.replace("\"status\"", "\"visibility\": \"private\", \"status\"");
        for text in [zoom, private] {
            // It was changed after it was made, so it may have been told.
            assert!(tell(&event(&text), true).unwrap().is_gone);
            let untouched = text.replace("2026-02-01T08:00:00.250Z", "2026-01-01T00:00:00.300Z");
            assert_eq!(tell(&event(&untouched), true), None);
            assert!(tell(&event(&untouched), false).unwrap().is_gone);
        }
        let link = r#"{"id": "x", "start": {"date": "2026-03-01"}, "hangoutLink": "https://meet.google.com/a-b-c?hs=1"}"#;
        assert_eq!(meeting_code(&event(link)).as_deref(), Some("a-b-c"));
    }

    #[test]
    fn a_cancelled_event_of_which_nothing_is_left_is_gone_as_of_the_calendars_last_change() {
        let told = tell(&event(r#"{"id": "x", "status": "cancelled"}"#), true).unwrap();
        assert!(told.is_gone);
        assert_eq!(told.version, 1_772_445_600_000);
    }

    #[test]
    fn a_meeting_begins_where_its_time_zone_says() {
        let begins =
            |text: &str| begins(&serde_json::from_str(text).unwrap(), &zurich()).unwrap().to_string();
        assert_eq!(begins(r#"{"dateTime": "2026-07-01T09:00:00-07:00"}"#), "2026-07-01T16:00:00Z");
        let wall = r#"{"dateTime": "2026-07-01T09:00:00", "timeZone": "Asia/Tokyo"}"#;
        assert_eq!(begins(wall), "2026-07-01T00:00:00Z");
        assert_eq!(begins(r#"{"dateTime": "2026-07-01T09:00:00"}"#), "2026-07-01T07:00:00Z");
        // The night in which the clocks go forward: 02:30 is not there.
        assert_eq!(begins(r#"{"dateTime": "2026-03-29T02:30:00"}"#), "2026-03-29T01:30:00Z");
        assert_eq!(begins(r#"{"date": "2026-07-01"}"#), "2026-06-30T22:00:00Z");
        let unknown = r#"{"dateTime": "2026-07-01T09:00:00", "timeZone": "Mars/Olympus"}"#;
        assert_eq!(begins(unknown), "2026-07-01T07:00:00Z");
    }

    proptest! {
        #[test]
        fn no_event_makes_a_panic(id in ".*", start in ".*", zone in ".*", link in ".*", email in ".*") {
            let when = When { date: None, date_time: Some(start.clone()), time_zone: Some(zone) };
            let person = Person { email: Some(email), ..Person::default() };
            let event = Event {
                id, start: Some(when), hangout_link: Some(format!("{MEET}{link}")), updated: Some(start),
                attendees: vec![person], ..Event::default()
            };
            let _ = tell(&event, false);
        }
    }
}
