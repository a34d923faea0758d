use std::{collections::BTreeMap, time::Duration};

use url::Url;

/// What the runtime needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// The database, `postgres://user:password@host:port/database`; the schema is `connector`.
    pub database_url: String,
    /// How many connections to it.
    pub max_connections: u32,
    /// The gateway's public address, to which vendors send the browser back, `{this}/oauth/callback/{vendor}`, and where they
    /// tell what is new, `{this}/push/{vendor}/{watch}`.
    pub api_url: Url,
    /// The console's public address, to which the browser returns in the end.
    pub console_url: Url,
    /// How often an object at rest is asked for changes.
    pub poll_interval: Duration,
    /// How often an object is asked while it changes.
    pub poll_interval_min: Duration,
    /// How often the vendor's deleted records are listed.
    pub sweep_interval: Duration,
    /// How often records are looked at for changes that move no version of theirs, such as those of associations.
    pub quiet_interval: Duration,
    /// How often feeds of activities are read, by vendor, where it is not what the vendor's capabilities say.
    pub feed_intervals: BTreeMap<String, Duration>,
    /// How long after a stream was opened a listing surely has all that was changed before: longer than the moments that
    /// a listing withholds.
    pub stream_settles: Duration,
    /// How often an account without a stream is asked again whether it has one.
    pub no_stream_pause: Duration,
    /// How often it is looked whether a vendor is to be asked again to tell what is new.
    pub watch_interval: Duration,
    /// How long a partition stays with a process that says nothing.
    pub lease_ttl: Duration,
    /// How long one call to a vendor may take.
    pub call_timeout: Duration,
    /// How long a token refresh may be under way before its process counts as dead; longer than a call may take.
    pub refresh_patience: Duration,
    /// How long a write waits for the next try while its connection does not work.
    pub held_write_pause: Duration,
}

impl Config {
    /// The usual settings: a poll within 30 seconds, 5 while there are changes.
    #[must_use]
    pub fn new(database_url: impl Into<String>, api_url: Url, console_url: Url) -> Self {
        Self {
            database_url: database_url.into(),
            max_connections: 12,
            api_url,
            console_url,
            poll_interval: Duration::from_secs(30),
            poll_interval_min: Duration::from_secs(5),
            sweep_interval: Duration::from_secs(300),
            quiet_interval: Duration::from_secs(300),
            feed_intervals: BTreeMap::new(),
            stream_settles: Duration::from_secs(5),
            no_stream_pause: Duration::from_secs(3_600),
            watch_interval: Duration::from_secs(60),
            lease_ttl: Duration::from_secs(15),
            call_timeout: Duration::from_secs(30),
            refresh_patience: Duration::from_secs(45),
            held_write_pause: Duration::from_secs(10),
        }
    }
}
