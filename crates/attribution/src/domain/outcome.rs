//! What the facts come to: per event its attribution, and what each rule pays for it.

use std::sync::Arc;

use jiff::Timestamp;
use model::{ConversionId, PartnerId, PayoutId, ProgramId};

use super::{
    facts::{ClickId, CommissionKey},
    money::Currency,
    terms::{Model, Rule},
};

named! {
    /// What an event came to, as callers are told.
    Status {
        /// To one or more clicks.
        Attributed = "attributed",
        /// No click is tied to the user.
        NoIdentity = "no_identity",
        /// Clicks are tied to the user, but none that may earn.
        NoClick = "no_click",
        /// The clicks that may earn are outside of their window.
        OutsideWindow = "outside_window",
    }
}

named! {
    /// Why an event is attributed to nobody, or to a click not, for those who look into it.
    Reason {
        /// No click is tied to the user.
        NoIdentity = "no_identity",
        /// The click is flagged as fraud.
        ClickFlagged = "click_flagged",
        /// The partner was revoked when the event happened.
        PartnerRevoked = "partner_revoked",
        /// The program had no terms yet when the event happened, or the partner or the program is not known.
        NoTerms = "no_terms",
        /// The click came more than five minutes after the event.
        ClickLater = "click_later",
        /// The click came too long before the event.
        ClickTooOld = "click_too_old",
    }
}

/// A share, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) numerator: i64,
    /// The same for all touches of an event, whose numerators sum to it.
    pub(crate) denominator: i64,
}

/// The share of one click in an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) click: ClickId,
    pub(crate) partner: PartnerId,
    pub(crate) program: ProgramId,
    /// Of the terms that the click is paid by.
    pub(crate) terms_version: u32,
    pub(crate) weight: Weight,
}

/// What an event is attributed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Attribution {
    /// By this model to these clicks, in the order of the clicks; their weights sum to one.
    To { model: Model, touches: Vec<Touch> },
    /// To nobody.
    Nobody(Reason),
}

/// What an event came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) conversion: ConversionId,
    pub(crate) attribution: Attribution,
    /// After corrections, in minor units; none where no value was given.
    pub(crate) value: Option<i64>,
    /// A void event, or one all of whose value was given back, keeps its attribution and pays nothing.
    pub(crate) is_void: bool,
    /// It says that it happened more than five minutes after it was received.
    pub(crate) is_early: bool,
}

named! {
    /// Why a rule pays what it pays, or nothing.
    Note {
        /// All that the rule asks for.
        Full = "full",
        /// Less or nothing: a cap is reached.
        Capped = "capped",
        /// Nothing: the cap is in another currency than the payment.
        CapCurrency = "cap_currency",
    }
}

/// What a rule asks for a click, before tiers and caps. It holds all that settling needs, so that those of one rule
/// and partner can be kept and settled together over many customers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Claim<'a> {
    pub(crate) key: CommissionKey,
    /// Of the event.
    pub(crate) at: Timestamp,
    pub(crate) partner: PartnerId,
    pub(crate) program: ProgramId,
    pub(crate) terms_version: u32,
    /// By which the customer is known here: [`super::facts::user_key`].
    pub(crate) customer: Arc<str>,
    /// Of what is paid.
    pub(crate) currency: Currency,
    /// What the rule pays at its own reward, and at that of each tier.
    pub(crate) amounts: Vec<i64>,
    /// The click's part of the event's value; none where no tiers count it or they are in another currency.
    pub(crate) volume: Option<i64>,
    /// The rule's terms.
    pub(crate) rule: &'a Rule,
    pub(crate) accrued_at: Timestamp,
    pub(crate) mature_at: Timestamp,
    /// Something is odd, so that a person has to release it first.
    pub(crate) suspicion: Option<Suspicion>,
}

named! {
    /// Why a commission waits for a person without anybody having said so.
    Suspicion {
        /// The event says that it happened more than five minutes after it was received.
        EarlyEvent = "early_event",
        /// The customer's e-mail address is the partner's, or of its domain.
        SelfReferral = "self_referral",
        /// The click was tied, without a signature, to somebody who was a customer before the partner brought a click.
        KnownCustomer = "known_customer",
        /// The same person is known under another user id.
        DuplicateCustomer = "duplicate_customer",
        /// The click is that of too many users.
        UsersPerClick = "users_per_click",
        /// Too many users come from one address.
        IdentifiesPerAddress = "identifies_per_address",
    }
}

/// What a claim came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payment {
    pub(crate) minor: i64,
    pub(crate) note: Note,
}

named! {
    /// Where a commission stands.
    CommissionStatus {
        /// Earned, and not owed yet.
        Accrued = "accrued",
        /// Owed.
        Approved = "approved",
        /// A payout took it.
        Paid = "paid",
        /// Not earned after all, or refused.
        Reversed = "reversed",
    }
}

named! {
    /// Why a commission stands where it stands.
    CommissionReason {
        /// The event was attributed and a rule pays.
        Attributed = "attributed",
        /// A person approved it.
        ApprovedByHand = "approved_by_hand",
        /// Its hold period is over.
        ApprovedAtMaturity = "approved_at_maturity",
        /// A payout took it.
        PaidOut = "paid_out",
        /// It was paid, and some or all of it is taken back from the next payout.
        ClawedBack = "clawed_back",
        /// A person reversed it.
        ReversedByHand = "reversed_by_hand",
        /// The event is void, or all of its value was given back.
        EventVoid = "event_void",
        /// Its click is flagged as fraud.
        ClickFlagged = "click_flagged",
        /// A cap of its rule is used up by earlier events.
        Capped = "capped",
        /// The event is attributed otherwise now, or the rule does not apply any more.
        Replaced = "replaced",
    }
}

/// A commission, as the facts have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commission {
    pub(crate) key: CommissionKey,
    pub(crate) partner: PartnerId,
    pub(crate) currency: Currency,
    pub(crate) position: Position,
    pub(crate) reason: CommissionReason,
    /// It waits for a person, and does not mature.
    pub(crate) held: bool,
    /// Why, where nobody said so.
    pub(crate) suspicion: Option<Suspicion>,
    /// The last payout that took it.
    pub(crate) payout: Option<PayoutId>,
}

/// Where the money of a commission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) status: CommissionStatus,
    /// What it is worth now, in minor units: zero when it is reversed.
    pub(crate) due: i64,
    /// What payouts took for it.
    pub(crate) paid: i64,
}
