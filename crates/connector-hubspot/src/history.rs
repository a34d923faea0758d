//! When properties were set: HubSpot keeps a history of each, which batches of records show.

use std::collections::{BTreeMap, BTreeSet};

use connector::{Change, Error};
use futures::future::try_join_all;
use jiff::Timestamp;
use model::{ChangeKind, ObjectSchema, Value};

use crate::{
    client::Client,
    objects::{COMPANY, Decoder, ID, Object, time_from_wire, value_from_wire},
    wire::{BatchRead, PastValue, Record, RecordId, Records},
};

/// Records per read with history, the most that HubSpot gives.
pub(crate) const HISTORY_BATCH_SIZE: usize = 50;
/// How property history calls values that apps wrote.
const INTEGRATION: &str = "INTEGRATION";

/// One value of a property's history, which is newest first.
pub(crate) struct Entry {
    pub(crate) value: Value,
    pub(crate) at: Timestamp,
    pub(crate) by_app: bool,
}

impl Entry {
    pub(crate) fn from_wire(decoder: &Decoder<'_>, name: &str, past: &PastValue<'_>) -> Option<Self> {
        let raw = past.value.as_deref().unwrap_or_default();
        let by_app = past.source_type.as_deref() == Some(INTEGRATION);
        let value = value_from_wire(decoder.field_type(name), raw);
        Some(Self { value, at: time_from_wire(&past.timestamp)?, by_app })
    }

    /// The history of a record's property.
    pub(crate) fn all(decoder: &Decoder<'_>, name: &str, record: &Record<'_>) -> Vec<Self> {
        let history = record.properties_with_history.get(name).map_or(&[][..], Vec::as_slice);
        history.iter().filter_map(|past| Self::from_wire(decoder, name, past)).collect()
    }
}

/// Says of changes when these fields were set to what they show. The company is no property and has no history.
pub(crate) async fn date_fields(
    client: Client<'_>,
    object: &Object,
    schema: &ObjectSchema,
    fields: &[String],
    changes: &mut [Change],
) -> Result<(), Error> {
    let names: Vec<&str> = fields.iter().map(String::as_str).filter(|name| *name != COMPANY).collect();
    if names.is_empty() {
        return Ok(());
    }
    let decoder = Decoder::new(object, schema, names.iter().copied());
    let (names, decoder) = (&names, &decoder);
    let ids: BTreeSet<String> = changes
        .iter()
        .filter(|change| change.kind == ChangeKind::Upserted)
        .map(|change| change.id.clone())
        .collect();
    let ids: Vec<String> = ids.into_iter().collect();
    let read = |ids| histories(client, object, names, decoder, ids);
    let found = try_join_all(ids.chunks(HISTORY_BATCH_SIZE).map(read)).await?;
    let found: BTreeMap<String, Histories> = found.into_iter().flatten().collect();
    for change in changes {
        let Some(histories) = found.get(&change.id) else { continue };
        for (name, history) in histories {
            let set = change.fields.get(name).and_then(|value| set_at(history, value, change.changed_at));
            change.field_times.extend(set.map(|at| (name.clone(), at)));
        }
    }
    Ok(())
}

/// Of a record, by property.
type Histories = Vec<(String, Vec<Entry>)>;

/// The histories of these properties, by record. One that was archived meanwhile is left out.
async fn histories(
    client: Client<'_>,
    object: &Object,
    names: &[&str],
    decoder: &Decoder<'_>,
    ids: &[String],
) -> Result<Vec<(String, Histories)>, Error> {
    let batch = BatchRead {
        properties: vec![ID],
        properties_with_history: names.to_vec(),
        id_property: None,
        inputs: ids.iter().map(|id| RecordId { id }).collect(),
    };
    let answer = client.batch_read(&object.name, &batch).await?;
    let records: Records<'_> = answer.read()?;
    let of = |record: &Record<'_>| {
        names.iter().map(|name| ((*name).to_owned(), Entry::all(decoder, name, record))).collect()
    };
    Ok(records.results.iter().map(|record| (record.id.to_string(), of(record))).collect())
}

/// When a property was set to this value that a record showed which was modified at this moment last. The history may
/// have gone on since.
fn set_at(history: &[Entry], value: &Value, modified: Timestamp) -> Option<Timestamp> {
    history.iter().find(|entry| entry.at <= modified && entry.value == *value).map(|entry| entry.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(entries: &[(i64, &str)], value: &str, modified: i64) -> Option<i64> {
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let entry =
            |(ms, value): &(i64, &str)| Entry { value: Value::text(*value), at: at(*ms), by_app: false };
        let history: Vec<Entry> = entries.iter().map(entry).collect();
        set_at(&history, &Value::text(value), at(modified)).map(Timestamp::as_millisecond)
    }

    #[test]
    fn a_value_has_the_time_at_which_it_was_set_last() {
        assert_eq!(set(&[(30, "b"), (10, "a")], "b", 90), Some(30));
        assert_eq!(set(&[(30, "a"), (20, "b"), (10, "a")], "a", 90), Some(30));
    }

    #[test]
    fn what_was_set_after_the_record_was_listed_says_nothing_of_what_it_showed() {
        assert_eq!(set(&[(95, "b"), (10, "a")], "a", 90), Some(10));
        assert_eq!(set(&[(95, "a"), (40, "b"), (10, "a")], "a", 90), Some(10));
    }

    #[test]
    fn a_value_that_the_history_does_not_show_has_no_time_of_its_own() {
        assert_eq!(set(&[(30, "b")], "c", 90), None);
        assert_eq!(set(&[(95, "b")], "b", 90), None);
        assert_eq!(set(&[], "a", 90), None);
    }
}
