//! The coefficients, learned from pairs of schemas whose correspondences are known. `training.rs` says how.

use super::likeness::LIKENESSES;

/// How many numbers say where a pair stands among its rivals.
pub(crate) const STANDINGS: usize = 7;

/// The coefficients of both steps.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Coefficients {
    /// Of a pair by itself.
    pub(crate) alone: [f64; LIKENESSES],
    /// Of a pair among its rivals.
    pub(crate) among: [f64; STANDINGS],
    /// How far to trust the score of both: its factor, what is added, and the most that it is worth.
    pub(crate) trust: [f64; 3],
}

impl Coefficients {
    /// The confidence of a score.
    pub(crate) fn confidence(&self, score: f64) -> f64 {
        let [factor, added, most] = self.trust;
        most / (1.0 + (-(factor * score + added)).exp())
    }
}

/// Learned from the systems in `tests/mapping`, each with each, once with all of the lexicon and once with four tenths of it
/// left unused. `trust` comes from scores that were given to systems not learned from.
pub(crate) const LEARNED: Coefficients = Coefficients {
    alone: [
        -3.7754, 2.9951, -4.0961, -2.7844, 0.3123, 0.1708, 3.5456, 0.4213, -0.1587, -0.2399, 2.3560, -2.1495,
        -1.8015, -11.5897, 0.9393, -1.2016, 1.3089, 0.0, 0.0,
    ],
    among: [-2.0856, 0.1931, 2.3154, 1.9304, 1.1300, 0.2683, 0.2178],
    trust: [0.9, 0.6, 0.995],
};
