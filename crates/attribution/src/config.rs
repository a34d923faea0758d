use std::sync::Arc;

use crate::rail::{Manual, Rail};

/// How the attribution room runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Postgres address, `postgres://user:password@host:port/database`.
    pub database_url: String,
    /// The most database connections at once.
    pub max_connections: u32,
    /// How many transactions of facts are under way at once, most of them committing.
    pub writers: usize,
    /// How often commissions whose hold period is over are looked for, and payouts that a rail is to be asked about, in
    /// seconds.
    pub maturity_seconds: u64,
    /// Whether webhooks may lead into private networks and go without TLS. For tests and networks of one's own.
    pub private_webhooks: bool,
    /// What moves the money of payouts.
    pub rail: Arc<dyn Rail>,
}

impl Config {
    /// The usual settings on this database.
    #[must_use]
    pub fn new(database_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            max_connections: 10,
            writers: 4,
            maturity_seconds: 60,
            private_webhooks: false,
            rail: Arc::new(Manual),
        }
    }
}
