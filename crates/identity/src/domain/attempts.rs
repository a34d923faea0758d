use jiff::{SignedDuration, Timestamp};

/// What is known of earlier attempts. An attempt counts as failed from its beginning, so that many at once do not
/// slip past the limit; a success takes its own back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts {
    pub(crate) failures: i32,
    pub(crate) last_at: Timestamp,
    pub(crate) locked_until: Option<Timestamp>,
}

/// How many attempts are free, and how long the waits after them become.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    /// Attempts before the first wait.
    free: i32,
}

/// Of one e-mail address.
pub(crate) const OF_EMAIL: Limit = Limit { free: 5 };
/// Of one client's address, behind which there may be many people.
pub(crate) const OF_CLIENT: Limit = Limit { free: 30 };

const FIRST_WAIT_SECONDS: i64 = 2;
const LONGEST_WAIT_SECONDS: i64 = 15 * 60;
/// After this long without an attempt the count begins anew.
pub(crate) const FORGOTTEN_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// Admits an attempt and says what is known afterwards, or refuses it and says how many seconds to wait. The wait
/// doubles with each failure.
pub(crate) fn decide(known: Option<Attempts>, limit: Limit, now: Timestamp) -> Result<Attempts, i64> {
    let known = known.filter(|known| now.duration_since(known.last_at) <= FORGOTTEN_AFTER);
    if let Some(until) = known.and_then(|known| known.locked_until).filter(|until| *until > now) {
        return Err(until.duration_since(now).as_secs() + 1);
    }
    let failures = known.map_or(0, |known| known.failures).saturating_add(1);
    let over = u32::try_from(failures - limit.free).ok();
    let wait = over.map(|over| (FIRST_WAIT_SECONDS << over.min(20)).min(LONGEST_WAIT_SECONDS));
    let locked_until = wait.map(|seconds| now.saturating_add(SignedDuration::from_secs(seconds)));
    let locked_until = locked_until.and_then(Result::ok);
    Ok(Attempts { failures, last_at: now, locked_until })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tries at these moments, in seconds; which were admitted?
    fn try_at(moments: impl IntoIterator<Item = i64>) -> Vec<i64> {
        let mut known = None;
        let mut admitted = Vec::new();
        for second in moments {
            let now = Timestamp::from_second(second).unwrap();
            if let Ok(next) = decide(known, OF_EMAIL, now) {
                known = Some(next);
                admitted.push(second);
            }
        }
        admitted
    }

    #[test]
    fn the_wait_doubles_after_five_attempts() {
        assert_eq!(try_at(0..40), [0, 1, 2, 3, 4, 6, 10, 18, 34]);
    }

    #[test]
    fn a_day_without_attempts_begins_anew() {
        let day = 24 * 3600;
        let burst = |start: i64| (start..start + 6).collect::<Vec<_>>();
        let admitted = try_at([burst(0), burst(2 * day)].concat());
        assert_eq!(admitted.len(), 10);
    }

    proptest! {
        #[test]
        fn however_often_somebody_tries_few_attempts_are_admitted(
            mut moments in proptest::collection::vec(0_i64..86_400, 0..2_000),
        ) {
            moments.sort_unstable();
            // Five free ones, nine doublings up to the longest wait, then one each fifteen minutes.
            prop_assert!(try_at(moments).len() <= 5 + 9 + 96);
        }
    }
}
