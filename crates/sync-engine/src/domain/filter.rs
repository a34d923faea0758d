//! Which records of a mapping are synced: conditions on fields here and at the vendor.

use std::{collections::BTreeMap, fmt, str::FromStr};

use model::Value;
use serde::{Deserialize, Serialize};

use super::cell::Record;

named! {
    /// Whose field a condition is about.
    Side {
        /// Ours.
        Here = "here",
        /// The vendor's.
        There = "there",
    }
}

named! {
    /// How a field's value is compared.
    Operator {
        /// Equal, but for case.
        Is = "is",
        /// Not equal, but for case; a blank is not.
        IsNot = "is_not",
        /// One of several, divided by commas.
        OneOf = "one_of",
        /// Has this text in it.
        Contains = "contains",
        /// Begins with this text.
        StartsWith = "starts_with",
        /// A larger number, or a later day or moment.
        Above = "above",
        /// A smaller number, or an earlier day or moment.
        Below = "below",
        /// Has no value.
        IsBlank = "is_blank",
        /// Has a value.
        IsSet = "is_set",
    }
}

/// One condition: `there amount above 1000`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    pub(crate) side: Side,
    pub(crate) field: String,
    pub(crate) operator: Operator,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) value: String,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Filter {
    /// Whether one condition that holds is enough; else all must.
    #[serde(default)]
    pub(crate) any: bool,
    pub(crate) conditions: Vec<Condition>,
}

impl Filter {
    /// Whether a record passes, by what is known of it; none when that decides nothing.
    pub(crate) fn passes(
        &self,
        here: Option<&Record>,
        there: Option<&BTreeMap<String, Value>>,
    ) -> Option<bool> {
        let mut unknown = false;
        for condition in &self.conditions {
            let value = match condition.side {
                Side::Here => here.map(|record| record.value(&condition.field)),
                Side::There => there.and_then(|fields| fields.get(&condition.field)),
            };
            match value.map(|value| condition.holds(value)) {
                Some(holds) if holds == self.any => return Some(self.any),
                Some(_) => {}
                None => unknown = true,
            }
        }
        (!unknown).then_some(!self.any)
    }

    /// Whether it asks for fields of ours.
    pub(crate) fn asks_here(&self) -> bool {
        self.conditions.iter().any(|condition| condition.side == Side::Here)
    }

    /// The vendor's fields that it reads.
    pub(crate) fn vendor_fields(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().filter(|c| c.side == Side::There).map(|c| c.field.as_str())
    }
}

impl Condition {
    fn holds(&self, value: &Value) -> bool {
        let text = value.to_string().to_lowercase();
        let wanted = self.value.trim().to_lowercase();
        match self.operator {
            Operator::IsBlank => value.is_blank(),
            Operator::IsSet => !value.is_blank(),
            Operator::Is => is(value, &text, &wanted),
            Operator::IsNot => !is(value, &text, &wanted),
            Operator::OneOf => wanted.split(',').any(|one| is(value, &text, one.trim())),
            Operator::Contains => match value {
                Value::List(options) => options.iter().any(|option| option.to_lowercase() == wanted),
                _ => !wanted.is_empty() && text.contains(&wanted),
            },
            Operator::StartsWith => !wanted.is_empty() && text.starts_with(&wanted),
            Operator::Above => order(value, &wanted).is_some_and(std::cmp::Ordering::is_gt),
            Operator::Below => order(value, &wanted).is_some_and(std::cmp::Ordering::is_lt),
        }
    }
}

fn is(value: &Value, text: &str, wanted: &str) -> bool {
    text == wanted || order(value, wanted).is_some_and(std::cmp::Ordering::is_eq)
}

/// How a value stands to one that is written as text; none when the two cannot be compared.
fn order(value: &Value, wanted: &str) -> Option<std::cmp::Ordering> {
    match value {
        Value::Number(number) => wanted.parse().ok().map(|wanted| number.cmp(&wanted)),
        Value::Text(text) => {
            let number: rust_decimal::Decimal = text.trim().parse().ok()?;
            wanted.parse().ok().map(|wanted| number.cmp(&wanted))
        }
        Value::Date(date) => wanted.parse().ok().map(|wanted| date.cmp(&wanted)),
        Value::DateTime(at) => {
            let wanted = wanted.to_uppercase();
            let moment = wanted.parse().ok();
            let midnight = || {
                let date: jiff::civil::Date = wanted.parse().ok()?;
                Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
            };
            moment.or_else(midnight).map(|wanted| at.cmp(&wanted))
        }
        Value::Null | Value::Bool(_) | Value::List(_) => None,
    }
}

/// A text that is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NoCondition(&'static str);

impl FromStr for Condition {
    type Err = NoCondition;

    fn from_str(line: &str) -> Result<Self, NoCondition> {
        let mut words = line.trim().splitn(4, ' ').map(str::trim);
        let mut next = || words.next().unwrap_or_default();
        let side = next().parse().map_err(|_| NoCondition("a condition begins with here or there"))?;
        let field = next().to_owned();
        let operator: Operator = next().parse().map_err(|_| {
            NoCondition(
                "the operators are is, is_not, one_of, contains, starts_with, above, below, is_blank and is_set",
            )
        })?;
        let value = next().to_owned();
        let bare = matches!(operator, Operator::IsBlank | Operator::IsSet);
        if bare != value.is_empty() {
            return Err(NoCondition("an operator other than is_blank and is_set takes a value"));
        }
        let ordered = matches!(operator, Operator::Above | Operator::Below);
        if ordered
            && value.parse::<rust_decimal::Decimal>().is_err()
            && value.parse::<jiff::civil::Date>().is_err()
            && value.parse::<jiff::Timestamp>().is_err()
        {
            return Err(NoCondition("above and below take a number, a day or a moment"));
        }
        Ok(Self { side, field, operator, value })
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.side.name(), self.field, self.operator.name())?;
        if self.value.is_empty() { Ok(()) } else { write!(f, " {}", self.value) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn filter(any: bool, lines: &[&str]) -> Filter {
        Filter { any, conditions: lines.iter().map(|line| line.parse().unwrap()).collect() }
    }

    fn there(fields: &[(&str, Value)]) -> BTreeMap<String, Value> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    proptest! {
        #[test]
        fn no_text_and_no_value_makes_a_condition_panic(line in ".{0,40}", text in ".{0,12}", number in any::<i64>()) {
            for line in [line.as_str(), &format!("there x above {line}"), &format!("there x one_of {line}")] {
                let Ok(condition) = line.parse::<Condition>() else { continue };
                prop_assert_eq!(condition.to_string().parse::<Condition>().map(|c| c.operator), Ok(condition.operator));
                for value in [Value::text(text.as_str()), Value::Number(number.into()), Value::Null, Value::Bool(true)] {
                    condition.holds(&value);
                }
            }
        }
    }

    #[test]
    fn what_is_not_known_decides_only_when_nothing_else_does() {
        let fields = there(&[("amount", Value::Number(1_500.into())), ("stage", Value::text("Won"))]);
        let all = filter(false, &["there amount above 1000", "there owner is_set"]);
        assert_eq!(all.passes(None, Some(&fields)), None);
        let failed = filter(false, &["there amount above 2000", "there owner is_set"]);
        assert_eq!(failed.passes(None, Some(&fields)), Some(false));
        let any = filter(true, &["there owner is_set", "there stage one_of lost, won"]);
        assert_eq!(any.passes(None, Some(&fields)), Some(true));
        assert_eq!(any.passes(None, None), None);
        assert_eq!(filter(false, &[]).passes(None, None), Some(true));
    }

    #[test]
    fn values_are_compared_as_what_they_are() {
        let day = Value::Date(jiff::civil::date(2026, 3, 1));
        let moment = Value::DateTime("2026-03-01T12:00:00Z".parse().unwrap());
        for (line, value, holds) in [
            ("there x above 9", Value::Number(10.into()), true),
            ("there x above 9", Value::text("10"), true),
            ("there x below 2026-03-02", day.clone(), true),
            ("there x above 2026-03-01", moment, true),
            ("there x is 2026-03-01", day, true),
            ("there x is won", Value::text("WON"), true),
            ("there x is 10.0", Value::Number(10.into()), true),
            ("there x is true", Value::Bool(true), true),
            ("there x contains b", Value::list(["a".to_owned(), "b".to_owned()]), true),
            ("there x contains b", Value::list(["ab".to_owned()]), false),
            ("there x is_not won", Value::Null, true),
            ("there x is_blank", Value::Null, true),
        ] {
            assert_eq!(line.parse::<Condition>().unwrap().holds(&value), holds, "{line} {value:?}");
        }
        for line in
            ["x is 1", "there", "there x like 1", "there x is", "there x is_set 1", "there x above high"]
        {
            assert!(line.parse::<Condition>().is_err(), "{line}");
        }
    }
}
