//! What is decided, without a database, a bus or a clock.

pub(crate) mod activity;
pub(crate) mod address;
pub(crate) mod campaign;
pub(crate) mod registration;
pub(crate) mod telling;
pub(crate) mod template;
