use std::collections::{BTreeMap, HashMap};

use proto::v1;
use serde::Serialize;
use utoipa::ToSchema;

use crate::failure::ApiError;

/// A field's value: text, an exact decimal as text, a day (`2024-01-31`) or a moment (`2024-01-31T23:00:00Z`) as
/// text, a boolean, a list of picklist options, or null. A number is taken as well.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Plain {
    Null,
    Text(String),
    Boolean(bool),
    List(Vec<String>),
    #[expect(dead_code, reason = "numbers are taken but never given; this is for OpenAPI")]
    Number(f64),
}

/// Values as they are sent: their types are checked by the room, which knows the fields.
pub(crate) type Given = BTreeMap<String, serde_json::Value>;

/// The value as the API shows it.
pub(crate) fn plain(value: v1::Value) -> Plain {
    use v1::value::Kind;
    match value.kind {
        None | Some(Kind::Null(_)) => Plain::Null,
        Some(Kind::Boolean(yes)) => Plain::Boolean(yes),
        Some(Kind::Options(options)) => Plain::List(options.values),
        Some(Kind::Text(text) | Kind::Number(text) | Kind::Date(text) | Kind::DateTime(text)) => {
            Plain::Text(text)
        }
    }
}

/// The same of a value that may be missing.
pub(crate) fn plain_or_null(value: Option<v1::Value>) -> Plain {
    value.map_or(Plain::Null, plain)
}

/// Reads the values that were sent.
pub(crate) fn given(fields: Given) -> Result<HashMap<String, v1::Value>, ApiError> {
    let read = |(name, json): (String, serde_json::Value)| match model::Value::from_plain(&json) {
        Ok(value) => Ok((name, v1::Value::from(&value))),
        Err(error) => {
            let message = format!("{} is not a field value.", error.0);
            Err(ApiError::invalid("value_invalid", message).at(name))
        }
    };
    fields.into_iter().map(read).collect()
}

/// A choice of a picklist.
#[derive(Serialize, ToSchema)]
pub(crate) struct PicklistOption {
    /// What is stored.
    value: String,
    /// What people see.
    label: String,
}

/// A field of an object.
#[derive(Serialize, ToSchema)]
pub(crate) struct Field {
    /// Its internal name.
    name: String,
    /// What people see.
    label: String,
    /// `text`, `number`, `currency`, `date`, `date_time`, `boolean`, `picklist`, `multi_picklist`, `email`, …
    r#type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    options: Vec<PicklistOption>,
    read_only: bool,
    required: bool,
    unique: bool,
    custom: bool,
}

/// An object, ours or a vendor's, and its fields.
#[derive(Serialize, ToSchema)]
pub(crate) struct ObjectSchema {
    /// Its internal name, `company`.
    name: String,
    /// What people see, `Companies`.
    label: String,
    fields: Vec<Field>,
}

impl From<v1::Field> for Field {
    fn from(field: v1::Field) -> Self {
        let option = |option: v1::PicklistOption| PicklistOption { value: option.value, label: option.label };
        Self {
            name: field.name,
            label: field.label,
            r#type: field.r#type,
            description: field.description,
            options: field.options.into_iter().map(option).collect(),
            read_only: field.read_only,
            required: field.required,
            unique: field.unique,
            custom: field.custom,
        }
    }
}

impl From<v1::ObjectSchema> for ObjectSchema {
    fn from(schema: v1::ObjectSchema) -> Self {
        Self {
            name: schema.name,
            label: schema.label,
            fields: schema.fields.into_iter().map(Into::into).collect(),
        }
    }
}
