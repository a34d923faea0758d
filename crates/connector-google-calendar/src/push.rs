//! Push channels: Google says at an address of ours that the calendar changed, and nothing of what.

use async_trait::async_trait;
use connector::{
    Body, Error, ErrorKind, Heard, Host, Notice, Push, Pushed, Pusher, Refusal, Request, Response, Session,
    Watch, WatchWish,
};
use http::Method;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{calendar, client::CALENDAR, connector::GoogleCalendar};

const WATCH: &str = "watch the calendar";
const STOP: &str = "stop watching the calendar";
const CHANNEL: &str = "x-goog-channel-id";
const TOKEN: &str = "x-goog-channel-token";
const STATE: &str = "x-goog-resource-state";
/// The state of the message with which a channel begins.
const SYNC: &str = "sync";

/// Without an `expiration`, a channel lives as long as Google likes.
#[derive(Serialize)]
struct Wish<'a> {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    address: &'a str,
    token: &'a str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Channel {
    id: String,
    resource_id: String,
    /// Milliseconds, as a text.
    expiration: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Stop<'a> {
    id: &'a str,
    resource_id: &'a str,
}

#[async_trait]
impl Pusher for GoogleCalendar {
    /// Meet tells of transcripts through Pub/Sub only.
    fn feeds(&self) -> &'static [&'static str] {
        &[calendar::FEED.name]
    }

    async fn watch(&self, session: &Session, wish: &WatchWish<'_>) -> Result<Watch, Error> {
        let (address, token) = (wish.address.as_str(), wish.secret.expose_secret());
        let body = Wish { id: wish.id.to_string(), kind: "web_hook", address, token };
        let answer = post(session, WATCH, "/calendar/v3/calendars/primary/events/watch", &body, false).await;
        let answer = answer.map_err(unreached)?;
        let channel: Channel = serde_json::from_slice(&answer.body)
            .map_err(|source| Error::unreadable("Google", WATCH, &source))?;
        let ends_at = channel.expiration.parse().ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let ends_at = ends_at.ok_or_else(|| {
            Error::new(ErrorKind::Protocol, WATCH, "Google does not say when the channel ends")
        })?;
        // Google asks nobody whether the address is reached: its first message shows it.
        Ok(Watch { id: channel.id, resource: channel.resource_id, ends_at, is_proven: false })
    }

    /// No call prolongs a channel.
    async fn renew(
        &self,
        _session: &Session,
        _watch: &Watch,
        _now: Timestamp,
    ) -> Result<Option<Watch>, Error> {
        Ok(None)
    }

    async fn unwatch(&self, session: &Session, watch: &Watch) -> Result<(), Error> {
        let body = Stop { id: &watch.id, resource_id: &watch.resource };
        match post(session, STOP, "/calendar/v3/channels/stop", &body, true).await {
            // Of what is gone Google says 404 or 410.
            Err(error) if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::PositionLost) => Err(error),
            _ => Ok(()),
        }
    }

    fn receive(&self, push: &Push<'_>) -> Result<Pushed, Refusal> {
        let text = |name| push.headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(watch), Some(state)) = (text(CHANNEL), text(STATE)) else {
            return Err(Refusal::UNREADABLE);
        };
        let secret = SecretString::from(text(TOKEN).unwrap_or_default());
        let heard = if state == SYNC { Heard::Begun } else { Heard::Changed };
        Ok(Pushed::Told(vec![Notice { watch: watch.to_owned(), secret, heard }]))
    }
}

/// Why Google does not tell anything there, in words for people.
fn unreached(error: Error) -> Error {
    let is_of_address =
        error.code.as_deref().is_some_and(|code| code.to_ascii_lowercase().contains("webhookurl"));
    if !is_of_address {
        return error;
    }
    let message = "Google does not take Accord's public address: it must be one with https and a certificate that is trusted \
                   everywhere";
    Error { kind: ErrorKind::Validation, message: message.to_owned(), ..error }
}

async fn post(
    session: &Session,
    operation: &'static str,
    path: &str,
    body: &impl Serialize,
    idempotent: bool,
) -> Result<Response, Error> {
    let body = serde_json::to_vec(body).map_err(|source| {
        Error::new(ErrorKind::Protocol, operation, "the request cannot be written").with_source(source)
    })?;
    let request = Request {
        host: Host::Api,
        class: CALENDAR,
        method: Method::POST,
        path: path.to_owned(),
        headers: Vec::new(),
        body: Body::Json(body.into()),
        idempotent,
    };
    session.send(request).await.map_err(|error| Error { operation, ..error })
}
