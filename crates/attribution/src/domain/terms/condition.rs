use rust_decimal::Decimal;
use serde_json::Value;

named! {
    /// How a field of the metadata is compared.
    Operator {
        /// The same text, or the same number.
        Equals = "equals",
        /// Anything else, and a missing field.
        NotEquals = "not_equals",
        /// There, and not null.
        Exists = "exists",
        /// A number of at least this.
        AtLeast = "at_least",
        /// A number of at most this.
        AtMost = "at_most",
    }
}

/// A demand on the metadata of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Condition {
    /// A key of the metadata; else a path of keys with dots between them.
    pub(crate) field: Box<str>,
    pub(crate) operator: Operator,
    /// Not read by [`Operator::Exists`].
    pub(crate) value: Box<str>,
}

impl Condition {
    /// Whether the metadata meets it. Numbers are compared as decimals, also where one is written as a text.
    pub(crate) fn holds(&self, metadata: &Value) -> bool {
        let found = find(metadata, &self.field).filter(|value| !value.is_null());
        match self.operator {
            Operator::Exists => found.is_some(),
            Operator::Equals => found.is_some_and(|found| self.is_equal(found)),
            Operator::NotEquals => !found.is_some_and(|found| self.is_equal(found)),
            Operator::AtLeast => self.compares(found, |found, wanted| found >= wanted),
            Operator::AtMost => self.compares(found, |found, wanted| found <= wanted),
        }
    }

    fn is_equal(&self, found: &Value) -> bool {
        match found {
            Value::String(text) => **text == *self.value,
            Value::Bool(truth) => *self.value == *truth.to_string(),
            Value::Number(_) => self.compares(Some(found), |found, wanted| found == wanted),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        }
    }

    fn compares(&self, found: Option<&Value>, holds: impl Fn(Decimal, Decimal) -> bool) -> bool {
        found.and_then(number).zip(decimal(&self.value)).is_some_and(|(found, wanted)| holds(found, wanted))
    }
}

fn find<'a>(metadata: &'a Value, field: &str) -> Option<&'a Value> {
    let whole = metadata.get(field);
    whole.or_else(|| field.split('.').try_fold(metadata, |value, key| value.get(key)))
}

fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => decimal(&number.to_string()),
        Value::String(text) => decimal(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A decimal, also in the notation with an exponent.
pub(super) fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    text.parse().ok().or_else(|| Decimal::from_scientific(text).ok())
}
