//! Which vendor field is which canonical field: a first matcher over names, labels, types and picklists, with one
//! assignment over the whole pair of objects.

use std::collections::{BTreeMap, BTreeSet};

use model::{FieldSchema, FieldType, ObjectSchema};

use super::{
    mapping::{FieldMapping, FieldState, Settings},
    transform,
};

/// From this confidence on a suggestion is applied to the draft by itself.
pub(crate) const AUTO: f64 = 0.9;

/// Below this confidence nothing is suggested.
pub(crate) const FLOOR: f64 = 0.66;

/// The most that a pair is worth which a person should look at before values flow.
const DOUBTFUL: f64 = 0.75;

/// The most that a vendor's own reckonings are worth: fields that it computes or keeps for itself.
const RECKONED: f64 = 0.85;

/// A candidate for a canonical field.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Suggestion {
    pub(crate) field: String,
    pub(crate) vendor_field: String,
    /// 0 to 1.
    pub(crate) confidence: f64,
    /// What speaks for it, in words.
    pub(crate) evidence: Vec<String>,
}

/// Words that mean the same in customer data: each is read as the first of its row.
const SYNONYMS: &[&[&str]] = &[
    &["company", "organization", "organisation", "account", "business", "firm", "corporate"],
    &["deal", "opportunity"],
    &["phone", "telephone", "tel"],
    &["mobile", "cell", "cellphone"],
    &["zip", "postcode", "postal"],
    &["state", "region", "province"],
    &["amount", "value"],
    &["employee", "employees", "staff", "headcount"],
    &["revenue", "turnover", "sales"],
    &["website", "web", "url", "site", "homepage"],
    &["description", "about", "summary"],
    &["street", "address"],
    &["owner", "assigned", "assignee", "rep"],
    &["close", "closed", "closing"],
    &["stage", "phase"],
    &["source", "origin"],
    &["created", "create", "creation"],
    &["timezone", "tz"],
    &["lost", "loss"],
    &["email", "mail"],
];

/// Words that say little beside others.
const FILLER: &[&str] = &[
    "hs", "the", "of", "a", "an", "in", "is", "s", "id", "number", "count", "code", "1", "line", "page",
    "handle", "us", "at", "on", "expected", "main", "total", "website",
];

/// Further words that vendors glue together, as in `dealname` or `lifecyclestage`.
const GLUED: &[&str] = &[
    "name",
    "date",
    "type",
    "stage",
    "year",
    "founded",
    "annual",
    "lifecycle",
    "twitter",
    "linkedin",
    "facebook",
    "time",
    "zone",
    "last",
    "first",
    "modified",
    "activity",
    "pipeline",
    "job",
    "title",
    "postal",
    "zip",
    "fax",
    "notes",
    "lead",
    "status",
    "size",
    "domain",
    "industry",
];

/// How much a filler or the object's own name counts among the words of a name.
const LITTLE: f64 = 0.15;

/// A field with the words of its name and label.
struct Told<'a> {
    field: &'a FieldSchema,
    name: BTreeSet<String>,
    label: BTreeSet<String>,
}

impl<'a> Told<'a> {
    fn new(field: &'a FieldSchema) -> Self {
        Self { field, name: words(&field.name), label: words(&field.label) }
    }
}

/// Suggests at most one vendor field for each canonical field, each vendor field at most once, the surest first.
/// Fields that Accord keeps itself are left out.
pub(crate) fn suggest(canonical: &ObjectSchema, vendor: &ObjectSchema) -> Vec<Suggestion> {
    let object: BTreeSet<String> = words(&canonical.name).into_iter().chain(words(&vendor.name)).collect();
    let theirs: Vec<Told<'_>> = vendor.fields.iter().map(Told::new).collect();
    let mut scored = Vec::new();
    let open = |field: &&FieldSchema| !field.read_only && field.name != "external_id";
    for ours in canonical.fields.iter().filter(open).map(Told::new) {
        for theirs in &theirs {
            let (score, evidence) = score(&object, &ours, theirs);
            if score >= FLOOR {
                scored.push((score, ours.field, theirs.field, evidence));
            }
        }
    }
    scored.sort_by(|a, b| {
        b.0.total_cmp(&a.0).then_with(|| (&a.1.name, &a.2.name).cmp(&(&b.1.name, &b.2.name)))
    });
    let (mut taken, mut given) = (BTreeSet::new(), BTreeSet::new());
    let mut suggestions = Vec::new();
    for (confidence, ours, theirs, evidence) in scored {
        if taken.contains(&theirs.name) || given.contains(&ours.name) {
            continue;
        }
        taken.insert(&theirs.name);
        given.insert(&ours.name);
        suggestions.push(Suggestion {
            field: ours.name.clone(),
            vendor_field: theirs.name.clone(),
            confidence,
            evidence,
        });
    }
    suggestions
}

/// Fills what nobody decided yet with suggestions. In a draft the sure ones are applied by themselves; once records
/// have moved, every new pair waits for somebody.
pub(crate) fn fill(settings: &mut Settings, canonical: &ObjectSchema, vendor: &ObjectSchema, draft: bool) {
    let decided = |field: &FieldMapping| {
        matches!(field.state, FieldState::Confirmed | FieldState::Ignored)
            || !draft && field.effective().is_some()
    };
    let fields = &mut settings.fields;
    for field in &canonical.fields {
        fields.entry(field.name.clone()).or_insert_with(FieldMapping::unmapped);
    }
    let taken: BTreeSet<&str> =
        fields.values().filter(|field| decided(field)).filter_map(|f| f.vendor_field.as_deref()).collect();
    let open = |schema: &ObjectSchema, open: &dyn Fn(&str) -> bool| ObjectSchema {
        fields: schema.fields.iter().filter(|field| open(&field.name)).cloned().collect(),
        ..schema.clone()
    };
    let ours = open(canonical, &|name| !fields.get(name).is_some_and(decided));
    let theirs = open(vendor, &|name| !taken.contains(name));
    let mut suggestions: BTreeMap<String, Suggestion> =
        suggest(&ours, &theirs).into_iter().map(|found| (found.field.clone(), found)).collect();
    for (name, field) in fields.iter_mut().filter(|(_, field)| !decided(field)) {
        let (direction, policy, pii) = (field.direction, field.policy, field.pii);
        *field = FieldMapping { direction, policy, pii, ..FieldMapping::unmapped() };
        if let Some(found) = suggestions.remove(name) {
            let sure = draft && found.confidence >= AUTO;
            field.state = if sure { FieldState::AutoMapped } else { FieldState::Suggested };
            field.vendor_field = Some(found.vendor_field);
            (field.confidence, field.evidence) = (found.confidence, found.evidence);
        }
    }
}

/// Confirms what was suggested, all at once, and says how many fields that were. A pair that a person should look at
/// first stays suggested, and so does one whose vendor field is mapped elsewhere by now.
pub(crate) fn confirm(settings: &mut Settings, canonical: &ObjectSchema, vendor: &ObjectSchema) -> usize {
    let mut taken: BTreeSet<String> =
        settings.fields.values().filter_map(|field| field.effective().map(str::to_owned)).collect();
    let mut count = 0;
    for (name, field) in &mut settings.fields {
        let sure = match field.state {
            FieldState::AutoMapped => true,
            FieldState::Suggested => {
                let theirs = field.vendor_field.as_deref().and_then(|theirs| vendor.field(theirs));
                let pair = canonical.field(name).zip(theirs);
                pair.is_some_and(|(ours, theirs)| {
                    doubt(ours, theirs).is_none() && taken.insert(theirs.name.clone())
                })
            }
            FieldState::Confirmed | FieldState::Unmapped | FieldState::Ignored => false,
        };
        if sure {
            field.state = FieldState::Confirmed;
            count += 1;
        }
    }
    count
}

/// Why a person should look at a pair before values flow, whatever the fields are called.
fn doubt(ours: &FieldSchema, theirs: &FieldSchema) -> Option<String> {
    let identity = |field: &FieldSchema| matches!(field.field_type, FieldType::User | FieldType::Reference);
    if identity(ours) || identity(theirs) {
        return Some("the two sides name people and records by different ids".to_owned());
    }
    if ours.options.is_empty() || theirs.options.is_empty() {
        return None;
    }
    let lost: Vec<&str> = transform::without_counterpart(theirs, ours)
        .chain(transform::without_counterpart(ours, theirs))
        .map(|option| option.label.as_str())
        .collect();
    let shown = lost.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    (!lost.is_empty()).then(|| format!("{} options have no counterpart: {shown}", lost.len()))
}

fn score(object: &BTreeSet<String>, ours: &Told<'_>, theirs: &Told<'_>) -> (f64, Vec<String>) {
    let compatible = compatible(ours.field.field_type, theirs.field.field_type);
    if compatible == 0.0 {
        return (0.0, Vec::new());
    }
    let names = similarity(object, &ours.name, &theirs.name);
    let labels = similarity(object, &ours.label, &theirs.label);
    let crossed =
        similarity(object, &ours.label, &theirs.name).max(similarity(object, &ours.name, &theirs.label));
    let best = names.max(labels).max(crossed);
    let second = names.min(labels).max(crossed.min(names.max(labels)));
    let mut score = 0.82 * best + 0.08 * second + 0.1 * compatible;
    if score < FLOOR {
        return (score, Vec::new());
    }
    let (ours, theirs) = (ours.field, theirs.field);
    let mut evidence = Vec::new();
    if names >= 0.99 {
        evidence.push(format!("the names say the same: {} and {}", ours.name, theirs.name));
    } else if labels >= 0.99 {
        evidence.push(format!("the labels say the same: {} and {}", ours.label, theirs.label));
    } else {
        evidence.push(format!("{} resembles {}", ours.label, theirs.label));
    }
    evidence.push(format!("{} fits {}", theirs.field_type.name(), ours.field_type.name()));
    if let Some(doubt) = doubt(ours, theirs) {
        evidence.push(doubt);
        score = score.min(DOUBTFUL);
    }
    if theirs.read_only || theirs.name.starts_with("hs_") {
        evidence.push("the vendor keeps this field itself".to_owned());
        score = (score - 0.03).min(RECKONED);
    }
    (score.clamp(0.0, 0.99), evidence)
}

/// How well two types fit: 1 for the same, 0 for never.
fn compatible(ours: FieldType, theirs: FieldType) -> f64 {
    use FieldType::{
        Currency, Date, DateTime, Email, MultiPicklist, Number, Percent, Phone, Picklist, Reference, Text,
        Url, User,
    };
    match (ours, theirs) {
        (a, b) if a == b => 1.0,
        (Currency | Number | Percent, Currency | Number | Percent) | (Date, DateTime) | (DateTime, Date) => {
            0.95
        }
        (Text | Url | Phone | Email, Text | Url | Phone | Email) => 0.95,
        (Text, Picklist) | (Picklist, Text) => 0.8,
        (MultiPicklist, Picklist) => 0.4,
        (Number, Text) | (Text, Number) => 0.6,
        (User, Picklist | Text) | (Reference, Text | Number) => 0.3,
        _ => 0.0,
    }
}

/// How alike two names are, 0 to 1: the same words are one; else shared words count, and a little how they are spelled.
fn similarity(object: &BTreeSet<String>, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> f64 {
    if ours.is_empty() || theirs.is_empty() {
        return 0.0;
    }
    if ours == theirs {
        return 1.0;
    }
    let says = |word: &&String| !object.contains(*word) && !FILLER.contains(&word.as_str());
    let (left, right): (BTreeSet<_>, BTreeSet<_>) = (
        ours.iter().filter(says).map(String::as_str).collect(),
        theirs.iter().filter(says).map(String::as_str).collect(),
    );
    if left == right && !left.is_empty() {
        return 0.97;
    }
    let weigh = |words: &mut dyn Iterator<Item = &String>| -> f64 {
        words.map(|word| if says(&word) { 1.0 } else { LITTLE }).sum()
    };
    let shared = weigh(&mut ours.intersection(theirs)) / weigh(&mut ours.union(theirs));
    let joined = |words: &BTreeSet<&str>| words.iter().copied().collect::<String>();
    let spelled = strsim::jaro_winkler(&joined(&left), &joined(&right));
    shared.max(0.7 * spelled).min(0.95)
}

/// The words of a name in one spelling.
fn words(name: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut word = String::new();
    let mut previous: Option<char> = None;
    for c in name.chars() {
        let hump = previous.is_some_and(|p| {
            c.is_uppercase() && p.is_lowercase() || c.is_numeric() != p.is_numeric() && p.is_alphanumeric()
        });
        if !c.is_alphanumeric() || hump {
            push(&mut words, &mut word);
        }
        if c.is_alphanumeric() {
            word.extend(c.to_lowercase());
        }
        previous = Some(c);
    }
    push(&mut words, &mut word);
    words
}

fn push(words: &mut BTreeSet<String>, word: &mut String) {
    let word = std::mem::take(word);
    if word.is_empty() {
        return;
    }
    match split(&word) {
        Some(parts) => words.extend(parts.into_iter().map(normal)),
        None => {
            words.insert(normal(&word));
        }
    }
}

/// Takes a word apart that is glued together of known ones, in as few as possible; none when it is not.
fn split(word: &str) -> Option<Vec<&str>> {
    if word.len() > 40 || !word.is_ascii() || is_known(word) {
        return None;
    }
    let mut best: Vec<Option<Vec<&str>>> = vec![None; word.len() + 1];
    best[0] = Some(Vec::new());
    for end in 2..=word.len() {
        for start in 0..end - 1 {
            let Some(head) = best[start].as_ref().filter(|_| is_known(&word[start..end])) else { continue };
            if best[end].as_ref().is_none_or(|known| head.len() + 1 < known.len()) {
                let mut parts = head.clone();
                parts.push(&word[start..end]);
                best[end] = Some(parts);
            }
        }
    }
    best.pop().flatten()
}

fn is_known(word: &str) -> bool {
    word.len() > 1
        && (GLUED.contains(&word)
            || FILLER.contains(&word)
            || SYNONYMS.iter().any(|row| row.contains(&word) && word.len() > 2))
}

fn normal(word: &str) -> String {
    let row = |word: &str| SYNONYMS.iter().find(|row| row.contains(&word)).map(|row| row[0].to_owned());
    row(word)
        .or_else(|| row(word.strip_suffix("ies").map(|stem| format!("{stem}y")).as_deref()?))
        .or_else(|| row(word.strip_suffix('s')?))
        .unwrap_or_else(|| word.strip_suffix('s').filter(|stem| stem.len() > 3).unwrap_or(word).to_owned())
}

#[cfg(test)]
mod tests;
