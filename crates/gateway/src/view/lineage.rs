use jiff::Timestamp;
use proto::sync as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{
    moment, text,
    value::{Plain, plain_or_null},
};

/// Which value.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LineageQuery {
    /// The field's name.
    pub(crate) field: String,
    /// The value that this version of the record brought; the present one when not given.
    #[serde(default)]
    pub(crate) version: Option<i64>,
}

/// Why a field has its value.
#[derive(Serialize, ToSchema)]
pub(crate) struct Lineage {
    record_id: String,
    field: String,
    field_label: String,
    value: Plain,
    /// Whether it is marked as personal data.
    pii: bool,
    /// The record's version that brought the value; null when nobody ever set it.
    version: Option<i64>,
    /// The version that had brought the value before; to be sent as `version` for its story.
    previous_version: Option<i64>,
    /// Where it came from first, then in the order of time.
    steps: Vec<LineageStep>,
}

/// One step of a value's way.
#[derive(Serialize, ToSchema)]
pub(crate) struct LineageStep {
    /// `change` (at a vendor), `edit` (here), `mapping`, `conflict`, `write`, `answer`, `refusal` or `echo`.
    kind: String,
    at: Option<Timestamp>,
    /// The change event, request, mapping, conflict, write, answer or listing.
    id: String,
    /// `user:user_…`, `api_key:…`, `connection:…`, `service:…`
    actor: Option<String>,
    mapping_id: Option<String>,
    /// The mapping's revision at that time.
    mapping_revision: Option<i64>,
    /// Whether the mapping is another one by now.
    mapping_changed_since: bool,
    connection_id: Option<String>,
    vendor: Option<String>,
    vendor_object: Option<String>,
    vendor_field: Option<String>,
    value: Plain,
    /// The value before, or the one that lost.
    other: Plain,
    /// The reason of a change, the policy of a conflict, the category of a refusal.
    note: Option<String>,
    /// Who won a conflict, or the vendor's words.
    detail: Option<String>,
}

/// A number that says something.
fn number(number: i64) -> Option<i64> {
    Some(number).filter(|number| *number > 0)
}

impl From<wire::Lineage> for Lineage {
    fn from(lineage: wire::Lineage) -> Self {
        Self {
            record_id: lineage.record_id,
            field: lineage.field,
            field_label: lineage.field_label,
            value: plain_or_null(lineage.value),
            pii: lineage.pii,
            version: number(lineage.version),
            previous_version: number(lineage.previous_version),
            steps: lineage.steps.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<wire::LineageStep> for LineageStep {
    fn from(step: wire::LineageStep) -> Self {
        Self {
            kind: step.kind,
            at: moment(step.at),
            id: step.id,
            actor: text(step.actor),
            mapping_id: text(step.mapping_id),
            mapping_revision: number(step.mapping_revision),
            mapping_changed_since: step.mapping_changed_since,
            connection_id: text(step.connection_id),
            vendor: text(step.vendor),
            vendor_object: text(step.vendor_object),
            vendor_field: text(step.vendor_field),
            value: plain_or_null(step.value),
            other: plain_or_null(step.other),
            note: text(step.note),
            detail: text(step.detail),
        }
    }
}
