use jiff::Timestamp;
use proto::sync as wire;
use serde::Serialize;
use utoipa::ToSchema;

use super::{moment, text};

/// Comparisons of both sides.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReconcileList {
    data: Vec<Reconcile>,
}

/// A comparison of an object at both sides.
#[derive(Serialize, ToSchema)]
pub(crate) struct Reconcile {
    id: String,
    connection_id: String,
    vendor: String,
    vendor_object: String,
    /// `wanted`, `reading`, `done` or `given_up`.
    state: String,
    /// `user:user_…`, `service:…`
    actor: String,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// Both sides are equal as of this moment.
    verified_at: Option<Timestamp>,
    /// Records that were read there so far.
    read: u64,
    /// Records that the vendor counted at the start, where it counts them.
    total: Option<u64>,
    /// How many buckets the records are divided into by their ids.
    buckets: u64,
    /// How many of them had another sum of digests there than here; their records were compared one by one.
    buckets_that_differed: u64,
    /// Records that differed and were repaired.
    repaired: u64,
    /// Records that an open issue holds back, so that they may still differ.
    held: u64,
}

/// A comparison with what differed.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReconcileDetail {
    #[serde(flatten)]
    reconcile: Reconcile,
    differences: Vec<Difference>,
}

/// A record that differed and was repaired.
#[derive(Serialize, ToSchema)]
pub(crate) struct Difference {
    vendor_id: Option<String>,
    record_id: Option<String>,
    /// The object of that record.
    object: Option<String>,
    /// `value` (another value there), `missing_here`, `missing_there` (detached), `unsent` (ours had not reached it).
    what: String,
    /// The fields, where some differed.
    fields: Vec<String>,
    at: Option<Timestamp>,
}

impl From<wire::Reconcile> for Reconcile {
    fn from(it: wire::Reconcile) -> Self {
        Self {
            id: it.id,
            connection_id: it.connection_id,
            vendor: it.vendor,
            vendor_object: it.vendor_object,
            state: it.state,
            actor: it.actor,
            started_at: moment(it.started_at),
            finished_at: moment(it.finished_at),
            verified_at: moment(it.verified_at),
            read: it.read,
            buckets: it.buckets,
            buckets_that_differed: it.buckets_that_differed,
            repaired: it.repaired,
            total: Some(it.total).filter(|total| *total > 0),
            held: it.held,
        }
    }
}

impl From<wire::Reconcile> for ReconcileDetail {
    fn from(mut it: wire::Reconcile) -> Self {
        let difference = |it: wire::Difference| Difference {
            vendor_id: text(it.vendor_id),
            record_id: text(it.record_id),
            object: text(it.object),
            what: it.what,
            fields: it.fields,
            at: moment(it.at),
        };
        let differences = std::mem::take(&mut it.differences).into_iter().map(difference).collect();
        Self { reconcile: it.into(), differences }
    }
}

impl From<wire::ListReconcilesResponse> for ReconcileList {
    fn from(list: wire::ListReconcilesResponse) -> Self {
        Self { data: list.reconciles.into_iter().map(Into::into).collect() }
    }
}
