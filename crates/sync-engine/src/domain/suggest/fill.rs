//! Suggestions in the review of a mapping: filling a draft, and confirming it.

use std::collections::{BTreeMap, BTreeSet};

use model::{FieldSchema, FieldType, ObjectSchema};

use super::{AUTO, Suggestion, suggest};
use crate::domain::{
    mapping::{FieldMapping, FieldState, Settings},
    transform,
};

/// Fills what nobody decided yet with suggestions. In a draft the sure ones are applied by themselves; once records
/// have moved, every new pair waits for somebody.
pub(crate) fn fill(settings: &mut Settings, canonical: &ObjectSchema, vendor: &ObjectSchema, draft: bool) {
    let decided = |field: &FieldMapping| {
        matches!(field.state, FieldState::Confirmed | FieldState::Ignored)
            || !draft && field.effective().is_some()
    };
    let fields = &mut settings.fields;
    for field in &canonical.fields {
        fields.entry(field.name.clone()).or_insert_with(FieldMapping::unmapped);
    }
    let taken: BTreeSet<&str> =
        fields.values().filter(|field| decided(field)).filter_map(|f| f.vendor_field.as_deref()).collect();
    let open = |schema: &ObjectSchema, open: &dyn Fn(&str) -> bool| ObjectSchema {
        fields: schema.fields.iter().filter(|field| open(&field.name)).cloned().collect(),
        ..schema.clone()
    };
    let ours = open(canonical, &|name| !fields.get(name).is_some_and(decided));
    let theirs = open(vendor, &|name| !taken.contains(name));
    let mut suggestions: BTreeMap<String, Suggestion> =
        suggest(&ours, &theirs).into_iter().map(|found| (found.field.clone(), found)).collect();
    for (name, field) in fields.iter_mut().filter(|(_, field)| !decided(field)) {
        let (direction, policy, pii) = (field.direction, field.policy, field.pii);
        *field = FieldMapping { direction, policy, pii, ..FieldMapping::unmapped() };
        if let Some(found) = suggestions.remove(name) {
            let sure = draft && found.confidence >= AUTO;
            field.state = if sure { FieldState::AutoMapped } else { FieldState::Suggested };
            field.vendor_field = Some(found.vendor_field);
            (field.confidence, field.evidence) = (found.confidence, found.evidence);
        }
    }
}

/// Confirms what was suggested, all at once, and says how many fields that were. A pair that a person should look at
/// first stays suggested, and so does one whose vendor field is mapped elsewhere by now.
pub(crate) fn confirm(settings: &mut Settings, canonical: &ObjectSchema, vendor: &ObjectSchema) -> usize {
    let mut taken: BTreeSet<String> =
        settings.fields.values().filter_map(|field| field.effective().map(str::to_owned)).collect();
    let mut count = 0;
    for (name, field) in &mut settings.fields {
        let sure = match field.state {
            FieldState::AutoMapped => true,
            FieldState::Suggested => {
                let theirs = field.vendor_field.as_deref().and_then(|theirs| vendor.field(theirs));
                let pair = canonical.field(name).zip(theirs);
                pair.is_some_and(|(ours, theirs)| {
                    doubt(ours, theirs).is_none() && taken.insert(theirs.name.clone())
                })
            }
            FieldState::Confirmed | FieldState::Unmapped | FieldState::Ignored => false,
        };
        if sure {
            field.state = FieldState::Confirmed;
            count += 1;
        }
    }
    count
}

/// Why a person should look at a pair before values flow, whatever the fields are called.
pub(super) fn doubt(ours: &FieldSchema, theirs: &FieldSchema) -> Option<String> {
    let identity = |field: &FieldSchema| matches!(field.field_type, FieldType::User | FieldType::Reference);
    let same_kind = ours.references.is_some() && theirs.references.is_some();
    if (identity(ours) || identity(theirs)) && !same_kind {
        return Some("the two sides name people and records by different ids".to_owned());
    }
    if ours.options.is_empty() || theirs.options.is_empty() {
        return None;
    }
    let lost: Vec<&str> = transform::without_counterpart(theirs, ours)
        .chain(transform::without_counterpart(ours, theirs))
        .map(|option| option.label.as_str())
        .collect();
    let shown = lost.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    (!lost.is_empty()).then(|| format!("{} options have no counterpart: {shown}", lost.len()))
}
