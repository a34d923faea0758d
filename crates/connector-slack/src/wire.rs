//! Slack's JSON, spelled as Slack spells it.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What every answer begins with: Slack says no under HTTP 200.
#[derive(Debug, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) ok: bool,
    #[serde(default)]
    pub(crate) error: String,
    /// The scope that a token lacks.
    #[serde(default)]
    pub(crate) needed: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) access_token: SecretString,
    #[serde(default)]
    pub(crate) refresh_token: Option<SecretString>,
    #[serde(default)]
    pub(crate) expires_in: Option<u64>,
    #[serde(default)]
    pub(crate) is_enterprise_install: bool,
}

/// `auth.test`
#[derive(Debug, Deserialize)]
pub(crate) struct Identity {
    pub(crate) team: String,
    pub(crate) team_id: String,
}

/// `conversations.list`
#[derive(Debug, Deserialize)]
pub(crate) struct Channels {
    pub(crate) channels: Vec<Channel>,
    #[serde(default)]
    pub(crate) response_metadata: Next,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Channel {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) is_private: bool,
    #[serde(default)]
    pub(crate) is_archived: bool,
    #[serde(default)]
    pub(crate) is_member: bool,
}

/// Where a listing goes on; at its end the cursor is empty or absent.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Next {
    #[serde(default)]
    pub(crate) next_cursor: String,
}

/// `chat.postMessage` and `chat.update`
#[derive(Debug, Deserialize)]
pub(crate) struct Posted {
    pub(crate) ts: String,
}

/// `conversations.history`
#[derive(Debug, Deserialize)]
pub(crate) struct History {
    pub(crate) messages: Vec<Message>,
    #[serde(default)]
    pub(crate) response_metadata: Next,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message {
    pub(crate) ts: String,
    #[serde(default)]
    pub(crate) metadata: Option<Metadata>,
}

/// What a message carries that nobody sees.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Metadata {
    #[serde(default)]
    pub(crate) event_type: String,
    #[serde(default)]
    pub(crate) event_payload: BTreeMap<String, Value>,
}

/// `users.info`
#[derive(Debug, Deserialize)]
pub(crate) struct UserAnswer {
    pub(crate) user: User,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) real_name: String,
    #[serde(default)]
    pub(crate) profile: Profile,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Profile {
    #[serde(default)]
    pub(crate) email: Option<String>,
}

/// What arrives at the interactivity address.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Payload {
    BlockActions(Clicked),
    ViewSubmission(Submitted),
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Clicked {
    pub(crate) trigger_id: String,
    pub(crate) user: Actor,
    /// None of installations in a whole Enterprise Grid, which are refused.
    pub(crate) team: Option<Team>,
    #[serde(default)]
    pub(crate) container: Container,
    #[serde(default)]
    pub(crate) actions: Vec<Action>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Actor {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) name: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Team {
    pub(crate) id: String,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Container {
    #[serde(default)]
    pub(crate) channel_id: String,
    #[serde(default)]
    pub(crate) message_ts: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Action {
    #[serde(default)]
    pub(crate) action_id: String,
    #[serde(default)]
    pub(crate) block_id: String,
    #[serde(default)]
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) text: Text,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Text {
    #[serde(default)]
    pub(crate) text: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Submitted {
    pub(crate) trigger_id: String,
    pub(crate) user: Actor,
    pub(crate) team: Option<Team>,
    pub(crate) view: View,
}

#[derive(Debug, Deserialize)]
pub(crate) struct View {
    #[serde(default)]
    pub(crate) callback_id: String,
    #[serde(default)]
    pub(crate) private_metadata: String,
    #[serde(default)]
    pub(crate) state: State,
}

/// What was entered, by block and action.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct State {
    #[serde(default)]
    pub(crate) values: BTreeMap<String, BTreeMap<String, Entered>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Entered {
    #[serde(default)]
    pub(crate) value: Option<String>,
}

/// What arrives at the events address.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Envelope {
    UrlVerification {
        challenge: String,
    },
    EventCallback {
        event_id: String,
        team_id: String,
        event_time: i64,
        event: Event,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Event {
    AppUninstalled,
    TokensRevoked {
        #[serde(default)]
        tokens: RevokedTokens,
    },
    #[serde(other)]
    Other,
}

/// Whose tokens were revoked, by kind.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct RevokedTokens {
    #[serde(default)]
    pub(crate) bot: Vec<String>,
}
