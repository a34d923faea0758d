//! One CRM object of a portal: definitions, records, unique values and the search index over them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::clock::iso;
use super::definition::{self, Definition};
use super::index::{Index, Pending};
use super::pipelines;
use super::record::{Record, Stamp};

/// The vendor's description of a custom object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Schema {
    pub(crate) id: String,
    pub(crate) object_type_id: String,
    pub(crate) fully_qualified_name: String,
    pub(crate) name: String,
    pub(crate) labels: Labels,
    #[serde(default)]
    pub(crate) required_properties: Vec<String>,
    #[serde(default)]
    pub(crate) searchable_properties: Vec<String>,
    pub(crate) primary_display_property: Option<String>,
    #[serde(default)]
    pub(crate) secondary_display_properties: Vec<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
}

/// How people call a custom object.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Labels {
    pub(crate) singular: Option<String>,
    pub(crate) plural: Option<String>,
}

/// A property as reads resolve it once per request.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: Arc<str>,
    pub(crate) origin: Origin,
}

/// Where a property's value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Stored,
    Id,
    Created,
    StoredElseCreated,
    Modified,
    UpdatedBy,
    MergedIds,
    Closed { won: bool },
    HomeAmount,
}

/// An object and all its records in one portal.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) singular: String,
    pub(crate) type_id: String,
    pub(crate) schema: Option<Schema>,
    pub(crate) definitions: BTreeMap<Arc<str>, Definition>,
    pub(crate) records: BTreeMap<u64, Record>,
    pub(crate) archived: BTreeSet<u64>,
    /// Ids that a merge ended, with the record that took their place.
    pub(crate) merged: HashMap<u64, u64>,
    pub(crate) index: Index,
    identifying: Vec<Arc<str>>,
    unique: UniqueValues,
}

impl Object {
    pub(crate) fn standard(name: &str, singular: &str, type_id: &str) -> Self {
        let definitions = definition::standard(name);
        Self {
            identifying: identifying(name, &definitions),
            name: name.to_owned(),
            singular: singular.to_owned(),
            type_id: type_id.to_owned(),
            schema: None,
            definitions,
            records: BTreeMap::new(),
            archived: BTreeSet::new(),
            merged: HashMap::new(),
            index: Index::default(),
            unique: HashMap::new(),
        }
    }

    pub(crate) fn custom(schema: Schema) -> Self {
        let mut object = Self::standard(&schema.name, &schema.name, &schema.object_type_id);
        object.schema = Some(schema);
        object
    }

    /// Whether the vendor's path segment `wanted` means this object.
    pub(crate) fn is_called(&self, wanted: &str) -> bool {
        let fully = self.schema.as_ref().map(|schema| schema.fully_qualified_name.as_str());
        [self.name.as_str(), self.singular.as_str(), self.type_id.as_str()]
            .into_iter()
            .chain(fully)
            .any(|name| name.eq_ignore_ascii_case(wanted))
    }

    /// The word scopes use for the object.
    pub(crate) fn scope_word(&self) -> &str {
        if self.schema.is_some() { "custom" } else { &self.name }
    }

    pub(crate) fn modified_property(&self) -> &'static str {
        if self.name == "contacts" { "lastmodifieddate" } else { "hs_lastmodifieddate" }
    }

    /// Properties returned when a request names none.
    pub(crate) fn default_properties(&self) -> &'static [&'static str] {
        match self.name.as_str() {
            "contacts" => {
                &["createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname"]
            }
            "companies" => &["createdate", "domain", "hs_lastmodifieddate", "hs_object_id", "name"],
            "deals" => &[
                "amount",
                "closedate",
                "createdate",
                "dealname",
                "dealstage",
                "hs_lastmodifieddate",
                "hs_object_id",
                "pipeline",
            ],
            _ => &["hs_createdate", "hs_lastmodifieddate", "hs_object_id"],
        }
    }

    /// Properties every answer carries, asked for or not.
    pub(crate) fn constant_properties(&self) -> [&'static str; 3] {
        let created = if self.schema.is_some() { "hs_createdate" } else { "createdate" };
        [created, self.modified_property(), "hs_object_id"]
    }

    pub(crate) fn column(&self, name: &str) -> Option<Column> {
        let definition = self.definitions.get(name).filter(|found| !found.archived)?;
        let deal = self.name == "deals";
        let origin = match name {
            "hs_object_id" => Origin::Id,
            "createdate" if deal => Origin::StoredElseCreated,
            "createdate" | "hs_createdate" => Origin::Created,
            "hs_lastmodifieddate" | "lastmodifieddate" => Origin::Modified,
            "hs_updated_by_user_id" => Origin::UpdatedBy,
            "hs_merged_object_ids" | "hs_calculated_merged_vids" => Origin::MergedIds,
            "hs_is_closed" if deal => Origin::Closed { won: false },
            "hs_is_closed_won" if deal => Origin::Closed { won: true },
            "amount_in_home_currency" if deal => Origin::HomeAmount,
            _ => Origin::Stored,
        };
        Some(Column { name: definition.name.clone(), origin })
    }

    pub(crate) fn read<'a>(&self, record: &'a Record, column: &Column) -> Option<Cow<'a, str>> {
        let stored = |name: &str| record.get(name).map(Cow::Borrowed);
        match column.origin {
            Origin::Stored => stored(&column.name),
            Origin::Id => Some(Cow::Owned(record.id.to_string())),
            Origin::Created => Some(Cow::Owned(iso(record.created_ms))),
            Origin::StoredElseCreated => {
                stored(&column.name).or_else(|| Some(Cow::Owned(iso(record.created_ms))))
            }
            Origin::Modified => Some(Cow::Owned(iso(record.modified_ms))),
            Origin::UpdatedBy => record.updated_by.map(|user| Cow::Owned(user.to_string())),
            Origin::MergedIds => join_ids(&record.merged_ids).map(Cow::Owned),
            Origin::Closed { won } => {
                let stage = record.get("dealstage").and_then(pipelines::stage);
                let closed = stage.is_some_and(|stage| if won { stage.won() } else { stage.closed });
                Some(Cow::Borrowed(if closed { "true" } else { "false" }))
            }
            Origin::HomeAmount => stored("amount"),
        }
    }

    /// The record behind an id, following merges; archived ones only when asked for.
    pub(crate) fn find(&self, id: u64, archived: bool) -> Option<&Record> {
        let mut id = id;
        while let Some(survivor) = self.merged.get(&id) {
            id = *survivor;
        }
        self.records.get(&id).filter(|record| record.archived_ms.is_some() == archived)
    }

    /// Properties whose values identify a record.
    pub(crate) fn identifying(&self) -> &[Arc<str>] {
        &self.identifying
    }

    pub(crate) fn holder(&self, property: &str, value: &str) -> Option<u64> {
        self.unique.get(property)?.get(&unique_key(value)).copied()
    }

    /// Adds or replaces a record that was just written; search shows it from `visible_at` on.
    pub(crate) fn put(&mut self, record: Record, visible_at: i64) {
        let id = record.id;
        self.records.insert(id, record);
        self.written(id, visible_at);
    }

    /// Follows a write in place: unique values, and search from `visible_at` on.
    pub(crate) fn written(&mut self, id: u64, visible_at: i64) {
        let Some(record) = self.records.get(&id) else { return };
        register(&self.identifying, &mut self.unique, record);
        self.index.announce(Pending { visible_at, id, modified_ms: record.modified_ms });
    }

    /// Inserts a record that search knows already; `reindex` must follow.
    pub(crate) fn load(&mut self, record: Record) {
        self.hide(record.id);
        register(&self.identifying, &mut self.unique, &record);
        if record.archived_ms.is_some() {
            self.archived.insert(record.id);
        } else {
            self.archived.remove(&record.id);
        }
        self.records.insert(record.id, record);
    }

    pub(crate) fn reindex(&mut self) {
        let mut order = Vec::with_capacity(self.records.len());
        for record in self.records.values_mut().filter(|record| record.archived_ms.is_none()) {
            record.indexed_ms = Some(record.modified_ms);
            order.push((record.modified_ms, record.id));
        }
        self.index.rebuild(order);
    }

    /// Takes a record out of search and out of the unique values; it stays stored.
    pub(crate) fn hide(&mut self, id: u64) {
        let Some(record) = self.records.get_mut(&id) else { return };
        if let Some(indexed) = record.indexed_ms.take() {
            self.index.remove(indexed, id);
        }
        for (name, values) in &mut self.unique {
            if let Some(value) = record.get(name).map(unique_key)
                && values.get(&value) == Some(&id)
            {
                values.remove(&value);
            }
        }
    }

    pub(crate) fn archive(&mut self, id: u64, now_ms: i64) -> bool {
        self.hide(id);
        match self.records.get_mut(&id) {
            Some(record) if record.archived_ms.is_none() => {
                record.archived_ms = Some(now_ms);
                self.archived.insert(id);
                true
            }
            _ => false,
        }
    }

    pub(crate) fn restore(&mut self, id: u64, stamp: Stamp) -> bool {
        let Some(mut record) = self.records.get(&id).filter(|r| r.archived_ms.is_some()).cloned() else {
            return false;
        };
        record.archived_ms = None;
        record.modified_ms = record.modified_ms.max(stamp.now_ms);
        self.archived.remove(&id);
        self.put(record, stamp.visible_at);
        true
    }

    pub(crate) fn remove(&mut self, id: u64) -> Option<Record> {
        self.hide(id);
        self.archived.remove(&id);
        self.records.remove(&id)
    }

    /// Lets search see every write whose time has come.
    pub(crate) fn refresh_index(&mut self, now_ms: i64) {
        while let Some(due) = self.index.due(now_ms) {
            let Some(record) = self.records.get_mut(&due.id) else { continue };
            let known = record.indexed_ms;
            if record.archived_ms.is_some() || known.is_some_and(|known| known >= due.modified_ms) {
                continue;
            }
            if let Some(known) = known {
                self.index.remove(known, due.id);
            }
            record.indexed_ms = Some(due.modified_ms);
            self.index.insert(due.modified_ms, due.id);
        }
    }

    /// Adds or replaces a definition; values of a property that became unique identify records from now on.
    pub(crate) fn define(&mut self, definition: Definition) {
        self.definitions.insert(definition.name.clone(), definition);
        self.identifying = identifying(&self.name, &self.definitions);
    }
}

/// Names of the properties whose values identify a record; a contact's email always does.
fn identifying(object: &str, definitions: &BTreeMap<Arc<str>, Definition>) -> Vec<Arc<str>> {
    definitions
        .values()
        .filter(|found| found.has_unique_value || (object == "contacts" && &*found.name == "email"))
        .map(|found| found.name.clone())
        .collect()
}

type UniqueValues = HashMap<Arc<str>, HashMap<String, u64>>;

fn register(names: &[Arc<str>], unique: &mut UniqueValues, record: &Record) {
    if record.archived_ms.is_some() {
        return;
    }
    for name in names {
        let Some(cell) = record.cells.get(name) else { continue };
        let values = unique.entry(name.clone()).or_default();
        for old in &cell.older {
            if values.get(&unique_key(&old.value)) == Some(&record.id) {
                values.remove(&unique_key(&old.value));
            }
        }
        if let Some(value) = record.get(name) {
            values.insert(unique_key(value), record.id);
        }
    }
}

fn unique_key(value: &str) -> String {
    value.trim().to_lowercase()
}

fn join_ids(ids: &[u64]) -> Option<String> {
    let texts: Vec<String> = ids.iter().map(u64::to_string).collect();
    (!texts.is_empty()).then(|| texts.join(";"))
}
