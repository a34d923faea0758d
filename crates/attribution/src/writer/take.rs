use std::collections::{HashMap, HashSet};

use model::{ConversionId, OrganizationId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    apply::{Gathering, Known, key},
    job::{Answer, Fact, Job, NotDecided, may},
};
use crate::{
    Error,
    domain::{
        facts::{Click, CommissionKey},
        guard::Guards,
    },
    store::{
        self,
        facts::{NewCorrection, NewDecision, NewEvent},
    },
};

/// What was taken of a gathering so far.
#[derive(Default)]
struct Taken<'j> {
    keys: HashMap<(OrganizationId, Uuid), usize>,
    corrections: HashSet<(ConversionId, &'j str)>,
}

impl<'j> Gathering<'j> {
    /// Adds what is new to the facts of the customers; what is not is answered.
    pub(super) async fn take(&mut self, tx: &mut PgConnection) -> Result<(), Error> {
        let mut taken = Taken::default();
        let jobs = self.jobs;
        for (place, job) in jobs.iter().enumerate() {
            let is_new = match &job.fact {
                Fact::Event(event) => self.take_event(place, job, event, &mut taken),
                Fact::Identify(click, stitch) => self.take_identify(place, job, click, stitch.signed),
                Fact::Correct(new) => self.take_correction(tx, place, new, &mut taken).await?,
                Fact::DecideCommission(key, new) => self.take_decision(tx, place, key, new).await?,
                Fact::DecideClick(new) => {
                    self.take_click(place, job, new);
                    true
                }
                Fact::Nothing => true,
            };
            if is_new {
                self.new.push(place);
            }
        }
        Ok(())
    }

    fn take_event(&mut self, place: usize, job: &Job, event: &NewEvent, taken: &mut Taken<'j>) -> bool {
        let key = key(job);
        if let Some(answer) = key.and_then(|key| self.first.get(&key)) {
            self.answers.insert(place, Answer::Event(answer.clone()));
            return false;
        }
        if let Some(first) = key.and_then(|key| taken.keys.get(&key)) {
            self.repeats.insert(place, *first);
            return false;
        }
        taken.keys.extend(key.map(|key| (key, place)));
        if let Some(known) = self.customers.get_mut(&event.customer) {
            known.facts.conversions.push(event.conversion.clone());
        }
        true
    }

    fn take_identify(&mut self, place: usize, job: &Job, click: &Click, signed: bool) -> bool {
        let customer = job.customers.first();
        let guards = customer.and_then(|customer| self.catalogs.get(&customer.organization));
        let guards = guards.map_or_else(Guards::default, |catalog| catalog.guards);
        let known = customer.and_then(|customer| self.customers.get_mut(customer));
        let is_new = |known: &&mut Known| {
            let stitched = guards.stitched(&known.facts, click);
            known.facts.clicks.iter().all(|one| one.id != click.id)
                && stitched.is_none_or(|one| (click.at, &click.id) < (one.at, &one.id))
        };
        let Some(known) = known.filter(is_new) else {
            self.answers.insert(place, Answer::Identified { first: false, backfilled: 0 });
            return false;
        };
        let instead_of = guards.stitched(&known.facts, click).map(|one| one.id.clone());
        let guarded = guards.known_customers_wait && !signed;
        known.facts.clicks.push(Click { guarded, instead_of, ..click.clone() });
        true
    }

    fn take_click(&mut self, place: usize, job: &Job, new: &NewDecision) {
        let known = job.customers.iter().filter_map(|customer| self.customers.get(customer));
        let decision = known.fold(new.decision.clone(), |one, known| one.after(&known.facts.decisions));
        self.times.insert(place, decision.at);
        for customer in &job.customers {
            if let Some(known) = self.customers.get_mut(customer) {
                known.facts.decisions.push(decision.clone());
            }
        }
    }

    async fn take_correction(
        &mut self,
        tx: &mut PgConnection,
        place: usize,
        new: &'j NewCorrection,
        taken: &mut Taken<'j>,
    ) -> Result<bool, Error> {
        let (event, organization) = (new.correction.conversion, new.customer.organization);
        let is_new = taken.corrections.insert((event, &new.key))
            && !store::facts::is_corrected(tx, organization, event, &new.key).await?;
        match self.customers.get_mut(&new.customer) {
            Some(known) if is_new => {
                let correction = match new.is_dated {
                    true => new.correction.clone(),
                    false => new.correction.clone().after(&known.facts.corrections),
                };
                self.times.insert(place, correction.at);
                known.facts.corrections.push(correction);
            }
            _ => drop(self.answers.insert(place, Answer::Corrected(false))),
        }
        Ok(is_new)
    }

    async fn take_decision(
        &mut self,
        tx: &mut PgConnection,
        place: usize,
        key: &CommissionKey,
        new: &NewDecision,
    ) -> Result<bool, Error> {
        let known = self.jobs[place].customers.first().and_then(|one| self.customers.get_mut(one));
        let decided = match known.as_ref().and_then(|known| known.standing.commissions.get(key)) {
            None => Err(NotDecided::missing()),
            Some(row) => {
                let in_transfer = match row.is.payout {
                    Some(payout) => store::payouts::is_pending(tx, payout).await?,
                    None => false,
                };
                may(&new.decision, row, in_transfer, self.now)
            }
        };
        match (decided, known) {
            (Ok(()), Some(known)) => {
                let decision = new.decision.clone().after(&known.facts.decisions);
                self.times.insert(place, decision.at);
                known.facts.decisions.push(decision);
            }
            (Err(why), _) => {
                self.answers.insert(place, Answer::Decided(Err(why)));
                return Ok(false);
            }
            (Ok(()), None) => {}
        }
        Ok(true)
    }
}
