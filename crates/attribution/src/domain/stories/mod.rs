//! Stories of the domain, and the comparison of it with a plain model under random facts.

mod arrival;
mod ledger;
mod plain;
mod property;
mod rules;
mod sharing;
mod world;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::{ConversionId, PartnerId, PayoutId, ProgramId};
use uuid::Uuid;

use super::{
    commission::commissions,
    derive::derive,
    facts::{Change, Click, ClickId, CommissionKey, Conversion, Correction, Decision, Facts, Verdict},
    money::{Currency, Money, Percent},
    outcome::Commission,
    settle::settle,
    terms::{Book, Cap, Model, Partner, Program, Reward, Rule, Terms, TermsVersion, Trigger},
};

pub(super) fn partner(number: u8) -> PartnerId {
    PartnerId::from_uuid(Uuid::from_u128(u128::from(number) + 100))
}

pub(super) fn program(number: u8) -> ProgramId {
    ProgramId::from_uuid(Uuid::from_u128(u128::from(number) + 200))
}

pub(super) fn conversion(number: u8) -> ConversionId {
    ConversionId::from_uuid(Uuid::from_u128(u128::from(number) + 1))
}

pub(super) fn payout_id(number: u8) -> PayoutId {
    PayoutId::from_uuid(Uuid::from_u128(u128::from(number) + 900))
}

pub(super) fn click(number: u8) -> ClickId {
    format!("click-{number}").into()
}

pub(super) fn key(number: u8, clicked: u8, rule: u8) -> CommissionKey {
    CommissionKey { conversion: conversion(number), click: click(clicked), rule }
}

/// A number of minutes after midnight (UTC) of 20 January 2026.
pub(super) fn minute(minutes: i64) -> Timestamp {
    let start: Timestamp = "2026-01-20T00:00:00Z".parse().unwrap();
    start + SignedDuration::from_mins(minutes)
}

/// The same in days.
pub(super) fn day(days: i64) -> Timestamp {
    minute(days * 24 * 60)
}

pub(super) fn currency(code: &str) -> Currency {
    code.parse().unwrap()
}

pub(super) fn money(amount: &str, code: &str) -> Money {
    Money::try_new(amount.parse().unwrap(), currency(code)).unwrap()
}

pub(super) fn percent(number: &str) -> Reward {
    Reward::Percent(Percent::try_new(number.parse().unwrap()).unwrap())
}

/// A rule that pays for every event and has no limits.
pub(super) fn every(reward: Reward) -> Rule {
    Rule {
        trigger: Trigger::Every,
        event_type: None,
        reward,
        months: None,
        conditions: Vec::new(),
        tiers: Vec::new(),
        partner_cap: Cap::default(),
        customer_cap: Cap::default(),
    }
}

pub(super) fn terms(model: Model, rules: Vec<Rule>) -> Terms {
    Terms { window_days: 60, model, hold_days: 30, rules }
}

pub(super) fn version(version: u32, effective_from: Timestamp, terms: Terms) -> TermsVersion {
    TermsVersion { version, effective_from, terms: Some(terms) }
}

/// One organization with program 0 and three partners, and one customer's facts.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) book: Book,
    pub(super) facts: Facts,
    pub(super) customer: Arc<str>,
    told: u128,
}

impl Story {
    pub(super) fn new(terms: Terms) -> Self {
        let mut book = Book::default();
        book.programs.insert(program(0), Program::new(vec![version(1, Timestamp::MIN, terms)], None));
        for number in 0..3 {
            book.partners
                .insert(partner(number), Partner::new(&format!("p{number}@partner{number}.test"), vec![]));
        }
        Self { book, facts: Facts::default(), customer: "jo@shop.test".into(), told: 0 }
    }

    pub(super) fn click(&mut self, number: u8, of: u8, at: Timestamp) {
        self.facts.clicks.push(Click {
            id: click(number),
            partner: partner(of),
            program: program(0),
            at,
            identified_at: at,
            flagged: false,
            suspicion: None,
            guarded: false,
            instead_of: None,
        });
    }

    pub(super) fn sale(&mut self, number: u8, amount: &str, code: &str, at: Timestamp) {
        self.facts.conversions.push(Conversion {
            id: conversion(number),
            kind: "sale".into(),
            value: Some(money(amount, code).minor()),
            currency: currency(code),
            metadata: serde_json::Value::Null,
            at,
            received_at: at,
        });
    }

    pub(super) fn correct(&mut self, number: u8, at: Timestamp, change: Change) {
        let id = self.next();
        self.facts.corrections.push(Correction { id, conversion: conversion(number), at, change });
    }

    pub(super) fn decide(&mut self, at: Timestamp, verdict: Verdict) {
        let id = self.next();
        self.facts.decisions.push(Decision { id, at, verdict });
    }

    fn next(&mut self) -> Uuid {
        self.told += 1;
        Uuid::from_u128(self.told)
    }

    /// Where the customer's commissions stand.
    pub(super) fn commissions(&self) -> Vec<Commission> {
        let derived = derive(&self.book, &self.customer, &self.facts);
        commissions(&self.facts, &derived.claims, &settle(&derived.claims))
    }

    /// What each commission that stands is worth, in minor units.
    pub(super) fn due(&self) -> Vec<(CommissionKey, i64)> {
        let all = self.commissions().into_iter();
        all.map(|commission| (commission.key, commission.position.due)).collect()
    }
}
