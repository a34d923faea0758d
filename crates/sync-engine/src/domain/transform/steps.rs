//! What each transform does to a value, outward and inward.

use model::{FieldType, Value};
use rust_decimal::{Decimal, RoundingStrategy};

use super::Unfit;
use crate::domain::{
    mapping::FieldPair,
    rule::{Case, Transform, same},
};

/// The vendor's form of a value that is ours so far.
pub(super) fn outward(transform: &Transform, pair: &FieldPair, value: Value) -> Result<Value, Unfit> {
    if value.is_blank() {
        return Ok(Value::Null);
    }
    let unfit = |found| no(transform, &pair.vendor.name, found);
    match transform {
        Transform::Scale(places) => scaled(value, *places).map_err(unfit),
        Transform::Boolean { yes, no } => match as_boolean(&value) {
            Some(true) => Ok(Value::text(yes.as_str())),
            Some(false) => Ok(Value::text(no.as_str())),
            None => Err(unfit(value.type_name())),
        },
        Transform::Join(separator) => exchange(value, separator, pair.vendor.field_type).map_err(unfit),
        other => both_ways(other, value).map_err(unfit),
    }
}

/// Our form of a value that is the vendor's so far.
pub(super) fn inward(transform: &Transform, pair: &FieldPair, value: Value) -> Result<Value, Unfit> {
    if value.is_blank() {
        return Ok(Value::Null);
    }
    let unfit = |found| no(transform, &pair.canonical.name, found);
    match transform {
        Transform::Scale(places) => scaled(value, -*places).map_err(unfit),
        Transform::Boolean { yes, no } => match &value {
            Value::Text(text) if same(text, yes) => Ok(Value::Bool(true)),
            Value::Text(text) if same(text, no) => Ok(Value::Bool(false)),
            Value::Bool(_) => Ok(value),
            _ => Err(unfit(value.type_name())),
        },
        Transform::Join(separator) => exchange(value, separator, pair.canonical.field_type).map_err(unfit),
        other => both_ways(other, value).map_err(unfit),
    }
}

/// A value of ours as the transforms that normalize want it.
pub(super) fn canonical(pair: &FieldPair, value: Value) -> Result<Value, Unfit> {
    let mut value = value;
    for transform in &pair.transforms {
        if !value.is_blank() {
            let unfit = |found| no(transform, &pair.canonical.name, found);
            value = normal(transform, value).map_err(unfit)?;
        }
    }
    Ok(value)
}

fn no(transform: &Transform, field: &str, found: &'static str) -> Unfit {
    Unfit::Rule { field: field.to_owned(), found, rule: transform.to_string() }
}

type Rewritten = Result<Value, &'static str>;

/// What does the same in both directions.
fn both_ways(transform: &Transform, value: Value) -> Rewritten {
    match transform {
        Transform::Round(places) => number(&value).map(|n| round(n, *places)).ok_or(value.type_name()),
        Transform::Currency(code) => match amount(&value) {
            Some(amount) => Ok(round(amount, minor_digits(code))),
            None => Err(value.type_name()),
        },
        other => normal(other, value),
    }
}

/// What leaves nothing to do when it is done again to the same side.
fn normal(transform: &Transform, value: Value) -> Rewritten {
    Ok(match (transform, value) {
        (Transform::Trim, value) => texts(value, |text| text.trim().to_owned()),
        (Transform::Case(Case::Lower), value) => texts(value, str::to_lowercase),
        (Transform::Case(Case::Upper), value) => texts(value, str::to_uppercase),
        (_, value) => value,
    })
}

fn texts(value: Value, rewrite: impl Fn(&str) -> String) -> Value {
    match value {
        Value::Text(text) => Value::text(rewrite(&text)),
        Value::List(options) => {
            Value::list(options.iter().map(|option| rewrite(option)).filter(|o| !o.is_empty()))
        }
        other => other,
    }
}

fn number(value: &Value) -> Option<Decimal> {
    match value {
        Value::Number(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok().or_else(|| Decimal::from_scientific(text.trim()).ok()),
        _ => None,
    }
}

fn round(number: Decimal, places: u32) -> Value {
    Value::Number(number.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero))
}

/// Times ten to a power; what would not fit into 28 digits is no number any more.
fn scaled(value: Value, places: i8) -> Rewritten {
    let found = value.type_name();
    let number = number(&value).ok_or(found)?;
    let power = Decimal::from_i128_with_scale(10_i128.pow(u32::from(places.unsigned_abs())), 0);
    let scaled = if places >= 0 { number.checked_mul(power) } else { number.checked_div(power) };
    scaled.map(|number| Value::Number(number.normalize())).ok_or(found)
}

fn as_boolean(value: &Value) -> Option<bool> {
    match FieldType::Boolean.coerce(value.clone()) {
        Ok(Value::Bool(yes)) => Some(yes),
        _ => None,
    }
}

/// A list becomes one text and back, whichever the field takes that it goes to.
fn exchange(value: Value, separator: &str, to: FieldType) -> Rewritten {
    match (to, value) {
        (FieldType::MultiPicklist, Value::Text(text)) => {
            let cut = separator.trim();
            let cut = if cut.is_empty() { separator } else { cut };
            let options = text.split(cut).map(str::trim).filter(|option| !option.is_empty());
            Ok(Value::list(options.map(str::to_owned)))
        }
        (FieldType::MultiPicklist, value) => Ok(value),
        (_, Value::List(options)) => {
            let divided = |option: &String| option.contains(separator.trim()) && !separator.trim().is_empty();
            if options.iter().any(|option| divided(option) || option.trim() != option) {
                return Err("list");
            }
            Ok(Value::text(options.join(separator)))
        }
        (_, value) => Ok(value),
    }
}

/// The decimal places of a currency by ISO 4217.
fn minor_digits(code: &str) -> u32 {
    match code {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "UYI"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

/// An amount, also out of a text with a currency's sign and groups of digits. A text whose marks could be read in two
/// ways (`1,234`) is none: a sum is not guessed.
fn amount(value: &Value) -> Option<Decimal> {
    if let Some(number) = number(value) {
        return Some(number);
    }
    let Value::Text(text) = value else { return None };
    let letters = |c: char| c.is_alphabetic() || c.is_whitespace() || "$€£¥₹₩₺₽₫₴₪฿".contains(c);
    let inner = text.trim().trim_start_matches('-').trim_matches(letters);
    let negative = text.trim().starts_with('-') || inner.starts_with('-');
    let inner = inner.trim_start_matches('-');
    let groups = |c: char| matches!(c, ' ' | '\u{a0}' | '\u{202f}' | '\'' | '’');
    let inner: String = inner.chars().filter(|c| !groups(*c)).collect();
    let marks: Vec<(usize, char)> = inner.char_indices().filter(|(_, c)| matches!(c, '.' | ',')).collect();
    let plain = match marks.as_slice() {
        [] => inner,
        [(at, _)] if inner.len() - at - 1 != 3 => inner.replace(',', "."),
        [(_, _)] => return None,
        [first, .., (at, last)] => {
            let between = marks.iter().rev().skip(1).all(|(_, c)| *c == first.1);
            match (first.1 == *last, between) {
                (true, true) => inner.replace(first.1, ""),
                (false, true) => format!("{}.{}", inner[..*at].replace(first.1, ""), &inner[at + 1..]),
                (_, false) => return None,
            }
        }
    };
    if !plain.chars().all(|c| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let number: Decimal = plain.parse().ok()?;
    Some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_read_however_it_is_written_and_never_guessed() {
        for (text, amount_) in [
            ("€ 1,234.50", Some("1234.50")),
            ("1.234,50 EUR", Some("1234.50")),
            ("$1,234,567", Some("1234567")),
            ("CHF 1'234.5", Some("1234.5")),
            ("-£12.30", Some("-12.30")),
            ("USD -7", Some("-7")),
            ("99,9", Some("99.9")),
            ("1234.567", Some("1234.567")),
            ("€ 1,234", None),
            ("1.2,3.4", None),
            ("twelve", None),
            ("", None),
        ] {
            assert_eq!(amount(&Value::text(text)), amount_.map(|a| a.parse().unwrap()), "{text}");
        }
    }
}
