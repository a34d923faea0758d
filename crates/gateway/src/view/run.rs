use jiff::Timestamp;
use proto::sync as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    moment, text,
    value::{Plain, plain_or_null},
};

/// Which runs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListRuns {
    /// Of this connection only.
    #[serde(default)]
    pub(crate) connection_id: Option<String>,
    /// How many, at most 500; 50 when not given.
    #[serde(default)]
    pub(crate) limit: Option<u32>,
    /// `next_page` of the page before.
    #[serde(default)]
    pub(crate) page: Option<String>,
}

/// A page of runs.
#[derive(Serialize, ToSchema)]
pub(crate) struct RunList {
    data: Vec<Run>,
    /// To be sent as `page` for the next ones; null on the last page.
    next_page: Option<String>,
}

/// A run that changed records.
#[derive(Serialize, ToSchema)]
pub(crate) struct Run {
    id: String,
    connection_id: String,
    vendor: String,
    vendor_object: String,
    /// `poll`, `manual`, `rescan`, `backfill`, `apply` or `undo`.
    kind: String,
    /// `working` or `done`.
    state: String,
    /// `user:user_…`, `connection:…`, `service:…`
    actor: String,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    /// Records that a reading read.
    read: u64,
    /// Of a run that puts another one back: its records.
    total: u64,
    /// How many of them are dealt with.
    done: u64,
    /// Values that came back.
    put_back: u64,
    /// Values that stayed, because they are not the run's any more.
    stayed: u64,
    /// The run that this one puts back.
    undo_of: Option<String>,
    /// The run that puts this one back.
    undone_by: Option<String>,
    can_undo: bool,
}

/// What putting a run back would do now.
#[derive(Serialize, ToSchema)]
pub(crate) struct UndoPreview {
    run_id: String,
    /// Records that it touches.
    records: u64,
    put_back: u64,
    stays: u64,
    /// False when there are more records than were looked at.
    complete: bool,
    samples: Vec<UndoSample>,
}

/// One value of a preview.
#[derive(Serialize, ToSchema)]
pub(crate) struct UndoSample {
    record_id: String,
    object: String,
    title: String,
    /// Null when it is about the record.
    field: Option<String>,
    field_label: Option<String>,
    now: Plain,
    /// The value that comes back.
    back: Plain,
    /// `put_back`, `archive`, `reopen`; or why it stays: `changed_since`, `archived`, `required`, `created_there`.
    action: String,
}

impl From<wire::Run> for Run {
    fn from(run: wire::Run) -> Self {
        Self {
            id: run.id,
            connection_id: run.connection_id,
            vendor: run.vendor,
            vendor_object: run.vendor_object,
            kind: run.kind,
            state: run.state,
            actor: run.actor,
            started_at: moment(run.started_at),
            finished_at: moment(run.finished_at),
            read: run.read,
            total: run.total,
            done: run.done,
            put_back: run.put_back,
            stayed: run.stayed,
            undo_of: text(run.undo_of),
            undone_by: text(run.undone_by),
            can_undo: run.can_undo,
        }
    }
}

impl From<wire::ListRunsResponse> for RunList {
    fn from(list: wire::ListRunsResponse) -> Self {
        Self { data: list.runs.into_iter().map(Into::into).collect(), next_page: text(list.next_page) }
    }
}

impl From<wire::UndoPreview> for UndoPreview {
    fn from(preview: wire::UndoPreview) -> Self {
        let sample = |sample: wire::UndoSample| UndoSample {
            record_id: sample.record_id,
            object: sample.object,
            title: sample.title,
            field: text(sample.field),
            field_label: text(sample.field_label),
            now: plain_or_null(sample.now),
            back: plain_or_null(sample.back),
            action: sample.action,
        };
        Self {
            run_id: preview.run_id,
            records: preview.records,
            put_back: preview.put_back,
            stays: preview.stays,
            complete: preview.complete,
            samples: preview.samples.into_iter().map(sample).collect(),
        }
    }
}
