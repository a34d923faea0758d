//! Which field of one object is which of another: what is known about the words of CRMs, a few numbers for each pair of
//! fields, where the pair stands among its rivals, and one assignment over the whole pair of objects. Pure, and the same
//! every time; no model is downloaded, nothing is asked over the network.

mod advice;
mod assignment;
mod evidence;
mod field;
mod files;
mod fill;
mod kind;
mod lexicon;
mod likeness;
mod matcher;
mod reading;
mod round_trip;
mod samples;
mod siblings;
mod weights;
mod words;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod training;
#[cfg(test)]
mod worth;

use std::collections::BTreeSet;

use model::{FieldSchema, FieldType, ObjectSchema};

pub(crate) use advice::{Advice, Unsure, question, read};
pub use files::{Prediction, Schema, SchemaError, predict};
pub(crate) use fill::{confirm, fill, unsure};
pub(crate) use round_trip::{Stored, check};

use field::{Field, Object};
use matcher::{Candidate, Matched};
use weights::LEARNED;

/// From this confidence on a suggestion is applied to the draft by itself: of vendors that nothing was learned from, 98 in
/// 100 such suggestions are right.
pub(crate) const AUTO: f64 = 0.98;

/// The most that a pair is worth which a person should look at before values flow.
const DOUBTFUL: f64 = 0.75;

/// The most that a vendor's own reckonings are worth: fields that it computes or keeps for itself.
const RECKONED: f64 = 0.85;

/// From this confidence on nobody else is asked.
const SURE: f64 = 0.95;

/// Below this confidence a pair is offered to nobody.
const LIKELY: f64 = 0.1;

/// The most candidates of a field that are offered.
const OFFERED: usize = 5;

/// A candidate for a canonical field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Suggestion {
    pub(crate) field: String,
    pub(crate) vendor_field: String,
    /// 0 to 1: of ten suggestions with 0.9, nine are right.
    pub(crate) confidence: f64,
    /// What speaks for it and against it, in words.
    pub(crate) evidence: Vec<String>,
}

/// A field that the matcher is unsure of, and what it may be, the likeliest first.
#[derive(Clone, Debug, PartialEq)]
struct Doubtful {
    field: String,
    candidates: Vec<(String, f64)>,
}

/// What the matcher found.
struct Found {
    suggestions: Vec<Suggestion>,
    doubtful: Vec<Doubtful>,
}

/// Suggests at most one vendor field for each canonical field, each vendor field at most once, the surest first.
/// Fields that Accord keeps itself are left out.
fn suggest(canonical: &ObjectSchema, vendor: &ObjectSchema) -> Found {
    let open = |field: &&FieldSchema| !field.read_only && field.name != "external_id";
    let ours: Vec<&FieldSchema> = canonical.fields.iter().filter(open).collect();
    let mut theirs: Vec<&FieldSchema> = vendor.fields.iter().collect();
    theirs.sort_by(|a, b| a.name.cmp(&b.name));
    let source = object(&canonical.name, &ours);
    let target = object(&vendor.name, &theirs);
    let matched = matcher::candidates(&LEARNED, &source, &target);
    let doubtful = doubtful(&matched, &ours, &theirs);
    let mut suggestions = Vec::new();
    for (at, ours) in ours.iter().enumerate() {
        let Some(chosen) = matched.chosen(at) else { continue };
        let theirs = theirs[chosen.target];
        let mut evidence = evidence::tell(&matched, &source, &target, at, chosen);
        let mut confidence = chosen.confidence;
        if let Some(doubt) = fill::doubt(ours, theirs) {
            evidence.push(doubt);
            confidence = confidence.min(DOUBTFUL);
        }
        if theirs.read_only || theirs.name.starts_with("hs_") {
            evidence.push("the vendor keeps this field itself".to_owned());
            confidence = confidence.min(RECKONED);
        }
        let (field, vendor_field) = (ours.name.clone(), theirs.name.clone());
        suggestions.push(Suggestion { field, vendor_field, confidence, evidence });
    }
    suggestions.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then_with(|| a.field.cmp(&b.field)));
    Found { suggestions, doubtful }
}

/// The fields with several candidates, or with one that was not chosen, none of which is sure.
fn doubtful(matched: &Matched, ours: &[&FieldSchema], theirs: &[&FieldSchema]) -> Vec<Doubtful> {
    let chosen: Vec<Option<&Candidate>> = (0..ours.len()).map(|at| matched.chosen(at)).collect();
    let sure = |chosen: &Candidate| chosen.confidence >= SURE;
    let taken: BTreeSet<usize> =
        chosen.iter().flatten().filter(|one| sure(one)).map(|one| one.target).collect();
    let mut doubtful = Vec::new();
    for ((row, chosen), ours) in matched.rows.iter().zip(chosen).zip(ours) {
        if chosen.is_some_and(sure) {
            continue;
        }
        let likely = row.iter().filter(|one| one.confidence >= LIKELY && !taken.contains(&one.target));
        let candidates: Vec<(String, f64)> =
            likely.take(OFFERED).map(|one| (theirs[one.target].name.clone(), one.confidence)).collect();
        if candidates.len() > usize::from(chosen.is_some()) {
            doubtful.push(Doubtful { field: ours.name.clone(), candidates });
        }
    }
    doubtful
}

fn object(name: &str, fields: &[&FieldSchema]) -> Object {
    let read = |field: &&FieldSchema| Field {
        name: field.name.clone(),
        label: field.label.clone(),
        kind: kind_of(field.field_type).to_owned(),
        description: field.description.clone(),
        options: field.options.iter().map(|option| option.label.clone()).collect(),
        samples: Vec::new(),
    };
    Object { name: name.to_owned(), fields: fields.iter().map(read).collect() }
}

/// A canonical type in a word that vendors use.
const fn kind_of(field_type: FieldType) -> &'static str {
    match field_type {
        FieldType::DateTime => "datetime",
        FieldType::MultiPicklist => "multipicklist",
        other => other.name(),
    }
}
