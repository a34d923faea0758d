//! How the simulator starts, and what the control API changes of it.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Value, json};

/// How the simulator starts. Most of it can be changed later through the control API.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The id of the one app.
    pub app_id: String,
    /// The client id of the one app.
    pub client_id: String,
    /// The client secret of the one app.
    pub client_secret: String,
    /// What requests to the app are signed with.
    pub signing_secret: String,
    /// Where the app takes clicks and dialogs; without it they lead nowhere.
    pub interactivity_url: Option<String>,
    /// Where the app takes events; without it there are none.
    pub events_url: Option<String>,
    /// Where browsers may be sent back to; empty for any web address.
    pub redirect_urls: Vec<String>,
    /// Bot tokens end after twelve hours and come with a refresh token.
    pub token_rotation: bool,
    /// Enforce the limits of methods and channels.
    pub rate_limits: bool,
    /// How many messages a channel takes at once; one more each second.
    pub message_burst: u32,
    /// Milliseconds until an acknowledgement counts as missing.
    pub ack_limit_ms: u64,
    /// Milliseconds until a trigger has expired.
    pub trigger_ms: u64,
    /// The origin of response URLs; without it, the one that the app last called it by.
    pub public_url: Option<String>,
    /// Where the workspaces are kept between runs; without it everything lives in memory only.
    pub state_file: Option<PathBuf>,
    /// The seed of chance in faults.
    pub seed: u64,
    /// Issue a long-lived bot token with every scope for outside tools.
    pub dev_access_token: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            app_id: "A0SANDBOX1".to_owned(),
            client_id: "4812077100.2204417000".to_owned(),
            client_secret: "accord-sandbox-secret".to_owned(),
            signing_secret: "accord-sandbox-signing-secret".to_owned(),
            interactivity_url: None,
            events_url: None,
            redirect_urls: Vec::new(),
            token_rotation: false,
            rate_limits: true,
            message_burst: 1,
            ack_limit_ms: 3_000,
            trigger_ms: 3_000,
            public_url: None,
            state_file: None,
            seed: 1,
            dev_access_token: true,
        }
    }
}

/// What is named changes, the rest stays.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Turn {
    interactivity_url: Option<String>,
    events_url: Option<String>,
    redirect_urls: Option<Vec<String>>,
    token_rotation: Option<bool>,
    rate_limits: Option<bool>,
    message_burst: Option<u32>,
    ack_limit_ms: Option<u64>,
    trigger_ms: Option<u64>,
    signing_secret: Option<String>,
}

impl Settings {
    pub(crate) fn turn(&mut self, turn: Turn) {
        let address = |given: Option<String>, kept: Option<String>| match given {
            Some(url) => Some(url).filter(|url| !url.is_empty()),
            None => kept,
        };
        self.interactivity_url = address(turn.interactivity_url, self.interactivity_url.take());
        self.events_url = address(turn.events_url, self.events_url.take());
        self.redirect_urls = turn.redirect_urls.unwrap_or(std::mem::take(&mut self.redirect_urls));
        self.token_rotation = turn.token_rotation.unwrap_or(self.token_rotation);
        self.rate_limits = turn.rate_limits.unwrap_or(self.rate_limits);
        self.message_burst = turn.message_burst.unwrap_or(self.message_burst).max(1);
        self.ack_limit_ms = turn.ack_limit_ms.unwrap_or(self.ack_limit_ms);
        self.trigger_ms = turn.trigger_ms.unwrap_or(self.trigger_ms);
        self.signing_secret = turn.signing_secret.unwrap_or(std::mem::take(&mut self.signing_secret));
    }

    /// All of it but the secrets.
    pub(crate) fn wire(&self) -> Value {
        json!({
            "app_id": self.app_id, "client_id": self.client_id, "interactivity_url": self.interactivity_url,
            "events_url": self.events_url, "redirect_urls": self.redirect_urls,
            "token_rotation": self.token_rotation, "rate_limits": self.rate_limits,
            "message_burst": self.message_burst, "ack_limit_ms": self.ack_limit_ms,
            "trigger_ms": self.trigger_ms,
        })
    }
}
