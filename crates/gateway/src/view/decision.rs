use std::collections::BTreeMap;

use proto::sync as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    text,
    value::{Plain, plain},
};

/// Which decisions.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListDecisions {
    /// Of this connection only.
    #[serde(default)]
    pub(crate) connection_id: Option<String>,
    /// How many, at most 500; 50 when not given.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
}

/// Which of the vendor's records.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OfVendor {
    /// The vendor's id of the record.
    pub(crate) vendor_id: String,
}

/// What waits for somebody's decision.
#[derive(Serialize, ToSchema)]
pub(crate) struct DecisionList {
    data: Vec<Decision>,
}

/// A vendor's record that matches several records here.
#[derive(Serialize, ToSchema)]
pub(crate) struct Decision {
    id: String,
    connection_id: String,
    mapping_id: String,
    object: String,
    vendor: String,
    vendor_object: String,
    vendor_id: String,
    /// What the vendor's record is called.
    title: String,
    /// Its values, in the fields here.
    fields: BTreeMap<String, Plain>,
    candidates: Vec<Candidate>,
}

/// A record here that it may be.
#[derive(Serialize, ToSchema)]
pub(crate) struct Candidate {
    record_id: String,
    title: String,
    /// The fields whose values are equal on both sides.
    shared: Vec<String>,
    /// Whether it can still be linked.
    free: bool,
}

/// What somebody decided.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settlement {
    /// `link` (with `record_id`), `create` or `ignore`.
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) record_id: Option<String>,
}

/// What came of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct Settled {
    /// The record that the vendor's is linked to; null when it is ignored.
    record_id: Option<String>,
}

/// Why a record is or is not synced.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncReasons {
    /// Empty when the object is not mapped at all.
    data: Vec<SyncReason>,
}

/// One reason, of one mapping.
#[derive(Serialize, ToSchema)]
pub(crate) struct SyncReason {
    mapping_id: String,
    connection_id: String,
    vendor: String,
    vendor_object: String,
    vendor_id: Option<String>,
    /// `in_sync`, `writing`, `mapping_draft`, `mapping_paused`, `connection_paused`, `connection_error`,
    /// `connection_reauth_required`, `connection_disconnected`, `filtered`, `ignored`, `ambiguous`, `detached`, `issue`,
    /// `archived`, `direction`, `not_linked` or `not_seen`.
    code: String,
    message: String,
    /// Whether it is synced in spite of it.
    syncing: bool,
}

impl From<wire::ListDecisionsResponse> for DecisionList {
    fn from(list: wire::ListDecisionsResponse) -> Self {
        Self { data: list.decisions.into_iter().map(Into::into).collect() }
    }
}

impl From<wire::Decision> for Decision {
    fn from(decision: wire::Decision) -> Self {
        let candidate = |candidate: wire::Candidate| Candidate {
            record_id: candidate.record_id,
            title: candidate.title,
            shared: candidate.shared,
            free: candidate.free,
        };
        Self {
            id: decision.id,
            connection_id: decision.connection_id,
            mapping_id: decision.mapping_id,
            object: decision.object,
            vendor: decision.vendor,
            vendor_object: decision.vendor_object,
            vendor_id: decision.vendor_id,
            title: decision.title,
            fields: decision.fields.into_iter().map(|(name, value)| (name, plain(value))).collect(),
            candidates: decision.candidates.into_iter().map(candidate).collect(),
        }
    }
}

impl From<wire::SettleDecisionResponse> for Settled {
    fn from(settled: wire::SettleDecisionResponse) -> Self {
        Self { record_id: text(settled.record_id) }
    }
}

impl From<wire::ExplainSyncResponse> for SyncReasons {
    fn from(answer: wire::ExplainSyncResponse) -> Self {
        let reason = |reason: wire::SyncReason| SyncReason {
            mapping_id: reason.mapping_id,
            connection_id: reason.connection_id,
            vendor: reason.vendor,
            vendor_object: reason.vendor_object,
            vendor_id: text(reason.vendor_id),
            code: reason.code,
            message: reason.message,
            syncing: reason.syncing,
        };
        Self { data: answer.reasons.into_iter().map(reason).collect() }
    }
}
