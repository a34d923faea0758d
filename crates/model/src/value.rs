use std::fmt;

use jiff::{Timestamp, civil::Date};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap};

/// One field's value in canonical form.
///
/// Equality is by meaning: `1500` equals `1500.00`, and an empty text is the same as no value, because vendors
/// do not agree on either.
///
/// On the bus and in storage the JSON spelling is self-describing: text, booleans, lists and null are plain JSON;
/// a number is `{"n":"4500.00"}`, a date `{"d":"2024-01-31"}`, a moment `{"t":"2024-01-31T23:00:00Z"}`. The HTTP
/// API shows the plain spelling of [`Value::to_plain`].
#[derive(Clone, Debug, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// Text, and the internal name of a picklist option.
    Text(String),
    /// An exact number; money is a number in major units beside a currency field.
    Number(Decimal),
    /// Yes or no.
    Bool(bool),
    /// A calendar day.
    Date(Date),
    /// A moment.
    DateTime(Timestamp),
    /// Several picklist options, in canonical (sorted) order.
    List(Vec<String>),
}

/// A JSON value that is no field value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read a value: {0} is not a field value")]
pub struct InvalidValue(
    /// What kind of JSON it was; never the content, which may be personal.
    pub &'static str,
);

impl Value {
    /// Text, or no value when it is empty.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::Null } else { Self::Text(text) }
    }

    /// A list in canonical order without doubles, or no value when it is empty.
    #[must_use]
    pub fn list(options: impl IntoIterator<Item = String>) -> Self {
        let mut options: Vec<String> = options.into_iter().collect();
        options.sort_unstable();
        options.dedup();
        if options.is_empty() { Self::Null } else { Self::List(options) }
    }

    /// Whether there is no value.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(options) => options.is_empty(),
            _ => false,
        }
    }

    /// The name of this value's type, for messages that must not show the value.
    #[must_use]
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "blank",
            Self::Text(_) => "text",
            Self::Number(_) => "number",
            Self::Bool(_) => "boolean",
            Self::Date(_) => "date",
            Self::DateTime(_) => "datetime",
            Self::List(_) => "list",
        }
    }

    /// The plain JSON of the HTTP API: numbers, dates and moments as strings (exact in any language).
    #[must_use]
    pub fn to_plain(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Bool(yes) => (*yes).into(),
            Self::List(options) => options.clone().into(),
            other => other.to_string().into(),
        }
    }

    /// Reads the plain JSON of the HTTP API; text stays text until a field's type says more
    /// (see [`crate::FieldType::coerce`]).
    ///
    /// # Errors
    /// An object, or a list with something other than strings in it, is no field value.
    pub fn from_plain(json: &serde_json::Value) -> Result<Self, InvalidValue> {
        use serde_json::Value as Json;
        Ok(match json {
            Json::Null => Self::Null,
            Json::Bool(yes) => Self::Bool(*yes),
            Json::String(text) => Self::text(text.as_str()),
            Json::Number(number) => {
                let text = number.to_string();
                let exact = text.parse().or_else(|_| Decimal::from_scientific(&text));
                Self::Number(exact.map_err(|_| InvalidValue("a number out of range"))?)
            }
            Json::Array(items) => Self::list(
                items
                    .iter()
                    .map(|item| item.as_str().map(str::to_owned).ok_or(InvalidValue("a list of mixed items")))
                    .collect::<Result<Vec<_>, _>>()?,
            ),
            Json::Object(_) => return Err(InvalidValue("an object")),
        })
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Date(a), Self::Date(b)) => a == b,
            (Self::DateTime(a), Self::DateTime(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            (a, b) => a.is_blank() && b.is_blank(),
        }
    }
}

impl Eq for Value {}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
            Self::Bool(yes) => write!(f, "{yes}"),
            Self::Date(date) => write!(f, "{date}"),
            Self::DateTime(at) => write!(f, "{at}"),
            Self::List(options) => f.write_str(&options.join(";")),
        }
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tagged = |serializer: S, tag: &str, text: &dyn fmt::Display| {
            let mut map = serializer.serialize_map(Some(1))?;
            map.serialize_entry(tag, &format_args!("{text}"))?;
            map.end()
        };
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Bool(yes) => serializer.serialize_bool(*yes),
            Self::List(options) => options.serialize(serializer),
            Self::Number(number) => tagged(serializer, "n", number),
            Self::Date(date) => tagged(serializer, "d", date),
            Self::DateTime(at) => tagged(serializer, "t", at),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TaggedVisitor)
    }
}

struct TaggedVisitor;

impl<'de> de::Visitor<'de> for TaggedVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, a boolean, a string, a list of strings, or one of {\"n\"}, {\"d\"}, {\"t\"}")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Value, E> {
        Ok(Value::Bool(yes))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::text(text))
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut options = Vec::new();
        while let Some(option) = items.next_element::<String>()? {
            options.push(option);
        }
        Ok(Value::list(options))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let (tag, text) = map
            .next_entry::<std::borrow::Cow<'de, str>, std::borrow::Cow<'de, str>>()?
            .ok_or_else(|| de::Error::invalid_length(0, &self))?;
        let wrong = || de::Error::custom("a tagged value does not fit its tag");
        let value = match tag.as_ref() {
            "n" => Value::Number(text.parse().map_err(|_| wrong())?),
            "d" => Value::Date(text.parse().map_err(|_| wrong())?),
            "t" => Value::DateTime(text.parse().map_err(|_| wrong())?),
            _ => return Err(wrong()),
        };
        if map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {
            return Err(wrong());
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            ".*".prop_map(Value::text),
            (any::<i64>(), 0_u32..10).prop_map(|(n, scale)| Value::Number(Decimal::new(n, scale))),
            (1_i16..9999, 1_i8..13, 1_i8..29).prop_map(|(y, m, d)| Value::Date(jiff::civil::date(y, m, d))),
            (0_i64..4_000_000_000_000)
                .prop_map(|ms| Value::DateTime(Timestamp::from_millisecond(ms).unwrap_or_default())),
            proptest::collection::vec("[a-z]{1,4}", 0..4).prop_map(Value::list),
        ]
    }

    proptest! {
        #[test]
        fn a_value_survives_the_bus(value in any_value()) {
            let json = serde_json::to_string(&value).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        }

        #[test]
        fn plain_json_and_the_fields_type_bring_a_value_back(value in any_value()) {
            use crate::FieldType;
            let field_type = match value {
                Value::Null | Value::Text(_) => FieldType::Text,
                Value::Number(_) => FieldType::Number,
                Value::Bool(_) => FieldType::Boolean,
                Value::Date(_) => FieldType::Date,
                Value::DateTime(_) => FieldType::DateTime,
                Value::List(_) => FieldType::MultiPicklist,
            };
            let back = field_type.coerce(Value::from_plain(&value.to_plain()).unwrap()).unwrap();
            prop_assert_eq!(back, value);
        }

        #[test]
        fn no_text_makes_a_type_panic(text in ".*") {
            for field_type in [crate::FieldType::Number, crate::FieldType::Date, crate::FieldType::DateTime] {
                let _ = field_type.coerce(Value::text(text.as_str()));
            }
        }
    }

    #[test]
    fn values_are_equal_by_meaning() {
        let number = |text: &str| Value::Number(text.parse().unwrap());
        assert_eq!(number("1500"), number("1500.00"));
        assert_eq!(Value::text(""), Value::Null);
        assert_ne!(Value::text("1500"), number("1500"));
        assert_eq!(Value::list(["b".into(), "a".into()]), Value::list(["a".into(), "b".into(), "a".into()]));
    }
}
