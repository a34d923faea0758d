//! What page and sync tokens carry. Clients see letters only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Where an incremental list goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sync {
    pub(crate) calendar: String,
    pub(crate) seq: u64,
    pub(crate) epoch: u64,
    pub(crate) issued_ms: i64,
    /// The parameters that must stay the same.
    pub(crate) single: bool,
    /// The first list's bounds: instances of a series outside of them are not made.
    pub(crate) from_ms: Option<i64>,
    pub(crate) to_ms: Option<i64>,
}

/// Where a list of several pages goes on.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Page {
    /// The last change that this list shows; what changes while it is read comes with the next one.
    pub(crate) seq: u64,
    pub(crate) epoch: u64,
    /// The last item that was shown.
    pub(crate) after: Option<(i64, i64, String)>,
}

pub(crate) fn write<T: Serialize>(what: &T) -> String {
    URL_SAFE.encode(serde_json::to_vec(what).unwrap_or_default())
}

/// Reads a token; None when nobody here wrote it.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE.decode(text).ok()?).ok()
}
