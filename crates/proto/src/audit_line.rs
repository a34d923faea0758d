use serde::Serialize;

use crate::{audit::Entry, from_wire_time};

/// An entry of the audit log as a line of an export: each text exactly as its hash covers it, so that the export can be
/// verified alone.
#[derive(Debug, Serialize)]
pub struct AuditLine<'a> {
    sequence: i64,
    event_id: &'a str,
    action: &'a str,
    actor: &'a str,
    target: &'a str,
    connection_id: &'a str,
    outcome: &'a str,
    occurred_at: Option<jiff::Timestamp>,
    recorded_at: Option<jiff::Timestamp>,
    cause: &'a str,
    summary: &'a str,
    details_json: &'a str,
    previous_hash: &'a str,
    hash: &'a str,
}

impl<'a> From<&'a Entry> for AuditLine<'a> {
    fn from(entry: &'a Entry) -> Self {
        Self {
            sequence: entry.sequence,
            event_id: &entry.event_id,
            action: &entry.action,
            actor: &entry.actor,
            target: &entry.target,
            connection_id: &entry.connection_id,
            outcome: &entry.outcome,
            occurred_at: entry.occurred_at.as_ref().and_then(from_wire_time),
            recorded_at: entry.recorded_at.as_ref().and_then(from_wire_time),
            cause: &entry.cause,
            summary: &entry.summary,
            details_json: &entry.details_json,
            previous_hash: &entry.previous_hash,
            hash: &entry.hash,
        }
    }
}
