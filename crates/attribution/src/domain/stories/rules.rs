//! What rules pay: triggers, months, tiers, caps.

use super::*;
use crate::domain::{
    outcome::Note,
    terms::{Condition, InvalidTerms, Operator, Tier},
};

fn bonus(trigger: Trigger) -> Rule {
    Rule { trigger, ..every(Reward::Fixed(money("50", "USD"))) }
}

fn sums(story: &Story) -> Vec<i64> {
    story.due().into_iter().map(|(_, due)| due).collect()
}

#[test]
fn the_first_is_paid_once_and_an_earlier_event_that_comes_late_becomes_it() {
    let mut story = Story::new(terms(Model::LastClick, vec![bonus(Trigger::First)]));
    story.click(1, 1, day(0));
    (2..10).for_each(|number| story.sale(number, "10", "USD", day(5)));
    assert_eq!(story.due(), [(key(2, 1, 0), 5000)]);
    story.sale(1, "10", "USD", day(4));
    story.facts.conversions[8].received_at = day(9);
    assert_eq!(story.due(), [(key(1, 1, 0), 5000)]);
}

#[test]
fn a_void_event_is_no_first_and_one_that_is_restored_is_again() {
    let mut story = Story::new(terms(Model::LastClick, vec![bonus(Trigger::First)]));
    story.click(1, 1, day(0));
    story.sale(1, "10", "USD", day(1));
    story.sale(2, "10", "USD", day(2));
    story.correct(1, day(3), Change::Void);
    assert_eq!(story.due(), [(key(2, 1, 0), 5000)]);
    story.correct(1, day(4), Change::Restore);
    assert_eq!(story.due(), [(key(1, 1, 0), 5000)]);
    story.correct(1, day(5), Change::Refund(money("10", "USD")));
    assert_eq!(story.due(), [(key(2, 1, 0), 5000)]);
}

#[test]
fn first_and_subsequent_are_counted_for_each_partner_and_type() {
    let rules = vec![bonus(Trigger::First), Rule { trigger: Trigger::Subsequent, ..every(percent("10")) }];
    let mut story = Story::new(terms(Model::LastClick, rules));
    story.click(1, 1, day(0));
    story.sale(1, "10", "USD", day(1));
    story.sale(2, "10", "USD", day(2));
    story.sale(3, "10", "USD", day(3));
    story.facts.conversions[2].kind = "renewal".into();
    story.click(2, 2, day(4));
    story.sale(4, "10", "USD", day(5));
    let expected = [(key(1, 1, 0), 5000), (key(2, 1, 1), 100), (key(3, 1, 0), 5000), (key(4, 2, 0), 5000)];
    assert_eq!(story.due(), expected);
}

#[test]
fn new_terms_pay_no_second_first() {
    let mut story = Story::new(terms(Model::LastClick, vec![bonus(Trigger::First)]));
    let again = version(2, day(5), terms(Model::LastClick, vec![every(percent("1")), bonus(Trigger::First)]));
    let first = version(1, Timestamp::MIN, terms(Model::LastClick, vec![bonus(Trigger::First)]));
    story.book.programs.insert(program(0), Program::new(vec![first, again], None));
    story.click(1, 1, day(0));
    story.sale(1, "10", "USD", day(1));
    story.sale(2, "10", "USD", day(6));
    assert_eq!(story.due(), [(key(1, 1, 0), 5000), (key(2, 1, 0), 10)]);
}

#[test]
fn a_rule_ends_after_its_months_of_the_calendar() {
    let mut story =
        Story::new(terms(Model::LastClick, vec![Rule { months: Some(1), ..every(percent("10")) }]));
    // the first is on 31 January, so that the month ends on 28 February
    for (number, at) in [(1, day(11)), (2, day(39)), (3, day(39) - SignedDuration::from_nanos(1))] {
        story.sale(number, "10", "USD", at);
    }
    story.click(1, 1, day(0));
    assert_eq!(story.due(), [(key(1, 1, 0), 100), (key(3, 1, 0), 100)]);
}

#[test]
fn a_fixed_amount_is_paid_in_its_own_currency_whatever_the_events_is() {
    let mut story = Story::new(terms(Model::LastClick, vec![bonus(Trigger::Every)]));
    story.click(1, 1, day(0));
    story.sale(1, "1000", "JPY", day(1));
    let commission = story.commissions().remove(0);
    assert_eq!((commission.position.due, commission.currency), (5000, Currency::USD));
}

#[test]
fn a_cap_in_another_currency_than_the_payment_refuses_it_and_says_so() {
    let cap = Cap { amount: Some(money("500", "USD")), count: None };
    let rule = Rule { customer_cap: cap, ..every(percent("10")) };
    let mut story = Story::new(terms(Model::LastClick, vec![rule]));
    story.click(1, 1, day(0));
    story.sale(1, "100000", "JPY", day(1));
    let derived = derive(&story.book, &story.customer, &story.facts);
    let payments = settle(&derived.claims);
    assert_eq!((payments[0].minor, payments[0].note), (0, Note::CapCurrency));
    assert!(story.commissions().is_empty());
}

#[test]
fn a_cap_is_used_up_in_the_order_of_events_whenever_they_came() {
    let cap = Cap { amount: Some(money("25", "USD")), count: None };
    let mut story =
        Story::new(terms(Model::LastClick, vec![Rule { customer_cap: cap, ..every(percent("10")) }]));
    story.click(1, 1, day(0));
    (2..5).for_each(|number| story.sale(number, "100", "USD", day(i64::from(number))));
    assert_eq!(sums(&story), [1000, 1000, 500]);
    story.sale(1, "100", "USD", day(1));
    assert_eq!(sums(&story), [1000, 1000, 500]);
    assert_eq!(story.due()[0].0, key(1, 1, 0));
    story.correct(1, day(9), Change::Void);
    assert_eq!(story.due()[0].0, key(2, 1, 0));
}

#[test]
fn a_count_counts_events_and_not_the_clicks_that_share_them() {
    let cap = Cap { amount: None, count: Some(2) };
    let mut story =
        Story::new(terms(Model::Linear, vec![Rule { customer_cap: cap, ..every(percent("10")) }]));
    story.click(1, 1, day(0));
    story.click(2, 1, day(0));
    (1..4).for_each(|number| story.sale(number, "100", "USD", day(i64::from(number))));
    assert_eq!(sums(&story), [500; 4]);
}

#[test]
fn a_cap_of_a_partner_and_tiers_reach_over_customers() {
    let tier = Tier { volume: money("100", "USD"), reward: percent("20") };
    let cap = Cap { amount: Some(money("45", "USD")), count: None };
    let rule = Rule { tiers: vec![tier], partner_cap: cap, ..every(percent("10")) };
    let mut one = Story::new(terms(Model::LastClick, vec![rule]));
    one.click(1, 1, day(0));
    let mut two = one.clone();
    two.customer = "other@else.test".into();
    one.sale(1, "100", "USD", day(1));
    one.sale(3, "100", "USD", day(3));
    two.sale(2, "100", "USD", day(2));
    // February begins anew
    two.sale(4, "100", "USD", day(13));
    let all: Vec<_> = [&two, &one]
        .iter()
        .flat_map(|story| derive(&story.book, &story.customer, &story.facts).claims)
        .collect();
    let paid: Vec<_> = all.iter().zip(settle(&all)).map(|(claim, paid)| (claim.at, paid.minor)).collect();
    assert_eq!(paid, [(day(2), 2000), (day(13), 0), (day(1), 1000), (day(3), 1500)]);
}

#[test]
fn terms_that_cannot_hold_are_refused_with_their_place() {
    let good = terms(Model::LastClick, vec![every(percent("10"))]);
    assert_eq!(good.check(), Ok(()));
    let with = |rule: Rule| terms(Model::LastClick, vec![every(percent("10")), rule]).check();
    assert_eq!(Terms { window_days: 366, ..good.clone() }.check(), Err(InvalidTerms::Window));
    assert_eq!(Terms { window_days: 0, ..good.clone() }.check(), Err(InvalidTerms::Window));
    assert_eq!(Terms { hold_days: 366, ..good.clone() }.check(), Err(InvalidTerms::Hold));
    assert_eq!(terms(Model::LastClick, vec![]).check(), Err(InvalidTerms::Rules));
    assert_eq!(terms(Model::LastClick, vec![every(percent("1")); 11]).check(), Err(InvalidTerms::Rules));
    let tier = |amount: &str, code: &str, reward| Tier { volume: money(amount, code), reward };
    for tiers in [
        vec![tier("2", "USD", percent("1")), tier("1", "USD", percent("1"))],
        vec![tier("1", "USD", percent("1")), tier("2", "EUR", percent("1"))],
        vec![tier("1", "USD", Reward::Fixed(money("1", "USD")))],
    ] {
        assert_eq!(with(Rule { tiers, ..every(percent("1")) }), Err(InvalidTerms::Tiers(1)));
    }
    let condition = Condition { field: "a".into(), operator: Operator::AtLeast, value: "many".into() };
    assert_eq!(
        with(Rule { conditions: vec![condition], ..every(percent("1")) }),
        Err(InvalidTerms::Conditions(1))
    );
    let cap = Cap { amount: Some(money("1", "EUR")), count: None };
    assert_eq!(with(Rule { partner_cap: cap, ..bonus(Trigger::Every) }), Err(InvalidTerms::CapCurrency(1)));
    assert_eq!(with(Rule { months: Some(0), ..every(percent("1")) }), Err(InvalidTerms::Nothing(1)));
}
