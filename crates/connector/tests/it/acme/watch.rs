//! How the vendor tells at an address of ours that a feed has something new.

use std::collections::BTreeMap;

use async_trait::async_trait;
use axum::{
    Json,
    extract::{Path, State},
    http::{Method, StatusCode},
};
use connector::{
    Body, Connector, Error, Heard, Notice, Push, Pushed, Pusher, Refusal, Session, Watch, WatchWish,
};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    connector::{AcmeConnector, moment, read, request},
    server::Acme,
};

/// Three days.
const LIFE_MS: i64 = 3 * 24 * 3_600_000;

#[derive(Clone, Debug)]
pub(crate) struct Watched {
    pub(crate) id: String,
    pub(crate) feed: String,
    pub(crate) address: String,
    pub(crate) secret: String,
    pub(crate) renewed: usize,
    /// When it was made, and when it ended at first.
    pub(crate) made_ms: i64,
    pub(crate) ends_ms: i64,
}

pub(crate) struct Watches {
    pub(crate) live: BTreeMap<String, Watched>,
    /// How many there ever were.
    pub(crate) made: usize,
    pub(crate) life_ms: i64,
    pub(crate) prolongs: bool,
    pub(crate) proves: bool,
}

impl Default for Watches {
    fn default() -> Self {
        Self { live: BTreeMap::new(), made: 0, life_ms: LIFE_MS, prolongs: true, proves: true }
    }
}

impl Acme {
    /// What it tells of a feed, and where.
    pub(crate) fn watched(&self, feed: &str) -> Vec<Watched> {
        self.lock().watches.live.values().filter(|watch| watch.feed == feed).cloned().collect()
    }

    /// It forgets what it was asked to tell.
    pub(crate) fn forget_watches(&self) {
        self.lock().watches.live.clear();
    }
}

pub(super) async fn create(State(acme): State<Acme>, Json(ask): Json<Value>) -> Json<Value> {
    let mut inner = acme.lock();
    let made_ms = inner.tick();
    let ends = made_ms + inner.watches.life_ms;
    inner.watches.made += 1;
    let id = format!("watch-{}", inner.watches.made);
    let text = |name: &str| ask[name].as_str().unwrap().to_owned();
    let watched = Watched {
        id: id.clone(),
        feed: text("feed"),
        address: text("address"),
        secret: text("secret"),
        renewed: 0,
        made_ms,
        ends_ms: ends,
    };
    inner.watches.live.insert(id.clone(), watched);
    Json(json!({"id": id, "ends": ends, "proven": inner.watches.proves}))
}

pub(super) async fn renew(
    State(acme): State<Acme>,
    Path(id): Path<String>,
) -> Result<Json<Value>, StatusCode> {
    let mut inner = acme.lock();
    let ends = inner.tick() + inner.watches.life_ms;
    let watched = inner.watches.live.get_mut(&id).ok_or(StatusCode::NOT_FOUND)?;
    watched.renewed += 1;
    Ok(Json(json!({"id": id, "ends": ends, "proven": true})))
}

pub(super) async fn end(State(acme): State<Acme>, Path(id): Path<String>) -> StatusCode {
    match acme.lock().watches.live.remove(&id) {
        Some(_) => StatusCode::NO_CONTENT,
        None => StatusCode::NOT_FOUND,
    }
}

fn agreed(json: &Value) -> Watch {
    Watch {
        id: json["id"].as_str().unwrap().to_owned(),
        resource: String::new(),
        ends_at: moment(&json["ends"]),
        is_proven: json["proven"].as_bool().unwrap(),
    }
}

#[async_trait]
impl Pusher for AcmeConnector {
    fn feeds(&self) -> &'static [&'static str] {
        &["inbox"]
    }

    async fn watch(&self, session: &Session, wish: &WatchWish<'_>) -> Result<Watch, Error> {
        let ask = json!({"feed": wish.feed, "address": wish.address, "secret": wish.secret.expose_secret()});
        let mut request = request("core", Method::POST, "/watches", Body::Json(ask.to_string().into()));
        request.idempotent = false;
        Ok(agreed(&read(&session.send(request).await?)?))
    }

    async fn renew(&self, session: &Session, watch: &Watch, _: Timestamp) -> Result<Option<Watch>, Error> {
        if !self.prolongs {
            return Ok(None);
        }
        let path = format!("/watches/{}", watch.id);
        let answer = session.send(request("core", Method::PATCH, path, Body::Empty)).await?;
        Ok(Some(agreed(&read(&answer)?)))
    }

    async fn unwatch(&self, session: &Session, watch: &Watch) -> Result<(), Error> {
        let path = format!("/watches/{}", watch.id);
        match session.send(request("core", Method::DELETE, path, Body::Empty)).await {
            Err(error) if error.kind != connector::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn receive(&self, push: &Push<'_>) -> Result<Pushed, Refusal> {
        if let Some(hello) = push.query.strip_prefix("hello=") {
            return Ok(Pushed::Handshake(hello.to_owned()));
        }
        let told: Vec<Value> = serde_json::from_slice(push.body).map_err(|_| Refusal::UNREADABLE)?;
        let notice = |told: &Value| Notice {
            watch: told["watch"].as_str().unwrap().to_owned(),
            secret: told["secret"].as_str().unwrap().into(),
            heard: match told["heard"].as_str().unwrap() {
                "begun" => Heard::Begun,
                "ending" => Heard::Ending,
                "ended" => Heard::Ended,
                _ => Heard::Changed,
            },
        };
        Ok(Pushed::Told(told.iter().map(notice).collect()))
    }
}

impl AcmeConnector {
    pub(super) fn tells(&self) -> Option<&dyn Pusher> {
        let is_patient = |feed: &connector::Feed| feed.every.as_secs() >= 3_600;
        self.capabilities().feeds.iter().any(is_patient).then_some(self as &dyn Pusher)
    }
}
