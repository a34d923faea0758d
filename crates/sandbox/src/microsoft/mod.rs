//! A stateful simulator of Microsoft 365: the identity platform, and the mail of Microsoft Graph with delta queries,
//! subscriptions, batches, throttling and errors, with faults on dial and a clock that can be moved.

mod auth;
mod batch;
mod call;
mod consent;
mod control;
mod delta;
mod dials;
mod errors;
mod faults;
mod filter;
mod handle;
mod ids;
mod journal;
mod limits;
mod living;
mod mail;
mod mailbox;
mod message;
mod notify;
mod oauth;
mod pages;
mod reports;
mod routes;
mod seed;
mod sending;
mod server;
mod sim;
mod subscriptions;
mod wire;

use std::path::PathBuf;

use crate::{clock, names};

pub use crate::serving::ControlError;
pub use faults::{Fault, FaultKind, FaultMatch};
pub use handle::{Handle, start};

/// The id of the simulated tenant.
pub const TENANT_ID: &str = "7c0a4f5e-2f6b-4d0c-9a41-5b1f2c8e7d30";
/// The domain of its users.
pub const DOMAIN: &str = "harborline.example";

/// How the simulator starts. Most of it can be changed later through the control API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The client id of the one registered app.
    pub client_id: String,
    /// The client secret of the one registered app.
    pub client_secret: String,
    /// Enforce the vendor's limits of calls and messages.
    pub rate_limits: bool,
    /// Seconds an access token lives; between 60 and 90 minutes without it, as the vendor does.
    pub access_token_s: Option<i64>,
    /// Seconds that a refresh token works after a newer one was given; without it as long as it is used.
    pub refresh_grace_s: Option<i64>,
    /// Minutes that links of delta queries live; without it for as long as nobody ends them.
    pub delta_token_minutes: Option<i64>,
    /// Milliseconds that every call of Graph takes.
    pub latency_ms: u64,
    /// Milliseconds until a subscriber is told of a change.
    pub notification_delay_ms: i64,
    /// The seed of everything that looks random in the data.
    pub seed: u64,
    /// Where the tenant is kept between runs; without it everything lives in memory only.
    pub state_file: Option<PathBuf>,
    /// How many mails a minute come to the first mailbox on their own; 0 for none.
    pub living_edits_per_minute: u32,
    /// Issue long-lived access tokens with every scope for outside tools, one a user.
    pub dev_access_token: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            client_id: "3d1f7a52-64c8-4b0e-8f1d-acc02d5a9db0".to_owned(),
            client_secret: "accord-sandbox-secret".to_owned(),
            rate_limits: true,
            access_token_s: None,
            refresh_grace_s: None,
            delta_token_minutes: None,
            latency_ms: 0,
            notification_delay_ms: 0,
            seed: 1,
            state_file: None,
            living_edits_per_minute: 0,
            dev_access_token: true,
        }
    }
}

/// Method and path of every route, for the coverage table.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    routes::ROUTES.iter().map(|route| (route.method.as_str(), route.path))
}
