//! All that one customer's facts come to.

use std::{collections::HashMap, sync::Arc};

use jiff::SignedDuration;
use model::ConversionId;

use super::{
    attribute::{attribute, candidates},
    claim::{History, Shared, claim},
    facts::{Conversion, Correction, Facts},
    outcome::{Claim, Outcome},
    terms::Book,
    value::Worth,
};

/// An event that happens so much after it was received is odd.
const EARLY: SignedDuration = SignedDuration::from_mins(5);

/// What a customer's facts come to, before claims are settled.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Derived<'a> {
    /// Of each event, in the order `(at, id)`.
    pub(crate) outcomes: Vec<Outcome>,
    /// What rules ask for them, in the same order.
    pub(crate) claims: Vec<Claim<'a>>,
}

/// Derives it from all facts of a customer, who is known by a [`super::facts::user_key`]. Events count in the order
/// `(at, id)`, whenever they came.
pub(crate) fn derive<'a>(book: &'a Book, customer: &Arc<str>, facts: &Facts) -> Derived<'a> {
    let mut conversions: Vec<&Conversion> = facts.conversions.iter().collect();
    conversions.sort_unstable_by_key(|conversion| (conversion.at, conversion.id));
    if broken!(OrderOfArrival) {
        conversions.sort_by_key(|conversion| conversion.received_at);
    }
    conversions.dedup_by_key(|conversion| conversion.id);
    let corrections = corrections(facts);
    let candidates = candidates(book, facts);
    let mut history = History::new();
    let mut derived = Derived { outcomes: Vec::with_capacity(conversions.len()), claims: Vec::new() };
    for conversion in conversions {
        let worth = Worth::of(conversion, corrections.get(&conversion.id).map_or(&[], Vec::as_slice));
        let (attribution, eligible) = attribute(&candidates, conversion);
        let outcome = Outcome {
            conversion: conversion.id,
            attribution,
            value: worth.net(),
            is_void: worth.is_void(),
            is_early: conversion.at.duration_since(conversion.received_at) > EARLY,
        };
        if !outcome.is_void || broken!(VoidCounts) {
            let shared = Shared { customer, conversion, worth, outcome: &outcome };
            if !outcome.is_void {
                claim(&shared, &eligible, &history, &mut derived.claims);
            }
            for one in &eligible {
                history.entry((one.click.partner, &conversion.kind)).or_insert(conversion.at);
            }
        }
        derived.outcomes.push(outcome);
    }
    derived
}

/// Those of each event, in the order in which they count.
fn corrections(facts: &Facts) -> HashMap<ConversionId, Vec<&Correction>> {
    let mut corrections: HashMap<ConversionId, Vec<&Correction>> = HashMap::new();
    for correction in &facts.corrections {
        corrections.entry(correction.conversion).or_default().push(correction);
    }
    for of_one in corrections.values_mut() {
        if !broken!(CorrectionsUnsorted) {
            of_one.sort_unstable_by_key(|correction| (correction.at, correction.id));
        }
    }
    corrections
}
