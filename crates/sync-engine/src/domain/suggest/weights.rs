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

/// Learned from all known pairs, and from the systems in `tests/mapping`, each also with four tenths of the lexicon left
/// unused, so that they know fields that nobody wrote down. `trust` comes from scores that were given to vendors not
/// learned from.
pub(crate) const LEARNED: Coefficients = Coefficients {
    alone: [
        -5.2263, 3.8271, -3.0161, -2.6834, 0.1899, 1.6456, 3.4513, 0.0, -0.0441, -1.1985, 3.0000, -1.7841,
        -1.6596, -12.8903, 1.6724, -1.4127, 1.6464, 0.0, -0.1372,
    ],
    among: [-2.1402, 0.1609, 2.3095, 2.2485, 0.9691, 0.5127, 0.0541],
    trust: [0.9, 0.6, 0.995],
};
