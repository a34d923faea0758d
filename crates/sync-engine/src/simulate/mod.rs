//! The simulator: the real decision code, from units of work down to the merge of a field, under virtual time, faults
//! and crashes, with vendors that reformat, answer late and are edited by people. `docs/architecture.md` says what it
//! models and what it does not.

mod chance;
mod check;
mod key;
mod plan;
mod platform;
mod profile;
mod run;
mod say;
mod settle;
mod setup;
mod speed;
#[cfg(test)]
mod tests;
mod vendor;
mod walk;
mod world;

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use plan::Plan;
use profile::{PROFILES, Profile};
pub use speed::decide_fields;
pub use walk::{Bounds, Stage, Walked, stages, walk};

/// A seed whose run violated a property.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed; the same one fails again.
    pub seed: u64,
    /// The properties that do not hold and where, one a line.
    pub violations: Vec<String>,
    /// What happened in the smallest run that was found to fail in the same way, step by step.
    pub story: Vec<String>,
}

/// The vendors that a run can be limited to.
#[must_use]
pub fn profiles() -> Vec<&'static str> {
    PROFILES.iter().map(|profile| profile.name).collect()
}

fn profile(name: Option<&str>) -> Option<&'static Profile> {
    PROFILES.into_iter().find(|profile| Some(profile.name) == name)
}

/// Runs the seeds from `first` on, `count` of them, on `threads` threads, and returns the failing one with the lowest
/// number, made as small as it gets. `progress` is called now and then with the number of seeds done. Which seeds fail
/// does not depend on the number of threads.
pub fn run(
    first: u64,
    count: u64,
    threads: usize,
    vendor: Option<&str>,
    progress: &(dyn Fn(u64) + Sync),
) -> Option<Failure> {
    const CHUNK: u64 = 64;
    let profile = profile(vendor);
    let (next, done, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let lowest: Mutex<Option<u64>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(|| {
                // Chunks are handed out in order, so that the lowest failing seed is in one that was begun.
                while !failed.load(Ordering::Relaxed) {
                    let from = next.fetch_add(CHUNK, Ordering::Relaxed);
                    if from >= count {
                        return;
                    }
                    for seed in from..(from + CHUNK).min(count) {
                        let seed = first.wrapping_add(seed);
                        if !run::run(&Plan::of(seed, profile)).is_empty() {
                            failed.store(true, Ordering::Relaxed);
                            let mut lowest = lowest.lock().unwrap_or_else(PoisonError::into_inner);
                            *lowest = Some(lowest.map_or(seed, |known| known.min(seed)));
                            break;
                        }
                    }
                    progress(done.fetch_add(CHUNK, Ordering::Relaxed) + CHUNK);
                }
            });
        }
    });
    let seed = lowest.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    Some(smallest(&Plan::of(seed, profile)))
}

/// The run of one seed, step by step, and what does not hold at its end.
#[must_use]
pub fn replay(seed: u64, vendor: Option<&str>) -> Failure {
    let plan = Plan::of(seed, profile(vendor));
    let (violations, story) = run::told(&plan);
    Failure { seed, violations: violations.iter().map(words).collect(), story }
}

fn smallest(plan: &Plan) -> Failure {
    let violations = run::run(plan);
    let shrunk = match violations.first() {
        Some(first) => run::shrink(plan, first.property),
        None => plan.clone(),
    };
    let (violations, story) = run::told(&shrunk);
    Failure { seed: plan.seed, violations: violations.iter().map(words).collect(), story }
}

fn words(violation: &check::Violation) -> String {
    format!("{}: {}", violation.property.name(), violation.what)
}
