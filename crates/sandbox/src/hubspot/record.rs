//! One CRM record: values with their history, times, links to other records.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How many older values of a property the vendor keeps.
const HISTORY_KEPT: usize = 20;

/// Who wrote a value, as property history reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Source {
    /// A person in the portal's own screens.
    User(u64),
    /// An app through the API, on behalf of the user who installed it.
    App { app: u64, user: u64 },
    /// A bulk import by a person.
    Import(u64),
    /// Values taken over from the other record of a merge.
    Merge(u64),
}

impl Source {
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Source::User(_) => "CRM_UI",
            Source::App { .. } => "INTEGRATION",
            Source::Import(_) => "IMPORT",
            Source::Merge(_) => "MERGE_OBJECTS",
        }
    }

    pub(crate) fn id(self) -> String {
        match self {
            Source::User(user) | Source::Import(user) => format!("userId:{user}"),
            Source::App { app, .. } => app.to_string(),
            Source::Merge(loser) => loser.to_string(),
        }
    }

    pub(crate) fn user(self) -> Option<u64> {
        match self {
            Source::User(user) | Source::Import(user) | Source::App { user, .. } => Some(user),
            Source::Merge(_) => None,
        }
    }
}

/// One value a property has or had. An empty value is a cleared property.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Version {
    #[serde(rename = "v")]
    pub(crate) value: Box<str>,
    #[serde(rename = "t")]
    pub(crate) at_ms: i64,
    #[serde(rename = "s")]
    pub(crate) source: Source,
}

/// A property of a record: its value now and the ones before, newest last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Cell {
    #[serde(rename = "c")]
    pub(crate) current: Version,
    #[serde(rename = "o", default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) older: Vec<Version>,
}

/// A link to another record with the types it carries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Link {
    /// Position of the other object in the portal.
    pub(crate) object: usize,
    pub(crate) id: u64,
    /// Association type ids as seen from this side.
    pub(crate) types: Vec<u32>,
}

/// When, by whom, and from when on search shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) now_ms: i64,
    pub(crate) visible_at: i64,
    pub(crate) source: Source,
}

/// A record of any object.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: u64,
    pub(crate) created_ms: i64,
    pub(crate) modified_ms: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) archived_ms: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) updated_by: Option<u64>,
    #[serde(default)]
    pub(crate) cells: BTreeMap<Arc<str>, Cell>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) merged_ids: Vec<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) links: Vec<Link>,
    /// The modification time under which search holds the record; none while search cannot see it.
    #[serde(skip)]
    pub(crate) indexed_ms: Option<i64>,
}

impl Record {
    pub(crate) fn new(id: u64, stamp: Stamp) -> Self {
        Self {
            id,
            created_ms: stamp.now_ms,
            modified_ms: stamp.now_ms,
            archived_ms: None,
            updated_by: stamp.source.user(),
            cells: BTreeMap::new(),
            merged_ids: Vec::new(),
            links: Vec::new(),
            indexed_ms: None,
        }
    }

    /// Writes values; modification time moves even where a value stays, history only where it changes.
    pub(crate) fn write(&mut self, changes: Vec<(Arc<str>, String)>, stamp: Stamp) {
        for (name, value) in changes {
            let version = Version { value: value.into(), at_ms: stamp.now_ms, source: stamp.source };
            self.write_one(name, version);
        }
        self.modified_ms = self.modified_ms.max(stamp.now_ms);
        self.updated_by = stamp.source.user();
    }

    fn write_one(&mut self, name: Arc<str>, version: Version) {
        let Some(cell) = self.cells.get_mut(&name) else {
            if !version.value.is_empty() {
                self.cells.insert(name, Cell { current: version, older: Vec::new() });
            }
            return;
        };
        if cell.current.value == version.value {
            return;
        }
        let before = std::mem::replace(&mut cell.current, version);
        cell.older.push(before);
        if cell.older.len() > HISTORY_KEPT {
            cell.older.remove(0);
        }
    }

    /// The value now; a cleared property has none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.cells.get(name).map(|cell| &*cell.current.value).filter(|value| !value.is_empty())
    }

    /// Values of a property, newest first.
    pub(crate) fn history(&self, name: &str) -> impl Iterator<Item = &Version> {
        let cell = self.cells.get(name);
        let current = cell.map(|cell| &cell.current);
        let older = cell.map(|cell| cell.older.iter().rev()).into_iter().flatten();
        current.into_iter().chain(older)
    }

    pub(crate) fn link(&mut self, object: usize, id: u64, type_id: u32) {
        match self.links.iter_mut().find(|link| link.object == object && link.id == id) {
            Some(link) if !link.types.contains(&type_id) => link.types.push(type_id),
            Some(_) => {}
            None => self.links.push(Link { object, id, types: vec![type_id] }),
        }
    }

    /// Takes types off a link (all of them without a list); the link goes with its last type.
    pub(crate) fn unlink(&mut self, object: usize, id: u64, types: Option<&[u32]>) {
        for link in self.links.iter_mut().filter(|link| link.object == object && link.id == id) {
            link.types.retain(|kept| types.is_some_and(|gone| !gone.contains(kept)));
        }
        self.links.retain(|link| !link.types.is_empty());
    }

    pub(crate) fn links_to(&self, object: usize) -> impl Iterator<Item = &Link> {
        self.links.iter().filter(move |link| link.object == object)
    }
}
