use std::time::Duration;

use secrecy::SecretString;
use url::Url;

/// Everything that the console must be told.
#[derive(Debug, Clone)]
pub struct Config {
    /// The address that browsers know it by. With `https`, cookies are `Secure` and browsers are told to stay on it.
    pub public_url: Url,
    /// The address that browsers and programs know the public API by.
    pub gateway_url: Url,
    /// Where the identity service answers gRPC, `http://host:port`.
    pub identity_url: String,
    /// Where the connector runtime answers gRPC.
    pub connections_url: String,
    /// Where the sync-engine answers gRPC.
    pub sync_url: String,
    /// Where the audit service answers gRPC.
    pub audit_url: String,
    /// Where the attribution service answers gRPC.
    pub attribution_url: String,
    /// Where the crm room answers gRPC.
    pub crm_url: String,
    /// Whether a proxy of ours stands before the console and puts the address of each client at the end of
    /// `X-Forwarded-For`. Attempts to sign in are then limited per client too; otherwise only per e-mail address.
    pub trusted_proxy: bool,
    /// The key of the tokens in forms, 16 bytes or more. Replicas share it, and it outlives a restart, so that a
    /// form opened before can still be sent after.
    pub csrf_secret: SecretString,
    /// How long a room may take to answer; a page may take half as long again. What walks all that there is may take
    /// ten minutes more.
    pub answered_within: Duration,
}

impl Config {
    /// Long enough for the slowest answer: a vendor's schema that is read anew.
    pub const ANSWERED_WITHIN: Duration = Duration::from_secs(20);
}
