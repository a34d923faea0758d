//! Values on their way in: checked as the vendor checks them, and brought to the form they are kept in.

use std::str::FromStr;

use rust_decimal::prelude::ToPrimitive;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Map, Value, json};

use super::errors::Problem;
use super::id::Id;
use super::org::Org;
use super::schema::{Field, Kind};
use super::time::{datetime, parse_date, parse_datetime, parse_time};

/// Checks what a record is to be given. `id` is the record's when it exists already.
pub(crate) fn check(
    org: &Org,
    at: usize,
    id: Option<Id>,
    body: &Map<String, Value>,
) -> Result<Vec<(u16, Value)>, Vec<Problem>> {
    let schema = &org.objects[at].schema;
    let mut named: Vec<(&Field, Value)> = Vec::with_capacity(body.len());
    for (name, value) in body.iter().filter(|(name, _)| !name.eq_ignore_ascii_case("attributes")) {
        match (schema.field(name), schema.relationship(name)) {
            (Some(field), _) => named.push((field, value.clone())),
            (None, Some(field)) => named.push((field, foreign(org, field, value).map_err(|one| vec![one])?)),
            (None, None) => return Err(vec![no_column(name, &schema.name)]),
        }
    }
    let writable = |field: &Field| if id.is_some() { field.updateable } else { field.createable };
    let closed: Vec<&str> =
        named.iter().filter(|(field, _)| !writable(field)).map(|(field, _)| &*field.name).collect();
    if !closed.is_empty() {
        return Err(vec![not_writable(&closed)]);
    }
    let mut problems = Vec::new();
    let mut values = Vec::with_capacity(named.len());
    let mut empty: Vec<&str> = Vec::new();
    for (field, value) in named {
        match one(org, at, field, &value) {
            Ok(Value::Null) if !field.nillable && field.kind != Kind::Boolean => empty.push(&field.name),
            Ok(value) => values.push((field.at, value)),
            Err(problem) if problem.code == "JSON_PARSER_ERROR" => return Err(vec![problem]),
            Err(problem) => problems.push(problem),
        }
    }
    if id.is_none() {
        let given = |field: &Field| values.iter().any(|(at, _)| *at == field.at);
        let missing = schema.live_fields().filter(|field| field.is_required() && !given(field));
        let missing = missing.map(|field| &*field.name).filter(|name| !empty.contains(name));
        let missing: Vec<&str> = missing.collect();
        let wrong = |name: &&str| problems.iter().any(|problem| problem.fields.iter().any(|one| one == name));
        empty.extend(missing.into_iter().filter(|name| !wrong(name)));
    }
    if !empty.is_empty() {
        let message = format!("Required fields are missing: [{}]", empty.join(", "));
        let fields = empty.iter().map(|name| (*name).to_owned()).collect();
        problems.insert(0, Problem { code: "REQUIRED_FIELD_MISSING", message, fields });
    }
    problems.extend(values.iter().filter_map(|(field, value)| duplicate(org, at, id, *field, value)));
    if problems.is_empty() { Ok(values) } else { Err(problems) }
}

pub(crate) fn no_column(name: &str, object: &str) -> Problem {
    Problem::new("INVALID_FIELD", format!("No such column '{name}' on sobject of type {object}"))
}

pub(crate) fn not_writable(names: &[&str]) -> Problem {
    let message = format!(
        "Unable to create/update fields: {}. Please check the security settings of this field and verify that \
         it is read/write for your profile or permission set.",
        names.join(", ")
    );
    let fields = names.iter().map(|name| (*name).to_owned()).collect();
    Problem { code: "INVALID_FIELD_FOR_INSERT_UPDATE", message, fields }
}

/// A parent told by one of its own keys: `"Account": {"Key__c": "x"}`.
fn foreign(org: &Org, field: &Field, value: &Value) -> Result<Value, Problem> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    let wrong = |message: String| Problem::new("INVALID_FIELD", message);
    let target = field.reference_to.iter().filter_map(|name| org.find(name)).next_back();
    let key = value.as_object().into_iter().flatten().find(|(name, _)| *name != "attributes");
    let (Some(target), Some((name, wanted))) = (target, key) else {
        return Err(wrong(format!("The relationship {} needs a key", field.name)));
    };
    let object = &org.objects[target];
    let by = object.schema.field(name).filter(|by| by.is_key());
    let by = by.ok_or_else(|| no_column(name, &object.schema.name))?;
    let wanted = wanted.as_str().map_or_else(|| wanted.to_string(), str::to_owned);
    match object.find(by, &wanted) {
        [id] => Ok(id.to_string().into()),
        [] => Err(wrong(format!(
            "Foreign key external ID: {wanted} not found for field {} in entity {}",
            by.name, object.schema.name
        ))),
        _ => Err(wrong(format!("More than one record found for external id field: {}", by.name))),
    }
}

fn duplicate(org: &Org, at: usize, id: Option<Id>, field: u16, value: &Value) -> Option<Problem> {
    let object = &org.objects[at];
    let field = object.schema.fields.get(usize::from(field)).filter(|field| field.unique)?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let other = object.find(field, &text).iter().find(|other| Some(**other) != id && !value.is_null())?;
    let message = format!(
        "duplicate value found: {} duplicates value on record with id: {}",
        field.name,
        other.short()
    );
    Some(Problem::on("DUPLICATE_VALUE", &field.name, message))
}

/// One value, in the form it is kept in.
fn one(org: &Org, at: usize, field: &Field, value: &Value) -> Result<Value, Problem> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    match field.kind {
        Kind::Boolean => boolean(field, value),
        Kind::Int => whole(field, value),
        Kind::Double => number(field, value),
        _ => {
            let text = value.as_str().ok_or_else(|| cannot_read("string", value))?;
            let text = if field.long { text.trim_end() } else { text.trim() };
            if text.is_empty() { Ok(Value::Null) } else { written(org, at, field, text) }
        }
    }
}

fn written(org: &Org, at: usize, field: &Field, text: &str) -> Result<Value, Problem> {
    let unread = |kind| cannot_read(kind, &json!(text));
    match field.kind {
        Kind::Date => parse_date(text).map(|date| date.to_string().into()).ok_or_else(|| unread("date")),
        Kind::DateTime => {
            parse_datetime(text).map(|at| datetime(at).into()).ok_or_else(|| unread("datetime"))
        }
        Kind::Time => parse_time(text).map(Value::from).ok_or_else(|| unread("time")),
        Kind::Reference => reference(org, at, field, text),
        Kind::Picklist => choice(field, text).map(|()| text.into()),
        Kind::MultiPicklist => {
            text.split(';').try_for_each(|part| choice(field, part))?;
            Ok(text.into())
        }
        Kind::Email if !is_email(text) => {
            let message = format!("{}: invalid email address: {text}", field.label);
            Err(Problem::on("INVALID_EMAIL_ADDRESS", &field.name, message))
        }
        _ => fits(field, text),
    }
}

fn fits(field: &Field, text: &str) -> Result<Value, Problem> {
    if text.chars().count() > field.length {
        let message = format!("{}: data value too large: {text} (max length={})", field.label, field.length);
        return Err(Problem::on("STRING_TOO_LONG", &field.name, message));
    }
    Ok(text.into())
}

fn choice(field: &Field, text: &str) -> Result<(), Problem> {
    let known = field.choices.iter().any(|choice| choice.active && choice.value == text);
    if field.restricted && !known {
        let message = format!("{}: bad value for restricted picklist field: {text}", field.label);
        return Err(Problem::on("INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", &field.name, message));
    }
    fits(field, text).map(drop)
}

fn is_email(text: &str) -> bool {
    let Some((name, host)) = text.split_once('@') else { return false };
    let plain = |part: &str| !part.is_empty() && !part.contains(['@', ' ', ',', ';', '<', '>', '(', ')']);
    plain(name) && plain(host) && host.contains('.') && !host.starts_with('.') && !host.ends_with('.')
}

fn reference(org: &Org, at: usize, field: &Field, text: &str) -> Result<Value, Problem> {
    let wrong_type = || {
        let message = format!("{}: id value of incorrect type: {text}", field.label);
        Problem::on("MALFORMED_ID", &field.name, message)
    };
    let unknown = || Problem::on("INVALID_CROSS_REFERENCE_KEY", &field.name, "invalid cross reference id");
    let id = Id::parse(text).ok_or_else(wrong_type)?;
    let Some(target) = org.object_of(id) else { return Err(unknown()) };
    let object = &org.objects[target];
    if !field.reference_to.contains(&object.schema.name) {
        return Err(wrong_type());
    }
    let record = object.get(id).ok_or_else(unknown)?;
    if !record.is_live() {
        return Err(Problem::on("ENTITY_IS_DELETED", &field.name, "entity is deleted"));
    }
    if object.schema.name == "RecordType" {
        let of = object.schema.field("SobjectType").and_then(|field| record.cells.text(field.at));
        if of != Some(&org.objects[at].schema.name) {
            return Err(unknown());
        }
    }
    Ok(id.to_string().into())
}

fn boolean(field: &Field, value: &Value) -> Result<Value, Problem> {
    match value {
        Value::Bool(_) => Ok(value.clone()),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Ok(true.into()),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Ok(false.into()),
        _ => Err(Problem { fields: vec![field.name.to_string()], ..cannot_read("boolean", value) }),
    }
}

fn decimal(kind: &str, value: &Value) -> Result<Option<Decimal>, Problem> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().to_owned(),
        _ => return Err(cannot_read(kind, value)),
    };
    let read = Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text));
    read.map(Some).map_err(|_| cannot_read(kind, value))
}

fn out_of_range(field: &Field, value: &Value) -> Problem {
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let message = format!("{}: value outside of valid range on numeric field: {shown}", field.label);
    Problem::on("NUMBER_OUTSIDE_VALID_RANGE", &field.name, message)
}

/// The largest number with so many digits before the point.
fn ceiling(digits: u32) -> Option<Decimal> {
    10_i128.checked_pow(digits).and_then(|most| Decimal::try_from_i128_with_scale(most, 0).ok())
}

fn whole(field: &Field, value: &Value) -> Result<Value, Problem> {
    let Some(number) = decimal("int", value)? else { return Ok(Value::Null) };
    if !number.fract().is_zero() {
        return Err(cannot_read("int", value));
    }
    let within = ceiling(field.digits.clamp(1, 18)).is_some_and(|most| number.abs() < most);
    let number = number.to_i64().filter(|_| within).ok_or_else(|| out_of_range(field, value))?;
    Ok(json!(number))
}

fn number(field: &Field, value: &Value) -> Result<Value, Problem> {
    let Some(number) = decimal("double", value)? else { return Ok(Value::Null) };
    let before = field.precision.saturating_sub(field.scale).clamp(1, 18);
    let rounded = number.round_dp_with_strategy(field.scale, RoundingStrategy::MidpointAwayFromZero);
    let within = ceiling(before).is_some_and(|most| rounded.abs() < most);
    let number = rounded.to_f64().filter(|_| within).ok_or_else(|| out_of_range(field, value))?;
    Ok(json!(number))
}

fn cannot_read(kind: &str, value: &Value) -> Problem {
    let token = match value {
        Value::Number(number) if number.is_f64() => "VALUE_NUMBER_FLOAT",
        Value::Number(_) => "VALUE_NUMBER_INT",
        Value::Bool(true) => "VALUE_TRUE",
        Value::Bool(false) => "VALUE_FALSE",
        Value::Array(_) => "START_ARRAY",
        Value::Object(_) => "START_OBJECT",
        _ => "VALUE_STRING",
    };
    let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let message = format!(
        "Cannot deserialize instance of {kind} from {token} value {shown} or request may be missing a required \
         field at [line:1, column:1]"
    );
    Problem::new("JSON_PARSER_ERROR", message)
}
