//! The five models: the share of each click in an event, as exact fractions that sum to one.

use jiff::Timestamp;

use super::terms::Model;

/// So many clicks share an event at most: the first and the latest ones.
pub(crate) const MOST_TOUCHES: usize = 256;

/// Days in which a click's share halves under [`Model::TimeDecay`].
const HALF_LIFE_DAYS: u64 = 7;

/// Numerators over one denominator, which is their sum.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Weights {
    pub(crate) numerators: Vec<i64>,
    pub(crate) denominator: i64,
}

/// The shares of clicks at these times, ascending. Under a model that credits one click the others get nothing.
pub(crate) fn weigh(model: Model, clicks: &[Timestamp]) -> Weights {
    let count = clicks.len();
    let many = i64::try_from(count).unwrap_or(i64::MAX);
    let numerators: Vec<i64> = match (model, count) {
        (_, 0) => Vec::new(),
        (Model::LastClick, _) => (1..=count).map(|place| i64::from(place == count)).collect(),
        (Model::FirstClick, _) => (1..=count).map(|place| i64::from(place == 1)).collect(),
        (Model::Linear, _) | (Model::Position, 1 | 2) => vec![1; count],
        (Model::Position, _) => {
            let end = 2 * (many - 2);
            (1..=count).map(|place| if place == 1 || place == count { end } else { 1 }).collect()
        }
        (Model::TimeDecay, _) => {
            let last = clicks[count - 1].as_millisecond();
            clicks.iter().map(|at| decayed(last.abs_diff(at.as_millisecond()))).collect()
        }
    };
    let denominator = numerators.iter().sum();
    Weights { numerators, denominator }
}

/// 2^-1/2, 2^-1/4, 2^-1/8 … in units of 2^-63.
const ROOTS: [u128; 32] = {
    let mut roots = [0; 32];
    let mut power = 1_u128 << 62;
    let mut place = 0;
    while place < roots.len() {
        power = (power << 63).isqrt();
        roots[place] = power;
        place += 1;
    }
    roots
};

/// A click's weight by its age against the last: 2^54 halved for every half-life, and at least one, so that a click
/// that counts is never worth nothing. In integers, so that every machine finds the same.
fn decayed(age_ms: u64) -> i64 {
    const HALF_LIFE_MS: u64 = HALF_LIFE_DAYS * 24 * 60 * 60 * 1000;
    let halvings = u32::try_from(age_ms / HALF_LIFE_MS).unwrap_or(u32::MAX);
    let fraction = (u128::from(age_ms % HALF_LIFE_MS) << 32) / u128::from(HALF_LIFE_MS);
    let weight = ROOTS
        .iter()
        .enumerate()
        .filter(|(place, _)| fraction >> (31 - place) & 1 == 1)
        .fold(1_u128 << 63, |weight, (_, root)| (weight * root) >> 63);
    let weight = (weight >> 9).checked_shr(halvings).unwrap_or(0);
    i64::try_from(weight).unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;

    fn at(days: &[i64]) -> Vec<Timestamp> {
        days.iter().map(|days| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * days)).collect()
    }

    fn fractions(model: Model, days: &[i64]) -> Vec<(i64, i64)> {
        let Weights { numerators, denominator } = weigh(model, &at(days));
        numerators.into_iter().map(|numerator| (numerator, denominator)).collect()
    }

    #[test]
    fn each_model_shares_as_it_is_named() {
        assert_eq!(fractions(Model::LastClick, &[1, 2, 3]), [(0, 1), (0, 1), (1, 1)]);
        assert_eq!(fractions(Model::FirstClick, &[1, 2, 3]), [(1, 1), (0, 1), (0, 1)]);
        assert_eq!(fractions(Model::Linear, &[1, 2, 3]), [(1, 3); 3]);
        assert_eq!(fractions(Model::Position, &[1]), [(1, 1)]);
        assert_eq!(fractions(Model::Position, &[1, 2]), [(1, 2), (1, 2)]);
        // 40 %, 10 %, 10 %, 40 %
        assert_eq!(fractions(Model::Position, &[1, 2, 3, 4]), [(4, 10), (1, 10), (1, 10), (4, 10)]);
        assert_eq!(fractions(Model::Position, &[1, 2, 3]), [(2, 5), (1, 5), (2, 5)]);
    }

    #[test]
    fn a_click_seven_days_older_weighs_half() {
        let Weights { numerators, .. } = weigh(Model::TimeDecay, &at(&[0, 7, 14]));
        assert_eq!(numerators, [1 << 52, 1 << 53, 1 << 54]);
    }

    #[test]
    fn decay_is_that_of_the_formula_to_nine_places() {
        for hours in (0_u32..=52 * 168).step_by(13) {
            let expected = (-(f64::from(hours) / 168.0)).exp2() * (54.0_f64).exp2();
            let found = decayed(u64::from(hours) * 3_600_000);
            #[expect(clippy::cast_precision_loss, reason = "compared to nine places")]
            let off = (found as f64 - expected).abs();
            assert!(off <= expected * 1e-9 + 2.0, "{hours} hours: {found} is not {expected}");
        }
    }

    #[test]
    fn what_is_a_year_older_weighs_something_and_what_is_older_than_time_too() {
        assert!(decayed(366 * 86_400_000) >= 1);
        assert_eq!(decayed(u64::MAX), 1);
    }
}
