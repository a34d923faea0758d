//! When two records are the same thing: normalized values of the match fields.

use std::collections::{BTreeMap, BTreeSet};

use model::Value;
use sha2::{Digest, Sha256};

use super::{cell::Record, mapping::Compiled, transform};

/// The longest value in bytes that is its own key; a longer one is known by its digest, so that any fits an index.
const LONGEST: usize = 256;

/// The keys under which a record is found, for all fields that could ever be match fields of its object.
pub(crate) fn keys_of(record: &Record) -> BTreeSet<String> {
    record.object.match_keys().iter().filter_map(|field| key(field, record.value(field))).collect()
}

/// The keys by which a vendor's record looks for its canonical one, best first.
pub(crate) fn keys_there(mapping: &Compiled, fields: &BTreeMap<String, Value>) -> Vec<String> {
    mapping
        .mapping
        .settings
        .match_keys
        .iter()
        .filter_map(|name| {
            let pair = mapping.pairs.iter().find(|pair| pair.canonical.name == *name)?;
            let value = transform::inbound(pair, fields.get(&pair.vendor.name)?.clone()).ok()?;
            key(name, &value)
        })
        .collect()
}

/// The field's normalized value with the field's name in front; none when it is blank.
pub(crate) fn key(field: &str, value: &Value) -> Option<String> {
    let text = value.to_string().trim().to_lowercase();
    let text = match field {
        "domain" | "website" => host(&text),
        "phone" | "mobile" => text.chars().filter(char::is_ascii_digit).collect(),
        _ => text,
    };
    match text.len() {
        0 => None,
        1..=LONGEST => Some(format!("{field}:{text}")),
        _ => {
            let digest: String = Sha256::digest(&text).iter().map(|byte| format!("{byte:02x}")).collect();
            Some(format!("{field}#{digest}"))
        }
    }
}

fn host(text: &str) -> String {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.split(['/', '?', '#']).next().unwrap_or_default();
    text.strip_prefix("www.").unwrap_or(text).trim_end_matches('.').to_owned()
}
