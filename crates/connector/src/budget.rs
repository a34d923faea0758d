//! The budget of a connection: how many calls of the vendor's API it may make in a window, and how many it made. From
//! the warning on history waits, so that what is left is there for live traffic; when all is spent everything waits,
//! and goes on by itself in the next window. What the vendor says of its own day holds back beside it: history first,
//! then polling, writes last.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use model::BudgetLevel;

use crate::limiter::Priority;

/// How long the stored count of calls is believed: other processes make few.
const RECOUNT_S: i64 = 60;
/// How long what the vendor said of its day holds calls back; then one of them asks again.
const BELIEVED: Duration = Duration::from_secs(15 * 60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// From this share of the vendor's day on history waits.
const ALLOCATION_WARNS_PERCENT: u64 = 90;
/// One in so many calls of the vendor's day is for writes, and not for polling.
const POLLING_LEAVES: u64 = 20;

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
    /// What the vendor itself allows in a day.
    pub(crate) fn of_vendor(calls: u64) -> Self {
        Self { calls, window: DAY, warn_percent: ALLOCATION_WARNS_PERCENT }
    }

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
    said: Option<Said>,
}

/// What the vendor said of its day, for all apps of the account together.
#[derive(Clone, Copy, Debug)]
struct Said {
    calls: u64,
    /// Less by the calls made since.
    left: u64,
    at: Timestamp,
}

impl Said {
    fn standing(&self) -> Standing {
        let budget = Budget::of_vendor(self.calls);
        Standing { budget, used: self.calls.saturating_sub(self.left), heard: Some(self.at) }
    }

    fn wait(&self, now: Timestamp, priority: Priority) -> Option<Duration> {
        let allowed = match priority {
            Priority::Live => self.calls,
            Priority::Polling => self.calls - self.calls / POLLING_LEAVES,
            Priority::Backfill => Budget::of_vendor(self.calls).warns_at(),
        };
        let asked = self.at.checked_add(BELIEVED).unwrap_or(Timestamp::MAX);
        let wait = Duration::try_from(asked.duration_since(now)).ok().filter(|wait| !wait.is_zero())?;
        // A clock that is set back makes nobody wait longer.
        (self.calls.saturating_sub(self.left) >= allowed).then_some(wait.min(BELIEVED))
    }
}

/// Where a connection stands in its budget, or in the vendor's day where that is tighter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) budget: Budget,
    pub(crate) used: u64,
    /// When the vendor said so; none where it is our own count.
    pub(crate) heard: Option<Timestamp>,
}

impl Standing {
    pub(crate) fn level(&self) -> BudgetLevel {
        self.budget.level(self.used)
    }
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
                // Where only the age of the vendor's word let it pass, its answer is the new one, and nobody else asks.
                if let Some(said) = state.said.as_mut().filter(|said| said.wait(said.at, priority).is_some())
                {
                    said.at = now;
                }
                state.count();
                Ok(())
            }
            Some(wait) => Err(wait),
        }
    }

    /// Takes over how many calls of its day the vendor says are left.
    pub(crate) fn hear(&self, calls: u64, left: u64, now: Timestamp) {
        self.lock().said = Some(Said { calls, left, at: now });
    }

    /// What the vendor said of its day, and when.
    pub(crate) fn heard(&self) -> Option<Standing> {
        self.lock().said.map(|said| said.standing())
    }

    /// Counts a call that is made in any case.
    pub(crate) fn note(&self, now: Timestamp) {
        let mut state = self.lock();
        state.turn(now);
        state.count();
    }

    /// How long calls of this kind must wait, when they must.
    pub(crate) fn wait(&self, now: Timestamp, priority: Priority) -> Option<Duration> {
        let mut state = self.lock();
        state.turn(now);
        state.wait(now, priority)
    }

    /// Where the connection stands; none without a budget and without a word of the vendor's.
    pub(crate) fn standing(&self, now: Timestamp) -> Option<Standing> {
        let mut state = self.lock();
        state.turn(now);
        let own = state.budget.map(|budget| Standing { budget, used: state.used, heard: None });
        let said = state.said.map(|said| said.standing());
        match (own, said) {
            (Some(own), Some(said)) => Some(if said.level() > own.level() { said } else { own }),
            (own, said) => own.or(said),
        }
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

    fn count(&mut self) {
        self.used = self.used.saturating_add(1);
        if let Some(said) = &mut self.said {
            said.left = said.left.saturating_sub(1);
        }
    }

    fn wait(&self, now: Timestamp, priority: Priority) -> Option<Duration> {
        let own = self.own_wait(now, priority);
        own.max(self.said.and_then(|said| said.wait(now, priority)))
    }

    fn own_wait(&self, now: Timestamp, priority: Priority) -> Option<Duration> {
        let budget = self.budget?;
        let allowed = match priority {
            Priority::Live | Priority::Polling => budget.calls,
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

    #[test]
    fn near_the_end_of_the_vendors_day_history_waits_then_polling_and_writes_last() {
        use Priority::{Backfill, Live, Polling};
        let meter = Meter::default();
        assert_eq!(meter.standing(at(0)), None);
        let goes = |left, now| {
            [Backfill, Polling, Live].map(|priority| {
                meter.hear(1_000, left, at(now));
                meter.spend(at(now), priority).is_ok()
            })
        };
        assert_eq!(goes(101, 0), [true; 3]);
        assert_eq!(goes(100, 0), [false, true, true]);
        assert_eq!(goes(50, 0), [false, false, true]);
        assert_eq!(goes(0, 0), [false; 3]);
        // Others' calls are in what the vendor says, ours since then are counted on it.
        meter.hear(1_000, 3, at(10));
        let passed = (0..9).filter(|_| meter.spend(at(11), Live).is_ok()).count();
        assert_eq!((passed, meter.standing(at(11)).unwrap().level()), (3, BudgetLevel::Spent));
        assert_eq!(meter.spend(at(12), Live), Err(BELIEVED - Duration::from_secs(2)));
        // An old word lets one call ask; its answer says that there is room again.
        assert!(meter.spend(at(910), Polling).is_ok() && meter.spend(at(910), Live).is_err());
        meter.hear(1_000, 900, at(911));
        assert!(meter.spend(at(911), Backfill).is_ok());
    }

    #[test]
    fn what_is_tighter_is_shown_the_budget_or_the_vendors_day() {
        let meter = Meter::default();
        meter.load(Some(budget(100, 80)), 50, at(600));
        meter.hear(1_000, 70, at(601));
        let standing = meter.standing(at(602)).unwrap();
        assert_eq!((standing.budget.calls, standing.used), (1_000, 930));
        assert!(meter.spend(at(602), Priority::Backfill).is_err());
        meter.hear(1_000, 700, at(603));
        let standing = meter.standing(at(603)).unwrap();
        assert_eq!((standing.budget.calls, standing.used, standing.heard), (100, 50, None));
    }

    proptest! {
        #[test]
        fn no_more_calls_go_out_than_the_vendor_said_are_left(
            calls in 1_u64..60,
            used in 0_u64..60,
            priorities in proptest::collection::vec(0_usize..3, 1..100),
        ) {
            let (meter, left) = (Meter::default(), calls.saturating_sub(used));
            meter.hear(calls, left, at(0));
            let mut passed = [0; 3];
            for index in priorities {
                let priority = [Priority::Backfill, Priority::Polling, Priority::Live][index];
                passed[index] += u64::from(meter.spend(at(1), priority).is_ok());
            }
            prop_assert!(passed.iter().sum::<u64>() <= left);
            prop_assert!(passed[0] <= left.saturating_sub(calls / 10));
            prop_assert!(passed[1] <= left.saturating_sub(calls / 20));
        }

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
