//! How a connection reads what people did.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ConnectionId;

/// What people chose about how a connection reads mails, meetings and calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadingSettings {
    /// How often it is read; none for as often as is usual.
    pub interval_minutes: Option<u32>,
    /// Whether the whole texts of mails are kept; else their beginnings.
    pub bodies: bool,
}

/// Somebody changed how a connection reads mails, meetings and calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadingChanged {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor.
    pub vendor: String,
    /// The settings before.
    pub before: ReadingSettings,
    /// The settings now.
    pub after: ReadingSettings,
    /// When.
    pub at: Timestamp,
}
