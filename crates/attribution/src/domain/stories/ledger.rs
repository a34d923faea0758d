//! What the ledger says of refunds, corrections and decisions, before and after money was paid.

use super::*;
use crate::domain::{
    facts::PayoutLine,
    ledger::{Account, Entry, EntryKind, balances, entries},
    outcome::{CommissionReason as Reason, CommissionStatus as Status, Position, Suspicion},
    payout::payable,
    preview::{Gain, Preview},
    reconcile::steps,
};

fn sold() -> Story {
    let mut story = Story::new(terms(Model::LastClick, vec![every(percent("10"))]));
    story.click(1, 1, day(0));
    story.sale(1, "100.00", "USD", day(1));
    story
}

fn stands(story: &Story) -> (Status, i64, Reason) {
    let commission = story.commissions().remove(0);
    (commission.position.status, commission.position.due, commission.reason)
}

/// Pays what is owed, and says how much that was.
fn pay(story: &mut Story, number: u8) -> i64 {
    let mut paid = 0;
    let mut expected = story.commissions();
    for payment in payable(&expected.clone()) {
        paid += payment.minor;
        for (commission, minor) in payment.lines {
            let taken = expected.iter_mut().find(|one| one.key == commission).unwrap();
            *taken = taken.taken_by(payout_id(number), minor);
            let (partner, currency) = (payment.partner, payment.currency);
            let line = PayoutLine { payout: payout_id(number), commission, partner, minor, currency };
            story.facts.paid.push(line);
        }
    }
    assert_eq!(story.commissions(), expected);
    paid
}

/// The entries between two moments of a story, as `kind from to amount`.
fn entered(before: &Story, after: &Story) -> Vec<String> {
    let (derived, now) = (derive(&after.book, &after.customer, &after.facts), after.commissions());
    let payments = settle(&derived.claims);
    let why = |key: &CommissionKey| derived.why_gone(key, &payments, false);
    let steps = steps(&before.commissions(), &now, why);
    let tell = |entry: &Entry| {
        let [from, to] = entry.postings;
        assert_eq!(from.minor + to.minor, 0);
        format!("{} {} {} {}", entry.kind.name(), from.account.name(), to.account.name(), to.minor)
    };
    steps.iter().flat_map(|step| step.entries.iter().map(tell)).collect()
}

#[test]
fn a_partial_refund_takes_its_part_of_a_percentage_and_of_a_fixed_amount() {
    let fixed = Reward::Fixed(money("30", "EUR"));
    let mut story = Story::new(terms(Model::LastClick, vec![every(percent("10")), every(fixed)]));
    story.click(1, 1, day(0));
    story.sale(1, "90.00", "USD", day(1));
    story.correct(1, day(2), Change::Refund(money("30.00", "USD")));
    assert_eq!(story.due(), [(key(1, 1, 0), 600), (key(1, 1, 1), 2000)]);
    story.correct(1, day(3), Change::Refund(money("45.00", "USD")));
    assert_eq!(story.due(), [(key(1, 1, 0), 150), (key(1, 1, 1), 500)]);
    story.correct(1, day(4), Change::Value(money("120.00", "USD")));
    assert_eq!(story.due(), [(key(1, 1, 0), 1200), (key(1, 1, 1), 3000)]);
    story.correct(1, day(5), Change::Refund(money("500.00", "USD")));
    assert_eq!(story.due(), []);
}

#[test]
fn a_correction_before_and_after_approval_is_an_adjustment() {
    let before = sold();
    let mut after = before.clone();
    after.correct(1, day(2), Change::Refund(money("25", "USD")));
    assert_eq!(entered(&before, &after), ["adjustment commission_expense accrued -250"]);
    let accrued = after.clone();
    after.decide(day(40), Verdict::Approve(key(1, 1, 0)));
    assert_eq!(stands(&after), (Status::Approved, 750, Reason::ApprovedByHand));
    assert_eq!(entered(&accrued, &after), ["approval accrued payable 750"]);
    let approved = after.clone();
    after.correct(1, day(41), Change::Value(money("200", "USD")));
    assert_eq!(entered(&approved, &after), ["adjustment commission_expense payable 1250"]);
}

#[test]
fn what_was_paid_is_clawed_back_and_the_next_payout_is_less() {
    let mut story = sold();
    story.decide(day(40), Verdict::Mature(key(1, 1, 0)));
    assert_eq!(stands(&story), (Status::Approved, 1000, Reason::ApprovedAtMaturity));
    assert_eq!(pay(&mut story, 1), 1000);
    assert_eq!(stands(&story), (Status::Paid, 1000, Reason::PaidOut));
    assert_eq!(pay(&mut story, 2), 0);
    let paid = story.clone();
    story.correct(1, day(50), Change::Refund(money("40", "USD")));
    assert_eq!(stands(&story), (Status::Paid, 600, Reason::ClawedBack));
    assert_eq!(entered(&paid, &story), ["clawback payable commission_expense 400"]);
    assert_eq!(balances(story.commissions()[0].position)[3], (Account::Payable, -400));
    assert_eq!(pay(&mut story, 3), 0, "more is to be taken back than is owed");
    story.sale(2, "70.00", "USD", day(51));
    story.decide(day(90), Verdict::Approve(key(2, 1, 0)));
    assert_eq!(pay(&mut story, 4), 300);
    assert_eq!(stands(&story), (Status::Paid, 600, Reason::PaidOut));
    story.correct(1, day(91), Change::Void);
    story.sale(3, "70.00", "USD", day(55));
    story.decide(day(150), Verdict::Approve(key(3, 1, 0)));
    assert_eq!(pay(&mut story, 5), 100);
    assert_eq!(stands(&story), (Status::Paid, 0, Reason::ClawedBack));
    let open: i64 = story.commissions().iter().map(|one| balances(one.position)[3].1).sum();
    assert_eq!(open, 0);
}

#[test]
fn what_was_paid_for_an_event_that_is_somebody_elses_now_is_clawed_back() {
    let mut story = sold();
    story.decide(day(40), Verdict::Approve(key(1, 1, 0)));
    pay(&mut story, 1);
    let paid = story.clone();
    story.click(2, 2, day(1));
    let expected = ["clawback payable commission_expense 1000", "accrual commission_expense accrued 1000"];
    assert_eq!(entered(&paid, &story), expected);
    assert_eq!(stands(&story), (Status::Paid, 0, Reason::ClawedBack));
}

#[test]
fn a_flag_reverses_by_an_entry_and_clearing_it_accrues_again() {
    let before = sold();
    let mut after = before.clone();
    after.decide(day(2), Verdict::FlagClick(click(1)));
    assert_eq!(entered(&before, &after), ["reversal accrued commission_expense 1000"]);
    assert_eq!(entered(&after, &before), ["accrual commission_expense accrued 1000"]);
}

#[test]
fn what_is_decided_later_counts_later_also_where_the_clock_went_back() {
    let decide = |id: u128, days, verdict| Decision { id: Uuid::from_u128(id), at: day(days), verdict };
    let flag = decide(9, 5, Verdict::FlagClick(click(1)));
    let approve = decide(8, 7, Verdict::Approve(key(1, 1, 0)));
    let known = [flag.clone(), approve.clone()];
    for (days, expected) in [(4, true), (5, true), (6, false)] {
        let clear = decide(1, days, Verdict::ClearClick(click(1)));
        let after = clear.clone().after(&known);
        assert!((after.at, after.id) > (flag.at, flag.id));
        assert_eq!(after.at != clear.at, expected, "of another thing nothing is known");
    }
    let reverse = decide(1, 7, Verdict::Reverse(key(1, 1, 0))).after(&known);
    assert!((reverse.at, reverse.id) > (approve.at, approve.id));
    assert_eq!(decide(1, 7, Verdict::Hold(key(1, 1, 1))).after(&known).at, day(7));
    let correct =
        |id: u128, at, change| Correction { id: Uuid::from_u128(id), conversion: conversion(1), at, change };
    let mut corrections: Vec<Correction> = Vec::new();
    for (id, change) in [(5, Change::Void), (3, Change::Restore), (4, Change::Void), (1, Change::Restore)] {
        let next = correct(id, day(3), change).after(&corrections);
        assert!(corrections.iter().all(|one| (one.at, one.id) < (next.at, next.id)));
        corrections.push(next);
    }
    assert_eq!(correct(1, day(2), Change::Void).after(&corrections).at, day(2), "a date that is given holds");
}

#[test]
fn a_reversed_commission_stays_reversed_whatever_its_event_is_worth() {
    let mut story = sold();
    story.decide(day(2), Verdict::Reverse(key(1, 1, 0)));
    story.correct(1, day(3), Change::Value(money("900", "USD")));
    assert_eq!(stands(&story), (Status::Reversed, 0, Reason::ReversedByHand));
}

#[test]
fn it_is_told_why_a_commission_is_gone() {
    let cap = Cap { amount: Some(money("10", "USD")), count: None };
    let mut story =
        Story::new(terms(Model::LastClick, vec![Rule { customer_cap: cap, ..every(percent("10")) }]));
    story.click(1, 1, day(0));
    story.sale(2, "100.00", "USD", day(2));
    let why = |story: &Story, flagged| {
        let derived = derive(&story.book, &story.customer, &story.facts);
        derived.why_gone(&key(2, 1, 0), &settle(&derived.claims), flagged)
    };
    story.sale(1, "100.00", "USD", day(1));
    assert_eq!(why(&story, false), Reason::Capped);
    story.correct(2, day(3), Change::Void);
    assert_eq!(why(&story, false), Reason::EventVoid);
    story.click(2, 2, day(1));
    assert_eq!(why(&story, false), Reason::Replaced);
    assert_eq!(why(&story, true), Reason::ClickFlagged);
}

#[test]
fn what_is_odd_waits_for_a_person_who_lets_it_go() {
    let mut story = sold();
    story.facts.conversions[0].received_at = day(1) - SignedDuration::from_mins(6);
    let held = |story: &Story| (story.commissions()[0].held, story.commissions()[0].suspicion);
    assert_eq!(held(&story), (true, Some(Suspicion::EarlyEvent)));
    for (email, suspicion) in [
        ("JO@shop.test", Some(Suspicion::SelfReferral)),
        ("boss@shop.test", Some(Suspicion::SelfReferral)),
        ("boss@bigshop.test", Some(Suspicion::EarlyEvent)),
    ] {
        story.book.partners.insert(partner(1), Partner::new(email, vec![]));
        assert_eq!(held(&story), (true, suspicion), "{email}");
    }
    story.decide(day(2), Verdict::Release(key(1, 1, 0)));
    assert!(!held(&story).0);
    story.decide(day(3), Verdict::Hold(key(1, 1, 0)));
    assert!(held(&story).0);
}

#[test]
fn two_people_at_a_public_mail_host_are_strangers() {
    let mut story = sold();
    story.customer = "jo@gmail.com".into();
    story.book.partners.insert(partner(1), Partner::new("ann@gmail.com", vec![]));
    assert!(!story.commissions()[0].held);
    story.book.partners.insert(partner(1), Partner::new("Jo@gmail.com", vec![]));
    assert!(story.commissions()[0].held);
}

#[test]
fn a_preview_says_who_gains_and_who_loses() {
    let mut story = sold();
    story.click(2, 2, day(1));
    story.sale(2, "50.00", "EUR", day(1));
    let other = story.book.with_model(program(0), Model::FirstClick);
    let mut preview = Preview::new(&story.book, &other);
    preview.add(&story.customer, &story.facts);
    let difference = preview.finish();
    assert_eq!((difference.events, difference.changed_events), (2, 2));
    let gains: Vec<_> = difference.partners.into_iter().collect();
    let expected = [
        ((partner(1), currency("EUR")), Gain { before: 0, after: 500 }),
        ((partner(1), currency("USD")), Gain { before: 0, after: 1000 }),
        ((partner(2), currency("EUR")), Gain { before: 500, after: 0 }),
        ((partner(2), currency("USD")), Gain { before: 1000, after: 0 }),
    ];
    assert_eq!(gains, expected);
}

/// Any position that a commission may have.
fn position() -> impl proptest::strategy::Strategy<Value = Position> {
    use proptest::prelude::*;
    let status =
        prop::sample::select(vec![Status::Accrued, Status::Approved, Status::Paid, Status::Reversed]);
    (status, 0..1_000_000_i64).prop_map(|(status, due)| Position {
        status,
        due: if status == Status::Reversed { 0 } else { due },
        paid: 0,
    })
}

proptest::proptest! {
    #[test]
    fn entries_lead_from_any_position_to_any_other(
        before in proptest::option::of(position()),
        after in position()
    ) {
        let nothing = Position { status: Status::Reversed, due: 0, paid: 0 };
        let mut sums = balances(before.unwrap_or(nothing));
        for entry in entries(before, after) {
            assert_eq!(entry.postings.iter().map(|posting| posting.minor).sum::<i64>(), 0);
            assert!(entry.postings.iter().all(|posting| posting.minor != 0));
            assert_ne!(entry.kind, EntryKind::Payout);
            for posting in entry.postings {
                sums.iter_mut().find(|(account, _)| *account == posting.account).unwrap().1 += posting.minor;
            }
        }
        assert_eq!(sums, balances(after));
    }
}
