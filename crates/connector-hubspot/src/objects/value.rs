use jiff::{Timestamp, civil::Date, tz::TimeZone};
use model::{FieldType, InvalidValue, Value};
use rust_decimal::Decimal;

/// A value out of HubSpot's text, by the field's type. What does not fit stays the text it is, so that people can see
/// what is wrong with it.
pub(crate) fn from_wire(field_type: FieldType, raw: &str) -> Value {
    if raw.is_empty() {
        return Value::Null;
    }
    let typed = match field_type {
        FieldType::Number | FieldType::Currency | FieldType::Percent => number(raw).map(Value::Number),
        FieldType::Boolean => match raw {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            _ => None,
        },
        FieldType::Date => date(raw).map(Value::Date),
        FieldType::DateTime => time_from_wire(raw).map(Value::DateTime),
        FieldType::MultiPicklist => {
            let options = raw.split(';').map(str::trim).filter(|option| !option.is_empty());
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
    typed.unwrap_or_else(|| Value::Text(raw.to_owned()))
}

/// A value as HubSpot's text; the empty text clears a property.
///
/// # Errors
/// The value does not fit the field's type.
pub(crate) fn to_wire(field_type: FieldType, value: &Value) -> Result<String, InvalidValue> {
    Ok(match field_type.coerce(value.clone())? {
        Value::Null => String::new(),
        Value::Text(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(yes) => yes.to_string(),
        Value::Date(date) => date.to_string(),
        Value::DateTime(at) => time_to_wire(at),
        Value::List(options) => options.join(";"),
    })
}

/// A moment in ISO 8601 or in milliseconds since 1970, cut to the milliseconds that HubSpot keeps.
pub(crate) fn time_from_wire(raw: &str) -> Option<Timestamp> {
    let time = match raw.parse::<i64>() {
        Ok(ms) => Timestamp::from_millisecond(ms).ok()?,
        Err(_) => raw.parse::<Timestamp>().ok().or_else(|| midnight(raw.parse().ok()?))?,
    };
    Timestamp::from_millisecond(time.as_millisecond()).ok()
}

/// A moment in ISO 8601 with milliseconds, in UTC.
fn time_to_wire(at: Timestamp) -> String {
    format!("{at:.3}")
}

fn number(raw: &str) -> Option<Decimal> {
    raw.parse().or_else(|_| Decimal::from_scientific(raw)).ok()
}

/// A day, or the moment of its midnight in UTC, which is how older properties spell it.
fn date(raw: &str) -> Option<Date> {
    if raw.len() == 10 && !raw.bytes().all(|byte| byte.is_ascii_digit()) {
        return raw.parse().ok();
    }
    time_from_wire(raw).map(|at| at.to_zoned(TimeZone::UTC).date())
}

fn midnight(date: Date) -> Option<Timestamp> {
    date.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_become_values_by_the_fields_type() {
        let at = |text: &str| Value::DateTime(text.parse().unwrap());
        let rows = [
            (FieldType::Number, "1500.00", Value::Number("1500".parse().unwrap())),
            (FieldType::Number, "1.5E3", Value::Number("1500".parse().unwrap())),
            (FieldType::Currency, "-0.01", Value::Number("-0.01".parse().unwrap())),
            (FieldType::Number, "a lot", Value::text("a lot")),
            (FieldType::Boolean, "true", Value::Bool(true)),
            (FieldType::Boolean, "maybe", Value::text("maybe")),
            (FieldType::Date, "2024-01-31", Value::Date(jiff::civil::date(2024, 1, 31))),
            (FieldType::Date, "1706659200000", Value::Date(jiff::civil::date(2024, 1, 31))),
            (FieldType::DateTime, "2024-01-31T23:00:00Z", at("2024-01-31T23:00:00Z")),
            (FieldType::DateTime, "2024-01-31T23:00:00.123Z", at("2024-01-31T23:00:00.123Z")),
            (FieldType::DateTime, "1706742000123", at("2024-01-31T23:00:00.123Z")),
            (FieldType::DateTime, "2024-01-31", at("2024-01-31T00:00:00Z")),
            (FieldType::DateTime, "soon", Value::text("soon")),
            (FieldType::MultiPicklist, "b;a;;b", Value::list(["a".into(), "b".into()])),
            (FieldType::Picklist, "closedwon", Value::text("closedwon")),
            (FieldType::Text, "", Value::Null),
            (FieldType::Number, "", Value::Null),
        ];
        for (field_type, raw, expected) in rows {
            assert_eq!(from_wire(field_type, raw), expected, "{field_type:?} {raw}");
        }
    }

    #[test]
    fn values_become_hubspots_texts() {
        let rows = [
            (
                FieldType::DateTime,
                Value::DateTime("2024-01-31T23:00:00Z".parse().unwrap()),
                "2024-01-31T23:00:00.000Z",
            ),
            (FieldType::DateTime, Value::Date(jiff::civil::date(2024, 1, 31)), "2024-01-31T00:00:00.000Z"),
            (FieldType::Date, Value::DateTime("2024-01-31T23:00:00Z".parse().unwrap()), "2024-01-31"),
            (FieldType::MultiPicklist, Value::list(["b".into(), "a".into()]), "a;b"),
            (FieldType::Boolean, Value::Bool(false), "false"),
            (FieldType::Currency, Value::Number("1500.00".parse().unwrap()), "1500.00"),
            (FieldType::Text, Value::Null, ""),
        ];
        for (field_type, value, expected) in rows {
            assert_eq!(to_wire(field_type, &value).unwrap(), expected);
        }
        assert!(to_wire(FieldType::Number, &Value::text("a lot")).is_err());
    }

    proptest! {
        #[test]
        fn a_number_comes_back_exactly(units: i64, scale in 0_u32..18) {
            let value = Value::Number(Decimal::new(units, scale));
            let wire = to_wire(FieldType::Number, &value).unwrap();
            prop_assert_eq!(from_wire(FieldType::Number, &wire), value);
        }

        #[test]
        fn a_moment_comes_back_to_the_millisecond(ms in -62_135_596_800_000_i64..253_402_207_200_000) {
            let value = Value::DateTime(Timestamp::from_millisecond(ms).unwrap());
            let wire = to_wire(FieldType::DateTime, &value).unwrap();
            prop_assert_eq!(from_wire(FieldType::DateTime, &wire), value);
        }

        #[test]
        fn no_text_makes_a_panic_and_none_is_lost(raw in ".+") {
            for field_type in [FieldType::Number, FieldType::Boolean, FieldType::Date, FieldType::DateTime] {
                prop_assert!(!from_wire(field_type, &raw).is_blank());
            }
        }
    }
}
