use proto::sync::{AttributionField, AttributionObject, AttributionWriting};

/// How attribution is written to a CRM: one mapping is ready, one waits, and one field is missing.
#[must_use]
pub fn attribution_writing(enabled: bool) -> AttributionWriting {
    let field = |(at, field): (usize, model::FieldSchema), object: usize| {
        let state = match (enabled, object, at) {
            (false, ..) | (true, 1, 4) => "missing",
            (true, 0, _) => "mapped",
            _ => "waiting",
        };
        AttributionField {
            vendor_field: if state == "missing" { String::new() } else { field.name.clone() },
            name: field.name,
            label: field.label,
            r#type: field.field_type.name().to_owned(),
            state: state.to_owned(),
        }
    };
    let object = |(at, (object, vendor_object)): (usize, (&str, &str))| AttributionObject {
        object: object.to_owned(),
        mapping_id: super::mapping(u32::try_from(at).unwrap_or_default(), "active").id,
        vendor_object: vendor_object.to_owned(),
        mapping_state: "active".to_owned(),
        fields: model::attribution_fields().into_iter().enumerate().map(|it| field(it, at)).collect(),
    };
    let objects = [("contact", "contacts"), ("deal", "deals")].into_iter().enumerate().map(object).collect();
    AttributionWriting { enabled, objects }
}
