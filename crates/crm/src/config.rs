/// How the crm room runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// The Postgres address, `postgres://user:password@host:port/database`.
    pub database_url: String,
    /// The most database connections at once.
    pub max_connections: u32,
    /// How often registrations whose time is over are looked for, in seconds.
    pub expiry_seconds: u64,
    /// How often mails that are due are looked for, in seconds.
    pub sending_seconds: u64,
    /// The address that browsers know the gateway by, where recipients of mails opt out.
    pub public_api_url: String,
}

impl Config {
    /// The usual settings on this database, behind this gateway.
    #[must_use]
    pub fn new(database_url: impl Into<String>, public_api_url: impl Into<String>) -> Self {
        Self {
            database_url: database_url.into(),
            max_connections: 10,
            expiry_seconds: 60,
            sending_seconds: 5,
            public_api_url: public_api_url.into(),
        }
    }
}
