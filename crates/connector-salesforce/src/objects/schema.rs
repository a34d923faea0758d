use model::{FieldSchema, FieldType, ObjectSchema, PicklistOption};

use super::{RECORD_ID, STANDARD};
use crate::wire::{Describe, Field, GlobalObject};

/// Fields that are nobody's to map: what identifies and dates a record, what each user sees differently, and what holds our
/// own record id.
const HIDDEN: [&str; 8] = [
    "Id",
    "IsDeleted",
    "MasterRecordId",
    "SystemModstamp",
    "LastViewedDate",
    "LastReferencedDate",
    "PhotoUrl",
    RECORD_ID,
];

/// Whether an object is offered: one that people work with, and that the user who connected may read.
pub(crate) fn is_offered(object: &GlobalObject) -> bool {
    let of_people = STANDARD.contains(&object.name.as_str())
        || (object.custom && !object.custom_setting && object.name.ends_with("__c"));
    of_people && object.queryable && object.createable && !object.deprecated_and_hidden
}

/// An object's schema from its description. Compounds are left out where their parts are fields of their own.
pub(crate) fn from_wire(describe: Describe) -> ObjectSchema {
    let label = if describe.label_plural.is_empty() { describe.name.clone() } else { describe.label_plural };
    let fields = describe.fields.into_iter().filter_map(field).collect();
    ObjectSchema { name: describe.name, label, fields }
}

fn field(field: Field) -> Option<FieldSchema> {
    if field.deprecated_and_hidden || HIDDEN.contains(&field.name.as_str()) {
        return None;
    }
    let field_type = field_type(&field)?;
    let required = field.createable && !field.nillable && !field.defaulted_on_create;
    // What can be set once only is offered where a record cannot be made without it.
    let writable = field.createable && (field.updateable || required);
    let options = field.picklist_values.into_iter().filter(|value| value.active);
    let option = |value: crate::wire::PicklistValue| PicklistOption {
        label: value.label.unwrap_or_else(|| value.value.clone()),
        value: value.value,
    };
    let references = match field.reference_to.as_slice() {
        [one] if field_type == FieldType::Reference => Some(one.clone()),
        _ => None,
    };
    Some(FieldSchema {
        label: if field.label.is_empty() { field.name.clone() } else { field.label },
        name: field.name,
        field_type,
        description: field.inline_help_text.unwrap_or_default(),
        options: options.map(option).collect(),
        read_only: !writable,
        required: required && field_type != FieldType::Boolean,
        unique: field.unique,
        custom: field.custom,
        references,
    })
}

/// What values a field holds; none for compounds and files.
fn field_type(field: &Field) -> Option<FieldType> {
    Some(match field.kind.as_str() {
        "address" | "location" | "base64" | "id" => return None,
        "boolean" => FieldType::Boolean,
        "int" | "long" | "double" => FieldType::Number,
        "currency" => FieldType::Currency,
        "percent" => FieldType::Percent,
        "date" => FieldType::Date,
        "datetime" => FieldType::DateTime,
        "email" => FieldType::Email,
        "phone" => FieldType::Phone,
        "url" => FieldType::Url,
        "picklist" => FieldType::Picklist,
        "multipicklist" => FieldType::MultiPicklist,
        "reference" if field.reference_to.iter().any(|object| object == "User") => FieldType::User,
        "reference" => FieldType::Reference,
        _ => FieldType::Text,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> ObjectSchema {
        from_wire(serde_json::from_str(include_str!("../../fixtures/lead_describe.json")).unwrap())
    }

    #[test]
    fn a_description_becomes_fields_with_their_rules() {
        let schema = schema();
        let field = |name: &str| schema.field(name).unwrap();
        assert_eq!(schema.label, "Leads");
        assert!(field("LastName").required && field("Company").required && !field("Status").required);
        assert!(field("Name").read_only && field("IsConverted").read_only && field("CreatedDate").read_only);
        assert!(!field("Street").read_only && !field("City").read_only);
        assert_eq!(field("OwnerId").field_type, FieldType::User);
        assert_eq!(field("AnnualRevenue").field_type, FieldType::Currency);
        assert_eq!(field("Status").options[0].value, "Open - Not Contacted");
        assert_eq!(field("ConvertedAccountId").references.as_deref(), Some("Account"));
        assert!(field("Score__c").custom && field("Score__c").read_only);
        for hidden in ["Id", "Address", "SystemModstamp", "IsDeleted", RECORD_ID, "PhotoUrl"] {
            assert!(schema.field(hidden).is_none(), "{hidden}");
        }
        assert!(!field("Status").options.iter().any(|option| option.value == "Retired"));
    }

    #[test]
    fn objects_of_people_are_offered_and_machinery_is_not() {
        let object = |name: &str, custom| GlobalObject {
            name: name.into(),
            custom,
            queryable: true,
            createable: true,
            ..GlobalObject::default()
        };
        for (name, custom) in [("Account", false), ("Deal__c", true), ("ns__Deal__c", true)] {
            assert!(is_offered(&object(name, custom)), "{name}");
        }
        for (name, custom) in
            [("AccountFeed", false), ("Rule__mdt", true), ("Deal__Share", true), ("Ping__e", true)]
        {
            assert!(!is_offered(&object(name, custom)), "{name}");
        }
        assert!(!is_offered(&GlobalObject { queryable: false, ..object("Account", false) }));
        assert!(!is_offered(&GlobalObject { custom_setting: true, ..object("Keys__c", true) }));
    }
}
