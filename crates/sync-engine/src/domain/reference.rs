//! Fields that name another record: by the vendor's id there, by our record id here. A link joins the two.

use std::collections::BTreeMap;

use model::{CanonicalObject, RecordId, Value};

use super::mapping::{Compiled, FieldPair};

/// Which records a pair of reference fields names, at both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Target<'a> {
    pub(crate) vendor_object: &'a str,
    pub(crate) object: CanonicalObject,
}

/// What a pair's references name; none when one of its fields is no reference, or does not say to what.
pub(crate) fn target(pair: &FieldPair) -> Option<Target<'_>> {
    let object = pair.canonical.references.as_deref()?.parse().ok()?;
    Some(Target { vendor_object: pair.vendor.references.as_deref()?, object })
}

/// The pairs of a mapping that name other records.
pub(crate) fn pairs(mapping: &Compiled) -> impl Iterator<Item = (&FieldPair, Target<'_>)> {
    mapping.pairs.iter().filter_map(|pair| Some((pair, target(pair)?)))
}

/// The record that a value names; none when it is blank or a vendor's id.
pub(crate) fn record(value: &Value) -> Option<RecordId> {
    match value {
        Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

/// The vendor's id that a value holds; none when it is blank or names one of our records.
pub(crate) fn vendor_id(value: &Value) -> Option<String> {
    (!value.is_blank() && record(value).is_none()).then(|| value.to_string())
}

/// The vendor's ids that are named by fields as the vendor spells them, with what they name.
pub(crate) fn named<'a>(
    mapping: &'a Compiled,
    fields: &BTreeMap<String, Value>,
) -> impl Iterator<Item = (Target<'a>, String)> {
    pairs(mapping).filter_map(|(pair, target)| Some((target, vendor_id(fields.get(&pair.vendor.name)?)?)))
}
