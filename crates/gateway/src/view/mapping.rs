use jiff::Timestamp;
use proto::sync as wire;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{moment, text, value::Field};

/// A pair of objects whose records are kept in sync.
#[derive(Serialize, ToSchema)]
pub(crate) struct Mapping {
    /// `map_…`
    id: String,
    connection_id: String,
    vendor: String,
    object: String,
    object_label: String,
    vendor_object: String,
    vendor_object_label: String,
    /// `draft`, `active` or `paused`.
    state: String,
    /// `bidirectional`, `to_vendor` or `from_vendor`.
    direction: String,
    /// Fields whose equal values make two records the same.
    match_keys: Vec<String>,
    revision: i64,
    /// One per field of our object.
    fields: Vec<FieldMapping>,
    /// The vendor's fields, to choose from.
    vendor_fields: Vec<Field>,
    activated_at: Option<Timestamp>,
    activated_by: Option<String>,
    linked_records: u64,
    /// What newly mapped fields start with: `platform_wins`, `crm_wins`, `newest_wins` or `manual`.
    default_policy: String,
    /// What becomes of one side's record when the other side's is gone: `detach`, `archive` or `delete`.
    delete_policy: String,
    /// Which records are synced; null: all.
    filter: Option<Filter>,
    /// Where a moment's day is told, `Europe/Berlin`; null: in UTC.
    time_zone: Option<String>,
    /// What of all this is not applied yet: records sync by what is said to be `before`.
    pending_changes: Vec<PendingChange>,
}

/// A setting that waits for a plan of it to be applied.
#[derive(Serialize, ToSchema)]
pub(crate) struct PendingChange {
    /// Our field; null: the mapping itself.
    field: Option<String>,
    field_label: Option<String>,
    /// `direction`, `default_policy`, `match_keys`, `delete_policy`, `filter` or `time_zone`; of a field `vendor_field`,
    /// `direction`, `policy`, `blank_rule`, `transforms` or `values`.
    setting: String,
    /// Null: nothing was set.
    before: Option<String>,
    after: Option<String>,
}

/// Which records of a mapping are synced.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// Whether one condition that holds is enough; else all must.
    #[serde(default)]
    any: bool,
    /// `here|there FIELD OPERATOR [VALUE]`: `there amount above 1000`. The operators are `is`, `is_not`, `one_of`,
    /// `contains`, `starts_with`, `above`, `below`, `is_blank` and `is_set`.
    conditions: Vec<String>,
}

/// An option here and its counterpart at the vendor.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ValuePair {
    ours: String,
    theirs: String,
}

/// A pair of fields.
#[derive(Serialize, ToSchema)]
pub(crate) struct FieldMapping {
    field: String,
    field_label: String,
    field_type: String,
    vendor_field: Option<String>,
    vendor_field_label: Option<String>,
    vendor_field_type: Option<String>,
    /// `auto_mapped`, `suggested`, `confirmed`, `unmapped` or `ignored`.
    state: String,
    /// 0 to 1.
    confidence: f64,
    evidence: Vec<String>,
    /// Null: as the object mapping.
    direction: Option<String>,
    policy: Option<String>,
    /// Whether it is personal data, whose values never reach the audit log.
    pii: bool,
    vendor_read_only: bool,
    /// What a blank does: `wins`, `never_overwrites` or `only_fills`.
    blank_rule: String,
    /// How values are rewritten on their way, outward in this order: `trim`, `lower`, `upper`, `scale 2`, `round 2`,
    /// `currency EUR`, `boolean Yes/No`, `join ;`, `time_zone Europe/Berlin`, `template_there {first_name} {last_name}`,
    /// `template_here {firstname} {lastname}`.
    transforms: Vec<String>,
    /// Which option is which, where somebody said so.
    values: Vec<ValuePair>,
    /// Which option is which as far as names and labels tell.
    suggested_values: Vec<ValuePair>,
    /// Set while the field mapping is paused because the vendor changed its field.
    drift: Option<Drift>,
}

/// How the vendor changed a field under its mapping.
#[derive(Serialize, ToSchema)]
pub(crate) struct Drift {
    /// `removed`, `renamed`, `type_narrowed`, `options_narrowed` or `required`.
    change: String,
    /// The same in words.
    message: String,
    /// Whether the field is as it was before.
    returned: bool,
}

/// The mappings.
#[derive(Serialize, ToSchema)]
pub(crate) struct MappingList {
    data: Vec<Mapping>,
}

/// Which mappings.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListMappings {
    /// Of this connection only.
    #[serde(default)]
    pub(crate) connection_id: Option<String>,
}

/// A new mapping, a draft.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMapping {
    pub(crate) connection_id: String,
    /// `company`
    pub(crate) object: String,
    /// `companies`
    pub(crate) vendor_object: String,
}

/// Changes of a mapping; what is not named stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MappingEdit {
    /// `bidirectional`, `to_vendor` or `from_vendor`.
    #[serde(default)]
    pub(crate) direction: Option<String>,
    /// `platform_wins`, `crm_wins`, `newest_wins` or `manual`.
    #[serde(default)]
    pub(crate) default_policy: Option<String>,
    /// Fields whose equal values make two records the same.
    #[serde(default)]
    pub(crate) match_keys: Vec<String>,
    /// Confirm every suggested field at once.
    #[serde(default)]
    pub(crate) confirm_all: bool,
    /// `detach`, `archive` or `delete`.
    #[serde(default)]
    pub(crate) delete_policy: Option<String>,
    /// Which records are synced; without conditions: all.
    #[serde(default)]
    pub(crate) filter: Option<Filter>,
    /// Where a moment's day is told; an empty text: in UTC.
    #[serde(default)]
    pub(crate) time_zone: Option<String>,
}

/// What is decided about one field.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FieldEdit {
    /// `confirm`, `choose` (with `vendor_field`), `ignore`, `unmap`, `settings`, or `resume` after a drift.
    pub(crate) action: String,
    #[serde(default)]
    pub(crate) vendor_field: Option<String>,
    /// With `choose` and `settings`; an empty text: as the object mapping.
    #[serde(default)]
    pub(crate) direction: Option<String>,
    /// With `choose` and `settings`: `platform_wins`, `crm_wins`, `newest_wins` or `manual`.
    #[serde(default)]
    pub(crate) policy: Option<String>,
    /// With `choose` and `settings`: whether it is personal data.
    #[serde(default)]
    pub(crate) pii: Option<bool>,
    /// With `choose` and `settings`: `wins`, `never_overwrites` or `only_fills`.
    #[serde(default)]
    pub(crate) blank_rule: Option<String>,
    /// With `choose` and `settings`: all transforms, in their order.
    #[serde(default)]
    pub(crate) transforms: Option<Vec<String>>,
    /// With `choose` and `settings`: the whole value map.
    #[serde(default)]
    pub(crate) values: Option<Vec<ValuePair>>,
}

/// What activation, or applying the pending changes, would do.
#[derive(Serialize, ToSchema)]
pub(crate) struct Plan {
    mapping_id: String,
    /// `reading`, `computing`, `ready`, `applying`, `applied` or `stale`.
    state: String,
    /// To be given when activating.
    hash: Option<String>,
    mapping_revision: i64,
    made_at: Option<Timestamp>,
    read: u64,
    total: u64,
    categories: Vec<PlanCategory>,
    /// Calls of the vendor's API that it takes.
    vendor_calls: u64,
    /// How long it takes.
    seconds: f64,
    applied: u64,
    to_apply: u64,
}

/// Records with which the same would happen.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanCategory {
    /// `matched_equal`, `update_here`, `update_there`, `create_here`, `create_there`, `conflict`, `blocked`, or `skipped`
    /// (the mapping's direction leaves it alone).
    name: String,
    label: String,
    count: u64,
    samples: Vec<PlanSample>,
}

/// One of them.
#[derive(Serialize, ToSchema)]
pub(crate) struct PlanSample {
    title: String,
    vendor_id: Option<String>,
    record_id: Option<String>,
    note: Option<String>,
}

/// The plan to activate.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Activation {
    /// The `hash` of the plan; 409 `plan_stale` when it is no longer true. Where records moved since it was made, a new one
    /// is then worked out by itself.
    pub(crate) plan_hash: String,
}

impl From<wire::Mapping> for Mapping {
    fn from(mapping: wire::Mapping) -> Self {
        Self {
            id: mapping.id,
            connection_id: mapping.connection_id,
            vendor: mapping.vendor,
            object: mapping.object,
            object_label: mapping.object_label,
            vendor_object: mapping.vendor_object,
            vendor_object_label: mapping.vendor_object_label,
            state: mapping.state,
            direction: mapping.direction,
            match_keys: mapping.match_keys,
            revision: mapping.revision,
            fields: mapping.fields.into_iter().map(Into::into).collect(),
            vendor_fields: mapping.vendor_fields.into_iter().map(Into::into).collect(),
            activated_at: moment(mapping.activated_at),
            activated_by: text(mapping.activated_by),
            linked_records: mapping.linked_records,
            default_policy: mapping.default_policy,
            delete_policy: mapping.delete_policy,
            filter: mapping
                .filter
                .filter(|filter| !filter.conditions.is_empty())
                .map(|filter| Filter { any: filter.any, conditions: filter.conditions }),
            time_zone: text(mapping.time_zone),
            pending_changes: mapping.pending_changes.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<wire::PendingChange> for PendingChange {
    fn from(change: wire::PendingChange) -> Self {
        Self {
            field: text(change.field),
            field_label: text(change.field_label),
            setting: change.setting,
            before: text(change.before),
            after: text(change.after),
        }
    }
}

impl From<Filter> for wire::Filter {
    fn from(filter: Filter) -> Self {
        Self { any: filter.any, conditions: filter.conditions }
    }
}

impl From<wire::ValuePair> for ValuePair {
    fn from(pair: wire::ValuePair) -> Self {
        Self { ours: pair.ours, theirs: pair.theirs }
    }
}

impl From<ValuePair> for wire::ValuePair {
    fn from(pair: ValuePair) -> Self {
        Self { ours: pair.ours, theirs: pair.theirs }
    }
}

impl From<wire::FieldMapping> for FieldMapping {
    fn from(field: wire::FieldMapping) -> Self {
        Self {
            field: field.field,
            field_label: field.field_label,
            field_type: field.field_type,
            vendor_field: text(field.vendor_field),
            vendor_field_label: text(field.vendor_field_label),
            vendor_field_type: text(field.vendor_field_type),
            state: field.state,
            confidence: field.confidence,
            evidence: field.evidence,
            direction: text(field.direction),
            policy: text(field.policy),
            pii: field.pii,
            vendor_read_only: field.vendor_read_only,
            drift: text(field.drift).map(|change| Drift {
                change,
                message: field.drift_message,
                returned: field.drift_returned,
            }),
            blank_rule: field.blank_rule,
            transforms: field.transforms,
            values: field.values.into_iter().map(Into::into).collect(),
            suggested_values: field.suggested_values.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<wire::ListMappingsResponse> for MappingList {
    fn from(list: wire::ListMappingsResponse) -> Self {
        Self { data: list.mappings.into_iter().map(Into::into).collect() }
    }
}

impl From<wire::Plan> for Plan {
    fn from(plan: wire::Plan) -> Self {
        Self {
            mapping_id: plan.mapping_id,
            state: plan.state,
            hash: text(plan.hash),
            mapping_revision: plan.mapping_revision,
            made_at: moment(plan.made_at),
            read: plan.read,
            total: plan.total,
            categories: plan.categories.into_iter().map(Into::into).collect(),
            vendor_calls: plan.vendor_calls,
            seconds: plan.seconds,
            applied: plan.applied,
            to_apply: plan.to_apply,
        }
    }
}

impl From<wire::PlanCategory> for PlanCategory {
    fn from(category: wire::PlanCategory) -> Self {
        let sample = |sample: wire::PlanSample| PlanSample {
            title: sample.title,
            vendor_id: text(sample.vendor_id),
            record_id: text(sample.record_id),
            note: text(sample.note),
        };
        Self {
            name: category.name,
            label: category.label,
            count: category.count,
            samples: category.samples.into_iter().map(sample).collect(),
        }
    }
}
