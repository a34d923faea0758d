use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ConnectionId;

/// What is left of a connection's budget of API calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BudgetLevel {
    /// Enough.
    Ok,
    /// Little: history waits, live traffic goes on.
    Warning,
    /// Nothing: everything waits for the next window.
    Spent,
}

impl BudgetLevel {
    /// Its name in JSON and in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Spent => "spent",
        }
    }
}

impl fmt::Display for BudgetLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is none of a budget's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("read a budget's level: expected ok, warning or spent")]
pub struct UnknownLevel;

impl FromStr for BudgetLevel {
    type Err = UnknownLevel;

    fn from_str(name: &str) -> Result<Self, UnknownLevel> {
        [Self::Ok, Self::Warning, Self::Spent]
            .into_iter()
            .find(|level| level.name() == name)
            .ok_or(UnknownLevel)
    }
}

/// How many calls of the vendor's API a connection may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetSettings {
    /// Calls of a window.
    pub calls: u64,
    /// The length of a window in seconds.
    pub window_seconds: u32,
    /// From this share of the calls on people are told and history waits.
    pub warn_percent: u32,
}

/// Somebody gave a connection a budget, changed it or took it away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetChanged {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor.
    pub vendor: String,
    /// The budget before; none when there was none.
    pub before: Option<BudgetSettings>,
    /// The budget now; none when there is none any more.
    pub after: Option<BudgetSettings>,
    /// When.
    pub at: Timestamp,
}

/// A connection's use of its budget reached another level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BudgetReached {
    /// The connection.
    pub connection: ConnectionId,
    /// The vendor.
    pub vendor: String,
    /// The level now.
    pub level: BudgetLevel,
    /// Calls made in the window.
    pub used: u64,
    /// The budget; none when it was taken away.
    pub budget: Option<BudgetSettings>,
    /// When the next window begins.
    pub turns_at: Timestamp,
    /// When.
    pub at: Timestamp,
}
