//! A record as it is stored.

use serde_json::Value;

use super::id::Id;

/// Values by position of their field; what has no value is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Cells(Vec<(u16, Value)>);

impl Cells {
    pub(crate) fn get(&self, field: u16) -> Option<&Value> {
        self.0.binary_search_by_key(&field, |(at, _)| *at).ok().map(|at| &self.0[at].1)
    }

    pub(crate) fn text(&self, field: u16) -> Option<&str> {
        self.get(field).and_then(Value::as_str)
    }

    /// Writes a value; null takes it away.
    pub(crate) fn set(&mut self, field: u16, value: Value) {
        match (self.0.binary_search_by_key(&field, |(at, _)| *at), value.is_null()) {
            (Ok(at), true) => drop(self.0.remove(at)),
            (Ok(at), false) => self.0[at].1 = value,
            (Err(_), true) => {}
            (Err(at), false) => self.0.insert(at, (field, value)),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u16, &Value)> {
        self.0.iter().map(|(field, value)| (*field, value))
    }
}

/// A record and what the system keeps about it. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    pub(crate) id: Id,
    pub(crate) created_s: i64,
    pub(crate) created_by: Id,
    pub(crate) modified_s: i64,
    pub(crate) modified_by: Id,
    pub(crate) stamp_s: i64,
    /// When it went to the recycle bin.
    pub(crate) deleted_s: Option<i64>,
    /// The record whose deletion took this one along.
    pub(crate) deleted_with: Option<Id>,
    /// The winner of the merge that this record lost.
    pub(crate) master: Option<Id>,
    pub(crate) cells: Cells,
}

impl Record {
    pub(crate) fn new(id: Id, now_s: i64, user: Id) -> Self {
        Self {
            id,
            created_s: now_s,
            created_by: user,
            modified_s: now_s,
            modified_by: user,
            stamp_s: now_s,
            deleted_s: None,
            deleted_with: None,
            master: None,
            cells: Cells::default(),
        }
    }

    pub(crate) fn is_live(&self) -> bool {
        self.deleted_s.is_none()
    }
}
