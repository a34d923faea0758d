//! A stateful simulator of HubSpot's API: OAuth, CRM records, search, properties, associations,
//! rate limits and errors, with faults on dial and a clock that can be moved.

mod account;
mod associations;
mod auth;
mod batch;
mod call;
mod consent;
mod control;
mod definition;
mod errors;
mod faults;
mod filter;
mod handle;
mod index;
mod journal;
mod limits;
mod living;
mod oauth;
mod object;
mod objects;
mod pipelines;
mod portal;
mod properties;
mod record;
mod routes;
mod search;
mod seed;
mod server;
mod sim;
mod values;
mod wire;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{clock, names};

pub use crate::faults::FaultMatch;
pub use crate::serving::ControlError;
pub use faults::{Fault, FaultKind};
pub use handle::{Handle, start};

/// The subscription of the simulated portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// No subscription. No custom objects.
    Free,
    /// No custom objects.
    Starter,
    /// No custom objects.
    Professional,
    /// Everything, custom objects too.
    Enterprise,
}

/// How the simulator starts. Most of it can be changed later through the control API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The portal (account) that users connect; a second, empty one has the next higher id.
    pub portal_id: u64,
    /// The client id of the one public app.
    pub client_id: String,
    /// The client secret of the one public app.
    pub client_secret: String,
    /// The subscription.
    pub tier: Tier,
    /// Give a new refresh token with every refresh.
    pub rotate_refresh_token: bool,
    /// Reject a refresh token once a newer one was given.
    pub reject_rotated: bool,
    /// Enforce the vendor's rate limits.
    pub rate_limits: bool,
    /// Milliseconds until search shows a write; each write takes between half and all of it.
    pub index_delay_ms: u64,
    /// The seed of everything that looks random in the data.
    pub seed: u64,
    /// Where the portal is kept between runs; without it everything lives in memory only.
    pub state_file: Option<PathBuf>,
    /// How many records a minute portal users edit on their own; 0 for none.
    pub living_edits_per_minute: u32,
    /// Issue a long-lived access token with every scope for outside tools.
    pub dev_access_token: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            portal_id: 48_120_771,
            client_id: "accord-sandbox-client".to_owned(),
            client_secret: "accord-sandbox-secret".to_owned(),
            tier: Tier::Professional,
            rotate_refresh_token: true,
            reject_rotated: true,
            rate_limits: true,
            index_delay_ms: 0,
            seed: 1,
            state_file: None,
            living_edits_per_minute: 0,
            dev_access_token: true,
        }
    }
}

/// Method, classic path and date-based path of every route, for the coverage table.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str, Option<&'static str>)> {
    routes::ROUTES.iter().map(|route| (route.method.as_str(), route.path, route.dated))
}
