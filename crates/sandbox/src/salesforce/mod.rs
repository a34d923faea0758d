//! A stateful simulator of Salesforce: OAuth, REST, SOQL, Bulk API 2.0 queries, describes, limits and
//! errors, with faults on dial and a clock that can be moved.

mod auth;
mod bulk;
mod call;
mod collections;
mod composite;
mod consent;
mod control;
mod derive;
mod describe;
mod dml;
mod errors;
mod faults;
mod handle;
mod id;
mod journal;
mod limits;
mod living;
mod oauth;
mod object;
mod org;
mod pubsub;
mod query;
mod record;
mod replication;
mod routes;
mod rows;
mod schema;
mod seed;
mod server;
mod sim;
mod soql;
mod state;
mod time;
mod tooling;
mod values;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use crate::serving::ControlError;
pub use faults::{Fault, FaultKind, FaultMatch};
pub use handle::{Handle, start};
pub use pubsub::{EventService, Rpc, StreamFault, StreamFaultKind, StreamSettings, wire};

/// The edition of the simulated org.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edition {
    /// No change events, and no API unless it was bought: [`Settings::api_enabled`].
    Professional,
    /// Everything.
    Enterprise,
    /// Everything.
    Unlimited,
    /// Everything, with a small allocation.
    Developer,
}

impl Edition {
    fn words(self) -> &'static str {
        match self {
            Edition::Professional => "Professional Edition",
            Edition::Enterprise => "Enterprise Edition",
            Edition::Unlimited => "Unlimited Edition",
            Edition::Developer => "Developer Edition",
        }
    }
}

/// What kind of org users log in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// `login.salesforce.com`
    Production,
    /// `test.salesforce.com`
    Sandbox,
}

/// How the simulator starts. Most of it can be changed later through the control API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which org: its 18-character id is made from this number.
    pub org_number: u64,
    /// The consumer key of the one connected app.
    pub client_id: String,
    /// The consumer secret of the one connected app.
    pub client_secret: String,
    /// Addresses the app may be sent back to; any web address when empty.
    pub redirect_uris: Vec<String>,
    /// Production or sandbox.
    pub environment: Environment,
    /// The edition.
    pub edition: Edition,
    /// Whether the API can be used. Off on Professional means that the edition does not have it, elsewhere
    /// that the user lacks the permission.
    pub api_enabled: bool,
    /// Whether the user may create custom fields ("Customize Application").
    pub customize_application: bool,
    /// Whether a field made by a client is hidden until the client adds `FieldPermissions` for it, as in most orgs.
    pub hide_new_fields: bool,
    /// The address that token answers name as `instance_url`; the simulator's own origin without it. Below that origin,
    /// the instance is served there as well.
    pub instance_url: Option<String>,
    /// Give a new refresh token with every refresh. Using the old one again ends the grant.
    pub rotate_refresh_token: bool,
    /// Refuse authorization requests without a code challenge.
    pub require_pkce: bool,
    /// Minutes an access token lives without being used.
    pub session_minutes: u32,
    /// API calls that a day allows.
    pub daily_requests: u64,
    /// Scopes that the app may not ask for.
    pub withheld_scopes: Vec<String>,
    /// Milliseconds a Bulk API job takes until it is complete.
    pub bulk_delay_ms: u64,
    /// The seed of everything that looks random in the data.
    pub seed: u64,
    /// Where the org is kept between runs; without it everything lives in memory only.
    pub state_file: Option<PathBuf>,
    /// How many records a minute the org's users edit on their own; 0 for none.
    pub living_edits_per_minute: u32,
    /// Issue a long-lived access token with every scope for outside tools.
    pub dev_access_token: bool,
    /// How change events are delivered, once they are served: [`Handle::serve_events`].
    pub stream: StreamSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            org_number: 48_120_771,
            client_id: "3MVG9accord.sandbox.client".to_owned(),
            client_secret: "accord-sandbox-secret".to_owned(),
            redirect_uris: Vec::new(),
            environment: Environment::Production,
            edition: Edition::Enterprise,
            api_enabled: true,
            customize_application: true,
            hide_new_fields: false,
            instance_url: None,
            rotate_refresh_token: true,
            require_pkce: true,
            session_minutes: 120,
            daily_requests: 100_000,
            withheld_scopes: Vec::new(),
            bulk_delay_ms: 0,
            seed: 1,
            state_file: None,
            living_edits_per_minute: 0,
            dev_access_token: true,
            stream: StreamSettings::default(),
        }
    }
}

/// Method and path of every route, for the coverage table.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    routes::ROUTES.iter().map(|route| (route.method.as_str(), route.path))
}
