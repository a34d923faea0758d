use jiff::Timestamp;
use model::{ConnectionId, OrganizationId};

use super::chain::{Hash, Hashed};

/// How what is recorded ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    Failed,
    Refused,
}

impl Outcome {
    pub(crate) const ALL: [Self; 3] = [Self::Ok, Self::Failed, Self::Refused];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// An entry before it has its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    pub(crate) organization: OrganizationId,
    pub(crate) event_id: String,
    pub(crate) action: String,
    pub(crate) actor: String,
    pub(crate) target: String,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) outcome: &'static str,
    pub(crate) occurred_at: Timestamp,
    pub(crate) cause: String,
    pub(crate) summary: String,
    /// A JSON object.
    pub(crate) details: String,
}

/// An entry in its place in the chain, to be stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sealed<'d> {
    pub(crate) draft: &'d Draft,
    pub(crate) sequence: i64,
    pub(crate) occurred_at: Timestamp,
    pub(crate) recorded_at: Timestamp,
    pub(crate) previous_hash: Hash,
    pub(crate) hash: Hash,
}

impl Draft {
    /// Gives the entry its place behind `previous`.
    pub(crate) fn seal(&self, sequence: i64, recorded_at: Timestamp, previous: Hash) -> Sealed<'_> {
        let (occurred_at, recorded_at) = (to_microseconds(self.occurred_at), to_microseconds(recorded_at));
        let connection = self.connection.map(|id| id.to_string()).unwrap_or_default();
        let hashed = Hashed {
            sequence,
            event_id: &self.event_id,
            action: &self.action,
            actor: &self.actor,
            target: &self.target,
            connection_id: &connection,
            outcome: self.outcome,
            occurred_at: &occurred_at.to_string(),
            recorded_at: &recorded_at.to_string(),
            cause: &self.cause,
            summary: &self.summary,
            details_json: &self.details,
            previous_hash: &previous.to_string(),
        };
        let hash = hashed.hash();
        Sealed { draft: self, sequence, occurred_at, recorded_at, previous_hash: previous, hash }
    }
}

/// An entry as it is stored; what was tampered with must be readable, so nothing here is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) sequence: i64,
    pub(crate) event_id: String,
    pub(crate) action: String,
    pub(crate) actor: String,
    pub(crate) target: String,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) outcome: String,
    pub(crate) occurred_at: Timestamp,
    pub(crate) recorded_at: Timestamp,
    pub(crate) cause: String,
    pub(crate) summary: String,
    pub(crate) details: String,
    pub(crate) previous_hash: Vec<u8>,
    pub(crate) hash: Vec<u8>,
}

impl Entry {
    /// What the hash must be, given the hash before it.
    pub(crate) fn hash_of_content(&self, previous_hash: &str) -> Hash {
        let connection = self.connection.map(|id| id.to_string()).unwrap_or_default();
        let fields = Hashed {
            sequence: self.sequence,
            event_id: &self.event_id,
            action: &self.action,
            actor: &self.actor,
            target: &self.target,
            connection_id: &connection,
            outcome: &self.outcome,
            occurred_at: &self.occurred_at.to_string(),
            recorded_at: &self.recorded_at.to_string(),
            cause: &self.cause,
            summary: &self.summary,
            details_json: &self.details,
            previous_hash,
        };
        fields.hash()
    }
}

/// As exact as Postgres keeps it.
fn to_microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}
