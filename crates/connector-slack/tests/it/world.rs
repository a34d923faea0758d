//! A database, a bus, identity, the simulator, the runtime with the connector, and a door that hands Slack's requests to it
//! as they arrive.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, http::HeaderMap, http::StatusCode, routing::post};
use bus::{Bus, ConnectOptions, ConsumerConfig, Message, subject};
use chassis::guard::{Guard, stable_code};
use connector::{Config, Deps};
use jiff::{SignedDuration, Timestamp};
use model::{
    AnswerPrivately, Clock, ConnectionId, InteractionReceived, MessagePosted, OrganizationId, PostMessage,
    Role, SystemClock, VendorUserTold, kind,
};
use proto::connections::{
    BeginAuthorizationRequest, CompleteAuthorizationRequest, ConfirmAuthorizationRequest, Connection,
    ConnectionRequest, ReceiveRequest, StartAuthorizationRequest, connections_client::ConnectionsClient,
};
use sandbox::slack::{Handle, Settings};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use testkit::{Identity, TestDatabase, TestNats, eventually};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Request,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use url::Url;
use vault::{Keyring, Vault};

use crate::slack::{consent, limited, simulator};

/// What a story may wait for.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The real time, moved on as the simulator's is: requests are signed with a time.
#[derive(Clone, Default)]
struct Moved(Arc<AtomicI64>);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        SystemClock.now() + SignedDuration::from_millis(self.0.load(Ordering::Relaxed))
    }
}

pub(crate) struct World {
    clock: Moved,
    pub(crate) slack: Handle,
    pub(crate) api: ConnectionsClient<Channel>,
    bus: Bus,
    pub(crate) organization: OrganizationId,
    seen: Arc<Mutex<Vec<Message>>>,
    _database: TestDatabase,
    _nats: TestNats,
}

impl World {
    pub(crate) async fn new(settings: Settings) -> Self {
        let (database, nats, slack) = tokio::join!(testkit::database(), testkit::nats(), simulator(settings));
        let bus = Bus::connect(nats.url(), ConnectOptions::named("test")).await.unwrap();
        bus.ensure_streams().await.unwrap();
        let organization = OrganizationId::generate(SystemClock.now());
        let seen = Arc::new(Mutex::new(Vec::new()));
        for stream in [subject::CHANGES, subject::EVENTS] {
            tokio::spawn(collect(bus.clone(), stream, Arc::clone(&seen)));
        }
        let clock = Moved::default();
        let deps = Deps {
            bus: bus.clone(),
            guard: Guard::new(serve_identity(organization).await),
            vault: Arc::new(Vault::new(Keyring::generate("test".parse().unwrap()))),
            clock: Arc::new(clock.clone()),
            connectors: vec![Arc::new(limited(&slack))],
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let running = connector::start(config(&database), deps).await.unwrap();
        let api = ConnectionsClient::new(serve(Server::builder().add_service(running.grpc())).await);
        let door = serve_door(api.clone()).await;
        let addresses = json!({"interactivity_url": door, "events_url": door});
        slack.change_settings(addresses).await.unwrap();
        Self { clock, slack, api, bus, organization, seen, _database: database, _nats: nats }
    }

    /// Time passes, here and at Slack.
    pub(crate) async fn pass_ms(&self, ms: i64) {
        self.slack.control("POST", "/_sandbox/clock", json!({"advance_ms": ms})).await.unwrap();
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
    }

    /// The owner connects the workspace.
    pub(crate) async fn connect(&self) -> ConnectionId {
        let mut api = self.api.clone();
        let asked = BeginAuthorizationRequest {
            vendor: "slack".into(),
            return_path: "/settings/integrations".into(),
            ..BeginAuthorizationRequest::default()
        };
        let begun = api.begin_authorization(by_owner(asked)).await.unwrap().into_inner();
        let ticket = parameter(&begun.start_url, "ticket");
        let started =
            api.start_authorization(StartAuthorizationRequest { ticket }).await.unwrap().into_inner();
        let (state, scope) =
            (parameter(&started.authorize_url, "state"), parameter(&started.authorize_url, "scope"));
        let code = consent(&self.slack, &scope, &state).await;
        let completed = CompleteAuthorizationRequest {
            vendor: "slack".into(),
            state,
            code,
            browser_nonce: started.browser_nonce,
            ..CompleteAuthorizationRequest::default()
        };
        let completed = api.complete_authorization(completed).await.unwrap().into_inner();
        let token = parameter(&completed.confirm_url, "confirm");
        let confirmed = api.confirm_authorization(by_owner(ConfirmAuthorizationRequest { token })).await;
        confirmed.unwrap().into_inner().connection.unwrap().id.parse().unwrap()
    }

    /// Waits until the connection is in this state.
    pub(crate) async fn wait_for_state(&self, id: ConnectionId, state: &str) -> Connection {
        eventually(SOON, state, || async {
            let connection = self.api.clone().get_connection(about(id)).await.unwrap().into_inner();
            (connection.state == state).then_some(connection)
        })
        .await
    }

    pub(crate) async fn post(&self, message: &PostMessage) {
        let partition = subject::partition(&message.connection);
        self.publish(subject::post("slack", partition, &self.organization), kind::POST, message).await;
    }

    pub(crate) async fn answer(&self, answer: &AnswerPrivately) {
        let partition = subject::partition(&answer.connection);
        self.publish(subject::answer("slack", partition, &self.organization), kind::ANSWER, answer).await;
    }

    async fn publish<T: Serialize + Sync>(&self, subject: String, kind: &'static str, what: &T) {
        let now = SystemClock.now();
        let message = Message::json(subject, kind, "test", self.organization, now, what).unwrap();
        self.bus.publish(&message).await.unwrap();
    }

    /// Messages of this kind so far, decoded.
    fn all<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        let seen = self.seen.lock().unwrap();
        let of_kind = seen.iter().filter(|message| message.envelope.kind == kind);
        of_kind.map(|message| message.decode().unwrap()).collect()
    }

    pub(crate) fn interactions(&self) -> Vec<InteractionReceived> {
        self.all(kind::INTERACTION)
    }

    /// What was learnt of somebody.
    pub(crate) async fn told(&self, user: &str) -> VendorUserTold {
        eventually(SOON, "who it was", || async {
            let told: Vec<VendorUserTold> = self.all(kind::VENDOR_USER);
            told.into_iter().find(|told| told.user.id == user)
        })
        .await
    }

    /// What became of a message.
    pub(crate) async fn posted(&self, message: &PostMessage) -> MessagePosted {
        eventually(SOON, "the answer to a message", || async {
            self.all::<MessagePosted>(kind::POSTED).into_iter().find(|posted| posted.post == message.post)
        })
        .await
    }

    pub(crate) async fn interaction(&self, kind: &str) -> InteractionReceived {
        eventually(SOON, kind, || async { self.interactions().into_iter().find(|it| it.kind == kind) }).await
    }

    /// Somebody clicks, and the app answers; what was delivered.
    pub(crate) async fn click(&self, posted: &MessagePosted, user: &str, action: &str) -> Value {
        let ts = posted.message.clone().unwrap();
        let click = json!({"channel": posted.channel, "ts": ts, "user": user, "action_id": action});
        self.slack.click(click).await.unwrap()["delivery"].clone()
    }

    /// The same request once more, changed like this; the status that it was answered with.
    pub(crate) async fn redeliver(&self, delivery: &Value, changed: Value) -> u64 {
        let mut order = changed;
        order["id"] = delivery["id"].clone();
        let again = self.slack.control("POST", "/_sandbox/redeliver", order).await.unwrap();
        again["delivery"]["attempts"][0]["status"].as_u64().unwrap()
    }
}

fn config(database: &TestDatabase) -> Config {
    let (api, console) = ("http://api.test", "http://console.test");
    let mut config = Config::new(database.url(), Url::parse(api).unwrap(), Url::parse(console).unwrap());
    config.max_connections = 8;
    config.lease_ttl = Duration::from_secs(2);
    config.call_timeout = Duration::from_secs(2);
    config.refresh_patience = Duration::from_secs(3);
    config.held_write_pause = Duration::from_millis(200);
    config
}

fn parameter(address: &str, name: &str) -> String {
    let url = Url::parse(address).unwrap();
    url.query_pairs().find(|(found, _)| found == name).unwrap().1.into_owned()
}

fn by_owner<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", "Bearer as_owner".parse().unwrap());
    request
}

pub(crate) fn about(id: ConnectionId) -> Request<ConnectionRequest> {
    by_owner(ConnectionRequest { connection_id: id.to_string() })
}

async fn serve_identity(organization: OrganizationId) -> Channel {
    let identity = Identity::new(move |credential| {
        (credential == "as_owner").then(|| Identity::person(organization, Role::Owner))
    });
    serve(Server::builder().add_service(identity)).await
}

async fn serve(router: tonic::transport::server::Router) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

/// Hands requests on as they are; gives the address.
async fn serve_door(api: ConnectionsClient<Channel>) -> String {
    let take = move |headers: HeaderMap, body: Bytes| {
        let mut api = api.clone();
        async move {
            let header = |(name, value): (&axum::http::HeaderName, &axum::http::HeaderValue)| {
                (name.to_string(), value.to_str().unwrap().to_owned())
            };
            let headers: HashMap<String, String> = headers.iter().map(header).collect();
            let (vendor, body) = ("slack".into(), body.into());
            let request = ReceiveRequest { vendor, headers, body, ..ReceiveRequest::default() };
            match api.receive(request).await {
                Ok(answer) => (StatusCode::OK, answer.into_inner().text),
                Err(status) => {
                    (StatusCode::UNAUTHORIZED, stable_code(&status).unwrap_or_default().to_owned())
                }
            }
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/slack", listener.local_addr().unwrap());
    let serving = axum::serve(listener, Router::new().route("/slack", post(take)));
    tokio::spawn(async move { serving.await.unwrap() });
    address
}

async fn collect(bus: Bus, stream: &'static str, seen: Arc<Mutex<Vec<Message>>>) {
    let mut consumer = bus.consumer(ConsumerConfig::new(stream, format!("test-{stream}"))).await.unwrap();
    while let Ok(batch) = consumer.next_batch().await {
        let new = batch.iter().map(|delivery| delivery.message.clone());
        seen.lock().unwrap().extend(new);
        bus::ack_all(batch).await.unwrap();
    }
}
