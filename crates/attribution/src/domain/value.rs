//! What an event is worth after its corrections.

use super::{
    facts::{Change, Conversion, Correction},
    money::{MAX_MINOR, proportion},
};

/// What is left of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Worth {
    /// Before refunds, in minor units; none where no value was given.
    gross: Option<i64>,
    refunded: i64,
    void: bool,
}

impl Worth {
    /// After these corrections of it, in the order in which they count. A repeated one counts once; one in another
    /// currency than the event's, which the room refuses, counts nothing.
    pub(crate) fn of(conversion: &Conversion, corrections: &[&Correction]) -> Self {
        let mut worth = Self { gross: conversion.value, refunded: 0, void: false };
        let mut last = None;
        for correction in corrections {
            if last == Some(correction.id) && !broken!(CorrectionTwice) {
                continue;
            }
            last = Some(correction.id);
            match correction.change {
                Change::Value(value) if value.currency() == conversion.currency => {
                    worth.gross = Some(value.minor());
                    if !broken!(ValueKeepsRefunds) {
                        worth.refunded = 0;
                    }
                }
                Change::Refund(amount) if amount.currency() == conversion.currency => {
                    worth.refunded = worth.refunded.saturating_add(amount.minor()).min(MAX_MINOR);
                }
                Change::Value(_) | Change::Refund(_) => {}
                Change::Void => worth.void = true,
                Change::Restore => worth.void = false,
            }
        }
        worth
    }

    /// After refunds, in minor units; none where no value was given.
    pub(crate) fn net(&self) -> Option<i64> {
        self.gross.map(|gross| (gross - self.refunded).max(0))
    }

    /// Whether it pays nothing and is no first: the deal is lost, or all of its value was given back.
    pub(crate) fn is_void(&self) -> bool {
        self.void || (self.refunded > 0 && (self.net() == Some(0) || broken!(RefundIsFull)))
    }

    /// A fixed amount, less the part of the value that was given back.
    pub(crate) fn remaining(&self, fixed: i64) -> i64 {
        match (self.gross, self.net()) {
            (Some(gross), Some(net)) if self.refunded > 0 && gross > 0 && !broken!(FixedKeepsRefund) => {
                proportion(fixed, net, gross)
            }
            _ => fixed,
        }
    }
}
