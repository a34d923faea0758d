//! The only place that says SQL.

pub(crate) mod activities;
pub(crate) mod campaigns;
pub(crate) mod connections;
pub(crate) mod directory;
pub(crate) mod mailboxes;
pub(crate) mod mails;
pub(crate) mod partners;
pub(crate) mod people;
pub(crate) mod posts;
pub(crate) mod recipients;
pub(crate) mod registrations;
pub(crate) mod rules;
pub(crate) mod settings;
pub(crate) mod suppressions;
pub(crate) mod timeline;
pub(crate) mod vendor_users;

use jiff::Timestamp;
use sqlx::{Row as _, postgres::PgRow};

/// A moment of a row.
pub(crate) fn time(row: &PgRow, column: &str) -> Result<Timestamp, sqlx::Error> {
    row.try_get::<jiff_sqlx::Timestamp, _>(column).map(jiff_sqlx::Timestamp::to_jiff)
}

/// The same, where it may be null.
pub(crate) fn maybe_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, sqlx::Error> {
    let found: Option<jiff_sqlx::Timestamp> = row.try_get(column)?;
    Ok(found.map(jiff_sqlx::Timestamp::to_jiff))
}
