//! Partner attribution that is written to a CRM.

use proto::sync as wire;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether and how partner attribution is written to the contacts and deals of a connection's CRM.
#[derive(Serialize, ToSchema)]
pub(crate) struct AttributionWriting {
    enabled: bool,
    /// The connection's mappings of contacts and deals.
    objects: Vec<AttributionObject>,
}

/// A mapping through which attribution is written.
#[derive(Serialize, ToSchema)]
struct AttributionObject {
    /// `contact` or `deal`.
    object: String,
    mapping_id: String,
    vendor_object: String,
    /// `draft`, `active` or `paused`: of the mapping.
    mapping_state: String,
    fields: Vec<AttributionField>,
}

/// A field that tells of the attribution.
#[derive(Serialize, ToSchema)]
struct AttributionField {
    name: String,
    label: String,
    /// `text` or `number`.
    #[serde(rename = "type")]
    field_type: String,
    /// `missing`: the vendor has no field for it; `unmapped`; `waiting`: until a plan of the mapping is applied; `mapped`.
    state: String,
    /// The vendor's field, where it has one.
    vendor_field: Option<String>,
}

/// Whether partner attribution is to be written to a connection's CRM.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetAttributionWriting {
    pub(crate) enabled: bool,
}

impl From<wire::AttributionWriting> for AttributionWriting {
    fn from(writing: wire::AttributionWriting) -> Self {
        Self { enabled: writing.enabled, objects: writing.objects.into_iter().map(Into::into).collect() }
    }
}

impl From<wire::AttributionObject> for AttributionObject {
    fn from(object: wire::AttributionObject) -> Self {
        Self {
            object: object.object,
            mapping_id: object.mapping_id,
            vendor_object: object.vendor_object,
            mapping_state: object.mapping_state,
            fields: object.fields.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<wire::AttributionField> for AttributionField {
    fn from(field: wire::AttributionField) -> Self {
        Self {
            name: field.name,
            label: field.label,
            field_type: field.r#type,
            state: field.state,
            vendor_field: Some(field.vendor_field).filter(|name| !name.is_empty()),
        }
    }
}
