//! A database, a bus, identity, the vendor, and as many replicas of the runtime as a story needs.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bus::{Bus, ConnectOptions, ConsumerConfig, Message, subject};
use chassis::guard::Guard;
use connector::{Capabilities, Config, Deps};
use model::{
    CaptureRequested, CaptureStopped, ChangeEvent, Clock, ConnectionId, OrganizationId, Role, SystemClock,
    kind,
};
use proto::connections::{
    BeginAuthorizationRequest, CompleteAuthorizationRequest, ConfirmAuthorizationRequest, Connection,
    ConnectionRequest, StartAuthorizationRequest, connections_client::ConnectionsClient,
};
use serde::de::DeserializeOwned;
use testkit::{Identity, TestDatabase, TestNats, eventually};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use url::Url;
use vault::{Keyring, Vault};

use crate::acme::{Acme, AcmeConnector, Mailbox};

/// What a story may wait for.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) nats: TestNats,
    pub(crate) acme: Acme,
    pub(crate) bus: Bus,
    organization: OrganizationId,
    /// The organization of `as_stranger`.
    pub(crate) other: OrganizationId,
    pub(crate) vault: Arc<Vault>,
    guard_channel: Channel,
    /// Everything that the streams brought, in order.
    pub(crate) seen: Arc<Mutex<Vec<Message>>>,
    capabilities: Capabilities,
    /// Where the vendor sends mail.
    pub(crate) mailbox: Option<Mailbox>,
    pub(crate) clock: Arc<dyn Clock>,
}

pub(crate) struct Replica {
    pub(crate) api: ConnectionsClient<Channel>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    server: tokio::task::JoinHandle<()>,
}

impl World {
    pub(crate) async fn new(capabilities: Capabilities) -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer();
        // The first story of a process sets it up.
        drop(logs.try_init());
        let (database, nats, acme) = tokio::join!(testkit::database(), testkit::nats(), Acme::start());
        let bus = Bus::connect(nats.url(), ConnectOptions::named("test")).await.unwrap();
        bus.ensure_streams().await.unwrap();
        let now = model::Clock::now(&SystemClock);
        let (organization, other) = (OrganizationId::generate(now), OrganizationId::generate(now));
        let guard_channel = serve_identity(knowing(organization, other)).await;
        let key = "test".parse().unwrap();
        let vault = Arc::new(Vault::new(Keyring::generate(key)));
        let seen = Arc::new(Mutex::new(Vec::new()));
        for stream in [subject::CHANGES, subject::EVENTS] {
            tokio::spawn(collect(bus.clone(), stream, Arc::clone(&seen)));
        }
        let clock = Arc::new(SystemClock);
        Self {
            database,
            nats,
            acme,
            bus,
            organization,
            other,
            vault,
            guard_channel,
            seen,
            capabilities,
            mailbox: None,
            clock,
        }
    }

    pub(crate) fn organization(&self) -> OrganizationId {
        self.organization
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(
            self.database.url(),
            Url::parse("http://api.test").unwrap(),
            Url::parse("http://console.test").unwrap(),
        );
        config.max_connections = 8;
        config.poll_interval = Duration::from_millis(200);
        config.poll_interval_min = Duration::from_millis(50);
        config.sweep_interval = Duration::from_millis(300);
        config.quiet_interval = Duration::from_millis(300);
        config.stream_settles = Duration::from_millis(300);
        config.no_stream_pause = Duration::from_millis(500);
        config.watch_interval = Duration::from_millis(100);
        config.lease_ttl = Duration::from_secs(2);
        config.call_timeout = Duration::from_secs(2);
        config.refresh_patience = Duration::from_secs(3);
        config.held_write_pause = Duration::from_millis(200);
        config
    }

    /// For stories that hold calls at the vendor.
    pub(crate) fn patient(&self) -> Config {
        let mut config = self.config();
        config.call_timeout = SOON;
        config.refresh_patience = 2 * SOON;
        config
    }

    pub(crate) async fn start(&self) -> Replica {
        self.start_with(self.config()).await
    }

    pub(crate) async fn start_with(&self, config: Config) -> Replica {
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let connector = AcmeConnector {
            url: self.acme.url().clone(),
            prolongs: self.acme.lock().watches.prolongs,
            capabilities: self.capabilities.clone(),
            mailbox: self.mailbox.clone(),
        };
        let deps = Deps {
            bus: Bus::connect(self.nats.url(), ConnectOptions::named("connector")).await.unwrap(),
            guard: Guard::new(self.guard_channel.clone()),
            vault: Arc::clone(&self.vault),
            clock: Arc::clone(&self.clock),
            connectors: vec![Arc::new(connector)],
            shutdown: shutdown.clone(),
            tasks: tasks.clone(),
        };
        let running = connector::start(config, deps).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let serving = Server::builder().add_service(running.grpc()).serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            shutdown.clone().cancelled_owned(),
        );
        let server = tokio::spawn(async move { serving.await.unwrap() });
        let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
        Replica { api: ConnectionsClient::new(channel), shutdown, tasks, server }
    }

    /// Messages of this kind so far, decoded.
    pub(crate) fn all<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        let seen = self.seen.lock().unwrap();
        let of_kind = seen.iter().filter(|message| message.envelope.kind == kind);
        of_kind.map(|message| message.decode().unwrap()).collect()
    }

    pub(crate) fn changes(&self) -> Vec<ChangeEvent> {
        self.all(kind::CHANGE)
    }

    /// Waits for a message that fits.
    pub(crate) async fn wait_for<T: DeserializeOwned>(
        &self,
        what: &str,
        kind: &str,
        fits: impl Fn(&T) -> bool,
    ) -> T {
        eventually(SOON, what, || async { self.all(kind).into_iter().find(|fact| fits(fact)) }).await
    }

    /// Waits until the vendor was called under this path so many times more.
    pub(crate) async fn more_calls(&self, path: &str, count: usize) {
        let wanted = self.acme.calls(path).len() + count;
        eventually(SOON, &format!("{count} more calls of {path}"), || async {
            (self.acme.calls(path).len() >= wanted).then_some(())
        })
        .await;
    }

    /// Waits for the change of this field of this record.
    pub(crate) async fn wait_for_change(&self, id: &str, field: &str, value: &str) -> ChangeEvent {
        let fits = |change: &ChangeEvent| {
            change.id == id && change.fields.get(field).is_some_and(|found| found.to_string() == value)
        };
        self.wait_for(&format!("{id}.{field} = {value}"), kind::CHANGE, fits).await
    }

    pub(crate) async fn capture(
        &self,
        connection: ConnectionId,
        object: &str,
        fields: &[&str],
        backfill: bool,
    ) {
        self.capture_dated(connection, object, fields, &[], backfill).await;
    }

    /// The same, and of some fields it matters when they were set.
    pub(crate) async fn capture_dated(
        &self,
        connection: ConnectionId,
        object: &str,
        fields: &[&str],
        dated: &[&str],
        backfill: bool,
    ) {
        let wish = CaptureRequested {
            connection,
            vendor_object: object.to_owned(),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            dated_history: !dated.is_empty(),
            dated: dated.iter().map(|field| (*field).to_owned()).collect(),
            backfill,
            external_id: true,
        };
        let organization = self.organization();
        let subject = subject::capture(&organization, "requested");
        let now = model::Clock::now(&SystemClock);
        let message =
            Message::json(subject, kind::CAPTURE_REQUESTED, "test", organization, now, &wish).unwrap();
        self.bus.publish(&message).await.unwrap();
    }

    /// Nobody wants the object read any more.
    pub(crate) async fn stop_capture(&self, connection: ConnectionId, object: &str) {
        let stop = CaptureStopped { connection, vendor_object: object.to_owned() };
        let organization = self.organization();
        let subject = subject::capture(&organization, "stopped");
        let now = model::Clock::now(&SystemClock);
        let message =
            Message::json(subject, kind::CAPTURE_STOPPED, "test", organization, now, &stop).unwrap();
        self.bus.publish(&message).await.unwrap();
    }

    /// A value of the runtime's database.
    pub(crate) async fn query<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let pool = self.database.pool("connector").await;
        let value = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        pool.close().await;
        value
    }
}

impl Replica {
    pub(crate) async fn begin(&mut self, connection: &str) -> Result<String, Status> {
        let asked = BeginAuthorizationRequest {
            vendor: "acme".into(),
            return_path: "/settings/integrations".into(),
            connection_id: connection.into(),
            site: String::new(),
        };
        Ok(self.api.begin_authorization(by("owner", asked)).await?.into_inner().start_url)
    }

    /// The owner begins and confirms, with the walk through the browser between.
    pub(crate) async fn authorize(&mut self, acme: &Acme, connection: &str) -> Result<Connection, Status> {
        let token = self.consent(acme, connection).await?;
        self.confirm("owner", &token).await
    }

    /// Confirms a consent as the holder of this credential.
    pub(crate) async fn confirm(&mut self, credential: &str, token: &str) -> Result<Connection, Status> {
        let asked = ConfirmAuthorizationRequest { token: token.to_owned() };
        let confirmed = self.api.confirm_authorization(by(credential, asked)).await?.into_inner();
        assert_eq!(confirmed.return_path, "/settings/integrations");
        Ok(confirmed.connection.unwrap())
    }

    /// The owner begins, and a browser walks to the vendor and back; gives the token to confirm with.
    pub(crate) async fn consent(&mut self, acme: &Acme, connection: &str) -> Result<String, Status> {
        let start = Url::parse(&self.begin(connection).await?).unwrap();
        let ticket = start.query_pairs().find(|(name, _)| name == "ticket").unwrap().1.into_owned();
        let started = self.api.start_authorization(StartAuthorizationRequest { ticket }).await?.into_inner();
        let (code, state) = acme.approve(&started.authorize_url);
        let completed = CompleteAuthorizationRequest {
            vendor: "acme".into(),
            state,
            code,
            browser_nonce: started.browser_nonce,
            ..CompleteAuthorizationRequest::default()
        };
        let confirm_url = self.api.complete_authorization(completed).await?.into_inner().confirm_url;
        let token = confirm_url.strip_prefix("http://console.test/settings/integrations/return?confirm=");
        Ok(token.expect(&confirm_url).to_owned())
    }

    pub(crate) async fn connect(&mut self, acme: &Acme) -> ConnectionId {
        self.authorize(acme, "").await.unwrap().id.parse().unwrap()
    }

    pub(crate) async fn get(&mut self, id: ConnectionId) -> Connection {
        self.api.get_connection(about("owner", id)).await.unwrap().into_inner()
    }

    /// Waits until the connection is in this state.
    pub(crate) async fn wait_for_state(&mut self, id: ConnectionId, state: &str) -> Connection {
        let api = &self.api;
        eventually(SOON, state, || async {
            let connection = api.clone().get_connection(about("owner", id)).await.unwrap().into_inner();
            (connection.state == state).then_some(connection)
        })
        .await
    }

    /// Ends in good order.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.server.abort();
    }
}

/// A request by the holder of this credential.
pub(crate) fn by<T>(credential: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer as_{credential}").parse().unwrap());
    request
}

pub(crate) fn about(credential: &str, id: ConnectionId) -> Request<ConnectionRequest> {
    by(credential, ConnectionRequest { connection_id: id.to_string() })
}

/// Three people of the organization by their role, and the owner of another one.
fn knowing(organization: OrganizationId, other: OrganizationId) -> Identity {
    Identity::new(move |credential| match credential {
        "as_owner" => Some(Identity::person(organization, Role::Owner)),
        "as_admin" => Some(Identity::person(organization, Role::Admin)),
        "as_viewer" => Some(Identity::person(organization, Role::Viewer)),
        "as_stranger" => Some(Identity::person(other, Role::Owner)),
        _ => None,
    })
}

async fn serve_identity(identity: Identity) -> Channel {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = Server::builder()
        .add_service(identity)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(serving);
    Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

async fn collect(bus: Bus, stream: &'static str, seen: Arc<Mutex<Vec<Message>>>) {
    let mut consumer = bus.consumer(ConsumerConfig::new(stream, format!("test-{stream}"))).await.unwrap();
    while let Ok(batch) = consumer.next_batch().await {
        let new = batch.iter().map(|delivery| delivery.message.clone());
        seen.lock().unwrap().extend(new);
        bus::ack_all(batch).await.unwrap();
    }
}
