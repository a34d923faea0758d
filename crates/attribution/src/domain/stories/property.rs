//! Random worlds, compared with the plain model, with other orders of arrival, and with the ledger that is led while
//! they arrive; and each rule broken once, to see that this would be noticed.

use std::{
    collections::{BTreeMap, HashMap},
    panic::{AssertUnwindSafe, catch_unwind},
};

use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};

use super::{
    arrival::{Arrival, House, arrivals, derive_all, derived_balances},
    plain,
    world::{World, world},
    *,
};
use crate::domain::{
    facts::PayoutLine,
    mutant::{self, Mutant},
    outcome::{Attribution, Claim, CommissionStatus},
    payout::{open, payable},
    settle::{Tally, settle_on},
};

/// A world, and an order of arrival in which every fact comes once or twice.
fn shuffled_world() -> impl Strategy<Value = (World, Vec<Arrival>)> {
    world().prop_map(with_payout).prop_flat_map(|world| {
        let all = arrivals(&world);
        let count = all.len();
        let twice = proptest::collection::vec(prop::bool::weighted(0.3), count);
        let order = twice.prop_flat_map(move |twice| {
            let again = all.iter().zip(twice).filter(|(_, twice)| *twice).map(|(one, _)| again(one));
            let everything: Vec<Arrival> = all.iter().cloned().chain(again).collect();
            Just(everything).prop_shuffle()
        });
        (Just(world), order)
    })
}

/// The repetition of a fact: a click is identified later once more.
fn again(arrival: &Arrival) -> Arrival {
    match arrival.clone() {
        Arrival::Click(at, mut click) => {
            click.identified_at += SignedDuration::from_hours(100);
            Arrival::Click(at, click)
        }
        other => other,
    }
}

/// Lets some commissions mature, pays out what is owed when some of the corrections are known, and adds
/// both to the facts.
fn with_payout(mut world: World) -> World {
    let book = world.book();
    for ((_, _, commissions), (_, facts)) in
        derive_all(&book, &world.customers).iter().zip(&mut world.customers)
    {
        let matured = (1_000_u128..).zip(commissions).filter(|(number, _)| number % 3 > 0);
        let mature = matured.map(|(number, commission)| Decision {
            id: Uuid::from_u128(number),
            at: day(-1),
            verdict: Verdict::Mature(commission.key.clone()),
        });
        facts.decisions.splice(0..0, mature);
    }
    let mut then = world.customers.clone();
    for (_, facts) in &mut then {
        facts.corrections.truncate(world.known_at_payout);
        facts.decisions.retain(|decision| decision.id.as_u128() >= 1_000);
    }
    let all = derive_all(&book, &then);
    let owner: HashMap<&CommissionKey, usize> = all
        .iter()
        .enumerate()
        .flat_map(|(place, (_, _, commissions))| commissions.iter().map(move |one| (&one.key, place)))
        .collect();
    let commissions: Vec<Commission> =
        all.iter().flat_map(|(_, _, commissions)| commissions.clone()).collect();
    for payable in payable(&commissions) {
        assert_eq!(payable.minor, payable.lines.iter().map(|(_, minor)| minor).sum::<i64>());
        for (commission, minor) in payable.lines {
            let (partner, currency) = (payable.partner, payable.currency);
            let line = PayoutLine { payout: payout_id(1), commission, partner, minor, currency };
            world.customers[owner[&line.commission]].1.paid.push(line);
        }
    }
    world
}

fn check(world: &World, order: &[Arrival]) {
    let book = world.book();
    let all = derive_all(&book, &world.customers);
    compare_with_plain(world, &all);
    let mut first = House::new(world);
    first.take(&arrivals(world), 1);
    let mut second = House::new(world);
    second.take(order, 3);
    let expected = derived_balances(all.iter().flat_map(|(_, _, commissions)| commissions));
    assert_eq!(first.ledger, expected, "the ledger is what the facts come to");
    assert_eq!(second.ledger, expected, "in any order of arrival");
    assert_eq!(derive_all(&book, &second_facts(world, order)), all, "whatever comes twice");
    settled_alone(&all);
    settled_from_anywhere(&all);
    paid_again(&all);
}

fn second_facts(world: &World, order: &[Arrival]) -> Vec<(Arc<str>, Facts)> {
    let mut customers: Vec<_> =
        world.customers.iter().map(|(name, _)| (name.clone(), Facts::default())).collect();
    for arrival in order {
        match arrival.clone() {
            Arrival::Click(at, click) => customers[at].1.clicks.push(click),
            Arrival::Conversion(at, sale) => customers[at].1.conversions.push(sale),
            Arrival::Correction(at, correction) => customers[at].1.corrections.push(correction),
            Arrival::Decision(at, decision) => customers[at].1.decisions.push(decision),
            Arrival::Line(at, line) => customers[at].1.paid.push(line),
        }
    }
    customers
}

type Settled<'a> =
    (crate::domain::derive::Derived<'a>, Vec<crate::domain::outcome::Payment>, Vec<Commission>);

fn compare_with_plain(world: &World, all: &[Settled<'_>]) {
    let plainly = plain::commissions(world);
    for (((_, facts), (derived, _, commissions)), plainly) in world.customers.iter().zip(all).zip(plainly) {
        for outcome in &derived.outcomes {
            let event = facts.conversions.iter().find(|event| event.id == outcome.conversion).unwrap();
            let expected = plain::shares(world, facts, event);
            let Attribution::To { model, touches } = &outcome.attribution else {
                assert_eq!(expected, None, "{event:?} is attributed");
                continue;
            };
            let (expected_model, shares) = expected.unwrap();
            assert_eq!(*model, expected_model);
            let sum: i64 = touches.iter().map(|touch| touch.weight.numerator).sum();
            assert_eq!(sum, touches[0].weight.denominator, "the weights sum to one");
            let told: Vec<_> =
                touches.iter().map(|touch| (touch.click.clone(), touch.terms_version)).collect();
            let plain: Vec<_> = shares.iter().map(|share| (share.click.id.clone(), share.version)).collect();
            assert_eq!(told, plain);
            for (touch, share) in touches.iter().zip(&shares) {
                let (own, other) = (touch.weight, share.weight);
                let crosswise = (
                    i128::from(own.numerator) * i128::from(other.1),
                    i128::from(other.0) * i128::from(own.denominator),
                );
                assert_eq!(crosswise.0, crosswise.1);
            }
        }
        let told: BTreeMap<CommissionKey, plain::Plain> = commissions
            .iter()
            .map(|commission| {
                let claim = derived.claims.iter().find(|claim| claim.key == commission.key);
                let plain = plain::Plain {
                    currency: commission.currency,
                    due: commission.position.due,
                    status: commission.position.status,
                    held: commission.held,
                    mature_at: claim.map(|claim| claim.mature_at),
                };
                (commission.key.clone(), plain)
            })
            .collect();
        assert_eq!(told, plainly);
        for commission in commissions {
            let lines = facts.paid.iter().filter(|line| line.commission == commission.key);
            assert_eq!(commission.position.paid, lines.map(|line| line.minor).sum::<i64>());
        }
    }
}

/// What does not reach over customers comes to the same when a customer is settled alone.
fn settled_alone(all: &[Settled<'_>]) {
    for (derived, payments, _) in all {
        let own =
            derived.claims.iter().zip(payments).filter(|(claim, _)| !claim.rule.reaches_over_customers());
        let (claims, payments): (Vec<_>, Vec<_>) =
            own.map(|(claim, payment)| (claim.clone(), *payment)).unzip();
        assert_eq!(settle(&claims), payments);
    }
}

/// Who goes on settling after any claim comes to what all claims together come to.
fn settled_from_anywhere(all: &[Settled<'_>]) {
    let claims = all.iter().flat_map(|(derived, payments, _)| derived.claims.iter().zip(payments));
    let mut reaching: Vec<_> = claims.filter(|(claim, _)| claim.rule.reaches_over_customers()).collect();
    let order = |claim: &Claim<'_>| (claim.asked().group(), claim.at, claim.key.clone());
    reaching.sort_by_key(|(claim, _)| order(claim));
    for group in reaching.chunk_by(|(a, _), (b, _)| a.asked().group() == b.asked().group()) {
        let asked = || group.iter().map(|(claim, _)| claim.asked());
        let whole = settle_on(Tally::default(), HashMap::new(), asked());
        let payments: Vec<_> = whole.iter().map(|settled| settled.payment).collect();
        assert_eq!(payments, group.iter().map(|(_, payment)| **payment).collect::<Vec<_>>());
        for (place, end) in whole.iter().enumerate() {
            let before = group.iter().zip(&whole).take(place + 1);
            let paid = before.map(|((claim, _), settled)| (&*claim.customer, settled.customer.clone()));
            let on = settle_on(end.tally.clone(), paid.collect(), asked().skip(place + 1));
            assert_eq!(on, whole[place + 1..]);
        }
    }
}

/// A payout of all that is owed and waits for nobody takes all of it, and what was too much before.
fn paid_again(all: &[Settled<'_>]) {
    let mut commissions: Vec<Commission> = all.iter().flat_map(|(_, _, some)| some.clone()).collect();
    let mut owed: BTreeMap<(PartnerId, Currency), i64> = BTreeMap::new();
    for commission in &commissions {
        let position = commission.position;
        if matches!(position.status, CommissionStatus::Approved | CommissionStatus::Paid) {
            let open = position.due - position.paid;
            // What waits for a person is paid once somebody releases it.
            let open = if commission.held { open.min(0) } else { open };
            *owed.entry((commission.partner, commission.currency)).or_default() += open;
        }
    }
    owed.retain(|_, minor| *minor > 0);
    let payments = payable(&commissions);
    let paid: BTreeMap<_, _> =
        payments.iter().map(|payment| ((payment.partner, payment.currency), payment.minor)).collect();
    assert_eq!(paid, owed);
    for (key, minor) in payments.into_iter().flat_map(|payment| payment.lines) {
        let commission = commissions.iter_mut().find(|commission| commission.key == key).unwrap();
        commission.position.paid += minor;
        assert_eq!(open(commission.position), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_facts_come_to_the_same_as_in_the_plain_model_in_any_order_and_as_often_as_they_come(
        (world, order) in shuffled_world()
    ) {
        check(&world, &order);
    }
}

/// So many random worlds are tried for each broken rule.
const WORLDS: usize = 8_000;

#[test]
fn every_rule_that_is_broken_is_noticed() {
    let silent = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut runner = TestRunner::deterministic();
    let mut worlds: Vec<(World, Vec<Arrival>)> = Vec::new();
    let mut is_noticed = |rule: Mutant| {
        (0..WORLDS).any(|place| {
            mutant::set(None);
            if place == worlds.len() {
                worlds.push(shuffled_world().new_tree(&mut runner).unwrap().current());
            }
            mutant::set(Some(rule));
            let (world, order) = &worlds[place];
            catch_unwind(AssertUnwindSafe(|| check(world, order))).is_err()
        })
    };
    let unnoticed: Vec<_> = Mutant::ALL.iter().filter(|(rule, _)| !is_noticed(*rule)).collect();
    mutant::set(None);
    std::panic::set_hook(silent);
    assert!(unnoticed.is_empty(), "unnoticed: {unnoticed:#?}");
}
