//! What connectors tell the crm room of what people did: mails, meetings, calls.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ConnectionId;

/// What people did, as a vendor tells it. Private: it is no public event. Subject `activity.{org}.{vendor}`. Its text form
/// shows nothing of what people wrote.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityTold {
    /// The connection that saw it.
    pub connection: ConnectionId,
    /// The vendor, `m365`.
    pub source: String,
    /// The vendor's id of it.
    pub external_id: String,
    /// Grows with every change of it there.
    pub version: i64,
    /// Whether it was deleted there, or moved out of what is read. Then the rest of it may be empty.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
    /// `email`, `meeting` or `call`.
    pub kind: String,
    /// `inbound` or `outbound`; empty where it has none.
    pub direction: String,
    /// When it took place.
    pub at: Timestamp,
    /// Its subject or title.
    pub subject: String,
    /// What was said, as plain text.
    pub body: String,
    /// Whether `body` is the beginning alone, by a setting. What was told of the rest of it before stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_preview: bool,
    /// The vendor's id of the conversation; empty where it has none.
    pub thread: String,
    /// Where to look at it at the vendor; empty where there is no such place.
    pub url: String,
    /// Who took part.
    pub participants: Vec<ActivityParticipant>,
    /// What a machine wrote, not a person: `bounce` of a mail that could not be delivered, `auto_reply` of somebody who is
    /// away; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub automatic: String,
}

impl fmt::Debug for ActivityTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, source, kind, is_gone, .. } = self;
        let mut shown = f.debug_struct("ActivityTold");
        shown.field("connection", connection).field("source", source).field("kind", kind);
        shown.field("is_gone", is_gone).finish_non_exhaustive()
    }
}

/// Somebody who took part. Its text form shows nothing of the person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivityParticipant {
    /// `from`, `to`, `cc`, `bcc`; `organizer`, `attendee`; `caller`, `callee`.
    pub role: String,
    /// The name; empty where it is not known.
    pub name: String,
    /// The address as it was told; empty where it is not known.
    pub email: String,
}

impl fmt::Debug for ActivityParticipant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActivityParticipant").field("role", &self.role).finish_non_exhaustive()
    }
}
