/// How the crm room runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Postgres address, `postgres://user:password@host:port/database`.
    pub database_url: String,
    /// The most database connections at once.
    pub max_connections: u32,
    /// How often registrations whose time is over are looked for, in seconds.
    pub expiry_seconds: u64,
}

impl Config {
    /// The usual settings on this database.
    #[must_use]
    pub fn new(database_url: impl Into<String>) -> Self {
        Self { database_url: database_url.into(), max_connections: 10, expiry_seconds: 60 }
    }
}
