use url::Url;

/// Everything that the gateway must be told.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where identity answers gRPC, `http://host:port`.
    pub identity_url: String,
    /// Where the sync-engine answers gRPC.
    pub sync_url: String,
    /// Where the audit room answers gRPC.
    pub audit_url: String,
    /// Where the connector runtime answers gRPC.
    pub connections_url: String,
    /// The address that browsers and programs know this gateway by. With `https`, cookies are `Secure`.
    pub public_api_url: Url,
    /// The address that browsers know the console by.
    pub public_console_url: Url,
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
