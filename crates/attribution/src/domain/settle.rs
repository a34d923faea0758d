//! Tiers and caps: what claims come to in the order of their events. The claims of one customer are settled by
//! themselves, but for rules that reach over customers: of those all claims of a partner are settled together, and
//! each claim comes to the same whoever settles it.

use std::collections::HashMap;

use jiff::{Timestamp, tz::TimeZone};
use model::{ConversionId, PartnerId, ProgramId};
use serde::{Deserialize, Serialize};

use super::{
    facts::{ClickId, CommissionKey},
    money::Currency,
    outcome::{Claim, Note, Payment},
    terms::{Cap, Rule},
};

/// What settling reads of a claim.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'c> {
    pub(crate) key: &'c CommissionKey,
    /// Of the event.
    pub(crate) at: Timestamp,
    pub(crate) partner: PartnerId,
    pub(crate) program: ProgramId,
    pub(crate) customer: &'c str,
    pub(crate) currency: Currency,
    pub(crate) amounts: &'c [i64],
    pub(crate) volume: Option<i64>,
    pub(crate) rule: &'c Rule,
}

/// The claims that are settled together, of the rules that reach over customers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Group {
    pub(crate) partner: PartnerId,
    pub(crate) program: ProgramId,
    pub(crate) rule: u8,
}

/// The place of a claim in the order in which those of its group are settled.
pub(crate) type Place = (Timestamp, ConversionId, ClickId);

impl Claim<'_> {
    /// What settling reads of it.
    pub(crate) fn asked(&self) -> Asked<'_> {
        Asked {
            key: &self.key,
            at: self.at,
            partner: self.partner,
            program: self.program,
            customer: &self.customer,
            currency: self.currency,
            amounts: &self.amounts,
            volume: self.volume,
            rule: self.rule,
        }
    }
}

impl<'c> Asked<'c> {
    pub(crate) const fn group(&self) -> Group {
        Group { partner: self.partner, program: self.program, rule: self.key.rule }
    }

    fn place(&self) -> (Timestamp, ConversionId, &'c ClickId) {
        (self.at, self.key.conversion, &self.key.click)
    }

    /// Whether what is paid for it depends on others, and for others on it.
    fn is_limited(&self) -> bool {
        self.rule.reaches_over_customers() || self.rule.customer_cap.is_set()
    }
}

/// What each claim comes to, in the order they were given in. They must be all claims of the partners, programs and
/// rules among them, or of one customer if no rule reaches over customers.
pub(crate) fn settle(claims: &[Claim<'_>]) -> Vec<Payment> {
    let mut payments: Vec<Payment> =
        claims.iter().map(|claim| Payment { minor: claim.amounts[0], note: Note::Full }).collect();
    let asked = claims.iter().map(Claim::asked).enumerate();
    let mut order: Vec<(usize, Asked<'_>)> = asked.filter(|(_, asked)| asked.is_limited()).collect();
    let group = |asked: &Asked<'_>| (asked.group(), asked.rule.reaches_over_customers());
    order.sort_unstable_by(|(_, a), (_, b)| (group(a), a.place()).cmp(&(group(b), b.place())));
    for group in order.chunk_by(|(_, a), (_, b)| group(a) == group(b)) {
        let mut tally = Tally::default();
        let mut customers = HashMap::new();
        for (place, asked) in group {
            payments[*place] = tally.settle(asked, &mut customers);
        }
    }
    payments
}

/// What claims of rules that reach over customers come to.
pub(crate) type Reaching = HashMap<CommissionKey, Payment>;

/// Settles, of all these claims, those of rules that reach over customers. They must be all claims of the partners,
/// programs and rules among them.
pub(crate) fn settle_reaching<'c, 'a: 'c>(claims: impl Iterator<Item = &'c Claim<'a>>) -> Reaching {
    let claims: Vec<Claim<'a>> =
        claims.filter(|claim| claim.rule.reaches_over_customers()).cloned().collect();
    let payments = settle(&claims);
    claims.into_iter().map(|claim| claim.key).zip(payments).collect()
}

/// What the claims of one customer come to, where those of rules that reach over customers are settled already.
pub(crate) fn settle_within(claims: &[Claim<'_>], reaching: &Reaching) -> Vec<Payment> {
    let settled = claims.iter().zip(settle(claims));
    settled.map(|(claim, own)| reaching.get(&claim.key).copied().unwrap_or(own)).collect()
}

/// What a claim of a rule that reaches over customers came to, and all that is needed to go on after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) payment: Payment,
    /// What the rule paid the partner so far.
    pub(crate) tally: Tally,
    /// What it paid for the claim's customer so far.
    pub(crate) customer: Paid,
}

/// Goes on settling a group of claims after one that was settled before: `tally` is what it left, `customers` what
/// was paid until there for those who come now. The claims are all that come after it, in their order.
pub(crate) fn settle_on<'c>(
    mut tally: Tally,
    customers: HashMap<&'c str, Paid>,
    claims: impl Iterator<Item = Asked<'c>>,
) -> Vec<Settled> {
    let mut customers = customers;
    let one = |asked: Asked<'c>| {
        let payment = tally.settle(&asked, &mut customers);
        let customer = customers.get(asked.customer).cloned().unwrap_or_default();
        Settled { payment, tally: tally.clone(), customer }
    };
    claims.map(one).collect()
}

/// What one rule paid one partner so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    all: Paid,
    volume: Volume,
}

/// What was paid under a cap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Paid {
    amounts: Sums,
    events: u32,
    last: Option<ConversionId>,
}

/// The volume of a calendar month in each currency, without the event that is being settled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Volume {
    month: (i16, i8),
    before: Sums,
    event: Option<ConversionId>,
    pending: Sums,
}

/// Minor units by currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Sums(Vec<(Currency, i64)>);

impl Sums {
    fn get(&self, currency: Currency) -> i64 {
        self.0.iter().find(|(known, _)| *known == currency).map_or(0, |(_, sum)| *sum)
    }

    fn add(&mut self, currency: Currency, minor: i64) {
        match self.0.iter_mut().find(|(known, _)| *known == currency) {
            Some((_, sum)) => *sum = sum.saturating_add(minor),
            None => self.0.push((currency, minor)),
        }
    }
}

impl Tally {
    fn settle<'c>(&mut self, asked: &Asked<'c>, customers: &mut HashMap<&'c str, Paid>) -> Payment {
        let minor = asked.amounts[self.volume.tier(asked)];
        let (rule, event, currency) = (asked.rule, asked.key.conversion, asked.currency);
        let customer =
            customers.entry(if broken!(CustomersShareCap) { "" } else { asked.customer }).or_default();
        let allowed = self.all.allows(&rule.partner_cap, event, currency, minor);
        let allowed = allowed.and_then(|minor| customer.allows(&rule.customer_cap, event, currency, minor));
        let Some(paid) = allowed else { return Payment { minor: 0, note: Note::CapCurrency } };
        if paid > 0 {
            self.all.add(event, currency, paid);
            customer.add(event, currency, paid);
        }
        Payment { minor: paid, note: if paid < minor { Note::Capped } else { Note::Full } }
    }
}

impl Paid {
    /// How much of the amount a cap leaves; none where it is in another currency.
    fn allows(&self, cap: &Cap, event: ConversionId, currency: Currency, minor: i64) -> Option<i64> {
        if cap.count.is_some_and(|most| self.events >= most && self.last != Some(event)) {
            return Some(0);
        }
        let Some(most) = cap.amount else { return Some(minor) };
        let left = (most.minor() - self.amounts.get(currency)).max(0);
        if broken!(CapOvershot) && left > 0 {
            return Some(minor);
        }
        (most.currency() == currency || broken!(ForeignCapIgnored)).then(|| minor.min(left))
    }

    fn add(&mut self, event: ConversionId, currency: Currency, minor: i64) {
        self.amounts.add(currency, minor);
        if self.last != Some(event) || broken!(CountOfClicks) {
            self.events = self.events.saturating_add(1);
            self.last = Some(event);
        }
    }
}

impl Volume {
    /// Which of the claim's amounts holds, by the volume of the month's earlier events; counts the claim's own.
    fn tier(&mut self, claim: &Asked<'_>) -> usize {
        let (Some(volume), Some(tier)) = (claim.volume, claim.rule.tiers.first()) else { return 0 };
        let currency = tier.volume.currency();
        let date = claim.at.to_zoned(TimeZone::UTC).date();
        if self.month != (date.year(), date.month()) && !broken!(VolumeForEver) {
            *self = Self { month: (date.year(), date.month()), ..Self::default() };
        }
        if broken!(TierCountsOwn) {
            self.before.add(currency, volume);
        } else if self.event != Some(claim.key.conversion) {
            self.event = Some(claim.key.conversion);
            for (currency, minor) in std::mem::take(&mut self.pending.0) {
                self.before.add(currency, minor);
            }
        }
        self.pending.add(currency, volume);
        let before = self.before.get(currency);
        claim.rule.tiers.iter().take_while(|tier| tier.volume.minor() <= before).count()
    }
}
