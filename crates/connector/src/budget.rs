//! The budget of a connection: how many calls of the vendor's API it may make in a window, and how many it made. From
//! the warning on history waits, so that what is left is there for live traffic; when all is spent everything waits,
//! and goes on by itself in the next window.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use model::BudgetLevel;

use crate::limiter::Priority;

/// How long the stored count of calls is believed: other processes make few.
const RECOUNT_S: i64 = 60;

/// What a connection may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Calls of a window.
    pub(crate) calls: u64,
    /// The window; the first began at the Unix epoch, so that days are those of UTC.
    pub(crate) window: Duration,
    /// From this share of the calls on people are told and history waits.
    pub(crate) warn_percent: u64,
}

impl Budget {
    fn length_s(&self) -> i64 {
        i64::try_from(self.window.as_secs()).unwrap_or(i64::MAX).max(1)
    }

    /// When the present window began.
    pub(crate) fn began(&self, now: Timestamp) -> Timestamp {
        let second = now.as_second();
        Timestamp::from_second(second - second.rem_euclid(self.length_s())).unwrap_or(now)
    }

    /// When the next window begins.
    pub(crate) fn turns(&self, now: Timestamp) -> Timestamp {
        self.began(now).checked_add(self.window).unwrap_or(Timestamp::MAX)
    }

    /// The calls from which on it warns.
    fn warns_at(&self) -> u64 {
        (self.calls.saturating_mul(self.warn_percent)).div_ceil(100).min(self.calls)
    }

    /// What so many calls mean.
    pub(crate) fn level(&self, used: u64) -> BudgetLevel {
        match used {
            used if used >= self.calls => BudgetLevel::Spent,
            used if used >= self.warns_at() => BudgetLevel::Warning,
            _ => BudgetLevel::Ok,
        }
    }

    /// How many calls it will have been at the end of the window, at so many in the last `sample`.
    pub(crate) fn forecast(&self, used: u64, recent: u64, sample: Duration, now: Timestamp) -> u64 {
        let left_s = self.turns(now).as_second().saturating_sub(now.as_second()).unsigned_abs();
        used.saturating_add(recent.saturating_mul(left_s) / sample.as_secs().max(1))
    }
}

/// Counts the calls of one connection against its budget.
#[derive(Debug, Default)]
pub(crate) struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    budget: Option<Budget>,
    /// When the window began in which `used` was counted.
    began: Timestamp,
    used: u64,
    /// When the stored count was read; none before that.
    counted_at: Option<Timestamp>,
}

/// Where a connection stands in its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) budget: Budget,
    pub(crate) used: u64,
}

impl Meter {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the budget was read at all.
    pub(crate) fn is_loaded(&self) -> bool {
        self.lock().counted_at.is_some()
    }

    /// Whether the stored count must be read: it never was, it is old, or the budget is another one.
    pub(crate) fn wants_count(&self, budget: Option<Budget>, now: Timestamp) -> bool {
        let state = self.lock();
        let old = |at: Timestamp| now.as_second() - at.as_second() >= RECOUNT_S;
        state.budget != budget || state.counted_at.is_none_or(|at| budget.is_some() && old(at))
    }

    /// Takes over a budget, and how many calls of its present window are known to all.
    pub(crate) fn load(&self, budget: Option<Budget>, known: u64, now: Timestamp) {
        let mut state = self.lock();
        let began = budget.map_or(now, |budget| budget.began(now));
        let counts_on =
            state.budget.map(|old| old.window) == budget.map(|new| new.window) && state.began == began;
        state.used = if counts_on { state.used.max(known) } else { known };
        (state.budget, state.began, state.counted_at) = (budget, began, Some(now));
    }

    /// Counts a call, or says how long to wait because there is none left for it.
    pub(crate) fn spend(&self, now: Timestamp, priority: Priority) -> Result<(), Duration> {
        let mut state = self.lock();
        state.turn(now);
        match state.wait(now, priority) {
            None => {
                state.used = state.used.saturating_add(1);
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }

    /// Counts a call that is made in any case.
    pub(crate) fn note(&self, now: Timestamp) {
        let mut state = self.lock();
        state.turn(now);
        state.used = state.used.saturating_add(1);
    }

    /// How long calls of this kind must wait, when they must.
    pub(crate) fn wait(&self, now: Timestamp, priority: Priority) -> Option<Duration> {
        let mut state = self.lock();
        state.turn(now);
        state.wait(now, priority)
    }

    /// Where the connection stands; none without a budget.
    pub(crate) fn standing(&self, now: Timestamp) -> Option<Standing> {
        let mut state = self.lock();
        state.turn(now);
        state.budget.map(|budget| Standing { budget, used: state.used })
    }
}

impl State {
    fn turn(&mut self, now: Timestamp) {
        let Some(budget) = self.budget else { return };
        let began = budget.began(now);
        // A clock that is set back opens no window anew.
        if began > self.began {
            (self.began, self.used) = (began, 0);
        }
    }

    fn wait(&self, now: Timestamp, priority: Priority) -> Option<Duration> {
        let budget = self.budget?;
        let allowed = match priority {
            Priority::Live => budget.calls,
            Priority::Backfill => budget.warns_at(),
        };
        let turns = budget.turns(now.max(self.began));
        (self.used >= allowed).then(|| Duration::try_from(turns.duration_since(now)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn budget(calls: u64, warn_percent: u64) -> Budget {
        Budget { calls, window: Duration::from_secs(60), warn_percent }
    }

    #[test]
    fn history_waits_from_the_warning_on_and_everything_at_the_cap_until_the_window_turns() {
        let meter = Meter::default();
        meter.load(Some(budget(5, 60)), 0, at(600));
        for _ in 0..3 {
            assert_eq!(meter.spend(at(610), Priority::Backfill), Ok(()));
        }
        assert_eq!(meter.spend(at(611), Priority::Backfill), Err(Duration::from_secs(49)));
        assert_eq!(meter.standing(at(611)).unwrap().used, 3);
        assert_eq!([meter.spend(at(612), Priority::Live), meter.spend(at(613), Priority::Live)], [Ok(()); 2]);
        assert_eq!(meter.spend(at(630), Priority::Live), Err(Duration::from_secs(30)));
        assert_eq!(meter.spend(at(660), Priority::Backfill), Ok(()));
        assert_eq!(meter.standing(at(661)).unwrap().used, 1);
    }

    #[test]
    fn what_was_used_before_a_start_counts_and_a_higher_cap_lets_go_on() {
        let meter = Meter::default();
        assert!(meter.wants_count(Some(budget(5, 80)), at(600)));
        meter.load(Some(budget(5, 80)), 5, at(600));
        assert!(meter.spend(at(601), Priority::Live).is_err());
        assert!(!meter.wants_count(Some(budget(5, 80)), at(602)));
        assert!(meter.wants_count(Some(budget(9, 80)), at(602)));
        meter.load(Some(budget(9, 80)), 5, at(602));
        assert_eq!(meter.spend(at(603), Priority::Live), Ok(()));
        meter.load(None, 0, at(604));
        assert_eq!(meter.spend(at(605), Priority::Backfill), Ok(()));
    }

    #[test]
    fn levels_and_the_forecast_are_told_by_the_calls() {
        let told: Vec<_> = [0, 79, 80, 99, 100, 101].map(|used| budget(100, 80).level(used)).into();
        use BudgetLevel::{Ok, Spent, Warning};
        assert_eq!(told, [Ok, Ok, Warning, Warning, Spent, Spent]);
        assert_eq!(budget(1, 1).level(0), Ok);
        // Twenty in the last twenty seconds, and forty seconds to go.
        assert_eq!(budget(100, 80).forecast(30, 20, Duration::from_secs(20), at(620)), 70);
    }

    proptest! {
        #[test]
        fn no_window_has_more_calls_than_its_budget(
            calls in 1_u64..20,
            warn_percent in 1_u64..=100,
            steps in proptest::collection::vec((-40_i64..30, any::<bool>()), 1..300),
        ) {
            let (meter, budget) = (Meter::default(), budget(calls, warn_percent));
            let mut second = 1_000_000;
            meter.load(Some(budget), 0, at(second));
            let mut made = std::collections::BTreeMap::<Timestamp, u64>::new();
            let mut newest = at(second);
            for (step, live) in steps {
                second += step;
                let priority = if live { Priority::Live } else { Priority::Backfill };
                newest = newest.max(at(second));
                match meter.spend(at(second), priority) {
                    Ok(()) => *made.entry(budget.began(newest)).or_default() += 1,
                    Err(wait) => prop_assert!(wait > Duration::ZERO),
                }
            }
            for (_, made) in made {
                prop_assert!(made <= calls);
            }
        }
    }
}
