//! What a link remembers of its fields as its row keeps it: JSON with short names, because every link has them for every
//! mapped field. Mostly the value last seen is the one both sides agreed on, and is kept once.

use std::collections::BTreeMap;

use model::{Value, WriteId};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::domain::merge::{Deferred, Field, Sent};

/// Fields to be stored.
pub(super) struct Stored<'a>(pub(super) &'a BTreeMap<String, Field>);

impl Serialize for Stored<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, field)| (name, StoredField::of(field))))
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
    v: i64,
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
    fn of(field: &'a Field) -> Self {
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
            v: field.version,
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
    v: i64,
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
        let fields = BTreeMap::<String, ReadField>::deserialize(deserializer)?;
        let fields = fields.into_iter().map(|(name, read)| {
            let field = Field {
                of: read.f,
                base: read.b.or_else(|| read.a.clone()),
                seen: read.s.or(read.a),
                version: read.v,
                pending: read.p,
                sent: read.e,
                retried: read.r,
                refused: read.x,
                deferred: read.d,
                unread: read.u,
                held: read.h,
                asked: read.w,
                was: read.m,
            };
            (name, field)
        });
        Ok(Self(fields.collect()))
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
        assert_eq!(stored(&field), r#"{"phone":{"f":"tel","a":"12","v":3}}"#);
    }
}
