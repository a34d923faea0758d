//! The only place that says SQL.

pub(crate) mod append;
pub(crate) mod entries;
pub(crate) mod filter;
pub(crate) mod heads;
