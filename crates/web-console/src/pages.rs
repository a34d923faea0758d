//! The pages, one file each: a typed context with a sample, and the handlers that fill it.

pub(crate) mod account;
pub(crate) mod attribution;
pub(crate) mod audit;
pub(crate) mod budget;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod connection_actions;
pub(crate) mod decisions;
pub(crate) mod error;
pub(crate) mod health;
pub(crate) mod integrations;
pub(crate) mod issues;
pub(crate) mod keys;
pub(crate) mod mapping;
pub(crate) mod mapping_actions;
pub(crate) mod plan;
pub(crate) mod reconcile;
pub(crate) mod record;
pub(crate) mod record_edit;
pub(crate) mod records;
pub(crate) mod runs;
pub(crate) mod sign_in;
pub(crate) mod story;
pub(crate) mod stream;
pub(crate) mod users;
pub(crate) mod writing;
