use secrecy::SecretString;
use url::Url;

/// Where people sign in, of the public cloud. National clouds have other addresses.
pub const LOGIN_URL: &str = "https://login.microsoftonline.com";

/// Where Microsoft Graph is, of the public cloud. National clouds have other addresses.
pub const GRAPH_URL: &str = "https://graph.microsoft.com";

/// How this installation is known to Microsoft, and where Microsoft is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The application (client) id of the app registration.
    pub client_id: String,
    /// A client secret of it.
    pub client_secret: SecretString,
    /// The address of the identity platform, [`LOGIN_URL`], without a tenant.
    pub login_url: Url,
    /// The address of Graph, [`GRAPH_URL`], without its version.
    pub graph_url: Url,
}
