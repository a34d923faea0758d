use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ConnectionId, Value};

/// What happened to a record at a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// It was created or updated; a listing cannot tell the two apart.
    Upserted,
    /// It was archived or deleted.
    Deleted,
}

/// Which way the change was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Read with the vendor's history.
    Backfill,
    /// Read since the last checkpoint.
    Live,
    /// Read to be compared with what is known.
    Verify,
}

/// A record was created, updated or deleted at a vendor, normalized. Subject `change.{org}.{vendor}.{object}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeEvent {
    /// The connection that saw it.
    pub connection: ConnectionId,
    /// The vendor, `hubspot`.
    pub vendor: String,
    /// The vendor's internal name of the object, `companies`.
    pub object: String,
    /// The vendor's id of the record.
    pub id: String,
    /// What happened.
    pub kind: ChangeKind,
    /// The vendor's version of the record: it grows with every change there (HubSpot: milliseconds of the last
    /// modification).
    pub version: i64,
    /// When the vendor says that it happened.
    pub changed_at: Timestamp,
    /// When it was read.
    pub captured_at: Timestamp,
    /// Which way it was read.
    pub lane: Lane,
    /// The fields that were read, by the vendor's internal names; a field that is not here is unknown, not blank.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, Value>,
    /// Whether `fields` has only those that changed, so that the others are as they were; else it has all that are read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_partial: bool,
    /// When fields were set there, where the vendor tells it and somebody wants to know; a field that is not here was set
    /// at `changed_at` at the latest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub field_times: BTreeMap<String, Timestamp>,
    /// The canonical record whose creation at the vendor this is, where the vendor keeps our external id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
    /// Ids under which the vendor knew this record before a merge there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub merged_ids: Vec<String>,
    /// Whether the vendor says that we made this change. It is a hint and no proof: what others do within our call may carry
    /// our name too, and what we do may come without it. Values alone tell an echo.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub says_ours: bool,
    /// The e-mail addresses of the people whom the record concerns, the primary one first: a deal's contacts. None where nobody
    /// wants to know them, or where the vendor does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<Vec<String>>,
}
