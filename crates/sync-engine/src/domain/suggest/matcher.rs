//! The matcher: candidates by shared words, a score for each, where it stands among its rivals, and one assignment
//! over the whole pair of objects.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    assignment::{self, Edge},
    field::Object,
    likeness::{self, LIKENESSES, likeness},
    reading::{Itself, Reading},
    siblings,
    weights::{Coefficients, STANDINGS},
};

/// The most candidates that are told for a field.
pub(crate) const MOST: usize = 10;

/// The most fields of the other side that a field is compared with.
const COMPARED: usize = 60;

/// A word that more fields of the other side have finds none of them.
const COMMON: usize = 150;

/// Below this confidence nothing is chosen.
pub(crate) const FLOOR: f64 = 0.72;

/// A field of the other side that may be the same.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Candidate {
    /// Which field, by its place in the target object.
    pub(crate) target: usize,
    /// 0 to 1: of ten candidates with 0.9, nine are right.
    pub(crate) confidence: f64,
    /// Whether the one-to-one assignment chose it.
    pub(crate) selected: bool,
    pub(crate) likeness: [f64; LIKENESSES],
    pub(crate) standing: [f64; STANDINGS],
}

/// Two objects, read.
pub(crate) struct Reader {
    pub(crate) ours: Vec<Reading>,
    pub(crate) theirs: Vec<Reading>,
}

/// A pair of fields with its numbers.
pub(crate) struct Pair {
    pub(crate) ours: usize,
    pub(crate) theirs: usize,
    pub(crate) likeness: [f64; LIKENESSES],
}

impl Reader {
    pub(crate) fn new(source: &Object, target: &Object) -> Self {
        let read = |object: &Object, itself: &Itself| -> Vec<Reading> {
            let mut readings: Vec<Reading> =
                object.fields.iter().map(|field| Reading::new(field, itself)).collect();
            siblings::settle(&mut readings, itself.entity);
            readings
        };
        let (ours, theirs) = Itself::both(source, target);
        Self { ours: read(source, &ours), theirs: read(target, &theirs) }
    }

    /// The pairs worth comparing, with their numbers: those that share a word, a concept, an option or many letters.
    pub(crate) fn pairs(&self) -> Vec<Pair> {
        let mut index: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (at, reading) in self.theirs.iter().enumerate() {
            for key in keys(reading) {
                index.entry(key).or_default().push(at);
            }
        }
        let (ready, their_ready) = likeness::ready(&self.ours, &self.theirs);
        let mut pairs = Vec::new();
        let mut shared = vec![0.0; self.theirs.len()];
        for (ours, reading) in self.ours.iter().enumerate() {
            let mut nearest: Vec<(usize, f64)> = Vec::new();
            for key in keys(reading) {
                // What very many fields have tells nothing about one of them.
                let found = index.get(&key).filter(|found| found.len() <= COMMON);
                let found = found.map_or(&[][..], Vec::as_slice);
                let each = 1.0 / u32::try_from(found.len() + 1).map_or(f64::MAX, f64::from);
                for theirs in found {
                    if shared[*theirs] == 0.0 {
                        nearest.push((*theirs, 0.0));
                    }
                    shared[*theirs] += each;
                }
            }
            for (theirs, score) in &mut nearest {
                *score = std::mem::take(&mut shared[*theirs]);
            }
            nearest.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            nearest.truncate(COMPARED);
            pairs.extend(nearest.into_iter().map(|(theirs, _)| Pair {
                ours,
                theirs,
                likeness: likeness(&ready[ours], &their_ready[theirs]),
            }));
        }
        pairs
    }
}

/// By what a field is found: its words, what it is about, its options, and the beginnings of its words.
fn keys(reading: &Reading) -> BTreeSet<String> {
    let words = reading.name.set.iter().chain(&reading.label.set);
    let mut keys: BTreeSet<String> = words
        .flat_map(|word| {
            let beginning: String = word.chars().take(4).collect();
            [format!("={word}"), format!("~{beginning}")]
        })
        .collect();
    // The same words altogether are found however common each of them is.
    keys.extend([&reading.name, &reading.label].map(|form| format!("!{}", form.set.join(" "))));
    let concepts = reading.about.iter().flat_map(|about| &about.concepts);
    keys.extend(concepts.map(|concept| format!("#{concept}")));
    keys.extend(reading.options.iter().map(|option| format!("@{option}")));
    keys
}

/// The score of a pair by itself, on a scale without ends.
pub(crate) fn alone(coefficients: &Coefficients, likeness: &[f64; LIKENESSES]) -> f64 {
    coefficients.alone.iter().zip(likeness).map(|(weight, number)| weight * number).sum()
}

/// Where each pair stands among those that share a field with it.
pub(crate) fn standings(scores: &[f64], pairs: &[Pair]) -> Vec<[f64; STANDINGS]> {
    let (mut rows, mut columns): (BTreeMap<usize, Best>, BTreeMap<usize, Best>) = Default::default();
    for (score, pair) in scores.iter().zip(pairs) {
        rows.entry(pair.ours).or_default().see(*score);
        columns.entry(pair.theirs).or_default().see(*score);
    }
    let stands = |(score, pair): (&f64, &Pair)| {
        let (row, column) = (rows[&pair.ours].others(*score), columns[&pair.theirs].others(*score));
        let over = |rival: f64| (score - rival).clamp(-6.0, 6.0) / 6.0;
        let yes = |it: bool| if it { 1.0 } else { 0.0 };
        [
            1.0,
            score.clamp(-8.0, 8.0),
            over(row),
            over(column),
            yes(over(row) > 0.0 && over(column) > 0.0),
            pair.likeness[1],
            pair.likeness[4],
        ]
    };
    scores.iter().zip(pairs).map(stands).collect()
}

/// The two best scores seen, none better than a score that nobody would choose.
struct Best {
    first: f64,
    second: f64,
}

/// What a field's having no counterpart at all is worth.
const NOBODY: f64 = -4.0;

impl Default for Best {
    fn default() -> Self {
        Self { first: NOBODY, second: NOBODY }
    }
}

impl Best {
    fn see(&mut self, score: f64) {
        if score > self.first {
            (self.first, self.second) = (score, self.first);
        } else if score > self.second {
            self.second = score;
        }
    }

    /// The best of the others.
    fn others(&self, score: f64) -> f64 {
        if score >= self.first { self.second } else { self.first }
    }
}

/// Two objects, matched.
pub(crate) struct Matched {
    pub(crate) reader: Reader,
    /// The candidates of each source field, the surest first.
    pub(crate) rows: Vec<Vec<Candidate>>,
}

impl Matched {
    /// What the assignment chose for a source field.
    pub(crate) fn chosen(&self, at: usize) -> Option<&Candidate> {
        self.rows[at].iter().find(|candidate| candidate.selected)
    }
}

/// The candidates of each source field, with one choice over the whole pair of objects.
pub(crate) fn candidates(coefficients: &Coefficients, source: &Object, target: &Object) -> Matched {
    let reader = Reader::new(source, target);
    let rows = rank(coefficients, reader.pairs(), source.fields.len(), target);
    Matched { reader, rows }
}

/// Scores pairs, chooses among them, and sorts them by source field.
pub(crate) fn rank(
    coefficients: &Coefficients,
    pairs: Vec<Pair>,
    fields: usize,
    target: &Object,
) -> Vec<Vec<Candidate>> {
    let scores: Vec<f64> = pairs.iter().map(|pair| alone(coefficients, &pair.likeness)).collect();
    let standings = standings(&scores, &pairs);
    let mut ranked: Vec<Vec<Candidate>> = vec![Vec::new(); fields];
    for (pair, standing) in pairs.into_iter().zip(standings) {
        let sum: f64 = coefficients.among.iter().zip(&standing).map(|(weight, number)| weight * number).sum();
        ranked[pair.ours].push(Candidate {
            target: pair.theirs,
            confidence: coefficients.confidence(sum),
            selected: false,
            likeness: pair.likeness,
            standing,
        });
    }
    for row in &mut ranked {
        let name = |candidate: &Candidate| &target.fields[candidate.target].name;
        row.sort_by(|a, b| b.confidence.total_cmp(&a.confidence).then_with(|| name(a).cmp(name(b))));
        row.truncate(MOST);
    }
    let edges: Vec<Vec<Edge>> = ranked
        .iter()
        .map(|row| {
            let sure = row.iter().filter(|candidate| candidate.confidence >= FLOOR);
            sure.map(|candidate| Edge { column: candidate.target, gain: candidate.confidence }).collect()
        })
        .collect();
    for (row, chosen) in ranked.iter_mut().zip(assignment::assign(&edges, target.fields.len())) {
        for candidate in row.iter_mut() {
            candidate.selected = chosen == Some(candidate.target);
        }
    }
    ranked
}
