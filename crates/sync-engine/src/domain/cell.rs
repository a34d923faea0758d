//! A record's fields: each value with the stamp that says when it was set and by whom.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use model::{CanonicalObject, OrganizationId, RecordId, Value};

/// A field's value and its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) value: Value,
    /// When the edit was made, by the clock of the side where it was made.
    pub(crate) at: Timestamp,
    /// Who made it, in the text form of [`model::Actor`].
    pub(crate) origin: Arc<str>,
    /// The record's version that brought it, so that its story is found without a search; zero when it is older than
    /// stories.
    pub(crate) version: i64,
}

/// A canonical record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) id: RecordId,
    pub(crate) organization: OrganizationId,
    pub(crate) object: CanonicalObject,
    /// Grows by one with every stored change.
    pub(crate) version: i64,
    pub(crate) cells: BTreeMap<String, Cell>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) archived_at: Option<Timestamp>,
    /// Whether it was archived for good: nobody finds it, unless the vendor's record comes back.
    pub(crate) deleted: bool,
}

impl Record {
    /// A record without fields, not stored yet.
    pub(crate) fn new(
        id: RecordId,
        organization: OrganizationId,
        object: CanonicalObject,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            organization,
            object,
            version: 0,
            cells: BTreeMap::new(),
            created_at: now,
            updated_at: now,
            archived_at: None,
            deleted: false,
        }
    }

    /// The field's value; a field that was never set is blank.
    pub(crate) fn value(&self, field: &str) -> &Value {
        self.cells.get(field).map_or(&Value::Null, |cell| &cell.value)
    }

    /// What people call the record: its title field, else its id.
    pub(crate) fn title(&self) -> String {
        let title = self.value(self.object.title_field()).to_string();
        if title.is_empty() { self.id.to_string() } else { title }
    }
}
