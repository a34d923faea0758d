//! The stream of the scripted vendor: what it pushes, and the connector's end of it.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use axum::{
    extract::{Path, Query, State},
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use connector::{Batch, Body, Change, ChangeStream, Error, ErrorKind, Retry, Session, Untold};
use model::{ChangeKind, Value};
use serde_json::{Value as Json, json};
use tokio::sync::watch;

use super::{
    Acme,
    connector::{moment, read, request},
};

/// How long an answer is held back when there is nothing to push.
const HELD: Duration = Duration::from_millis(100);
/// The same of a stream without signs of life.
const HELD_LONG: Duration = Duration::from_secs(600);
const AT_MOST: usize = 20;
/// A position is a place within one of these.
const EPOCH: usize = 1_000_000;

/// What was pushed so far.
pub(crate) struct Pushes {
    of: HashMap<String, Vec<Json>>,
    /// Positions of another one are not known any more.
    epoch: usize,
    /// Why the account has no stream.
    pub(crate) without: Option<&'static str>,
    /// Whether nothing is answered but changes.
    pub(crate) silent: bool,
    /// Whether streams open and never say anything.
    pub(crate) dead: bool,
    grew: watch::Sender<usize>,
}

impl Default for Pushes {
    fn default() -> Self {
        Self {
            of: HashMap::new(),
            epoch: 0,
            without: None,
            silent: false,
            dead: false,
            grew: watch::Sender::new(0),
        }
    }
}

impl Pushes {
    pub(crate) fn push(&mut self, object: &str, push: Json) {
        self.of.entry(object.to_owned()).or_default().push(push);
        self.grew.send_modify(|count| *count += 1);
    }

    fn after(&self, object: &str, position: usize) -> Vec<Json> {
        let pushed = self.of.get(object).map_or(&[][..], Vec::as_slice);
        pushed.iter().skip(position).take(AT_MOST).cloned().collect()
    }

    fn end(&self, object: &str) -> usize {
        self.of.get(object).map_or(0, Vec::len)
    }
}

/// What comes behind a position; without one, where the stream ends.
pub(super) async fn pushed(
    State(acme): State<Acme>,
    Path(object): Path<String>,
    Query(query): Query<HashMap<String, usize>>,
) -> Response {
    let mut grew = acme.lock().pushes.grew.subscribe();
    let answer = |acme: &Acme| {
        let inner = acme.lock();
        let pushes = &inner.pushes;
        if let Some(why) = pushes.without {
            return Err((StatusCode::NOT_IMPLEMENTED, why));
        }
        let start = pushes.epoch * EPOCH;
        let Some(after) = query.get("after") else { return Ok((Vec::new(), start + pushes.end(&object))) };
        if *after / EPOCH != pushes.epoch {
            return Err((StatusCode::GONE, ""));
        }
        let pushed = pushes.after(&object, after - start);
        Ok((pushed.clone(), after + pushed.len()))
    };
    if acme.lock().pushes.dead && query.contains_key("after") && !query.contains_key("opens") {
        std::future::pending::<()>().await;
    }
    let mut answered = answer(&acme);
    if answered.as_ref().is_ok_and(|(pushed, _)| pushed.is_empty())
        && query.contains_key("after")
        && !query.contains_key("opens")
    {
        let held = if acme.lock().pushes.silent { HELD_LONG } else { HELD };
        drop(tokio::time::timeout(held, grew.changed()).await);
        answered = answer(&acme);
    }
    match answered {
        Ok((pushed, position)) => axum::Json(json!({"pushed": pushed, "position": position})).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// The connector's end of it.
pub(super) struct AcmeStream {
    session: Session,
    object: String,
    position: String,
    fields: Vec<String>,
}

impl AcmeStream {
    pub(super) async fn open(
        session: &Session,
        object: &str,
        fields: &[String],
        position: Option<&str>,
    ) -> Result<Self, Error> {
        let mut stream = Self {
            session: session.clone(),
            object: object.to_owned(),
            position: position.unwrap_or_default().to_owned(),
            fields: fields.to_vec(),
        };
        let answer = stream.ask("&opens=1").await?;
        if position.is_none() {
            stream.position = answer["position"].to_string();
        }
        Ok(stream)
    }

    async fn ask(&self, more: &str) -> Result<Json, Error> {
        let after =
            if self.position.is_empty() { String::new() } else { format!("?after={}{more}", self.position) };
        let mut request =
            request("core", Method::GET, format!("/stream/{}{after}", self.object), Body::Empty);
        // A stream that breaks off is opened anew.
        request.idempotent = false;
        read(&self.session.send(request).await?)
    }
}

#[async_trait]
impl ChangeStream for AcmeStream {
    async fn next(&mut self) -> Result<Batch, Error> {
        let answer = self.ask("").await?;
        let mut batch = Batch::default();
        for push in answer["pushed"].as_array().unwrap() {
            let (id, at) = (push["id"].as_str().unwrap().to_owned(), moment(&push["at"]));
            let version = push["at"].as_i64().unwrap();
            batch.until = Some(at);
            if push["all"] == true {
                batch.left_out_since = Some(at - Duration::from_secs(60));
            } else if push["deleted"] == true {
                batch.changes.push(Change::deleted(id, version, at));
            } else if let Some(fields) = push["fields"].as_object() {
                let wanted = fields.iter().filter(|(name, _)| self.fields.contains(name));
                let fields = wanted.map(|(name, value)| (name.clone(), Value::text(value.as_str().unwrap())));
                let upserted = Change::deleted(id, version, at);
                let (kind, fields) = (ChangeKind::Upserted, fields.collect());
                batch.changes.push(Change { kind, fields, is_partial: true, ..upserted });
            } else {
                batch.untold.push(Untold { id, version, changed_at: at });
            }
        }
        self.position = answer["position"].to_string();
        batch.position = Some(self.position.clone());
        Ok(batch)
    }
}

/// The refusals of a stream.
pub(super) fn refusal(status: u16, body: &[u8]) -> Option<Error> {
    let error = |kind, words: &str| Some(Error::new(kind, "subscribe", words));
    match status {
        508 => Some(
            Error::new(ErrorKind::Unavailable, "subscribe", "enough of Acme's stream for now")
                .with_retry(Retry::After(Duration::from_secs(600))),
        ),
        410 => error(ErrorKind::PositionLost, "Acme does not know the position any more"),
        501 => error(ErrorKind::NoStream, &String::from_utf8_lossy(body)),
        _ => None,
    }
}

impl Acme {
    /// Something changed of a record, and the stream does not tell what.
    pub(crate) fn push_untold(&self, object: &str, id: &str) {
        let mut inner = self.lock();
        let at = inner.tick();
        inner.pushes.push(object, json!({"id": id, "at": at}));
    }

    /// So much changed that the stream tells of none of it.
    pub(crate) fn push_overflow(&self, object: &str) {
        let mut inner = self.lock();
        let at = inner.tick();
        inner.pushes.push(object, json!({"id": "", "at": at, "all": true}));
    }

    /// The vendor forgets where its stream stood.
    pub(crate) fn forget_positions(&self) {
        self.lock().pushes.epoch += 1;
    }
}
