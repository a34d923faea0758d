//! What is checked of every text, time and amount that comes in, and how they are written going out.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{Timestamp, Unit};
use rust_decimal::Decimal;
use uuid::Uuid;
use vault::SecretString;

use crate::{
    domain::money::{Currency, InvalidMoney, Money, major},
    error::Refusal,
};

/// The longest name, address or note, in bytes.
pub(crate) const LONGEST: usize = 2_048;
/// The largest metadata, in bytes.
const LARGEST_OBJECT: usize = 64 * 1024;
/// How deep it may be nested.
const DEEPEST: usize = 64;

/// A text that is there, not too long, and that Postgres can store.
pub(crate) fn required(field: &'static str, text: &str, longest: usize) -> Result<String, Refusal> {
    if text.is_empty() {
        return Err(Refusal::invalid(field, "required", format!("{field} is required.")));
    }
    optional(field, text, longest)
}

/// The same, where it may be empty.
pub(crate) fn optional(field: &'static str, text: &str, longest: usize) -> Result<String, Refusal> {
    if text.len() > longest {
        return Err(Refusal::invalid(field, "too_long", format!("{field} is longer than {longest} bytes.")));
    }
    if text.contains('\0') {
        return Err(Refusal::invalid(field, "invalid_text", format!("{field} holds a NUL character.")));
    }
    Ok(text.to_owned())
}

/// A JSON object; empty where there is none. It is kept as it was sent.
pub(crate) fn object(field: &'static str, text: &str) -> Result<String, Refusal> {
    let wrong = |message: String| Refusal::invalid(field, "invalid_object", message);
    if text.is_empty() {
        return Ok("{}".to_owned());
    }
    if text.len() > LARGEST_OBJECT {
        return Err(wrong(format!("{field} is larger than {LARGEST_OBJECT} bytes.")));
    }
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|_| wrong(format!("{field} is no JSON object.")))?;
    if !value.is_object() {
        return Err(wrong(format!("{field} is no JSON object.")));
    }
    if depth(&value) > DEEPEST {
        return Err(wrong(format!("{field} is nested deeper than {DEEPEST} levels.")));
    }
    if text.contains("\\u0000") || text.contains('\0') {
        return Err(wrong(format!("{field} holds a NUL character.")));
    }
    Ok(text.to_owned())
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
        serde_json::Value::Object(values) => 1 + values.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

/// A moment, to the microsecond, as the database keeps it.
pub(crate) fn moment(
    field: &'static str,
    at: Option<&prost_types::Timestamp>,
) -> Result<Option<Timestamp>, Refusal> {
    let Some(at) = at else { return Ok(None) };
    // From the year 1 to the year 9999.
    let range = -62_135_596_800..=253_402_300_799_i64;
    let moment = proto::from_wire_time(at).filter(|at| range.contains(&at.as_second()));
    let message = || Refusal::invalid(field, "time_invalid", format!("{field} is out of range."));
    moment.map(|at| Some(micros(at))).ok_or_else(message)
}

/// A new id of something without a type of its own; it sorts by its time.
pub(crate) fn new_id(now: Timestamp) -> Uuid {
    model::LedgerEntryId::generate(now).uuid()
}

/// A secret that nobody can guess: 192 bits of chance behind a word that says what it is for.
pub(crate) fn new_secret(word: &str) -> SecretString {
    let chance: [u8; 24] = rand::random();
    format!("{word}_{}", URL_SAFE_NO_PAD.encode(chance)).into()
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let pair = |pair: &[u32]| u8::try_from(pair[0] << 4 | pair[1]).ok();
    digits.filter(|digits| digits.len() % 2 == 0)?.chunks_exact(2).map(pair).collect()
}

/// To the microsecond.
pub(crate) fn micros(at: Timestamp) -> Timestamp {
    at.round(Unit::Microsecond).unwrap_or(at)
}

/// A currency; USD where it is empty.
pub(crate) fn currency(field: &'static str, code: &str) -> Result<Currency, Refusal> {
    if code.is_empty() {
        return Ok(Currency::USD);
    }
    let refused = |_| Refusal::invalid(field, "currency_invalid", format!("{field} is no ISO 4217 code."));
    code.parse().map_err(refused)
}

/// A decimal number.
pub(crate) fn decimal(field: &'static str, text: &str) -> Result<Decimal, Refusal> {
    let wrong = |_| Refusal::invalid(field, "number_invalid", format!("{field} is no decimal number."));
    text.parse().or_else(|_| Decimal::from_scientific(text)).map_err(wrong)
}

/// A decimal amount in major units of the currency.
pub(crate) fn money(field: &'static str, text: &str, currency: Currency) -> Result<Money, Refusal> {
    Money::try_new(decimal(field, text)?, currency).map_err(|error| amount_refused(field, error))
}

fn amount_refused(field: &'static str, error: InvalidMoney) -> Refusal {
    let code = match error {
        InvalidMoney::Currency => "currency_invalid",
        InvalidMoney::Negative => "negative",
        InvalidMoney::TooLarge => "too_large",
        InvalidMoney::Percent => "percent_invalid",
    };
    Refusal::invalid(field, code, format!("{field}: {error}."))
}

/// Minor units in major units, with all decimals of the currency: `900.00`.
pub(crate) fn amount(minor: i64, currency: Currency) -> String {
    major(minor, currency).to_string()
}

/// The same of a stored currency code.
pub(crate) fn amount_of(minor: i64, code: &str) -> String {
    code.parse().map_or_else(|_| minor.to_string(), |currency| amount(minor, currency))
}
