//! The same rules again, as plainly as they can be said: every question is answered by looking at all facts, nothing
//! is remembered, and fractions are decimals or compared crosswise. Slow, and written without looking at the other.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{ToSpan, tz::TimeZone};
use rust_decimal::{Decimal, RoundingStrategy, prelude::ToPrimitive};

use super::{world::World, *};
use crate::domain::{
    money::MAX_MINOR,
    outcome::{CommissionStatus, Suspicion},
    weights::weigh,
};

/// A click's share in an event: numerator, denominator, and the terms that pay it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Share {
    pub(super) click: Click,
    pub(super) weight: (i64, i64),
    pub(super) version: u32,
    terms: Terms,
}

/// What a commission comes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plain {
    pub(super) currency: Currency,
    pub(super) due: i64,
    pub(super) status: CommissionStatus,
    pub(super) held: bool,
    pub(super) mature_at: Option<Timestamp>,
}

impl World {
    fn number(of: PartnerId) -> u8 {
        (0..world::PARTNERS).find(|number| partner(*number) == of).unwrap()
    }

    fn is_active(&self, of: PartnerId, at: Timestamp) -> bool {
        let standings = &self.partners[usize::from(Self::number(of))];
        let before = standings.iter().filter(|standing| standing.at <= at);
        before.max_by_key(|standing| (standing.at, standing.sequence)).is_none_or(|last| last.active)
    }

    fn terms(&self, of: &Click, at: Timestamp) -> Option<(u32, Terms)> {
        let place = (0..world::PROGRAMS).find(|number| program(*number) == of.program)?;
        let (dated, change) = &self.programs[usize::from(place)];
        let latest = |whose: Option<u8>| {
            let those =
                dated.iter().filter(|dated| dated.partner == whose && dated.version.effective_from <= at);
            those.map(|dated| &dated.version).max_by_key(|version| version.version)
        };
        let general = latest(None).filter(|version| version.terms.is_some())?;
        let own = latest(Some(Self::number(of.partner))).filter(|version| version.terms.is_some());
        let version = own.unwrap_or(general);
        let mut terms = version.terms.clone()?;
        if let Some(change) = change.filter(|change| version.version <= change.up_to_version) {
            terms.model = change.model;
        }
        Some((version.version, terms))
    }
}

/// What was decided last about a click.
fn decided<'f>(facts: &'f Facts, click: &Click) -> Option<&'f Verdict> {
    let about = facts.decisions.iter().filter(|decision| match &decision.verdict {
        Verdict::FlagClick(id) | Verdict::ClearClick(id) => *id == click.id,
        _ => false,
    });
    about.max_by_key(|decision| (decision.at, decision.id)).map(|last| &last.verdict)
}

fn is_flagged(facts: &Facts, click: &Click) -> bool {
    decided(facts, click).map_or(click.flagged, |last| matches!(last, Verdict::FlagClick(_)))
}

/// Who shares an event, by which model.
pub(super) fn shares(world: &World, facts: &Facts, event: &Conversion) -> Option<(Model, Vec<Share>)> {
    let mut those = BTreeMap::new();
    for click in &facts.clicks {
        if facts.clicks.iter().any(|other| other.instead_of.as_ref() == Some(&click.id)) {
            continue;
        }
        let Some((version, terms)) = world.terms(click, event.at) else { continue };
        let minutes = event.at.duration_since(click.at).as_mins();
        let in_window = minutes >= -5 && minutes <= i64::from(terms.window_days) * 24 * 60;
        if in_window && !is_flagged(facts, click) && world.is_active(click.partner, event.at) {
            those.insert((click.at, click.id.clone()), (click, version, terms));
        }
    }
    let clicks: Vec<_> = those.into_values().collect();
    let model = clicks.last()?.2.model;
    let times: Vec<Timestamp> = clicks.iter().map(|(click, ..)| click.at).collect();
    let count = i64::try_from(clicks.len()).unwrap();
    let weight = |place: i64| match model {
        Model::LastClick => (i64::from(place + 1 == count), 1),
        Model::FirstClick => (i64::from(place == 0), 1),
        Model::Linear => (1, count),
        Model::Position if count <= 2 => (1, count),
        Model::Position if place == 0 || place + 1 == count => (2, 5),
        Model::Position => (1, 5 * (count - 2)),
        Model::TimeDecay => {
            let weights = weigh(model, &times);
            (weights.numerators[usize::try_from(place).unwrap()], weights.denominator)
        }
    };
    let share = |(place, (click, version, terms)): (i64, (&Click, u32, Terms))| Share {
        click: click.clone(),
        weight: weight(place),
        version,
        terms,
    };
    let shares = (0..).zip(clicks).map(share).filter(|share| share.weight.0 > 0);
    Some((model, shares.collect()))
}

/// The value before and after refunds, and whether the event is void.
fn worth(facts: &Facts, event: &Conversion) -> (Option<i64>, Option<i64>, bool) {
    let about = facts.corrections.iter().filter(|correction| correction.conversion == event.id);
    let sorted: BTreeMap<_, _> =
        about.map(|correction| ((correction.at, correction.id), correction.change)).collect();
    let (mut gross, mut refunds, mut void) = (event.value, Vec::new(), false);
    for change in sorted.into_values() {
        match change {
            Change::Void => void = true,
            Change::Restore => void = false,
            Change::Value(value) if value.currency() == event.currency => {
                gross = Some(value.minor());
                refunds.clear();
            }
            Change::Refund(back) if back.currency() == event.currency => refunds.push(back.minor()),
            Change::Value(_) | Change::Refund(_) => {}
        }
    }
    let back = refunds.iter().sum::<i64>().min(MAX_MINOR);
    let net = gross.map(|gross| (gross - back).max(0));
    (gross, net, void || (back > 0 && net == Some(0)))
}

fn rounded(exact: Decimal) -> i64 {
    exact.round_dp_with_strategy(0, RoundingStrategy::MidpointAwayFromZero).to_i64().unwrap()
}

/// What a reward is for the whole event, after refunds.
fn total(reward: Reward, gross: Option<i64>, net: Option<i64>) -> i64 {
    match (reward, gross, net) {
        (Reward::Percent(percent), _, Some(net)) => {
            rounded(Decimal::from(net) * percent.decimal() / Decimal::ONE_HUNDRED)
        }
        (Reward::Percent(_), ..) => 0,
        (Reward::Fixed(fixed), Some(gross), Some(net)) if net < gross => {
            rounded(Decimal::from(fixed.minor()) * Decimal::from(net) / Decimal::from(gross))
        }
        (Reward::Fixed(fixed), ..) => fixed.minor(),
    }
}

/// One part of a split: one unit after the other goes to whoever is owed most.
fn part(total: i64, shares: &[Share], place: usize) -> i64 {
    let owed = |share: &Share, has: i64| {
        let (numerator, denominator) = (i128::from(share.weight.0), i128::from(share.weight.1));
        (i128::from(total) * numerator - i128::from(has) * denominator, denominator)
    };
    let floor = |share: &Share| i64::try_from(owed(share, 0).0.div_euclid(owed(share, 0).1)).unwrap();
    let mut parts: Vec<i64> = shares.iter().map(floor).collect();
    while parts.iter().sum::<i64>() < total {
        let mut most = 0;
        for other in 1..shares.len() {
            let (a, b) = (owed(&shares[most], parts[most]), owed(&shares[other], parts[other]));
            if b.0 * a.1 > a.0 * b.1 {
                most = other;
            }
        }
        parts[most] += 1;
    }
    parts[place]
}

/// Something that a rule asks for.
struct Asked {
    customer: usize,
    share: Share,
    rule: u8,
    event: Conversion,
    currency: Currency,
    amounts: Vec<i64>,
    volume: Option<i64>,
}

impl Asked {
    fn rule(&self) -> &Rule {
        &self.share.terms.rules[usize::from(self.rule)]
    }

    /// None: nothing is limited.
    fn counted_with(&self) -> Option<(PartnerId, ProgramId, u8, bool)> {
        let rule = self.rule();
        let over_customers = !rule.tiers.is_empty() || rule.partner_cap != Cap::default();
        let limited = over_customers || rule.customer_cap != Cap::default();
        limited.then_some((self.share.click.partner, self.share.click.program, self.rule, over_customers))
    }

    fn key(&self) -> CommissionKey {
        CommissionKey { conversion: self.event.id, click: self.share.click.id.clone(), rule: self.rule }
    }
}

/// When the first event of the type was that came before and was shared by the partner, and is not void.
fn first_before(world: &World, facts: &Facts, event: &Conversion, partner: PartnerId) -> Option<Timestamp> {
    let before = facts.conversions.iter().filter(|other| {
        other.kind == event.kind
            && (other.at, other.id) < (event.at, event.id)
            && !worth(facts, other).2
            && shares(world, facts, other)
                .is_some_and(|(_, shares)| shares.iter().any(|share| share.click.partner == partner))
    });
    before.map(|other| other.at).min()
}

fn asked(world: &World) -> Vec<Asked> {
    let mut all = BTreeMap::new();
    for (customer, (_, facts)) in world.customers.iter().enumerate() {
        for event in &facts.conversions {
            let (gross, net, void) = worth(facts, event);
            let Some((_, shares)) = shares(world, facts, event).filter(|_| !void) else { continue };
            for (place, share) in shares.iter().enumerate() {
                let first = first_before(world, facts, event, share.click.partner);
                for (number, rule) in (0..).zip(&share.terms.rules) {
                    if !applies(rule, event, first) {
                        continue;
                    }
                    let mut rewards = vec![rule.reward];
                    rewards.extend(rule.tiers.iter().map(|tier| tier.reward));
                    let amounts = rewards
                        .iter()
                        .map(|reward| part(total(*reward, gross, net), &shares, place))
                        .collect();
                    let in_tiers =
                        rule.tiers.first().is_some_and(|tier| tier.volume.currency() == event.currency);
                    let one = Asked {
                        customer,
                        share: share.clone(),
                        rule: number,
                        event: event.clone(),
                        currency: match rule.reward {
                            Reward::Fixed(fixed) => fixed.currency(),
                            Reward::Percent(_) => event.currency,
                        },
                        amounts,
                        volume: in_tiers.then(|| part(net.unwrap_or(0), &shares, place)),
                    };
                    all.insert((event.at, event.id, share.click.id.clone(), number), one);
                }
            }
        }
    }
    all.into_values().collect()
}

fn applies(rule: &Rule, event: &Conversion, first: Option<Timestamp>) -> bool {
    let triggered = match rule.trigger {
        Trigger::Every => true,
        Trigger::First => first.is_none(),
        Trigger::Subsequent => first.is_some(),
    };
    let ended = rule.months.zip(first).is_some_and(|(months, first)| {
        let end = first.to_zoned(TimeZone::UTC).checked_add(i64::from(months).months()).unwrap();
        event.at >= end.timestamp()
    });
    let tag = event.metadata.get("tag").and_then(serde_json::Value::as_i64);
    let meets = rule.conditions.iter().all(|condition| {
        let wanted: i64 = condition.value.parse().unwrap();
        tag.is_some_and(
            |tag| if condition.operator.name() == "equals" { tag == wanted } else { tag >= wanted },
        )
    });
    triggered && !ended && meets && rule.event_type.as_ref().is_none_or(|kind| **kind == *event.kind)
}

/// What is paid for each, in the order of the events.
fn payments(asked: &[Asked]) -> Vec<i64> {
    let mut paid: Vec<i64> = Vec::new();
    for (place, one) in asked.iter().enumerate() {
        let before = || {
            asked[..place].iter().zip(&paid).filter(|(other, _)| other.counted_with() == one.counted_with())
        };
        let month = |asked: &Asked| asked.event.at.to_zoned(TimeZone::UTC).date().first_of_month();
        let mut tier = 0;
        if one.volume.is_some() {
            let earlier =
                before().filter(|(other, _)| other.event.id != one.event.id && month(other) == month(one));
            let counted = earlier.filter(|(other, _)| other.event.currency == one.event.currency);
            let volume: i64 = counted.filter_map(|(other, _)| other.volume).sum();
            tier = one.rule().tiers.iter().filter(|tier| tier.volume.minor() <= volume).count();
        }
        let mut minor = one.amounts[tier];
        let partner = before().collect::<Vec<_>>();
        let customer: Vec<_> = before().filter(|(other, _)| other.customer == one.customer).collect();
        for (cap, those) in [(one.rule().partner_cap, partner), (one.rule().customer_cap, customer)] {
            let events: BTreeSet<_> =
                those.iter().filter(|(_, paid)| **paid > 0).map(|(other, _)| other.event.id).collect();
            if cap.count.is_some_and(|most| events.len() >= most as usize && !events.contains(&one.event.id))
            {
                minor = 0;
            }
            if let Some(most) = cap.amount {
                let same = those.iter().filter(|(other, _)| other.currency == one.currency);
                let left = most.minor() - same.map(|(_, paid)| **paid).sum::<i64>();
                minor = if most.currency() == one.currency { minor.min(left.max(0)) } else { 0 };
            }
        }
        paid.push(minor);
    }
    paid
}

/// All commissions of the world's customers.
pub(super) fn commissions(world: &World) -> Vec<BTreeMap<CommissionKey, Plain>> {
    let asked = asked(world);
    let mut all = vec![BTreeMap::new(); world.customers.len()];
    for (customer, (_, facts)) in world.customers.iter().enumerate() {
        for line in &facts.paid {
            let plain = Plain {
                currency: line.currency,
                due: 0,
                status: CommissionStatus::Paid,
                held: false,
                mature_at: None,
            };
            all[customer].insert(line.commission.clone(), plain);
        }
    }
    for (one, earned) in asked.iter().zip(payments(&asked)) {
        let (user, facts) = &world.customers[one.customer];
        let paid = all[one.customer].contains_key(&one.key());
        if earned > 0 || paid {
            all[one.customer].insert(one.key(), stands(one, user, facts, earned, paid));
        }
    }
    all
}

fn stands(one: &Asked, user: &str, facts: &Facts, earned: i64, paid: bool) -> Plain {
    let key = one.key();
    let last = |those: fn(&Verdict) -> Option<&CommissionKey>| {
        let about = facts.decisions.iter().filter(|decision| those(&decision.verdict) == Some(&key));
        about.max_by_key(|decision| (decision.at, decision.id)).map(|decision| &decision.verdict)
    };
    let verdict = last(|verdict| match verdict {
        Verdict::Approve(key) | Verdict::Mature(key) | Verdict::Reverse(key) => Some(key),
        _ => None,
    });
    let held = last(|verdict| match verdict {
        Verdict::Hold(key) | Verdict::Release(key) => Some(key),
        _ => None,
    });
    let status = match verdict {
        _ if paid => CommissionStatus::Paid,
        Some(Verdict::Reverse(_)) => CommissionStatus::Reversed,
        Some(_) => CommissionStatus::Approved,
        None => CommissionStatus::Accrued,
    };
    let reversed = matches!(verdict, Some(Verdict::Reverse(_)));
    let click = &one.share.click;
    let known = one.event.received_at.max(click.identified_at);
    let start = if known > one.event.at { known } else { one.event.at };
    Plain {
        currency: one.currency,
        due: if reversed { 0 } else { earned },
        status,
        held: held.map_or(suspicion(facts, one, user).is_some(), |held| matches!(held, Verdict::Hold(_))),
        mature_at: Some(start + SignedDuration::from_hours(24 * i64::from(one.share.terms.hold_days))),
    }
}

/// The third partner is of the company of `jo@shop.test`.
fn suspicion(facts: &Facts, one: &Asked, user: &str) -> Option<Suspicion> {
    if one.share.click.partner == partner(2) && user == "jo@shop.test" {
        return Some(Suspicion::SelfReferral);
    }
    let click = &one.share.click;
    if decided(facts, click).is_none() {
        if click.guarded && was_known(facts, click.partner) {
            return Some(Suspicion::KnownCustomer);
        }
        if click.suspicion.is_some() {
            return click.suspicion;
        }
    }
    let late_enough = one.event.at <= one.event.received_at + SignedDuration::from_mins(5);
    (!late_enough).then_some(Suspicion::EarlyEvent)
}

/// Whether the customer had an event more than five minutes before the partner's first click that counts.
fn was_known(facts: &Facts, partner: PartnerId) -> bool {
    let counts =
        |click: &&Click| facts.clicks.iter().all(|other| other.instead_of.as_ref() != Some(&click.id));
    let clicks = facts.clicks.iter().filter(counts).filter(|click| click.partner == partner);
    let clicked = clicks.map(|click| click.at).min();
    let sold = facts.conversions.iter().map(|event| event.at).min();
    clicked > sold.map(|at| at + SignedDuration::from_mins(5))
}
