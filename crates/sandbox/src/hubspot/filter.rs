//! Search filters: what they mean for the type of the property they name.

use std::cmp::Ordering;

use serde::Deserialize;

use super::clock::parse_ms;
use super::definition::Kind;
use super::errors::Failure;
use super::object::{Column, Object, Origin};
use super::portal::Portal;
use super::record::Record;

/// A filter as a request spells it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Wire {
    property_name: String,
    operator: String,
    value: Option<serde_json::Value>,
    high_value: Option<serde_json::Value>,
    values: Option<Vec<serde_json::Value>>,
}

/// A value in the order search compares by.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Key {
    Number(f64),
    Text(String),
}

impl Key {
    pub(crate) fn compare(&self, other: &Key) -> Ordering {
        match (self, other) {
            (Key::Number(a), Key::Number(b)) => a.total_cmp(b),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            (Key::Number(_), Key::Text(_)) => Ordering::Less,
            (Key::Text(_), Key::Number(_)) => Ordering::Greater,
        }
    }
}

/// How the values of a property compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Number,
    Time,
    /// Words without regard to case.
    Words,
    /// Internal values of an enumeration, case-sensitive.
    Exact,
}

/// A property that filters and sorts look at.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    column: Column,
    order: Order,
}

#[derive(Debug, Clone)]
enum Test {
    Equals(Vec<Key>),
    Range { low: Option<(Key, bool)>, high: Option<(Key, bool)> },
    Present,
    Token(String),
    LinkedTo { object: usize, ids: Vec<u64> },
}

/// A filter ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    subject: Option<Subject>,
    test: Test,
    negated: bool,
}

impl Subject {
    pub(crate) fn of(object: &Object, name: &str) -> Result<Self, Failure> {
        let column = object.column(name).ok_or_else(|| {
            Failure::validation(format!(
                "There was a problem with the request: property {name} does not exist"
            ))
        })?;
        let order = match object.definitions.get(name).map(|definition| definition.kind) {
            Some(Kind::Number) => Order::Number,
            Some(Kind::Date | Kind::Datetime) => Order::Time,
            Some(Kind::Enumeration | Kind::Bool) => Order::Exact,
            _ => Order::Words,
        };
        Ok(Self { column, order })
    }

    /// Whether this is the time that the index is ordered by.
    pub(crate) fn is_modified(&self) -> bool {
        self.column.origin == Origin::Modified
    }

    /// The value search knows of: for the modification time, the indexed one.
    pub(crate) fn key(&self, object: &Object, record: &Record) -> Option<Key> {
        match self.column.origin {
            Origin::Modified => record.indexed_ms.map(|ms| Key::Number(ms as f64)),
            Origin::Created => Some(Key::Number(record.created_ms as f64)),
            Origin::Id => Some(Key::Number(record.id as f64)),
            _ => object.read(record, &self.column).and_then(|value| parse(self.order, &value)),
        }
    }

    fn operand(&self, value: Option<&serde_json::Value>) -> Result<Key, Failure> {
        let name = &self.column.name;
        let text = match value {
            Some(serde_json::Value::String(text)) => text.clone(),
            Some(serde_json::Value::Number(number)) => number.to_string(),
            Some(serde_json::Value::Bool(flag)) => flag.to_string(),
            _ => return Err(Failure::validation(format!("a filter on {name} has no value"))),
        };
        parse(self.order, &text).ok_or_else(|| {
            Failure::validation(format!(
                "There was a problem with the request: {text} is not a valid value of {name}"
            ))
        })
    }
}

fn parse(order: Order, text: &str) -> Option<Key> {
    match order {
        Order::Number => text.trim().parse().ok().map(Key::Number),
        Order::Time => parse_ms(text).map(|ms| Key::Number(ms as f64)),
        Order::Words => Some(Key::Text(text.to_lowercase())),
        Order::Exact => Some(Key::Text(text.to_owned())),
    }
}

impl Filter {
    pub(crate) fn compile(portal: &Portal, object: &Object, wire: &Wire) -> Result<Self, Failure> {
        if let Some(other) = wire.property_name.strip_prefix("associations.") {
            return Self::linked(portal, other, wire);
        }
        let subject = Subject::of(object, &wire.property_name)?;
        let one = || subject.operand(wire.value.as_ref());
        let below = |inclusive| Ok(Test::Range { low: None, high: Some((one()?, inclusive)) });
        let above = |inclusive| Ok(Test::Range { low: Some((one()?, inclusive)), high: None });
        let (test, negated) = match wire.operator.as_str() {
            "EQ" => (Test::Equals(vec![one()?]), false),
            "NEQ" => (Test::Equals(vec![one()?]), true),
            "LT" => (below(false)?, false),
            "LTE" => (below(true)?, false),
            "GT" => (above(false)?, false),
            "GTE" => (above(true)?, false),
            "BETWEEN" => {
                let high = subject.operand(wire.high_value.as_ref())?;
                (Test::Range { low: Some((one()?, true)), high: Some((high, true)) }, false)
            }
            "IN" => (Test::Equals(many(&subject, wire)?), false),
            "NOT_IN" => (Test::Equals(many(&subject, wire)?), true),
            "HAS_PROPERTY" => (Test::Present, false),
            "NOT_HAS_PROPERTY" => (Test::Present, true),
            "CONTAINS_TOKEN" => (Test::Token(token(wire)?), false),
            "NOT_CONTAINS_TOKEN" => (Test::Token(token(wire)?), true),
            other => {
                return Err(Failure::validation(format!("Invalid input JSON: unknown operator {other}")));
            }
        };
        Ok(Self { subject: Some(subject), test, negated })
    }

    fn linked(portal: &Portal, other: &str, wire: &Wire) -> Result<Self, Failure> {
        let object = portal.object_at(other)?;
        let given: Vec<&serde_json::Value> =
            wire.values.iter().flatten().chain(wire.value.as_ref()).collect();
        let ids = given
            .into_iter()
            .map(|value| value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok()))
            .collect::<Option<Vec<u64>>>()
            .filter(|ids| !ids.is_empty())
            .ok_or_else(|| Failure::validation("an association filter takes record ids"))?;
        let negated = match wire.operator.as_str() {
            "EQ" | "IN" => false,
            "NEQ" | "NOT_IN" => true,
            other => {
                let message = format!("operator {other} is not supported for associations");
                return Err(Failure::validation(message));
            }
        };
        Ok(Self { subject: None, test: Test::LinkedTo { object, ids }, negated })
    }

    pub(crate) fn accepts(&self, object: &Object, record: &Record) -> bool {
        self.matches(object, record) != self.negated
    }

    fn matches(&self, object: &Object, record: &Record) -> bool {
        if let Test::LinkedTo { object: other, ids } = &self.test {
            return record.links_to(*other).any(|link| ids.contains(&link.id));
        }
        let Some(key) = self.subject.as_ref().and_then(|subject| subject.key(object, record)) else {
            return false;
        };
        match &self.test {
            Test::Equals(any) => any.contains(&key),
            Test::Range { low, high } => {
                let above = low.as_ref().is_none_or(|(low, inclusive)| after(&key, low, *inclusive));
                above && high.as_ref().is_none_or(|(high, inclusive)| after(high, &key, *inclusive))
            }
            Test::Present | Test::LinkedTo { .. } => true,
            Test::Token(token) => match &key {
                Key::Text(text) => has_token(text, token),
                Key::Number(number) => number.to_string() == *token,
            },
        }
    }

    /// The span of modification times this filter leaves, where it is one over them.
    pub(crate) fn modified_span(&self) -> Option<(i64, i64)> {
        let subject = self.subject.as_ref()?;
        if !subject.is_modified() || self.negated {
            return None;
        }
        let ms = |key: &Key| match key {
            Key::Number(number) => *number as i64,
            Key::Text(_) => 0,
        };
        match &self.test {
            Test::Equals(one) if one.len() == 1 => Some((ms(&one[0]), ms(&one[0]))),
            Test::Range { low, high } => {
                let from = low.as_ref().map_or(i64::MIN, |(key, inclusive)| ms(key) + i64::from(!inclusive));
                let to = high.as_ref().map_or(i64::MAX, |(key, inclusive)| ms(key) - i64::from(!inclusive));
                Some((from, to))
            }
            _ => None,
        }
    }
}

fn after(key: &Key, bound: &Key, inclusive: bool) -> bool {
    match key.compare(bound) {
        Ordering::Greater => true,
        Ordering::Equal => inclusive,
        Ordering::Less => false,
    }
}

fn many(subject: &Subject, wire: &Wire) -> Result<Vec<Key>, Failure> {
    let values = wire.values.as_deref().unwrap_or_default();
    if values.is_empty() {
        let message = format!("operator {} on {} needs values", wire.operator, wire.property_name);
        return Err(Failure::validation(message));
    }
    if subject.order == Order::Words {
        // The vendor compares IN lists as they are sent with lower-cased values.
        return Ok(values
            .iter()
            .filter_map(|value| value.as_str())
            .map(|v| Key::Text(v.to_owned()))
            .collect());
    }
    values.iter().map(|value| subject.operand(Some(value))).collect()
}

fn token(wire: &Wire) -> Result<String, Failure> {
    wire.value
        .as_ref()
        .and_then(|value| value.as_str())
        .filter(|text| !text.is_empty())
        .map(str::to_lowercase)
        .ok_or_else(|| Failure::validation(format!("{} needs a value", wire.operator)))
}

/// Whether a text contains a word; `*` at either end stands for anything.
fn has_token(text: &str, token: &str) -> bool {
    let (front, back) = (token.starts_with('*'), token.ends_with('*') && token.len() > 1);
    let core = token.trim_matches('*');
    if core.is_empty() {
        return true;
    }
    let whole = core.contains(|letter: char| !letter.is_alphanumeric());
    if whole && !front && !back {
        return text.contains(core);
    }
    text.split(|letter: char| !letter.is_alphanumeric()).chain([text]).any(|word| match (front, back) {
        (true, true) => word.contains(core),
        (true, false) => word.ends_with(core),
        (false, true) => word.starts_with(core),
        (false, false) => word == core,
    })
}
