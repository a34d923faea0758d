//! What a partner is paid: all that is owed and not paid, less what was paid and is not owed any more.

use std::collections::BTreeMap;

use model::PartnerId;

use super::{
    facts::CommissionKey,
    money::Currency,
    outcome::{Commission, CommissionStatus as Status, Position},
};

/// One payment to a partner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Payable {
    pub(crate) partner: PartnerId,
    pub(crate) currency: Currency,
    /// In minor units, above zero: the sum of the lines.
    pub(crate) minor: i64,
    /// What it takes for each commission; below zero what it takes back.
    pub(crate) lines: Vec<(CommissionKey, i64)>,
}

/// What a payout would take for a commission: nothing while it is not owed.
pub(crate) const fn open(position: Position) -> i64 {
    match position.status {
        Status::Approved | Status::Paid => position.due.saturating_sub(position.paid),
        Status::Accrued | Status::Reversed => 0,
    }
}

/// The payments that are due, by partner and currency. Where more is to be taken back than is owed, nothing is paid
/// and nothing taken: it waits for the next payout. What waits for a person is not paid, approved or not: it may have been
/// approved before the fact came that makes it odd. What is taken back is taken back all the same.
pub(crate) fn payable(commissions: &[Commission]) -> Vec<Payable> {
    let mut due: BTreeMap<(PartnerId, Currency), Vec<(CommissionKey, i64)>> = BTreeMap::new();
    for commission in commissions {
        let minor = open(commission.position);
        if minor > 0 && (!commission.held || broken!(HeldPaid))
            || minor < 0 && !broken!(PayoutTakesNothingBack)
        {
            let lines = due.entry((commission.partner, commission.currency)).or_default();
            lines.push((commission.key.clone(), minor));
        }
    }
    let payment = |((partner, currency), lines): ((PartnerId, Currency), Vec<(CommissionKey, i64)>)| {
        let minor = lines.iter().fold(0_i64, |sum, (_, minor)| sum.saturating_add(*minor));
        Payable { partner, currency, minor, lines }
    };
    due.into_iter().map(payment).filter(|payment| payment.minor > 0).collect()
}
