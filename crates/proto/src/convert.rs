//! Between the wire and the model: values, fields, schemas and moments. The one place that knows both.

use model::FieldType;

use crate::v1;

/// A wire value that is no field value: a number, date or moment that does not read as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidWireValue;

impl std::fmt::Display for InvalidWireValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("read a value: a number, date or moment does not read as one")
    }
}

impl std::error::Error for InvalidWireValue {}

impl From<&model::Value> for v1::Value {
    fn from(value: &model::Value) -> Self {
        use v1::value::Kind;
        let kind = match value {
            model::Value::Null => Kind::Null(true),
            model::Value::Text(text) => Kind::Text(text.clone()),
            model::Value::Number(number) => Kind::Number(number.to_string()),
            model::Value::Bool(yes) => Kind::Boolean(*yes),
            model::Value::Date(date) => Kind::Date(date.to_string()),
            model::Value::DateTime(at) => Kind::DateTime(at.to_string()),
            model::Value::List(values) => Kind::Options(v1::Options { values: values.clone() }),
        };
        Self { kind: Some(kind) }
    }
}

impl TryFrom<v1::Value> for model::Value {
    type Error = InvalidWireValue;

    fn try_from(value: v1::Value) -> Result<Self, InvalidWireValue> {
        use v1::value::Kind;
        Ok(match value.kind {
            None | Some(Kind::Null(_)) => Self::Null,
            Some(Kind::Text(text)) => Self::text(text),
            Some(Kind::Number(text)) => Self::Number(text.parse().map_err(|_| InvalidWireValue)?),
            Some(Kind::Boolean(yes)) => Self::Bool(yes),
            Some(Kind::Date(text)) => Self::Date(text.parse().map_err(|_| InvalidWireValue)?),
            Some(Kind::DateTime(text)) => Self::DateTime(text.parse().map_err(|_| InvalidWireValue)?),
            Some(Kind::Options(options)) => Self::list(options.values),
        })
    }
}

impl From<&model::FieldSchema> for v1::Field {
    fn from(field: &model::FieldSchema) -> Self {
        Self {
            name: field.name.clone(),
            label: field.label.clone(),
            r#type: field.field_type.name().to_owned(),
            description: field.description.clone(),
            options: field
                .options
                .iter()
                .map(|option| v1::PicklistOption { value: option.value.clone(), label: option.label.clone() })
                .collect(),
            read_only: field.read_only,
            required: field.required,
            unique: field.unique,
            custom: field.custom,
        }
    }
}

impl From<&model::ObjectSchema> for v1::ObjectSchema {
    fn from(schema: &model::ObjectSchema) -> Self {
        Self {
            name: schema.name.clone(),
            label: schema.label.clone(),
            fields: schema.fields.iter().map(Into::into).collect(),
        }
    }
}

/// The field type with this name in JSON, `date_time`.
#[must_use]
pub fn field_type(name: &str) -> Option<FieldType> {
    serde::Deserialize::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(name))
        .ok()
}

/// A moment as protobuf spells it.
#[must_use]
pub fn to_wire_time(at: jiff::Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

/// A moment from the wire; none when it is out of range.
#[must_use]
pub fn from_wire_time(at: &prost_types::Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::new(at.seconds, at.nanos).ok()
}
