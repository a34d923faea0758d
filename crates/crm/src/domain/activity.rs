//! What an activity is, and whom it may concern.

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use model::{PartnerId, RecordId};
use uuid::Uuid;

use super::address;

/// The most bytes of words that are searched of one activity.
const MOST_WORDS: usize = 200_000;

/// The kinds of activities.
pub(crate) const KINDS: [&str; 7] = ["email", "call", "meeting", "note", "stage_change", "ticket", "quote"];

/// A record or a partner that an activity concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Concerned {
    Record(RecordId),
    Partner(PartnerId),
}

impl Concerned {
    pub(crate) const fn uuid(self) -> Uuid {
        match self {
            Self::Record(id) => id.uuid(),
            Self::Partner(id) => id.uuid(),
        }
    }

    pub(crate) const fn is_partner(self) -> bool {
        matches!(self, Self::Partner(_))
    }

    /// As it is stored.
    pub(crate) const fn stored(id: Uuid, is_partner: bool) -> Self {
        if is_partner {
            Self::Partner(PartnerId::from_uuid(id))
        } else {
            Self::Record(RecordId::from_uuid(id))
        }
    }
}

impl std::fmt::Display for Concerned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Record(id) => id.fmt(f),
            Self::Partner(id) => id.fmt(f),
        }
    }
}

impl std::str::FromStr for Concerned {
    type Err = model::InvalidId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::Record).or_else(|_| text.parse().map(Self::Partner))
    }
}

/// Somebody who took part. Its text forms show nothing of the person.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Participant {
    pub(crate) role: String,
    pub(crate) name: String,
    /// As it was told.
    pub(crate) email: String,
    /// As it is compared; empty where it is no address.
    pub(crate) address: String,
}

impl Participant {
    pub(crate) fn new(role: String, name: String, email: String) -> Self {
        let address = address::email(&email).unwrap_or_default();
        Self { role, name, email, address }
    }

    pub(crate) fn domain(&self) -> &str {
        address::of_email(&self.address)
    }
}

/// What a source tells. Its text forms show nothing of it: what people wrote is personal.
#[derive(Clone)]
pub(crate) struct NewActivity {
    pub(crate) source: String,
    pub(crate) external_id: String,
    pub(crate) version: i64,
    /// Whether the source has it no more: of such a one nothing but its name and version is there.
    pub(crate) is_gone: bool,
    pub(crate) kind: &'static str,
    pub(crate) direction: &'static str,
    pub(crate) at: Timestamp,
    pub(crate) subject: String,
    pub(crate) body: String,
    /// Whether `body` is the beginning alone: then it takes the place of no longer one.
    pub(crate) is_preview: bool,
    pub(crate) thread: String,
    pub(crate) url: String,
    pub(crate) participants: Vec<Participant>,
    pub(crate) told: Vec<Concerned>,
    /// `bounce` or `auto_reply`, where a machine wrote it; else empty.
    pub(crate) automatic: String,
}

impl std::fmt::Debug for NewActivity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewActivity").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl NewActivity {
    /// The source has it no more.
    pub(crate) const fn gone(source: String, external_id: String, version: i64, at: Timestamp) -> Self {
        Self {
            source,
            external_id,
            version,
            is_gone: true,
            kind: "",
            direction: "",
            at,
            subject: String::new(),
            body: String::new(),
            is_preview: false,
            thread: String::new(),
            url: String::new(),
            participants: Vec::new(),
            told: Vec::new(),
            automatic: String::new(),
        }
    }

    /// What is searched: the subject, who took part, and the text, as far as it goes. Addresses are there whole and in
    /// their parts.
    pub(crate) fn words(&self) -> String {
        let mut words = self.subject.clone();
        for participant in &self.participants {
            let parts = participant.email.replace(['@', '.', '_', '-', '+'], " ");
            for text in [&participant.name, &participant.email, &parts] {
                words.push(' ');
                words.push_str(text);
            }
        }
        words.push(' ');
        words.push_str(&self.body);
        cut(words, MOST_WORDS)
    }
}

/// When a deal's life ended: at the end of the day that it says, else when it was told to be closed. None while it is
/// open. `closed` is the moment, empty while it is open, absent where that was not told; `day` the day it says.
pub(crate) fn ended(closed: Option<&str>, day: Option<&str>) -> Option<Timestamp> {
    if closed == Some("") {
        return None;
    }
    let day: Option<Date> = day.and_then(|day| day.parse().ok());
    let after = day.and_then(|day| day.tomorrow().ok()?.to_zoned(TimeZone::UTC).ok());
    after.map(|after| after.timestamp()).or_else(|| closed.and_then(|at| at.parse().ok()))
}

/// At most so many bytes of a text, at the end of a character.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_cut_fits_and_is_the_beginning(text in ".{0,60}", most in 0..80_usize) {
            let short = cut(text.clone(), most);
            prop_assert!(short.len() <= most && text.starts_with(&short));
            prop_assert!(text.len() > most || short == text);
        }
    }

    #[test]
    fn a_deal_ends_with_the_day_that_it_says_else_when_it_is_told_to_be_closed() {
        let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
        let moment = "2026-03-04T05:06:07Z";
        assert_eq!(ended(None, None), None);
        assert_eq!(ended(Some(""), Some("2026-03-01")), None, "it was opened again");
        assert_eq!(ended(Some(moment), Some("2026-03-01")), at("2026-03-02T00:00:00Z"));
        assert_eq!(ended(Some(moment), Some("")), at(moment));
        assert_eq!(ended(None, Some("2026-03-01")), at("2026-03-02T00:00:00Z"));
        assert_eq!(ended(Some("soon"), Some("9999-12-31")), None);
    }

    #[test]
    fn an_id_is_of_a_record_or_of_a_partner_and_nothing_else() {
        let record = Concerned::Record(RecordId::generate(Timestamp::UNIX_EPOCH));
        let partner = Concerned::Partner(PartnerId::generate(Timestamp::UNIX_EPOCH));
        for id in [record, partner] {
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(Concerned::stored(id.uuid(), id.is_partner()), id);
        }
        assert!("conn_00000000000000000000000000000000".parse::<Concerned>().is_err());
    }
}
