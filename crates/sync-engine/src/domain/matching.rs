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
            let value = transform::inbound(pair, pair.theirs(fields)?).ok()?;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_value_has_a_key_that_fits_an_index_and_is_the_same_every_time(text in ".*", times in 1..3_000_usize) {
            for field in ["domain", "phone", "email", "external_id"] {
                let value = Value::text(text.repeat(times));
                let found = key(field, &value);
                prop_assert_eq!(&found, &key(field, &value));
                prop_assert!(found.is_none_or(|key| key.starts_with(field) && key.len() <= 300));
            }
        }

        #[test]
        fn a_domain_is_the_same_however_it_is_written(name in "[a-z]{1,10}", path in "[a-z/?#=]{0,10}") {
            let plain = key("domain", &Value::text(format!("{name}.test")));
            for spelled in [
                format!("https://www.{name}.test/{path}"),
                format!("http://{name}.TEST"),
                format!("  {name}.test. "),
                format!("www.{name}.test"),
            ] {
                prop_assert_eq!(&key("domain", &Value::text(spelled)), &plain);
            }
        }
    }

    #[test]
    fn a_phone_number_is_its_digits_and_a_blank_is_no_key() {
        assert_eq!(key("phone", &Value::text("+49 (0) 30-12")), Some("phone:4903012".to_owned()));
        for blank in ["", "  ", "https://", "www."] {
            assert_eq!(key("domain", &Value::text(blank)), None, "{blank:?}");
        }
        assert_eq!(key("phone", &Value::text("unknown")), None);
    }

    #[test]
    fn long_values_that_differ_at_their_end_have_different_keys() {
        let long = "x".repeat(1_000);
        let (one, two) = (Value::text(format!("{long}1")), Value::text(format!("{long}2")));
        assert_ne!(key("external_id", &one), key("external_id", &two));
    }
}
