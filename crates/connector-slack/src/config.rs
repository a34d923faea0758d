use secrecy::SecretString;
use url::Url;

/// How this installation is known to Slack, and where Slack is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The client id of the Slack app.
    pub client_id: String,
    /// The client secret of the Slack app.
    pub client_secret: SecretString,
    /// What Slack signs its requests to us with; without it none is believed.
    pub signing_secret: SecretString,
    /// The address of the consent page and, below `/api`, of the API: `https://slack.com`.
    pub base_url: Url,
}
