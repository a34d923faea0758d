//! The search index: every visible record ordered by the modification time that search knows of.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Records ordered by (indexed modification time, id), with the writes that search has not seen yet.
///
/// A sorted vector: new times are the largest, so an insertion is nearly always a push, and the
/// number of records in a time range is one subtraction.
#[derive(Debug, Default)]
pub(crate) struct Index {
    order: Vec<(i64, u64)>,
    pending: BinaryHeap<Reverse<Pending>>,
}

/// A write that search will show from `visible_at` on.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
pub(crate) struct Pending {
    pub(crate) visible_at: i64,
    pub(crate) id: u64,
    pub(crate) modified_ms: i64,
}

impl Index {
    pub(crate) fn announce(&mut self, pending: Pending) {
        self.pending.push(Reverse(pending));
    }

    /// The next write that search may show at `now`, if any.
    pub(crate) fn due(&mut self, now: i64) -> Option<Pending> {
        let Reverse(first) = *self.pending.peek()?;
        if first.visible_at > now {
            return None;
        }
        self.pending.pop();
        Some(first)
    }

    pub(crate) fn insert(&mut self, modified_ms: i64, id: u64) {
        let entry = (modified_ms, id);
        if self.order.last().is_none_or(|last| *last < entry) {
            self.order.push(entry);
            return;
        }
        if let Err(at) = self.order.binary_search(&entry) {
            self.order.insert(at, entry);
        }
    }

    pub(crate) fn remove(&mut self, modified_ms: i64, id: u64) {
        if let Ok(at) = self.order.binary_search(&(modified_ms, id)) {
            self.order.remove(at);
        }
    }

    /// Replaces everything at once; the way to index a whole portal after a restart or an import.
    pub(crate) fn rebuild(&mut self, mut order: Vec<(i64, u64)>) {
        order.sort_unstable();
        order.dedup();
        self.order = order;
        self.pending.clear();
    }

    pub(crate) fn entries(&self) -> &[(i64, u64)] {
        &self.order
    }

    /// Records modified from `from` to `to`, both included.
    pub(crate) fn between(&self, from: i64, to: i64) -> &[(i64, u64)] {
        let start = self.order.partition_point(|(modified, _)| *modified < from);
        let end = self.order.partition_point(|(modified, _)| *modified <= to);
        if start >= end { &[] } else { &self.order[start..end] }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_span_holds_what_an_ordered_set_would(
            steps in prop::collection::vec((any::<bool>(), 0_i64..50, 0_u64..20), 0..200),
            from in 0_i64..50,
            to in 0_i64..50,
        ) {
            let (mut index, mut model) = (Index::default(), BTreeSet::new());
            for (insert, modified, id) in steps {
                if insert {
                    index.insert(modified, id);
                    model.insert((modified, id));
                } else {
                    index.remove(modified, id);
                    model.remove(&(modified, id));
                }
            }
            let expected: Vec<_> = model.into_iter().filter(|(at, _)| (from..=to).contains(at)).collect();
            prop_assert_eq!(index.between(from, to), expected);
        }

        #[test]
        fn writes_come_due_in_the_order_of_their_time_and_never_early(
            times in prop::collection::vec(0_i64..100, 0..50),
            now in 0_i64..100,
        ) {
            let mut index = Index::default();
            for (id, visible_at) in (0..).zip(&times) {
                index.announce(Pending { visible_at: *visible_at, id, modified_ms: 0 });
            }
            let due: Vec<i64> = std::iter::from_fn(|| index.due(now)).map(|one| one.visible_at).collect();
            let mut expected: Vec<i64> = times.into_iter().filter(|at| *at <= now).collect();
            expected.sort_unstable();
            prop_assert_eq!(due, expected);
        }
    }
}
