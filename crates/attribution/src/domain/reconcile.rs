//! From the commissions that stand to those that were derived.

use std::cmp::Ordering;

use super::{
    facts::CommissionKey,
    ledger::{Entry, entries},
    outcome::{Commission, CommissionReason, CommissionStatus, Position},
};

/// A commission that changed, and what the ledger says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// None: it is new.
    pub(crate) before: Option<Position>,
    pub(crate) after: Commission,
    /// May be none: a hold moves no money.
    pub(crate) entries: Vec<Entry>,
}

/// What has to be written, so that what stands is what was derived. Both are sorted by key. A commission that stood
/// and is not derived any more is reversed, for the reason that is asked for it.
pub(crate) fn steps(
    standing: &[Commission],
    derived: &[Commission],
    why_gone: impl Fn(&CommissionKey) -> CommissionReason,
) -> Vec<Step> {
    let mut steps = Vec::new();
    let (mut standing, mut derived) = (standing.iter().peekable(), derived.iter().peekable());
    loop {
        let order = match (standing.peek(), derived.peek()) {
            (None, None) => return steps,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(stands), Some(is)) => stands.key.cmp(&is.key),
        };
        let before = if order.is_le() { standing.next() } else { None };
        let after = if order.is_ge() { derived.next() } else { None };
        match (before, after) {
            (Some(before), None) => steps.extend(gone(before, &why_gone)),
            (before, Some(after)) if before != Some(after) => steps.push(step(before, after.clone())),
            _ => {}
        }
    }
}

fn step(before: Option<&Commission>, after: Commission) -> Step {
    let before = before.map(|before| before.position);
    Step { before, entries: entries(before, after.position), after }
}

fn gone(before: &Commission, why: impl Fn(&CommissionKey) -> CommissionReason) -> Option<Step> {
    let position = Position { status: CommissionStatus::Reversed, due: 0, paid: 0 };
    let reason = why(&before.key);
    let after = Commission { position, reason, held: false, suspicion: None, payout: None, ..before.clone() };
    let stood = before.position.status != CommissionStatus::Reversed && !broken!(GoneKeepsMoney);
    stood.then(|| step(Some(before), after))
}
