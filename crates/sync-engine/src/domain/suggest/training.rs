//! How the coefficients are learned, from a folder of known pairs (`schemas/*.json`, `gold/*.json`) and from the systems
//! in `tests/mapping`: a logistic model of the pairs by themselves and one of where they stand among their rivals, each
//! coefficient held to the sign that makes sense.

use super::{
    field::Object,
    files::Schema,
    lexicon::Concept,
    likeness::{LIKENESSES, NAMES},
    matcher::{self, Pair, Reader},
    weights::{Coefficients, LEARNED, STANDINGS},
    worth::{self, TEXTS, Tally, verdict},
};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub(crate) type Names = BTreeSet<(String, String)>;

/// A pair of objects with what is known to correspond.
pub(crate) struct Known {
    /// What the pair of objects is called, `{a}__{b}`.
    pub(crate) pair: String,
    pub(crate) source: Object,
    pub(crate) target: Object,
    pub(crate) right: Names,
    pub(crate) also_right: Names,
    pub(crate) ignored: Names,
}

impl Known {
    /// Whose objects these are.
    fn vendors(&self) -> BTreeSet<&str> {
        [&self.source, &self.target].map(|object| object.name.split('.').next().unwrap()).into()
    }

    /// Whether a pair of fields is right; none when nobody can say.
    pub(crate) fn is_right(&self, ours: usize, theirs: usize) -> Option<bool> {
        let names = (self.source.fields[ours].name.clone(), self.target.fields[theirs].name.clone());
        (!self.ignored.contains(&names))
            .then(|| self.right.contains(&names) || self.also_right.contains(&names))
    }
}

/// One object pair, compared once.
pub(crate) struct Compared<'a> {
    pub(crate) known: &'a Known,
    pub(crate) pairs: Vec<Pair>,
}

/// Compares all; `unknown` says which concepts of the lexicon are to be left unused, as if nobody had written them down.
pub(crate) fn compare<'a>(known: &'a [Known], unknown: &dyn Fn(Concept) -> bool) -> Vec<Compared<'a>> {
    let compare = |known: &'a Known| {
        let mut reader = Reader::new(&known.source, &known.target);
        for reading in reader.ours.iter_mut().chain(&mut reader.theirs) {
            if reading
                .about
                .as_ref()
                .is_some_and(|about| about.concepts.iter().any(|concept| unknown(*concept)))
            {
                reading.about = None;
            }
        }
        Compared { known, pairs: reader.pairs() }
    };
    known.iter().map(compare).collect()
}

/// Signs of the likenesses: 1 may only speak for, -1 only against, 0 either.
const SIGNS: [i8; LIKENESSES] = [0, 1, -1, -1, 1, 1, 1, 1, -1, -1, 1, -1, -1, -1, 1, -1, 1, 1, -1];
const STANDING_SIGNS: [i8; STANDINGS] = [0, 1, 1, 1, 1, 1, 1];

/// Learns both steps from these.
pub(crate) fn learn(compared: &[&Compared<'_>]) -> Coefficients {
    let mut coefficients = Coefficients { alone: learn_alone(compared), among: [0.0; STANDINGS], ..LEARNED };
    let mut rows = Vec::new();
    for one in compared {
        let scores: Vec<f64> =
            one.pairs.iter().map(|pair| matcher::alone(&coefficients, &pair.likeness)).collect();
        for (pair, standing) in one.pairs.iter().zip(matcher::standings(&scores, &one.pairs)) {
            if standing[1] > -6.0
                && let Some(right) = one.known.is_right(pair.ours, pair.theirs)
            {
                rows.push((standing, right, weight(one)));
            }
        }
    }
    coefficients.among = fit(&rows, STANDING_SIGNS, 2.0);
    coefficients
}

fn learn_alone(compared: &[&Compared<'_>]) -> [f64; LIKENESSES] {
    let mut rows = Vec::new();
    for one in compared {
        for pair in &one.pairs {
            if let Some(right) = one.known.is_right(pair.ours, pair.theirs) {
                rows.push((pair.likeness, right, weight(one)));
            }
        }
    }
    fit(&rows, SIGNS, 2.0)
}

/// Large objects count more than small ones, but not by all their wrong pairs.
fn weight(one: &Compared<'_>) -> f64 {
    1.0 / (one.pairs.len() as f64).sqrt()
}

/// Logistic regression by coordinate-wise Newton steps, with a penalty on squares and coefficients held to their signs.
fn fit<const N: usize>(rows: &[([f64; N], bool, f64)], signs: [i8; N], penalty: f64) -> [f64; N] {
    let total: f64 = rows.iter().map(|(_, _, weight)| weight).sum();
    let scale = rows.len() as f64 / total;
    let mut weights = [0.0; N];
    let mut sums = vec![0.0_f64; rows.len()];
    for _ in 0..200 {
        let mut moved = 0.0_f64;
        for at in 0..N {
            let (mut slope, mut bend) = (0.0, 1e-9);
            for ((numbers, right, weight), sum) in rows.iter().zip(&sums) {
                if numbers[at] != 0.0 {
                    let p = 1.0 / (1.0 + (-sum).exp());
                    let y = if *right { 1.0 } else { 0.0 };
                    slope += weight * scale * (y - p) * numbers[at];
                    bend += weight * scale * p * (1.0 - p) * numbers[at] * numbers[at];
                }
            }
            if at > 0 {
                slope -= penalty * weights[at];
                bend += penalty;
            }
            let mut to = weights[at] + (slope / bend).clamp(-1.0, 1.0);
            match signs[at] {
                1 => to = to.max(0.0),
                -1 => to = to.min(0.0),
                _ => {}
            }
            let step = to - weights[at];
            if step != 0.0 {
                weights[at] = to;
                for ((numbers, _, _), sum) in rows.iter().zip(&mut sums) {
                    *sum += step * numbers[at];
                }
            }
            moved = moved.max(step.abs());
        }
        if moved < 1e-3 {
            break;
        }
    }
    weights
}

fn object(folder: &Path, name: &str) -> Object {
    let bytes = fs::read(folder.join("schemas").join(format!("{name}.json"))).unwrap();
    Schema::read(name, &bytes).unwrap().into_object()
}

fn load(folder: &Path) -> Vec<Known> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder.join("gold")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let known = |path: &PathBuf| {
        let gold: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        let names = |key: &str| -> Names {
            gold.get(key).map(|pairs| serde_json::from_value(pairs.clone()).unwrap()).unwrap_or_default()
        };
        Known {
            pair: path.file_stem().unwrap().to_str().unwrap().to_owned(),
            source: object(folder, gold["a"].as_str().unwrap()),
            target: object(folder, gold["b"].as_str().unwrap()),
            right: names("pairs"),
            also_right: names("also_correct"),
            ignored: names("ignore"),
        }
    };
    paths.iter().map(known).collect()
}

/// A number from 0 to 1 that depends on these two only.
fn chance(seed: u64, concept: Concept) -> f64 {
    let mut bits = (u64::from(concept) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits ^= seed.wrapping_mul(0xD1B5_4A32_D192_ED03);
    bits ^= bits >> 31;
    bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^= bits >> 29;
    (bits % 1000) as f64 / 1000.0
}

/// The systems in `tests/mapping`, each with each.
fn written_down() -> Vec<Known> {
    let mut known = Vec::new();
    for all in TEXTS.map(worth::read) {
        for (at, ours) in all.iter().enumerate() {
            for theirs in &all[at + 1..] {
                let (mut right, mut ignored) = (Names::new(), Names::new());
                for (field, topics) in ours.object.fields.iter().zip(&ours.topics) {
                    for (other, others) in theirs.object.fields.iter().zip(&theirs.topics) {
                        let names = (field.name.clone(), other.name.clone());
                        let judged = match verdict(topics, others) {
                            Some(true) => &mut right,
                            None => &mut ignored,
                            Some(false) => continue,
                        };
                        judged.insert(names);
                    }
                }
                let (source, target) = (ours.object.clone(), theirs.object.clone());
                let pair = format!("{}__{}", source.name, target.name);
                known.push(Known { pair, source, target, right, also_right: Names::new(), ignored });
            }
        }
    }
    known
}

/// All of it, and so many times with four tenths of the lexicon left unused.
fn lessons(known: &[Known], seeds: std::ops::RangeInclusive<u64>) -> Vec<Compared<'_>> {
    let mut lessons = compare(known, &|_| false);
    for seed in seeds {
        lessons.extend(compare(known, &|concept| chance(seed, concept) < 0.4));
    }
    lessons
}

/// What these coefficients say of one object pair, as JSON lines.
fn predictions(coefficients: &Coefficients, known: &Known) -> String {
    let matched = matcher::candidates(coefficients, &known.source, &known.target);
    let mut lines = String::new();
    for (ours, row) in known.source.fields.iter().zip(&matched.rows) {
        for one in row {
            let line = serde_json::json!({
                "pair": known.pair, "source": ours.name, "target": known.target.fields[one.target].name,
                "confidence": one.confidence, "selected": one.selected,
            });
            lines.push_str(&format!("{line}\n"));
        }
    }
    lines
}

#[test]
#[ignore = "learns for minutes from a folder of known pairs: ACCORD_GOLD=folder ACCORD_OUT=folder"]
fn what_is_left_out_is_predicted() {
    let known = load(Path::new(&std::env::var("ACCORD_GOLD").unwrap()));
    let out = PathBuf::from(std::env::var("ACCORD_OUT").unwrap());
    let written = written_down();
    let (from, also) = (lessons(&known, 1..=3), lessons(&written, 4..=4));
    let learn_without = |left_out: LeftOut<'_>| {
        learn(&from.iter().chain(&also).filter(|one| !left_out(one.known)).collect::<Vec<_>>())
    };
    let write = |name: &str, coefficients: &Coefficients, of: &dyn Fn(&Known) -> bool| {
        let lines: String =
            known.iter().filter(|one| of(one)).map(|one| predictions(coefficients, one)).collect();
        fs::write(out.join(format!("{name}.jsonl")), lines).unwrap();
    };
    let vendors: BTreeSet<&str> = known.iter().flat_map(Known::vendors).collect();
    for vendor in vendors {
        let has = |one: &Known| one.vendors().contains(vendor);
        write(vendor, &learn_without(&has), &has);
    }
    let pairs: BTreeSet<BTreeSet<&str>> = known.iter().map(Known::vendors).collect();
    for (number, pair) in pairs.iter().enumerate() {
        let is = |one: &Known| one.vendors() == *pair;
        write(&format!("pair{number}"), &learn_without(&is), &is);
    }
    println!("other systems, a fifth left out in turn: {}", fifths(&written, &learn_without).told());
}

/// What is not learned from.
type LeftOut<'a> = &'a dyn Fn(&Known) -> bool;

/// Each system in `tests/mapping`, by coefficients learned without a fifth of them that it belongs to.
fn fifths(written: &[Known], learn_without: &dyn Fn(LeftOut<'_>) -> Coefficients) -> Tally {
    let vendors: BTreeSet<&str> = written.iter().flat_map(Known::vendors).collect();
    let part = |vendor: &str| vendors.iter().position(|one| *one == vendor).map(|at| at % 5);
    let mut tally = Tally::default();
    for fifth in 0..5 {
        let learned = learn_without(&|one| one.vendors().iter().any(|vendor| part(vendor) == Some(fifth)));
        for all in TEXTS.map(worth::read) {
            for (at, ours) in all.iter().enumerate() {
                let vendor = ours.object.name.split('.').next().unwrap();
                for theirs in all[at + 1..].iter().filter(|_| part(vendor) == Some(fifth)) {
                    tally.count(ours, theirs, &matcher::candidates(&learned, &ours.object, &theirs.object));
                }
            }
        }
    }
    tally
}

#[test]
#[ignore = "learns for minutes from a folder of known pairs: ACCORD_GOLD=folder"]
fn coefficients_are_learned_again() {
    let known = load(Path::new(&std::env::var("ACCORD_GOLD").unwrap()));
    let written = written_down();
    let (from, also) = (lessons(&known, 1..=3), lessons(&written, 4..=4));
    let learned = learn(&from.iter().chain(&also).collect::<Vec<_>>());
    for (name, weight) in NAMES.iter().zip(learned.alone) {
        println!("{name:<20} {weight:8.4}");
    }
    println!("among {:?}", learned.among);
}
