//! Where in the order of (SystemModstamp, Id) the rows of a query can be, and which keys they must have.

use super::Op;
use super::bind::{Condition, Operand};
use crate::salesforce::id::Id;
use crate::salesforce::schema::{Field, Place};

/// A place in the order of (SystemModstamp, Id).
pub(super) type Spot = (i64, Id);

pub(super) const FIRST: Spot = (i64::MIN, Id::LEAST);
pub(super) const LAST: Spot = (i64::MAX, Id::MOST);

/// The first and the last place that a row may have, both included.
pub(super) fn bounds(condition: &Condition) -> (Spot, Spot) {
    let mut all = Vec::new();
    flatten(condition, &mut all);
    all_of(&all)
}

/// Conditions that must all hold, those within an AND among them.
fn flatten<'a>(condition: &'a Condition, to: &mut Vec<&'a Condition>) {
    match condition {
        Condition::And(all) => all.iter().for_each(|one| flatten(one, to)),
        other => to.push(other),
    }
}

/// Where all of them can hold: `stamp >= t AND (stamp > t OR Id > x)` begins after (t, x).
fn all_of(all: &[&Condition]) -> (Spot, Spot) {
    let branches = all.iter().find_map(|one| match one {
        Condition::Or(branches) => Some(branches),
        _ => None,
    });
    if let Some(branches) = branches {
        // Another OR beside the first one narrows nothing.
        let rest: Vec<&Condition> =
            all.iter().copied().filter(|one| !matches!(one, Condition::Or(_))).collect();
        let of = |branch| {
            let mut both = rest.clone();
            flatten(branch, &mut both);
            all_of(&both)
        };
        let hull = |(low, high): (Spot, Spot), (from, to): (Spot, Spot)| (low.min(from), high.max(to));
        return branches.iter().map(of).reduce(hull).unwrap_or((FIRST, LAST));
    }
    let (mut stamps, mut ids) = ((i64::MIN, i64::MAX), (Id::LEAST, Id::MOST));
    for condition in all {
        let (from, to) = stamp(condition);
        stamps = (stamps.0.max(from), stamps.1.min(to));
        let (from, to) = id(condition);
        ids = (ids.0.max(from), ids.1.min(to));
    }
    // Every row is at least at the first stamp with the least id, and at most at the last with the greatest.
    ((stamps.0, ids.0), (stamps.1, ids.1))
}

/// The first and the last stamp that one condition allows.
fn stamp(condition: &Condition) -> (i64, i64) {
    let all = (i64::MIN, i64::MAX);
    let Condition::Test { column, op, values } = condition else { return all };
    match (op, values.as_slice()) {
        _ if !column.hops.is_empty() || column.field.place != Place::SystemModstamp => all,
        (Op::Eq, [Operand::Seconds(at)]) => (*at, *at),
        (Op::Gt, [Operand::Seconds(at)]) => (at.saturating_add(1), i64::MAX),
        (Op::Ge, [Operand::Seconds(at)]) => (*at, i64::MAX),
        (Op::Lt, [Operand::Seconds(at)]) => (i64::MIN, at.saturating_sub(1)),
        (Op::Le, [Operand::Seconds(at)]) => (i64::MIN, *at),
        _ => all,
    }
}

/// The least and the greatest id that one condition allows.
fn id(condition: &Condition) -> (Id, Id) {
    let all = (Id::LEAST, Id::MOST);
    let Condition::Test { column, op, values } = condition else { return all };
    match (op, values.as_slice()) {
        _ if !column.hops.is_empty() || column.field.place != Place::Id => all,
        (Op::Eq, [Operand::Id(id)]) => (*id, *id),
        (Op::Gt | Op::Ge, [Operand::Id(id)]) => (*id, Id::MOST),
        (Op::Lt | Op::Le, [Operand::Id(id)]) => (Id::LEAST, *id),
        _ => all,
    }
}

/// The values of a key that every row must have one of.
pub(super) fn keys(condition: &Condition) -> Option<(&Field, &[Operand])> {
    match condition {
        Condition::And(all) => all.iter().find_map(keys),
        Condition::Test { column, op: Op::Eq | Op::In, values } if column.hops.is_empty() => {
            let by = column.field.place == Place::Id || column.field.is_key();
            (by && !values.contains(&Operand::Null)).then_some((&*column.field, values.as_slice()))
        }
        _ => None,
    }
}
