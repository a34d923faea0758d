//! Double entry: what leads from where a commission stood to where it stands, and what a payout does. An entry moves
//! an amount from one account to another, so that its postings sum to zero; nothing is ever edited.

use super::outcome::{CommissionStatus as Status, Position};

named! {
    /// An account of the ledger. The first two are the organization's, the others its partners'; there is one for
    /// each currency.
    Account {
        /// What commissions cost: below zero by all that was earned.
        CommissionExpense = "commission_expense",
        /// What was paid out.
        Cash = "cash",
        /// What is earned and not owed yet.
        Accrued = "accrued",
        /// What is owed; below zero where more was paid than was earned in the end.
        Payable = "payable",
    }
}

named! {
    /// What an entry is for.
    EntryKind {
        /// Earned: expense to accrued.
        Accrual = "accrual",
        /// Owed: accrued to payable.
        Approval = "approval",
        /// Not earned after all: back to expense.
        Reversal = "reversal",
        /// Worth more or less than before.
        Adjustment = "adjustment",
        /// Worth less than before, after it was paid: payable to expense.
        Clawback = "clawback",
        /// Paid: payable to cash.
        Payout = "payout",
    }
}

/// A change of an account's balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Posting {
    pub(crate) account: Account,
    /// In minor units of the entry's currency.
    pub(crate) minor: i64,
}

/// An entry of the ledger. Its partner and currency are those of the commission or payout it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) kind: EntryKind,
    /// They sum to zero.
    pub(crate) postings: [Posting; 2],
}

impl Entry {
    /// Moves an amount of minor units; one below zero moves it back.
    const fn new(kind: EntryKind, from: Account, to: Account, minor: i64) -> Self {
        let postings =
            [Posting { account: from, minor: minor.saturating_neg() }, Posting { account: to, minor }];
        Self { kind, postings }
    }
}

/// The entries that lead from where a commission stood, if it did, to where it stands. None where nothing changed.
/// That a payout took it is the payout's own entry.
pub(crate) fn entries(before: Option<Position>, after: Position) -> Vec<Entry> {
    use Account::{Accrued, CommissionExpense as Expense, Payable};
    let (had, due) = (before.map_or(0, |before| before.due), after.due);
    let was = before.map(|before| before.status).filter(|status| *status != Status::Reversed);
    let is = (after.status != Status::Reversed).then_some(after.status);
    let mut entries = Vec::new();
    let mut push = |kind, from, to, minor| {
        if minor != 0 {
            entries.push(Entry::new(kind, from, to, minor));
        }
    };
    match (was, is) {
        (None, None) => {}
        (None, Some(Status::Accrued)) => push(EntryKind::Accrual, Expense, Accrued, due),
        (None, Some(_)) => {
            push(EntryKind::Accrual, Expense, Accrued, due);
            push(EntryKind::Approval, Accrued, Payable, due);
        }
        (Some(status), None) => push(reversal(status), account(status), Expense, had),
        (Some(Status::Accrued), Some(Status::Accrued)) => {
            push(EntryKind::Adjustment, Expense, Accrued, due - had)
        }
        (Some(Status::Accrued), Some(_)) => {
            push(EntryKind::Adjustment, Expense, Accrued, due - had);
            push(EntryKind::Approval, Accrued, Payable, if broken!(ApprovalOfOld) { had } else { due });
        }
        (Some(_), Some(Status::Accrued)) => {
            push(EntryKind::Approval, Payable, Accrued, had);
            push(EntryKind::Adjustment, Expense, Accrued, due - had);
        }
        (Some(Status::Paid), Some(_)) if due < had && broken!(ClawbackForgotten) => {}
        (Some(Status::Paid), Some(_)) if due < had => push(EntryKind::Clawback, Payable, Expense, had - due),
        (Some(_), Some(_)) => push(EntryKind::Adjustment, Expense, Payable, due - had),
    }
    entries
}

const fn account(status: Status) -> Account {
    match status {
        Status::Accrued => Account::Accrued,
        Status::Approved | Status::Paid | Status::Reversed => Account::Payable,
    }
}

const fn reversal(status: Status) -> EntryKind {
    match status {
        Status::Paid => EntryKind::Clawback,
        Status::Accrued | Status::Approved | Status::Reversed => EntryKind::Reversal,
    }
}

/// The entry of a payout; of one that failed with `minor` below zero, which makes it owed again.
pub(crate) const fn payout(minor: i64) -> Entry {
    Entry::new(EntryKind::Payout, Account::Payable, Account::Cash, minor)
}

/// The balances of a commission's accounts in the order of [`Account`]: what all of its entries sum to, and the lines
/// of payouts that took it. This is what the ledger is checked against.
pub(crate) fn balances(position: Position) -> [(Account, i64); 4] {
    let Position { status, due, paid } = position;
    let accrued = if status == Status::Accrued { due } else { 0 };
    [
        (Account::CommissionExpense, due.saturating_neg()),
        (Account::Cash, paid),
        (Account::Accrued, accrued),
        (Account::Payable, due.saturating_sub(accrued).saturating_sub(paid)),
    ]
}
