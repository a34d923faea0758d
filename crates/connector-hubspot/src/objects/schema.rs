use model::{FieldSchema, FieldType, ObjectSchema, PicklistOption};

use super::{COMPANY, Object, RECORD_ID, companies::COMPANIES};
use crate::wire::{Pipeline, PipelineList, Property, PropertyList};

/// An object's schema from its properties. Archived properties are left out, because HubSpot refuses to write them, and
/// so is the one in which Accord keeps its own record id, which is nobody's to map.
pub(crate) fn from_wire(object: &Object, properties: PropertyList) -> ObjectSchema {
    let offered = |property: &Property| {
        !property.archived && property.name != RECORD_ID && object.hidden != Some(property.name.as_str())
    };
    let live = properties.results.into_iter().filter(offered);
    ObjectSchema {
        name: object.name.to_string(),
        label: object.label.to_string(),
        fields: live
            .map(|property| field(object, property))
            .chain(object.company.map(|_| company()))
            .collect(),
    }
}

/// The association with the primary company, as a field.
fn company() -> FieldSchema {
    FieldSchema {
        name: COMPANY.to_owned(),
        label: "Primary company".to_owned(),
        field_type: FieldType::Reference,
        description: "The company that the record is associated with first of all".to_owned(),
        options: Vec::new(),
        read_only: false,
        required: false,
        unique: false,
        custom: false,
        references: Some(COMPANIES.name.to_string()),
    }
}

/// Pipelines and their stages, whose ids are the options of two properties. Stages of a second pipeline carry its
/// name, because every new one has a stage "Closed won".
pub(crate) fn add_pipelines(schema: &mut ObjectSchema, pipelines: PipelineList) {
    let many = pipelines.results.len() > 1;
    let stage = |pipeline: &Pipeline, id: &str, label: &str| PicklistOption {
        value: id.to_owned(),
        label: if many { format!("{label} ({})", pipeline.label) } else { label.to_owned() },
    };
    let stages = pipelines
        .results
        .iter()
        .flat_map(|pipeline| pipeline.stages.iter().map(move |one| stage(pipeline, &one.id, &one.label)));
    let stages: Vec<_> = stages.collect();
    let names = pipelines.results.into_iter().map(|one| PicklistOption { value: one.id, label: one.label });
    let names: Vec<_> = names.collect();
    for field in &mut schema.fields {
        match field.name.as_str() {
            "pipeline" => field.options.clone_from(&names),
            "dealstage" => field.options.clone_from(&stages),
            _ => {}
        }
    }
}

fn field(object: &Object, property: Property) -> FieldSchema {
    let field_type = field_type(object, &property);
    let options = property.options.into_iter();
    FieldSchema {
        label: if property.label.is_empty() { property.name.clone() } else { property.label },
        name: property.name,
        field_type,
        description: property.description.unwrap_or_default(),
        options: options.map(|one| PicklistOption { value: one.value, label: one.label }).collect(),
        read_only: property.calculated || property.modification_metadata.read_only_value,
        required: false,
        unique: property.has_unique_value,
        custom: !property.hubspot_defined,
        references: (field_type == FieldType::Reference).then(|| COMPANIES.name.to_string()),
    }
}

/// What values a property holds: by its `type`, never by the editor that HubSpot shows for it (a `datetime` may have a
/// text box). The editor only tells one option from several.
fn field_type(object: &Object, property: &Property) -> FieldType {
    if let Some((_, refined)) = object.refined.iter().find(|(name, _)| *name == property.name) {
        return *refined;
    }
    match (property.kind.as_str(), property.field_type.as_str()) {
        ("number", _) if property.show_currency_symbol == Some(true) => FieldType::Currency,
        ("number", _) => match property.number_display_hint.as_deref() {
            Some("currency") => FieldType::Currency,
            Some("percentage") => FieldType::Percent,
            _ => FieldType::Number,
        },
        ("bool", _) => FieldType::Boolean,
        ("date", _) => FieldType::Date,
        ("datetime", _) => FieldType::DateTime,
        ("enumeration", _) if property.referenced_object_type.as_deref() == Some("OWNER") => FieldType::User,
        ("enumeration", "checkbox") => FieldType::MultiPicklist,
        ("enumeration", _) => FieldType::Picklist,
        ("phone_number", _) | ("string", "phonenumber") => FieldType::Phone,
        _ => FieldType::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::deals::DEALS;

    fn property(kind: &str, field_type: &str) -> Property {
        Property { name: "p".into(), kind: kind.into(), field_type: field_type.into(), ..Property::default() }
    }

    #[test]
    fn the_type_decides_and_not_the_editor() {
        let rows = [
            ("datetime", "text", FieldType::DateTime),
            ("datetime", "date", FieldType::DateTime),
            ("number", "text", FieldType::Number),
            ("enumeration", "booleancheckbox", FieldType::Picklist),
            ("enumeration", "checkbox", FieldType::MultiPicklist),
            ("enumeration", "radio", FieldType::Picklist),
            ("bool", "calculation_equation", FieldType::Boolean),
            ("date", "date", FieldType::Date),
            ("string", "phonenumber", FieldType::Phone),
            ("json", "text", FieldType::Text),
            ("a type of tomorrow", "text", FieldType::Text),
        ];
        for (kind, editor, expected) in rows {
            assert_eq!(field_type(&COMPANIES, &property(kind, editor)), expected, "{kind}/{editor}");
        }
    }

    #[test]
    fn properties_become_fields_with_their_rules() {
        let list: PropertyList =
            serde_json::from_str(include_str!("../../fixtures/properties_companies.json")).unwrap();
        let schema = from_wire(&COMPANIES, list);
        let field = |name: &str| schema.field(name).unwrap();
        assert!(field("hs_lastmodifieddate").read_only);
        assert!(!field("name").read_only && !field("name").custom);
        assert!(field("regions").custom);
        assert!(schema.field("accord_record_id").is_none());
        assert_eq!(field("annualrevenue").field_type, FieldType::Currency);
        assert_eq!(field("hubspot_owner_id").field_type, FieldType::User);
        assert_eq!(field("regions").options[0].label, "EMEA");
        assert!(schema.field("an_archived_one").is_none());
    }

    #[test]
    fn stages_of_pipelines_are_the_options() {
        let mut schema = from_wire(
            &DEALS,
            PropertyList {
                results: vec![Property { name: "dealstage".into(), ..property("enumeration", "radio") }],
            },
        );
        let pipelines = include_str!("../../fixtures/pipelines_deals.json");
        add_pipelines(&mut schema, serde_json::from_str(pipelines).unwrap());
        let labels: Vec<&str> = schema.fields[0].options.iter().map(|option| option.label.as_str()).collect();
        assert_eq!(labels, ["Closed won (Sales Pipeline)", "Closed won (Renewals)"]);
        assert_eq!(schema.fields[0].options[1].value, "1203");
    }
}
