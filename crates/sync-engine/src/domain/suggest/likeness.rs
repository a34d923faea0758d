//! What speaks for two fields being the same, as numbers. More of each is better or worse, never both, so that a few
//! coefficients weigh them.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{
    kind::Kind,
    reading::{About, Form, Reading, Slot},
};

/// How many numbers there are.
pub(crate) const LIKENESSES: usize = 19;

/// Words that change what a name means however alike the rest is.
const MODIFIERS: &[&str] = &[
    "last",
    "first",
    "next",
    "previous",
    "number",
    "total",
    "average",
    "day",
    "since",
    "recent",
    "open",
    "close",
    "won",
    "lost",
    "original",
    "latest",
    "create",
    "modify",
    "by",
    "date",
    "reason",
    "rate",
    "percent",
    "is",
    "has",
    "not",
    "expected",
    "actual",
    "parent",
    "home",
    "other",
    "secondary",
    "assistant",
    "opt",
    "source",
    "status",
    "owner",
    "calculate",
    "predicted",
    "annual",
    "monthly",
    "currency",
    "code",
    "range",
    "detail",
    "send",
    "receive",
    "weight",
    "convert",
    "id",
    "associate",
    "partner",
    "campaign",
    "preferred",
    "description",
    "change",
    "team",
    "recurring",
];

/// Words of which a name that has one does not mean a name that has another.
const OPPOSITES: [&[&str]; 12] = [
    &["first", "last", "middle", "full", "next", "previous"],
    &["create", "modify", "close", "delete", "convert", "view", "activity", "contacted", "expires"],
    &["won", "lost"],
    &["mobile", "fax", "home", "assistant", "work"],
    &["city", "state", "country", "zip", "street", "county"],
    &["latitude", "longitude"],
    &["billing", "shipping"],
    &["email", "phone", "fax", "website"],
    &["twitter", "facebook", "linkedin", "instagram", "skype", "youtube", "google", "angellist"],
    &["date", "number", "reason", "percent", "name"],
    &["person", "company", "deal", "campaign", "product", "partner", "team"],
    &["expected", "actual"],
];

/// Words that say little beside others.
const GENERIC: &[&str] = &[
    "id",
    "name",
    "code",
    "type",
    "value",
    "text",
    "field",
    "page",
    "url",
    "profile",
    "handle",
    "information",
    "record",
    "is",
    "has",
    "on",
    "at",
    "in",
    "to",
    "custom",
    "account",
    "user",
    "key",
    "label",
    "no",
    "do",
    "address",
    "state_of",
];

/// How telling a word is, by how many fields of the pair's two objects have it.
struct Weights<'a> {
    /// Each word's number and in how many fields it is.
    words: BTreeMap<&'a str, (u32, u32)>,
    fields: f64,
}

impl<'a> Weights<'a> {
    fn new(readings: impl Iterator<Item = &'a Reading>) -> Self {
        let mut words: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
        let mut fields = 0.0;
        for reading in readings {
            fields += 1.0;
            let (name, label) = (&reading.name.set, &reading.label.set);
            let more = label.iter().filter(|word| name.binary_search(word).is_err());
            for word in name.iter().chain(more) {
                words.entry(word).or_default().1 += 1;
            }
        }
        for (number, (own, _)) in words.values_mut().enumerate() {
            *own = u32::try_from(number).unwrap_or(u32::MAX);
        }
        Self { words, fields }
    }

    /// A word, weighed: from nearly 0 for a word of every field to 1 for one of a single pair.
    fn of(&self, word: &str) -> Word {
        let (number, count) = self.words.get(word).copied().unwrap_or_default();
        let count = f64::from(count.max(2));
        let rare = ((1.0 + self.fields / count).ln() / (1.0 + self.fields / 2.0).ln()).clamp(0.1, 1.0);
        let weight = if GENERIC.contains(&word) { 0.3 * rare } else { rare };
        Word { number, weight, counts: word.chars().all(char::is_numeric) }
    }
}

/// A form with its words weighed.
struct Weighed {
    words: Vec<Word>,
    sum: f64,
}

/// A word's number, what it weighs, and whether it only counts.
#[derive(Clone, Copy)]
struct Word {
    number: u32,
    weight: f64,
    counts: bool,
}

/// A field, made ready to be compared with many.
pub(crate) struct Ready {
    /// By its name, and by its label; `letters` and `last` likewise.
    forms: [Weighed; 2],
    letters: [Vec<(char, char)>; 2],
    last: [Option<String>; 2],
    about: Option<About>,
    slot: Slot,
    kind: Kind,
    hinted: Kind,
    numbers: Vec<String>,
    options: Vec<String>,
    /// The modifiers that name or label have, and those that both have, as bits.
    modifiers: (u64, u64),
    /// Per row of the opposites, the words that name or label have, as bits.
    opposites: [u16; OPPOSITES.len()],
}

/// Makes the fields of a pair of objects ready to be compared.
pub(crate) fn ready(ours: &[Reading], theirs: &[Reading]) -> (Vec<Ready>, Vec<Ready>) {
    let weights = Weights::new(ours.iter().chain(theirs));
    let all = |readings: &[Reading]| readings.iter().map(|reading| Ready::new(&weights, reading)).collect();
    (all(ours), all(theirs))
}

impl Ready {
    fn new(weights: &Weights<'_>, reading: &Reading) -> Self {
        let weigh = |form: &Form| {
            let words: Vec<Word> = form.set.iter().map(|word| weights.of(word)).collect();
            Weighed { sum: words.iter().map(|word| word.weight).sum(), words }
        };
        let (name, label) = (&reading.name, &reading.label);
        let has = |form: &Form, word: &str| form.words.iter().any(|one| one == word);
        let bits = |of: &dyn Fn(&str) -> bool| {
            MODIFIERS.iter().enumerate().filter(|(_, word)| of(word)).fold(0, |bits, (at, _)| bits | 1 << at)
        };
        let row = |row: &[&str]| {
            let said = row.iter().enumerate().filter(|(_, word)| has(name, word) || has(label, word));
            said.fold(0, |bits, (at, _)| bits | 1 << at)
        };
        Self {
            forms: [weigh(name), weigh(label)],
            letters: [name.pairs.clone(), label.pairs.clone()],
            last: [last(name), last(label)],
            about: reading.about.clone(),
            slot: reading.slot,
            kind: reading.kind,
            hinted: reading.hint.filter(|_| vague(reading.kind)).unwrap_or(reading.kind),
            numbers: numbers(name, label),
            options: reading.options.clone(),
            modifiers: (
                bits(&|word| has(name, word) || has(label, word)),
                bits(&|word| has(name, word) && has(label, word)),
            ),
            opposites: OPPOSITES.map(row),
        }
    }
}

/// Two forms compared.
#[derive(Clone, Copy, Default)]
struct Compared {
    /// Shared words over all words, weighted.
    shared: f64,
    /// The weight of the words that only one has.
    left_over: f64,
    letters: f64,
}

/// The numbers of a pair of fields.
pub(crate) fn likeness(ours: &Ready, theirs: &Ready) -> [f64; LIKENESSES] {
    let compared = |a: usize, b: usize| {
        let (left, right) = (&ours.forms[a], &theirs.forms[b]);
        Compared { letters: letters(&ours.letters[a], &theirs.letters[b]), ..compare(left, right) }
    };
    let (names, labels) = (compared(0, 0), compared(1, 1));
    let all = [names, labels, compared(0, 1), compared(1, 0)];
    let most = |of: fn(&Compared) -> f64| all.iter().map(of).fold(0.0, f64::max);
    let least = |of: fn(&Compared) -> f64| all.iter().map(of).fold(f64::INFINITY, f64::min);
    let (same, other, one) = concepts(ours, theirs);
    let fits = fits(ours, theirs);
    let yes = |it: bool| if it { 1.0 } else { 0.0 };
    let (modifiers, opposites) = modifiers(ours, theirs);
    let (slot_differs, slot_same) = slots(ours.slot, theirs.slot);
    [
        1.0,
        same,
        other,
        one,
        yes(most(|compared| compared.shared) > 0.999),
        most(|compared| compared.shared),
        0.5 * (names.shared + labels.shared),
        most(|compared| compared.letters),
        least(|compared| compared.left_over).min(2.0),
        modifiers,
        fits,
        yes(fits == 0.0),
        opposites,
        slot_differs,
        slot_same,
        yes(ours.numbers != theirs.numbers),
        options(ours, theirs),
        yes(ours.last[0] == theirs.last[0] || ours.last[1] == theirs.last[1]),
        names.left_over.max(labels.left_over).min(3.0),
    ]
}

fn compare(ours: &Weighed, theirs: &Weighed) -> Compared {
    if ours.words.is_empty() || theirs.words.is_empty() {
        return Compared { left_over: 2.0, ..Compared::default() };
    }
    let (mut left, mut right, mut shared, mut telling) = (0, 0, 0.0, false);
    while let (Some(our), Some(their)) = (ours.words.get(left), theirs.words.get(right)) {
        match our.number.cmp(&their.number) {
            Ordering::Less => left += 1,
            Ordering::Greater => right += 1,
            Ordering::Equal => {
                (left, right, shared) = (left + 1, right + 1, shared + our.weight);
                telling |= !our.counts;
            }
        }
    }
    let all = ours.sum + theirs.sum - shared;
    // "field 7" and "custom 7" have nothing in common but the number: each is the seventh of something.
    if !telling && shared < all {
        shared = 0.0;
    }
    Compared { shared: shared / all, left_over: all - shared, ..Compared::default() }
}

/// Dice's coefficient over neighbouring letters.
fn letters(ours: &[(char, char)], theirs: &[(char, char)]) -> f64 {
    if ours.is_empty() || theirs.is_empty() {
        return 0.0;
    }
    let (mut left, mut right, mut both) = (0, 0, 0_u32);
    while left < ours.len() && right < theirs.len() {
        match ours[left].cmp(&theirs[right]) {
            Ordering::Less => left += 1,
            Ordering::Greater => right += 1,
            Ordering::Equal => (left, right, both) = (left + 1, right + 1, both + 1),
        }
    }
    let all = u32::try_from(ours.len() + theirs.len()).unwrap_or(u32::MAX);
    2.0 * f64::from(both) / f64::from(all)
}

/// Whether both are about the same, about different things, or only one is known.
fn concepts(ours: &Ready, theirs: &Ready) -> (f64, f64, f64) {
    match (&ours.about, &theirs.about) {
        (Some(ours), Some(theirs)) => {
            let strength = ours.strength * theirs.strength;
            let same = ours.concepts.iter().any(|concept| theirs.concepts.contains(concept));
            if same { (strength, 0.0, 0.0) } else { (0.0, strength, 0.0) }
        }
        (None, None) => (0.0, 0.0, 0.0),
        _ => (0.0, 0.0, 1.0),
    }
}

/// How well the values fit, by the declared types and, where one is vague, by what its name says.
fn fits(ours: &Ready, theirs: &Ready) -> f64 {
    let declared = ours.kind.fits(theirs.kind);
    if !vague(ours.kind) && !vague(theirs.kind) {
        return declared;
    }
    0.3 * declared + 0.7 * ours.hinted.fits(theirs.hinted)
}

/// Whether vendors give this type to fields of other kinds, too.
const fn vague(kind: Kind) -> bool {
    matches!(kind, Kind::Text | Kind::Unknown | Kind::Number)
}

/// How many modifiers differ, and whether words are opposed.
fn modifiers(ours: &Ready, theirs: &Ready) -> (f64, f64) {
    let ((any_a, both_a), (any_b, both_b)) = (ours.modifiers, theirs.modifiers);
    let differ = (both_a & !any_b | both_b & !any_a).count_ones().min(3);
    let opposed = ours.opposites.iter().zip(theirs.opposites).any(|(a, b)| *a != 0 && b != 0 && a & b == 0);
    (f64::from(differ) / 3.0, if opposed { 1.0 } else { 0.0 })
}

fn slots(ours: Slot, theirs: Slot) -> (f64, f64) {
    match (ours, theirs) {
        (Slot::Any, Slot::Any) => (0.0, 0.0),
        (a, b) if a == b => (0.0, 1.0),
        (Slot::Any | Slot::First, Slot::Any | Slot::First) => (0.0, 0.3),
        (Slot::Any, _) | (_, Slot::Any) => (0.5, 0.0),
        _ => (1.0, 0.0),
    }
}

/// The numbers in a name, as in `address2`, but 1 is none.
fn numbers(name: &Form, label: &Form) -> Vec<String> {
    let of = |form: &Form| -> Vec<String> {
        let number = |word: &&String| word.chars().all(char::is_numeric) && *word != "1";
        form.words.iter().filter(number).cloned().collect()
    };
    let numbers = of(label);
    if numbers.is_empty() { of(name) } else { numbers }
}

/// How much two lists of options overlap: above 0 when they do, below when they do not, 0 when one has none.
fn options(ours: &Ready, theirs: &Ready) -> f64 {
    if ours.options.is_empty() || theirs.options.is_empty() {
        return 0.0;
    }
    let shared = ours.options.iter().filter(|option| theirs.options.binary_search(option).is_ok()).count();
    let least = ours.options.len().min(theirs.options.len());
    let part = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
    part(shared) / part(least) - 0.15
}

/// The last word that is no number: what kind of thing the field is.
fn last(form: &Form) -> Option<String> {
    let telling = |word: &&String| !word.chars().all(char::is_numeric) && *word != "id";
    form.words.iter().rev().find(telling).cloned()
}
