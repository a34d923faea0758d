//! One method per endpoint of Slack. It knows paths, rate classes and wire types, and no domain word.

use bytes::Bytes;
use connector::{Body, Error, ErrorKind, Host, Request, Session};
use http::Method;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::wire;

/// Rate classes, <https://docs.slack.dev/apis/web-api/rate-limits>: tiers 2 to 4, and messages.
pub(crate) const LISTS: &str = "lists";
pub(crate) const HISTORY: &str = "history";
pub(crate) const UPDATES: &str = "updates";
pub(crate) const CALLS: &str = "calls";
pub(crate) const MESSAGES: &str = "messages";

/// Rows of a page of channels: "no more than 200 results at a time" is recommended,
/// <https://docs.slack.dev/reference/methods/conversations.list>.
const CHANNELS_A_PAGE: &str = "200";
/// Rows of a page of messages; Slack gives 15 to some apps, whatever is asked for,
/// <https://docs.slack.dev/reference/methods/conversations.history>.
const MESSAGES_A_PAGE: &str = "100";

/// The calls of one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'a>(pub(crate) &'a Session);

impl Client<'_> {
    /// Who the token is of, and its scopes.
    pub(crate) async fn test(&self) -> Result<(wire::Identity, Vec<String>), Error> {
        const OPERATION: &str = "read the Slack workspace";
        let request = get("auth.test", CALLS, &[]);
        let answer = self.0.send(request).await.map_err(|error| Error { operation: OPERATION, ..error })?;
        let scopes = answer.headers.get("x-oauth-scopes").and_then(|value| value.to_str().ok());
        let scopes = scopes.unwrap_or_default().split(',').map(str::trim).filter(|scope| !scope.is_empty());
        let scopes = scopes.map(str::to_owned).collect();
        Ok((read(OPERATION, &answer.body)?, scopes))
    }

    pub(crate) async fn channels(&self, cursor: &str) -> Result<wire::Channels, Error> {
        let query = [
            ("types", "public_channel,private_channel"),
            ("exclude_archived", "true"),
            ("limit", CHANNELS_A_PAGE),
            ("cursor", cursor),
        ];
        self.send("list Slack channels", get("conversations.list", LISTS, &query)).await
    }

    /// Messages that are newer than this one, the newest first, with what they carry.
    pub(crate) async fn history(
        &self,
        channel: &str,
        oldest: &str,
        cursor: &str,
    ) -> Result<wire::History, Error> {
        let query = [
            ("channel", channel),
            ("oldest", oldest),
            ("include_all_metadata", "true"),
            ("limit", MESSAGES_A_PAGE),
            ("cursor", cursor),
        ];
        self.send("read a Slack channel", get("conversations.history", HISTORY, &query)).await
    }

    pub(crate) async fn user(&self, id: &str) -> Result<wire::UserAnswer, Error> {
        self.send("read a Slack user", get("users.info", CALLS, &[("user", id)])).await
    }

    /// Slack tells a repeated call from a new one in no way: this is made once.
    pub(crate) async fn post_message(&self, message: &Value) -> Result<wire::Posted, Error> {
        self.send("post a Slack message", post("chat.postMessage", MESSAGES, message, false)).await
    }

    pub(crate) async fn update(&self, message: &Value) -> Result<wire::Posted, Error> {
        self.send("update a Slack message", post("chat.update", UPDATES, message, true)).await
    }

    pub(crate) async fn post_ephemeral(&self, message: &Value) -> Result<(), Error> {
        let _verdict: wire::Verdict =
            self.send("answer in Slack", post("chat.postEphemeral", CALLS, message, false)).await?;
        Ok(())
    }

    pub(crate) async fn open_view(&self, view: &Value) -> Result<(), Error> {
        let _verdict: wire::Verdict =
            self.send("open a Slack dialog", post("views.open", CALLS, view, false)).await?;
        Ok(())
    }

    async fn send<T: DeserializeOwned>(&self, operation: &'static str, request: Request) -> Result<T, Error> {
        let answer = self.0.send(request).await.map_err(|error| Error { operation, ..error })?;
        read(operation, &answer.body)
    }
}

fn read<T: DeserializeOwned>(operation: &'static str, body: &Bytes) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|source| Error::unreadable("Slack", operation, &source))
}

/// A method that reads takes no JSON. Parameters without a value are not sent.
fn get(name: &str, class: &'static str, query: &[(&str, &str)]) -> Request {
    let given: Vec<_> = query.iter().filter(|(_, value)| !value.is_empty()).collect();
    let query = serde_urlencoded::to_string(given).unwrap_or_default();
    request(Method::GET, format!("/api/{name}?{query}"), class, Body::Empty, true)
}

fn post(name: &str, class: &'static str, body: &Value, idempotent: bool) -> Request {
    let body = Body::Json(body.to_string().into());
    request(Method::POST, format!("/api/{name}"), class, body, idempotent)
}

const fn request(method: Method, path: String, class: &'static str, body: Body, idempotent: bool) -> Request {
    Request { host: Host::Api, class, method, path, headers: Vec::new(), body, idempotent }
}

/// A list that goes on where it was would never end.
pub(crate) fn next_page(
    operation: &'static str,
    cursor: &str,
    next: String,
) -> Result<Option<String>, Error> {
    match next {
        next if next.is_empty() => Ok(None),
        next if next == cursor => {
            Err(Error::new(ErrorKind::Protocol, operation, "Slack's list goes on where it was"))
        }
        next => Ok(Some(next)),
    }
}
