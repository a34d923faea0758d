use std::borrow::Cow;

use jiff::{Timestamp, civil::Time, tz::TimeZone};
use model::{FieldType, InvalidValue, Value};
use rust_decimal::Decimal;
use serde_json::value::{RawValue, to_raw_value};

use crate::wire::text;

/// A value out of a REST answer, by the field's type.
pub(crate) fn from_wire(field_type: FieldType, raw: &RawValue) -> Value {
    let spelled = raw.get();
    match spelled.as_bytes().first() {
        Some(b'"') => text(raw).map_or(Value::Null, |text| from_text(field_type, text)),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'-' | b'0'..=b'9') => number(spelled)
            .map_or_else(|| Value::Text(spelled.to_owned()), |number| of_number(field_type, number)),
        // Null; compounds are never wanted, because their parts are fields of their own.
        _ => Value::Null,
    }
}

/// A value out of text: a JSON string, or a cell of a bulk query's CSV. What does not fit its type stays the text it is, so
/// that people can see what is wrong with it.
pub(crate) fn from_text(field_type: FieldType, raw: Cow<'_, str>) -> Value {
    if raw.is_empty() {
        return Value::Null;
    }
    let typed = match field_type {
        FieldType::Number | FieldType::Currency | FieldType::Percent => number(&raw).map(Value::Number),
        FieldType::Boolean => match &*raw {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        FieldType::Date => raw.parse().ok().map(Value::Date),
        FieldType::DateTime => time_from_wire(&raw).map(Value::DateTime),
        FieldType::MultiPicklist => {
            let options = raw.split(';').filter(|option| !option.is_empty());
            Some(Value::list(options.map(str::to_owned)))
        }
        FieldType::Text
        | FieldType::Email
        | FieldType::Phone
        | FieldType::Url
        | FieldType::Picklist
        | FieldType::Reference
        | FieldType::User => None,
    };
    typed.unwrap_or_else(|| Value::Text(raw.into_owned()))
}

/// A number that an event carries in binary: the shortest decimal that means the same, which is what REST spells.
pub(crate) fn from_double(field_type: FieldType, double: f64) -> Value {
    let spelled = double.to_string();
    match number(&spelled) {
        Some(number) => of_number(field_type, number),
        None => Value::Text(spelled),
    }
}

/// A time of day as REST spells it, out of its milliseconds.
pub(crate) fn time_of_day(ms: i64) -> Option<Value> {
    let ms = i32::try_from(ms).ok().filter(|ms| (0..86_400_000).contains(ms))?;
    let part = |of: i32, most: i32| i8::try_from(ms / of % most).ok();
    let time =
        Time::new(part(3_600_000, 24)?, part(60_000, 60)?, part(1_000, 60)?, ms % 1_000 * 1_000_000).ok()?;
    Some(Value::Text(format!("{time:.3}Z")))
}

fn of_number(field_type: FieldType, number: Decimal) -> Value {
    match field_type {
        FieldType::Number | FieldType::Currency | FieldType::Percent => Value::Number(number),
        _ => Value::Text(number.normalize().to_string()),
    }
}

fn number(spelled: &str) -> Option<Decimal> {
    spelled.parse().or_else(|_| Decimal::from_scientific(spelled)).ok()
}

/// A value as JSON for a write.
///
/// # Errors
/// The value does not fit the field's type.
pub(crate) fn to_wire(field_type: FieldType, value: &Value) -> Result<Box<RawValue>, InvalidValue> {
    const UNWRITABLE: InvalidValue = InvalidValue("a value that cannot be written as JSON");
    let quoted = |text: String| to_raw_value(&text);
    let raw = match field_type.coerce(value.clone())? {
        Value::Null => to_raw_value(&()),
        Value::Text(text) => quoted(text),
        // Exact: no detour over a binary number.
        Value::Number(number) => RawValue::from_string(number.to_string()),
        Value::Bool(yes) => to_raw_value(&yes),
        Value::Date(date) => quoted(date.to_string()),
        Value::DateTime(at) => quoted(format!("{at:.3}")),
        Value::List(options) => quoted(options.join(";")),
    };
    raw.map_err(|_| UNWRITABLE)
}

/// A moment as Salesforce spells it: `2011-07-07T00:37:00.000+0000`, in bulk queries with a `Z`.
pub(crate) fn time_from_wire(raw: &str) -> Option<Timestamp> {
    match raw.strip_suffix("+0000") {
        Some(local) => {
            let local: jiff::civil::DateTime = local.parse().ok()?;
            Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
        }
        None => raw.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn raw(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn json_becomes_values_by_the_fields_type() {
        let at = |text: &str| Value::DateTime(text.parse().unwrap());
        let rows = [
            (FieldType::Number, "300.0", Value::Number("300".parse().unwrap())),
            (
                FieldType::Currency,
                "1234567890123456.78",
                Value::Number("1234567890123456.78".parse().unwrap()),
            ),
            (FieldType::Number, "1.5E3", Value::Number("1500".parse().unwrap())),
            (FieldType::Boolean, "true", Value::Bool(true)),
            (FieldType::Date, "\"2024-01-31\"", Value::Date(jiff::civil::date(2024, 1, 31))),
            (FieldType::DateTime, "\"2011-07-07T00:37:00.000+0000\"", at("2011-07-07T00:37:00Z")),
            (FieldType::DateTime, "\"2011-07-07T00:37:00.000Z\"", at("2011-07-07T00:37:00Z")),
            (FieldType::DateTime, "\"soon\"", Value::text("soon")),
            (FieldType::MultiPicklist, "\"b;a\"", Value::list(["a".into(), "b".into()])),
            (FieldType::Text, "\"a\\\"b\"", Value::text("a\"b")),
            (FieldType::Text, "null", Value::Null),
            (FieldType::Text, "{\"city\":\"x\"}", Value::Null),
        ];
        for (field_type, json, expected) in rows {
            assert_eq!(from_wire(field_type, &raw(json)), expected, "{field_type:?} {json}");
        }
    }

    #[test]
    fn values_become_salesforces_json() {
        let rows = [
            (FieldType::Currency, Value::Number("1500.10".parse().unwrap()), "1500.10"),
            (FieldType::Date, Value::DateTime("2024-01-31T23:00:00Z".parse().unwrap()), "\"2024-01-31\""),
            (
                FieldType::DateTime,
                Value::Date(jiff::civil::date(2024, 1, 31)),
                "\"2024-01-31T00:00:00.000Z\"",
            ),
            (FieldType::MultiPicklist, Value::list(["b".into(), "a".into()]), "\"a;b\""),
            (FieldType::Boolean, Value::Bool(false), "false"),
            (FieldType::Text, Value::Null, "null"),
            (FieldType::Text, Value::text("a\"b"), "\"a\\\"b\""),
        ];
        for (field_type, value, expected) in rows {
            assert_eq!(to_wire(field_type, &value).unwrap().get(), expected);
        }
        assert!(to_wire(FieldType::Number, &Value::text("a lot")).is_err());
    }

    #[test]
    fn a_time_of_day_is_spelled_as_rest_spells_it() {
        assert_eq!(time_of_day(45_296_007), Some(Value::text("12:34:56.007Z")));
        assert_eq!(time_of_day(86_400_000), None);
        assert_eq!(time_of_day(-1), None);
    }

    proptest! {
        #[test]
        fn a_double_is_the_decimal_that_rest_spells(units in -999_999_999_999_999_i64..999_999_999_999_999, scale in 0_u32..6) {
            let exact = Decimal::new(units, scale);
            let double: f64 = exact.to_string().parse().unwrap();
            prop_assert_eq!(from_double(FieldType::Currency, double), Value::Number(exact));
        }

        #[test]
        fn a_number_comes_back_exactly(units: i64, scale in 0_u32..18) {
            let value = Value::Number(Decimal::new(units, scale));
            let wire = to_wire(FieldType::Number, &value).unwrap();
            prop_assert_eq!(from_wire(FieldType::Number, &wire), value);
        }

        #[test]
        fn nothing_makes_a_panic(text in ".*", double: f64, ms: i64) {
            for field_type in [FieldType::Number, FieldType::Boolean, FieldType::Date, FieldType::DateTime] {
                let _ = from_text(field_type, Cow::Borrowed(&text));
                let _ = from_double(field_type, double);
            }
            let _ = time_of_day(ms);
        }
    }
}
