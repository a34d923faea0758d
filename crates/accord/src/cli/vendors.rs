//! The apps that this installation is at vendors, and where the vendors are.

use clap::{Args, ValueEnum};
use secrecy::SecretString;
use url::Url;

/// The HubSpot app that this installation is.
#[derive(Debug, Clone, Args)]
pub(crate) struct HubSpot {
    /// The client id of the HubSpot app.
    #[arg(long = "hubspot-client-id", env = "ACCORD_HUBSPOT_CLIENT_ID", default_value = "")]
    pub(crate) client_id: String,
    /// The client secret of the HubSpot app.
    #[arg(
        long = "hubspot-client-secret",
        env = "ACCORD_HUBSPOT_CLIENT_SECRET",
        default_value = "",
        hide_env_values = true
    )]
    pub(crate) client_secret: SecretString,
    /// The address of HubSpot's API.
    #[arg(
        long = "hubspot-api-url",
        env = "ACCORD_HUBSPOT_API_URL",
        default_value = "https://api.hubapi.com"
    )]
    pub(crate) api_url: Url,
    /// The address of HubSpot's consent page; HubSpot's own unless the API is a sandbox.
    #[arg(long = "hubspot-app-url", env = "ACCORD_HUBSPOT_APP_URL")]
    pub(crate) app_url: Option<Url>,
    /// How HubSpot's paths are spelled.
    #[arg(long = "hubspot-api-version", env = "ACCORD_HUBSPOT_API_VERSION", value_enum, default_value_t)]
    pub(crate) api_version: HubSpotApiVersion,
}

/// The Salesforce app that this installation is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Salesforce {
    /// The consumer key of the external client app.
    #[arg(long = "salesforce-client-id", env = "ACCORD_SALESFORCE_CLIENT_ID", default_value = "")]
    pub(crate) consumer_key: String,
    /// The consumer secret of the external client app.
    #[arg(
        long = "salesforce-client-secret",
        env = "ACCORD_SALESFORCE_CLIENT_SECRET",
        default_value = "",
        hide_env_values = true
    )]
    pub(crate) consumer_secret: SecretString,
    /// A simulator of Salesforce that takes the place of every login; without it, Salesforce itself.
    #[arg(long = "salesforce-login-url", env = "ACCORD_SALESFORCE_LOGIN_URL")]
    pub(crate) login_url: Option<Url>,
    /// The address of the Pub/Sub API; https://api.deu.pubsub.salesforce.com:7443 for data that stay in the EU.
    #[arg(
        long = "salesforce-pubsub-url",
        env = "ACCORD_SALESFORCE_PUBSUB_URL",
        default_value = connector_salesforce::PUBSUB_URL
    )]
    pub(crate) pubsub_url: Url,
    /// Seconds of silence after which a stream of change events counts as dead and is opened anew. Salesforce sends a sign
    /// of life every 270 at the latest.
    #[arg(
        long = "salesforce-silence-seconds",
        env = "ACCORD_SALESFORCE_SILENCE_SECONDS",
        default_value_t = connector_salesforce::LONGEST_SILENCE.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=3_600)
    )]
    pub(crate) silence_seconds: u64,
    /// Histories of more records than this are read by a bulk query, which takes few of the day's API calls.
    #[arg(
        long = "salesforce-bulk-from",
        env = "ACCORD_SALESFORCE_BULK_FROM",
        default_value_t = connector_salesforce::BULK_FROM
    )]
    pub(crate) bulk_from: u64,
}

/// The Slack app that this installation is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Slack {
    /// The client id of the Slack app.
    #[arg(
        id = "slack_client_id",
        long = "slack-client-id",
        env = "ACCORD_SLACK_CLIENT_ID",
        default_value = ""
    )]
    pub(crate) client_id: String,
    /// The client secret of the Slack app.
    #[arg(
        id = "slack_client_secret",
        long = "slack-client-secret",
        env = "ACCORD_SLACK_CLIENT_SECRET",
        default_value = "",
        hide_env_values = true
    )]
    pub(crate) client_secret: SecretString,
    /// The signing secret of the Slack app, by which Slack's own requests are known.
    #[arg(
        id = "slack_signing_secret",
        long = "slack-signing-secret",
        env = "ACCORD_SLACK_SIGNING_SECRET",
        default_value = "",
        hide_env_values = true
    )]
    pub(crate) signing_secret: SecretString,
    /// The address of Slack's API and consent page.
    #[arg(
        id = "slack_url",
        long = "slack-url",
        env = "ACCORD_SLACK_URL",
        default_value = "https://slack.com"
    )]
    pub(crate) url: Url,
}

/// The Microsoft app that this installation is. Its arguments have ids of their own: other vendors' apps have such fields too.
#[derive(Debug, Clone, Args)]
pub(crate) struct M365 {
    /// The application (client) id of the app registration.
    #[arg(id = "m365_client_id", long = "m365-client-id", env = "ACCORD_M365_CLIENT_ID", default_value = "")]
    pub(crate) client_id: String,
    /// A client secret of it.
    #[arg(
        id = "m365_client_secret",
        long = "m365-client-secret",
        env = "ACCORD_M365_CLIENT_SECRET",
        default_value = "",
        hide_env_values = true
    )]
    pub(crate) client_secret: SecretString,
    /// The address of Microsoft's identity platform; another one for national clouds.
    #[arg(
        id = "m365_login_url",
        long = "m365-login-url",
        env = "ACCORD_M365_LOGIN_URL",
        default_value = connector_m365::LOGIN_URL
    )]
    pub(crate) login_url: Url,
    /// The address of Microsoft Graph; another one for national clouds.
    #[arg(
        id = "m365_graph_url",
        long = "m365-graph-url",
        env = "ACCORD_M365_GRAPH_URL",
        default_value = connector_m365::GRAPH_URL
    )]
    pub(crate) graph_url: Url,
}

/// The OAuth client of Google that this installation is.
#[derive(Debug, Clone, Args)]
pub(crate) struct Google {
    /// The client id of the OAuth client.
    #[arg(long, env = "ACCORD_GOOGLE_CLIENT_ID", default_value = "")]
    pub(crate) google_client_id: String,
    /// The client secret of the OAuth client.
    #[arg(long, env = "ACCORD_GOOGLE_CLIENT_SECRET", default_value = "", hide_env_values = true)]
    pub(crate) google_client_secret: SecretString,
    /// A server that takes the place of all of Google's; without it, Google itself.
    #[arg(long, env = "ACCORD_GOOGLE_URL")]
    pub(crate) google_url: Option<Url>,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub(crate) enum HubSpotApiVersion {
    /// /crm/v3/…
    #[default]
    Classic,
    /// /crm/objects/2026-03/…
    #[value(name = "2026-03")]
    March2026,
}
