//! An object of the org: its description, its records and the orders they are found by.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::id::Id;
use super::journal::Fields;
use super::record::Record;
use super::schema::{Field, Kind, Place, Schema};
use super::time::datetime;

/// An object and all its records.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) schema: Schema,
    records: BTreeMap<Id, Record>,
    /// Every record, deleted ones too, by (SystemModstamp, Id).
    by_stamp: BTreeSet<(i64, Id)>,
    /// Live records by the value of a field that finds them.
    by_key: BTreeMap<(u16, String), Vec<Id>>,
    next: u64,
}

impl Object {
    pub(crate) fn new(schema: Schema) -> Self {
        let (records, by_stamp, by_key) = Default::default();
        Self { schema, records, by_stamp, by_key, next: 1 }
    }

    pub(crate) fn next_id(&mut self) -> Id {
        let id = Id::new(&self.schema.prefix, self.next);
        self.next += 1;
        id
    }

    pub(crate) fn get(&self, id: Id) -> Option<&Record> {
        self.records.get(&id)
    }

    /// All records by id, deleted ones too.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Record> {
        self.records.values()
    }

    pub(crate) fn live(&self) -> impl Iterator<Item = &Record> {
        self.records.values().filter(|record| record.is_live())
    }

    /// Records by (SystemModstamp, Id) between two places, both included.
    pub(crate) fn stamped(&self, from: (i64, Id), to: (i64, Id)) -> impl Iterator<Item = &Record> {
        let range = (from <= to).then(|| self.by_stamp.range(from..=to));
        range.into_iter().flatten().filter_map(|(_, id)| self.records.get(id))
    }

    /// Live records that have this value in a field that is a key.
    pub(crate) fn find(&self, field: &Field, value: &str) -> &[Id] {
        self.by_key.get(&(field.at, key(field, value))).map_or(&[], Vec::as_slice)
    }

    /// Stores a record in the place of the one with its id.
    pub(crate) fn put(&mut self, record: Record) {
        self.take(record.id);
        self.next = self.next.max(record.id.number() + 1);
        self.by_stamp.insert((record.stamp_s, record.id));
        for key in self.keys(&record) {
            self.by_key.entry(key).or_default().push(record.id);
        }
        self.records.insert(record.id, record);
    }

    pub(crate) fn take(&mut self, id: Id) -> Option<Record> {
        let record = self.records.remove(&id)?;
        self.by_stamp.remove(&(record.stamp_s, id));
        for key in self.keys(&record) {
            if let Some(ids) = self.by_key.get_mut(&key) {
                ids.retain(|known| *known != id);
                if ids.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
        Some(record)
    }

    fn keys(&self, record: &Record) -> Vec<(u16, String)> {
        if !record.is_live() {
            return Vec::new();
        }
        let fields = self.schema.fields.iter().filter(|field| field.is_key());
        fields.filter_map(|field| Some((field.at, key(field, &text(record.cells.get(field.at)?))))).collect()
    }

    /// The value of a field; addresses come as an object.
    pub(crate) fn read(&self, record: &Record, field: &Field) -> Value {
        match field.place {
            Place::Cell => record.cells.get(field.at).cloned().unwrap_or_else(|| empty(field)),
            Place::Id => record.id.to_string().into(),
            Place::IsDeleted => (!record.is_live()).into(),
            Place::MasterRecordId => record.master.map(|id| id.to_string()).into(),
            Place::CreatedDate => datetime(record.created_s).into(),
            Place::CreatedById => record.created_by.to_string().into(),
            Place::LastModifiedDate => datetime(record.modified_s).into(),
            Place::LastModifiedById => record.modified_by.to_string().into(),
            Place::SystemModstamp => datetime(record.stamp_s).into(),
            Place::Address => {
                let parts: serde_json::Map<String, Value> = self
                    .schema
                    .parts(field)
                    .map(|(part, field)| (part, record.cells.get(field.at).cloned().unwrap_or_default()))
                    .collect();
                if parts.values().all(Value::is_null) { Value::Null } else { Value::Object(parts) }
            }
        }
    }

    /// The whole record, as the journal keeps it: what has a value, without addresses.
    pub(crate) fn fields(&self, record: &Record) -> Fields {
        let live = self.schema.live_fields().filter(|field| field.place != Place::Address);
        live.map(|field| (field.name.to_string(), self.read(record, field)))
            .filter(|(_, value)| !value.is_null())
            .collect()
    }
}

/// The value a field has without one: a checkbox is never empty.
fn empty(field: &Field) -> Value {
    if field.kind == Kind::Boolean { Value::Bool(field.default == true) } else { Value::Null }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn key(field: &Field, value: &str) -> String {
    if field.case_sensitive { value.to_owned() } else { value.to_lowercase() }
}
