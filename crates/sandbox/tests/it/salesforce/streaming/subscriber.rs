//! What the stories of the event stream share: a running org and a client of its Pub/Sub API.

use std::collections::HashMap;
use std::time::Duration;

use reqwest::Method;
use sandbox::salesforce::wire::pub_sub_client::PubSubClient;
use sandbox::salesforce::wire::{
    ConsumerEvent, FetchRequest, FetchResponse, ReplayPreset, SchemaRequest, TopicRequest,
};
use sandbox::salesforce::{EventService, Handle, Settings, StreamSettings, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status, Streaming};

use super::avro::Change;

pub(crate) const ACCOUNTS: &str = "/data/AccountChangeEvent";
pub(crate) const ALL: &str = "/data/ChangeEvents";
const PATIENCE: Duration = Duration::from_secs(10);

/// A running org that serves events.
pub(crate) struct Org {
    pub(crate) handle: Handle,
    pub(crate) service: EventService,
    http: reqwest::Client,
}

/// A client of the Pub/Sub API.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) rpc: PubSubClient<Channel>,
    pub(crate) headers: [(&'static str, String); 3],
}

/// A subscription.
pub(crate) struct Subscription {
    requests: mpsc::Sender<FetchRequest>,
    responses: Streaming<FetchResponse>,
    client: Client,
    schemas: HashMap<String, Value>,
    waiting: Vec<ConsumerEvent>,
}

pub(crate) async fn org() -> Org {
    org_with(StreamSettings::default()).await
}

pub(crate) async fn org_with(stream: StreamSettings) -> Org {
    org_of(Settings { stream, ..Settings::default() }).await
}

pub(crate) async fn org_of(settings: Settings) -> Org {
    let port = async || TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let handle = start(settings, port().await).await.expect("the sandbox starts");
    let service = handle.serve_events(port().await).expect("events are served");
    Org { handle, service, http: crate::client::http() }
}

/// The code and the vendor's error of a refusal, without the prefix; the trailers must be complete.
#[track_caller]
pub(crate) fn refused(status: &Status) -> (Code, String) {
    let trailer = |name: &str| status.metadata().get(name).and_then(|value| value.to_str().ok());
    let rpc_id = trailer("rpc-id").unwrap_or_else(|| panic!("no rpc-id: {status:?}"));
    assert!(status.message().ends_with(&format!("rpcId: {rpc_id}")), "{status:?}");
    let error = trailer("error-code").and_then(|code| code.strip_prefix("sfdc.platform.eventbus.grpc."));
    (status.code(), error.unwrap_or_else(|| panic!("no error-code: {status:?}")).to_owned())
}

pub(crate) fn replay(preset: ReplayPreset, replay_id: &[u8]) -> FetchRequest {
    FetchRequest {
        replay_preset: preset.into(),
        replay_id: replay_id.to_vec().into(),
        num_requested: 100,
        ..FetchRequest::default()
    }
}

impl Org {
    pub(crate) async fn client(&self) -> Client {
        let mut endpoint = Endpoint::from_shared(self.service.url.clone()).expect("an endpoint");
        if let Some(certificate) = &self.service.certificate {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(certificate));
            endpoint = endpoint.tls_config(tls).expect("TLS");
        }
        let headers = [
            ("accesstoken", self.handle.access_token().to_owned()),
            ("instanceurl", self.handle.url().to_owned()),
            ("tenantid", self.handle.organization_id().to_owned()),
        ];
        Client { rpc: PubSubClient::new(endpoint.connect().await.expect("a connection")), headers }
    }

    /// Subscribes to a topic from now on.
    pub(crate) async fn latest(&self, topic: &str) -> Subscription {
        self.client().await.subscribe(topic, replay(ReplayPreset::Latest, &[])).await
    }

    /// Subscribes to a topic from the oldest event.
    pub(crate) async fn earliest(&self, topic: &str) -> Subscription {
        self.client().await.subscribe(topic, replay(ReplayPreset::Earliest, &[])).await
    }

    /// Subscribes to a topic after an event.
    pub(crate) async fn after(&self, topic: &str, replay_id: &[u8]) -> Subscription {
        self.client().await.subscribe(topic, replay(ReplayPreset::Custom, replay_id)).await
    }

    /// A call of the REST API; answers with the body of a success.
    pub(crate) async fn rest(&self, method: Method, path: &str, body: Value) -> Value {
        let url = format!("{}/services/data/v62.0{path}", self.handle.url());
        let mut request = self.http.request(method, url).bearer_auth(self.handle.access_token());
        request = request.header("sforce-call-options", "client=Stories");
        if !body.is_null() {
            request = request.json(&body);
        }
        crate::client::read(request.send().await.expect("an answer")).await.ok()
    }

    /// The access token of a user who lets the app in; the org must not require a code challenge.
    pub(crate) async fn token(&self) -> String {
        let (settings, back) = (Settings::default(), "http://127.0.0.1:9/callback");
        let url = |path: &str| format!("{}/services/oauth2/{path}", self.handle.url());
        let consent = [
            ("response_type", "code"),
            ("client_id", settings.client_id.as_str()),
            ("redirect_uri", back),
            ("scope", "api refresh_token"),
            ("decision", "allow"),
        ];
        let sent = self.http.post(url("authorize")).form(&consent).send().await.expect("an answer");
        let sent = crate::client::read(sent).await;
        let to = sent.header("location").unwrap_or_else(|| panic!("no way back: {sent:?}"));
        let to = reqwest::Url::parse(to).expect("a URL");
        let code = to.query_pairs().find(|(name, _)| name == "code").expect("a code").1.into_owned();
        let exchange = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("client_id", settings.client_id.as_str()),
            ("client_secret", settings.client_secret.as_str()),
            ("redirect_uri", back),
        ];
        let answer = self.http.post(url("token")).form(&exchange).send().await.expect("an answer");
        let tokens = crate::client::read(answer).await.ok();
        tokens["access_token"].as_str().expect("a token").to_owned()
    }

    /// Creates a record and gives its id.
    pub(crate) async fn create(&self, object: &str, fields: Value) -> String {
        let made = self.rest(Method::POST, &format!("/sobjects/{object}"), fields).await;
        made["id"].as_str().expect("an id").to_owned()
    }

    pub(crate) async fn update(&self, object: &str, id: &str, fields: Value) {
        self.rest(Method::PATCH, &format!("/sobjects/{object}/{id}"), fields).await;
    }

    pub(crate) async fn read(&self, object: &str, id: &str) -> Value {
        self.rest(Method::GET, &format!("/sobjects/{object}/{id}"), Value::Null).await
    }

    /// A control call.
    #[track_caller]
    pub(crate) fn control(&self, path: &str, body: Value) -> Value {
        self.handle.control("POST", &format!("/_sandbox/{path}"), body).expect("the control API takes it")
    }

    /// Tells of so many accounts, without names, that they changed.
    pub(crate) fn gaps(&self, count: usize) {
        for at in 0..count {
            let id = format!("001Hs0000{at:06}AAA");
            self.handle.gap("Account", "update", &[&id]).expect("a gap");
        }
    }
}

impl Client {
    pub(crate) fn call<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in &self.headers {
            request.metadata_mut().insert(*name, value.parse().expect("a header"));
        }
        request
    }

    /// Opens a stream with its first request.
    ///
    /// # Errors
    /// What the call is refused with.
    pub(crate) async fn open(&self, first: FetchRequest) -> Result<Subscription, Status> {
        let (requests, receiver) = mpsc::channel(16);
        requests.send(first).await.expect("room");
        let request = self.call(ReceiverStream::new(receiver));
        let responses = self.rpc.clone().subscribe(request).await?.into_inner();
        let (client, schemas, waiting) = (self.clone(), HashMap::new(), Vec::new());
        Ok(Subscription { requests, responses, client, schemas, waiting })
    }

    /// Subscribes, and waits until the subscription has begun: what happens after this is delivered.
    pub(crate) async fn subscribe(&self, topic: &str, first: FetchRequest) -> Subscription {
        self.open(FetchRequest { topic_name: topic.to_owned(), ..first }).await.expect("a subscription")
    }

    pub(crate) async fn schema(&self, id: &str) -> Result<Value, Status> {
        let request = self.call(SchemaRequest { schema_id: id.to_owned() });
        let schema = self.rpc.clone().get_schema(request).await?.into_inner();
        assert_eq!(schema.schema_id, id);
        Ok(serde_json::from_str(&schema.schema_json).expect("JSON"))
    }

    pub(crate) async fn topic(&self, name: &str) -> Result<sandbox::salesforce::wire::TopicInfo, Status> {
        let request = self.call(TopicRequest { topic_name: name.to_owned() });
        Ok(self.rpc.clone().get_topic(request).await?.into_inner())
    }
}

impl Subscription {
    pub(crate) async fn ask(&self, request: FetchRequest) {
        self.requests.send(request).await.expect("the stream takes requests");
    }

    /// Asks for more events.
    pub(crate) async fn more(&self, count: i32) {
        self.ask(FetchRequest { num_requested: count, ..FetchRequest::default() }).await;
    }

    /// The next response; none when the stream ended.
    ///
    /// # Errors
    /// What the stream ended with.
    pub(crate) async fn response(&mut self) -> Result<Option<FetchResponse>, Status> {
        tokio::time::timeout(PATIENCE, self.responses.message()).await.expect("a response in time")
    }

    /// What the stream ends with, in time, whatever it delivers until then.
    pub(crate) async fn end(&mut self) -> Status {
        let end = async {
            loop {
                match self.responses.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Status::ok("the stream ended"),
                    Err(status) => return status,
                }
            }
        };
        tokio::time::timeout(PATIENCE, end).await.expect("an end in time")
    }

    /// The next event as it came.
    pub(crate) async fn event(&mut self) -> ConsumerEvent {
        while self.waiting.is_empty() {
            let response = self.response().await.expect("no error").expect("the stream goes on");
            self.waiting = response.events;
        }
        self.waiting.remove(0)
    }

    /// So many events as they came, asked for as they are used up.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<ConsumerEvent> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.event().await);
            if events.len() % 50 == 0 {
                self.more(50).await;
            }
        }
        events
    }

    /// The next event, read by the schema that it names.
    pub(crate) async fn next(&mut self) -> Change {
        let event = self.event().await.event.expect("an event");
        let schema = self.schema(&event.schema_id).await;
        Change::read(&schema, &event.payload).expect("an event that its schema reads")
    }

    pub(crate) async fn schema(&mut self, id: &str) -> Value {
        if !self.schemas.contains_key(id) {
            let schema = self.client.schema(id).await.expect("a schema");
            self.schemas.insert(id.to_owned(), schema);
        }
        self.schemas[id].clone()
    }
}

/// The name of what changed: `json!` values by field, without those that every change has.
pub(crate) fn told(change: &Change) -> Value {
    let every = |name: &str| name.starts_with("LastModified");
    let values = change.values.iter().filter(|(name, _)| !every(name));
    json!(values.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>())
}
