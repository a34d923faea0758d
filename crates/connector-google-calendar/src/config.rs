use secrecy::SecretString;
use url::{ParseError, Url};

/// How this installation is known to Google, and where Google is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The client id of the OAuth client.
    pub client_id: String,
    /// The client secret of the OAuth client.
    pub client_secret: SecretString,
    /// Where people consent.
    pub accounts_url: Url,
    /// Where tokens are given.
    pub token_url: Url,
    /// The API of calendars, and of who somebody is.
    pub api_url: Url,
    /// The API of Meet.
    pub meet_url: Url,
}

impl Config {
    /// Google itself.
    ///
    /// # Errors
    /// Never: the addresses are written here.
    pub fn try_google(client_id: String, client_secret: SecretString) -> Result<Self, ParseError> {
        Ok(Self {
            client_id,
            client_secret,
            accounts_url: Url::parse("https://accounts.google.com")?,
            token_url: Url::parse("https://oauth2.googleapis.com")?,
            api_url: Url::parse("https://www.googleapis.com")?,
            meet_url: Url::parse("https://meet.googleapis.com")?,
        })
    }

    /// A server that takes the place of all of Google's.
    #[must_use]
    pub fn at(url: &Url, client_id: String, client_secret: SecretString) -> Self {
        let [accounts_url, token_url, api_url, meet_url] = std::array::from_fn(|_| url.clone());
        Self { client_id, client_secret, accounts_url, token_url, api_url, meet_url }
    }
}
