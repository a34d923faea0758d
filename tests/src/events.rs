//! The public events, as a sibling product sees them: what the stream EVENTS holds, what `docs/events.md` says of it, and the
//! schemas under `proto/events`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use bus::{Bus, ConnectOptions, ConsumerConfig, Message, subject};
use regex::Regex;
use serde_json::{Map, Value};

use crate::House;

/// What is committed about one kind of event.
#[derive(Clone, Debug)]
pub struct Described {
    /// Its JSON Schema.
    pub schema: Value,
    /// Its subject in `docs/events.md`, with `{…}` for what varies.
    pub subject: String,
    /// The body that `docs/events.md` shows.
    pub example: Value,
}

/// All kinds of public events that have a schema.
///
/// # Panics
/// When a schema cannot be read, or the page does not describe its kind.
#[must_use]
pub fn described() -> BTreeMap<String, Described> {
    let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let page = std::fs::read_to_string(root.join("docs/events.md")).expect("the page of the events");
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(root.join("proto/events")).expect("the schemas") {
        let path = entry.expect("a file").path();
        let text = std::fs::read_to_string(&path).expect("a schema");
        let schema: Value = serde_json::from_str(&text).expect("a schema is JSON");
        let kind = path.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned();
        let (subject, example) = section(&page, &kind);
        all.insert(kind, Described { schema, subject, example });
    }
    all
}

/// The subject and the example of a kind on the page.
fn section(page: &str, kind: &str) -> (String, Value) {
    let heading = format!("\n### `{kind}`\n");
    let section = page.split(&heading).nth(1).unwrap_or_else(|| panic!("docs/events.md has no {kind}"));
    let section = section.split("\n### ").next().unwrap_or_default();
    let subject = section.split("Subject `").nth(1).and_then(|rest| rest.split('`').next());
    let example = section.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    let (Some(subject), Some(example)) = (subject, example) else {
        panic!("docs/events.md shows no subject or no example of {kind}")
    };
    let example =
        serde_json::from_str(example).unwrap_or_else(|error| panic!("the example of {kind}: {error}"));
    (subject.to_owned(), example)
}

impl Described {
    /// Whether this is a subject of the kind.
    #[must_use]
    pub fn has_subject(&self, subject: &str) -> bool {
        let (own, given): (Vec<_>, Vec<_>) =
            (self.subject.split('.').collect(), subject.split('.').collect());
        own.len() == given.len()
            && own.iter().zip(given).all(|(own, given)| own.starts_with('{') || *own == given)
    }

    /// What in this body does not fit the schema. Also what the schema does not know: what is said is described.
    #[must_use]
    pub fn faults(&self, body: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        Check { root: &self.schema, faults: &mut faults }.value(&self.schema, body, "");
        faults
    }
}

struct Check<'a> {
    root: &'a Value,
    faults: &'a mut Vec<String>,
}

impl Check<'_> {
    /// The keywords that our schemas use. Another one is a fault of this check.
    fn value(&mut self, schema: &Value, value: &Value, path: &str) {
        let Value::Object(keywords) = schema else {
            if schema == &Value::Bool(false) {
                self.faults.push(format!("{path} is too much"));
            }
            return;
        };
        for (keyword, rule) in keywords {
            match keyword.as_str() {
                "$schema" | "$id" | "$defs" | "title" | "description" | "format" | "default" => {}
                "properties" | "additionalProperties" => {}
                "$ref" => self.reference(rule, value, path),
                "type" => self.require(is_of(rule, value), path, || format!("is no {rule}")),
                "enum" => {
                    let known = rule.as_array().is_some_and(|options| options.contains(value));
                    self.require(known, path, || format!("is none of {rule}"));
                }
                "pattern" => {
                    let pattern = Regex::new(rule.as_str().expect("a pattern")).expect("a pattern");
                    let fits = value.as_str().is_none_or(|text| pattern.is_match(text));
                    self.require(fits, path, || format!("does not fit {rule}"));
                }
                "minimum" => {
                    let fits = value.as_f64().is_none_or(|number| Some(number) >= rule.as_f64());
                    self.require(fits, path, || format!("is less than {rule}"));
                }
                "required" => {
                    for name in rule.as_array().into_iter().flatten().filter_map(Value::as_str) {
                        let there = value.as_object().is_none_or(|object| object.contains_key(name));
                        self.require(there, path, || format!("lacks {name}"));
                    }
                }
                "propertyNames" => {
                    for name in value.as_object().into_iter().flat_map(Map::keys) {
                        self.value(rule, &Value::String(name.clone()), path);
                    }
                }
                "items" => {
                    let before = keywords.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
                    for (place, item) in value.as_array().into_iter().flatten().enumerate().skip(before) {
                        self.value(rule, item, &format!("{path}/{place}"));
                    }
                }
                "prefixItems" => {
                    let rules = rule.as_array().into_iter().flatten();
                    for (place, (rule, item)) in rules.zip(value.as_array().into_iter().flatten()).enumerate()
                    {
                        self.value(rule, item, &format!("{path}/{place}"));
                    }
                }
                "oneOf" => {
                    let options = rule.as_array().into_iter().flatten();
                    let fitting = options.filter(|option| self.fits(option, value)).count();
                    self.require(fitting == 1, path, || format!("fits {fitting} of its forms"));
                }
                other => panic!("this check does not know the keyword {other}"),
            }
        }
        self.properties(keywords, value, path);
    }

    fn properties(&mut self, keywords: &Map<String, Value>, value: &Value, path: &str) {
        let Value::Object(object) = value else { return };
        let known = keywords.get("properties").and_then(Value::as_object);
        let others = keywords.get("additionalProperties");
        if known.is_none() && others.is_none() {
            return;
        }
        for (name, value) in object {
            let path = format!("{path}/{name}");
            match known.and_then(|known| known.get(name)).or(others) {
                Some(rule) => self.value(rule, value, &path),
                None => self.faults.push(format!("{path} is not described")),
            }
        }
    }

    fn reference(&mut self, rule: &Value, value: &Value, path: &str) {
        let pointer = rule.as_str().and_then(|rule| rule.strip_prefix('#')).expect("a part of this schema");
        let root = self.root;
        let part = root.pointer(pointer).unwrap_or_else(|| panic!("the schema has no {pointer}"));
        self.value(part, value, path);
    }

    fn fits(&self, schema: &Value, value: &Value) -> bool {
        let mut faults = Vec::new();
        Check { root: self.root, faults: &mut faults }.value(schema, value, "");
        faults.is_empty()
    }

    fn require(&mut self, fits: bool, path: &str, what: impl FnOnce() -> String) {
        if !fits {
            self.faults.push(format!("{path} {}", what()));
        }
    }
}

fn is_of(rule: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("null") => value.is_null(),
        _ => panic!("this check does not know the type {name}"),
    };
    match rule {
        Value::Array(names) => names.iter().any(is),
        name => is(name),
    }
}

impl House {
    /// Every public event so far.
    ///
    /// # Panics
    /// When the bus does not answer.
    pub async fn public_events(&self) -> Vec<Message> {
        let bus =
            Bus::connect(self.ready("nats_url"), ConnectOptions::named("story")).await.expect("NATS answers");
        let durable = format!("story-{}", uuid::Uuid::new_v4().simple());
        let config = ConsumerConfig::new(subject::EVENTS, durable.clone());
        let mut consumer = bus.consumer(config).await.expect("a consumer");
        let mut events = Vec::new();
        loop {
            let batch = consumer.next_batch().await.expect("a batch");
            events.extend(batch.iter().map(|delivery| delivery.message.clone()));
            bus::ack_all(batch).await.expect("acknowledged");
            let left = bus.pending(subject::EVENTS, &durable).await.expect("how many are left");
            if left.waiting + left.unanswered == 0 {
                return events;
            }
        }
    }

    /// Checks every public event so far against what is committed about its kind; gives the kinds that there were.
    ///
    /// # Panics
    /// When one is not as it is described.
    pub async fn assert_events_are_as_described(&self) -> BTreeSet<String> {
        let described = described();
        let mut kinds = BTreeSet::new();
        for event in self.public_events().await {
            let kind = event.envelope.kind.clone();
            let known =
                described.get(&kind).unwrap_or_else(|| panic!("{kind} has no schema in proto/events"));
            assert!(known.has_subject(&event.subject), "{kind} came on {}", event.subject);
            let body: Value = event.decode().expect("a body is JSON");
            assert_eq!(known.faults(&body), Vec::<String>::new(), "{kind}: {body}");
            kinds.insert(kind);
        }
        kinds
    }
}
