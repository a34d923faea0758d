//! From what stands of a customer to what the facts come to: what has to be written.

use std::{collections::HashMap, sync::Arc};

use bus::Message;
use jiff::Timestamp;
use model::{AttributionId, CommissionId, ConversionId, LedgerEntryId};

use crate::{
    Error,
    domain::{
        attribute,
        commission::commissions,
        derive::{Derived, derive},
        facts::{ClickId, CommissionKey, Facts},
        outcome::{Attribution, Commission, CommissionStatus, Outcome, Payment},
        reconcile::{Step, steps},
        terms::Book,
    },
    publisher,
    store::{
        facts::Customer,
        ledger::EntryRow,
        standing::{CommissionRow, EventStanding, Opened, Standing, TouchStanding},
    },
};

/// What has to be written.
#[derive(Debug, Default)]
pub(crate) struct Difference {
    /// How events stand that stood otherwise or not at all.
    pub(crate) sets: Vec<Opened>,
    /// Commissions that are new.
    pub(crate) accrued: Vec<CommissionRow>,
    /// Commissions that stand otherwise, as they stood and as they stand.
    pub(crate) moved: Vec<(CommissionRow, CommissionRow)>,
    pub(crate) entries: Vec<EntryRow>,
    pub(crate) messages: Vec<Message>,
}

/// A customer, with what is needed to tell the difference.
pub(crate) struct View<'a> {
    pub(crate) customer: &'a Customer,
    pub(crate) book: &'a Book,
    pub(crate) facts: &'a Facts,
    pub(crate) standing: &'a Standing,
    pub(crate) now: Timestamp,
}

/// What a customer's facts come to, with what its claims were settled to.
pub(crate) struct Come<'a> {
    pub(crate) derived: Derived<'a>,
    pub(crate) payments: Vec<Payment>,
}

impl<'a> View<'a> {
    /// Derives the customer.
    pub(crate) fn derive(&self) -> Derived<'a> {
        derive(self.book, &Arc::from(self.customer.user_key.as_str()), self.facts)
    }

    /// Adds what has to be written, so that what stands is what was derived.
    pub(crate) fn tell(&self, come: &Come<'_>, into: &mut Difference) -> Result<(), Error> {
        let mut touched: HashMap<(ConversionId, ClickId), AttributionId> = HashMap::new();
        for outcome in &come.derived.outcomes {
            let stands = self.standing.events.get(&outcome.conversion);
            let opened = match stands {
                Some(stands) if is_same(outcome, stands) => None,
                _ => Some(self.open(outcome, stands)),
            };
            let standing = opened.as_ref().map(|opened| &opened.standing).or(stands);
            for touch in standing.into_iter().flat_map(|standing| &standing.touches) {
                touched.insert((outcome.conversion, touch.click.clone()), touch.id);
            }
            if let Some(opened) = opened {
                let had = stands.is_some_and(|stands| !stands.touches.is_empty());
                if had || !opened.standing.touches.is_empty() {
                    into.messages.push(self.said(&opened)?);
                }
                into.sets.push(opened);
            }
        }
        self.tell_commissions(come, &touched, into)
    }

    fn open(&self, outcome: &Outcome, stands: Option<&EventStanding>) -> Opened {
        let attribution = &outcome.attribution;
        let touches: Vec<TouchStanding> = attribution
            .touches()
            .iter()
            .map(|touch| TouchStanding {
                id: AttributionId::generate(self.now),
                click: touch.click.clone(),
                partner: touch.partner,
                program: touch.program,
                weight: touch.weight,
            })
            .collect();
        let (had, last) = stands.map_or((false, 0), |stands| (!stands.touches.is_empty(), stands.generation));
        let generation = if had || !touches.is_empty() { last + 1 } else { last };
        let (model, reason) = match attribution {
            Attribution::To { model, .. } => (Some(*model), None),
            Attribution::Nobody(reason) => (None, Some(*reason)),
        };
        let standing = EventStanding { status: attribution.status(), reason, model, generation, touches };
        let conversion = self.facts.conversions.iter().find(|one| one.id == outcome.conversion);
        let ts = conversion.map_or(self.now, |conversion| conversion.at);
        Opened {
            organization: self.customer.organization,
            event: outcome.conversion,
            ts,
            is_again: stands.is_some(),
            standing,
        }
    }

    fn said(&self, opened: &Opened) -> Result<Message, Error> {
        let conversion = self.facts.conversions.iter().find(|one| one.id == opened.event);
        publisher::attributed(opened, conversion, &self.customer.user_key, &self.book.names, self.now)
    }

    fn tell_commissions(
        &self,
        come: &Come<'_>,
        touched: &HashMap<(ConversionId, ClickId), AttributionId>,
        into: &mut Difference,
    ) -> Result<(), Error> {
        let derived = commissions(self.facts, &come.derived.claims, &come.payments);
        let mut standing: Vec<Commission> =
            self.standing.commissions.values().map(|row| row.is.clone()).collect();
        standing.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let why_gone = |key: &CommissionKey| {
            come.derived.why_gone(key, &come.payments, attribute::is_flagged(self.facts, &key.click))
        };
        let steps = steps(&standing, &derived, why_gone);
        let mut moved: HashMap<CommissionKey, Step> = HashMap::with_capacity(steps.len());
        for step in steps {
            let key = step.after.key.clone();
            match self.standing.commissions.contains_key(&key) {
                true => drop(moved.insert(key, step)),
                false => self.accrue(come, step, touched, into)?,
            }
        }
        for (key, row) in &self.standing.commissions {
            let attribution = touched.get(&(key.conversion, key.click.clone()));
            let attribution = attribution.copied().unwrap_or(row.attribution);
            let step = moved.remove(key);
            if step.is_none() && attribution == row.attribution {
                continue;
            }
            self.shift(come, row, attribution, step, into)?;
        }
        Ok(())
    }

    /// A commission that is new.
    fn accrue(
        &self,
        come: &Come<'_>,
        step: Step,
        touched: &HashMap<(ConversionId, ClickId), AttributionId>,
        into: &mut Difference,
    ) -> Result<(), Error> {
        let key = &step.after.key;
        let claim = come.derived.claims.iter().find(|claim| claim.key == *key);
        let attribution = touched.get(&(key.conversion, key.click.clone()));
        let (Some(claim), Some(attribution)) = (claim, attribution) else {
            return Err(Error::Stored(format!(
                "commission for event {}: it was never accrued",
                key.conversion
            )));
        };
        let row = CommissionRow {
            id: CommissionId::generate(self.now),
            organization: self.customer.organization,
            attribution: *attribution,
            program: claim.program,
            terms_version: claim.terms_version,
            accrued_at: claim.accrued_at,
            mature_at: claim.mature_at,
            hold_days: self.hold_days(claim),
            approved_at: None,
            paid_at: None,
            is: step.after.clone(),
        };
        let row = stamped(row, None, self.now);
        self.enter(&row, &step, into)?;
        into.accrued.push(row);
        Ok(())
    }

    /// A commission that stands otherwise, or belongs to another attribution now.
    fn shift(
        &self,
        come: &Come<'_>,
        row: &CommissionRow,
        attribution: AttributionId,
        step: Option<Step>,
        into: &mut Difference,
    ) -> Result<(), Error> {
        let mut after = CommissionRow { attribution, ..row.clone() };
        if let Some(claim) = come.derived.claims.iter().find(|claim| claim.key == row.is.key) {
            after.mature_at = claim.mature_at;
            after.terms_version = claim.terms_version;
            after.hold_days = self.hold_days(claim);
        }
        if let Some(step) = step {
            after.is = step.after.clone();
            after = stamped(after, Some(row.is.position.status), self.now);
            self.enter(&after, &step, into)?;
        }
        into.moved.push((row.clone(), after));
        Ok(())
    }

    /// What the ledger and the bus are told.
    fn enter(&self, row: &CommissionRow, step: &Step, into: &mut Difference) -> Result<(), Error> {
        into.entries.extend(step.entries.iter().map(|entry| EntryRow {
            id: LedgerEntryId::generate(self.now),
            organization: row.organization,
            entry: *entry,
            commission: Some(row.id),
            payout: None,
            partner: row.is.partner,
            currency: row.is.currency,
            reason: row.is.reason.name(),
        }));
        into.messages.extend(publisher::commission(step.before, row, self.now)?);
        Ok(())
    }

    fn hold_days(&self, claim: &crate::domain::outcome::Claim<'_>) -> u16 {
        let program = self.book.programs.get(&claim.program);
        let terms = program.and_then(|program| program.terms_at(claim.partner, claim.at));
        terms.map_or(0, |(_, terms)| terms.hold_days)
    }
}

/// With the times at which it came to its status.
fn stamped(mut row: CommissionRow, was: Option<CommissionStatus>, now: Timestamp) -> CommissionRow {
    if was != Some(row.is.position.status) {
        match row.is.position.status {
            CommissionStatus::Accrued | CommissionStatus::Reversed => {
                (row.approved_at, row.paid_at) = (None, None);
            }
            CommissionStatus::Approved => (row.approved_at, row.paid_at) = (Some(now), None),
            CommissionStatus::Paid => row.paid_at = Some(now),
        }
    }
    row
}

fn is_same(outcome: &Outcome, stands: &EventStanding) -> bool {
    let (model, reason) = match &outcome.attribution {
        Attribution::To { model, .. } => (Some(*model), None),
        Attribution::Nobody(reason) => (None, Some(*reason)),
    };
    let touches = outcome.attribution.touches();
    outcome.attribution.status() == stands.status
        && model == stands.model
        && reason == stands.reason
        && touches.len() == stands.touches.len()
        && touches.iter().all(|touch| {
            stands.touches.iter().any(|stored| {
                stored.click == touch.click
                    && stored.program == touch.program
                    && stored.weight == touch.weight
            })
        })
}
