//! Tiers and caps: what claims come to in the order of their events. The claims of one customer are settled by
//! themselves, but for rules that reach over customers: of those all claims of a partner are settled together, and
//! each claim comes to the same whoever settles it.

use std::{cmp::Ordering, collections::HashMap};

use jiff::tz::TimeZone;
use model::ConversionId;

use super::{
    facts::CommissionKey,
    money::Currency,
    outcome::{Claim, Note, Payment},
    terms::Cap,
};

/// What each claim comes to, in the order they were given in. They must be all claims of the partners, programs and
/// rules among them, or of one customer if no rule reaches over customers.
pub(crate) fn settle(claims: &[Claim<'_>]) -> Vec<Payment> {
    let mut payments: Vec<Payment> =
        claims.iter().map(|claim| Payment { minor: claim.amounts[0], note: Note::Full }).collect();
    let mut order: Vec<usize> = (0..claims.len()).filter(|place| is_limited(&claims[*place])).collect();
    order.sort_unstable_by(|a, b| in_order(&claims[*a], &claims[*b]));
    for group in order.chunk_by(|a, b| group(&claims[*a]) == group(&claims[*b])) {
        let mut book = Tally::default();
        for place in group {
            payments[*place] = book.settle(&claims[*place]);
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

/// Whether a claim's payment depends on others, and others' on it.
fn is_limited(claim: &Claim<'_>) -> bool {
    claim.rule.reaches_over_customers() || claim.rule.customer_cap.is_set()
}

fn group<'c>(claim: &'c Claim<'_>) -> impl Ord + use<'c> {
    (claim.partner, claim.program, claim.key.rule, claim.rule.reaches_over_customers())
}

fn in_order(a: &Claim<'_>, b: &Claim<'_>) -> Ordering {
    let of = |claim: &Claim<'_>| (claim.at, claim.key.conversion);
    group(a).cmp(&group(b)).then_with(|| of(a).cmp(&of(b))).then_with(|| a.key.click.cmp(&b.key.click))
}

/// What one rule paid one partner so far.
#[derive(Default)]
struct Tally<'c> {
    all: Paid,
    by_customer: HashMap<&'c str, Paid>,
    volume: Volume,
}

/// What was paid under a cap.
#[derive(Default)]
struct Paid {
    amounts: Sums,
    events: u32,
    last: Option<ConversionId>,
}

/// The volume of a calendar month in each currency, without the event that is being settled.
#[derive(Default)]
struct Volume {
    month: (i16, i8),
    before: Sums,
    event: Option<ConversionId>,
    pending: Sums,
}

/// Minor units by currency.
#[derive(Default)]
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

impl<'c> Tally<'c> {
    fn settle(&mut self, claim: &'c Claim<'_>) -> Payment {
        let asked = claim.amounts[self.volume.tier(claim)];
        let (rule, event, currency) = (claim.rule, claim.key.conversion, claim.currency);
        let customer = self
            .by_customer
            .entry(if broken!(CustomersShareCap) { "" } else { &claim.customer })
            .or_default();
        let allowed = self.all.allows(&rule.partner_cap, event, currency, asked);
        let allowed = allowed.and_then(|minor| customer.allows(&rule.customer_cap, event, currency, minor));
        let Some(minor) = allowed else { return Payment { minor: 0, note: Note::CapCurrency } };
        if minor > 0 {
            self.all.add(event, currency, minor);
            customer.add(event, currency, minor);
        }
        Payment { minor, note: if minor < asked { Note::Capped } else { Note::Full } }
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
    fn tier(&mut self, claim: &Claim<'_>) -> usize {
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
