//! Rules that the mutation check breaks, one at a time, to see that the comparison with the plain model notices.

use std::cell::Cell;

macro_rules! mutants {
    ($($(#[doc = $doc:literal])+ $name:ident),+ $(,)?) => {
        /// A rule that can be broken.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Mutant { $($(#[doc = $doc])+ $name),+ }

        impl Mutant {
            /// All of them, each with what it does.
            pub(crate) const ALL: &[(Self, &str)] = &[$((Self::$name, concat!($($doc),+))),+];
        }
    };
}

mutants! {
    /// a flagged click earns
    FlagIgnored,
    /// of several flags the oldest counts
    OldestFlagWins,
    /// a revoked partner earns
    RevokedEarns,
    /// whoever is revoked now never earned
    RevokedBackwards,
    /// a click earns for ever
    WindowIgnored,
    /// a click that came later earns nothing, however little later
    NoSkew,
    /// a click that came later earns, however much later
    LaterClickEarns,
    /// the model is that of the first click
    ModelOfFirst,
    /// a model change is forgotten
    ModelChangeIgnored,
    /// terms of today pay for events of yesterday
    TermsOfToday,
    /// a partner is paid by the program's terms, although it has its own
    OwnTermsIgnored,
    /// a partner's own terms pay while the program has none
    OwnTermsOutlive,
    /// the remainder of a split is lost
    RemainderLost,
    /// of equal remainders the later gets more
    RemainderToLater,
    /// a percentage is rounded down
    RoundedDown,
    /// a void event counts as the first
    VoidCounts,
    /// the first of any partner is the first of all
    FirstOfAnyPartner,
    /// the first of any type is the first of all
    FirstOfAnyType,
    /// events count in the order in which they came
    OrderOfArrival,
    /// a rule pays for ever
    MonthsIgnored,
    /// conditions are not read
    ConditionsIgnored,
    /// corrections count in the order in which they came
    CorrectionsUnsorted,
    /// a correction counts as often as it came
    CorrectionTwice,
    /// a refund is taken for a full one
    RefundIsFull,
    /// a refund leaves a fixed amount as it was
    FixedKeepsRefund,
    /// a new value forgets no refund
    ValueKeepsRefunds,
    /// a fixed amount is paid in the event's currency
    FixedInEventCurrency,
    /// a volume counts its own event
    TierCountsOwn,
    /// the volume of a month counts in the next
    VolumeForEver,
    /// an event in another currency counts as volume
    ForeignVolume,
    /// a cap is the same for all customers
    CustomersShareCap,
    /// a cap of a count counts clicks
    CountOfClicks,
    /// a cap is ignored by the amount that goes over it
    CapOvershot,
    /// a cap in another currency limits nothing
    ForeignCapIgnored,
    /// of two decisions the older counts
    OlderDecisionWins,
    /// a reversal is undone by anything that was approved before
    ReversalForgotten,
    /// a payout's line counts as often as it came
    LineTwice,
    /// what was paid stays earned
    PaidStaysDue,
    /// an approval moves what was accrued before the correction
    ApprovalOfOld,
    /// a clawback is forgotten
    ClawbackForgotten,
    /// a commission that is gone leaves its money where it was
    GoneKeepsMoney,
    /// a suspicion holds nothing
    SuspicionIgnored,
    /// what was odd about a stitch is forgotten
    StitchTrusted,
    /// who was a customer before is taken for brought
    KnownCustomerTrusted,
    /// a click counts though an earlier one of the day took its place
    ReplacedClickEarns,
    /// a commission matures by the event's time, however late it came
    MaturesTooEarly,
    /// a payout takes nothing back
    PayoutTakesNothingBack,
    /// what waits for a person is paid
    HeldPaid,
}

thread_local! {
    static BROKEN: Cell<Option<Mutant>> = const { Cell::new(None) };
}

/// Whether this rule is broken on this thread.
pub(crate) fn is(mutant: Mutant) -> bool {
    BROKEN.get() == Some(mutant)
}

/// Breaks a rule on this thread, or none.
pub(crate) fn set(mutant: Option<Mutant>) {
    BROKEN.set(mutant);
}
