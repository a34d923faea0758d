use jiff::Timestamp;
use proto::audit as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{moment, text, to_wire};

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditFilter {
    /// An action, `mapping.activated`, or the beginning of one, `mapping.*`.
    #[serde(default)]
    action: Option<String>,
    /// `user:user_…`
    #[serde(default)]
    actor: Option<String>,
    /// The id of a record, connection, mapping, key …
    #[serde(default)]
    target: Option<String>,
    /// Of this connection only.
    #[serde(default)]
    connection_id: Option<String>,
    /// `ok`, `failed` or `refused`.
    #[serde(default)]
    outcome: Option<String>,
    /// Occurred at this moment or later.
    #[serde(default)]
    from: Option<Timestamp>,
    /// Occurred before this moment.
    #[serde(default)]
    to: Option<Timestamp>,
    /// How many, at most 200; 50 when not given. An export has all.
    #[serde(default)]
    limit: Option<u32>,
    /// `next_before` of the page before.
    #[serde(default)]
    before: Option<i64>,
}

impl From<AuditFilter> for wire::ListEntriesRequest {
    fn from(filter: AuditFilter) -> Self {
        Self {
            action: filter.action.unwrap_or_default(),
            actor: filter.actor.unwrap_or_default(),
            target: filter.target.unwrap_or_default(),
            connection_id: filter.connection_id.unwrap_or_default(),
            outcome: filter.outcome.unwrap_or_default(),
            from: to_wire(filter.from),
            to: to_wire(filter.to),
            limit: filter.limit.unwrap_or_default(),
            before: filter.before.unwrap_or_default(),
        }
    }
}

/// A page of the audit log, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct EntryList {
    data: Vec<Entry>,
    /// To be sent as `before` for the next ones; null on the last page.
    next_before: Option<i64>,
}

/// An entry of the audit log. Its texts are those that its hash covers.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    /// Its place in the organization's chain, from 1 without gaps.
    sequence: i64,
    event_id: String,
    /// `mapping.activated`, `write.rejected` …
    action: String,
    actor: String,
    target: String,
    connection_id: String,
    /// `ok`, `failed` or `refused`.
    outcome: String,
    occurred_at: Option<Timestamp>,
    recorded_at: Option<Timestamp>,
    cause: String,
    /// One line for people.
    summary: String,
    /// The facts, a JSON object in text: exactly what the hash covers. Personal values are `[redacted]`.
    details_json: String,
    /// Lower-case hexadecimal SHA-256.
    previous_hash: String,
    hash: String,
}

/// Whether the chain of the audit log is whole.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChainState {
    whole: bool,
    /// Entries that fit, up to the first that does not.
    entries: i64,
    /// The sequence number of the first entry that does not fit.
    broken_at: Option<i64>,
    /// What is wrong with it.
    reason: Option<String>,
    /// The hash of the last entry that fits. Note it elsewhere: a chain that was written anew has another.
    head_hash: String,
}

impl From<wire::Entry> for Entry {
    fn from(entry: wire::Entry) -> Self {
        Self {
            sequence: entry.sequence,
            event_id: entry.event_id,
            action: entry.action,
            actor: entry.actor,
            target: entry.target,
            connection_id: entry.connection_id,
            outcome: entry.outcome,
            occurred_at: moment(entry.occurred_at),
            recorded_at: moment(entry.recorded_at),
            cause: entry.cause,
            summary: entry.summary,
            details_json: entry.details_json,
            previous_hash: entry.previous_hash,
            hash: entry.hash,
        }
    }
}

impl From<wire::ListEntriesResponse> for EntryList {
    fn from(list: wire::ListEntriesResponse) -> Self {
        Self {
            data: list.entries.into_iter().map(Into::into).collect(),
            next_before: Some(list.next_before).filter(|before| *before > 0),
        }
    }
}

impl From<wire::VerifyResponse> for ChainState {
    fn from(state: wire::VerifyResponse) -> Self {
        Self {
            whole: state.whole,
            entries: state.entries,
            broken_at: (!state.whole).then_some(state.broken_at),
            reason: text(state.reason),
            head_hash: state.head_hash,
        }
    }
}
