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

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::json;

    use super::*;
    use crate::salesforce::pubsub::schema::{Field, Part};

    /// The schema that recorded events were written with; older ones had one more part in every address.
    fn recorded(older: bool) -> EventSchema {
        let text = include_str!("../../../data/salesforce/cdc/AccountChangeEvent.avsc");
        let json: Value = serde_json::from_str(text).expect("JSON");
        let kind = |avro: &Value, doc: &str| match avro.as_str() {
            Some("string") => Kind::Text,
            Some("double") => Kind::Double,
            Some("boolean") => Kind::Boolean,
            Some("int") => Kind::Int,
            _ if doc.contains("DateOnly") => Kind::Date,
            _ => Kind::DateTime,
        };
        let field = |field: &Value| {
            let name = field["name"].as_str().expect("a name").to_owned();
            let doc = field["doc"].as_str().expect("a doc");
            let prefix = name.strip_suffix("Address");
            let shape = match prefix {
                Some(prefix) => {
                    let parts =
                        ["Street", "City", "State", "PostalCode", "Country", "StateCode", "CountryCode"];
                    let text = |part| Part { rest: format!("{prefix}{part}"), kind: Kind::Text };
                    let mut parts: Vec<Part> = parts.into_iter().map(text).collect();
                    let number = |part| Part { rest: format!("{prefix}{part}"), kind: Kind::Double };
                    parts.extend([number("Latitude"), number("Longitude"), text("GeocodeAccuracy")]);
                    parts.extend(older.then(|| text("Xyz")));
                    Shape::Compound(parts)
                }
                None if doc.starts_with("Data:Location") => Shape::Compound(Vec::new()),
                None => Shape::Plain { kind: kind(&field["type"][1], doc), long_text: false },
            };
            Field { name, shape }
        };
        let fields = json["fields"].as_array().expect("fields").iter().skip(1).map(field).collect();
        EventSchema { id: String::new(), json: String::new(), fields }
    }

    fn values(json: &Value) -> Values {
        json.as_object().expect("an object").clone().into_iter().collect()
    }

    #[test]
    fn a_recorded_update_is_written_byte_for_byte() {
        let captured = include_str!("../../../data/salesforce/cdc/account-update.json");
        let captured: Value = serde_json::from_str(captured).expect("JSON");
        let payload = captured["events"][0]["event"]["payload"].as_str().expect("a payload");
        let schema = recorded(false);
        let before = values(&json!({"Name": "Same", "LastModifiedDate": "2026-02-01T00:00:00.000+0000"}));
        let after = values(&json!({"Name": "Same", "LastModifiedDate": "2026-02-17T01:29:32.000+0000",
            "Amount_Owed__c": 3233}));
        let body = Body::update(&schema, &before, &after, 1_000).expect("a body");
        let header = Header {
            entity: "Account",
            ids: &["001Dp00000JJkkHIAT".to_owned()],
            change: ChangeType::Update,
            origin: "com/salesforce/api/soap/66.0;client=SfdcInternalAPI/",
            transaction: "00034c74-0500-aa77-fc35-265917470e99",
            sequence: 1,
            commit_ms: 1_771_291_772_345,
            commit_number: 12_279_578_624_413,
            user: "005Dp000000PpjsIAC",
        };
        assert_eq!(STANDARD.encode(body.datum(&header)), payload);
    }

    #[test]
    fn a_recorded_creation_is_written_byte_for_byte() {
        let captured = include_str!("../../../data/salesforce/cdc/account-create.json");
        let captured: Value = serde_json::from_str(captured).expect("JSON");
        let payload = captured[2]["event"]["payload"].as_str().expect("a payload");
        let (user, at) = ("005Dp000000PpjsIAC", "2023-07-29T21:57:23.000+0000");
        let after = values(&json!({"Name": "Bulk Acc3", "RecordTypeId": "012Dp000000Cx1rIAC",
            "BillingCountry": "United States", "BillingCountryCode": "US",
            "ShippingCountry": "United States", "ShippingCountryCode": "US", "Phone": "4512361522",
            "OwnerId": user, "CreatedById": user, "LastModifiedById": user,
            "CreatedDate": at, "LastModifiedDate": at, "CleanStatus": "Pending", "Active__c": "No",
            "Some_Email__c": "2133445ds@sd.com", "Some_Check_Box__c": true}));
        let body = Body::full(&recorded(true), &after).expect("a body");
        let header = Header {
            entity: "Account",
            ids: &["001Dp00000JJkjkIAD".to_owned()],
            change: ChangeType::Create,
            origin: "com/salesforce/api/soap/58.0;client=devconsole",
            transaction: "000254b1-fdc6-524c-aea1-7534265e66c8",
            sequence: 3,
            commit_ms: 1_690_667_843_000,
            commit_number: 287_879_527_262,
            user,
        };
        assert_eq!(STANDARD.encode(body.datum(&header)), payload);
    }

    #[test]
    fn an_update_tells_changed_and_nulled_fields_at_both_levels() {
        let schema = recorded(false);
        let before = values(&json!({"Phone": "1", "BillingCity": "Leeds", "BillingStreet": "Mill Row",
            "ShippingCity": "York", "Industry": "Energy"}));
        let after = values(&json!({"Phone": null, "BillingCity": "Hull", "ShippingCity": "York",
            "Industry": "Energy", "NumberOfEmployees": 12.0}));
        let body = Body::update(&schema, &before, &after, 1_000).expect("a body");
        assert_eq!(body.changed.elements(), ["0x4080", "5-0x03"]);
        assert_eq!(body.nulled.elements(), ["0x80", "5-0x01"]);
        assert!(body.diff.is_empty());
        let misfit = Body::full(&schema, &values(&json!({"NumberOfEmployees": "a dozen"})));
        assert_eq!(misfit, Err(Misfit { field: "NumberOfEmployees".to_owned() }));
    }

    #[test]
    fn dates_and_times_are_milliseconds() {
        let written = |kind, value: Value| {
            let mut datum = Datum::default();
            scalar(&mut datum, kind, &value)?;
            let mut expected = Datum::default();
            Some((datum.0, move |ms: i64| {
                expected.long(ms);
                expected.0
            }))
        };
        for (kind, text, ms) in [
            (Kind::Date, "1970-01-02", 86_400_000),
            (Kind::Date, "1969-12-31", -86_400_000),
            (Kind::Time, "01:00:00.250Z", 3_600_250),
            (Kind::DateTime, "1970-01-01T00:00:01.000+0000", 1_000),
        ] {
            let (bytes, expected) = written(kind, json!(text)).expect("a value");
            assert_eq!(bytes, expected(ms), "{text}");
        }
        assert!(written(Kind::Date, json!("soon")).is_none());
    }
}
