//! A value's way from one side to the other: through the pair's transforms, by the types of the two fields, and value
//! by value for picklists. Nothing here panics, whatever the value; what does not fit is said without the value.

use jiff::tz::TimeZone;
use model::{FieldSchema, FieldType, IssueCategory, PicklistOption, Value};

use super::{
    mapping::FieldPair,
    reference,
    rule::{ValuePair, same},
};

mod steps;

/// A value that does not fit the other side's field. It names types and rules, never the value.
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
    /// It is no option of the picklist, and nobody said which one it is.
    #[error("the value, a {found}, is no option of the picklist {field}: map it to one (rule: {rule})")]
    Option {
        /// The field that should take it.
        field: String,
        /// What the value is.
        found: &'static str,
        /// What was looked through: `value map` or `equal options`.
        rule: &'static str,
    },
    /// A transform cannot rewrite it.
    #[error("a {found} does not fit the transform of {field} (rule: {rule})")]
    Rule {
        /// The field that should take it.
        field: String,
        /// What the value is.
        found: &'static str,
        /// The transform.
        rule: String,
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
    let mut value = value;
    for transform in pair.transforms.iter().rev() {
        value = steps::inward(transform, pair, value)?;
    }
    let ways: Vec<(&str, &str)> = pair.values.iter().map(|way| (&*way.theirs, &*way.ours)).collect();
    let value = carry(&pair.vendor, &pair.canonical, &ways, &pair.zone, value)?;
    steps::canonical(pair, value)
}

/// The vendor's form of a canonical value.
pub(crate) fn outbound(pair: &FieldPair, value: Value) -> Result<Value, Unfit> {
    let mut value = steps::canonical(pair, value)?;
    let ways: Vec<(&str, &str)> = pair.values.iter().map(|way| (&*way.ours, &*way.theirs)).collect();
    if !ways.is_empty() {
        value = carry(&pair.canonical, &pair.vendor, &ways, &pair.zone, value)?;
    }
    for transform in &pair.transforms {
        value = steps::outward(transform, pair, value)?;
    }
    if ways.is_empty() {
        carry(&pair.canonical, &pair.vendor, &[], &pair.zone, value)
    } else {
        coerce(&pair.vendor, &pair.zone, value)
    }
}

/// Brings a value into the other field's form; `ways` says which option is which.
fn carry(
    from: &FieldSchema,
    to: &FieldSchema,
    ways: &[(&str, &str)],
    zone: &TimeZone,
    value: Value,
) -> Result<Value, Unfit> {
    if value.is_blank() {
        return Ok(Value::Null);
    }
    let limited =
        matches!(to.field_type, FieldType::Picklist | FieldType::MultiPicklist) && !to.options.is_empty();
    if !limited && ways.is_empty() {
        return coerce(to, zone, value);
    }
    let found = value.type_name();
    let choose = |text: &str| {
        let way = ways
            .iter()
            .find(|(one, _)| *one == text)
            .or_else(|| ways.iter().find(|(one, _)| same(one, text)));
        let rule = if ways.is_empty() { "equal options" } else { "value map" };
        way.map(|(_, other)| (*other).to_owned())
            .or_else(|| option(from, to, text).filter(|_| limited))
            .ok_or_else(|| Unfit::Option { field: to.name.clone(), found, rule })
    };
    match value {
        Value::List(texts) if to.field_type == FieldType::MultiPicklist || !ways.is_empty() => {
            let chosen = texts.iter().map(|text| choose(text)).collect::<Result<Vec<_>, _>>()?;
            coerce(to, zone, Value::list(chosen))
        }
        Value::List(texts) => coerce(to, zone, Value::List(texts)),
        value => coerce(to, zone, Value::text(choose(&value.to_string())?)),
    }
}

fn coerce(to: &FieldSchema, zone: &TimeZone, value: Value) -> Result<Value, Unfit> {
    let found = value.type_name();
    let value = match (to.field_type, value) {
        (FieldType::Date, Value::DateTime(at)) => Value::Date(at.to_zoned(zone.clone()).date()),
        (FieldType::DateTime, Value::Date(date)) => match date.to_zoned(zone.clone()) {
            Ok(midnight) => Value::DateTime(midnight.timestamp()),
            Err(_) => Value::Date(date),
        },
        (_, value) => value,
    };
    to.field_type.coerce(value).map_err(|_| Unfit::Type {
        field: to.name.clone(),
        wanted: to.field_type.name(),
        found,
    })
}

/// Finds the option by its internal name, else by its label at either side. Case does not count, nor does what only
/// divides words; what tells `C`, `C++` and `C#` apart does. Where several options fit, none does.
fn option(from: &FieldSchema, to: &FieldSchema, text: &str) -> Option<String> {
    if to.options.iter().any(|option| option.value == text) {
        return Some(text.to_owned());
    }
    let label = from.options.iter().find(|option| option.value == text).map(|option| option.label.as_str());
    [Some(text), label].into_iter().flatten().find_map(|text| find(&to.options, text))
}

/// The options of a picklist that the other one has no place for.
pub(crate) fn without_counterpart<'a>(
    from: &'a FieldSchema,
    to: &'a FieldSchema,
) -> impl Iterator<Item = &'a PicklistOption> {
    from.options.iter().filter(|one| option(from, to, &one.value).is_none())
}

/// Which option is which, as far as names and labels tell; to be looked at by a person.
pub(crate) fn suggest_values(ours: &FieldSchema, theirs: &FieldSchema) -> Vec<ValuePair> {
    let pair = |ours: &str, theirs: &str| ValuePair { ours: ours.to_owned(), theirs: theirs.to_owned() };
    let mut pairs: Vec<ValuePair> = ours
        .options
        .iter()
        .filter_map(|one| Some(pair(&one.value, &option(ours, theirs, &one.value)?)))
        .collect();
    for other in &theirs.options {
        if !pairs.iter().any(|pair| pair.theirs == other.value)
            && let Some(one) = option(theirs, ours, &other.value)
        {
            pairs.push(pair(&one, &other.value));
        }
    }
    pairs
}

fn find(options: &[PicklistOption], text: &str) -> Option<String> {
    let alone = |fits: &dyn Fn(&PicklistOption) -> bool| {
        let mut fitting = options.iter().filter(|option| fits(option));
        let first = fitting.next()?;
        fitting.next().is_none().then(|| first.value.clone())
    };
    let wanted = plain(text);
    alone(&|option| same(&option.value, text) || same(&option.label, text)).or_else(|| {
        let fits = |option: &PicklistOption| plain(&option.value) == wanted || plain(&option.label) == wanted;
        alone(&fits).filter(|_| !wanted.is_empty())
    })
}

fn plain(text: &str) -> String {
    let divides = |c: &char| c.is_whitespace() || "_-–/\\.,:;()[]'\"’&".contains(*c);
    text.chars().filter(|c| !divides(c)).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests;
