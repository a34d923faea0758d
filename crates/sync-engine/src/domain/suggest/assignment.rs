//! The best one-to-one assignment over a whole pair of objects: the sum of the gains is the greatest that there is.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

/// What is gained by giving a column to a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge {
    pub(crate) column: usize,
    /// Above 0, else the edge is left out.
    pub(crate) gain: f64,
}

/// A place that a path has reached, the nearest first.
#[derive(PartialEq)]
struct Reached {
    cost: f64,
    column: usize,
}

impl Eq for Reached {}

impl Ord for Reached {
    fn cmp(&self, other: &Self) -> Ordering {
        other.cost.total_cmp(&self.cost).then_with(|| other.column.cmp(&self.column))
    }
}

impl PartialOrd for Reached {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Gives each row at most one column and each column to at most one row, by shortest augmenting paths with potentials.
/// A row may stay without one when its column is worth more elsewhere.
pub(crate) fn assign(rows: &[Vec<Edge>], columns: usize) -> Vec<Option<usize>> {
    // Behind the real columns each row has one of its own, which stands for none: it gains nothing.
    let width = columns + rows.len();
    let highest = rows.iter().flatten().map(|edge| edge.gain).fold(0.0, f64::max);
    let mut state = State {
        costs: rows
            .iter()
            .enumerate()
            .map(|(row, edges)| {
                let real = edges.iter().filter(|edge| edge.gain > 0.0 && edge.column < columns);
                let mut costs: Vec<(usize, f64)> =
                    real.map(|edge| (edge.column, highest - edge.gain)).collect();
                costs.push((columns + row, highest));
                costs
            })
            .collect(),
        row_of: vec![None; width],
        column_of: vec![None; rows.len()],
        potential: vec![0.0; width],
    };
    for row in 0..rows.len() {
        state.augment(row);
    }
    state.column_of.into_iter().map(|column| column.filter(|column| *column < columns)).collect()
}

struct State {
    costs: Vec<Vec<(usize, f64)>>,
    row_of: Vec<Option<usize>>,
    column_of: Vec<Option<usize>>,
    potential: Vec<f64>,
}

impl State {
    /// Finds a place for one more row along the cheapest path, moving others where that is better.
    fn augment(&mut self, start: usize) {
        let mut distance: BTreeMap<usize, (f64, usize)> = BTreeMap::new();
        let mut settled: Vec<(usize, f64)> = Vec::new();
        let mut done: BTreeSet<usize> = BTreeSet::new();
        let mut heap = BinaryHeap::new();
        let (mut row, mut at) = (start, 0.0);
        let end = loop {
            // What the row's present column costs it is the price of leaving it.
            let left = self.column_of[row].map_or(0.0, |column| self.reduced(row, column));
            for index in 0..self.costs[row].len() {
                let (column, _) = self.costs[row][index];
                let cost = at + self.reduced(row, column) - left;
                // A settled place is never reached again, however the last digits are rounded.
                if done.contains(&column) {
                    continue;
                }
                if distance.get(&column).is_none_or(|(known, _)| cost < *known) {
                    distance.insert(column, (cost, row));
                    heap.push(Reached { cost, column });
                }
            }
            let next = loop {
                let Some(next) = heap.pop() else { return };
                if !done.contains(&next.column)
                    && distance.get(&next.column).is_some_and(|(cost, _)| *cost >= next.cost)
                {
                    break next;
                }
            };
            settled.push((next.column, next.cost));
            done.insert(next.column);
            at = next.cost;
            match self.row_of[next.column] {
                Some(taken) => row = taken,
                None => break next,
            }
        };
        for (column, cost) in settled {
            self.potential[column] += cost - end.cost;
        }
        let mut column = end.column;
        loop {
            let Some((_, row)) = distance.get(&column).copied() else { return };
            let left = self.column_of[row].replace(column);
            self.row_of[column] = Some(row);
            match left {
                Some(left) if row != start => column = left,
                _ => return,
            }
        }
    }

    fn reduced(&self, row: usize, column: usize) -> f64 {
        let cost =
            self.costs[row].iter().find(|(one, _)| *one == column).map_or(f64::INFINITY, |(_, cost)| *cost);
        cost - self.potential[column]
    }
}
