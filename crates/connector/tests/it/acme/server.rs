use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Form, Json, Router,
    body::{Body, Bytes},
    extract::{Path, Query, Request, State},
    http::{HeaderMap, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{delete, get, post},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use model::{Clock, SystemClock};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};
use url::Url;

use super::{feed::Mails, stream::Pushes, watch::Watches};

/// How the server misbehaves once, at a path that begins like this.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Status(u16),
    /// Half of the answer.
    Cut,
    /// An answer that is none.
    Puzzle,
    /// It does what it is asked and never says so.
    ApplyThenHang,
    /// It does what it is asked and half of the answer arrives.
    ApplyThenCut,
}

#[derive(Default)]
pub(crate) struct Record {
    pub(crate) modified: i64,
    /// The fields that somebody else wrote last.
    foreign: HashSet<String>,
    pub(crate) fields: BTreeMap<String, String>,
    /// When fields were edited.
    set: BTreeMap<String, i64>,
    pub(crate) external_id: Option<String>,
    pub(crate) archived: Option<i64>,
    pub(crate) hidden: bool,
}

#[derive(Default)]
pub(crate) struct Inner {
    pub(crate) records: BTreeMap<String, BTreeMap<String, Record>>,
    pub(crate) account: String,
    pub(crate) scopes: Vec<String>,
    /// What the vendor puts behind the name of the account, and behind the label of every field.
    pub(crate) said: String,
    /// The names of every object's fields.
    pub(crate) fields: Vec<String>,
    codes: HashMap<String, String>,
    access: HashSet<String>,
    pub(crate) refresh: Option<String>,
    pub(crate) expires_in: u64,
    pub(crate) rotate: bool,
    /// Whether its grants end with the session.
    pub(crate) without_refresh: bool,
    /// How long a call takes, for stories about rates.
    pub(crate) latency: Duration,
    /// What its answers say of the day: `left/calls`; nothing unless somebody says so.
    day: Option<String>,
    pub(crate) refreshes: usize,
    /// Records that searches handed out.
    pub(crate) served: usize,
    pub(crate) revoked: usize,
    pub(crate) prepared: Vec<String>,
    pub(crate) pushes: Pushes,
    pub(crate) mails: Mails,
    pub(crate) watches: Watches,
    gate: Option<(&'static str, Arc<Semaphore>)>,
    /// Calls that came to the gate since it was closed.
    pub(crate) held: usize,
    pub(crate) faults: VecDeque<(&'static str, Fault)>,
    pub(crate) calls: Vec<(String, Instant)>,
    counter: u64,
    clock: i64,
}

/// A vendor on a port of its own.
#[derive(Clone)]
pub(crate) struct Acme {
    inner: Arc<Mutex<Inner>>,
    url: Url,
}

impl Acme {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let inner = Inner {
            account: "acme-1".into(),
            scopes: vec!["read".into(), "write".into()],
            fields: ["name", "phone", "city"].map(Into::into).into(),
            expires_in: 1_800,
            rotate: true,
            ..Inner::default()
        };
        let acme = Self { inner: Arc::new(Mutex::new(inner)), url };
        let app = Router::new()
            .route("/token", post(token))
            .route("/token/{token}", delete(revoke))
            .route("/me", get(me))
            .route("/schema", get(schema))
            .route("/search", post(search))
            .route("/dates/{object}", post(dates))
            .route("/records/{object}", post(records))
            .route("/stream/{object}", get(super::stream::pushed))
            .route("/feed/{folder}", get(super::feed::listed))
            .route("/watches", post(super::watch::create))
            .route("/watches/{id}", delete(super::watch::end).patch(super::watch::renew))
            .route("/deleted/{object}", get(deleted))
            .route("/prepare/{object}", post(prepare))
            .route("/write", post(write))
            .layer(axum::middleware::from_fn_with_state(acme.clone(), front))
            .with_state(acme.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        acme
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// Somebody says yes on the consent page: the code and the state that go back with the browser.
    pub(crate) fn approve(&self, authorize_url: &str) -> (String, String) {
        let url = Url::parse(authorize_url).unwrap();
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        let mut inner = self.lock();
        let code = inner.secret("code");
        inner.codes.insert(code.clone(), query["code_challenge"].clone());
        (code, query["state"].clone())
    }

    /// Somebody edits or creates a record there.
    pub(crate) fn edit(&self, object: &str, id: &str, field: &str, value: &str) {
        self.edit_and(object, id, field, value, false);
    }

    /// The same, and the index does not show the record until [`Acme::show`].
    pub(crate) fn edit_hidden(&self, object: &str, id: &str, field: &str, value: &str) {
        self.edit_and(object, id, field, value, true);
    }

    /// Another edit, so close to the last one that the record's version stays what it is.
    pub(crate) fn edit_within_the_moment(&self, object: &str, id: &str, field: &str, value: &str) {
        let mut inner = self.lock();
        let record = inner.records.get_mut(object).unwrap().get_mut(id).unwrap();
        record.fields.insert(field.into(), value.into());
    }

    pub(crate) fn show(&self, object: &str, id: &str) {
        self.lock().records.get_mut(object).unwrap().get_mut(id).unwrap().hidden = false;
    }

    fn edit_and(&self, object: &str, id: &str, field: &str, value: &str, hidden: bool) {
        let mut inner = self.lock();
        let now = inner.tick();
        let record = inner.records.entry(object.into()).or_default().entry(id.into()).or_default();
        record.modified = now;
        record.fields.insert(field.into(), value.into());
        record.set.insert(field.into(), now);
        record.foreign.insert(field.into());
        record.hidden = hidden;
        inner.pushes.push(object, json!({"id": id, "at": now, "fields": {field: value}}));
    }

    /// Records of the past, `per_tick` of them modified at the same moment.
    pub(crate) fn seed(&self, object: &str, count: usize, per_tick: usize) {
        let mut inner = self.lock();
        let start = SystemClock.now().as_millisecond() - 30 * 24 * 3_600_000;
        let records = inner.records.entry(object.into()).or_default();
        for index in 0..count {
            let modified = start + (index / per_tick) as i64;
            let fields = BTreeMap::from([("name".into(), format!("record {index}"))]);
            records.insert(format!("{index:06}"), Record { modified, fields, ..Record::default() });
        }
    }

    pub(crate) fn fault(&self, path: &'static str, fault: Fault) {
        self.lock().faults.push_back((path, fault));
    }

    /// From now on its answers say so many calls are left of so many a day.
    pub(crate) fn say_of_day(&self, left: u32, calls: u32) {
        self.lock().day = Some(format!("{left}/{calls}"));
    }

    pub(crate) fn calls(&self, path: &str) -> Vec<Instant> {
        let inner = self.lock();
        inner.calls.iter().filter(|(called, _)| called.starts_with(path)).map(|(_, at)| *at).collect()
    }

    /// Somebody removes the app: all tokens are dead.
    pub(crate) fn revoke_everything(&self) {
        let mut inner = self.lock();
        inner.access.clear();
        inner.refresh = None;
    }

    pub(crate) fn set_archived(&self, object: &str, id: &str, at: Option<i64>) {
        let mut inner = self.lock();
        if let Some(at) = at {
            inner.pushes.push(object, json!({"id": id, "at": at, "deleted": true}));
        }
        inner.records.get_mut(object).unwrap().get_mut(id).unwrap().archived = at;
    }

    /// From now on calls of paths that begin like this wait at the gate; whether their token is good is looked at behind
    /// it. A token is made before its answer waits.
    pub(crate) fn hold(&self, path: &'static str) {
        let mut inner = self.lock();
        inner.gate = Some((path, Arc::new(Semaphore::new(0))));
        inner.held = 0;
    }

    /// Lets one call pass the gate, unless one still may.
    pub(crate) fn let_one_pass(&self) {
        if let Some((_, gate)) = self.lock().gate.as_ref().filter(|(_, gate)| gate.available_permits() == 0) {
            gate.add_permits(1);
        }
    }

    /// Opens the gate for good.
    pub(crate) fn release(&self) {
        if let Some((_, gate)) = self.lock().gate.take() {
            gate.close();
        }
    }

    async fn passes(&self, path: &str) {
        let gate = {
            let mut inner = self.lock();
            let gate = inner.gate.as_ref().filter(|(held, _)| path.starts_with(held));
            let gate = gate.map(|(_, gate)| Arc::clone(gate));
            inner.held += usize::from(gate.is_some());
            gate
        };
        if let Some(gate) = gate {
            // One that is closed stands open.
            gate.acquire().await.map(SemaphorePermit::forget).ok();
        }
    }

    pub(crate) fn expire_access(&self) {
        self.lock().access.clear();
    }
}

impl Inner {
    fn secret(&mut self, kind: &str) -> String {
        self.counter += 1;
        format!("acme-{kind}-{}", self.counter)
    }

    /// Now, and never the same moment twice.
    pub(super) fn tick(&mut self) -> i64 {
        self.clock = SystemClock.now().as_millisecond().max(self.clock + 1);
        self.clock
    }

    fn grant(&mut self, form: &HashMap<String, String>) -> Option<Value> {
        let exchange = form["grant_type"] == "authorization_code";
        if exchange {
            let challenge = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
            if self.codes.remove(&form["code"]) != Some(challenge) {
                return None;
            }
        } else {
            self.refreshes += 1;
            if self.refresh.is_none() || self.refresh.as_ref() != form.get("refresh_token") {
                return None;
            }
        }
        let access = self.secret("access");
        self.access.insert(access.clone());
        let rotates = exchange || self.rotate;
        if rotates {
            self.refresh = Some(self.secret("refresh"));
        }
        let refresh = self.refresh.as_ref().filter(|_| rotates);
        let refresh = (!self.without_refresh).then_some(refresh);
        Some(json!({"access_token": access, "refresh_token": refresh, "expires_in": self.expires_in}))
    }

    /// A grant without the walk through the browser: access token and refresh token.
    pub(crate) fn grant_directly(&mut self) -> (String, String) {
        let (access, refresh) = (self.secret("access"), self.secret("refresh"));
        self.access.insert(access.clone());
        self.refresh = Some(refresh.clone());
        (access, refresh)
    }

    fn take_fault(&mut self, path: &str) -> Option<Fault> {
        let index = self.faults.iter().position(|(prefix, _)| path.starts_with(prefix))?;
        self.faults.remove(index).map(|(_, fault)| fault)
    }
}

async fn front(State(acme): State<Acme>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let authorized = |inner: &Inner, headers: &HeaderMap| {
        let token = headers.get("authorization").and_then(|header| header.to_str().ok());
        token
            .and_then(|token| token.strip_prefix("Bearer "))
            .is_some_and(|token| inner.access.contains(token))
    };
    let is_token = path.starts_with("/token");
    let latency = {
        let mut inner = acme.lock();
        inner.calls.push((path.clone(), Instant::now()));
        inner.latency
    };
    tokio::time::sleep(latency).await;
    if !is_token {
        acme.passes(&path).await;
        if !authorized(&acme.lock(), request.headers()) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
    }
    let fault = acme.lock().take_fault(&path);
    match fault {
        None => {
            let mut answer = next.run(request).await;
            if let Some(day) = &acme.lock().day {
                answer.headers_mut().insert("acme-day", day.parse().unwrap());
            }
            answer
        }
        Some(Fault::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Fault::Puzzle) => "<html>".into_response(),
        Some(Fault::Cut) => cut(),
        Some(Fault::ApplyThenCut) => {
            next.run(request).await;
            cut()
        }
        Some(Fault::ApplyThenHang) => {
            next.run(request).await;
            std::future::pending().await
        }
    }
}

fn cut() -> Response {
    let chunks = futures::stream::iter([Ok(Bytes::from_static(b"{\"res")), Err("cut")]);
    Body::from_stream(chunks).into_response()
}

async fn token(State(acme): State<Acme>, Form(form): Form<HashMap<String, String>>) -> Response {
    let granted = acme.lock().grant(&form);
    // The old token is gone while nobody has the new one.
    acme.passes("/token").await;
    match granted {
        Some(grant) => Json(grant).into_response(),
        None => (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response(),
    }
}

async fn revoke(State(acme): State<Acme>, Path(token): Path<String>) -> StatusCode {
    let mut inner = acme.lock();
    inner.revoked += 1;
    if inner.refresh.as_ref() == Some(&token) {
        inner.refresh = None;
    }
    StatusCode::NO_CONTENT
}

async fn me(State(acme): State<Acme>) -> Json<Value> {
    let inner = acme.lock();
    Json(json!({"id": inner.account, "scopes": inner.scopes, "said": inner.said}))
}

async fn schema(State(acme): State<Acme>) -> Json<Value> {
    let inner = acme.lock();
    Json(json!({"names": inner.fields, "said": inner.said}))
}

async fn search(State(acme): State<Acme>, Json(ask): Json<Value>) -> Json<Value> {
    let mut inner = acme.lock();
    let from = (ask["from"].as_i64().unwrap(), ask["id"].as_str().unwrap_or_default());
    let until = ask["until"].as_i64().unwrap_or(i64::MAX);
    let limit = ask["limit"].as_u64().unwrap() as usize;
    let empty = BTreeMap::new();
    let records = inner.records.get(ask["object"].as_str().unwrap()).unwrap_or(&empty);
    let mut found: Vec<_> = records
        .iter()
        .filter(|(_, record)| record.archived.is_none() && !record.hidden && record.modified < until)
        .filter(|(id, record)| (record.modified, id.as_str()) > from)
        .collect();
    found.sort_by_key(|(id, record)| (record.modified, id.as_str()));
    let total = found.len();
    found.truncate(limit);
    let results: Vec<Value> = found
        .iter()
        .map(|(id, record)| {
            json!({"id": id, "modified": record.modified, "fields": record.fields, "external_id": record.external_id})
        })
        .collect();
    inner.served += results.len();
    Json(json!({"results": results, "total": total}))
}

/// When fields of records were edited.
async fn dates(
    State(acme): State<Acme>,
    Path(object): Path<String>,
    Json(ids): Json<Vec<String>>,
) -> Json<Value> {
    let inner = acme.lock();
    let records = &inner.records[&object];
    let set: HashMap<&String, &BTreeMap<String, i64>> =
        ids.iter().filter_map(|id| Some((id, &records.get(id)?.set))).collect();
    Json(json!(set))
}

/// Records by their ids.
async fn records(
    State(acme): State<Acme>,
    Path(object): Path<String>,
    Json(ids): Json<Vec<String>>,
) -> Json<Value> {
    let inner = acme.lock();
    let live = |id: &String| inner.records[&object].get(id).filter(|record| record.archived.is_none());
    let found = ids.iter().filter_map(|id| {
        let record = live(id)?;
        Some(json!({"id": id, "modified": record.modified, "fields": record.fields, "external_id": record.external_id}))
    });
    Json(json!(found.collect::<Vec<_>>()))
}

async fn deleted(
    State(acme): State<Acme>,
    Path(object): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Json<Value> {
    let inner = acme.lock();
    let after = query.get("after").map_or("", String::as_str);
    let empty = BTreeMap::new();
    let records = inner.records.get(&object).unwrap_or(&empty);
    let mut found = records.iter().filter_map(|(id, record)| Some((id, record.archived?)));
    let page: Vec<_> = found.by_ref().filter(|(id, _)| id.as_str() > after).take(2).collect();
    let next = (page.len() == 2).then(|| page[1].0);
    let results: Vec<Value> = page.iter().map(|(id, at)| json!({"id": id, "at": at})).collect();
    Json(json!({"results": results, "next": next}))
}

async fn prepare(State(acme): State<Acme>, Path(object): Path<String>) -> StatusCode {
    acme.lock().prepared.push(object);
    StatusCode::OK
}

async fn write(State(acme): State<Acme>, Json(ask): Json<Value>) -> Json<Value> {
    let mut inner = acme.lock();
    let object = ask["object"].as_str().unwrap().to_owned();
    let mut results = Vec::new();
    for write in ask["writes"].as_array().unwrap() {
        let fields: BTreeMap<String, String> = serde_json::from_value(write["fields"].clone()).unwrap();
        if fields.values().any(|value| value == "bad") {
            results.push(json!({"error": "the name bad is not allowed", "field": "name"}));
            continue;
        }
        let now = inner.tick();
        let fresh = inner.secret("record");
        let records = inner.records.entry(object.clone()).or_default();
        let external = write["external_id"].as_str();
        let known = records
            .iter()
            .find(|(_, record)| external.is_some() && record.external_id.as_deref() == external);
        let id = match (write["id"].as_str(), known) {
            (Some(id), _) => id.to_owned(),
            (None, Some((id, _))) => id.clone(),
            (None, None) => fresh,
        };
        let record = records.entry(id.clone()).or_default();
        let covered: BTreeMap<&String, &String> = fields
            .keys()
            .filter(|name| record.foreign.contains(*name))
            .filter_map(|name| Some((name, record.fields.get(name)?)))
            .collect();
        let covered = json!(covered);
        record.modified = now;
        record.foreign.retain(|name| !fields.contains_key(name));
        record.fields.extend(fields);
        record.external_id = external.map(str::to_owned).or(record.external_id.take());
        results.push(json!({"id": id, "modified": now, "covered": covered}));
    }
    Json(json!({"results": results}))
}
