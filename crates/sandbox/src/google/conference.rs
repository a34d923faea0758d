//! A held meeting: who was there, what was said, and from when on that is known.

use serde::{Deserialize, Serialize};

/// Milliseconds after its end that a conference is remembered.
pub(crate) const REMEMBERED_MS: i64 = 30 * 86_400_000;

/// How somebody took part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    #[default]
    SignedIn,
    Anonymous,
    Phone,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Participant {
    pub(crate) id: String,
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// `users/…`, for those who signed in.
    pub(crate) user: String,
    /// From when to when, as often as they came.
    pub(crate) sessions: Vec<(i64, i64)>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    /// The id of a participant.
    pub(crate) participant: String,
    pub(crate) text: String,
    pub(crate) language: String,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Transcript {
    pub(crate) id: String,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// When its file and its entries are there.
    pub(crate) ready_ms: i64,
    pub(crate) document: String,
    pub(crate) entries: Vec<Entry>,
    /// The organizer's event shows the file.
    pub(crate) attached: bool,
}

/// One conference in a room.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Conference {
    pub(crate) id: String,
    pub(crate) space: String,
    pub(crate) code: String,
    /// The account whose room it is.
    pub(crate) owner: String,
    /// The event it belongs to.
    pub(crate) event: Option<String>,
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    pub(crate) participants: Vec<Participant>,
    pub(crate) transcripts: Vec<Transcript>,
}

impl Conference {
    /// Whether anybody can know of it: it has begun and is not forgotten.
    pub(crate) fn is_known(&self, now_ms: i64) -> bool {
        self.start_ms <= now_ms && now_ms < self.end_ms.saturating_add(REMEMBERED_MS)
    }
}

impl Transcript {
    pub(crate) fn state(&self, now_ms: i64) -> &'static str {
        match now_ms {
            now if now < self.end_ms => "STARTED",
            now if now < self.ready_ms => "ENDED",
            _ => "FILE_GENERATED",
        }
    }
}
