//! Who gains and who loses when other terms or another model hold: the same facts derived twice, compared.

use std::{collections::BTreeMap, sync::Arc};

use model::{PartnerId, ProgramId};

use super::{
    derive::{Derived, derive},
    facts::Facts,
    money::Currency,
    outcome::Claim,
    settle::settle,
    terms::{Book, Model},
};

/// What a partner earns before and after, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Gain {
    pub(crate) before: i64,
    pub(crate) after: i64,
}

/// The difference that a change makes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Those that were looked at.
    pub(crate) events: u64,
    /// Those that are attributed otherwise after it.
    pub(crate) changed_events: u64,
    /// Of everybody who earns before or after, also where it is the same.
    pub(crate) partners: BTreeMap<(PartnerId, Currency), Gain>,
}

/// A comparison that takes customers one after the other.
pub(crate) struct Preview<'a> {
    before: &'a Book,
    after: &'a Book,
    difference: Difference,
    /// Of rules that reach over customers: they are settled when all customers are there.
    waiting: (Vec<Claim<'a>>, Vec<Claim<'a>>),
}

impl Book {
    /// The same with another model of one program, for events of any time.
    pub(crate) fn with_model(&self, program: ProgramId, model: Model) -> Self {
        let mut book = self.clone();
        if let Some(program) = book.programs.get_mut(&program) {
            *program = program.with_model(model);
        }
        book
    }
}

impl<'a> Preview<'a> {
    /// Of what holds and what would hold.
    pub(crate) fn new(before: &'a Book, after: &'a Book) -> Self {
        Self { before, after, difference: Difference::default(), waiting: (Vec::new(), Vec::new()) }
    }

    /// Takes a customer's facts.
    pub(crate) fn add(&mut self, customer: &Arc<str>, facts: &Facts) {
        let before = derive(self.before, customer, facts);
        let after = derive(self.after, customer, facts);
        self.difference.events += before.outcomes.len() as u64;
        let pairs = before.outcomes.iter().zip(&after.outcomes);
        self.difference.changed_events +=
            pairs.filter(|(before, after)| before.attribution != after.attribution).count() as u64;
        let reaching = self.split(before, false);
        self.waiting.0.extend(reaching);
        let reaching = self.split(after, true);
        self.waiting.1.extend(reaching);
    }

    /// Counts what can be settled already, and gives the rest.
    fn split(&mut self, derived: Derived<'a>, after: bool) -> Vec<Claim<'a>> {
        let (reaching, own): (Vec<_>, Vec<_>) =
            derived.claims.into_iter().partition(|claim| claim.rule.reaches_over_customers());
        self.count(&own, after);
        reaching
    }

    fn count(&mut self, claims: &[Claim<'_>], after: bool) {
        for (claim, payment) in claims.iter().zip(settle(claims)) {
            let gain = self.difference.partners.entry((claim.partner, claim.currency)).or_default();
            let sum = if after { &mut gain.after } else { &mut gain.before };
            *sum = sum.saturating_add(payment.minor);
        }
    }

    /// The difference over all customers that were taken.
    pub(crate) fn finish(mut self) -> Difference {
        let (before, after) = std::mem::take(&mut self.waiting);
        self.count(&before, false);
        self.count(&after, true);
        self.difference
    }
}
