//! Change notifications: subscriptions to the folders of the feeds, and what Microsoft posts of them.

use std::time::Duration;

use async_trait::async_trait;
use connector::{
    Body, Error, ErrorKind, Heard, Host, Notice, Push, Pushed, Pusher, Refusal, Request, Session, Watch,
    WatchWish,
};
use http::Method;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use crate::{
    client::{GRAPH, VERSION},
    connector::M365,
};

const SUBSCRIBE: &str = "subscribe to mail";
const RENEW: &str = "renew a subscription to mail";
const UNSUBSCRIBE: &str = "end a subscription to mail";
/// Subscriptions to Outlook's items live for at most 10,080 minutes,
/// <https://learn.microsoft.com/en-us/graph/api/resources/subscription>; the rest is for clocks that differ.
const LIFE: Duration = Duration::from_secs(10_000 * 60);
/// Read marks and categories are no news; what else is edited is found by the next reading.
const WHAT: &str = "created,deleted";
/// The query's parameter in which Microsoft asks whether an address is ours, and its longest text.
const VALIDATION: &str = "validationToken";
const LONGEST_VALIDATION: usize = 4_096;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Wish<'a> {
    change_type: &'a str,
    notification_url: &'a str,
    lifecycle_notification_url: &'a str,
    resource: &'a str,
    expiration_date_time: Timestamp,
    client_state: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Renewal {
    expiration_date_time: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subscription {
    id: String,
    expiration_date_time: Timestamp,
}

/// What Microsoft posts. Everything else in it is not looked at.
#[derive(Deserialize)]
struct Posted {
    value: Vec<Item>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    subscription_id: String,
    #[serde(default)]
    client_state: Option<String>,
    #[serde(default)]
    lifecycle_event: Option<String>,
}

#[async_trait]
impl Pusher for M365 {
    fn feeds(&self) -> &'static [&'static str] {
        &["inbox", "sent"]
    }

    async fn watch(&self, session: &Session, wish: &WatchWish<'_>) -> Result<Watch, Error> {
        let resource = match wish.feed {
            "inbox" => "me/mailFolders('inbox')/messages",
            "sent" => "me/mailFolders('sentitems')/messages",
            _ => return Err(Error::new(ErrorKind::Protocol, SUBSCRIBE, "there is no such feed of mail")),
        };
        let body = json(&Wish {
            change_type: WHAT,
            notification_url: wish.address.as_str(),
            lifecycle_notification_url: wish.address.as_str(),
            resource,
            expiration_date_time: end(wish.now),
            client_state: wish.secret.expose_secret(),
        })?;
        let request = request(Method::POST, "subscriptions", body, false);
        subscription(session, SUBSCRIBE, request).await.map_err(|error| match error.kind {
            ErrorKind::Validation => {
                let message = "Microsoft did not get the answer that it wants from Accord's public address: the address must be \
                               reached from the internet, with a certificate that is trusted there";
                Error { message: message.to_owned(), ..error }
            }
            _ => error,
        })
    }

    /// Renewing authorizes the subscription anew as well.
    async fn renew(&self, session: &Session, watch: &Watch, now: Timestamp) -> Result<Option<Watch>, Error> {
        let body = json(&Renewal { expiration_date_time: end(now) })?;
        let request = request(Method::PATCH, &path(&watch.id), body, true);
        subscription(session, RENEW, request).await.map(Some)
    }

    async fn unwatch(&self, session: &Session, watch: &Watch) -> Result<(), Error> {
        let request = request(Method::DELETE, &path(&watch.id), Body::Empty, true);
        match session.send(request).await {
            Err(error) if error.kind != ErrorKind::NotFound => Err(Error { operation: UNSUBSCRIBE, ..error }),
            _ => Ok(()),
        }
    }

    fn receive(&self, push: &Push<'_>) -> Result<Pushed, Refusal> {
        let mut query = form_urlencoded::parse(push.query.as_bytes());
        if let Some((_, token)) = query.find(|(name, _)| name == VALIDATION) {
            let fits = !token.is_empty() && token.len() <= LONGEST_VALIDATION;
            return if fits { Ok(Pushed::Handshake(token.into_owned())) } else { Err(Refusal::UNREADABLE) };
        }
        let posted: Posted = serde_json::from_slice(push.body).map_err(|_| Refusal::UNREADABLE)?;
        Ok(Pushed::Told(posted.value.into_iter().map(notice).collect()))
    }
}

fn notice(item: Item) -> Notice {
    let heard = match item.lifecycle_event.as_deref() {
        Some("reauthorizationRequired") => Heard::Ending,
        Some("subscriptionRemoved") => Heard::Ended,
        // `missed`, and what may come to be: reading does no harm.
        Some(_) | None => Heard::Changed,
    };
    let secret = SecretString::from(item.client_state.unwrap_or_default());
    Notice { watch: item.subscription_id, secret, heard }
}

async fn subscription(session: &Session, operation: &'static str, request: Request) -> Result<Watch, Error> {
    let answer = session.send(request).await.map_err(|error| Error { operation, ..error })?;
    let made: Subscription = serde_json::from_slice(&answer.body)
        .map_err(|source| Error::unreadable("Microsoft", operation, &source))?;
    let (id, ends_at) = (made.id, made.expiration_date_time);
    // Microsoft subscribes nothing before the address has answered.
    Ok(Watch { id, resource: String::new(), ends_at, is_proven: true })
}

fn request(method: Method, path: &str, body: Body, idempotent: bool) -> Request {
    let path = format!("{VERSION}{path}");
    Request { host: Host::Api, class: GRAPH, method, path, headers: Vec::new(), body, idempotent }
}

fn path(id: &str) -> String {
    let id: String = form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("subscriptions/{id}")
}

fn end(now: Timestamp) -> Timestamp {
    now.checked_add(LIFE).unwrap_or(now)
}

fn json(body: &impl Serialize) -> Result<Body, Error> {
    let text = serde_json::to_vec(body).map_err(|source| {
        Error::new(ErrorKind::Protocol, SUBSCRIBE, "the request cannot be written").with_source(source)
    })?;
    Ok(Body::Json(text.into()))
}
