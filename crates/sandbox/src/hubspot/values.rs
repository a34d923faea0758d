//! What a property accepts, and what the vendor makes of it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::clock::{iso, parse_date, parse_ms};
use super::definition::{Definition, Kind};
use super::errors::{Failure, Problem};
use super::pipelines::{DEFAULT_PIPELINE, OWNERS, stage};
use super::portal::{Changes, Portal};

/// The longest text a property holds, in characters.
const TEXT_LIMIT: usize = 65_536;

/// Checks the values of one write; every bad one is reported at once, and then nothing is written.
pub(crate) fn check(
    portal: &Portal,
    object: usize,
    values: &Map<String, Value>,
    reformat: bool,
) -> Result<Changes, Failure> {
    let mut changes = Vec::with_capacity(values.len());
    let mut problems = Vec::new();
    for (name, raw) in values {
        match check_one(portal, object, name, raw, reformat) {
            Ok(change) => changes.push(change),
            Err(Refusal::Value(problem)) => problems.push(problem),
            Err(Refusal::Shape(failure)) => return Err(failure),
        }
    }
    if problems.is_empty() { Ok(changes) } else { Err(Failure::properties(&problems)) }
}

enum Refusal {
    Value(Problem),
    Shape(Failure),
}

fn check_one(
    portal: &Portal,
    object: usize,
    name: &str,
    raw: &Value,
    reformat: bool,
) -> Result<(Arc<str>, String), Refusal> {
    let text = as_text(name, raw).map_err(Refusal::Shape)?;
    let known = portal.objects[object].definitions.get(name).filter(|found| !found.archived);
    let Some(definition) = known else {
        let message = format!("Property \"{name}\" does not exist");
        return Err(Refusal::Value(Problem::new(name, "PROPERTY_DOESNT_EXIST", message)));
    };
    if definition.read_only() || matches!(name, "createdate" if portal.objects[object].name != "deals") {
        let message = format!("\"{name}\" is a read only property; its value cannot be set.");
        return Err(Refusal::Value(Problem::new(name, "READ_ONLY_VALUE", message)));
    }
    let accepted = accept(definition, &text).map_err(Refusal::Value)?;
    let stored = if reformat { restyle(definition, accepted) } else { accepted };
    Ok((definition.name.clone(), stored))
}

fn as_text(name: &str, raw: &Value) -> Result<String, Failure> {
    match raw {
        Value::Null => Ok(String::new()),
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Array(_) | Value::Object(_) => Err(Failure::validation(format!(
            "Invalid input JSON: Cannot deserialize value of type `java.lang.String` for property {name}"
        ))),
    }
}

/// The stored form of a value, or why it is refused. Text stays as it was sent.
pub(crate) fn accept(definition: &Definition, text: &str) -> Result<String, Problem> {
    let refuse = |error, message| Err(Problem::new(&definition.name, error, message));
    if text.is_empty() {
        return Ok(String::new());
    }
    match definition.kind {
        Kind::Number if !is_number(text) => {
            refuse("INVALID_INTEGER", format!("{text} was not a valid number."))
        }
        Kind::Datetime => match parse_ms(text) {
            Some(ms) => Ok(iso(ms)),
            None => refuse("INVALID_DATE", format!("{text} was not a valid long.")),
        },
        Kind::Date => match parse_date(text) {
            Some(date) => Ok(date.to_string()),
            None => refuse("INVALID_DATE", format!("{text} is not a valid date: it is not midnight UTC.")),
        },
        Kind::Bool if text != "true" && text != "false" => {
            refuse("INVALID_OPTION", format!("{text} was not one of the allowed options: [true, false]"))
        }
        Kind::Enumeration => accept_choice(definition, text),
        Kind::String | Kind::PhoneNumber if text.chars().count() > TEXT_LIMIT => refuse(
            "PROPERTY_VALUE_TOO_LONG",
            format!("The value of {} is longer than {TEXT_LIMIT} characters", definition.name),
        ),
        _ if &*definition.name == "email" && !looks_like_email(text) => {
            refuse("INVALID_EMAIL", format!("Email address {text} is invalid"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// `;` separates the choices of a multiple-choice property.
fn accept_choice(definition: &Definition, text: &str) -> Result<String, Problem> {
    let many = definition.field_type == "checkbox";
    let parts: Vec<&str> =
        if many { text.split(';').filter(|part| !part.is_empty()).collect() } else { vec![text] };
    for part in &parts {
        if !is_choice(definition, part) {
            let allowed: Vec<&str> = definition.options.iter().map(|choice| choice.value.as_str()).collect();
            let message = format!("{part} was not one of the allowed options: [{}]", allowed.join(", "));
            return Err(Problem::new(&definition.name, "INVALID_OPTION", message));
        }
    }
    Ok(parts.join(";"))
}

fn is_choice(definition: &Definition, value: &str) -> bool {
    match &*definition.name {
        "dealstage" => stage(value).is_some(),
        "pipeline" => value == DEFAULT_PIPELINE,
        "hubspot_owner_id" => OWNERS.iter().any(|owner| owner.id.to_string() == value),
        _ if definition.external_options => true,
        _ if definition.options.is_empty() && definition.field_type == "booleancheckbox" => {
            matches!(value, "true" | "false")
        }
        _ => definition.options.iter().any(|choice| choice.value == value),
    }
}

fn is_number(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok_and(f64::is_finite)
        && text.trim().chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E'))
}

fn looks_like_email(text: &str) -> bool {
    let Some((user, host)) = text.split_once('@') else { return false };
    !user.is_empty() && host.contains('.') && !host.starts_with('.') && !text.contains(char::is_whitespace)
}

/// The vendor's own formatting, where it is switched on: trimmed, title-cased text, two decimals.
fn restyle(definition: &Definition, value: String) -> String {
    if !definition.hubspot_defined || value.is_empty() {
        return value;
    }
    match definition.kind {
        Kind::Number => match value.parse::<rust_decimal::Decimal>() {
            Ok(number) => number.round_dp(2).normalize().to_string(),
            Err(_) => value,
        },
        Kind::String if definition.is_prose() => title_case(value.trim()),
        Kind::String => value.trim().to_owned(),
        _ => value,
    }
}

fn title_case(text: &str) -> String {
    let mut start = true;
    text.chars()
        .flat_map(|letter| {
            let upper = start;
            start = !letter.is_alphanumeric() && letter != '\'';
            if upper { letter.to_uppercase().collect::<Vec<_>>() } else { vec![letter] }
        })
        .collect()
}
