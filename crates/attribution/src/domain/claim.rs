//! What each rule asks for each click that shares an event, before tiers and caps.

use std::{collections::HashMap, sync::Arc};

use jiff::{SignedDuration, Timestamp, ToSpan, tz::TimeZone};
use model::PartnerId;

use super::{
    attribute::Eligible,
    facts::{CommissionKey, Conversion, is_email},
    guard::person,
    money::split,
    outcome::{Claim, Outcome, Suspicion, Touch},
    terms::{Book, Reward, Rule, Trigger},
    value::Worth,
};

/// Of a partner, the first event of each type that is not void.
pub(crate) type History<'a> = HashMap<(PartnerId, &'a str), Timestamp>;

/// An event and those who share it.
pub(crate) struct Shared<'s> {
    pub(crate) customer: &'s Arc<str>,
    pub(crate) conversion: &'s Conversion,
    pub(crate) worth: Worth,
    pub(crate) outcome: &'s Outcome,
}

/// Adds what all rules ask for an event that is not void.
pub(crate) fn claim<'a>(
    shared: &Shared<'_>,
    eligible: &[Eligible<'_, 'a>],
    history: &History<'_>,
    claims: &mut Vec<Claim<'a>>,
) {
    let mut parts = Parts::new(shared.outcome.attribution.touches());
    for (place, one) in eligible.iter().enumerate() {
        let click = one.click;
        let kind = &*shared.conversion.kind;
        let mut first = history.get(&(click.partner, kind)).copied();
        if broken!(FirstOfAnyPartner) {
            first = history.iter().filter(|((_, known), _)| *known == kind).map(|(_, at)| *at).min();
        }
        if broken!(FirstOfAnyType) {
            first = history.iter().filter(|((known, _), _)| *known == click.partner).map(|(_, at)| *at).min();
        }
        for (number, rule) in (0_u8..).zip(&one.terms.rules) {
            if !applies(rule, shared.conversion, first) {
                continue;
            }
            let rewards = std::iter::once(rule.reward).chain(rule.tiers.iter().map(|tier| tier.reward));
            let amounts: Vec<i64> =
                rewards.map(|reward| parts.of(total(reward, shared.worth), place)).collect();
            if amounts.iter().all(|amount| *amount == 0) {
                continue;
            }
            let tiers = Book::tier_currency(rule);
            let counts =
                tiers == Some(shared.conversion.currency) || tiers.is_some() && broken!(ForeignVolume);
            let accrued_at = shared.conversion.received_at.max(click.identified_at);
            let mature_from = if broken!(MaturesTooEarly) {
                shared.conversion.at
            } else {
                shared.conversion.at.max(accrued_at)
            };
            claims.push(Claim {
                key: CommissionKey {
                    conversion: shared.conversion.id,
                    click: click.id.clone(),
                    rule: number,
                },
                at: shared.conversion.at,
                partner: click.partner,
                program: click.program,
                terms_version: one.version,
                customer: shared.customer.clone(),
                currency: currency(rule, shared.conversion),
                amounts,
                volume: counts.then(|| parts.of(shared.worth.net().unwrap_or(0), place)),
                rule,
                accrued_at,
                mature_at: after_days(mature_from, one.terms.hold_days),
                suspicion: suspicion(shared, one),
            });
        }
    }
}

/// Whether a rule pays for the event, given the first of its type for the same partner and customer before it.
fn applies(rule: &Rule, conversion: &Conversion, first: Option<Timestamp>) -> bool {
    let triggered = match rule.trigger {
        Trigger::Every => true,
        Trigger::First => first.is_none(),
        Trigger::Subsequent => first.is_some(),
    };
    let in_time =
        rule.months.zip(first).is_none_or(|(months, first)| conversion.at < after_months(first, months));
    triggered && (in_time || broken!(MonthsIgnored)) && rule.matches(conversion)
}

/// What a reward is for the whole event.
fn total(reward: Reward, worth: Worth) -> i64 {
    match reward {
        Reward::Percent(percent) => worth.net().map_or(0, |net| percent.of(net)),
        Reward::Fixed(amount) => worth.remaining(amount.minor()),
    }
}

fn currency(rule: &Rule, conversion: &Conversion) -> super::money::Currency {
    match rule.reward {
        Reward::Percent(_) => conversion.currency,
        Reward::Fixed(_) if broken!(FixedInEventCurrency) => conversion.currency,
        Reward::Fixed(amount) => amount.currency(),
    }
}

/// The parts that touches have of totals; each total is split once.
struct Parts<'t> {
    touches: &'t [Touch],
    splits: Vec<(i64, Vec<i64>)>,
}

impl<'t> Parts<'t> {
    const fn new(touches: &'t [Touch]) -> Self {
        Self { touches, splits: Vec::new() }
    }

    fn of(&mut self, total: i64, place: usize) -> i64 {
        let [first, _, ..] = self.touches else { return total };
        if let Some((_, parts)) = self.splits.iter().find(|(known, _)| *known == total) {
            return parts[place];
        }
        let weights = self.touches.iter().map(|touch| touch.weight.numerator);
        let parts = split(total, weights, first.weight.denominator);
        let part = parts[place];
        self.splits.push((total, parts));
        part
    }
}

fn after_months(at: Timestamp, months: u16) -> Timestamp {
    let later = at.to_zoned(TimeZone::UTC).checked_add(i32::from(months).months());
    later.map_or(Timestamp::MAX, |later| later.timestamp())
}

fn after_days(at: Timestamp, days: u16) -> Timestamp {
    at.checked_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
}

fn suspicion(shared: &Shared<'_>, one: &Eligible<'_, '_>) -> Option<Suspicion> {
    if is_same(one.partner.email(), shared.customer) {
        return Some(Suspicion::SelfReferral);
    }
    one.suspicion.or(shared.outcome.is_early.then_some(Suspicion::EarlyEvent))
}

/// Domains whose addresses belong to people who need not know each other.
const PUBLIC_MAIL: [&str; 14] = [
    "aol.com",
    "gmail.com",
    "gmx.de",
    "gmx.net",
    "googlemail.com",
    "hotmail.com",
    "icloud.com",
    "live.com",
    "me.com",
    "outlook.com",
    "proton.me",
    "protonmail.com",
    "web.de",
    "yahoo.com",
];

/// Whether two e-mail addresses are of the same person or of the same company.
fn is_same(partner: &str, customer: &str) -> bool {
    let (Some((_, of_partner)), Some((_, of_customer))) = (partner.split_once('@'), customer.split_once('@'))
    else {
        return false;
    };
    let company = of_partner == of_customer && !PUBLIC_MAIL.contains(&of_partner);
    is_email(customer) && (company || person(partner) == person(customer))
}
