//! Schemas as files, and predictions as the lines of one: what `accord suggest` reads and prints.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    AUTO,
    field::{Field, Object},
    matcher, samples,
    weights::LEARNED,
};

/// The most fields that a schema may have.
const MOST_FIELDS: usize = 20_000;

/// The least that types must fit for a pair to be mapped by itself.
const FITTING: f64 = 0.5;

/// An object with its fields, read from a file.
#[derive(Clone, Debug)]
pub struct Schema(Object);

/// Why a schema cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It is no JSON, or no list of fields.
    #[error("read the schema of {object}: {source}")]
    Malformed {
        /// Which object.
        object: String,
        /// What the reader says.
        source: serde_json::Error,
    },
    /// A field has no name.
    #[error("read the schema of {object}: field {at} has no name")]
    Unnamed {
        /// Which object.
        object: String,
        /// Which field, counted from 1.
        at: usize,
    },
    /// Two fields have one name.
    #[error("read the schema of {object}: there are two fields {field:?}")]
    Repeated {
        /// Which object.
        object: String,
        /// Their name.
        field: String,
    },
    /// It has too many fields.
    #[error("read the schema of {object}: it has {count} fields, at most {MOST_FIELDS} are read")]
    TooLarge {
        /// Which object.
        object: String,
        /// How many it has.
        count: usize,
    },
}

impl SchemaError {
    /// The error's stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "schema_malformed",
            Self::Unnamed { .. } => "field_unnamed",
            Self::Repeated { .. } => "field_repeated",
            Self::TooLarge { .. } => "schema_too_large",
        }
    }
}

/// A candidate for a source field.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// What the pair of objects is called.
    pub pair: String,
    /// The source field's name.
    pub source: String,
    /// The target field's name.
    pub target: String,
    /// 0 to 1: of ten predictions with 0.9, nine are right.
    pub confidence: f64,
    /// Whether it is the choice of the one-to-one assignment.
    pub selected: bool,
    /// Whether it would be mapped without asking anybody.
    pub auto: bool,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    name: String,
    label: Option<String>,
    #[serde(rename = "type", default)]
    kind: String,
    description: Option<String>,
    #[serde(default)]
    picklist: Option<Vec<Choice>>,
    #[serde(default)]
    samples: Vec<serde_json::Value>,
}

/// An option as a word, or with its stored value.
#[derive(Deserialize)]
#[serde(untagged)]
enum Choice {
    Word(String),
    Pair { value: Option<String>, label: Option<String> },
}

impl Choice {
    fn shown(self) -> Option<String> {
        match self {
            Self::Word(word) => Some(word),
            Self::Pair { value, label } => label.or(value),
        }
    }
}

impl Schema {
    /// Reads `[{name, label, type, description?, picklist?, samples?}]`, the types in the vendor's own words. `object`
    /// is what the object is called, as in `hubspot.deals`.
    ///
    /// # Errors
    /// It is no such list, a field has no name or another's, or there are too many.
    pub fn read(object: &str, json: &[u8]) -> Result<Self, SchemaError> {
        let name = || object.to_owned();
        let wire: Vec<Wire> = serde_json::from_slice(json)
            .map_err(|source| SchemaError::Malformed { object: name(), source })?;
        if wire.len() > MOST_FIELDS {
            return Err(SchemaError::TooLarge { object: name(), count: wire.len() });
        }
        let mut names = BTreeSet::new();
        for (at, field) in wire.iter().enumerate() {
            if field.name.trim().is_empty() {
                return Err(SchemaError::Unnamed { object: name(), at: at + 1 });
            }
            if !names.insert(field.name.as_str()) {
                return Err(SchemaError::Repeated { object: name(), field: field.name.clone() });
            }
        }
        let mut fields: Vec<Field> = wire.into_iter().map(field).collect();
        fields.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self(Object { name: name(), fields }))
    }
}

fn field(wire: Wire) -> Field {
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => Some(text),
        serde_json::Value::Null => None,
        other => Some(other.to_string()),
    };
    Field {
        label: wire.label.filter(|label| !label.is_empty()).unwrap_or_else(|| wire.name.clone()),
        name: wire.name,
        kind: wire.kind,
        description: wire.description.unwrap_or_default(),
        options: wire.picklist.into_iter().flatten().filter_map(Choice::shown).collect(),
        samples: wire.samples.into_iter().filter_map(text).collect(),
    }
}

/// Predicts which target field each source field is: up to ten candidates for each, the surest first.
#[must_use]
pub fn predict(pair: &str, source: &Schema, target: &Schema) -> Vec<Prediction> {
    let (source, target) = (&source.0, &target.0);
    let matched = matcher::candidates(&LEARNED, source, target);
    let mut predictions = Vec::new();
    for (at, (ours, row)) in source.fields.iter().zip(&matched.rows).enumerate() {
        for candidate in row {
            let theirs = &target.fields[candidate.target];
            let fits = matched.reader.ours[at].kind.fits(matched.reader.theirs[candidate.target].kind);
            let sure = candidate.selected && candidate.confidence >= AUTO && fits >= FITTING;
            predictions.push(Prediction {
                pair: pair.to_owned(),
                source: ours.name.clone(),
                target: theirs.name.clone(),
                confidence: candidate.confidence,
                selected: candidate.selected,
                auto: sure && samples::lost(ours, theirs) == 0 && samples::lost(theirs, ours) == 0,
            });
        }
    }
    predictions
}
