//! What a change of a record says of each field.

use model::Value;
use serde::{Deserialize, Serialize};

/// One field of a record that changed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FieldChange {
    #[serde(rename = "f")]
    pub(crate) field: String,
    #[serde(rename = "b", default, skip_serializing_if = "Value::is_blank")]
    pub(crate) before: Value,
    #[serde(rename = "a", default, skip_serializing_if = "Value::is_blank")]
    pub(crate) after: Value,
    #[serde(rename = "r")]
    pub(crate) reason: Reason,
    /// The record's version that had brought the value before; zero when nothing had.
    #[serde(rename = "p", default, skip_serializing_if = "is_zero")]
    pub(crate) previous: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

named! {
    /// Why a field of a record changed.
    Reason {
        /// Only the vendor had moved.
        VendorMoved = "vendor_moved",
        /// Somebody edited it here.
        Edited = "edited",
        /// Both had moved and the vendor's value won.
        ConflictCrmWon = "conflict_crm_won",
        /// The two sides met for the first time.
        FirstSync = "first_sync",
        /// Somebody restored the losing value of a conflict.
        Restored = "restored",
        /// Somebody put the run back that had replaced it.
        Undone = "undone",
    }
}

named! {
    /// How a record differed at the two sides.
    What {
        /// Another value there.
        Value = "value",
        /// It was not known here.
        MissingHere = "missing_here",
        /// It is not there any more.
        MissingThere = "missing_there",
        /// A value of ours had not been written there.
        Unsent = "unsent",
    }
}
