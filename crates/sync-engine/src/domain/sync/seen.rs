//! What was seen of a vendor's record: as it arrives, and as it is kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::Value;
use serde::{Deserialize, Serialize};

use super::{FieldPair, Gone};

/// A vendor's record as a change event shows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
    pub(crate) fields: &'a BTreeMap<String, Value>,
    /// When fields were set there, where that is known better than by the record's modification.
    pub(crate) times: &'a BTreeMap<String, Timestamp>,
    /// The versions of fields that were read at an older one than the record's; a change event has none.
    pub(crate) older: Option<&'a BTreeMap<String, i64>>,
    /// Whether the vendor says that we made it. What is an echo is told by values alone; this only shows where they speak
    /// against it.
    pub(crate) says_ours: bool,
}

impl Seen<'_> {
    /// The vendor's version of the record when a field was read.
    pub(in super::super) fn version_of(&self, field: &str) -> i64 {
        self.older.and_then(|older| older.get(field)).copied().unwrap_or(self.version)
    }

    /// The same of the vendor's side of a pair: that of the last of the fields that it is made of.
    pub(super) fn version_of_pair(&self, pair: &FieldPair) -> i64 {
        pair.read_from().into_iter().map(|field| self.version_of(field)).max().unwrap_or(self.version)
    }

    /// When the vendor's side of a pair was set: by the last of the fields that it is made of, and never after the record.
    pub(super) fn set_at(&self, pair: &FieldPair) -> Timestamp {
        let of = |field: &str| self.times.get(field).filter(|_| !broken!(FieldTimesIgnored)).copied();
        pair.read_from()
            .into_iter()
            .map(|field| of(field).unwrap_or(self.at))
            .max()
            .map_or(self.at, |at| at.min(self.at))
    }
}

/// A vendor's record as it was read while its mapping was not active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Staged {
    /// Zero when nothing was read but that it is gone.
    pub(crate) version: i64,
    pub(crate) at: Timestamp,
    pub(crate) fields: BTreeMap<String, Value>,
    /// When fields were set there, where that is known better than by the record's modification.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) times: BTreeMap<String, Timestamp>,
    /// The versions of fields that were read at an older one than the record's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) older: BTreeMap<String, i64>,
    /// A deletion there of which ours was not told yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) gone: Option<Gone>,
}

impl Staged {
    /// The same with this deletion, which is newer.
    pub(super) fn leave(staged: Option<Self>, gone: Gone) -> Self {
        let nothing = || Self {
            version: 0,
            at: gone.at,
            fields: BTreeMap::new(),
            times: BTreeMap::new(),
            older: BTreeMap::new(),
            gone: None,
        };
        Self { gone: Some(gone), ..staged.unwrap_or_else(nothing) }
    }

    /// Whether the record was read, and not only found to be gone.
    pub(crate) const fn was_read(&self) -> bool {
        self.version != 0
    }

    /// What is known of a record from what was staged and what arrives now, in whichever order the two were made: of each
    /// field what is newest, at the version and the time that it was read with.
    pub(crate) fn join(staged: Option<Self>, seen: Seen<'_>) -> Self {
        let now = Self {
            version: seen.version,
            at: seen.at,
            fields: seen.fields.clone(),
            times: seen.times.clone(),
            older: seen.older.cloned().unwrap_or_default(),
            gone: None,
        };
        let Some(staged) = staged else { return now };
        let gone = staged.gone.filter(|gone| seen.version < gone.version);
        let (older, mut newer) = if now.version >= staged.version { (staged, now) } else { (now, staged) };
        for (field, value) in &older.fields {
            let version = older.seen().version_of(field);
            if newer.fields.contains_key(field) && newer.seen().version_of(field) >= version {
                continue;
            }
            newer.times.insert(field.clone(), older.times.get(field).copied().unwrap_or(older.at));
            newer.older.insert(field.clone(), version);
            newer.fields.insert(field.clone(), value.clone());
        }
        Self { gone, ..newer }
    }

    /// The same as a change event shows it.
    pub(crate) const fn seen(&self) -> Seen<'_> {
        Seen {
            version: self.version,
            at: self.at,
            fields: &self.fields,
            times: &self.times,
            older: Some(&self.older),
            says_ours: false,
        }
    }
}
