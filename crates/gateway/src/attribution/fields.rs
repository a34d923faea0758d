//! A JSON object read field by field. What is wrong is gathered and told as the contract has it, field by field.

use std::{borrow::Cow, collections::HashMap};

use http::StatusCode;
use jiff::Timestamp;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

use super::{
    json::{self, DEEPEST, Unheld, kind},
    refusal::Refusal,
};

/// The faults of a body or a query.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    form: Vec<String>,
    /// By field, in the order in which they were found.
    fields: Vec<(Cow<'static, str>, Vec<String>)>,
}

impl Faults {
    pub(crate) fn add(&mut self, field: &'static str, message: impl Into<String>) {
        let message = message.into();
        match self.fields.iter_mut().find(|(name, _)| *name == field) {
            Some((_, messages)) => messages.push(message),
            None => self.fields.push((field.into(), vec![message])),
        }
    }

    pub(crate) fn of_form(message: impl Into<String>) -> Self {
        Self { form: vec![message.into()], fields: Vec::new() }
    }

    pub(crate) fn of_field(field: String, message: impl Into<String>) -> Self {
        Self { form: Vec::new(), fields: vec![(field.into(), vec![message.into()])] }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.form.is_empty() && self.fields.is_empty()
    }

    /// What was found, without where.
    pub(crate) fn into_messages(self) -> impl Iterator<Item = String> {
        self.form.into_iter().chain(self.fields.into_iter().flat_map(|(_, messages)| messages))
    }

    /// The refusal, `invalid_body` or `invalid_query`.
    pub(crate) fn refusal(&self, error: &'static str) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, error).detailed(self)
    }
}

impl Serialize for Faults {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Fields<'f>(&'f [(Cow<'static, str>, Vec<String>)]);
        impl Serialize for Fields<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_map(self.0.iter().map(|(name, messages)| (name, messages)))
            }
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("formErrors", &self.form)?;
        map.serialize_entry("fieldErrors", &Fields(&self.fields))?;
        map.end()
    }
}

/// How long a text may be, in UTF-16 code units, as the callers' languages count.
#[derive(Clone, Copy)]
pub(crate) struct Length {
    least: usize,
    most: usize,
}

impl Length {
    pub(crate) const ANY: Self = Self::between(0, usize::MAX);
    pub(crate) const SOME: Self = Self::between(1, usize::MAX);

    pub(crate) const fn between(least: usize, most: usize) -> Self {
        Self { least, most }
    }

    pub(crate) const fn exactly(count: usize) -> Self {
        Self::between(count, count)
    }

    fn fault(self, text: &str) -> Option<String> {
        let length = text.encode_utf16().count();
        if (self.least..=self.most).contains(&length) {
            return None;
        }
        Some(match self {
            Self { least, most } if least == most => {
                format!("String must contain exactly {least} character(s)")
            }
            Self { least, .. } if length < least => {
                format!("String must contain at least {least} character(s)")
            }
            Self { most, .. } => format!("String must contain at most {most} character(s)"),
        })
    }
}

/// The fields of an object. A field that is null counts as one that is not there.
#[derive(Debug, Default)]
pub(crate) struct Fields<'b> {
    values: HashMap<Cow<'b, str>, &'b RawValue>,
    pub(crate) faults: Faults,
}

impl<'b> Fields<'b> {
    /// Reads a body; an empty one is an object without fields.
    ///
    /// # Errors
    /// What is wrong with the whole of it.
    pub(crate) fn of_body(body: &'b [u8]) -> Result<Self, Faults> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self::default());
        }
        let text = whole(body)?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|_| malformed())?;
        Self::of_value(raw)
    }

    /// Reads an object inside of a body that was read.
    ///
    /// # Errors
    /// It is no object.
    pub(crate) fn of_value(raw: &'b RawValue) -> Result<Self, Faults> {
        if kind(raw.get()) != "object" {
            return Err(Faults::of_form(format!("Expected object, received {}", kind(raw.get()))));
        }
        let values = serde_json::from_str(raw.get()).map_err(|_| malformed())?;
        Ok(Self { values, faults: Faults::default() })
    }

    /// The fields, unless there are faults.
    pub(crate) fn done<T>(self, value: T) -> Result<T, Faults> {
        if self.faults.is_empty() { Ok(value) } else { Err(self.faults) }
    }

    /// The JSON of a field.
    pub(crate) fn raw(&self, name: &str) -> Option<&'b RawValue> {
        self.values.get(name).copied().filter(|raw| kind(raw.get()) != "null")
    }

    /// Whether a field is null, which clears what stands.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.values.get(name).is_some_and(|raw| kind(raw.get()) == "null")
    }

    fn of_kind(&mut self, name: &'static str, expected: &'static str) -> Option<&'b str> {
        let text = self.raw(name)?.get();
        if kind(text) == expected {
            return Some(text);
        }
        self.faults.add(name, format!("Expected {expected}, received {}", kind(text)));
        None
    }

    pub(crate) fn text(&mut self, name: &'static str, length: Length) -> Option<String> {
        let json = self.of_kind(name, "string")?;
        // Half of a surrogate pair is no text.
        let Ok(text) = serde_json::from_str::<String>(json) else {
            self.faults.add(name, "Invalid");
            return None;
        };
        if let Some(fault) = length.fault(&text) {
            self.faults.add(name, fault);
        }
        Some(text)
    }

    /// A text that must be there.
    pub(crate) fn required_text(&mut self, name: &'static str, length: Length) -> String {
        self.require(name);
        self.text(name, length).unwrap_or_default()
    }

    /// Notes that a field is missing.
    pub(crate) fn require(&mut self, name: &'static str) {
        if self.raw(name).is_none() {
            self.faults.add(name, "Required");
        }
    }

    /// A decimal number, or a text that is one, of at least zero.
    pub(crate) fn amount(&mut self, name: &'static str) -> Option<Decimal> {
        let json = self.raw(name)?.get();
        let Some(number) = decimal(json) else {
            let fault = match kind(json) {
                "number" => "Number is too large or too exact".to_owned(),
                received => format!("Expected number, received {received}"),
            };
            self.faults.add(name, fault);
            return None;
        };
        if number.is_sign_negative() && !number.is_zero() {
            self.faults.add(name, "Number must be greater than or equal to 0");
        }
        Some(number.abs())
    }

    pub(crate) fn integer(&mut self, name: &'static str, least: u32, most: u32) -> Option<u32> {
        let json = self.of_kind(name, "number")?;
        match whole_number(json, least, most) {
            Ok(number) => Some(number),
            Err(fault) => {
                self.faults.add(name, fault);
                None
            }
        }
    }

    /// A number that nobody asks for more closely.
    pub(crate) fn number(&mut self, name: &'static str) {
        self.of_kind(name, "number");
    }

    pub(crate) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        Some(self.of_kind(name, "boolean")? == "true")
    }

    /// The JSON of an object.
    pub(crate) fn object(&mut self, name: &'static str) -> Option<&'b str> {
        self.of_kind(name, "object")
    }

    pub(crate) fn list(&mut self, name: &'static str) -> Option<Vec<&'b RawValue>> {
        let json = self.of_kind(name, "array")?;
        serde_json::from_str(json).ok()
    }

    /// At least one text, and at most so many; they must be there.
    pub(crate) fn texts(&mut self, name: &'static str, most: usize) -> Vec<String> {
        self.require(name);
        let Some(items) = self.list(name) else { return Vec::new() };
        if items.is_empty() {
            self.faults.add(name, "Array must contain at least 1 element(s)");
        }
        self.each_text(name, &items, most)
    }

    /// So many texts at most; none where there is no such field.
    pub(crate) fn texts_if_any(&mut self, name: &'static str, most: usize) -> Vec<String> {
        let items = self.list(name).unwrap_or_default();
        self.each_text(name, &items, most)
    }

    fn each_text(&mut self, name: &'static str, items: &[&RawValue], most: usize) -> Vec<String> {
        if items.len() > most {
            self.faults.add(name, format!("Array must contain at most {most} element(s)"));
        }
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            match kind(item.get()) {
                "string" => texts.extend(serde_json::from_str::<String>(item.get())),
                received => self.faults.add(name, format!("Expected string, received {received}")),
            }
        }
        texts
    }

    /// A moment in ISO 8601, with any offset.
    pub(crate) fn moment(&mut self, name: &'static str) -> Option<Timestamp> {
        let text = self.text(name, Length::ANY)?;
        let moment = moment(&text);
        if moment.is_none() {
            self.faults.add(name, "Invalid datetime");
        }
        moment
    }

    pub(crate) fn url(&mut self, name: &'static str, length: Length) -> Option<String> {
        let text = self.text(name, length)?;
        if !is_web_address(&text) {
            self.faults.add(name, "Invalid url");
        }
        Some(text)
    }

    pub(crate) fn one_of(&mut self, name: &'static str, allowed: &[&'static str]) -> Option<&'static str> {
        let text = self.text(name, Length::ANY)?;
        let found = allowed.iter().copied().find(|allowed| *allowed == text);
        if found.is_none() {
            self.faults.add(name, not_one_of(&text, allowed));
        }
        found
    }
}

pub(crate) fn not_one_of(text: &str, allowed: &[&str]) -> String {
    let expected: Vec<String> = allowed.iter().map(|word| format!("'{word}'")).collect();
    format!("Invalid enum value. Expected {}, received '{text}'", expected.join(" | "))
}

/// A moment in ISO 8601 with `Z` or any offset.
pub(crate) fn moment(text: &str) -> Option<Timestamp> {
    // What comes after the date begins with T, and there is no zone's name in brackets.
    let has_form = text.as_bytes().get(10).is_some_and(|byte| b"Tt".contains(byte)) && !text.contains('[');
    has_form.then(|| text.parse().ok())?
}

/// Browsers are sent there, so it is of the web.
fn is_web_address(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// A JSON number, or a JSON text of one, exactly.
fn decimal(json: &str) -> Option<Decimal> {
    let text = match kind(json) {
        "number" => Cow::Borrowed(json),
        "string" => {
            let text: String = serde_json::from_str(json).ok()?;
            // Only what would be a number in JSON as well.
            serde_json::from_str::<serde_json::Number>(&text).ok()?;
            Cow::Owned(text)
        }
        _ => return None,
    };
    let number = match text.contains(['e', 'E']) {
        true => Decimal::from_scientific(&text).ok()?,
        false => Decimal::from_str_exact(&text).ok()?,
    };
    Some(number.normalize())
}

/// A whole number within bounds.
pub(crate) fn whole_number(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number: f64 = text.trim().parse().map_err(|_| "Expected number, received nan".to_owned())?;
    if number.is_nan() {
        return Err("Expected number, received nan".to_owned());
    }
    if number.fract() != 0.0 {
        return Err("Expected integer, received float".to_owned());
    }
    if number < f64::from(least) {
        return Err(format!("Number must be greater than or equal to {least}"));
    }
    if number > f64::from(most) {
        return Err(format!("Number must be less than or equal to {most}"));
    }
    // Within the bounds of a u32 and whole.
    format!("{number}").parse().map_err(|_| "Expected integer, received float".to_owned())
}

/// The text of a body, when it is JSON that every part of the house can hold.
fn whole(body: &[u8]) -> Result<&str, Faults> {
    match json::held(body) {
        Ok(text) => Ok(text),
        Err(Unheld::Malformed) => Err(malformed()),
        Err(Unheld::TooDeep) => Err(Faults::of_form(format!("The body is deeper than {DEEPEST} levels"))),
        Err(Unheld::Nul) => Err(Faults::of_form("No text may hold the character U+0000")),
    }
}

fn malformed() -> Faults {
    Faults::of_form("The body is not JSON in UTF-8")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn faults(body: &str, read: impl FnOnce(&mut Fields<'_>)) -> serde_json::Value {
        let found = match Fields::of_body(body.as_bytes()) {
            Ok(mut fields) => {
                read(&mut fields);
                fields.faults
            }
            Err(faults) => faults,
        };
        serde_json::to_value(found).unwrap()
    }

    #[test]
    fn amounts_are_exact_whether_they_come_as_number_or_text() {
        for (json, amount) in [
            ("4500.00", "4500"),
            ("0.1", "0.1"),
            ("\"12345678901234567.89\"", "12345678901234567.89"),
            ("12345678901234567.89", "12345678901234567.89"),
            ("45e2", "4500"),
            ("1.5E-2", "0.015"),
            ("0", "0"),
            ("-0", "0"),
        ] {
            let body = format!("{{\"value\":{json}}}");
            let mut fields = Fields::of_body(body.as_bytes()).unwrap();
            assert_eq!(
                fields.amount("value").map(|amount| amount.to_string()).as_deref(),
                Some(amount),
                "{json}"
            );
            assert!(fields.faults.is_empty());
        }
        for (json, fault) in [
            ("\"many\"", "Expected number, received string"),
            ("\"\"", "Expected number, received string"),
            ("\"1,5\"", "Expected number, received string"),
            ("\"0x10\"", "Expected number, received string"),
            ("\" 1\"", "Expected number, received string"),
            ("true", "Expected number, received boolean"),
            ("[]", "Expected number, received array"),
            ("{}", "Expected number, received object"),
            ("-0.01", "Number must be greater than or equal to 0"),
            ("1e300", "Number is too large or too exact"),
            ("1e-300", "Number is too large or too exact"),
        ] {
            let found = faults(&format!("{{\"value\":{json}}}"), |fields| {
                fields.amount("value");
            });
            assert_eq!(found["fieldErrors"]["value"], json!([fault]), "{json}");
        }
    }

    #[test]
    fn moments_have_a_date_a_time_and_an_offset() {
        for text in [
            "2026-04-20T12:00:00Z",
            "2026-04-20T12:00:00.123Z",
            "2026-04-20T14:00:00+02:00",
            "2026-04-20T12:00:00.000+0000",
            "2026-04-20T12:00Z",
        ] {
            assert!(moment(text).is_some(), "{text}");
        }
        assert_eq!(moment("2026-04-20T14:00:00+02:00"), moment("2026-04-20T12:00:00Z"));
        for text in [
            "",
            "2026-04-20",
            "2026-04-20T12:00:00",
            "2026-04-20 12:00:00Z",
            "2026-02-30T00:00:00Z",
            "soon",
            "1",
        ] {
            assert!(moment(text).is_none(), "{text}");
        }
    }

    #[test]
    fn all_faults_are_told_at_once_in_the_order_of_the_fields() {
        let text = serde_json::to_string(&{
            let mut fields = Fields::of_body(br#"{"type":"","value":-1,"currency":"US"}"#).unwrap();
            fields.required_text("userId", Length::SOME);
            fields.required_text("type", Length::SOME);
            fields.amount("value");
            fields.text("currency", Length::exactly(3));
            fields.faults
        });
        assert_eq!(
            text.unwrap(),
            "{\"formErrors\":[],\"fieldErrors\":{\"userId\":[\"Required\"],\
             \"type\":[\"String must contain at least 1 character(s)\"],\
             \"value\":[\"Number must be greater than or equal to 0\"],\
             \"currency\":[\"String must contain exactly 3 character(s)\"]}}"
        );
    }

    #[test]
    fn a_body_is_an_object_of_json_without_nul_and_not_too_deep() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        for good in ["", " \n", "{}", &nested(63), r#"{"a":"\\u0000"}"#] {
            assert!(Fields::of_body(good.as_bytes()).is_ok(), "{good}");
        }
        for bad in [
            "{",
            "nul",
            "{} {}",
            "[1]",
            "\"x\"",
            "null",
            "7",
            &nested(64),
            &nested(100_000),
            r#"{"a":"\u0000"}"#,
            r#"{"\u0000":1}"#,
            r#"{"a":["\ud800"]}"#,
            r#"{"a":1e400}"#,
            "{\"a\":01}",
        ] {
            assert!(Fields::of_body(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Fields::of_body(b"{\"a\":\"\xff\"}").is_err());
        assert_eq!(faults("[1]", |_| ())["formErrors"], json!(["Expected object, received array"]));
    }

    #[test]
    fn the_last_of_two_equal_names_counts() {
        let mut fields = Fields::of_body(br#"{"userId":"a","userId":"b"}"#).unwrap();
        assert_eq!(fields.required_text("userId", Length::SOME), "b");
    }

    proptest! {
        #[test]
        fn no_body_makes_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,80}") {
            for body in [body.as_slice(), text.as_bytes(), format!("{{\"value\":{text}}}").as_bytes()] {
                if let Ok(mut fields) = Fields::of_body(body) {
                    fields.amount("value");
                    fields.moment("value");
                    fields.integer("value", 1, 500);
                }
            }
            let _ = whole_number(&text, 0, u32::MAX);
        }

        #[test]
        fn what_is_read_as_an_amount_is_what_was_written(units in 0_u64.., scale in 0_u32..6) {
            let written = Decimal::from_i128_with_scale(units.into(), scale);
            let body = format!("{{\"value\":{written}}}");
            let mut fields = Fields::of_body(body.as_bytes()).unwrap();
            prop_assert_eq!(fields.amount("value"), Some(written));
        }
    }
}
