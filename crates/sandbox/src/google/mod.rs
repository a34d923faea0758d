//! A stateful simulator of Google: OAuth, Calendar v3 with sync tokens and push channels, Meet v2 with transcripts,
//! quotas and errors, with faults on dial and a clock that can be moved.

mod auth;
mod calendar;
mod calendars;
mod call;
mod conference;
mod consent;
mod control;
mod errors;
mod event;
mod events;
mod faults;
mod filter;
mod handle;
mod journal;
mod limits;
mod list;
mod meet;
mod oauth;
mod push;
mod recurrence;
mod render;
mod routes;
mod seed;
mod server;
mod sim;
mod staging;
mod token;
mod when;

use std::path::PathBuf;

pub use crate::faults::FaultMatch;
pub use crate::serving::ControlError;
pub use faults::{Fault, FaultKind};
pub use handle::{Handle, start};

/// How the simulator starts. Most of it can be changed later through the control API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The client id of the one OAuth client.
    pub client_id: String,
    /// The client secret of the one OAuth client.
    pub client_secret: String,
    /// Addresses the client may be sent back to; any web address when empty.
    pub redirect_uris: Vec<String>,
    /// The app's publishing status is *Testing*: refresh tokens end after seven days.
    pub testing: bool,
    /// The time zone of the calendars.
    pub time_zone: String,
    /// Enforce quotas.
    pub rate_limits: bool,
    /// Calls that a user may make in a minute, of Calendar and of Meet each.
    pub calls_per_minute: usize,
    /// How Calendar refuses a call over its quota: 403 or 429.
    pub quota_status: u16,
    /// Days until a sync token is too old.
    pub sync_token_days: i64,
    /// Milliseconds between the end of a meeting and its transcript.
    pub transcript_delay_ms: i64,
    /// Refuse push addresses that are not HTTPS, as the vendor does. The simulator itself delivers to `http://` only.
    pub push_https_only: bool,
    /// Lose every push message.
    pub lose_pushes: bool,
    /// The seed of everything that looks random in the data.
    pub seed: u64,
    /// Where the accounts are kept between runs; without it everything lives in memory only.
    pub state_file: Option<PathBuf>,
    /// Issue a long-lived access token with every scope for outside tools.
    pub dev_access_token: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            client_id: "accord-sandbox.apps.googleusercontent.com".to_owned(),
            client_secret: "accord-sandbox-secret".to_owned(),
            redirect_uris: Vec::new(),
            testing: false,
            time_zone: "Europe/Zurich".to_owned(),
            rate_limits: true,
            calls_per_minute: 600,
            quota_status: 403,
            sync_token_days: 28,
            transcript_delay_ms: 600_000,
            push_https_only: false,
            lose_pushes: false,
            seed: 1,
            state_file: None,
            dev_access_token: true,
        }
    }
}

/// Method and path of every route, for the coverage table.
pub fn routes() -> impl Iterator<Item = (&'static str, &'static str)> {
    routes::ROUTES.iter().map(|route| (route.method.as_str(), route.path))
}
