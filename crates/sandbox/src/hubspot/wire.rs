//! Records as the vendor writes them to JSON, straight from the store.

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::clock::iso;
use super::object::{Column, Object};
use super::record::{Record, Version};

/// What one request wants to see of its records.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shape {
    pub(crate) columns: Vec<Column>,
    pub(crate) history: Vec<Column>,
    /// Leave out properties without a value, as answers to a creation do.
    pub(crate) skip_empty: bool,
}

impl Shape {
    /// The properties asked for (or the default ones) and those every answer carries.
    pub(crate) fn of(object: &Object, wanted: Option<&[String]>, history: &[String]) -> Self {
        let constant = object.constant_properties();
        let mut names: Vec<&str> = match wanted {
            Some(wanted) => wanted.iter().map(String::as_str).chain(constant).collect(),
            None => object.default_properties().to_vec(),
        };
        names.extend(history.iter().map(String::as_str));
        names.sort_unstable();
        names.dedup();
        let columns = names.iter().filter_map(|name| object.column(name)).collect();
        let history = history.iter().filter_map(|name| object.column(name)).collect();
        Self { columns, history, skip_empty: false }
    }

    /// Everything that has a value.
    pub(crate) fn full(object: &Object) -> Self {
        let columns = object.definitions.keys().filter_map(|name| object.column(name)).collect();
        Self { columns, history: Vec::new(), skip_empty: true }
    }
}

/// A record on its way out.
pub(crate) struct View<'a> {
    pub(crate) portal: u64,
    pub(crate) object: &'a Object,
    pub(crate) record: &'a Record,
    pub(crate) shape: &'a Shape,
    pub(crate) associations: Option<serde_json::Value>,
    pub(crate) trace: Option<String>,
    pub(crate) new: Option<bool>,
}

impl<'a> View<'a> {
    pub(crate) fn new(portal: u64, object: &'a Object, record: &'a Record, shape: &'a Shape) -> Self {
        Self { portal, object, record, shape, associations: None, trace: None, new: None }
    }
}

impl Serialize for View<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.record;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &record.id.to_string())?;
        map.serialize_entry("properties", &Properties(self))?;
        if !self.shape.history.is_empty() {
            map.serialize_entry("propertiesWithHistory", &Histories(self))?;
        }
        map.serialize_entry("createdAt", &iso(record.created_ms))?;
        map.serialize_entry("updatedAt", &iso(record.modified_ms))?;
        map.serialize_entry("archived", &record.archived_ms.is_some())?;
        if let Some(archived) = record.archived_ms {
            map.serialize_entry("archivedAt", &iso(archived))?;
        }
        if let Some(associations) = &self.associations {
            map.serialize_entry("associations", associations)?;
        }
        if let Some(trace) = &self.trace {
            map.serialize_entry("objectWriteTraceId", trace)?;
        }
        if let Some(new) = self.new {
            map.serialize_entry("new", &new)?;
        }
        let page = format!(
            "https://app.hubspot.com/contacts/{}/record/{}/{}",
            self.portal, self.object.type_id, record.id
        );
        map.serialize_entry("url", &page)?;
        map.end()
    }
}

struct Properties<'a>(&'a View<'a>);

impl Serialize for Properties<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View { object, record, shape, .. } = self.0;
        let mut map = serializer.serialize_map(None)?;
        for column in &shape.columns {
            let value = object.read(record, column);
            if value.is_some() || !shape.skip_empty {
                map.serialize_entry(&*column.name, &value)?;
            }
        }
        map.end()
    }
}

struct Histories<'a>(&'a View<'a>);

impl Serialize for Histories<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let View { record, shape, .. } = self.0;
        let mut map = serializer.serialize_map(None)?;
        for column in &shape.history {
            map.serialize_entry(&*column.name, &History(record, &column.name))?;
        }
        map.end()
    }
}

struct History<'a>(&'a Record, &'a str);

impl Serialize for History<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        for version in self.0.history(self.1) {
            list.serialize_element(&Past(version))?;
        }
        list.end()
    }
}

struct Past<'a>(&'a Version);

impl Serialize for Past<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Version { value, at_ms, source } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("value", value)?;
        map.serialize_entry("timestamp", &iso(*at_ms))?;
        map.serialize_entry("sourceType", source.kind())?;
        map.serialize_entry("sourceId", &source.id())?;
        if let Some(user) = source.user() {
            map.serialize_entry("updatedByUserId", &user)?;
        }
        map.end()
    }
}
