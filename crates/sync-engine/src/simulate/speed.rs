//! The merge by itself, for benchmarks.

use std::hint::black_box;

use jiff::Timestamp;
use model::Value;

use crate::domain::{
    mapping::{Direction, Policy},
    merge::{Field, Local, Remote},
    rule::{Blank, Rules},
};

/// Makes this many field decisions, a mix of echoes, values that only the vendor moved, known ones and conflicts, and
/// returns how many values were taken.
#[must_use]
pub fn decide_fields(count: usize) -> usize {
    let values = ["Acme", "Acme GmbH", "Globex", "Initech"].map(Value::text);
    let policies = [Policy::Newest, Policy::Crm, Policy::Platform];
    let plain = Rules { direction: Direction::Bidirectional, policy: Policy::Newest, blank: Blank::Wins };
    let mut field = Field::of("name");
    let mut local = values[0].clone();
    let mut taken = 0;
    for n in 0..count {
        let remote = &values[(n * 7 / 3) % values.len()];
        let version = i64::try_from(n).unwrap_or(i64::MAX);
        let at = Timestamp::from_millisecond(version).unwrap_or_default();
        let seen = Remote { value: black_box(remote), version, at };
        let ours = Local { value: &local, at: Some(Timestamp::UNIX_EPOCH) };
        let rules = Rules { policy: policies[n % policies.len()], ..plain };
        let decision = field.observe(seen, ours, rules);
        if decision.takes() {
            local.clone_from(remote);
            taken += 1;
        }
        if n % 5 == 0 {
            local.clone_from(&values[n % values.len()]);
        }
        if field.wants(&local, plain, true) {
            field.pending = Some(local.clone());
        }
    }
    black_box(taken)
}
