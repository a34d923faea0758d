//! Push channels: what clients want to be told of, and telling them.

use std::time::Duration;

use http::StatusCode;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};

use super::call::{Call, Outcome, Reply};
use super::errors::Failure;
use super::server::Shared;
use super::sim::Sim;

const WEEK_MS: i64 = 7 * 86_400_000;
/// How often it is looked whether somebody is to be told.
const TICK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(10);
/// Pauses before a message that was not taken is sent again.
const RETRIES: [Duration; 3] = [Duration::from_millis(250), Duration::from_secs(1), Duration::from_secs(4)];
/// The most that is read of an answer: its status line is enough.
const ANSWER_MOST: u64 = 1_024;

/// One channel.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Channel {
    pub(crate) id: String,
    pub(crate) resource_id: String,
    pub(crate) email: String,
    address: Url,
    token: Option<String>,
    expires_ms: i64,
    resource_uri: String,
    number: u64,
    /// The last change of the calendar that it was told of.
    seen: u64,
    /// What the last message met: a status, or 0 for nobody.
    last_status: Option<u16>,
}

/// A message that waits to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    channel: Channel,
    state: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ask {
    id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    address: Option<String>,
    token: Option<String>,
    expiration: Option<Value>,
    #[serde(default)]
    params: Value,
}

/// `POST /calendar/v3/calendars/{calendarId}/events/watch`
pub(crate) fn watch(sim: &mut Sim, call: &Call) -> Outcome {
    let ask: Ask = call.shape()?;
    let calendar = sim.calendar(call)?;
    let (email, seen) = (calendar.email.clone(), calendar.seq);
    let required = |message| Failure::bad("required", message);
    if ask.kind.as_deref() != Some("web_hook") && ask.kind.as_deref() != Some("webhook") {
        return Err(Failure::bad("invalid", "Channel type not supported."));
    }
    let id = ask.id.ok_or_else(|| required("Channel id not specified."))?;
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+/=".contains(&byte);
    if id.is_empty() || id.len() > 64 || !id.bytes().all(fits) {
        return Err(Failure::bad("channelIdInvalid", "Channel id is invalid."));
    }
    if ask.token.as_ref().is_some_and(|token| token.len() > 256 || token.contains(['\r', '\n'])) {
        return Err(Failure::bad("channelTokenTooLong", "Channel token is too long."));
    }
    let address = ask.address.and_then(|text| Url::parse(&text).ok());
    let address = address.ok_or_else(|| required("WebHook callback address not specified."))?;
    if address.scheme() != "https" && (address.scheme() != "http" || sim.settings.push_https_only) {
        return Err(Failure::bad("push.webhookUrlNotHttps", "WebHook callback must be HTTPS."));
    }
    if sim.channels.iter().any(|one| one.id == id) {
        return Err(Failure::bad("channelIdNotUnique", "Channel id not unique."));
    }
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse::<i64>().ok());
    let ttl = number(&ask.params["ttl"]).map(|seconds| seconds.saturating_mul(1_000));
    let wanted = ask.expiration.as_ref().and_then(number);
    let wanted = wanted.or_else(|| ttl.map(|ttl| call.now_ms.saturating_add(ttl)));
    let most = call.now_ms + WEEK_MS;
    let channel = Channel {
        resource_id: format!("r{}", sim.new_id()),
        resource_uri: format!("{}/calendar/v3/calendars/{email}/events?alt=json", sim.origin),
        expires_ms: wanted.filter(|at| *at > call.now_ms).unwrap_or(most).min(most),
        id,
        email,
        address,
        token: ask.token,
        number: 1,
        seen,
        last_status: None,
    };
    let mut body = json!({"kind": "api#channel", "id": channel.id, "resourceId": channel.resource_id,
        "resourceUri": channel.resource_uri, "expiration": channel.expires_ms.to_string()});
    if let Some(token) = &channel.token {
        body["token"] = json!(token);
    }
    sim.messages.push_back(Message { channel: channel.clone(), state: "sync" });
    sim.channels.push(channel);
    sim.channels_touched = true;
    Reply::ok(&body)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stop {
    #[serde(default)]
    id: String,
    #[serde(default)]
    resource_id: String,
}

/// `POST /calendar/v3/channels/stop`
pub(crate) fn stop(sim: &mut Sim, call: &Call) -> Outcome {
    let ask: Stop = call.shape()?;
    let before = sim.channels.len();
    let email = call.email().to_owned();
    sim.channels
        .retain(|one| !(one.id == ask.id && one.resource_id == ask.resource_id && one.email == email));
    if sim.channels.len() == before {
        let message = format!("Channel '{}' not found for project", ask.id);
        return Err(Failure::new(StatusCode::NOT_FOUND, "global", "notFound", message));
    }
    sim.channels_touched = true;
    Reply::empty()
}

/// `GET /_sandbox/channels`
pub(crate) fn channels(sim: &mut Sim, _call: &Call) -> Outcome {
    let shown = sim.channels.iter().map(|one| {
        json!({"id": one.id, "resource_id": one.resource_id, "account": one.email, "address": one.address,
            "expires_ms": one.expires_ms, "number": one.number, "last_status": one.last_status})
    });
    Reply::ok(&json!({"channels": shown.collect::<Vec<_>>(), "waiting": sim.messages.len()}))
}

impl Sim {
    /// Ends channels whose time is over, and has the others told of what changed.
    pub(crate) fn notify(&mut self, now_ms: i64) {
        let before = self.channels.len();
        self.channels.retain(|one| one.expires_ms > now_ms);
        self.channels_touched |= self.channels.len() != before;
        for channel in &mut self.channels {
            let calendar = self.calendars.iter().find(|one| one.email == channel.email);
            let Some(seq) = calendar.map(|one| one.seq).filter(|seq| *seq > channel.seen) else { continue };
            channel.number += 1 + (seq - channel.seen);
            channel.seen = seq;
            self.channels_touched = true;
            self.messages.push_back(Message { channel: channel.clone(), state: "exists" });
        }
        if self.settings.lose_pushes {
            self.messages.clear();
        }
    }
}

/// Sends messages until the simulator stops; one that is slow or sent again does not hold up the others.
pub(crate) async fn deliver(shared: Shared) {
    while shared.wait(TICK).await {
        loop {
            let next = shared.lock().messages.pop_front();
            let Some(message) = next else { break };
            tokio::spawn(send(shared.clone(), message));
        }
    }
}

async fn send(shared: Shared, message: Message) {
    let mut pauses = RETRIES.iter();
    loop {
        let sent = tokio::time::timeout(PATIENCE, post(&message)).await;
        let status = sent.ok().and_then(Result::ok).unwrap_or(0);
        {
            let mut sim = shared.lock();
            let known = sim.channels.iter_mut().find(|one| one.id == message.channel.id);
            let Some(channel) = known else { return };
            channel.last_status = Some(status);
        }
        if !matches!(status, 500 | 502 | 503 | 504) {
            return;
        }
        let Some(pause) = pauses.next() else { return };
        if !shared.wait(*pause).await {
            return;
        }
    }
}

/// One message over plain HTTP; gives the status it was answered with.
async fn post(message: &Message) -> std::io::Result<u16> {
    let unfit = || std::io::Error::from(std::io::ErrorKind::Unsupported);
    let url = &message.channel.address;
    let host = url.host().filter(|_| url.scheme() == "http").ok_or_else(unfit)?;
    let port = url.port_or_known_default().ok_or_else(unfit)?;
    let mut stream = match host {
        Host::Domain(name) => TcpStream::connect((name, port)).await?,
        Host::Ipv4(ip) => TcpStream::connect((ip, port)).await?,
        Host::Ipv6(ip) => TcpStream::connect((ip, port)).await?,
    };
    stream.write_all(head(message).as_bytes()).await?;
    let mut answer = Vec::new();
    let mut rest = (&mut stream).take(ANSWER_MOST);
    while !answer.contains(&b'\n') && rest.read_buf(&mut answer).await? > 0 {}
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(unfit)
}

fn head(message: &Message) -> String {
    let channel = &message.channel;
    let url = &channel.address;
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let expires = Timestamp::from_millisecond(channel.expires_ms).unwrap_or_default();
    let mut head = format!(
        "POST {}{query} HTTP/1.1\r\nHost: {}{port}\r\nContent-Length: 0\r\nConnection: close\r\nAccept: */*\r\n\
         User-Agent: APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)\r\n\
         X-Goog-Channel-ID: {}\r\nX-Goog-Channel-Expiration: {}\r\nX-Goog-Resource-State: {}\r\n\
         X-Goog-Message-Number: {}\r\nX-Goog-Resource-ID: {}\r\nX-Goog-Resource-URI: {}\r\n",
        url.path(),
        url.host_str().unwrap_or_default(),
        channel.id,
        expires.strftime("%a, %d %b %Y %H:%M:%S GMT"),
        message.state,
        channel.number,
        channel.resource_id,
        channel.resource_uri,
    );
    if let Some(token) = &channel.token {
        head.push_str(&format!("X-Goog-Channel-Token: {token}\r\n"));
    }
    head + "\r\n"
}
