//! Throttling, mailbox by mailbox: calls at once, calls in ten minutes, messages a minute, recipients a day.

use std::collections::{HashMap, VecDeque};

use super::errors::Failure;

/// Calls of one app to one mailbox at the same time.
const AT_ONCE: usize = 4;
const WINDOW_MS: i64 = 600_000;
const CALLS: usize = 10_000;
const MINUTE_MS: i64 = 60_000;
const MESSAGES_A_MINUTE: usize = 30;
const DAY_MS: i64 = 86_400_000;
const RECIPIENTS_A_DAY: usize = 10_000;

/// Calls and messages counted so far, by user.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    running: HashMap<usize, usize>,
    calls: HashMap<usize, VecDeque<i64>>,
    sent: HashMap<usize, VecDeque<(i64, usize)>>,
}

impl Limits {
    /// A call begins; too many at once are refused.
    pub(crate) fn enter(&mut self, person: usize, enforced: bool) -> Result<(), Failure> {
        let running = self.running.entry(person).or_default();
        if enforced && *running >= AT_ONCE {
            let message = "Application is over its MailboxConcurrency limit.";
            return Err(Failure::throttled("ApplicationThrottled", message, 1));
        }
        *running += 1;
        Ok(())
    }

    /// A call ended.
    pub(crate) fn leave(&mut self, person: usize) {
        if let Some(running) = self.running.get_mut(&person) {
            *running = running.saturating_sub(1);
        }
    }

    /// Counts a call. Refused ones count too.
    pub(crate) fn admit(&mut self, person: usize, now_ms: i64) -> Result<(), Failure> {
        let window = self.calls.entry(person).or_default();
        while window.front().is_some_and(|at| *at <= now_ms - WINDOW_MS) {
            window.pop_front();
        }
        window.push_back(now_ms);
        if window.len() <= CALLS {
            return Ok(());
        }
        window.pop_front();
        let wait_ms = window.front().map_or(0, |first| first + WINDOW_MS - now_ms);
        let message = "Too many requests; please retry later.";
        Err(Failure::throttled("TooManyRequests", message, wait_ms / 1_000 + 1))
    }

    /// Counts a message and its recipients.
    pub(crate) fn send(&mut self, person: usize, recipients: usize, now_ms: i64) -> Result<(), Failure> {
        let day = self.sent.entry(person).or_default();
        while day.front().is_some_and(|(at, _)| *at <= now_ms - DAY_MS) {
            day.pop_front();
        }
        let minute = day.iter().rev().take_while(|(at, _)| *at > now_ms - MINUTE_MS);
        let (count, first) = minute.fold((0, now_ms), |(count, _), (at, _)| (count + 1, *at));
        if count >= MESSAGES_A_MINUTE {
            let wait_s = (first + MINUTE_MS - now_ms) / 1_000 + 1;
            let message = "Application is over its limit of messages sent per minute.";
            return Err(Failure::throttled("ApplicationThrottled", message, wait_s));
        }
        let total: usize = day.iter().map(|(_, recipients)| recipients).sum();
        if total + recipients > RECIPIENTS_A_DAY {
            let wait_s = day.front().map_or(DAY_MS, |(at, _)| at + DAY_MS - now_ms) / 1_000 + 1;
            let message =
                "The message can't be submitted because its limit of recipients per day was exceeded.";
            return Err(Failure::throttled("ErrorExceededMessageLimit", message, wait_s));
        }
        day.push_back((now_ms, recipients));
        Ok(())
    }
}
