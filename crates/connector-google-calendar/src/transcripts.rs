//! The feed `transcripts`: what was said in the calls of the calendar, once Google has written it down.
//!
//! A look lists the conferences that ended since the last one, and asks each that is waited for for its transcripts, a few
//! at a time. What is waited for is in the position, and is forgotten when Google forgets the conference.

use std::{collections::BTreeMap, time::Duration};

use connector::{Activity, ActivityPage, Error, ErrorKind, Feed};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::{
    client::Client,
    meeting::{begins, is_captured, meeting_code, moment},
    position,
    transcript::Said,
    wire::{ConferenceRecord, Event, Transcript},
};

pub(crate) const FEED: Feed =
    Feed { name: "transcripts", label: "Transcripts", every: Duration::from_secs(300), has_bodies: false };

/// Google forgets a conference after so long.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The end of a conference may be known later than it was.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// Within so long after the end a transcript is looked for at each look …
const SOON: SignedDuration = SignedDuration::from_hours(24);
/// … and later after so long each: most calls have none.
const LATER_EVERY: SignedDuration = SignedDuration::from_hours(1);
/// A transcript whose file is not made by now is taken as it is.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);
/// How far from its time a meeting may be held.
const AROUND: SignedDuration = SignedDuration::from_hours(12);
/// So many conferences are looked at in a page: each may take a dozen calls.
const LOOKS: usize = 5;
/// More than this are not waited for: those that ended first are given up.
const MOST_WAITING: usize = 1_000;
/// No more events than these are around one conference, in pages.
const MOST_PAGES: usize = 4;

/// Where reading goes on.
#[derive(Debug, Serialize, Deserialize)]
struct Position {
    /// Conferences that ended before this are known.
    until: Timestamp,
    /// The look that is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    look: Option<Look>,
    /// What is waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    waiting: Vec<Waiting>,
    /// Conferences of the overlap of which nothing more is expected, with their ends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    settled: BTreeMap<String, Timestamp>,
}

/// A look that is under way.
#[derive(Debug, Serialize, Deserialize)]
struct Look {
    began: Timestamp,
    /// The next page of the list of conferences.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    page: Option<String>,
    /// Whether the list was read to its end.
    #[serde(default)]
    is_listed: bool,
}

/// A conference whose transcripts are not there yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    /// The conference's name.
    name: String,
    space: String,
    from: Timestamp,
    to: Timestamp,
    /// When it was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    looked: Option<Timestamp>,
}

impl Waiting {
    fn from_wire(record: ConferenceRecord) -> Option<Self> {
        let to = moment(record.end_time.as_deref()?)?;
        let from = record.start_time.as_deref().and_then(moment).unwrap_or(to);
        Some(Self { name: record.name, space: record.space, from, to, looked: None })
    }

    fn is_due(&self, look: Timestamp) -> bool {
        let Some(looked) = self.looked else { return true };
        let pause = if look.duration_since(self.to) < SOON { SignedDuration::ZERO } else { LATER_EVERY };
        looked < look && look.duration_since(looked) >= pause
    }
}

impl Position {
    fn new(now: Timestamp) -> Self {
        Self { until: now - REMEMBERED + OVERLAP, look: None, waiting: Vec::new(), settled: BTreeMap::new() }
    }

    /// Takes in what ended; what is known stays as it is.
    fn expect(&mut self, records: Vec<ConferenceRecord>) {
        for one in records.into_iter().filter_map(Waiting::from_wire) {
            let is_known = self.waiting.iter().any(|known| known.name == one.name);
            if !is_known && !self.settled.contains_key(&one.name) {
                self.waiting.push(one);
            }
        }
        self.waiting.sort_by_key(|one| one.to);
        let too_many = self.waiting.len().saturating_sub(MOST_WAITING);
        self.waiting.drain(..too_many);
    }

    /// The list was read to its end.
    fn listed(&mut self, began: Timestamp) {
        self.until = began;
        self.settled.retain(|_, to| *to >= began - OVERLAP);
        self.waiting.retain(|one| began.duration_since(one.to) < REMEMBERED);
    }

    fn looked(&mut self, one: &Waiting, look: Timestamp) {
        let known = self.waiting.iter_mut().find(|known| known.name == one.name);
        if let Some(known) = known {
            known.looked = Some(look);
        }
    }

    fn settle(&mut self, one: &Waiting) {
        self.waiting.retain(|known| known.name != one.name);
        self.settled.insert(one.name.clone(), one.to);
    }
}

/// What a look at a conference brings.
enum Found {
    /// It is to be looked at again.
    NotYet,
    /// Nothing will come of it.
    Nothing,
    Said(Vec<Activity>),
}

pub(crate) async fn fetch(
    client: Client<'_>,
    kept: Option<&str>,
    now: Timestamp,
) -> Result<ActivityPage, Error> {
    let mut at = kept.map_or_else(|| Ok(Position::new(now)), position::read)?;
    let look = at.look.take().unwrap_or(Look { began: now, page: None, is_listed: false });
    let look = if look.is_listed { look } else { list(client, &mut at, look).await? };
    let mut activities = Vec::new();
    if look.is_listed {
        let due: Vec<Waiting> =
            at.waiting.iter().filter(|one| one.is_due(look.began)).take(LOOKS).cloned().collect();
        for one in due {
            match look_at(client, &one, now).await? {
                Found::NotYet => at.looked(&one, look.began),
                Found::Nothing => at.settle(&one),
                Found::Said(said) => {
                    activities.extend(said);
                    at.settle(&one);
                }
            }
        }
    }
    let more = !look.is_listed || at.waiting.iter().any(|one| one.is_due(look.began));
    at.look = more.then_some(look);
    Ok(ActivityPage { activities, position: position::write(&at)?, more })
}

/// Reads a page of the conferences that ended since the last look.
async fn list(client: Client<'_>, at: &mut Position, look: Look) -> Result<Look, Error> {
    let filter = format!("end_time>=\"{}\"", at.until - OVERLAP);
    let token = look.page.as_deref().map(|page| ("pageToken", page));
    let query: Vec<_> = [("filter", filter.as_str()), ("pageSize", "100")].into_iter().chain(token).collect();
    let records = client.conference_records(&query).await?;
    at.expect(records.items);
    let page = position::next(look.page.as_deref(), records.next_page_token)?;
    let is_listed = page.is_none();
    if is_listed {
        at.listed(look.began);
    }
    Ok(Look { page, is_listed, ..look })
}

/// Reads what was said in a conference, once all of it is written down.
async fn look_at(client: Client<'_>, one: &Waiting, now: Timestamp) -> Result<Found, Error> {
    let Some(transcripts) = there(client.transcripts(&one.name).await)? else { return Ok(Found::Nothing) };
    let is_late = now.duration_since(one.to) > PATIENCE;
    let is_done = |transcript: &Transcript| match transcript.state.as_str() {
        "FILE_GENERATED" => true,
        state => state == "ENDED" && is_late,
    };
    if transcripts.is_empty() || !transcripts.iter().all(is_done) {
        return Ok(Found::NotYet);
    }
    let Some(event) = event_of(client, one).await? else { return Ok(Found::Nothing) };
    let Some(people) = there(client.participants(&one.name).await)? else { return Ok(Found::Nothing) };
    let mut said = Vec::new();
    for transcript in &transcripts {
        let Some(entries) = there(client.entries(&transcript.name).await)? else { return Ok(Found::Nothing) };
        let (people, entries) = (people.as_slice(), entries.as_slice());
        let whole = Said { transcript, event: &event, people, entries, from: one.from, to: one.to };
        said.extend(whole.tell());
    }
    // A file may be there before the lines are.
    Ok(if said.is_empty() { Found::NotYet } else { Found::Said(said) })
}

/// The event that a conference was held for: the one with its room whose time is the nearest. A room is used again by each
/// time of a recurring meeting, and may be another's after a year.
async fn event_of(client: Client<'_>, one: &Waiting) -> Result<Option<Event>, Error> {
    let Some(space) = there(client.space(&one.space).await)? else { return Ok(None) };
    let code = space.meeting_code.to_ascii_lowercase();
    let (from, to) = ((one.from - AROUND).to_string(), (one.to + AROUND).to_string());
    let (mut nearest, mut page) = (None::<(SignedDuration, Event)>, None::<String>);
    for _ in 0..MOST_PAGES {
        let bounds = [("timeMin", from.as_str()), ("timeMax", to.as_str()), ("singleEvents", "true")];
        let token = page.as_deref().map(|page| ("pageToken", page));
        let query: Vec<_> = bounds.into_iter().chain([("maxResults", "250")]).chain(token).collect();
        let list = client.events(&query).await?;
        let zone =
            list.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok()).unwrap_or(TimeZone::UTC);
        for event in list.items {
            let starts = event.start.as_ref().and_then(|start| begins(start, &zone));
            let Some(starts) = starts.filter(|_| is_captured(&event)) else { continue };
            let away = starts.duration_since(one.from).abs();
            let is_nearer = nearest.as_ref().is_none_or(|(known, _)| away < *known);
            if is_nearer && meeting_code(&event).as_ref() == Some(&code) {
                nearest = Some((away, event));
            }
        }
        page = position::next(page.as_deref(), list.next_page_token)?;
        if page.is_none() {
            break;
        }
    }
    Ok(nearest.map(|(_, event)| event))
}

/// What is another's or forgotten is no failure: nothing will be known of it.
fn there<T>(answer: Result<T, Error>) -> Result<Option<T>, Error> {
    match answer {
        Err(error) if matches!(error.kind, ErrorKind::Permission | ErrorKind::NotFound) => Ok(None),
        answer => answer.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(name: &str, end: Option<&str>) -> ConferenceRecord {
        ConferenceRecord {
            name: name.to_owned(),
            start_time: Some("2026-03-01T09:00:00Z".into()),
            end_time: end.map(str::to_owned),
            space: "spaces/s".into(),
        }
    }

    fn names(at: &Position) -> Vec<&str> {
        at.waiting.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn what_ended_is_waited_for_once_until_it_is_settled_or_forgotten() {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let mut at = Position::new(now);
        let end = Some("2026-03-01T11:30:00Z");
        let list = || vec![record("a", end), record("b", end), record("running", None)];
        at.expect(list());
        at.expect(list());
        assert_eq!(names(&at), ["a", "b"]);
        let first = at.waiting[0].clone();
        at.settle(&first);
        at.listed(now);
        // The overlap lists it once more.
        at.expect(list());
        assert_eq!(names(&at), ["b"]);
        at.listed(now + SignedDuration::from_hours(3));
        assert!(at.settled.is_empty());
        at.listed(now + SignedDuration::from_hours(30 * 24));
        assert!(at.waiting.is_empty());
    }

    #[test]
    fn a_position_is_bounded_and_gives_up_what_ended_first() {
        let mut at = Position::new(Timestamp::UNIX_EPOCH);
        let end = |minute: usize| format!("2026-03-01T{:02}:{:02}:00Z", minute / 60, minute % 60);
        at.expect((0..1_100).map(|number| record(&format!("c{number}"), Some(&end(number)))).collect());
        assert_eq!((at.waiting.len(), at.waiting[0].name.as_str()), (MOST_WAITING, "c100"));
    }

    #[test]
    fn a_call_is_looked_at_at_each_look_on_its_first_day_and_hourly_later() {
        let to: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let after = |minutes: i64| to + SignedDuration::from_mins(minutes);
        let one = |looked| Waiting { name: "a".into(), space: String::new(), from: to, to, looked };
        assert!(one(None).is_due(after(60 * 24 * 20)));
        assert!(one(Some(after(5))).is_due(after(10)));
        assert!(!one(Some(after(10))).is_due(after(10)));
        assert!(!one(Some(after(60 * 30))).is_due(after(60 * 30 + 5)));
        assert!(one(Some(after(60 * 30))).is_due(after(60 * 31)));
    }
}
