//! Faults on dial, whichever vendor they are of: which calls they hit, how often, and what they do to a connection.

use rand::Rng;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

/// Which calls a fault hits. Both conditions must hold; an absent one always does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FaultMatch {
    /// The path starts with this.
    pub path_prefix: Option<String>,
    /// The HTTP method, in any case.
    pub method: Option<String>,
}

impl FaultMatch {
    pub(crate) fn covers(&self, method: &str, path: &str) -> bool {
        starts(self.path_prefix.as_deref(), path) && is_same(self.method.as_deref(), method)
    }
}

/// Whether the path starts with what is wanted, if anything is.
pub(crate) fn starts(wanted: Option<&str>, path: &str) -> bool {
    wanted.is_none_or(|prefix| path.starts_with(prefix))
}

/// Whether the word is the one that is wanted, in any case, if one is.
pub(crate) fn is_same(wanted: Option<&str>, word: &str) -> bool {
    wanted.is_none_or(|wanted| wanted.eq_ignore_ascii_case(word))
}

/// A fault of a vendor's `Kind` that waits for its calls.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault<Kind> {
    /// Which calls it hits.
    #[serde(default, rename = "match")]
    pub on: FaultMatch,
    /// What goes wrong.
    pub kind: Kind,
    /// How many calls it hits before it is gone; without it, every one until faults are cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// The chance (0 to 1) that a matching call is hit; 1 without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Milliseconds, for `slow` (1,000 without it) and `timeout_after_apply` (30,000 without it).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u64>,
}

/// What every fault says of how often it hits, also those of vendors that say more than [`Fault`].
pub(crate) trait Dialled: Clone {
    /// How many hits are left, and the chance of one.
    fn dial(&mut self) -> (&mut Option<u32>, Option<f64>);
}

impl<Kind: Clone> Dialled for Fault<Kind> {
    fn dial(&mut self) -> (&mut Option<u32>, Option<f64>) {
        (&mut self.times, self.probability)
    }
}

/// The faults that are set.
#[derive(Debug)]
pub(crate) struct Faults<F> {
    pub(crate) set: Vec<F>,
}

impl<F> Default for Faults<F> {
    fn default() -> Self {
        Self { set: Vec::new() }
    }
}

impl<F: Dialled> Faults<F> {
    /// Sets a fault, unless it says what cannot be: no hit at all, or a chance that is none.
    pub(crate) fn try_set(&mut self, mut fault: F) -> bool {
        let (times, chance) = fault.dial();
        let is_possible = *times != Some(0) && chance.is_none_or(|chance| (0.0..=1.0).contains(&chance));
        if is_possible {
            self.set.push(fault);
        }
        is_possible
    }

    /// The first fault that covers the call and has its chance, if any; its count goes down.
    pub(crate) fn hit(&mut self, rng: &mut StdRng, covers: impl Fn(&F) -> bool) -> Option<F> {
        let at = self.set.iter_mut().position(|fault| {
            covers(fault) && fault.dial().1.is_none_or(|chance| rng.random_bool(chance.clamp(0.0, 1.0)))
        })?;
        let fault = self.set[at].clone();
        if let (Some(left), _) = self.set[at].dial() {
            *left = left.saturating_sub(1);
            if *left == 0 {
                self.set.remove(at);
            }
        }
        Some(fault)
    }
}
