//! From a change of a record to the bytes of a change event.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::{Date, Time};
use serde_json::Value;

use super::avro::Datum;
use super::bitmap::FieldSet;
use super::diff::unified;
use super::schema::{EventSchema, Kind, Shape};

/// Values by REST field name; an absent one is null.
pub(crate) type Values = BTreeMap<String, Value>;

/// What happened to a record, in the order of the header's enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ChangeType {
    Create,
    Update,
    Delete,
    Undelete,
    GapCreate,
    GapUpdate,
    GapDelete,
    GapUndelete,
    GapOverflow,
}

impl ChangeType {
    /// The gap that stands for a change which could not be captured.
    pub(crate) fn gap(self) -> Self {
        match self {
            ChangeType::Create => ChangeType::GapCreate,
            ChangeType::Update => ChangeType::GapUpdate,
            ChangeType::Delete => ChangeType::GapDelete,
            ChangeType::Undelete => ChangeType::GapUndelete,
            gap => gap,
        }
    }
}

/// A value that does not fit its field; the change cannot be captured.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write {field} into a change event: its value does not fit its type")]
pub(crate) struct Misfit {
    field: String,
}

/// An event's fields, written, and the sets of fields that its header names.
#[derive(Debug, Default, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Body {
    pub(crate) bytes: Vec<u8>,
    pub(crate) nulled: FieldSet,
    pub(crate) diff: FieldSet,
    pub(crate) changed: FieldSet,
}

/// The values of an event's header.
#[derive(Debug)]
pub(crate) struct Header<'a> {
    pub(crate) entity: &'a str,
    pub(crate) ids: &'a [String],
    pub(crate) change: ChangeType,
    pub(crate) origin: &'a str,
    pub(crate) transaction: &'a str,
    pub(crate) sequence: i64,
    /// Milliseconds since 1970; written without its fraction of a second.
    pub(crate) commit_ms: i64,
    pub(crate) commit_number: i64,
    pub(crate) user: &'a str,
}

impl Body {
    /// A body without a value, as gaps and deletions have it.
    pub(crate) fn empty(schema: &EventSchema) -> Self {
        Self { bytes: vec![0; schema.fields.len()], ..Self::default() }
    }

    /// Every value that is not null, as creations and undeletions have it.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub(crate) fn full(schema: &EventSchema, after: &Values) -> Result<Self, Misfit> {
        let bytes = write(schema, &|name| after.get(name).filter(|value| !value.is_null()))?;
        Ok(Self { bytes, ..Self::default() })
    }

    /// The values that differ, and nothing else. Long texts from `diff_min_chars` characters on are told as what
    /// changed in them.
    ///
    /// # Errors
    /// When a value does not fit its field.
    pub(crate) fn update(
        schema: &EventSchema,
        before: &Values,
        after: &Values,
        diff_min_chars: usize,
    ) -> Result<Self, Misfit> {
        let was = |name: &str| before.get(name).unwrap_or(&Value::Null);
        let is = |name: &str| after.get(name).unwrap_or(&Value::Null);
        let mut body = Self::default();
        let mut diffs = BTreeMap::new();
        for (at, field) in schema.fields.iter().enumerate() {
            let position = at + 1;
            match &field.shape {
                Shape::Plain { long_text, .. } => {
                    let (old, new) = (was(&field.name), is(&field.name));
                    if old == new {
                        continue;
                    }
                    body.changed.top.set(position);
                    if new.is_null() {
                        body.nulled.top.set(position);
                    }
                    if *long_text && let Some(diff) = diff(old, new, diff_min_chars) {
                        body.diff.top.set(position);
                        diffs.insert(field.name.as_str(), Value::String(diff));
                    }
                }
                Shape::Compound(parts) => {
                    let changed = |at: &usize| was(&parts[*at].rest) != is(&parts[*at].rest);
                    let changed: Vec<usize> = (0..parts.len()).filter(changed).collect();
                    let nulled = changed.iter().copied().filter(|at| is(&parts[*at].rest).is_null());
                    body.nulled.nest(position, nulled);
                    body.changed.nest(position, changed.iter().copied());
                }
            }
        }
        body.bytes = write(schema, &|name| {
            let (old, new) = (was(name), is(name));
            (old != new && !new.is_null()).then(|| diffs.get(name).unwrap_or(new))
        })?;
        Ok(body)
    }

    /// The event's datum.
    pub(crate) fn datum(&self, header: &Header<'_>) -> Vec<u8> {
        let mut datum = Datum(Vec::with_capacity(self.bytes.len() + 256));
        datum.string(header.entity);
        datum.strings(header.ids);
        datum.long(header.change as i64);
        datum.string(header.origin);
        datum.string(header.transaction);
        datum.long(header.sequence);
        datum.long(header.commit_ms.div_euclid(1000) * 1000);
        datum.long(header.commit_number);
        datum.string(header.user);
        datum.strings(&self.nulled.elements());
        datum.strings(&self.diff.elements());
        datum.strings(&self.changed.elements());
        datum.0.extend_from_slice(&self.bytes);
        datum.0
    }
}

fn diff(old: &Value, new: &Value, min_chars: usize) -> Option<String> {
    let (old, new) = (old.as_str()?, new.as_str()?);
    if old.chars().count() < min_chars || new.chars().count() < min_chars {
        return None;
    }
    // A text that is new from end to end is told as it is.
    Some(unified(old, new)).filter(|diff| diff.len() < new.len())
}

/// Writes every field of a schema: what `value` has of it, or null.
fn write<'a>(schema: &EventSchema, value: &dyn Fn(&str) -> Option<&'a Value>) -> Result<Vec<u8>, Misfit> {
    let mut datum = Datum(Vec::with_capacity(schema.fields.len() * 4));
    let one = |datum: &mut Datum, name: &str, kind: Kind| match value(name) {
        None => {
            datum.long(0);
            Ok(())
        }
        Some(value) => {
            datum.long(1);
            scalar(datum, kind, value).ok_or_else(|| Misfit { field: name.to_owned() })
        }
    };
    for field in &schema.fields {
        match &field.shape {
            Shape::Plain { kind, .. } => one(&mut datum, &field.name, *kind)?,
            Shape::Compound(parts) if parts.iter().any(|part| value(&part.rest).is_some()) => {
                datum.long(1);
                for part in parts {
                    one(&mut datum, &part.rest, part.kind)?;
                }
            }
            Shape::Compound(_) => datum.long(0),
        }
    }
    Ok(datum.0)
}

fn scalar(datum: &mut Datum, kind: Kind, value: &Value) -> Option<()> {
    match kind {
        Kind::Text => datum.string(value.as_str()?),
        Kind::Boolean => datum.boolean(value.as_bool()?),
        Kind::Int => datum.long(i64::from(i32::try_from(whole(value)?).ok()?)),
        Kind::Double => datum.double(value.as_f64()?),
        Kind::DateTime => datum.long(value.as_str()?.parse::<Timestamp>().ok()?.as_millisecond()),
        Kind::Date => {
            let days = value.as_str()?.parse::<Date>().ok()? - Date::constant(1970, 1, 1);
            datum.long(i64::from(days.get_days()) * 86_400_000);
        }
        Kind::Time => {
            let time = value.as_str()?.trim_end_matches('Z').parse::<Time>().ok()?;
            let since_midnight = time.duration_since(Time::midnight());
            datum.long(i64::try_from(since_midnight.as_millis()).ok()?);
        }
    }
    Some(())
}

/// A whole number, also where JSON has it with a fraction of zero.
#[expect(clippy::cast_possible_truncation, reason = "what has no fraction and fits is not changed by it")]
fn whole(value: &Value) -> Option<i64> {
    let exact = |number: f64| number.fract() == 0.0 && number.abs() < 9e15;
    value.as_i64().or_else(|| value.as_f64().filter(|number| exact(*number)).map(|number| number as i64))
}
