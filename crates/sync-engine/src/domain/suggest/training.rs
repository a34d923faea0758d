//! How the coefficients are learned, from the systems in `tests/mapping`: a logistic model of the pairs by themselves and
//! one of where they stand among their rivals, each coefficient held to the sign that makes sense.

use std::collections::BTreeSet;

use super::{
    lexicon::Concept,
    likeness::LIKENESSES,
    matcher::{self, Pair, Reader},
    weights::{Coefficients, LEARNED, STANDINGS},
    worth::{TEXTS, Tally, Written, read, verdict},
};

/// Signs of the likenesses: 1 may only speak for, -1 only against, 0 either.
const SIGNS: [i8; LIKENESSES] = [0, 1, -1, -1, 1, 1, 1, 1, -1, -1, 1, -1, -1, -1, 1, -1, 1, 1, -1];
const STANDING_SIGNS: [i8; STANDINGS] = [0, 1, 1, 1, 1, 1, 1];

/// How much large coefficients cost.
const PENALTY: f64 = 2.0;

/// The part of the lexicon that is left unused the second time, as if nobody had written it down, so that the
/// coefficients know fields of which nobody thought.
const UNKNOWN: f64 = 0.4;

/// A shorter step is none.
const STILL: f64 = 1e-3;

/// Two objects, compared.
pub(super) struct Lesson<'a> {
    pub(super) ours: &'a Written,
    pub(super) theirs: &'a Written,
    pairs: Vec<Pair>,
}

impl Lesson<'_> {
    fn is_right(&self, pair: &Pair) -> Option<bool> {
        verdict(&self.ours.topics[pair.ours], &self.theirs.topics[pair.theirs])
    }

    /// Large objects count more than small ones, but not by all their wrong pairs.
    fn weight(&self) -> f64 {
        1.0 / (self.pairs.len() as f64).sqrt()
    }
}

/// All systems of each text, each with each, twice: with all that the lexicon knows and with a part of it.
pub(super) fn lessons(texts: &[Vec<Written>]) -> Vec<Lesson<'_>> {
    let mut lessons = Vec::new();
    for systems in texts {
        for (at, ours) in systems.iter().enumerate() {
            for theirs in &systems[at + 1..] {
                let whole = compare(ours, theirs, &|_| false);
                let part = compare(ours, theirs, &|concept| chance(concept) < UNKNOWN);
                lessons.extend([whole, part].map(|pairs| Lesson { ours, theirs, pairs }));
            }
        }
    }
    lessons
}

fn compare(ours: &Written, theirs: &Written, unknown: &dyn Fn(Concept) -> bool) -> Vec<Pair> {
    let mut reader = Reader::new(&ours.object, &theirs.object);
    for reading in reader.ours.iter_mut().chain(&mut reader.theirs) {
        reading.about.take_if(|about| about.concepts.iter().any(|concept| unknown(*concept)));
    }
    reader.pairs()
}

/// A number from 0 to 1 that depends on the concept only.
fn chance(concept: Concept) -> f64 {
    let mut bits = (u64::from(concept) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^= bits >> 31;
    bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^= bits >> 29;
    (bits % 1000) as f64 / 1000.0
}

/// A pair of fields to learn from.
struct Row<const N: usize> {
    numbers: [f64; N],
    right: bool,
    weight: f64,
}

/// Learns both steps from these. It begins at the coefficients that are known, for there is one best answer only, and from
/// nearby the way is short.
pub(super) fn learn(lessons: &[&Lesson<'_>]) -> Coefficients {
    let likeness = |lesson: &Lesson<'_>| lesson.pairs.iter().map(|pair| pair.likeness).collect();
    let alone = fit(&rows(lessons, &likeness), SIGNS, LEARNED.alone);
    let coefficients = Coefficients { alone, ..LEARNED };
    let standings = |lesson: &Lesson<'_>| {
        let scores: Vec<f64> =
            lesson.pairs.iter().map(|pair| matcher::alone(&coefficients, &pair.likeness)).collect();
        matcher::standings(&scores, &lesson.pairs)
    };
    Coefficients { among: fit(&rows(lessons, &standings), STANDING_SIGNS, LEARNED.among), ..coefficients }
}

fn rows<const N: usize>(
    lessons: &[&Lesson<'_>],
    numbers: &dyn Fn(&Lesson<'_>) -> Vec<[f64; N]>,
) -> Vec<Row<N>> {
    let mut rows = Vec::new();
    for lesson in lessons {
        for (pair, numbers) in lesson.pairs.iter().zip(numbers(lesson)) {
            if let Some(right) = lesson.is_right(pair) {
                rows.push(Row { numbers, right, weight: lesson.weight() });
            }
        }
    }
    rows
}

/// Logistic regression by Newton's steps, with a penalty on squares and coefficients held to their signs.
fn fit<const N: usize>(rows: &[Row<N>], signs: [i8; N], known: [f64; N]) -> [f64; N] {
    let total: f64 = rows.iter().map(|row| row.weight).sum();
    let scale = rows.len() as f64 / total;
    let mut weights = known;
    for _ in 0..60 {
        let (mut slopes, mut bends) = ([0.0; N], [[0.0; N]; N]);
        for row in rows {
            let sum: f64 = weights.iter().zip(&row.numbers).map(|(weight, number)| weight * number).sum();
            let p = 1.0 / (1.0 + (-sum).exp());
            let missed = row.weight * scale * (f64::from(u8::from(row.right)) - p);
            let bend = row.weight * scale * p * (1.0 - p);
            for (at, number) in row.numbers.iter().enumerate().filter(|(_, number)| **number != 0.0) {
                slopes[at] += missed * number;
                for (to, other) in bends[at].iter_mut().zip(&row.numbers) {
                    *to += bend * number * other;
                }
            }
        }
        for at in 1..N {
            slopes[at] -= PENALTY * weights[at];
            bends[at][at] += PENALTY;
        }
        let steps = steps(&slopes, &bends, &weights, signs);
        let longest = steps.iter().fold(0.0_f64, |longest, step| longest.max(step.abs()));
        for (weight, step) in weights.iter_mut().zip(steps) {
            *weight += step / longest.max(1.0);
        }
        if longest < STILL {
            break;
        }
    }
    weights
}

/// The steps to where the slopes would end, were the bends the same everywhere, that keep all weights to their signs.
fn steps<const N: usize>(
    slopes: &[f64; N],
    bends: &[[f64; N]; N],
    weights: &[f64; N],
    signs: [i8; N],
) -> [f64; N] {
    let mut steps = [0.0; N];
    for _ in 0..500 {
        let mut moved = 0.0_f64;
        for at in 0..N {
            let others: f64 =
                (0..N).filter(|other| *other != at).map(|other| bends[at][other] * steps[other]).sum();
            let to = weights[at] + (slopes[at] - others) / (bends[at][at] + 1e-9);
            let to = match signs[at] {
                1 => to.max(0.0),
                -1 => to.min(0.0),
                _ => to,
            };
            moved = moved.max((to - weights[at] - steps[at]).abs());
            steps[at] = to - weights[at];
        }
        if moved < STILL / 100.0 {
            break;
        }
    }
    steps
}

fn systems() -> Vec<Vec<Written>> {
    TEXTS.map(read).into()
}

#[test]
fn the_coefficients_are_what_the_systems_teach() {
    let texts = systems();
    let learned = learn(&lessons(&texts).iter().collect::<Vec<_>>());

    let known = LEARNED.alone.iter().chain(&LEARNED.among);
    let off = learned.alone.iter().chain(&learned.among).zip(known).map(|(now, known)| (now - known).abs());
    let worst = off.fold(0.0, f64::max);
    assert!(
        worst < 0.01,
        "lexicon, numbers or systems changed: put these into weights.rs\nalone: {:.4?},\namong: {:.4?},",
        learned.alone,
        learned.among
    );
}

#[test]
fn what_half_of_the_systems_teach_holds_for_the_other_half() {
    let texts = systems();
    let lessons = lessons(&texts);
    let names: BTreeSet<&str> = texts.iter().flatten().map(Written::system).collect();
    let half = |written: &Written| names.iter().position(|name| *name == written.system()).map(|at| at % 2);
    let mut tally = Tally::default();
    for learned_from in [Some(0), Some(1)] {
        let is = |written: &Written| half(written) == learned_from;
        let known: Vec<&Lesson<'_>> =
            lessons.iter().filter(|lesson| is(lesson.ours) && is(lesson.theirs)).collect();
        let learned = learn(&known);
        // Each second lesson is the one with a part of the lexicon.
        for lesson in lessons.iter().step_by(2).filter(|lesson| !is(lesson.ours) && !is(lesson.theirs)) {
            let (ours, theirs) = (lesson.ours, lesson.theirs);
            tally.count(ours, theirs, &matcher::candidates(&learned, &ours.object, &theirs.object));
        }
    }
    tally.assert_good();
}
