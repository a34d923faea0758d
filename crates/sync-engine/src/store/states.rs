//! What a link remembers of its fields as its row keeps it: JSON with short names, because every link has them for every
//! mapped field. Mostly the value last seen is the one both sides agreed on, and is kept once; and mostly all fields
//! were last seen in one version, which is told once, under a name that no field has.

use std::{collections::BTreeMap, fmt};

use model::{Value, WriteId};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeMap as _};

use crate::domain::merge::{Deferred, Field, Sent};

/// The name under which the row says the version in which fields were seen that say no other.
const VERSION: &str = "@";

/// Fields to be stored.
pub(super) struct Stored<'a>(pub(super) &'a BTreeMap<String, Field>);

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let newest = self.0.values().map(|field| field.version).max().unwrap_or_default();
        let mut map = serializer.serialize_map(Some(self.0.len() + 1))?;
        map.serialize_entry(VERSION, &newest)?;
        for (name, field) in self.0 {
            map.serialize_entry(name, &StoredField::of(field, newest))?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct StoredField<'a> {
    f: &'a str,
    /// Base and seen, where they are the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    a: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    b: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    v: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    e: &'a [Sent],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    r: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    x: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    d: Option<&'a Deferred>,
    #[serde(skip_serializing_if = "Option::is_none")]
    u: Option<&'a Deferred>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h: Option<&'a Deferred>,
    #[serde(skip_serializing_if = "Option::is_none")]
    w: Option<WriteId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    m: Option<&'a str>,
}

impl<'a> StoredField<'a> {
    fn of(field: &'a Field, newest: i64) -> Self {
        let (base, seen) = (field.base.as_ref(), field.seen.as_ref());
        let (a, b, s) = match (base, seen) {
            (Some(base), Some(seen)) if is_same(base, seen) => (Some(base), None, None),
            _ => (None, base, seen),
        };
        Self {
            f: &field.of,
            a,
            b,
            s,
            v: Some(field.version).filter(|version| *version != newest),
            p: field.pending.as_ref(),
            e: &field.sent,
            r: field.retried,
            x: field.refused.as_ref(),
            d: field.deferred.as_ref(),
            u: field.unread.as_ref(),
            h: field.held.as_ref(),
            w: field.asked,
            m: field.was.as_deref(),
        }
    }
}

/// Whether they are one to the last digit; values that are equal may be spelled in several ways.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other && one.scale() == other.scale(),
        _ => one == other && std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

/// A field as it was stored.
#[derive(Deserialize)]
struct ReadField {
    #[serde(default)]
    f: String,
    #[serde(default, deserialize_with = "present")]
    a: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    b: Option<Value>,
    #[serde(default, deserialize_with = "present")]
    s: Option<Value>,
    #[serde(default)]
    v: Option<i64>,
    #[serde(default, deserialize_with = "present")]
    p: Option<Value>,
    #[serde(default)]
    e: Vec<Sent>,
    #[serde(default)]
    r: bool,
    #[serde(default, deserialize_with = "present")]
    x: Option<Value>,
    #[serde(default)]
    d: Option<Deferred>,
    #[serde(default)]
    u: Option<Deferred>,
    #[serde(default)]
    h: Option<Deferred>,
    #[serde(default)]
    w: Option<WriteId>,
    #[serde(default)]
    m: Option<String>,
}

/// A value that is there and blank is not the same as none.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// Fields as they were stored.
pub(super) struct Read(pub(super) BTreeMap<String, Field>);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ReadVisitor)
    }
}

struct ReadVisitor;

impl<'de> de::Visitor<'de> for ReadVisitor {
    type Value = Read;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the fields of a link")
    }

    fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Read, A::Error> {
        let (mut version, mut fields) = (0, Vec::new());
        while let Some(name) = map.next_key::<String>()? {
            if name == VERSION {
                version = map.next_value()?;
            } else {
                fields.push((name, map.next_value::<ReadField>()?));
            }
        }
        Ok(Read(fields.into_iter().map(|(name, field)| (name, field.of_version(version))).collect()))
    }
}

impl ReadField {
    /// The field, seen in this version unless it says another.
    fn of_version(self, version: i64) -> Field {
        Field {
            of: self.f,
            base: self.b.or_else(|| self.a.clone()),
            seen: self.s.or(self.a),
            version: self.v.unwrap_or(version),
            pending: self.p,
            sent: self.e,
            retried: self.r,
            refused: self.x,
            deferred: self.d,
            unread: self.u,
            held: self.h,
            asked: self.w,
            was: self.m,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(field: &Field) -> String {
        let fields = BTreeMap::from([("phone".to_owned(), field.clone())]);
        serde_json::to_string(&Stored(&fields)).unwrap()
    }

    fn read(text: &str) -> Field {
        serde_json::from_str::<Read>(text).unwrap().0.remove("phone").unwrap()
    }

    fn value() -> impl Strategy<Value = Option<Value>> {
        let number = (0..3_i64, 0..2_u32)
            .prop_map(|(number, scale)| Value::Number(rust_decimal::Decimal::new(number, scale)));
        prop_oneof![
            Just(None),
            Just(Some(Value::Null)),
            "[ab]".prop_map(|text| Some(Value::text(text))),
            number.prop_map(Some)
        ]
    }

    proptest! {
        #[test]
        fn a_field_is_read_as_it_was_stored_to_the_last_digit(
            base in value(), seen in value(), pending in value(), sent in value(), flags in any::<[bool; 2]>(),
        ) {
            let write = WriteId::from_uuid(uuid::Uuid::nil());
            let [retried, refused] = flags;
            let sent = sent.into_iter().map(|value| Sent { write, value, refused }).collect();
            let field = Field { base, seen, pending, sent, retried, version: 7, ..Field::of("phone_number") };
            prop_assert_eq!(format!("{:?}", read(&stored(&field))), format!("{field:?}"));
        }
    }

    #[test]
    fn fields_of_several_versions_keep_theirs() {
        let field = |version| Field { version, ..Field::of("tel") };
        // Under no name stands what a link remembers of its record as a whole.
        let fields = BTreeMap::from([
            (String::new(), field(5)),
            ("fax".to_owned(), field(3)),
            ("phone".to_owned(), field(5)),
        ]);
        let text = serde_json::to_string(&Stored(&fields)).unwrap();
        assert_eq!(text, r#"{"@":5,"":{"f":"tel"},"fax":{"f":"tel","v":3},"phone":{"f":"tel"}}"#);
        assert_eq!(serde_json::from_str::<Read>(&text).unwrap().0, fields);
    }

    #[test]
    fn what_is_known_to_be_blank_is_stored_as_known() {
        let field = Field { base: Some(Value::Null), seen: Some(Value::Null), ..Field::of("phone") };
        assert_eq!(read(&stored(&field)), field);
        assert_eq!(read(&stored(&Field::of("phone"))).seen, None);
    }

    #[test]
    fn a_row_of_before_is_read_and_what_both_sides_agreed_on_is_stored_once() {
        let field = read(r#"{"phone":{"f":"tel","b":"12","s":"12","v":3}}"#);
        assert_eq!(
            (field.base.clone(), field.seen.clone()),
            (Some(Value::text("12")), Some(Value::text("12")))
        );
        assert_eq!(stored(&field), r#"{"@":3,"phone":{"f":"tel","a":"12"}}"#);
    }
}
