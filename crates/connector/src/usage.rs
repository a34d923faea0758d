//! What a connection used: counted in memory, stored per minute by the runtime.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;

/// What was used in one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) calls: i64,
    pub(crate) failed: i64,
    pub(crate) rate_limited: i64,
    pub(crate) records_read: i64,
    pub(crate) records_written: i64,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallOutcome {
    Ok,
    Failed,
    RateLimited,
}

/// The counters of one connection that are not stored yet: by minute and class.
#[derive(Debug, Default)]
pub(crate) struct Usage(Mutex<BTreeMap<(i64, &'static str), Used>>);

/// The class under which records are counted.
const RECORDS: &str = "records";

impl Usage {
    pub(crate) fn call(&self, now: Timestamp, class: &'static str, outcome: CallOutcome) {
        self.change(now, class, |used| {
            used.calls += 1;
            used.failed += i64::from(outcome == CallOutcome::Failed);
            used.rate_limited += i64::from(outcome == CallOutcome::RateLimited);
        });
    }

    pub(crate) fn read(&self, now: Timestamp, records: usize) {
        self.change(now, RECORDS, |used| used.records_read += i64::try_from(records).unwrap_or(i64::MAX));
    }

    pub(crate) fn written(&self, now: Timestamp, records: usize) {
        self.change(now, RECORDS, |used| used.records_written += i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// Everything counted since the last call of this.
    pub(crate) fn take(&self) -> Vec<(Timestamp, &'static str, Used)> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let minute = |minute: i64| Timestamp::from_second(minute * 60).unwrap_or(Timestamp::UNIX_EPOCH);
        taken.into_iter().map(|((at, class), used)| (minute(at), class, used)).collect()
    }

    /// The calls since this moment that are not stored yet.
    pub(crate) fn pending_calls(&self, since: Timestamp) -> u64 {
        let since = since.as_second().div_euclid(60);
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = counters.iter().filter(|((minute, _), _)| *minute >= since);
        recent.map(|(_, used)| used.calls.unsigned_abs()).sum()
    }

    /// Counts again what could not be stored.
    pub(crate) fn put_back(&self, taken: Vec<(Timestamp, &'static str, Used)>) {
        for (minute, class, more) in taken {
            self.change(minute, class, |used| {
                used.calls += more.calls;
                used.failed += more.failed;
                used.rate_limited += more.rate_limited;
                used.records_read += more.records_read;
                used.records_written += more.records_written;
            });
        }
    }

    fn change(&self, now: Timestamp, class: &'static str, change: impl FnOnce(&mut Used)) {
        let minute = now.as_second().div_euclid(60);
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        change(counters.entry((minute, class)).or_default());
    }
}
