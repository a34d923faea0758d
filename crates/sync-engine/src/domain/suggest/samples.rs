//! Whether real values survive the way to the other side and back.

use model::{FieldType, Value};

use super::{field::Field, kind::Kind};

/// How many of a field's sample values are lost or changed on their way to the other field and back.
pub(crate) fn lost(from: &Field, to: &Field) -> usize {
    let (leaves, arrives) = (type_of(&from.kind), type_of(&to.kind));
    let back = |sample: &String| {
        let own = leaves.coerce(Value::text(sample.clone())).ok()?;
        let there = arrives.coerce(own.clone()).ok()?;
        Some(leaves.coerce(there).ok()? == own && has_option(from, to, sample))
    };
    from.samples.iter().filter(|sample| back(sample) != Some(true)).count()
}

/// Whether a picklist has a place for the value; one whose options are not known is taken to have it.
fn has_option(from: &Field, to: &Field, sample: &str) -> bool {
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let wanted = plain(sample);
    from.options.is_empty()
        || to.options.is_empty()
        || to.options.iter().any(|option| plain(option) == wanted)
}

fn type_of(word: &str) -> FieldType {
    match Kind::read(word) {
        Kind::Number => FieldType::Number,
        Kind::Money => FieldType::Currency,
        Kind::Percent => FieldType::Percent,
        Kind::Bool => FieldType::Boolean,
        Kind::Date if word.to_lowercase().contains("time") => FieldType::DateTime,
        Kind::Date => FieldType::Date,
        Kind::Email => FieldType::Email,
        Kind::Phone => FieldType::Phone,
        Kind::Url | Kind::Photo => FieldType::Url,
        Kind::Reference => FieldType::Reference,
        Kind::User => FieldType::User,
        Kind::Choices => FieldType::MultiPicklist,
        Kind::Choice => FieldType::Picklist,
        Kind::Text | Kind::Address | Kind::Unknown => FieldType::Text,
    }
}
