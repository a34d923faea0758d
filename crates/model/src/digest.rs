//! Digests of a vendor's records, by which two sides learn that they know the same without showing each other all of it.

use std::{borrow::Cow, collections::BTreeMap};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::Value;

/// How many buckets the records of an object are divided into.
pub const BUCKETS: usize = 1_024;

const NAMESPACE: Uuid = Uuid::from_u128(0x6d1f_9a52_27c4_5d0b_9e43_0b6f_1c8e_72a5);

/// The bucket of a record, `0..BUCKETS`, by the vendor's id of it.
#[must_use]
pub fn bucket(id: &str) -> usize {
    usize::try_from(hash(id.as_bytes()) % BUCKETS as u64).unwrap_or_default()
}

/// The digest of a record: its id and its fields that are not blank. Equal values give equal digests, however they are
/// spelled; a difference by accident goes unnoticed once in 2^60 records.
#[must_use]
pub fn digest(id: &str, fields: &BTreeMap<String, Value>) -> u64 {
    let mut bytes = Vec::with_capacity(fields.len() * 32);
    push(&mut bytes, id);
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_blank()) {
        push(&mut bytes, name);
        push(&mut bytes, value.type_name());
        match value {
            Value::Null => {}
            Value::Text(text) => push(&mut bytes, text),
            Value::Number(number) => push(&mut bytes, &number.normalize().to_string()),
            Value::Bool(answer) => push(&mut bytes, if *answer { "true" } else { "false" }),
            Value::Date(day) => push(&mut bytes, &day.to_string()),
            Value::DateTime(moment) => push(&mut bytes, &moment.to_string()),
            Value::List(options) => {
                for option in options {
                    push(&mut bytes, option);
                }
            }
        }
    }
    hash(&bytes)
}

/// A text with its length before it. The one character that no database of ours keeps counts as nothing.
fn push(bytes: &mut Vec<u8>, text: &str) {
    let kept = if text.as_bytes().contains(&0) { text.replace('\0', "").into() } else { Cow::Borrowed(text) };
    bytes.extend_from_slice(&kept.len().to_le_bytes());
    bytes.extend_from_slice(kept.as_bytes());
}

fn hash(bytes: &[u8]) -> u64 {
    let (high, low) = Uuid::new_v5(&NAMESPACE, bytes).as_u64_pair();
    high ^ low
}

/// Per bucket, the sum of its records' digests: the same records give the same sums in whichever order they are added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Digests(Vec<u64>);

impl Default for Digests {
    fn default() -> Self {
        Self(vec![0; BUCKETS])
    }
}

impl Digests {
    /// Adds a record.
    pub fn add(&mut self, id: &str, digest: u64) {
        if let Some(sum) = self.0.get_mut(bucket(id)) {
            *sum = sum.wrapping_add(digest);
        }
    }

    /// The buckets whose sums are not the same.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Vec<usize> {
        (0..BUCKETS).filter(|bucket| self.0.get(*bucket) != other.0.get(*bucket)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fields(city: &str, size: &str) -> BTreeMap<String, Value> {
        let size = size.parse().map_or(Value::Null, Value::Number);
        [("city".to_owned(), Value::text(city)), ("size".to_owned(), size)].into()
    }

    proptest! {
        #[test]
        fn sums_differ_in_exactly_the_buckets_of_the_records_that_differ(
            cities in proptest::collection::btree_map("[0-9]{1,6}", "[a-z]{0,6}", 0..40),
            changed in proptest::collection::btree_set(0..40_usize, 0..4),
        ) {
            let (mut here, mut there) = (Digests::default(), Digests::default());
            let mut expected: Vec<usize> = Vec::new();
            for (n, (id, city)) in cities.iter().enumerate() {
                here.add(id, digest(id, &fields(city, "1500")));
                let other = if changed.contains(&n) { "ELSEWHERE" } else { city.as_str() };
                if changed.contains(&n) {
                    expected.push(bucket(id));
                }
            there.add(id, digest(id, &fields(other, "1500.00")));
            }
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(here.differing(&there), expected);
        }
    }

    #[test]
    fn a_value_in_another_field_is_another_record() {
        let text = |name: &str| BTreeMap::from([(name.to_owned(), Value::text("x"))]);
        assert_ne!(digest("1", &text("a")), digest("1", &text("b")));
        assert_ne!(digest("1", &text("a")), digest("2", &text("a")));
        assert_eq!(
            digest("1", &BTreeMap::from([("a".to_owned(), Value::Null)])),
            digest("1", &BTreeMap::new())
        );
    }
}
