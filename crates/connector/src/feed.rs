//! What people did, as a vendor tells it: mails, meetings, calls.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use model::ActivityParticipant;

/// A listing of activities that is read from a position to its end, over and over: a mail folder, a calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feed {
    /// What [`crate::Connector::fetch_activities`] knows it by; one of a vendor's feeds has it alone.
    pub name: &'static str,
    /// What people see: `Inbox`.
    pub label: &'static str,
    /// How often it is read, unless a setting says otherwise.
    pub every: Duration,
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
    /// Where to look at it at the vendor; empty where there is no such place.
    pub url: String,
    /// Who took part.
    pub participants: Vec<ActivityParticipant>,
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
        }
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, version, is_gone, .. } = self;
        let mut shown = f.debug_struct("Activity");
        shown.field("kind", kind).field("version", version).field("is_gone", is_gone).finish_non_exhaustive()
    }
}
