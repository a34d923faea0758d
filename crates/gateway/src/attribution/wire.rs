//! How the rooms' answers look in the JSON of this API.

use jiff::Timestamp;
use proto::attribution as room;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// A moment as JavaScript prints it: `2026-11-22T19:00:00.000Z`.
pub(super) fn instant(at: Option<prost_types::Timestamp>) -> Option<String> {
    crate::view::moment(at).map(printed)
}

pub(super) fn printed(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// A text that says something; null otherwise.
pub(super) fn text(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// A decimal of a room as a JSON number, digit by digit; null when there is none.
pub(super) fn number(decimal: &str) -> Option<Box<RawValue>> {
    let is_number = serde_json::from_str::<serde_json::Number>(decimal).is_ok();
    is_number.then(|| RawValue::from_string(decimal.to_owned()).ok())?
}

/// JSON that a room kept; an empty object when there is none.
pub(super) fn object(json: String) -> Box<RawValue> {
    let json = if json.is_empty() { "{}".to_owned() } else { json };
    RawValue::from_string(json).unwrap_or_default()
}

/// It was done.
#[derive(Serialize, ToSchema)]
pub(super) struct Done {
    pub(super) ok: bool,
}

/// A share of an event: a whole number as one, else as near as a number of JSON comes.
pub(super) struct Weight(room::Weight);

impl From<Option<room::Weight>> for Weight {
    fn from(weight: Option<room::Weight>) -> Self {
        Self(weight.unwrap_or(room::Weight { numerator: 0, denominator: 1 }))
    }
}

impl Serialize for Weight {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let room::Weight { numerator, denominator } = self.0;
        match numerator.checked_rem(denominator) {
            Some(0) => serializer.serialize_i64(numerator / denominator),
            Some(_) => serializer.serialize_f64(numerator as f64 / denominator as f64),
            None => serializer.serialize_i64(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_is_printed_as_callers_know_it() {
        for (numerator, denominator, text) in [
            (1, 1, "1"),
            (1, 2, "0.5"),
            (2, 5, "0.4"),
            (1, 3, "0.3333333333333333"),
            (3, 3, "1"),
            (0, 7, "0"),
            (1, 0, "0"),
        ] {
            let weight = Weight::from(Some(room::Weight { numerator, denominator }));
            assert_eq!(serde_json::to_string(&weight).unwrap(), text);
        }
    }

    #[test]
    fn a_moment_always_has_milliseconds() {
        for (text, expected) in [
            ("2026-11-22T19:00:00Z", "2026-11-22T19:00:00.000Z"),
            ("2026-11-22T19:00:00.123456Z", "2026-11-22T19:00:00.123Z"),
        ] {
            assert_eq!(printed(text.parse().unwrap()), expected);
        }
    }

    #[test]
    fn a_decimal_is_a_number_digit_by_digit() {
        assert_eq!(number("12345678901234567.89").unwrap().get(), "12345678901234567.89");
        assert!(number("").is_none() && number("1,5").is_none() && number("NaN").is_none());
    }
}
