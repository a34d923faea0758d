//! Random organizations and facts: few partners, types, days and amounts, so that everything meets everything.

use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::domain::{
    outcome::Suspicion,
    terms::{Condition, ModelChange, Operator, Standing, Tier},
};

pub(super) const PARTNERS: u8 = 3;
pub(super) const PROGRAMS: u8 = 2;
const CURRENCIES: [&str; 3] = ["USD", "JPY", "KWD"];
const KINDS: [&str; 2] = ["sale", "renewal"];

/// Terms of a program, or of one of its partners.
#[derive(Clone, Debug)]
pub(super) struct Dated {
    pub(super) partner: Option<u8>,
    pub(super) version: TermsVersion,
}

/// An organization and two of its customers.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) programs: Vec<(Vec<Dated>, Option<ModelChange>)>,
    pub(super) partners: Vec<Vec<Standing>>,
    pub(super) customers: Vec<(Arc<str>, Facts)>,
    /// So many of each customer's corrections are known when the payout is made.
    pub(super) known_at_payout: usize,
}

impl World {
    pub(super) fn book(&self) -> Book {
        let mut book = Book::default();
        for (number, (dated, model)) in (0..).zip(&self.programs) {
            let of = |wanted: Option<u8>| {
                let those = dated.iter().filter(move |dated| dated.partner == wanted);
                those.map(|dated| dated.version.clone()).collect::<Vec<_>>()
            };
            let mut made = Program::new(of(None), *model);
            for number in 0..PARTNERS {
                made.agree(partner(number), of(Some(number)));
            }
            book.programs.insert(program(number), made);
        }
        for (number, standings) in (0..).zip(&self.partners) {
            book.partners.insert(partner(number), Partner::new(&email(number), standings.clone()));
        }
        book
    }
}

/// The third partner is of the second customer's company.
pub(super) fn email(partner: u8) -> String {
    if partner == 2 { "Boss@Shop.test".to_owned() } else { format!("p{partner}@gmail.com") }
}

/// Half days, sometimes with the minutes that decide about a click that came later.
fn time() -> impl Strategy<Value = Timestamp> {
    (prop_oneof![3 => 0_i64..90, 1 => 0_i64..10], select(vec![0_i64, 0, 0, 4, 5, 6]))
        .prop_map(|(half, minutes)| minute(half * 720 + minutes))
}

fn some_currency() -> impl Strategy<Value = Currency> {
    select(vec![0, 0, 0, 1, 2]).prop_map(|place: usize| currency(CURRENCIES[place]))
}

fn some_money() -> impl Strategy<Value = Money> {
    let minor = prop_oneof![Just(0_i64), Just(1), Just(1000), 1..20_000_i64];
    (minor, some_currency()).prop_map(|(minor, currency)| Money::try_from_minor(minor, currency).unwrap())
}

fn some_percent() -> impl Strategy<Value = Reward> {
    select(vec!["10", "12.5", "33.333333", "50", "100", "0.05"]).prop_map(percent)
}

fn cap() -> impl Strategy<Value = Cap> {
    let limits = prop_oneof![3 => Just((None, None)), 1 => (option::of(some_money()), option::of(1_u32..3))];
    limits.prop_map(|(amount, count)| Cap { amount, count })
}

fn tiers(reward: Reward) -> impl Strategy<Value = Vec<Tier>> {
    let own = match reward {
        Reward::Percent(_) => some_percent().boxed(),
        Reward::Fixed(fixed) => (1_i64..9000)
            .prop_map(move |minor| Reward::Fixed(Money::try_from_minor(minor, fixed.currency()).unwrap()))
            .boxed(),
    };
    let two = (some_currency(), 0_i64..3000, 1_i64..9000, vec(own, 2), 0_usize..=2).prop_map(
        |(currency, first, more, rewards, count)| {
            let volumes = [first, first + more].map(|minor| Money::try_from_minor(minor, currency).unwrap());
            let tiers = volumes.into_iter().zip(rewards);
            tiers.take(count).map(|(volume, reward)| Tier { volume, reward }).collect()
        },
    );
    prop_oneof![Just(Vec::new()), two]
}

fn rule() -> impl Strategy<Value = Rule> {
    let reward = prop_oneof![2 => some_percent(), 1 => some_money().prop_map(Reward::Fixed)];
    let condition =
        (select(vec![Operator::Equals, Operator::AtLeast]), 0_u8..3).prop_map(|(operator, value)| {
            Condition { field: "tag".into(), operator, value: value.to_string().into() }
        });
    let with_tiers = reward.prop_flat_map(|reward| tiers(reward).prop_map(move |tiers| (reward, tiers)));
    let when = (
        select(vec![Trigger::Every, Trigger::Every, Trigger::First, Trigger::Subsequent]),
        option::of(select(KINDS.to_vec())),
        option::weighted(0.4, Just(1_u16)),
        option::weighted(0.2, condition),
    );
    (when, with_tiers, cap(), cap()).prop_map(|(when, (reward, tiers), partner_cap, customer_cap)| Rule {
        trigger: when.0,
        event_type: when.1.map(Arc::from),
        reward,
        months: when.2,
        conditions: when.3.into_iter().collect(),
        tiers,
        partner_cap,
        customer_cap,
    })
}

fn model() -> impl Strategy<Value = Model> {
    use Model::{FirstClick, LastClick, Linear, Position, TimeDecay};
    select(vec![LastClick, FirstClick, Linear, Linear, Position, TimeDecay])
}

fn some_terms() -> impl Strategy<Value = Terms> {
    let parts =
        (prop_oneof![2 => 1_u16..30, 1 => Just(60)], model(), select(vec![0_u16, 14]), vec(rule(), 1..4));
    parts.prop_map(|(window_days, model, hold_days, rules)| Terms { window_days, model, hold_days, rules })
}

/// The first terms hold from the beginning or from some day on, the later ones are dated back or not.
fn dated() -> impl Strategy<Value = (Vec<Dated>, Option<ModelChange>)> {
    let from = prop_oneof![2 => Just(Timestamp::MIN), 1 => time()];
    let others = vec((option::of(0..PARTNERS), time(), option::weighted(0.9, some_terms())), 0..3);
    let change = option::weighted(0.3, (model(), 1_u32..4));
    (from, some_terms(), others, change).prop_map(|(from, first, others, change)| {
        let mut dated = vec![Dated { partner: None, version: version(1, from, first) }];
        for (number, (partner, effective_from, terms)) in (2..).zip(others) {
            dated.push(Dated { partner, version: TermsVersion { version: number, effective_from, terms } });
        }
        (dated, change.map(|(model, up_to_version)| ModelChange { model, up_to_version }))
    })
}

fn standings() -> impl Strategy<Value = Vec<Standing>> {
    let some = vec((time(), any::<bool>()), 1..4).prop_map(|some| {
        (0..).zip(some).map(|(sequence, (at, active))| Standing { at, sequence, active }).collect()
    });
    prop_oneof![3 => Just(Vec::new()), 1 => some]
}

/// Facts of a customer whose events and clicks are numbered from `from` on.
fn facts(from: u8) -> impl Strategy<Value = Facts> {
    let clicked = (0..PARTNERS, 0..PROGRAMS, time(), 0_i64..40, prop::bool::weighted(0.1));
    let sold = (select(KINDS.to_vec()), option::weighted(0.9, some_money()), time(), -20_i64..40, 0_u8..4);
    let corrected = (0_u8..6, time(), change());
    let decided = (0_u8..6, 0_u8..6, 0_u8..3, time(), 0_u8..7);
    (vec(clicked, 0..6), vec(sold, 1..7), vec(corrected, 0..6), vec(decided, 0..8)).prop_map(
        move |(clicks, sales, corrections, decisions)| {
            let (click_count, sale_count) = (clicks.len(), sales.len());
            let click_of = |number: u8| click(from + number % u8::try_from(click_count.max(1)).unwrap());
            let sale_of = |number: u8| from + number % u8::try_from(sale_count).unwrap();
            let clicks = (from..).zip(clicks).map(|(number, (of, within, at, later, flagged))| Click {
                id: click(number),
                partner: partner(of),
                program: program(within),
                at,
                identified_at: at + SignedDuration::from_hours(12 * later),
                flagged,
                suspicion: (later % 8 == 3).then_some(Suspicion::UsersPerClick),
                guarded: later % 4 == 2,
                instead_of: (later % 7 == 5).then(|| click(number + 1)),
            });
            let conversions = (from..).zip(sales).map(|(number, (kind, value, at, later, tag))| Conversion {
                id: conversion(number),
                kind: kind.into(),
                value: value.map(Money::minor),
                currency: value.map_or(Currency::USD, Money::currency),
                metadata: if tag == 3 { serde_json::Value::Null } else { json!({ "tag": tag }) },
                at,
                received_at: at + SignedDuration::from_mins(later * 60 - 6),
            });
            let corrections = (1_u128..).zip(corrections).map(|(id, (of, at, change))| Correction {
                id: Uuid::from_u128(id),
                conversion: conversion(sale_of(of)),
                at,
                change,
            });
            let decisions = (1_u128..).zip(decisions).map(|(id, (clicked, of, rule, at, what))| {
                let key =
                    CommissionKey { conversion: conversion(sale_of(of)), click: click_of(clicked), rule };
                Decision { id: Uuid::from_u128(id), at, verdict: verdict(what, click_of(clicked), key) }
            });
            Facts {
                clicks: clicks.collect(),
                conversions: conversions.collect(),
                corrections: corrections.collect(),
                decisions: decisions.collect(),
                paid: Vec::new(),
            }
        },
    )
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        some_money().prop_map(Change::Value),
        some_money().prop_map(Change::Refund),
        Just(Change::Void),
        Just(Change::Restore),
    ]
}

fn verdict(what: u8, click: ClickId, key: CommissionKey) -> Verdict {
    match what {
        0 => Verdict::FlagClick(click),
        1 => Verdict::ClearClick(click),
        2 => Verdict::Approve(key),
        3 => Verdict::Mature(key),
        4 => Verdict::Reverse(key),
        5 => Verdict::Hold(key),
        _ => Verdict::Release(key),
    }
}

pub(super) fn world() -> impl Strategy<Value = World> {
    let programs = vec(dated(), usize::from(PROGRAMS));
    let partners = vec(standings(), usize::from(PARTNERS));
    (programs, partners, facts(0), facts(10), 0_usize..6).prop_map(|(programs, partners, one, two, known)| {
        World {
            programs,
            partners,
            customers: vec![("customer-1".into(), one), ("jo@shop.test".into(), two)],
            known_at_payout: known,
        }
    })
}
