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

/// Learned from all known pairs, each also with four tenths of the lexicon left unused, three times, so that they know
/// fields that nobody wrote down. `trust` comes from scores that were given to vendors not learned from.
pub(crate) const LEARNED: Coefficients = Coefficients {
    alone: [
        -5.8055, 3.6503, -1.8099, -1.9006, 1.4446, 0.5645, 1.1287, 1.0740, -1.5666, -0.8228, 4.8563, -0.8336,
        -1.7697, -6.5057, 5.3986, -3.1053, 1.6998, 0.4136, -0.1912,
    ],
    among: [-1.2189, 0.6345, 1.1312, 0.1599, 2.0963, 0.9100, 0.0],
    trust: [0.843, -0.292, 0.98],
};
