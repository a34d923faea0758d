//! Suggestions in the review of a mapping: filling a draft, and confirming it.

use std::collections::{BTreeMap, BTreeSet};

use model::{FieldSchema, FieldType, ObjectSchema};

use super::{AUTO, Advice, Suggestion, Unsure, advice, suggest};
use crate::domain::{
    mapping::{FieldMapping, FieldState, Settings},
    transform,
};

/// Fills what nobody decided yet with suggestions. In a draft the sure ones are applied by themselves; once records
/// have moved, every new pair waits for somebody.
pub(crate) fn fill(
    settings: &mut Settings,
    canonical: &ObjectSchema,
    vendor: &ObjectSchema,
    draft: bool,
    advice: &Advice,
) {
    let (ours, theirs) = open(settings, canonical, vendor, draft);
    let fields = &mut settings.fields;
    for field in &canonical.fields {
        fields.entry(field.name.clone()).or_insert_with(FieldMapping::unmapped);
    }
    let heeded = advice::heed(suggest(&ours, &theirs), advice);
    let mut suggestions: BTreeMap<String, Suggestion> =
        heeded.into_iter().map(|found| (found.field.clone(), found)).collect();
    for (name, field) in fields.iter_mut().filter(|(_, field)| !decided(field, draft)) {
        let before = std::mem::replace(field, FieldMapping::unmapped());
        (field.direction, field.policy) = (before.direction, before.policy);
        (field.pii, field.blank) = (before.pii, before.blank);
        if let Some(found) = suggestions.remove(name) {
            // What was said of the values of one vendor field is not said of another's.
            if before.vendor_field.as_ref() == Some(&found.vendor_field) {
                (field.transforms, field.values) = (before.transforms, before.values);
            }
            let sure = draft && found.confidence >= AUTO;
            field.state = if sure { FieldState::AutoMapped } else { FieldState::Suggested };
            field.vendor_field = Some(found.vendor_field);
            (field.confidence, field.evidence) = (found.confidence, found.evidence);
        }
    }
}

/// The fields that the matcher is unsure of, with their candidates, to ask somebody else.
pub(crate) fn unsure(
    settings: &Settings,
    canonical: &ObjectSchema,
    vendor: &ObjectSchema,
    draft: bool,
) -> Vec<Unsure> {
    let (ours, theirs) = open(settings, canonical, vendor, draft);
    let schemas = |name: &str| theirs.field(name).cloned();
    let doubtful = suggest(&ours, &theirs).doubtful;
    let unsure = doubtful.iter().filter_map(|one| {
        let candidates = one.candidates.iter().filter_map(|(name, _)| schemas(name)).collect();
        Some(Unsure { field: ours.field(&one.field)?.clone(), candidates })
    });
    unsure.collect()
}

/// Whether somebody decided, or values flow.
fn decided(field: &FieldMapping, draft: bool) -> bool {
    matches!(field.state, FieldState::Confirmed | FieldState::Ignored)
        || !draft && field.effective().is_some()
}

/// What nobody decided yet, on both sides.
fn open(
    settings: &Settings,
    canonical: &ObjectSchema,
    vendor: &ObjectSchema,
    draft: bool,
) -> (ObjectSchema, ObjectSchema) {
    let decided = |field: &&FieldMapping| decided(field, draft);
    let taken: BTreeSet<&str> =
        settings.fields.values().filter(decided).filter_map(|field| field.vendor_field.as_deref()).collect();
    let only = |schema: &ObjectSchema, open: &dyn Fn(&str) -> bool| ObjectSchema {
        fields: schema.fields.iter().filter(|field| open(&field.name)).cloned().collect(),
        ..schema.clone()
    };
    let ours = only(canonical, &|name| settings.fields.get(name).filter(decided).is_none());
    (ours, only(vendor, &|name| !taken.contains(name)))
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
            FieldState::Suggested if field.loses => false,
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
