//! What the writers are asked to do, and what they answer.

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::{
    Error,
    domain::{
        facts::{Click, CommissionKey, Decision, Verdict},
        outcome::CommissionStatus,
    },
    store::{
        facts::{Customer, NewCorrection, NewDecision, NewEvent, Stitch},
        standing::CommissionRow,
    },
};

/// A new fact of some customers.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    /// At least one; nearly always exactly one.
    pub(crate) customers: Vec<Customer>,
    pub(crate) fact: Fact,
}

/// What is new.
#[derive(Clone, Debug)]
pub(crate) enum Fact {
    /// A conversion event; it is answered with its first [`proto::attribution::RecordedEvent`].
    Event(Box<NewEvent>),
    /// A click is the customer's.
    Identify(Box<Click>, Box<Stitch>),
    /// An event is not worth what it was.
    Correct(Box<NewCorrection>),
    /// A click is flagged or cleared.
    DecideClick(Box<NewDecision>),
    /// A commission is approved, reversed, held or released.
    DecideCommission(CommissionKey, Box<NewDecision>),
    /// Nothing: something else changed that the customer is derived by.
    Nothing,
}

/// What came of a job.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The encoded first answer of the event.
    Event(Vec<u8>),
    /// Whether it was new, and how many earlier events are attributed by it.
    Identified { first: bool, backfilled: u32 },
    /// Whether it was new.
    Corrected(bool),
    /// How the commission stands now, or why not.
    Decided(Result<Box<CommissionRow>, NotDecided>),
    /// How many events are attributed otherwise.
    Changed(u32),
}

/// Why a commission is not decided so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NotDecided {
    pub(crate) code: &'static str,
    pub(crate) message: &'static str,
    pub(crate) mature_at: Option<Timestamp>,
    pub(crate) hold_days: u16,
}

impl NotDecided {
    const fn new(code: &'static str, message: &'static str) -> Self {
        Self { code, message, mature_at: None, hold_days: 0 }
    }

    /// There is no such commission.
    pub(crate) const fn missing() -> Self {
        Self::new("not_found", "There is no such commission.")
    }
}

/// A job with who waits for its answer.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) job: Job,
    pub(crate) reply: oneshot::Sender<Result<Answer, Error>>,
}

impl Job {
    /// An event is recorded.
    pub(crate) fn of(event: NewEvent) -> Self {
        Self { customers: vec![event.customer.clone()], fact: Fact::Event(Box::new(event)) }
    }

    /// Whether it depends on how things stand, so that two of them about one customer are one after the other.
    pub(crate) const fn is_conditional(&self) -> bool {
        matches!(self.fact, Fact::DecideCommission(..) | Fact::Identify(..))
    }
}

/// Whether a commission that stands so may be decided so.
pub(crate) fn may(
    decision: &Decision,
    row: &CommissionRow,
    in_transfer: bool,
    now: Timestamp,
) -> Result<(), NotDecided> {
    let status = row.is.position.status;
    let accrued = status == CommissionStatus::Accrued;
    match decision.verdict {
        Verdict::Approve(_) | Verdict::Mature(_) if !accrued => {
            Err(NotDecided::new("not_approvable", "must be in accrued state"))
        }
        Verdict::Approve(_) | Verdict::Mature(_) if row.is.held => {
            Err(NotDecided::new("commission_held", "It is held back: release it first."))
        }
        Verdict::Approve(_) | Verdict::Mature(_) if now < row.mature_at => Err(NotDecided {
            mature_at: Some(row.mature_at),
            hold_days: row.hold_days,
            ..NotDecided::new("holdback_active", "Its hold period is not over.")
        }),
        Verdict::Reverse(_) if in_transfer => {
            Err(NotDecided::new("commission_in_transfer", "A payout that is under way has it."))
        }
        Verdict::Reverse(_) if status == CommissionStatus::Reversed || row.is.position.due == 0 => {
            Err(NotDecided::new("not_reversible", "There is nothing left of it to reverse."))
        }
        Verdict::Hold(_) if !accrued || row.is.held => {
            Err(NotDecided::new("not_holdable", "Only an accrued commission that is not held can be held."))
        }
        Verdict::Release(_) if !row.is.held => Err(NotDecided::new("not_held", "It is not held.")),
        _ => Ok(()),
    }
}
