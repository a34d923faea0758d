//! A ledger that is led as the room leads it: a fact arrives, all is derived again, and the difference is entered.

use std::collections::BTreeMap;

use super::{world::World, *};
use crate::domain::{
    derive::Derived,
    facts::PayoutLine,
    ledger::{Account, balances, payout},
    outcome::{CommissionReason, Payment},
    reconcile::steps,
};

/// One fact of one customer, by its place.
#[derive(Clone, Debug)]
pub(super) enum Arrival {
    Click(usize, Click),
    Conversion(usize, Conversion),
    Correction(usize, Correction),
    Decision(usize, Decision),
    Line(usize, PayoutLine),
}

/// Balances by partner, currency and account; those that are zero are left out.
pub(super) type Balances = BTreeMap<(PartnerId, Currency, Account), i64>;

/// All facts of the world's customers, in the order in which they are written down there.
pub(super) fn arrivals(world: &World) -> Vec<Arrival> {
    let of = |(place, (_, facts)): (usize, &(Arc<str>, Facts))| {
        let facts = facts.clone();
        let clicks = facts.clicks.into_iter().map(move |click| Arrival::Click(place, click));
        let sales = facts.conversions.into_iter().map(move |sale| Arrival::Conversion(place, sale));
        let corrections = facts.corrections.into_iter().map(move |one| Arrival::Correction(place, one));
        let decisions = facts.decisions.into_iter().map(move |one| Arrival::Decision(place, one));
        let lines = facts.paid.into_iter().map(move |line| Arrival::Line(place, line));
        clicks.chain(sales).chain(corrections).chain(decisions).chain(lines).collect::<Vec<_>>()
    };
    world.customers.iter().enumerate().flat_map(of).collect()
}

/// What each customer's facts come to, settled together.
pub(super) fn derive_all<'a>(
    book: &'a Book,
    customers: &[(Arc<str>, Facts)],
) -> Vec<(Derived<'a>, Vec<Payment>, Vec<Commission>)> {
    let mut derived: Vec<Derived<'a>> =
        customers.iter().map(|(customer, facts)| derive(book, customer, facts)).collect();
    let counts: Vec<usize> = derived.iter().map(|derived| derived.claims.len()).collect();
    let together: Vec<_> = derived.iter_mut().flat_map(|derived| derived.claims.drain(..)).collect();
    let mut payments = settle(&together).into_iter();
    let mut claims = together.into_iter();
    let all = derived.into_iter().zip(counts).zip(customers).map(|((derived, count), (_, facts))| {
        let derived = Derived { claims: claims.by_ref().take(count).collect(), ..derived };
        let payments: Vec<Payment> = payments.by_ref().take(count).collect();
        let commissions = commissions(facts, &derived.claims, &payments);
        (derived, payments, commissions)
    });
    all.collect()
}

/// A house that facts arrive at.
pub(super) struct House {
    book: Book,
    customers: Vec<(Arc<str>, Facts)>,
    standing: Vec<BTreeMap<CommissionKey, Commission>>,
    pub(super) ledger: Balances,
}

impl House {
    pub(super) fn new(world: &World) -> Self {
        let customers: Vec<_> =
            world.customers.iter().map(|(name, _)| (name.clone(), Facts::default())).collect();
        let standing = vec![BTreeMap::new(); customers.len()];
        Self { book: world.book(), customers, standing, ledger: Balances::new() }
    }

    /// Takes facts, so many at a time.
    pub(super) fn take(&mut self, arrivals: &[Arrival], at_a_time: usize) {
        for some in arrivals.chunks(at_a_time) {
            some.iter().for_each(|arrival| self.note(arrival));
            self.lead();
        }
    }

    /// A payout's line is entered the first time it comes.
    fn note(&mut self, arrival: &Arrival) {
        match arrival.clone() {
            Arrival::Click(at, click) => self.customers[at].1.clicks.push(click),
            Arrival::Conversion(at, sale) => self.customers[at].1.conversions.push(sale),
            Arrival::Correction(at, correction) => self.customers[at].1.corrections.push(correction),
            Arrival::Decision(at, decision) => self.customers[at].1.decisions.push(decision),
            Arrival::Line(at, line) => {
                let paid = &mut self.customers[at].1.paid;
                if !paid.contains(&line) {
                    let entry = payout(line.minor);
                    enter(&mut self.ledger, line.partner, line.currency, &entry.postings);
                }
                paid.push(line);
            }
        }
    }

    fn lead(&mut self) {
        let all = derive_all(&self.book, &self.customers);
        for ((_, _, derived), standing) in all.iter().zip(&mut self.standing) {
            let stands: Vec<Commission> = standing.values().cloned().collect();
            for step in steps(&stands, derived, |_| CommissionReason::Replaced) {
                for entry in &step.entries {
                    let [from, to] = entry.postings;
                    assert_eq!(from.minor + to.minor, 0, "an entry balances");
                    enter(&mut self.ledger, step.after.partner, step.after.currency, &entry.postings);
                }
                standing.insert(step.after.key.clone(), step.after);
            }
        }
    }
}

fn enter(
    ledger: &mut Balances,
    partner: PartnerId,
    currency: Currency,
    postings: &[crate::domain::ledger::Posting],
) {
    for posting in postings {
        let balance = ledger.entry((partner, currency, posting.account)).or_default();
        *balance += posting.minor;
        if *balance == 0 {
            ledger.remove(&(partner, currency, posting.account));
        }
    }
}

/// The balances that the commissions must have come to.
pub(super) fn derived_balances<'c>(commissions: impl Iterator<Item = &'c Commission>) -> Balances {
    let mut sums = Balances::new();
    for commission in commissions {
        for (account, minor) in balances(commission.position) {
            *sums.entry((commission.partner, commission.currency, account)).or_default() += minor;
        }
    }
    sums.retain(|_, minor| *minor != 0);
    sums
}
