use std::time::Duration;

use secrecy::SecretString;
use url::Url;

/// The address of the Pub/Sub API for everyone but organizations whose data stay in the EU.
pub const PUBSUB_URL: &str = "https://api.pubsub.salesforce.com:7443";

/// For how long a stream of events may be silent: Salesforce sends a sign of life every 270 seconds at the latest,
/// <https://developer.salesforce.com/docs/platform/pub-sub-api/references/methods/subscribe-rpc.html>.
pub const LONGEST_SILENCE: Duration = Duration::from_secs(275);

/// How this installation is known to Salesforce, and where Salesforce is.
#[derive(Clone, Debug)]
pub struct Config {
    /// The consumer key of the external client app (or connected app).
    pub client_id: String,
    /// Its consumer secret.
    pub client_secret: SecretString,
    /// An emulator of Salesforce that takes the place of every login; none for Salesforce itself.
    pub login_url: Option<Url>,
    /// The address of the Pub/Sub API, [`PUBSUB_URL`]; `https://api.deu.pubsub.salesforce.com:7443` for data that stay in
    /// the EU. Without TLS when it begins with `http://`, which only an emulator may.
    pub pubsub_url: Url,
    /// A certificate in PEM of an authority that the Pub/Sub API's certificate may be signed by, beside the ones that the
    /// machine trusts.
    pub pubsub_authority: Option<String>,
    /// A stream of events that is silent for longer than this is dead and opened anew, [`LONGEST_SILENCE`].
    pub longest_silence: Duration,
    /// Histories of more records than this are read by a bulk query, [`crate::BULK_FROM`].
    pub bulk_from: u64,
}
