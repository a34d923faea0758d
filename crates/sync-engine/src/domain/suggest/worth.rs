//! What the suggestions are worth on other systems: fields of CRMs and of tables that people made themselves, each with
//! what it is about, in `tests/mapping`. Fields of two objects that are about the same correspond. The numbers must not
//! fall.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    AUTO,
    field::{Field, Object},
    matcher::{self, Matched},
    weights::LEARNED,
};

/// The systems, in the order in which they were written down: those of one text have objects of one kind.
pub(super) const TEXTS: [&str; 16] = [
    include_str!("../../../tests/mapping/first/company.txt"),
    include_str!("../../../tests/mapping/first/contact.txt"),
    include_str!("../../../tests/mapping/first/deal.txt"),
    include_str!("../../../tests/mapping/first/lead.txt"),
    include_str!("../../../tests/mapping/second/company.txt"),
    include_str!("../../../tests/mapping/second/contact.txt"),
    include_str!("../../../tests/mapping/second/deal.txt"),
    include_str!("../../../tests/mapping/second/lead.txt"),
    include_str!("../../../tests/mapping/third/company.txt"),
    include_str!("../../../tests/mapping/third/contact.txt"),
    include_str!("../../../tests/mapping/third/deal.txt"),
    include_str!("../../../tests/mapping/third/lead.txt"),
    include_str!("../../../tests/mapping/fourth/company.txt"),
    include_str!("../../../tests/mapping/fourth/contact.txt"),
    include_str!("../../../tests/mapping/fourth/deal.txt"),
    include_str!("../../../tests/mapping/fourth/lead.txt"),
];

/// What a field is about; with `~` near enough that nobody can call the pair right or wrong.
pub(super) type Topics = BTreeSet<String>;

pub(super) struct Written {
    pub(super) object: Object,
    pub(super) topics: Vec<Topics>,
}

impl Written {
    /// Whose object it is.
    pub(super) fn system(&self) -> &str {
        self.object.name.split('.').next().unwrap_or_default()
    }
}

pub(super) fn read(text: &str) -> Vec<Written> {
    let mut all: Vec<Written> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if let Some(name) = line.strip_prefix("## ") {
            let object = Object { name: name.to_owned(), fields: Vec::new() };
            all.push(Written { object, topics: Vec::new() });
            continue;
        }
        let parts: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let known = all.last_mut().unwrap();
        let options = parts.get(4).into_iter().flat_map(|options| options.split("; ")).map(str::to_owned);
        known.object.fields.push(Field {
            name: parts[0].to_owned(),
            label: parts[1].to_owned(),
            kind: parts[2].to_owned(),
            options: options.collect(),
            ..Field::default()
        });
        known.topics.push(parts[3].split(',').filter(|topic| *topic != "-").map(str::to_owned).collect());
    }
    all
}

/// Whether two fields correspond; none when nobody can say.
pub(super) fn verdict(ours: &Topics, theirs: &Topics) -> Option<bool> {
    let sure = |topics: &Topics| -> Topics {
        topics.iter().filter(|topic| !topic.starts_with('~')).cloned().collect()
    };
    let near = |topics: &Topics| -> Topics {
        topics.iter().map(|topic| topic.trim_start_matches('~').to_owned()).collect()
    };
    if !sure(ours).is_disjoint(&sure(theirs)) {
        return Some(true);
    }
    near(ours).is_disjoint(&near(theirs)).then_some(false)
}

#[derive(Default)]
pub(super) struct Tally {
    gold: f64,
    right: f64,
    wrong: f64,
    auto_right: f64,
    auto_wrong: f64,
    ranks: Vec<f64>,
    bins: BTreeMap<u8, (f64, f64, f64)>,
}

impl Tally {
    pub(super) fn count(&mut self, ours: &Written, theirs: &Written, matched: &Matched) {
        let mut taken = BTreeSet::new();
        for (at, topics) in ours.topics.iter().enumerate() {
            let verdict = |target: usize| verdict(topics, &theirs.topics[target]);
            if (0..theirs.topics.len()).any(|target| verdict(target) == Some(true)) {
                self.gold += 1.0;
                let judged = matched.rows[at].iter().filter(|candidate| verdict(candidate.target).is_some());
                let rank = judged.zip(1..).find(|(candidate, _)| verdict(candidate.target) == Some(true));
                self.ranks.push(rank.map_or(0.0, |(_, rank)| 1.0 / f64::from(rank)));
            }
            let Some(chosen) = matched.chosen(at) else { continue };
            assert!(taken.insert(chosen.target), "one field is given to two");
            let Some(right) = verdict(chosen.target) else { continue };
            let yes = f64::from(u8::from(right));
            self.right += yes;
            self.wrong += 1.0 - yes;
            if chosen.confidence >= AUTO {
                self.auto_right += yes;
                self.auto_wrong += 1.0 - yes;
            }
            let bin = (0..9).find(|bin| chosen.confidence < f64::from(bin + 1) / 10.0).unwrap_or(9);
            let bin = self.bins.entry(bin).or_default();
            *bin = (bin.0 + 1.0, bin.1 + chosen.confidence, bin.2 + yes);
        }
    }

    fn precision(&self) -> f64 {
        self.right / (self.right + self.wrong)
    }

    fn f1(&self) -> f64 {
        let recall = self.right / self.gold;
        2.0 * self.precision() * recall / (self.precision() + recall)
    }

    fn mean_reciprocal_rank(&self) -> f64 {
        self.ranks.iter().sum::<f64>() / self.gold
    }

    fn calibration_error(&self) -> f64 {
        let off: f64 = self.bins.values().map(|(_, told, right)| (told - right).abs()).sum();
        off / (self.right + self.wrong)
    }

    /// All of it in a line.
    pub(super) fn told(&self) -> String {
        let (precision, recall) = self.auto();
        format!(
            "{} pairs: F1 {:.3}, reciprocal rank {:.3}, calibration error {:.3}, by itself {precision:.3} of {recall:.3}",
            self.gold,
            self.f1(),
            self.mean_reciprocal_rank(),
            self.calibration_error(),
        )
    }

    /// The numbers must not fall.
    pub(super) fn assert_good(&self) {
        let (precision, recall) = self.auto();
        let (f1, rank, error) = (self.f1(), self.mean_reciprocal_rank(), self.calibration_error());
        println!("{}", self.told());
        assert!(f1 >= 0.95, "F1 {f1}");
        assert!(rank >= 0.97, "mean reciprocal rank {rank}");
        assert!(error <= 0.02, "expected calibration error {error}");
        assert!(precision >= 0.985 && recall >= 0.7, "auto-mapped {precision} of {recall}");
    }

    fn auto(&self) -> (f64, f64) {
        (self.auto_right / (self.auto_right + self.auto_wrong), self.auto_right / self.gold)
    }
}

#[test]
fn on_other_systems_the_suggestions_are_as_good_as_ever() {
    let mut tally = Tally::default();
    for all in TEXTS.map(read) {
        for (at, ours) in all.iter().enumerate() {
            for theirs in &all[at + 1..] {
                tally.count(ours, theirs, &matcher::candidates(&LEARNED, &ours.object, &theirs.object));
            }
        }
    }
    tally.assert_good();
}
