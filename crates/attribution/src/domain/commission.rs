//! Where a commission stands: what it is worth, what was decided about it and what payouts took for it.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use model::{PartnerId, PayoutId};
use uuid::Uuid;

use super::{
    derive::Derived,
    facts::{CommissionKey, Decision, Facts, PayoutLine, Verdict},
    money::Currency,
    outcome::{
        Claim, Commission, CommissionReason as Reason, CommissionStatus as Status, Note, Payment, Position,
        Suspicion,
    },
};

/// What was decided about a commission, each the last of its kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decided {
    verdict: Option<(When, Answer)>,
    held: Option<(When, bool)>,
}

type When = (Timestamp, Uuid);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Approved,
    Matured,
    Reversed,
}

impl Decided {
    fn take(&mut self, decision: &Decision) {
        let when = (decision.at, decision.id);
        let answer = match decision.verdict {
            Verdict::Approve(_) => Answer::Approved,
            Verdict::Mature(_) => Answer::Matured,
            Verdict::Reverse(_) => Answer::Reversed,
            Verdict::Hold(_) | Verdict::Release(_) => {
                let held = (when, matches!(decision.verdict, Verdict::Hold(_)));
                self.held = self.held.filter(|(known, _)| *known > when).or(Some(held));
                return;
            }
            Verdict::FlagClick(_) | Verdict::ClearClick(_) => return,
        };
        let newer = |known: When| if broken!(OlderDecisionWins) { known < when } else { known > when };
        self.verdict = self.verdict.filter(|(known, _)| newer(*known)).or(Some((when, answer)));
    }

    /// Of all decisions about commissions, by commission.
    pub(crate) fn by_commission(decisions: &[Decision]) -> HashMap<&CommissionKey, Self> {
        let mut by_commission: HashMap<&CommissionKey, Self> = HashMap::new();
        for decision in decisions {
            let (Verdict::Approve(key)
            | Verdict::Mature(key)
            | Verdict::Reverse(key)
            | Verdict::Hold(key)
            | Verdict::Release(key)) = &decision.verdict
            else {
                continue;
            };
            by_commission.entry(key).or_default().take(decision);
        }
        by_commission
    }

    /// Whether the commission waits for a person: one who held it, or anyone where something is odd.
    pub(crate) fn is_held(&self, suspicion: Option<Suspicion>) -> bool {
        self.held.map_or(suspicion.is_some() && !broken!(SuspicionIgnored), |(_, held)| held)
    }

    /// Where a commission that was worth this stands after it, where payouts took so much for it.
    pub(crate) fn position(&self, earned: i64, paid: Option<i64>) -> (Position, Reason) {
        let answer = self.verdict.map(|(_, answer)| answer);
        let reversed = answer == Some(Answer::Reversed) && !broken!(ReversalForgotten);
        let earned = earned.max(paid.filter(|_| broken!(PaidStaysDue)).unwrap_or(0));
        let due = if reversed { 0 } else { earned };
        let (status, reason) = match (paid, answer) {
            (Some(paid), _) => (Status::Paid, why_paid(due, paid)),
            (None, Some(Answer::Reversed)) => (Status::Reversed, Reason::ReversedByHand),
            (None, _) if due == 0 => (Status::Reversed, Reason::Capped),
            (None, Some(Answer::Approved)) => (Status::Approved, Reason::ApprovedByHand),
            (None, Some(Answer::Matured)) => (Status::Approved, Reason::ApprovedAtMaturity),
            (None, None) => (Status::Accrued, Reason::Attributed),
        };
        (Position { status, due, paid: paid.unwrap_or(0) }, reason)
    }
}

const fn why_paid(due: i64, paid: i64) -> Reason {
    if due < paid || due == 0 { Reason::ClawedBack } else { Reason::PaidOut }
}

impl Commission {
    /// How it stands when a payout takes so much for it.
    pub(crate) fn taken_by(&self, payout: PayoutId, minor: i64) -> Self {
        let Position { due, paid, .. } = self.position;
        let paid = paid.saturating_add(minor);
        Self {
            position: Position { status: Status::Paid, due, paid },
            reason: why_paid(due, paid),
            payout: self.payout.max(Some(payout)),
            ..self.clone()
        }
    }
}

/// What payouts took for a commission.
#[derive(Clone, Copy)]
struct Taken {
    partner: PartnerId,
    currency: Currency,
    minor: i64,
    payout: PayoutId,
}

/// By commission; a line that is repeated counts once.
fn taken(lines: &[PayoutLine]) -> BTreeMap<&CommissionKey, Taken> {
    let mut lines: Vec<&PayoutLine> = lines.iter().collect();
    lines.sort_unstable_by(|a, b| (&a.commission, a.payout).cmp(&(&b.commission, b.payout)));
    lines.dedup_by(|a, b| a.commission == b.commission && a.payout == b.payout && !broken!(LineTwice));
    let mut taken: BTreeMap<&CommissionKey, Taken> = BTreeMap::new();
    for line in lines {
        let (partner, currency) = (line.partner, line.currency);
        let nothing = Taken { partner, currency, minor: 0, payout: line.payout };
        let sum = taken.entry(&line.commission).or_insert(nothing);
        sum.minor = sum.minor.saturating_add(line.minor);
        sum.payout = line.payout;
    }
    taken
}

/// Every commission that the facts know of: those that are earned, and those that a payout took, decided or not.
/// `payments` are those of the claims, in their order. Sorted by key.
pub(crate) fn commissions(facts: &Facts, claims: &[Claim<'_>], payments: &[Payment]) -> Vec<Commission> {
    let decided = Decided::by_commission(&facts.decisions);
    let mut taken = taken(&facts.paid);
    let mut commissions = Vec::with_capacity(claims.len());
    for (claim, payment) in claims.iter().zip(payments) {
        let paid = taken.remove(&claim.key);
        if payment.minor == 0 && paid.is_none() {
            continue;
        }
        let decided = decided.get(&claim.key).copied().unwrap_or_default();
        let (position, reason) = decided.position(payment.minor, paid.map(|taken| taken.minor));
        commissions.push(Commission {
            key: claim.key.clone(),
            partner: claim.partner,
            currency: claim.currency,
            position,
            reason,
            held: decided.is_held(claim.suspicion),
            suspicion: claim.suspicion,
            payout: paid.map(|taken| taken.payout),
        });
    }
    commissions.extend(taken.into_iter().map(|(key, taken)| {
        let (position, reason) = Decided::default().position(0, Some(taken.minor));
        Commission {
            key: key.clone(),
            partner: taken.partner,
            currency: taken.currency,
            position,
            reason,
            held: false,
            suspicion: None,
            payout: Some(taken.payout),
        }
    }));
    commissions.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    commissions
}

impl Derived<'_> {
    /// Why a commission that stood is not earned any more.
    pub(crate) fn why_gone(&self, key: &CommissionKey, payments: &[Payment], flagged: bool) -> Reason {
        let outcome = self.outcomes.iter().find(|outcome| outcome.conversion == key.conversion);
        let shares = outcome.is_some_and(|outcome| {
            outcome.attribution.touches().iter().any(|touch| touch.click == key.click)
        });
        let claim = self.claims.iter().zip(payments).find(|(claim, _)| claim.key == *key);
        match claim {
            _ if flagged => Reason::ClickFlagged,
            Some((_, payment)) if payment.note != Note::Full => Reason::Capped,
            _ if shares && outcome.is_some_and(|outcome| outcome.is_void) => Reason::EventVoid,
            _ => Reason::Replaced,
        }
    }
}
