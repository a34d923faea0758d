use std::collections::BTreeMap;

use jiff::Timestamp;
use proto::sync as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    moment, text,
    value::{Given, Plain, plain, plain_or_null},
};

/// A record of the partner workspace.
#[derive(Serialize, ToSchema)]
pub(crate) struct Record {
    /// `rec_…`
    pub(crate) id: String,
    /// `partner`, `company`, `deal`, `contact` or `lead`.
    pub(crate) object: String,
    /// It grows by one with every change.
    version: i64,
    /// What people call it.
    title: String,
    /// Its values by field name.
    fields: BTreeMap<String, Plain>,
    /// The vendors' records that it is linked to.
    links: Vec<Link>,
    created_at: Option<Timestamp>,
    updated_at: Option<Timestamp>,
    /// Set when it is archived.
    archived_at: Option<Timestamp>,
}

/// A link between a record and a vendor's record.
#[derive(Serialize, ToSchema)]
pub(crate) struct Link {
    connection_id: String,
    /// `hubspot`
    vendor: String,
    /// The vendor's object, `companies`.
    vendor_object: String,
    /// Null while the record is being created there.
    vendor_id: Option<String>,
    /// `in_sync`, `writing`, `blocked`, `staged`, `filtered`, `ignored`, `ambiguous` or `detached`.
    state: String,
    seen_at: Option<Timestamp>,
    mapping_id: Option<String>,
}

/// A page of records.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecordList {
    data: Vec<Record>,
    /// To be sent as `page` for the next ones; null on the last page.
    next_page: Option<String>,
    /// How many records the object has.
    total: u64,
}

/// Which records.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListRecords {
    /// With `vendor_id`: the record that is linked to this vendor record.
    #[serde(default)]
    pub(crate) vendor: Option<String>,
    /// With `vendor`.
    #[serde(default)]
    pub(crate) vendor_id: Option<String>,
    /// Part of the title.
    #[serde(default)]
    pub(crate) query: Option<String>,
    /// How many, at most 500; 50 when not given.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
    /// `next_page` of the page before.
    #[serde(default)]
    pub(crate) page: Option<String>,
    /// Whether archived records are listed too.
    #[serde(default)]
    pub(crate) include_archived: bool,
}

/// A new record.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRecord {
    /// Values by field name.
    #[schema(value_type = BTreeMap<String, Plain>)]
    pub(crate) fields: Given,
}

/// Changes of a record; fields that are not named stay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecordEdit {
    /// New values by field name; null empties a field.
    #[schema(value_type = BTreeMap<String, Plain>)]
    pub(crate) fields: Given,
    /// Refuse the edit (409 `version_changed`) unless the record still has this version.
    #[serde(default)]
    pub(crate) if_version: Option<i64>,
}

/// Which part of a history.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// How many revisions, at most 500; 50 when not given. Fewer come where they are very long; an empty list is the end.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
    /// Only versions below this one: the last one of the page before.
    #[serde(default)]
    pub(crate) before_version: Option<i64>,
}

/// The history of a record, newest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct History {
    data: Vec<Revision>,
}

/// One change of a record.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revision {
    version: i64,
    at: Option<Timestamp>,
    /// `user:user_…`, `api_key:…`, `connection:…`, `service:…`
    actor: String,
    /// The id of the change event, write answer or request that caused it.
    cause: Option<String>,
    /// The vendor it came from.
    vendor: Option<String>,
    changes: Vec<FieldChange>,
}

/// One field of a change.
#[derive(Serialize, ToSchema)]
pub(crate) struct FieldChange {
    field: String,
    before: Plain,
    after: Plain,
    /// `vendor_moved`, `edited`, `conflict_crm_won`, `first_sync`, `restored` or `undone`.
    reason: String,
}

impl From<wire::Record> for Record {
    fn from(record: wire::Record) -> Self {
        Self {
            id: record.id,
            object: record.object,
            version: record.version,
            title: record.title,
            fields: record.fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
            links: record.links.into_iter().map(Into::into).collect(),
            created_at: moment(record.created_at),
            updated_at: moment(record.updated_at),
            archived_at: moment(record.archived_at),
        }
    }
}

impl From<wire::RecordLink> for Link {
    fn from(link: wire::RecordLink) -> Self {
        Self {
            connection_id: link.connection_id,
            vendor: link.vendor,
            vendor_object: link.vendor_object,
            vendor_id: text(link.vendor_id),
            state: link.state,
            seen_at: moment(link.seen_at),
            mapping_id: text(link.mapping_id),
        }
    }
}

impl From<wire::ListRecordsResponse> for RecordList {
    fn from(list: wire::ListRecordsResponse) -> Self {
        Self {
            data: list.records.into_iter().map(Into::into).collect(),
            next_page: text(list.next_page),
            total: list.total,
        }
    }
}

impl From<wire::GetHistoryResponse> for History {
    fn from(history: wire::GetHistoryResponse) -> Self {
        Self { data: history.revisions.into_iter().map(Into::into).collect() }
    }
}

impl From<wire::Revision> for Revision {
    fn from(revision: wire::Revision) -> Self {
        let change = |change: wire::FieldChange| FieldChange {
            field: change.field,
            before: plain_or_null(change.before),
            after: plain_or_null(change.after),
            reason: change.reason,
        };
        Self {
            version: revision.version,
            at: moment(revision.at),
            actor: revision.actor,
            cause: text(revision.cause),
            vendor: text(revision.vendor),
            changes: revision.changes.into_iter().map(change).collect(),
        }
    }
}
