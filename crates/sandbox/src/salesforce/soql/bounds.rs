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
    match condition {
        Condition::And(all) => {
            let stamps = all
                .iter()
                .map(bounds)
                .fold((FIRST, LAST), |(low, high), (from, to)| (low.max(from), high.min(to)));
            // Within one second the id narrows on.
            if stamps.0.0 == stamps.1.0 {
                let ids = all
                    .iter()
                    .map(ids)
                    .fold((Id::LEAST, Id::MOST), |(low, high), (from, to)| (low.max(from), high.min(to)));
                return (stamps.0.max((stamps.0.0, ids.0)), stamps.1.min((stamps.1.0, ids.1)));
            }
            stamps
        }
        Condition::Or(all) => all
            .iter()
            .map(bounds)
            .reduce(|(low, high), (from, to)| (low.min(from), high.max(to)))
            .unwrap_or((FIRST, LAST)),
        Condition::Not(_) => (FIRST, LAST),
        Condition::Test { column, op, values } => match (op, values.as_slice()) {
            _ if !column.hops.is_empty() || column.field.place != Place::SystemModstamp => (FIRST, LAST),
            (Op::Eq, [Operand::Seconds(at)]) => ((*at, Id::LEAST), (*at, Id::MOST)),
            (Op::Gt, [Operand::Seconds(at)]) => ((at.saturating_add(1), Id::LEAST), LAST),
            (Op::Ge, [Operand::Seconds(at)]) => ((*at, Id::LEAST), LAST),
            (Op::Lt, [Operand::Seconds(at)]) => (FIRST, (at.saturating_sub(1), Id::MOST)),
            (Op::Le, [Operand::Seconds(at)]) => (FIRST, (*at, Id::MOST)),
            _ => (FIRST, LAST),
        },
    }
}

/// The least and the greatest id that one condition allows.
fn ids(condition: &Condition) -> (Id, Id) {
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
