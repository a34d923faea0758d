//! Sync lag in buckets, so that percentiles of any span are sums.

use super::sync::Effect;

/// Upper bounds of the lag buckets in milliseconds; the last bucket is open.
pub(crate) const BOUNDS_MS: [i64; 19] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 20_000, 30_000, 45_000, 60_000, 120_000, 300_000,
    900_000, 3_600_000, 86_400_000,
];

/// How many buckets there are.
pub(crate) const BUCKETS: usize = BOUNDS_MS.len() + 1;

/// What happened on a connection in one batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Activity {
    pub(crate) applied: i64,
    pub(crate) failed: i64,
    pub(crate) echoes: i64,
    pub(crate) conflicts: i64,
    pub(crate) lag_max_ms: i64,
    pub(crate) lag_buckets: [i64; BUCKETS],
    pub(crate) canary_max_ms: i64,
    pub(crate) canary_buckets: [i64; BUCKETS],
}

impl Activity {
    /// Counts what came of one step.
    pub(crate) fn count(&mut self, effect: &Effect) {
        self.echoes += i64::try_from(effect.echoes).unwrap_or(i64::MAX);
        self.conflicts += i64::try_from(effect.conflicts.len()).unwrap_or(i64::MAX);
        self.failed += i64::from(!effect.troubles.is_empty());
        self.applied += i64::from(effect.touched && effect.troubles.is_empty());
    }

    /// Counts one change that became visible this long after it was made.
    pub(crate) fn lag(&mut self, lag_ms: i64) {
        count(&mut self.lag_buckets, &mut self.lag_max_ms, lag_ms);
    }

    /// Counts one of our writes that the vendor's listing showed this long after it was wanted.
    pub(crate) fn canary(&mut self, lag_ms: i64) {
        count(&mut self.canary_buckets, &mut self.canary_max_ms, lag_ms);
    }
}

fn count(buckets: &mut [i64; BUCKETS], max_ms: &mut i64, lag_ms: i64) {
    let lag_ms = lag_ms.max(0);
    *max_ms = lag_ms.max(*max_ms);
    buckets[BOUNDS_MS.partition_point(|bound| *bound < lag_ms)] += 1;
}

/// The lag in milliseconds that this share (0 to 1) of the changes stayed under, read off the buckets: the upper
/// bound of the bucket where it falls. None without changes.
pub(crate) fn percentile(buckets: &[i64], share: f64) -> Option<i64> {
    let total: i64 = buckets.iter().sum();
    if total == 0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "a count of changes in minutes"
    )]
    let rank = ((total as f64) * share).ceil() as i64;
    let mut below = 0;
    let bucket = buckets.iter().position(|count| {
        below += count;
        below >= rank
    })?;
    Some(BOUNDS_MS.get(bucket).copied().unwrap_or(BOUNDS_MS[BOUNDS_MS.len() - 1]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_percentile_is_the_bound_of_the_bucket_that_holds_it(
            mut lags in proptest::collection::vec(-5..100_000_000_i64, 1..200),
            share in 0.0..=1.0,
        ) {
            let mut activity = Activity::default();
            for lag in &lags {
                activity.lag(*lag);
            }
            lags.sort_unstable();
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss,
                     reason = "a rank among 200")]
            let rank = f64::ceil(lags.len() as f64 * share) as usize;
            let rank = rank.clamp(1, lags.len());
            let exact = lags[rank - 1];
            let shown = percentile(&activity.lag_buckets, share).unwrap();
            let last = BOUNDS_MS[BOUNDS_MS.len() - 1];
            prop_assert!(shown >= exact.min(last), "{shown} shown for {exact}");
            let below = BOUNDS_MS.iter().rev().find(|bound| **bound < shown).copied().unwrap_or(-10);
            prop_assert!(exact > below, "{shown} shown for {exact}");
            prop_assert_eq!(activity.lag_buckets.iter().sum::<i64>(), i64::try_from(lags.len()).unwrap());
        }
    }

    #[test]
    fn without_changes_there_is_no_lag() {
        assert_eq!(percentile(&[0; BUCKETS], 0.5), None);
        assert_eq!(percentile(&[], 0.5), None);
    }
}
