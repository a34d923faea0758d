//! A field as the matcher reads it: its words, what it is about, which of several addresses it belongs to.

use std::collections::BTreeMap;

use super::{
    field::{Field, Object},
    kind::Kind,
    lexicon::{Concept, Entity, lexicon},
    words,
};

/// Words in front of a custom field's internal name that vendors and their customers put there.
const PREFIXES: &[&str] = &[
    "hs",
    "hubspot",
    "cf",
    "cust",
    "custom",
    "custentity",
    "custbody",
    "custrecord",
    "new",
    "udf",
    "uf",
    "u",
    "x",
    "sf",
    "sfdc",
    "msdyn",
    "mc",
    "prop",
    "property",
    "attr",
    "attribute",
    "field",
    "fld",
    "zcrm",
    "ud",
    "ns",
    "crm",
    "mkto",
    "remote",
];

/// Words that may be left out to find what a name is about.
const NOISE: &[&str] = &[
    "field",
    "value",
    "information",
    "text",
    "custom",
    "detail",
    "data",
    "reference",
    "utc",
    "gmt",
    "code",
    "flag",
    "indicator",
    "formatted",
    "party",
    "1",
    "current",
    "lcy",
    "usd",
    "eur",
];

/// What may be left out where a word is `key`.
const KEYS: &[&str] = &["key", "id", "source", "reference"];

/// Words that say nothing beside one of those behind them.
const NEEDLESS: &[(&str, &[&str])] = &[
    ("address", &["email"]),
    ("smtp", &["email"]),
    ("date", &["birthday"]),
    ("full", &["phone", "fax", "mobile"]),
    ("number", &["phone", "fax", "mobile"]),
    ("phone", &["fax", "mobile"]),
    ("amount", &["revenue", "value", "forecast"]),
];

/// Systems whose names customers put before what came from there.
const SYSTEMS: &[&str] = &["sfdc", "crm"];

/// Which of an object's several addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// It does not say.
    Any,
    /// The one that counts: billing, mailing, main.
    First,
    /// Another one: shipping, other.
    Second,
    /// At home.
    Home,
}

const SLOTS: &[(Slot, &[&str])] = &[
    (
        Slot::First,
        &[
            "billing",
            "bill",
            "mailing",
            "primary",
            "main",
            "business",
            "work",
            "headquarters",
            "office",
            "invoice",
            "legal",
            "default",
            "invoicing",
        ],
    ),
    (
        Slot::Second,
        &[
            "shipping",
            "ship",
            "other",
            "alternate",
            "alt",
            "secondary",
            "delivery",
            "additional",
            "second",
            "alternative",
        ],
    ),
    (Slot::Home, &["home", "private", "personal", "permanent", "residential"]),
];

/// The concepts that are parts of an address.
const PARTS: &[&str] = &[
    "street",
    "street_2",
    "street_3",
    "city",
    "county",
    "state",
    "zip",
    "country",
    "latitude",
    "longitude",
    "geocode_accuracy",
];

/// Those of which a number behind them says which address it is, not which line.
const NUMBERED: &[&str] = &["city", "state", "zip", "country"];

/// One way a field is called: by its name or by its label.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Form {
    /// The words in their order.
    pub(crate) words: Vec<String>,
    /// The words that say something on this object, as a sorted set.
    pub(crate) set: Vec<String>,
    /// The letters of `set` in the order of the name, as sorted pairs of neighbours.
    pub(crate) pairs: Vec<(char, char)>,
}

/// What a field is about, and how sure that is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct About {
    pub(crate) concepts: Vec<Concept>,
    /// 1 as it stands, less when words had to be left out.
    pub(crate) strength: f64,
}

/// A field as the matcher reads it.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) name: Form,
    pub(crate) label: Form,
    pub(crate) about: Option<About>,
    pub(crate) slot: Slot,
    pub(crate) kind: Kind,
    /// What its words say that it holds.
    pub(crate) hint: Option<Kind>,
    /// Its options, letters and digits only.
    pub(crate) options: Vec<String>,
}

impl Reading {
    pub(crate) fn new(field: &Field, itself: &Itself) -> Self {
        let name = form(strip(words::split(&tail(&field.name)), itself), itself);
        // A label that was made of the name says no more than the name.
        let label = if plain(&field.label) == plain(&field.name) {
            name.clone()
        } else {
            labelled(&field.label, itself)
        };
        let kind = Kind::read(&field.kind);
        let mut by_label = about(&label.words, itself, kind);
        let by_name = about(&name.words, itself, kind);
        if by_label.0.is_none() {
            by_label.0 = alternatives(&field.label, itself, kind);
        }
        let slot = match (by_label.1, by_name.1) {
            (Slot::Any, slot) | (slot, _) => slot,
        };
        let options = field.options.iter().map(|option| plain(option)).filter(|option| !option.is_empty());
        let description = words::normal(lexicon(), words::split(&field.description));
        Self {
            about: join(by_label.0, by_name.0).or_else(|| described(&description, itself, kind)),
            slot,
            kind,
            hint: hint(&name.words).or_else(|| hint(&label.words)),
            options: words::set(&options.collect::<Vec<_>>()),
            name,
            label,
        }
    }
}

fn labelled(label: &str, itself: &Itself) -> Form {
    let mut words = words::split(label);
    if words.len() > 2 && SYSTEMS.contains(&words[0].as_str()) {
        words.remove(0);
    }
    form(words, itself)
}

/// What an object is, and the words that its own name adds to its fields' names.
#[derive(Clone, Debug)]
pub(crate) struct Itself {
    pub(crate) entity: Entity,
    /// Whether the object's name says so.
    named: bool,
    pub(crate) own: Vec<String>,
    /// What at least half of the fields' names begin with, as in `comp_name` and `comp_city`.
    pub(crate) prefix: Option<String>,
}

impl Itself {
    /// By the object's name; where that does not tell, by what its fields are about.
    pub(crate) fn new(object: &str, fields: &[Field]) -> Self {
        let mut own = words::normal(lexicon(), words::split(object));
        let says = |word: &str| own.iter().any(|one| one == word);
        let named = [("lead", Entity::Lead), ("deal", Entity::Deal), ("person", Entity::Person)]
            .into_iter()
            .chain([("company", Entity::Company), ("partner", Entity::Company)]);
        let entity = named.into_iter().find(|(word, _)| says(word)).map(|(_, entity)| entity);
        let named = entity.is_some();
        // Some systems keep sales as leads, too: those have a stage and a close date, and no last name.
        let entity = match entity {
            Some(Entity::Lead) | None => guess(fields, entity),
            Some(entity) => entity,
        };
        own.extend(called(entity));
        Self { entity, named, own, prefix: prefix(fields) }
    }

    /// Two objects that are to be matched: one whose name does not tell what it is, as `customers`, is taken for what the
    /// other one is.
    pub(crate) fn both(source: &Object, target: &Object) -> (Self, Self) {
        let of = |object: &Object| Self::new(&object.name, &object.fields);
        let (mut ours, mut theirs) = (of(source), of(target));
        match (ours.named, theirs.named) {
            (false, true) => ours.is(theirs.entity),
            (true, false) => theirs.is(ours.entity),
            _ => {}
        }
        (ours, theirs)
    }

    fn is(&mut self, entity: Entity) {
        let guessed = called(self.entity);
        self.own.retain(|word| !guessed.contains(word));
        self.own.extend(called(entity));
        self.entity = entity;
    }
}

/// What an object of this kind is called.
fn called(entity: Entity) -> Vec<String> {
    let words: &[&str] = match entity {
        Entity::Company => &["company"],
        Entity::Deal => &["deal"],
        Entity::Person => &["person"],
        Entity::Lead => &["lead", "person"],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// The fewest fields of which a common beginning says nothing.
const PREFIXED: usize = 5;

fn prefix(fields: &[Field]) -> Option<String> {
    let beginning = |field: &Field| Some(field.name.split_once('_')?.0.to_lowercase());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for beginning in fields.iter().filter_map(beginning).filter(|beginning| !beginning.is_empty()) {
        *counts.entry(beginning).or_default() += 1;
    }
    let (prefix, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (count >= PREFIXED && 2 * count >= fields.len()).then_some(prefix)
}

fn guess(fields: &[Field], named: Option<Entity>) -> Entity {
    let itself = Itself { entity: Entity::Deal, named: false, own: Vec::new(), prefix: None };
    let told: Vec<About> = fields.iter().filter_map(|field| Reading::new(field, &itself).about).collect();
    let about = |wanted: &str| {
        let wanted = lexicon().named(wanted);
        told.iter().any(|about| about.concepts.iter().any(|concept| Some(*concept) == wanted))
    };
    if about("last_name") && (about("first_name") || about("salutation")) {
        named.unwrap_or(Entity::Person)
    } else if about("close_date") && (about("stage") || about("amount")) {
        Entity::Deal
    } else {
        named.unwrap_or(Entity::Company)
    }
}

/// Words at the end of a path that say nothing without what stands before them.
const BARE: &[&str] = &[
    "number", "address", "amount", "value", "id", "source", "key", "code", "name", "text", "type", "date",
    "url",
];

/// Words in the middle of a path that say whose, or which of several, its end is.
const WHOSE: &[&str] = &[
    "address",
    "phone",
    "email",
    "mobile",
    "fax",
    "assistant",
    "manager",
    "parent",
    "owner",
    "campaign",
    "billing",
    "shipping",
    "mailing",
    "partner",
    "user",
];

/// The end of a path as far as it says what the field is about: `audit.createdDate` is `createdDate`, and `phone.number`
/// both.
fn tail(name: &str) -> String {
    let read = |segment: &str| words::normal(lexicon(), words::split(segment));
    let bare = |segment: &str| read(segment).iter().all(|word| BARE.contains(&word.as_str()));
    let whose = |segment: &str| read(segment).iter().any(|word| WHOSE.contains(&word.as_str()));
    // What people write is no path: "Exp. Close", "Town/City".
    let written =
        name.contains(char::is_whitespace) || name.matches('/').count() == 1 && !name.starts_with('/');
    if written {
        return name.to_owned();
    }
    let segments: Vec<&str> = name.split(['.', '/', ':']).filter(|segment| !segment.is_empty()).collect();
    let Some((last, before)) = segments.split_last().filter(|(_, before)| !before.is_empty()) else {
        return name.to_owned();
    };
    let mut kept = vec![*last];
    let mut open = bare(last);
    for segment in before.iter().rev() {
        if open || whose(segment) {
            kept.push(segment);
            open &= bare(segment);
        }
    }
    kept.reverse();
    kept.join(".")
}

/// The name without what marks it as a custom field or as the vendor's own, and without what most of them begin with.
fn strip(mut words: Vec<String>, itself: &Itself) -> Vec<String> {
    if words.len() > 1 && itself.prefix.as_ref() == words.first() {
        words.remove(0);
    }
    if words.len() > 1 && words.last().is_some_and(|last| last == "c") {
        words.pop();
    }
    if words.len() > 1 && PREFIXES.contains(&words[0].as_str()) {
        words.remove(0);
    }
    words
}

fn form(split: Vec<String>, itself: &Itself) -> Form {
    let words = words::normal(lexicon(), split);
    let telling: Vec<String> = words.iter().filter(|word| !itself.own.contains(word)).cloned().collect();
    let telling = if telling.is_empty() || telling == ["id"] { words.clone() } else { telling };
    let letters: Vec<char> = telling.iter().flat_map(|word| word.chars()).collect();
    let mut pairs: Vec<(char, char)> = letters.windows(2).map(|pair| (pair[0], pair[1])).collect();
    pairs.sort_unstable();
    Form { set: words::set(&telling), pairs, words }
}

fn about(words: &[String], itself: &Itself, kind: Kind) -> (Option<About>, Slot) {
    if words.is_empty() {
        return (None, Slot::Any);
    }
    if let Some((concept, slot)) = address(words, itself, kind) {
        return (Some(About { concepts: vec![concept], strength: 1.0 }), slot);
    }
    let words = &shorter(words);
    let ask = |left_out: &[&str]| {
        let kept: Vec<String> =
            words.iter().filter(|word| !left_out.contains(&word.as_str())).cloned().collect();
        if kept.is_empty() { Vec::new() } else { lexicon().about(&words::set(&kept), itself.entity) }
    };
    let own: Vec<&str> = itself.own.iter().map(String::as_str).collect();
    let is_key = words.iter().any(|word| word == "key");
    let keys: Vec<&str> = own.iter().chain(KEYS).copied().filter(|_| is_key).collect();
    let both: Vec<&str> = own.iter().chain(NOISE).copied().collect();
    let tries: [(&[&str], f64); 6] =
        [(&[], 1.0), (&own, 0.95), (&["company"], 0.6), (NOISE, 0.8), (&keys, 0.8), (&both, 0.75)];
    for (left_out, strength) in tries {
        let concepts = ask(left_out);
        if !concepts.is_empty() {
            return (Some(About { concepts, strength }), Slot::Any);
        }
    }
    let head = words.iter().rev().find(|word| !TAILS.contains(&word.as_str()));
    let head = head.filter(|head| HEADS.contains(&head.as_str())).and_then(|head| lexicon().named(head));
    (head.map(|concept| About { concepts: vec![concept], strength: 0.5 }), Slot::Any)
}

/// Words at the end of a name that say what it is about whatever stands before them, as in "value currency".
const HEADS: &[&str] = &[
    "currency",
    "industry",
    "probability",
    "pipeline",
    "territory",
    "birthday",
    "timezone",
    "linkedin",
    "fax",
];

/// Words that may stand behind those.
const TAILS: &[&str] = &["code", "id", "type", "name", "iso", "reference", "url", "percent"];

/// What the parts of a label are about that gives several names for one thing: "Industry/Vertical", "City or Town".
fn alternatives(label: &str, itself: &Itself, kind: Kind) -> Option<About> {
    let parts: Vec<&str> = label.split('/').flat_map(|part| part.split(" or ")).collect();
    if parts.len() < 2 {
        return None;
    }
    let told = parts.iter().filter_map(|part| {
        let words = words::normal(lexicon(), words::split(part));
        about(&words, itself, kind).0
    });
    let mut concepts: Vec<Concept> = told.flat_map(|about| about.concepts).collect();
    concepts.dedup();
    (!concepts.is_empty()).then_some(About { concepts, strength: 0.7 })
}

/// The words without those that say nothing beside the others.
fn shorter(words: &[String]) -> Vec<String> {
    let has = |other: &str| words.iter().any(|word| word == other);
    let needless = |word: &String| {
        NEEDLESS.iter().any(|(one, beside)| word == one && beside.iter().any(|other| has(other)))
    };
    words.iter().filter(|word| !needless(word)).cloned().collect()
}

/// The part of an address that some words name, and which address that is.
fn address(words: &[String], itself: &Itself, kind: Kind) -> Option<(Concept, Slot)> {
    if let [part, number] = words
        && let Some(slot) = [("1", Slot::First), ("2", Slot::Second)].iter().find(|(one, _)| one == number)
    {
        let found = lexicon().about(std::slice::from_ref(part), itself.entity);
        let numbered = found.into_iter().find(|concept| NUMBERED.contains(&lexicon().name(*concept)));
        if let Some(concept) = numbered {
            return Some((concept, slot.1));
        }
    }
    let mut slot = Slot::Any;
    let mut rest: Vec<String> = Vec::new();
    let mut is_address = false;
    for (at, word) in words.iter().enumerate() {
        let after_address = at > 0 && words[at - 1] == "address";
        let numbered = after_address && at + 1 < words.len();
        match word.as_str() {
            "address" => is_address = true,
            "1" if numbered => slot = Slot::First,
            "2" | "3" if numbered => slot = Slot::Second,
            _ => match SLOTS.iter().find(|(_, names)| names.contains(&word.as_str())) {
                Some((found, _)) => slot = *found,
                // "Bill-to City", "Ship-to Zip Code".
                None if word == "to" || itself.own.contains(word) => {}
                None => rest.push(word.clone()),
            },
        }
    }
    if !is_address && slot == Slot::Any {
        return None;
    }
    let part = |name: &str| lexicon().named(name).map(|concept| (concept, slot));
    let rest: Vec<&str> = rest.iter().map(String::as_str).collect();
    match rest.as_slice() {
        // A vendor's whole address, or the line that most systems call so.
        [] if is_address && kind == Kind::Address => part("address"),
        [] | ["1"] if is_address => part("street"),
        ["2"] if is_address => part("street_2"),
        ["code"] => part("zip"),
        _ => {
            let rest: Vec<String> = rest.into_iter().map(str::to_owned).collect();
            let found = lexicon().about(&words::set(&rest), itself.entity);
            let concept = found.into_iter().find(|concept| PARTS.contains(&lexicon().name(*concept)))?;
            Some((concept, slot))
        }
    }
}

/// What a description says that is no more than a phrase: it helps where name and label say nothing.
fn described(words: &[String], itself: &Itself, kind: Kind) -> Option<About> {
    let (about, _) = about(words, itself, kind);
    about.map(|about| About { strength: 0.7 * about.strength, ..about })
}

/// What name and label agree on; else what either says.
fn join(label: Option<About>, name: Option<About>) -> Option<About> {
    let (label, name) = match (label, name) {
        (Some(label), Some(name)) => (label, name),
        (label, name) => return label.or(name),
    };
    let common: Vec<Concept> =
        label.concepts.iter().filter(|concept| name.concepts.contains(concept)).copied().collect();
    let strength = label.strength.max(name.strength);
    if !common.is_empty() {
        return Some(About { concepts: common, strength });
    }
    // What people see says it better than the name that a programmer once chose.
    if label.strength > name.strength {
        return Some(label);
    }
    let mut concepts = label.concepts;
    concepts.extend(name.concepts);
    Some(About { concepts, strength: strength * 0.8 })
}

/// Words of which a number is one to call.
const CALLED: &[&str] =
    &["phone", "work", "office", "home", "mobile", "fax", "contact", "direct", "business"];

fn hint(words: &[String]) -> Option<Kind> {
    let has = |word: &str| words.iter().any(|one| one == word);
    let (first, last) = (words.first()?.as_str(), words.last()?.as_str());
    if matches!(first, "is" | "has" | "do" | "can" | "allow") || has("flag") || has("opt") {
        return Some(Kind::Bool);
    }
    match last {
        "date" | "timestamp" => Some(Kind::Date),
        "id" => Some(Kind::Reference),
        "email" => Some(Kind::Email),
        "phone" | "mobile" | "fax" => Some(Kind::Phone),
        "url" | "website" => Some(Kind::Url),
        "number" if !CALLED.iter().any(|word| has(word)) && !has("company") => Some(Kind::Number),
        "amount" | "revenue" => Some(Kind::Money),
        "by" => Some(Kind::User),
        _ if first == "number" => Some(Kind::Number),
        _ if first == "date" => Some(Kind::Date),
        _ => None,
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(60).collect()
}
