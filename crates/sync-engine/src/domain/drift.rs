//! How a vendor's schema moved: what was added, removed, renamed or narrowed since it was read last.

use std::collections::BTreeSet;

use model::{FieldSchema, FieldType, ObjectSchema, SchemaChange, SchemaChangeKind};

/// Why a field mapping cannot go on with the field that it knew.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Drift {
    pub(crate) kind: SchemaChangeKind,
    /// In words, without a record's values.
    pub(crate) message: String,
}

/// Everything that differs between two readings of a vendor's schema.
pub(crate) fn diff(before: &[ObjectSchema], now: &[ObjectSchema]) -> Vec<SchemaChange> {
    let mut changes = Vec::new();
    for old in before {
        let Some(new) = now.iter().find(|new| new.name == old.name) else {
            changes.push(change(&old.name, "", SchemaChangeKind::Removed, "the object is gone".to_owned()));
            continue;
        };
        let renamed: BTreeSet<&str> = old
            .fields
            .iter()
            .filter_map(|field| renamed(field, old, new))
            .map(|to| to.name.as_str())
            .collect();
        for field in &new.fields {
            if old.field(&field.name).is_none() && !renamed.contains(field.name.as_str()) {
                let said = format!("a {} field", field.field_type.name());
                changes.push(change(&old.name, &field.name, SchemaChangeKind::Added, said));
            }
        }
        for field in &old.fields {
            if let Some(drift) = of_field(field, old, new) {
                changes.push(change(&old.name, &field.name, drift.kind, drift.message));
            } else if new.field(&field.name).is_some_and(|now| now.read_only && !field.read_only) {
                let said = "it can no longer be written".to_owned();
                changes.push(change(&old.name, &field.name, SchemaChangeKind::ReadOnly, said));
            }
        }
    }
    let new = now.iter().filter(|new| before.iter().all(|old| old.name != new.name));
    changes.extend(new.map(|new| change(&new.name, "", SchemaChangeKind::Added, "an object".to_owned())));
    changes
}

fn change(object: &str, field: &str, change: SchemaChangeKind, detail: String) -> SchemaChange {
    SchemaChange { object: object.to_owned(), field: field.to_owned(), change, detail }
}

/// What happened to a field that something may rely upon; none when all that held of it holds still. What widens is no
/// drift: a new option, or a name that people see.
pub(crate) fn of_field(field: &FieldSchema, before: &ObjectSchema, now: &ObjectSchema) -> Option<Drift> {
    let Some(found) = now.field(&field.name) else {
        return Some(match renamed(field, before, now) {
            Some(to) => Drift {
                kind: SchemaChangeKind::Renamed,
                message: format!("{} is gone; {} looks like its new name", field.name, to.name),
            },
            None => Drift { kind: SchemaChangeKind::Removed, message: format!("{} is gone", field.name) },
        });
    };
    if found.field_type != field.field_type && found.field_type != FieldType::Text {
        let (old, new) = (field.field_type.name(), found.field_type.name());
        let message = format!("{} holds {new} values instead of {old} ones", field.name);
        return Some(Drift { kind: SchemaChangeKind::TypeNarrowed, message });
    }
    let lost: Vec<&str> = field
        .options
        .iter()
        .filter(|option| found.options.iter().all(|now| now.value != option.value))
        .map(|option| option.label.as_str())
        .collect();
    if !lost.is_empty() && !found.options.is_empty() {
        let message = format!("{} lost the options {}", field.name, lost.join(", "));
        return Some(Drift { kind: SchemaChangeKind::OptionsNarrowed, message });
    }
    (found.required && !field.required).then(|| Drift {
        kind: SchemaChangeKind::Required,
        message: format!("{} must now have a value", field.name),
    })
}

/// The new field that a vanished one became: there is exactly one with its label and its type.
fn renamed<'a>(field: &FieldSchema, before: &ObjectSchema, now: &'a ObjectSchema) -> Option<&'a FieldSchema> {
    if now.field(&field.name).is_some() {
        return None;
    }
    let same = |new: &&FieldSchema| {
        new.label == field.label && new.field_type == field.field_type && before.field(&new.name).is_none()
    };
    let mut candidates = now.fields.iter().filter(same);
    candidates.next().filter(|_| candidates.next().is_none())
}

#[cfg(test)]
mod tests {
    use model::PicklistOption;

    use super::*;

    fn field(name: &str, field_type: FieldType) -> FieldSchema {
        FieldSchema {
            name: name.to_owned(),
            label: name.to_uppercase(),
            field_type,
            description: String::new(),
            options: Vec::new(),
            read_only: false,
            required: false,
            unique: false,
            custom: false,
            references: None,
        }
    }

    fn object(fields: &[FieldSchema]) -> ObjectSchema {
        ObjectSchema { name: "deals".to_owned(), label: "Deals".to_owned(), fields: fields.to_vec() }
    }

    fn picklist(values: &[&str]) -> FieldSchema {
        let option = |value: &&str| PicklistOption { value: (*value).to_owned(), label: (*value).to_owned() };
        FieldSchema { options: values.iter().map(option).collect(), ..field("stage", FieldType::Picklist) }
    }

    fn found(before: &[FieldSchema], now: &[FieldSchema]) -> Vec<(String, SchemaChangeKind)> {
        let changes = diff(&[object(before)], &[object(now)]);
        changes.into_iter().map(|change| (change.field, change.change)).collect()
    }

    /// The fields before and now, and what is told of them.
    type Row = (Vec<FieldSchema>, Vec<FieldSchema>, &'static [(&'static str, SchemaChangeKind)]);

    #[test]
    fn each_kind_of_change_is_told() {
        use SchemaChangeKind::{Added, OptionsNarrowed, ReadOnly, Removed, Renamed, Required, TypeNarrowed};
        let name = field("name", FieldType::Text);
        let again = FieldSchema { name: "title".to_owned(), ..name.clone() };
        let size = field("size", FieldType::Number);
        let rows: [Row; 9] = [
            (vec![], vec![name.clone()], &[("name", Added)]),
            (vec![name.clone()], vec![], &[("name", Removed)]),
            (vec![name.clone()], vec![again.clone()], &[("name", Renamed)]),
            (vec![name.clone()], vec![field("name", FieldType::Number)], &[("name", TypeNarrowed)]),
            (vec![size.clone()], vec![field("size", FieldType::Text)], &[]),
            (vec![picklist(&["a", "b"])], vec![picklist(&["b", "c"])], &[("stage", OptionsNarrowed)]),
            (vec![picklist(&["a"])], vec![picklist(&["a", "b"])], &[]),
            (vec![size.clone()], vec![FieldSchema { required: true, ..size.clone() }], &[("size", Required)]),
            (
                vec![size.clone()],
                vec![FieldSchema { read_only: true, ..size.clone() }],
                &[("size", ReadOnly)],
            ),
        ];
        for (before, now, expected) in rows {
            let expected: Vec<_> = expected.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect();
            assert_eq!(found(&before, &now), expected);
        }
        // Two that could be its new name: nothing is guessed.
        let other = FieldSchema { name: "caption".to_owned(), ..name.clone() };
        assert!(found(&[name], &[again, other]).contains(&("name".to_owned(), Removed)));
    }

    #[test]
    fn an_object_that_comes_or_goes_is_told_once() {
        let deals = object(&[field("name", FieldType::Text)]);
        assert_eq!(diff(std::slice::from_ref(&deals), &[])[0].change, SchemaChangeKind::Removed);
        assert_eq!(diff(&[], &[deals])[0].change, SchemaChangeKind::Added);
    }
}
