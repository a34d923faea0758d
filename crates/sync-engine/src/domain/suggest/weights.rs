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
        -4.1177, 2.9806, -4.1994, -3.0871, 0.3020, 0.2251, 3.7849, 0.0378, -0.1703, -0.4272, 2.8322, -1.7135,
        -1.8257, -11.7566, 1.0220, -1.2729, 1.4102, 0.0, 0.0,
    ],
    among: [-2.1165, 0.1823, 2.4296, 2.1741, 0.9559, 0.2624, 0.1612],
    trust: [0.9, 0.6, 0.995],
};
