use std::time::Duration;

/// How identity runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Postgres address, `postgres://user:password@host:port/database`.
    pub database_url: String,
    /// The most database connections at once.
    pub max_connections: u32,
    /// How long a session lives without being used.
    pub session_idle: Duration,
    /// How long a session lives however much it is used.
    pub session_longest: Duration,
    /// How long the one-time link of an invitation can be used.
    pub link_lifetime: Duration,
}

impl Config {
    /// The usual settings on this database: sessions of twelve hours that slide up to thirty days, links of fifteen
    /// minutes.
    #[must_use]
    pub fn new(database_url: impl Into<String>) -> Self {
        const HOUR: Duration = Duration::from_secs(3600);
        Self {
            database_url: database_url.into(),
            max_connections: 8,
            session_idle: 12 * HOUR,
            session_longest: 30 * 24 * HOUR,
            link_lifetime: Duration::from_secs(15 * 60),
        }
    }
}
