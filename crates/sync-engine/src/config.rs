use std::time::Duration;

use crate::RerankerConfig;

/// The sync-engine's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where Postgres is, with its password; the room's tables are in the schema `sync`.
    pub database_url: String,
    /// How many connections to Postgres the room may hold.
    pub max_connections: u32,
    /// How many changes make one transaction at most.
    pub batch: usize,
    /// A language model that ranks the candidates of fields that the matcher is unsure of; none is asked without it.
    pub reranker: Option<RerankerConfig>,
    /// For how many days activity, conflicts, settled issues, runs and idempotency keys are kept; histories stay.
    pub keep_days: u32,
    /// How long an activation looks whether a plan whose records moved is still true. What takes longer is done in the
    /// background, and the plan is refused; callers give up after 20 seconds. Zero does not look at all.
    pub check_plan_within: Duration,
}

impl Config {
    /// The usual settings for this database.
    #[must_use]
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            max_connections: 8,
            batch: 500,
            keep_days: 90,
            reranker: None,
            check_plan_within: Duration::from_secs(5),
        }
    }
}
