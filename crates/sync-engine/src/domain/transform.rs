//! A value's way from one side to the other: by the types of the two fields, and value by value for picklists.

use model::{FieldSchema, FieldType, IssueCategory, PicklistOption, Value};

use super::{mapping::FieldPair, reference};

/// A value that does not fit the other side's field. It names types, never the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unfit {
    /// Its type does not fit.
    #[error("a {found} does not fit the {wanted} field {field}")]
    Type {
        /// The field that should take it.
        field: String,
        /// What the field holds.
        wanted: &'static str,
        /// What the value is.
        found: &'static str,
    },
    /// The record that it names is not linked to one at the other side.
    #[error("the record that {field} names is not linked yet")]
    Parent {
        /// The field that should take it.
        field: String,
    },
    /// It is no option of the picklist.
    #[error("the value is no option of the picklist {field}")]
    Option {
        /// The field that should take it.
        field: String,
    },
}

impl Unfit {
    /// What kind of issue it is.
    pub(crate) const fn category(&self) -> IssueCategory {
        match self {
            Self::Parent { .. } => IssueCategory::Missing,
            _ => IssueCategory::Value,
        }
    }
}

/// The canonical form of a vendor's value.
pub(crate) fn inbound(pair: &FieldPair, value: Value) -> Result<Value, Unfit> {
    if reference::target(pair).is_some() && reference::vendor_id(&value).is_some() {
        return Err(Unfit::Parent { field: pair.canonical.name.clone() });
    }
    carry(&pair.vendor, &pair.canonical, value)
}

/// The vendor's form of a canonical value.
pub(crate) fn outbound(pair: &FieldPair, value: Value) -> Result<Value, Unfit> {
    carry(&pair.canonical, &pair.vendor, value)
}

fn carry(from: &FieldSchema, to: &FieldSchema, value: Value) -> Result<Value, Unfit> {
    if value.is_blank() {
        return Ok(Value::Null);
    }
    match (to.field_type, value) {
        (FieldType::Picklist, Value::Text(text)) if !to.options.is_empty() => {
            option(from, to, &text).map(Value::Text)
        }
        (FieldType::MultiPicklist, value) if !to.options.is_empty() => {
            let chosen = coerce(to, value)?;
            let Value::List(chosen) = chosen else { return Ok(chosen) };
            let options = chosen.iter().map(|text| option(from, to, text)).collect::<Result<Vec<_>, _>>()?;
            Ok(Value::list(options))
        }
        (_, value) => coerce(to, value),
    }
}

fn coerce(to: &FieldSchema, value: Value) -> Result<Value, Unfit> {
    let found = value.type_name();
    to.field_type.coerce(value).map_err(|_| Unfit::Type {
        field: to.name.clone(),
        wanted: to.field_type.name(),
        found,
    })
}

/// Finds the option by its internal name, else by its label at either side; letters and digits count, case, spaces
/// and punctuation do not.
fn option(from: &FieldSchema, to: &FieldSchema, text: &str) -> Result<String, Unfit> {
    if to.options.iter().any(|option| option.value == text) {
        return Ok(text.to_owned());
    }
    let label = from.options.iter().find(|option| option.value == text).map(|option| option.label.as_str());
    [Some(text), label]
        .into_iter()
        .flatten()
        .find_map(|text| find(&to.options, text))
        .ok_or_else(|| Unfit::Option { field: to.name.clone() })
}

/// The options of a picklist that the other one has no place for.
pub(crate) fn without_counterpart<'a>(
    from: &'a FieldSchema,
    to: &'a FieldSchema,
) -> impl Iterator<Item = &'a PicklistOption> {
    from.options.iter().filter(|one| option(from, to, &one.value).is_err())
}

fn find(options: &[PicklistOption], text: &str) -> Option<String> {
    let wanted = plain(text);
    options
        .iter()
        .find(|option| plain(&option.value) == wanted || plain(&option.label) == wanted)
        .map(|option| option.value.clone())
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
