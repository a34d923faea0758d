//! What happened and never changes. Everything else is derived from it, in any order of arrival and with any
//! repetition.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use model::{ConversionId, PartnerId, PayoutId, ProgramId};
use uuid::Uuid;

use super::{
    money::{Currency, Money},
    outcome::Suspicion,
};

/// The id of a click, as whoever recorded it chose it.
pub(crate) type ClickId = Arc<str>;

/// All facts of one customer: of one organization and one [`user_key`]. In any order; repetitions change nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) clicks: Vec<Click>,
    pub(crate) conversions: Vec<Conversion>,
    pub(crate) corrections: Vec<Correction>,
    pub(crate) decisions: Vec<Decision>,
    pub(crate) paid: Vec<PayoutLine>,
}

/// A click that an identify ties to this customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Click {
    pub(crate) id: ClickId,
    pub(crate) partner: PartnerId,
    pub(crate) program: ProgramId,
    pub(crate) at: Timestamp,
    /// When it was tied to this customer first; of several, the earliest counts.
    pub(crate) identified_at: Timestamp,
    /// Whoever recorded it says that it is fraud. Decisions may say otherwise later.
    pub(crate) flagged: bool,
    /// What was odd when it was tied to this customer.
    pub(crate) suspicion: Option<Suspicion>,
    /// It waits for a person if the user was a customer before the partner's first click: nobody vouched for it.
    pub(crate) guarded: bool,
    /// The click of the same partner and day that counted before this one, which is earlier.
    pub(crate) instead_of: Option<ClickId>,
}

/// A conversion event: something that may earn commission.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conversion {
    pub(crate) id: ConversionId,
    /// Any text, compared exactly.
    pub(crate) kind: Arc<str>,
    /// In minor units. None where no amount was given: fixed rules pay for it, percentages do not.
    pub(crate) value: Option<i64>,
    /// Of the value, and of what a percentage of it pays.
    pub(crate) currency: Currency,
    /// An object, or null where there is none, or where it tells of no vendor's record and no rule of the organization reads it.
    pub(crate) metadata: serde_json::Value,
    /// When it happened.
    pub(crate) at: Timestamp,
    pub(crate) received_at: Timestamp,
}

/// Something that was said of an event after it was recorded. They count in the order of `(at, id)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    pub(crate) id: Uuid,
    pub(crate) conversion: ConversionId,
    pub(crate) at: Timestamp,
    pub(crate) change: Change,
}

/// What a correction says. Amounts are in minor units of the event's currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The value is this, whatever was given back before.
    Value(Money),
    /// The deal is not won: it pays nothing, and does not count as a first.
    Void,
    /// The deal is won again.
    Restore,
    /// So much was given back; refunds add up.
    Refund(Money),
}

/// What a person or a job decided. Of several about the same thing the last counts, by `(at, id)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) id: Uuid,
    pub(crate) at: Timestamp,
    pub(crate) verdict: Verdict,
}

/// What was decided, and about what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The click is fraud: nothing is attributed to it, before and after.
    FlagClick(ClickId),
    /// It is not.
    ClearClick(ClickId),
    /// The commission is owed, whatever its amount will be.
    Approve(CommissionKey),
    /// The commission was approved because its hold period is over.
    Mature(CommissionKey),
    /// The commission is not paid.
    Reverse(CommissionKey),
    /// The commission waits for a person.
    Hold(CommissionKey),
    /// It does not.
    Release(CommissionKey),
}

impl Correction {
    /// The same, later than those of the same event and millisecond: of those the one that came later counts later.
    pub(crate) fn after(self, known: &[Self]) -> Self {
        let end = self.at.checked_add(SignedDuration::from_millis(1)).unwrap_or(self.at);
        let same = known.iter().filter(|one| one.conversion == self.conversion && one.at < end);
        let last = same.map(|one| (one.at, one.id)).max().filter(|last| *last > (self.at, self.id));
        let at = last.map_or(self.at, |(at, _)| later(at));
        Self { at, ..self }
    }
}

impl Decision {
    /// The same, later than all that are known about the same thing: who decides has seen them, whatever clocks say.
    pub(crate) fn after(self, known: &[Self]) -> Self {
        let same = known.iter().filter(|one| one.verdict.is_about_the_same_as(&self.verdict));
        let last = same.map(|one| (one.at, one.id)).max().filter(|last| *last > (self.at, self.id));
        let at = last.map_or(self.at, |(at, _)| later(at));
        Self { at, ..self }
    }
}

/// By what the database can tell apart.
fn later(at: Timestamp) -> Timestamp {
    at.checked_add(SignedDuration::from_micros(1)).unwrap_or(at)
}

impl Verdict {
    fn is_about_the_same_as(&self, other: &Self) -> bool {
        match (self.commission(), other.commission()) {
            (Some(own), Some(other)) => own == other,
            (None, None) => self.click() == other.click(),
            (Some(_), None) | (None, Some(_)) => false,
        }
    }

    /// The commission that it is about; none of a click.
    pub(crate) const fn commission(&self) -> Option<&CommissionKey> {
        match self {
            Self::Approve(key)
            | Self::Mature(key)
            | Self::Reverse(key)
            | Self::Hold(key)
            | Self::Release(key) => Some(key),
            Self::FlagClick(_) | Self::ClearClick(_) => None,
        }
    }

    pub(crate) const fn click(&self) -> Option<&ClickId> {
        match self {
            Self::FlagClick(click) | Self::ClearClick(click) => Some(click),
            _ => None,
        }
    }
}

/// What one rule pays for one click in one event. A commission that is replaced and comes back is the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct CommissionKey {
    pub(crate) conversion: ConversionId,
    pub(crate) click: ClickId,
    /// The place of the rule in the terms, from 0.
    pub(crate) rule: u8,
}

/// What a payout, pending or paid, took for a commission; below zero where it took something back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PayoutLine {
    pub(crate) payout: PayoutId,
    pub(crate) commission: CommissionKey,
    pub(crate) partner: PartnerId,
    pub(crate) minor: i64,
    pub(crate) currency: Currency,
}

/// The form of a user id that customers are compared in: an e-mail address in small letters, anything else as it is.
pub(crate) fn user_key(user_id: &str) -> String {
    if is_email(user_id) {
        user_id.chars().flat_map(char::to_lowercase).collect()
    } else {
        user_id.to_owned()
    }
}

/// Something, one `@`, and a domain with a dot, without spaces.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let dotted = domain.split_once('.').is_some_and(|(host, rest)| !host.is_empty() && !rest.is_empty());
    !local.is_empty() && dotted && !domain.contains('@') && !text.contains(char::is_whitespace)
}
