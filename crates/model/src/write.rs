use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ConnectionId, LinkId, MappingId, RecordId, Value, WriteId};

/// What a vendor is asked to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WriteKind {
    /// Create a record; repeating it with the same external id creates nothing new.
    Create {
        /// Our id of the record, kept at the vendor in a unique field where it has one.
        external_id: String,
    },
    /// Change fields of the record with this vendor id.
    Update {
        /// The vendor's id of the record.
        #[serde(rename = "vendor_id")]
        id: String,
        /// For guarded fields, the value we believe to be there. A different one that our write covers is
        /// reported as [`CoveredValue`].
        expected: BTreeMap<String, Value>,
    },
    /// Archive the record with this vendor id, or delete it where the vendor has no archive; it is applied as well
    /// when the record is gone already.
    Archive {
        /// The vendor's id of the record.
        #[serde(rename = "vendor_id")]
        id: String,
    },
}

/// A change we ask a vendor to make. Subject `write.{vendor}.{partition}.{org}.{object}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplyWrite {
    /// Its id; the answer carries it back.
    pub id: WriteId,
    /// The connection to write through.
    pub connection: ConnectionId,
    /// The vendor's internal name of the object.
    pub object: String,
    /// The object mapping that asks for it.
    pub mapping: MappingId,
    /// The link it belongs to.
    pub link: LinkId,
    /// The canonical record it belongs to.
    pub record: RecordId,
    /// Create or update.
    #[serde(flatten)]
    pub write: WriteKind,
    /// The fields to set, by the vendor's internal names.
    pub fields: BTreeMap<String, Value>,
    /// When the edit behind it was made.
    pub edited_at: Timestamp,
}

/// Why a record could not be written or read; the list that people see is sorted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueCategory {
    /// The connection must be authorized again.
    Auth,
    /// The connection lacks a permission.
    Permission,
    /// The vendor's rate limit.
    RateLimit,
    /// The vendor refuses a value.
    Validation,
    /// The vendor has such a record already.
    Duplicate,
    /// The record or its parent is not there.
    Missing,
    /// A field of the mapping is not there any more.
    SchemaDrift,
    /// A value does not fit our field.
    Value,
    /// The vendor is out of order for now.
    Unavailable,
    /// Several records match and a person must decide.
    Ambiguous,
    /// Both sides changed a field and a person must decide.
    Conflict,
}

/// A value that somebody else wrote at the vendor after we last looked and before our write covered it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoveredValue {
    /// The covered value.
    pub value: Value,
    /// When it was written there.
    pub at: Timestamp,
}

/// How a write ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum WriteOutcome {
    /// The vendor did it.
    Applied {
        /// The vendor's id of the record.
        vendor_id: String,
        /// The vendor's version afterwards.
        version: i64,
        /// The written fields as the vendor stored them from this write; it may have trimmed or rounded them. What
        /// somebody wrote afterwards is the next change event's to tell.
        fields: BTreeMap<String, Value>,
        /// Foreign values that the write covered.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        covered: BTreeMap<String, CoveredValue>,
    },
    /// The vendor will not do it; trying again changes nothing.
    Rejected {
        /// What kind of failure.
        category: IssueCategory,
        /// The vendor's words, without field values.
        message: String,
        /// The field that the vendor complained about, where it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        field: Option<String>,
    },
}

/// The answer to a write. Subject `written.{org}.{vendor}.{object}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    /// The write that it answers.
    pub write: WriteId,
    /// The connection it went through.
    pub connection: ConnectionId,
    /// The vendor, `hubspot`.
    pub vendor: String,
    /// The vendor's internal name of the object.
    pub object: String,
    /// The object mapping that asked.
    pub mapping: MappingId,
    /// The link it belongs to.
    pub link: LinkId,
    /// The canonical record it belongs to.
    pub record: RecordId,
    /// When the vendor answered.
    pub at: Timestamp,
    /// How it ended.
    #[serde(flatten)]
    pub outcome: WriteOutcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_write_survives_the_bus() {
        let at = Timestamp::UNIX_EPOCH;
        let update = WriteKind::Update { id: "512".into(), expected: BTreeMap::new() };
        let archive = WriteKind::Archive { id: "512".into() };
        for write in [WriteKind::Create { external_id: "rec_1".into() }, update, archive] {
            let write = ApplyWrite {
                id: WriteId::generate(at),
                connection: ConnectionId::generate(at),
                object: "companies".into(),
                mapping: MappingId::generate(at),
                link: LinkId::generate(at),
                record: RecordId::generate(at),
                write,
                fields: BTreeMap::from([("name".into(), Value::text("Acme"))]),
                edited_at: at,
            };
            let json = serde_json::to_string(&write).unwrap();
            assert_eq!(serde_json::from_str::<ApplyWrite>(&json).unwrap(), write);
        }
    }
}
