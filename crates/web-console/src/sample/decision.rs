use proto::sync::{Candidate, Decision, SyncReason};

use super::id;

/// A vendor's record that waits for somebody's decision.
#[must_use]
pub fn decision() -> Decision {
    Decision {
        id: id("link", 7),
        connection_id: id("conn", 1),
        mapping_id: id("map", 1),
        object: "company".to_owned(),
        vendor: "hubspot".to_owned(),
        vendor_object: "companies".to_owned(),
        vendor_id: "9087".to_owned(),
        title: "Nordwind".to_owned(),
        fields: std::collections::HashMap::new(),
        candidates: [("Nordwind GmbH", true), ("Nordwind AG", false)]
            .into_iter()
            .zip(1..)
            .map(|((title, free), n)| Candidate {
                record_id: id("rec", n),
                title: title.to_owned(),
                shared: vec!["domain".to_owned(), "phone".to_owned()],
                free,
            })
            .collect(),
    }
}

/// Why a record is and is not synced.
#[must_use]
pub fn reasons() -> Vec<SyncReason> {
    [("in_sync", "both sides are in step", true), ("filtered", "the mapping's filter leaves it out", false)]
        .into_iter()
        .map(|(code, message, syncing)| SyncReason {
            mapping_id: id("map", 2),
            connection_id: id("conn", 1),
            vendor: "hubspot".to_owned(),
            vendor_object: "deals".to_owned(),
            vendor_id: "4711".to_owned(),
            code: code.to_owned(),
            message: message.to_owned(),
            syncing,
        })
        .collect()
}
