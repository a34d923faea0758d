//! What people did, as a vendor tells it: mails, meetings, calls.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use model::{ActivityParticipant, ActivityTold, ConnectionId};

use crate::{Error, ErrorKind, words::storable};

/// The most bytes of a text.
const LONGEST_BODY: usize = 64 * 1024;
/// The most letters of a text of which the beginning alone is told; Microsoft's previews are as long.
const LONGEST_PREVIEW: usize = 255;
/// The most bytes of a subject, an address on the web or the id of a conversation.
const LONGEST_LINE: usize = 2_000;
/// The most bytes of a name, an e-mail address or a role.
const LONGEST_NAME: usize = 320;
const MOST_PARTICIPANTS: usize = 2_000;
/// The most bytes of an activity, as it is told.
const LARGEST: usize = 100_000;

/// A listing of activities that is read from a position to its end, over and over: a mail folder, a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// What [`crate::Connector::fetch_activities`] knows it by; no other feed or object of the vendor has this name.
    pub name: &'static str,
    /// What people see: `Inbox`.
    pub label: &'static str,
    /// How often it is read, unless a setting says otherwise.
    pub every: Duration,
    /// Whether its texts are kept whole only where a setting of the connection says so, and else their beginnings.
    pub has_bodies: bool,
}

/// A page of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityPage {
    /// What it tells.
    pub activities: Vec<Activity>,
    /// The vendor's own name of the position behind it: a link, a token.
    pub position: String,
    /// Whether there is more to read now. Else the position is where the next reading begins.
    pub more: bool,
}

/// What people did. Its text form shows nothing of what they wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct Activity {
    /// The vendor's id of it, at most [`Activity::LONGEST_ID`] bytes.
    pub external_id: String,
    /// Grows with every change of it; a page that is read again has the same ones.
    pub version: i64,
    /// Whether it was deleted, or moved out of what is read. Then the rest of it may be empty.
    pub is_gone: bool,
    /// `email`, `meeting` or `call`.
    pub kind: String,
    /// `inbound` or `outbound`; empty where it has none.
    pub direction: String,
    /// When it took place.
    pub at: Timestamp,
    /// Its subject or title.
    pub subject: String,
    /// What was said, as plain text. The runtime cuts it.
    pub body: String,
    /// The vendor's id of the conversation; empty where it has none.
    pub thread: String,
    /// Where to look at it at the vendor, `https://…`; empty where there is no such place. Other addresses are left out.
    pub url: String,
    /// Who took part.
    pub participants: Vec<ActivityParticipant>,
    /// What a machine wrote, not a person: `bounce`, `auto_reply`; else empty.
    pub automatic: &'static str,
}

impl Activity {
    /// The most bytes of an id.
    pub const LONGEST_ID: usize = 2_048;

    /// It was deleted there, or moved out of what is read.
    #[must_use]
    pub fn gone(external_id: impl Into<String>, version: i64, at: Timestamp) -> Self {
        Self {
            external_id: external_id.into(),
            version,
            is_gone: true,
            kind: String::new(),
            direction: String::new(),
            at,
            subject: String::new(),
            body: String::new(),
            thread: String::new(),
            url: String::new(),
            participants: Vec::new(),
            automatic: "",
        }
    }

    /// With the beginning of its text alone. A report of a failure has to be read to its end for whom it is about, and no person
    /// wrote it.
    pub(crate) fn without_body(mut self) -> (Self, bool) {
        if self.automatic == "bounce" {
            return (self, false);
        }
        let end = self.body.char_indices().nth(LONGEST_PREVIEW).map(|(at, _)| at);
        if let Some(end) = end {
            self.body.truncate(end);
            self.body.truncate(self.body.trim_end().len());
            self.body.push('…');
        }
        (self, end.is_some())
    }

    /// As it is told, so that it can be stored and fits a message: of too long a text the beginning, and of too many
    /// participants the first.
    ///
    /// # Errors
    /// It has no id that can be stored.
    pub(crate) fn told(mut self, connection: ConnectionId, vendor: &str) -> Result<ActivityTold, Error> {
        let id = &self.external_id;
        if id.trim() != id || id.is_empty() || id.len() > Self::LONGEST_ID || id.contains('\0') {
            let message = "the vendor told an activity without an id that can be stored";
            return Err(Error::new(ErrorKind::Protocol, "read activities", message));
        }
        let is_place = self.url.starts_with("https://") && self.url.len() <= LONGEST_LINE;
        if !is_place {
            self.url.clear();
        }
        for (text, most) in [
            (&mut self.subject, LONGEST_LINE),
            (&mut self.body, LONGEST_BODY),
            (&mut self.thread, LONGEST_LINE),
            (&mut self.url, LONGEST_LINE),
        ] {
            fit(text, most);
        }
        self.participants.truncate(MOST_PARTICIPANTS);
        for who in &mut self.participants {
            [&mut who.role, &mut who.name, &mut who.email]
                .into_iter()
                .for_each(|text| fit(text, LONGEST_NAME));
        }
        let mut told = ActivityTold {
            connection,
            source: vendor.to_owned(),
            external_id: self.external_id,
            version: self.version,
            is_gone: self.is_gone,
            kind: self.kind,
            direction: self.direction,
            at: self.at,
            subject: self.subject,
            body: self.body,
            is_preview: false,
            thread: self.thread,
            url: self.url,
            participants: self.participants,
            automatic: self.automatic.to_owned(),
        };
        while size(&told) > LARGEST && !(told.body.is_empty() && told.participants.is_empty()) {
            if told.body.is_empty() {
                told.participants.truncate(told.participants.len() / 2);
            } else {
                let half = told.body.len() / 2;
                fit(&mut told.body, half);
            }
        }
        Ok(told)
    }
}

/// The beginning of a text that is too long, without what cannot be stored.
fn fit(text: &mut String, most: usize) {
    storable(text);
    if text.len() > most {
        let end = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
    }
}

/// The length in JSON. What is small in whatever spelling is not spelled.
fn size(told: &ActivityTold) -> usize {
    let people = told.participants.iter().map(|who| who.role.len() + who.name.len() + who.email.len() + 40);
    let bytes = told.body.len() + people.sum::<usize>() + told.subject.len() + told.thread.len();
    if bytes * 6 + 20_000 <= LARGEST {
        return 0;
    }
    // Nothing in it can fail to be spelled.
    serde_json::to_vec(told).map_or(0, |json| json.len())
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, version, is_gone, .. } = self;
        let mut shown = f.debug_struct("Activity");
        shown.field("kind", kind).field("version", version).field("is_gone", is_gone).finish_non_exhaustive()
    }
}
