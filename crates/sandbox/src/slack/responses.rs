//! Response URLs: for half an hour an app may answer an interaction five times, without a token.

use http::StatusCode;
use serde_json::Value;

use super::call::{Args, Call, Outcome, Reply};
use super::chat::Content;
use super::errors::Failure;
use super::sim::Sim;
use super::workspace::{APP_BOT, Message};

const USES: u32 = 5;
const LIFETIME_MS: i64 = 1_800_000;
/// How many are remembered.
const REMEMBERED: usize = 10_000;

/// Where an interaction came from.
#[derive(Debug, Clone)]
pub(crate) struct ResponseUrl {
    team_id: String,
    channel_id: String,
    user_id: String,
    /// The message with the button.
    message_ts: String,
    issued_ms: i64,
    uses: u32,
}

impl Sim {
    /// A response URL for somebody's interaction with a message.
    pub(crate) fn response_url(
        &mut self,
        team: &str,
        channel: &str,
        user: &str,
        message_ts: &str,
        now_ms: i64,
    ) -> String {
        if self.responses.len() >= REMEMBERED {
            self.responses.retain(|_, url| url.issued_ms + LIFETIME_MS > now_ms);
        }
        let (id, secret) = (super::auth::secret(12), super::auth::secret(24));
        let url = ResponseUrl {
            team_id: team.to_owned(),
            channel_id: channel.to_owned(),
            user_id: user.to_owned(),
            message_ts: message_ts.to_owned(),
            issued_ms: now_ms,
            uses: 0,
        };
        self.responses.insert(secret.clone(), url);
        format!("{}/actions/{team}/{id}/{secret}", self.url)
    }
}

/// `POST /actions/{team}/{id}/{secret}`
pub(crate) fn answer(sim: &mut Sim, call: &Call) -> Outcome {
    let gone = |error: &str| Failure::new(StatusCode::NOT_FOUND, error);
    let body = serde_json::from_slice(&call.body).ok().filter(Value::is_object);
    let args =
        Args::from_value(body.ok_or_else(|| Failure::new(StatusCode::BAD_REQUEST, "invalid_payload"))?);
    let content =
        Content::read(&args).map_err(|wrong| Failure { status: StatusCode::BAD_REQUEST, ..wrong })?;
    let url = sim.responses.get_mut(call.param("secret")).ok_or_else(|| gone("no_active_hooks"))?;
    if url.team_id != call.param("team") {
        return Err(gone("no_active_hooks"));
    }
    if url.issued_ms + LIFETIME_MS <= call.now_ms {
        return Err(gone("expired_url"));
    }
    if url.uses >= USES {
        return Err(gone("used_url"));
    }
    url.uses += 1;
    let url = url.clone();
    let workspace = sim.workspace(&url.team_id).ok_or_else(|| gone("no_team"))?;
    let (replaces, deletes) = (args.flag("replace_original"), args.flag("delete_original"));
    if replaces || deletes {
        let edited = workspace.stamp(call.now_ms);
        let channel = workspace.channel(&url.channel_id).ok_or_else(|| gone("no_channel"))?;
        let at = channel.find(&url.message_ts).ok_or_else(|| gone("message_not_found"))?;
        let message = &mut channel.messages[at];
        if deletes {
            message.deleted = true;
        } else {
            content.replace(message);
            message.edited = Some(edited);
        }
        workspace.touch(&url.channel_id, &url.message_ts);
    } else {
        let ts = workspace.stamp(call.now_ms);
        let is_private = args.text("response_type").as_deref() != Some("in_channel");
        let message = content.into_message(ts, APP_BOT.user_id, Some(APP_BOT.bot_id));
        let only_for = is_private.then_some(url.user_id);
        workspace.say(&url.channel_id, Message { only_for, thread_ts: args.text("thread_ts"), ..message });
    }
    Ok(Reply::of("text/html", "ok".into()))
}
