//! What the API's JSON looks like, and how it is made from the rooms' answers. Empty texts of the rooms are left out.

pub(crate) mod access;
pub(crate) mod activity;
pub(crate) mod audit;
pub(crate) mod campaign;
pub(crate) mod connection;
pub(crate) mod decision;
pub(crate) mod health;
pub(crate) mod lineage;
pub(crate) mod mapping;
pub(crate) mod notification;
pub(crate) mod reconcile;
pub(crate) mod record;
pub(crate) mod registration;
pub(crate) mod review;
pub(crate) mod run;
pub(crate) mod telling;
pub(crate) mod value;

use jiff::Timestamp;

/// A moment of the wire; none when there is none.
pub(crate) fn moment(at: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    at.as_ref().and_then(proto::from_wire_time)
}

/// A moment to the wire.
pub(crate) fn to_wire(at: Option<Timestamp>) -> Option<prost_types::Timestamp> {
    at.map(proto::to_wire_time)
}

/// A text that says something.
pub(crate) fn text(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
