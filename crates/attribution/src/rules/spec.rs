//! What a rule says.

use std::collections::{BTreeMap, BTreeSet};

use model::Value;
use proto::attribution as wire;
use serde::{Deserialize, Serialize};

use crate::{domain::money::Currency, error::Refusal, text};

/// The most conditions of a rule, and values of a condition.
const MOST_CONDITIONS: usize = 10;
const MOST_VALUES: usize = 100;
const LONGEST_NAME: usize = 255;

/// What a rule says, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) name: String,
    /// All of them must hold.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) event_type: String,
    pub(crate) user: User,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) value_field: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) currency_field: Option<String>,
    /// Where the record does not tell it; an ISO 4217 code.
    pub(crate) currency: String,
    pub(crate) when_left: WhenLeft,
}

/// Whose conversion it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum User {
    /// The e-mail address of one of the record's contacts.
    ContactEmail,
    /// What this field of the record holds.
    Field(String),
}

/// What becomes of an event whose record does not meet the rule any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenLeft {
    /// It pays nothing.
    Void,
    /// It stays.
    Keep,
}

/// What a field must hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Condition {
    pub(crate) field: String,
    pub(crate) operator: Operator,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operator {
    OneOf,
    NoneOf,
    Exists,
}

impl Operator {
    const fn name(self) -> &'static str {
        match self {
            Self::OneOf => "one_of",
            Self::NoneOf => "none_of",
            Self::Exists => "exists",
        }
    }
}

impl WhenLeft {
    const fn name(self) -> &'static str {
        match self {
            Self::Void => "void",
            Self::Keep => "keep",
        }
    }
}

impl Condition {
    pub(crate) fn from_wire(wire: &wire::RecordCondition) -> Result<Self, Refusal> {
        let invalid = |code, message: &str| Refusal::invalid("conditions", code, message);
        let operator = match wire.operator.as_str() {
            "one_of" => Operator::OneOf,
            "none_of" => Operator::NoneOf,
            "exists" => Operator::Exists,
            _ => {
                return Err(invalid("operator_invalid", "An operator is one_of, none_of or exists."));
            }
        };
        if (operator == Operator::Exists) != wire.values.is_empty() || wire.values.len() > MOST_VALUES {
            let message = "one_of and none_of have 1 to 100 values, and exists has none.";
            return Err(invalid("values_invalid", message));
        }
        let value = |value: &String| text::required("conditions", value.trim(), LONGEST_NAME);
        let values = wire.values.iter().map(value).collect::<Result<_, _>>()?;
        Ok(Self { field: text::required("conditions", &wire.field, LONGEST_NAME)?, operator, values })
    }

    pub(crate) fn to_wire(&self) -> wire::RecordCondition {
        wire::RecordCondition {
            field: self.field.clone(),
            operator: self.operator.name().to_owned(),
            values: self.values.clone(),
        }
    }

    /// Whether it holds where the field has these texts: several where several options are chosen, none where it is blank.
    /// Capitals and small letters are the same.
    pub(crate) fn holds<'t>(&self, mut texts: impl Iterator<Item = &'t str>) -> bool {
        let listed = |text: &str| self.values.iter().any(|value| value.eq_ignore_ascii_case(text.trim()));
        match self.operator {
            Operator::OneOf => texts.any(listed),
            Operator::NoneOf => !texts.any(listed),
            Operator::Exists => texts.next().is_some(),
        }
    }
}

/// Reads 1 to 10 conditions.
pub(crate) fn conditions(wire: &[wire::RecordCondition]) -> Result<Vec<Condition>, Refusal> {
    if wire.is_empty() || wire.len() > MOST_CONDITIONS {
        let message = format!("A rule has 1 to {MOST_CONDITIONS} conditions.");
        return Err(Refusal::invalid("conditions", "conditions_invalid", message));
    }
    wire.iter().map(Condition::from_wire).collect()
}

impl Spec {
    pub(crate) fn from_wire(wire: &wire::ConversionRuleSpec) -> Result<Self, Refusal> {
        let named = |field, text: &str| text::optional(field, text, LONGEST_NAME);
        let user = match &wire.user {
            Some(wire::conversion_rule_spec::User::ContactEmail(true)) => User::ContactEmail,
            Some(wire::conversion_rule_spec::User::UserField(field)) => {
                User::Field(text::required("user_field", field, LONGEST_NAME)?)
            }
            Some(wire::conversion_rule_spec::User::ContactEmail(false)) | None => {
                let message = "One of contact_email or user_field is required.";
                return Err(Refusal::invalid("user", "required", message));
            }
        };
        let when_left = match wire.when_left.as_str() {
            "" | "void" => WhenLeft::Void,
            "keep" => WhenLeft::Keep,
            _ => {
                return Err(Refusal::invalid("when_left", "when_left_invalid", "when_left is void or keep."));
            }
        };
        Ok(Self {
            name: text::required("name", &wire.name, LONGEST_NAME)?,
            conditions: conditions(&wire.conditions)?,
            event_type: text::required("event_type", &wire.event_type, LONGEST_NAME)?,
            user,
            value_field: Some(named("value_field", &wire.value_field)?).filter(|name| !name.is_empty()),
            currency_field: Some(named("currency_field", &wire.currency_field)?)
                .filter(|name| !name.is_empty()),
            currency: text::currency("currency", &wire.currency)?.code().to_owned(),
            when_left,
        })
    }

    pub(crate) fn to_wire(&self) -> wire::ConversionRuleSpec {
        let user = match &self.user {
            User::ContactEmail => wire::conversion_rule_spec::User::ContactEmail(true),
            User::Field(field) => wire::conversion_rule_spec::User::UserField(field.clone()),
        };
        wire::ConversionRuleSpec {
            name: self.name.clone(),
            connection_id: String::new(),
            vendor_object: String::new(),
            conditions: self.conditions.iter().map(Condition::to_wire).collect(),
            event_type: self.event_type.clone(),
            user: Some(user),
            value_field: self.value_field.clone().unwrap_or_default(),
            currency_field: self.currency_field.clone().unwrap_or_default(),
            currency: self.currency.clone(),
            when_left: self.when_left.name().to_owned(),
        }
    }

    /// The fields whose values decide whether a record meets it.
    pub(crate) fn decided_by(&self) -> BTreeSet<&str> {
        self.conditions.iter().map(|condition| condition.field.as_str()).collect()
    }

    /// The fields that the event is made of.
    pub(crate) fn made_of(&self) -> impl Iterator<Item = &str> {
        let user = match &self.user {
            User::Field(field) => Some(field),
            User::ContactEmail => None,
        };
        user.into_iter().chain(&self.value_field).chain(&self.currency_field).map(String::as_str)
    }

    /// All fields that it reads.
    pub(crate) fn reads(&self) -> BTreeSet<&str> {
        self.decided_by().into_iter().chain(self.made_of()).collect()
    }

    /// Whether a record with these fields meets it.
    pub(crate) fn is_met_by(&self, fields: &BTreeMap<String, Value>) -> bool {
        self.conditions.iter().all(|condition| {
            let texts = fields.get(&condition.field).map(texts).unwrap_or_default();
            condition.holds(texts.iter().map(String::as_str))
        })
    }

    /// The currency of records that do not tell theirs.
    pub(crate) fn usual_currency(&self) -> Currency {
        self.currency.parse().unwrap_or(Currency::USD)
    }
}

/// A value as conditions compare it: one text, or one for each chosen option, or none where it is blank.
fn texts(value: &Value) -> Vec<String> {
    match value {
        value if value.is_blank() => Vec::new(),
        Value::List(options) => options.clone(),
        Value::Number(number) => vec![number.normalize().to_string()],
        other => vec![other.to_string()],
    }
}
