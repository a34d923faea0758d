//! What was said in a call, as text and as people: pure.

use std::collections::HashMap;

use connector::Activity;
use jiff::Timestamp;
use model::ActivityParticipant;

use crate::{
    meeting::{moment, participants},
    wire::{Event, Participant, Transcript, TranscriptEntry},
};

/// A longer text than this would be cut on its way, so that it is told in parts.
const LONGEST_PART: usize = 60_000;
const NOBODY: &str = "Unknown";

/// A transcript with all that belongs to it.
pub(crate) struct Said<'a> {
    pub(crate) transcript: &'a Transcript,
    /// The event of the calendar that the call was for.
    pub(crate) event: &'a Event,
    pub(crate) people: &'a [Participant],
    pub(crate) entries: &'a [TranscriptEntry],
    /// When the conference began and ended.
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

/// A part of a transcript.
struct Part {
    at: Timestamp,
    body: String,
}

impl Said<'_> {
    /// The transcript as activities: one, unless it is very long.
    pub(crate) fn tell(&self) -> Vec<Activity> {
        let parts = self.parts();
        let count = parts.len();
        let participants = self.participants();
        let activity = |(at, part): (usize, Part)| {
            let (number, name) = (at + 1, &self.transcript.name);
            let of = if count == 1 { String::new() } else { format!(" ({number}/{count})") };
            let title = self.event.summary.as_deref().unwrap_or("Google Meet call");
            Activity {
                external_id: if at == 0 { name.clone() } else { format!("{name}/parts/{number}") },
                version: self.to.as_millisecond(),
                is_gone: false,
                kind: "call".to_owned(),
                direction: String::new(),
                at: part.at,
                subject: format!("Transcript: {title}{of}"),
                body: part.body,
                thread: self.event.id.clone(),
                url: self.transcript.docs_destination.export_uri.clone(),
                participants: participants.clone(),
                automatic: "",
            }
        };
        parts.into_iter().enumerate().map(activity).collect()
    }

    /// When the transcript began.
    fn began(&self) -> Timestamp {
        self.transcript.start_time.as_deref().and_then(moment).unwrap_or(self.from)
    }

    /// A line for each entry, in the order in which they were said: `[0:01:05] Kim: …`.
    fn parts(&self) -> Vec<Part> {
        let names: HashMap<&str, &str> =
            self.people.iter().filter_map(|who| Some((who.name.as_str(), shown_name(who)?))).collect();
        let began = self.began();
        let mut said: Vec<(Timestamp, &TranscriptEntry)> = Vec::with_capacity(self.entries.len());
        for entry in self.entries {
            // One without a time was said after the one before it.
            let before = said.last().map_or(began, |(at, _)| *at);
            said.push((entry.start_time.as_deref().and_then(moment).unwrap_or(before), entry));
        }
        said.sort_by_key(|(at, _)| *at);
        let mut parts: Vec<Part> = Vec::new();
        for (at, entry) in said {
            let text = entry.text.split_whitespace().collect::<Vec<_>>().join(" ");
            let name = names.get(entry.participant.as_str()).unwrap_or(&NOBODY);
            let line = format!("[{}] {name}: {text}", clock(at.as_second() - began.as_second()));
            match parts.last_mut().filter(|part| part.body.len() + line.len() < LONGEST_PART) {
                Some(part) => {
                    part.body.push('\n');
                    part.body.push_str(&line);
                }
                None => parts.push(Part { at: if parts.is_empty() { began } else { at }, body: line }),
            }
        }
        parts
    }

    /// Who was invited, and who was there. Meet tells no address, so somebody who was invited by the same name is taken
    /// for that person.
    fn participants(&self) -> Vec<ActivityParticipant> {
        let mut people = participants(self.event);
        for name in self.people.iter().filter_map(shown_name) {
            let role = "speaker".to_owned();
            match people.iter_mut().find(|known| known.name.eq_ignore_ascii_case(name)) {
                Some(known) => known.role = role,
                None => {
                    people.push(ActivityParticipant { role, name: name.to_owned(), email: String::new() })
                }
            }
        }
        people
    }
}

fn shown_name(who: &Participant) -> Option<&str> {
    let names = [&who.signedin_user, &who.anonymous_user, &who.phone_user];
    names.into_iter().map(|named| named.display_name.trim()).find(|name| !name.is_empty())
}

/// `h:mm:ss` after the beginning.
fn clock(seconds: i64) -> String {
    let seconds = seconds.max(0);
    format!("{}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn person(id: &str, name: &str) -> Participant {
        let json =
            format!(r#"{{"name": "c/participants/{id}", "signedinUser": {{"displayName": "{name}"}}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    fn entry(who: &str, at: &str, text: &str) -> TranscriptEntry {
        TranscriptEntry {
            participant: format!("c/participants/{who}"),
            text: text.to_owned(),
            start_time: Some(at.to_owned()),
        }
    }

    fn told(entries: &[TranscriptEntry]) -> Vec<Activity> {
        let transcript = Transcript {
            name: "c/transcripts/t".into(),
            start_time: Some("2026-03-01T09:00:00.500Z".into()),
            ..Transcript::default()
        };
        let event: Event = serde_json::from_str(
            r#"{"id": "e", "summary": "Review", "attendees": [{"email": "kim@partner.example", "displayName": "Kim Lee"}]}"#,
        )
        .unwrap();
        let people = [person("1", "Dana"), person("2", "kim lee")];
        let (from, to) = ("2026-03-01T09:00:00Z".parse().unwrap(), "2026-03-01T11:00:00Z".parse().unwrap());
        Said { transcript: &transcript, event: &event, people: &people, entries, from, to }.tell()
    }

    #[test]
    fn a_transcript_is_told_line_by_line_in_its_order_with_speakers_and_times() {
        let told = told(&[
            entry("2", "2026-03-01T10:01:05.123456789Z", "Second,\n on two lines"),
            entry("9", "soon", "Third"),
            entry("1", "2026-03-01T09:00:01Z", "First"),
        ]);
        assert_eq!(told.len(), 1);
        let said = "[0:00:01] Dana: First\n[1:01:05] kim lee: Second, on two lines\n[1:01:05] Unknown: Third";
        assert_eq!(told[0].body, said);
        assert_eq!((told[0].external_id.as_str(), told[0].thread.as_str()), ("c/transcripts/t", "e"));
        assert_eq!(told[0].subject, "Transcript: Review");
        let people: Vec<_> =
            told[0].participants.iter().map(|who| (who.role.as_str(), who.email.as_str())).collect();
        assert_eq!(people, [("speaker", "kim@partner.example"), ("speaker", "")]);
    }

    #[test]
    fn a_very_long_transcript_is_told_in_parts_that_lose_no_line() {
        let at = |line: usize| {
            format!("2026-03-01T{:02}:{:02}:{:02}Z", 9 + line / 3_600, line / 60 % 60, line % 60)
        };
        let said: Vec<_> = (0..2_000).map(|line| entry("1", &at(line), &"é".repeat(50))).collect();
        let told = told(&said);
        assert!(told.len() > 2 && told.iter().all(|part| part.body.len() <= LONGEST_PART));
        assert_eq!(told.iter().map(|part| part.body.lines().count()).sum::<usize>(), 2_000);
        let ids: std::collections::BTreeSet<&str> =
            told.iter().map(|part| part.external_id.as_str()).collect();
        assert_eq!(ids.len(), told.len());
        assert!(told.windows(2).all(|two| two[0].at < two[1].at));
        assert!(told[1].subject.ends_with(&format!("(2/{})", told.len())), "{}", told[1].subject);
    }

    proptest! {
        #[test]
        fn a_clock_never_goes_wrong(seconds in any::<i64>()) {
            prop_assert!(clock(seconds).len() >= 7);
        }
    }
}
