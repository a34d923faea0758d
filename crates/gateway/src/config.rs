use secrecy::SecretString;
use url::Url;

use crate::attribution::Budget;

/// Everything that the gateway must be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where identity answers gRPC, `http://host:port`.
    pub identity_url: String,
    /// Where the sync-engine answers gRPC.
    pub sync_url: String,
    /// Where the audit room answers gRPC.
    pub audit_url: String,
    /// Where the attribution room answers gRPC.
    pub attribution_url: String,
    /// Where the crm room answers gRPC.
    pub crm_url: String,
    /// Where the connector runtime answers gRPC.
    pub connections_url: String,
    /// The address that browsers and programs know this gateway by. With `https`, cookies are `Secure`.
    pub public_api_url: Url,
    /// The address that browsers know the console by.
    pub public_console_url: Url,
    /// The domain of the cookie that keeps a click, when it is to be read on others than that of this gateway.
    pub cookie_domain: Option<String>,
    /// How much a key may ask of the attribution API.
    pub key_budget: Budget,
    /// How often an address may identify.
    pub identify_budget: Budget,
    /// A proxy of ours stands before this gateway and ends `X-Forwarded-For` with the address of the client.
    pub trusted_proxy: bool,
    /// The key of the digests that visitors' addresses are kept as; without it they are kept as nothing.
    pub visitor_secret: SecretString,
}

impl Config {
    /// An address below the console.
    pub(crate) fn console(&self, path: &str) -> Url {
        let mut url = self.public_console_url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}{path}"));
        url
    }
}
