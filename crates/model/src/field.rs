use jiff::{Timestamp, civil::Date};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{InvalidValue, Value};

/// What values a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Free text.
    Text,
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// A web address.
    Url,
    /// A number.
    Number,
    /// An amount of money in major units.
    Currency,
    /// A percentage.
    Percent,
    /// Yes or no.
    Boolean,
    /// A calendar day.
    Date,
    /// A moment.
    DateTime,
    /// One of several options.
    Picklist,
    /// Any of several options.
    MultiPicklist,
    /// The id of another record at the same system.
    Reference,
    /// The id of a user at the same system.
    User,
}

impl FieldType {
    /// Its name in JSON and on the screen.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Url => "url",
            Self::Number => "number",
            Self::Currency => "currency",
            Self::Percent => "percent",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::DateTime => "date_time",
            Self::Picklist => "picklist",
            Self::MultiPicklist => "multi_picklist",
            Self::Reference => "reference",
            Self::User => "user",
        }
    }

    /// Brings a value into this type's canonical form: a number in a text becomes a number, a moment in a date
    /// field its day in UTC, one option a list of one.
    ///
    /// # Errors
    /// The value does not fit the type; the error names the value's own type, never the value.
    pub fn coerce(self, value: Value) -> Result<Value, InvalidValue> {
        if value.is_blank() {
            return Ok(Value::Null);
        }
        let wrong = InvalidValue(value.type_name());
        match self {
            Self::Text
            | Self::Email
            | Self::Phone
            | Self::Url
            | Self::Picklist
            | Self::Reference
            | Self::User => match value {
                Value::List(_) => Err(wrong),
                Value::Text(text) => Ok(Value::Text(text)),
                other => Ok(Value::text(other.to_string())),
            },
            Self::Number | Self::Currency | Self::Percent => match value {
                Value::Number(number) => Ok(Value::Number(number)),
                Value::Text(text) => number(text.trim()).map(Value::Number).ok_or(wrong),
                _ => Err(wrong),
            },
            Self::Boolean => match value {
                Value::Bool(yes) => Ok(Value::Bool(yes)),
                Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
                    "true" | "yes" | "1" => Ok(Value::Bool(true)),
                    "false" | "no" | "0" => Ok(Value::Bool(false)),
                    _ => Err(wrong),
                },
                _ => Err(wrong),
            },
            Self::Date => match value {
                Value::Date(date) => Ok(Value::Date(date)),
                Value::DateTime(at) => Ok(Value::Date(at.to_zoned(jiff::tz::TimeZone::UTC).date())),
                Value::Text(text) => date(text.trim()).map(Value::Date).ok_or(wrong),
                _ => Err(wrong),
            },
            Self::DateTime => match value {
                Value::DateTime(at) => Ok(Value::DateTime(at)),
                Value::Date(date) => midnight(date).map(Value::DateTime).ok_or(wrong),
                Value::Text(text) => moment(text.trim()).map(Value::DateTime).ok_or(wrong),
                _ => Err(wrong),
            },
            Self::MultiPicklist => match value {
                Value::List(options) => Ok(Value::list(options)),
                Value::Text(text) => Ok(Value::list([text])),
                _ => Err(wrong),
            },
        }
    }
}

fn number(text: &str) -> Option<Decimal> {
    text.parse().or_else(|_| Decimal::from_scientific(text)).ok()
}

fn date(text: &str) -> Option<Date> {
    text.parse::<Date>().ok()
}

fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok().or_else(|| date(text).and_then(midnight))
}

fn midnight(date: Date) -> Option<Timestamp> {
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// One option of a picklist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PicklistOption {
    /// The internal name that is stored.
    pub value: String,
    /// What people see.
    pub label: String,
}

/// A named value of an object, at a vendor or in canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldSchema {
    /// The internal name.
    pub name: String,
    /// What people see.
    pub label: String,
    /// What values it holds.
    #[serde(rename = "type")]
    pub field_type: FieldType,
    /// What it is for, in the system's own words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The options of a picklist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<PicklistOption>,
    /// Whether a write to it is refused.
    #[serde(default)]
    pub read_only: bool,
    /// Whether a record cannot be created without it.
    #[serde(default)]
    pub required: bool,
    /// Whether its values are unique among the object's records.
    #[serde(default)]
    pub unique: bool,
    /// Whether the organization added it itself.
    #[serde(default)]
    pub custom: bool,
    /// The object whose records a reference names, by its internal name at the same system; none where
    /// the system does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<String>,
}

/// A kind of thing at a system, with its fields.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectSchema {
    /// The internal name.
    pub name: String,
    /// What people see, in the plural.
    pub label: String,
    /// Its fields.
    pub fields: Vec<FieldSchema>,
}

impl ObjectSchema {
    /// The field with this internal name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldSchema> {
        self.fields.iter().find(|field| field.name == name)
    }
}
