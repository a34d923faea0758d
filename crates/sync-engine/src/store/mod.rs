//! The only place that says SQL, one file per table.

pub(crate) mod activity;
pub(crate) mod attributed;
pub(crate) mod beside;
mod cells;
pub(crate) mod conflicts;
pub(crate) mod connections;
pub(crate) mod drifts;
pub(crate) mod issues;
pub(crate) mod links;
pub(crate) mod mappings;
pub(crate) mod parents;
pub(crate) mod parts;
pub(crate) mod plans;
pub(crate) mod prune;
pub(crate) mod reconciles;
pub(crate) mod records;
pub(crate) mod revisions;
pub(crate) mod runs;
pub(crate) mod schemas;
mod states;
pub(crate) mod writes;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::{Serialize, de::DeserializeOwned};

use crate::Error;

/// A moment as Postgres takes it.
pub(crate) fn at(time: Timestamp) -> jiff_sqlx::Timestamp {
    time.to_sqlx()
}

/// Moments as Postgres takes them.
pub(crate) fn times(times: impl Iterator<Item = Timestamp>) -> Vec<jiff_sqlx::Timestamp> {
    times.map(at).collect()
}

/// The JSON text of a column.
pub(crate) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::stored("a value to store", error))
}

/// Reads a JSON column, selected as text.
pub(crate) fn from_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(|error| Error::stored(what, error))
}
