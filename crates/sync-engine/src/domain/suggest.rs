//! Which vendor field is which canonical field: a first matcher over names, labels, types and picklists, with one
//! assignment over the whole pair of objects.

use std::collections::BTreeSet;

use model::{FieldSchema, FieldType, ObjectSchema};

/// From this confidence on a suggestion is applied to the draft by itself.
pub(crate) const AUTO: f64 = 0.9;

/// Below this confidence nothing is suggested.
pub(crate) const FLOOR: f64 = 0.55;

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
    &["expected", "forecast", "anticipated"],
    &["stage", "step", "phase"],
    &["source", "origin"],
    &["created", "create", "creation"],
    &["timezone", "tz"],
    &["lost", "loss"],
];

/// Words that say nothing when the object is known.
const FILLER: &[&str] = &[
    "hs", "the", "of", "a", "an", "in", "is", "s", "c", "id", "number", "code", "1", "line", "line1", "page",
    "handle",
];

/// Suggests at most one vendor field for each canonical field, each vendor field at most once, the surest first.
/// Fields that Accord keeps itself are left out.
pub(crate) fn suggest(canonical: &ObjectSchema, vendor: &ObjectSchema) -> Vec<Suggestion> {
    let object = words(&canonical.name, &canonical.label);
    let mut scored: Vec<(f64, &FieldSchema, &FieldSchema, Vec<String>)> = Vec::new();
    for ours in canonical.fields.iter().filter(|field| !field.read_only && field.name != "external_id") {
        for theirs in &vendor.fields {
            let (score, evidence) = score(&object, ours, theirs);
            if score >= FLOOR {
                scored.push((score, ours, theirs, evidence));
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

fn score(object: &BTreeSet<String>, ours: &FieldSchema, theirs: &FieldSchema) -> (f64, Vec<String>) {
    let compatible = compatible(ours.field_type, theirs.field_type);
    if compatible == 0.0 {
        return (0.0, Vec::new());
    }
    let mut evidence = Vec::new();
    let names = similarity(object, &ours.name, &theirs.name);
    let labels = similarity(object, &ours.label, &theirs.label);
    let crossed =
        similarity(object, &ours.label, &theirs.name).max(similarity(object, &ours.name, &theirs.label));
    let best = names.max(labels).max(crossed);
    if names >= 0.99 {
        evidence.push(format!("the names say the same: {} and {}", ours.name, theirs.name));
    } else if labels >= 0.99 {
        evidence.push(format!("the labels say the same: {} and {}", ours.label, theirs.label));
    } else {
        evidence.push(format!("{} resembles {}", ours.label, theirs.label));
    }
    evidence.push(format!("{} fits {}", theirs.field_type.name(), ours.field_type.name()));
    let second = if best == names { labels.max(crossed) } else { names };
    let overlap = options(ours, theirs);
    if overlap > 0.0 {
        evidence.push(format!("{:.0} % of the options agree", overlap * 100.0));
    }
    let hidden = if theirs.name.starts_with("hs_") { 0.06 } else { 0.0 };
    let read_only = if theirs.read_only { 0.1 } else { 0.0 };
    let score = 0.78 * best + 0.12 * second + 0.1 * compatible + 0.05 * overlap - hidden - read_only;
    (score.clamp(0.0, 0.99), evidence)
}

/// How well two types fit: 1 for the same, 0 for never.
fn compatible(ours: FieldType, theirs: FieldType) -> f64 {
    use FieldType::{
        Boolean, Currency, Date, DateTime, Email, MultiPicklist, Number, Percent, Phone, Picklist, Reference,
        Text, Url, User,
    };
    match (ours, theirs) {
        (a, b) if a == b => 1.0,
        (Currency | Number | Percent, Currency | Number | Percent) | (Date, DateTime) | (DateTime, Date) => {
            0.95
        }
        (Text | Url | Phone | Email, Text | Url | Phone | Email) => 0.95,
        (Text, Picklist) | (Picklist, Text) => 0.8,
        (Picklist, Boolean) | (MultiPicklist, Picklist) => 0.4,
        (Number, Text) | (Text, Number) => 0.6,
        (User, Picklist | Text) | (Reference, Text | Number) => 0.3,
        _ => 0.0,
    }
}

/// How alike two names are, 0 to 1: shared words weigh most, spelling helps.
fn similarity(object: &BTreeSet<String>, a: &str, b: &str) -> f64 {
    let (left, right) = (words(a, ""), words(b, ""));
    if left == right && !left.is_empty() {
        return 1.0;
    }
    let strip = |words: &BTreeSet<String>| -> BTreeSet<String> {
        let kept: BTreeSet<String> =
            words.iter().filter(|w| !object.contains(*w) && !FILLER.contains(&w.as_str())).cloned().collect();
        if kept.is_empty() { words.clone() } else { kept }
    };
    let (left, right) = (strip(&left), strip(&right));
    if left.is_empty() || right.is_empty() {
        return 0.0;
    }
    if left == right {
        return 0.97;
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of words in a name")]
    let shared = left.intersection(&right).count() as f64 / left.union(&right).count() as f64;
    let joined = |words: &BTreeSet<String>| words.iter().map(String::as_str).collect::<String>();
    let spelled = strsim::jaro_winkler(&joined(&left), &joined(&right));
    shared.max(0.75 * spelled)
}

/// The words of a name in one spelling; words glued together in lower case (`dealname`) are split where a known word
/// begins or ends.
fn words(name: &str, more: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    for part in [name, more] {
        let mut word = String::new();
        let mut previous_lower = false;
        for c in part.chars() {
            if !c.is_alphanumeric() || (c.is_uppercase() && previous_lower) {
                push(&mut words, &mut word);
            }
            previous_lower = c.is_lowercase();
            if c.is_alphanumeric() {
                word.extend(c.to_lowercase());
            }
        }
        push(&mut words, &mut word);
    }
    words
}

fn push(words: &mut BTreeSet<String>, word: &mut String) {
    let word = std::mem::take(word);
    if word.is_empty() {
        return;
    }
    for tail in ["name", "date", "type", "stage", "number", "of", "revenue", "code"] {
        if let Some(head) = word.strip_suffix(tail)
            && head.len() > 2
        {
            words.insert(normal(head.strip_suffix("of").filter(|h| h.len() > 2).unwrap_or(head)));
            words.insert(normal(tail));
            return;
        }
    }
    words.insert(normal(&word));
}

fn normal(word: &str) -> String {
    let row = |word: &str| SYNONYMS.iter().find(|row| row.contains(&word)).map(|row| row[0].to_owned());
    row(word)
        .or_else(|| row(word.strip_suffix("ies").map(|stem| format!("{stem}y")).as_deref()?))
        .or_else(|| row(word.strip_suffix('s')?))
        .unwrap_or_else(|| word.strip_suffix('s').filter(|stem| stem.len() > 3).unwrap_or(word).to_owned())
}

fn options(ours: &FieldSchema, theirs: &FieldSchema) -> f64 {
    if ours.options.is_empty() || theirs.options.is_empty() {
        return 0.0;
    }
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let there: BTreeSet<String> =
        theirs.options.iter().flat_map(|option| [plain(&option.value), plain(&option.label)]).collect();
    let shared = ours
        .options
        .iter()
        .filter(|option| there.contains(&plain(&option.value)) || there.contains(&plain(&option.label)))
        .count();
    #[expect(clippy::cast_precision_loss, reason = "counts of options")]
    let share = shared as f64 / ours.options.len() as f64;
    share
}
