//! The rate limit of one connection: no window of the vendor's ever sees more calls than it allows, and live reads go
//! before backfill.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use crate::{LimitHint, RateClass};

/// The name of the limit by the day, which is one for all classes.
pub(crate) const DAILY: &str = "daily";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Who waits first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Priority {
    /// Reading history: waits while anybody live waits.
    Backfill,
    /// Asking for changes: as live as anything, but leaves the last of the vendor's day to writes.
    Polling,
    /// Everything else.
    Live,
}

/// What the vendor last said about a class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) limit: u32,
    pub(crate) remaining: u32,
    pub(crate) length: Duration,
}

/// The limits of one connection, by class.
#[derive(Debug)]
pub(crate) struct Limiter {
    classes: HashMap<&'static str, Class>,
}

#[derive(Debug)]
struct Class {
    state: Mutex<State>,
    live_left: Notify,
}

#[derive(Debug)]
struct State {
    calls: usize,
    window: Duration,
    /// When each call of the last window was let go, oldest first.
    passed: VecDeque<Instant>,
    blocked_until: Option<Instant>,
    live_waiting: usize,
    said: Option<Window>,
    said_of_day: Option<Window>,
}

impl Limiter {
    pub(crate) fn new(rates: &[RateClass]) -> Self {
        let class = |rate: &RateClass| Class {
            state: Mutex::new(State {
                calls: rate.calls.max(1) as usize,
                window: rate.window,
                passed: VecDeque::new(),
                blocked_until: None,
                live_waiting: 0,
                said: None,
                said_of_day: None,
            }),
            live_left: Notify::new(),
        };
        Self { classes: rates.iter().map(|rate| (rate.name, class(rate))).collect() }
    }

    /// Waits until the limit allows a call of this class. A class without a limit never waits.
    pub(crate) async fn pass(&self, class: &str, priority: Priority) {
        if let Some(class) = self.classes.get(class) {
            class.pass(priority).await;
        }
    }

    /// Lets nobody pass for this long: the vendor said so.
    pub(crate) fn block(&self, class: &str, pause: Duration) {
        if let Some(class) = self.classes.get(class) {
            let mut state = class.lock();
            let until = Instant::now() + pause;
            state.blocked_until = Some(state.blocked_until.map_or(until, |old| old.max(until)));
        }
    }

    /// Takes over what an answer says about the limit, calls by others included.
    pub(crate) fn learn(&self, class: &str, hint: LimitHint) {
        if let Some(class) = self.classes.get(class) {
            class.lock().learn(hint, Instant::now());
        }
    }

    /// What the vendor said since the last call of this, by the name of the limit.
    pub(crate) fn take_said(&self) -> Vec<(&'static str, Window)> {
        let mut all = Vec::new();
        for (name, class) in &self.classes {
            let mut state = class.lock();
            all.extend(state.said.take().map(|said| (*name, said)));
            all.extend(state.said_of_day.take().map(|said| (DAILY, said)));
        }
        all
    }
}

impl Class {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn pass(&self, priority: Priority) {
        let _waiting = (priority != Priority::Backfill).then(|| LiveWaiter::new(self));
        loop {
            let mut live_left = std::pin::pin!(self.live_left.notified());
            live_left.as_mut().enable();
            let until = {
                let mut state = self.lock();
                if priority == Priority::Backfill && state.live_waiting > 0 {
                    None
                } else {
                    match state.try_pass(Instant::now()) {
                        Ok(()) => return,
                        Err(until) => Some(until),
                    }
                }
            };
            match until {
                Some(until) => sleep_until(until).await,
                None => live_left.await,
            }
        }
    }
}

/// Somebody live waits; gone when they passed or gave up.
struct LiveWaiter<'c>(&'c Class);

impl<'c> LiveWaiter<'c> {
    fn new(class: &'c Class) -> Self {
        class.lock().live_waiting += 1;
        Self(class)
    }
}

impl Drop for LiveWaiter<'_> {
    fn drop(&mut self) {
        self.0.lock().live_waiting -= 1;
        self.0.live_left.notify_waiters();
    }
}

impl State {
    /// The vendor's window and a little more, because calls do not all take equally long to arrive.
    fn guarded_window(&self) -> Duration {
        self.window + (self.window / 200).max(Duration::from_millis(25))
    }

    /// Passes now, or says when to ask again.
    fn try_pass(&mut self, now: Instant) -> Result<(), Instant> {
        if let Some(until) = self.blocked_until.filter(|until| *until > now) {
            return Err(until);
        }
        self.blocked_until = None;
        let window = self.guarded_window();
        while self.passed.front().is_some_and(|at| *at + window <= now) {
            self.passed.pop_front();
        }
        if self.passed.len() < self.calls {
            self.passed.push_back(now);
            return Ok(());
        }
        let index = self.passed.len() - self.calls;
        Err(self.passed.get(index).map_or(now + window, |at| *at + window))
    }

    fn learn(&mut self, hint: LimitHint, now: Instant) {
        let used = hint.limit.saturating_sub(hint.remaining) as usize;
        self.calls = hint.limit.max(1) as usize;
        self.window = hint.window;
        self.said = Some(Window { limit: hint.limit, remaining: hint.remaining, length: hint.window });
        let of_day = |(limit, remaining)| Window { limit, remaining, length: DAY };
        self.said_of_day = hint.daily.map(of_day).or(self.said_of_day);
        let window = self.guarded_window();
        let ours = self.passed.iter().filter(|at| **at + window > now).count();
        for _ in ours..used.min(self.calls) {
            self.passed.push_back(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SEARCH: RateClass = RateClass { name: "search", calls: 5, window: Duration::from_secs(1) };

    #[tokio::test(start_paused = true)]
    async fn ninety_five_percent_of_the_limit_is_used_and_no_window_sees_more() {
        let limiter = Limiter::new(&[SEARCH]);
        let start = Instant::now();
        let mut passed = Vec::new();
        while start.elapsed() < Duration::from_secs(60) {
            limiter.pass("search", Priority::Backfill).await;
            passed.push(Instant::now());
        }
        assert!(passed.len() >= 285, "{} calls in 60 s", passed.len());
        for six in passed.windows(6) {
            assert!(six[5] - six[0] > SEARCH.window);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_live_call_goes_before_a_backfill_that_waited_longer() {
        let limiter = std::sync::Arc::new(Limiter::new(&[SEARCH]));
        for _ in 0..5 {
            limiter.pass("search", Priority::Backfill).await;
        }
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        for priority in [Priority::Backfill, Priority::Live] {
            for _ in 0..5 {
                let (limiter, sender) = (limiter.clone(), sender.clone());
                tokio::spawn(async move {
                    limiter.pass("search", priority).await;
                    sender.send(priority).unwrap();
                });
            }
            tokio::task::yield_now().await;
        }
        let mut order = Vec::new();
        receiver.recv_many(&mut order, 10).await;
        while order.len() < 10 {
            order.push(receiver.recv().await.unwrap());
        }
        assert_eq!(order, [[Priority::Live; 5], [Priority::Backfill; 5]].concat());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_blocks_everyone_for_as_long_as_the_vendor_says() {
        let limiter = Limiter::new(&[SEARCH]);
        limiter.block("search", Duration::from_secs(7));
        let start = Instant::now();
        limiter.pass("search", Priority::Live).await;
        assert!(start.elapsed() >= Duration::from_secs(7));
    }

    #[tokio::test(start_paused = true)]
    async fn calls_by_others_count_when_the_vendor_mentions_them() {
        let limiter = Limiter::new(&[SEARCH]);
        limiter.pass("search", Priority::Live).await;
        let hint =
            LimitHint { limit: 10, remaining: 0, window: Duration::from_secs(10), daily: Some((900, 7)) };
        limiter.learn("search", hint);
        let start = Instant::now();
        limiter.pass("search", Priority::Live).await;
        assert!(start.elapsed() >= Duration::from_secs(9), "{:?}", start.elapsed());
        let said: Vec<_> =
            limiter.take_said().into_iter().map(|(name, said)| (name, said.remaining)).collect();
        assert_eq!(said, [("search", 0), ("daily", 7)]);
        assert!(limiter.take_said().is_empty());
    }

    proptest! {
        #[test]
        fn no_window_holds_more_calls_than_allowed(calls in 1_u32..20, gaps in proptest::collection::vec(0_u64..400, 1..200)) {
            let rate = RateClass { name: "x", calls, window: Duration::from_secs(1) };
            let limiter = Limiter::new(&[rate]);
            let mut state = limiter.classes["x"].lock();
            let mut now = Instant::now();
            let mut passed = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                match state.try_pass(now) {
                    Ok(()) => passed.push(now),
                    Err(until) => prop_assert!(until > now),
                }
            }
            for group in passed.windows(calls as usize + 1) {
                prop_assert!(group[calls as usize] - group[0] > rate.window);
            }
        }
    }
}
