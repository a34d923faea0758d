//! The mapping of a system in a plan.

use std::collections::BTreeMap;

use model::{
    CanonicalObject, ConnectionId, FieldSchema, FieldType, MappingId, ObjectSchema, OrganizationId,
    PicklistOption,
};
use uuid::Uuid;

use super::plan::{FIELDS, SystemPlan};
use crate::domain::mapping::{Compiled, FieldMapping, FieldState, Mapping, MappingState, Settings};

/// The options that our picklist has.
pub(super) const OPTIONS_HERE: [&str; 4] = ["customer", "prospect", "partner", "other"];
/// The options that the vendors' picklists have; each side has one that the other has no place for.
pub(super) const OPTIONS_THERE: [&str; 4] = ["customer", "prospect", "partner", "reseller"];

/// The mapping in the form that the merge reads, still a draft.
pub(super) fn compiled(organization: OrganizationId, system: usize, plan: &SystemPlan) -> Compiled {
    let fields = FIELDS.iter().zip(&plan.fields).map(|((name, _), (direction, policy))| {
        let field = FieldMapping {
            vendor_field: Some((*name).to_owned()),
            state: FieldState::Confirmed,
            direction: Some(*direction),
            policy: Some(*policy),
            ..FieldMapping::unmapped()
        };
        ((*name).to_owned(), field)
    });
    let number = Uuid::from_u128(system as u128 + 1);
    let mapping = Mapping {
        id: MappingId::from_uuid(number),
        organization,
        connection: ConnectionId::from_uuid(number),
        vendor: plan.profile.name.to_owned(),
        object: CanonicalObject::Company,
        vendor_object: "companies".to_owned(),
        state: MappingState::Draft,
        revision: 1,
        settings: Settings {
            direction: plan.direction,
            default_policy: plan.fields[0].1,
            match_keys: vec!["domain".to_owned()],
            fields: fields.collect::<BTreeMap<_, _>>(),
            ..Settings::default()
        },
        draft: None,
        activated_at: None,
        activated_by: None,
    };
    Compiled::new(mapping, &schema(&OPTIONS_HERE), &schema(&OPTIONS_THERE))
}

fn schema(options: &[&str]) -> ObjectSchema {
    let option = |value: &&str| PicklistOption { value: (*value).to_owned(), label: (*value).to_owned() };
    let field = |(name, field_type): &(&str, FieldType)| FieldSchema {
        name: (*name).to_owned(),
        label: (*name).to_owned(),
        field_type: *field_type,
        description: String::new(),
        options: if *field_type == FieldType::Picklist {
            options.iter().map(option).collect()
        } else {
            Vec::new()
        },
        read_only: false,
        required: false,
        unique: false,
        custom: false,
        references: None,
    };
    ObjectSchema {
        name: "companies".to_owned(),
        label: String::new(),
        fields: FIELDS.iter().map(field).collect(),
    }
}
