//! A database, a bus, identity, the simulator, and the runtime with the connector in a process of its own that can be killed.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bus::{Bus, ConnectOptions, ConsumerConfig, Message, subject};
use chassis::guard::Guard;
use connector::{Config, Deps};
use connector_m365::M365;
use jiff::SignedDuration;
use model::{
    ActivityTold, Clock, ConnectionId, MailAddress, MailId, MailSent, OrganizationId, Role, SendMail,
    SystemClock, WithdrawMail, kind,
};
use proto::connections::{
    BeginAuthorizationRequest, CompleteAuthorizationRequest, ConfirmAuthorizationRequest, ConnectionRequest,
    StartAuthorizationRequest, connections_client::ConnectionsClient,
};
use sandbox::microsoft::Handle;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::{Identity, TestDatabase, TestNats, eventually};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Request,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use url::Url;
use vault::{Keyring, Vault};

use crate::mailbox::{NORA, agree, limited, sandbox};

/// What a story may wait for: the queue gives what a dead process had taken to another one after a minute.
pub(crate) const SOON: Duration = Duration::from_secs(120);
pub(crate) const ANN: &str = "ann@lee.example";

pub(crate) struct World {
    pub(crate) sandbox: Handle,
    m365: Arc<M365>,
    api: ConnectionsClient<Channel>,
    bus: Bus,
    organization: OrganizationId,
    vault: Arc<Vault>,
    seen: Arc<Mutex<Vec<Message>>>,
    identity: Channel,
    database: TestDatabase,
    nats: TestNats,
    /// Where the runtime works; whatever it does ends with it.
    process: Option<Runtime>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::of(sandbox().await).await
    }

    /// One in which Microsoft's limits hold, and ours.
    pub(crate) async fn limited() -> Self {
        Self::of(limited().await).await
    }

    async fn of((sandbox, m365): (Handle, Arc<M365>)) -> Self {
        let (database, nats) = tokio::join!(testkit::database(), testkit::nats());
        let bus = Bus::connect(nats.url(), ConnectOptions::named("test")).await.unwrap();
        bus.ensure_streams().await.unwrap();
        let organization = OrganizationId::generate(SystemClock.now());
        let seen = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(collect(bus.clone(), Arc::clone(&seen)));
        let identity = Identity::new(move |credential| {
            (credential == "as_owner").then(|| Identity::person(organization, Role::Owner))
        });
        let identity = serve(Server::builder().add_service(identity)).await;
        let vault = Arc::new(Vault::new(Keyring::generate("test".parse().unwrap())));
        let (process, api) = run(&m365, nats.url(), &database, &vault, identity.clone()).await;
        let process = Some(process);
        Self { sandbox, m365, api, bus, organization, vault, seen, identity, database, nats, process }
    }

    /// The process dies in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        self.process.take().unwrap().shutdown_background();
    }

    pub(crate) async fn start_again(&mut self) {
        let identity = self.identity.clone();
        let (process, api) = run(&self.m365, self.nats.url(), &self.database, &self.vault, identity).await;
        (self.process, self.api) = (Some(process), api);
    }

    /// Nora connects her mailbox.
    pub(crate) async fn connect(&self) -> ConnectionId {
        let mut api = self.api.clone();
        let asked = BeginAuthorizationRequest {
            vendor: "m365".into(),
            return_path: "/settings/integrations".into(),
            ..BeginAuthorizationRequest::default()
        };
        let begun = api.begin_authorization(by_owner(asked)).await.unwrap().into_inner();
        let ticket = parameter(&begun.start_url, "ticket");
        let started =
            api.start_authorization(StartAuthorizationRequest { ticket }).await.unwrap().into_inner();
        let agreed = agree(&started.authorize_url.parse().unwrap(), NORA).await;
        let completed = CompleteAuthorizationRequest {
            vendor: "m365".into(),
            state: agreed["state"].clone(),
            code: agreed["code"].clone(),
            browser_nonce: started.browser_nonce,
            ..CompleteAuthorizationRequest::default()
        };
        let completed = api.complete_authorization(completed).await.unwrap().into_inner();
        let token = parameter(&completed.confirm_url, "confirm");
        let confirmed = api.confirm_authorization(by_owner(ConfirmAuthorizationRequest { token })).await;
        confirmed.unwrap().into_inner().connection.unwrap().id.parse().unwrap()
    }

    pub(crate) async fn sync_now(&self, id: ConnectionId) {
        self.api.clone().sync_now(about(id)).await.unwrap();
    }

    pub(crate) async fn wait_for_state(&self, id: ConnectionId, state: &str) {
        eventually(SOON, state, || async {
            let connection = self.api.clone().get_connection(about(id)).await.unwrap().into_inner();
            (connection.state == state).then_some(())
        })
        .await;
    }

    /// A mail to Ann that may be sent for so long.
    pub(crate) fn mail(connection: ConnectionId, subject: &str, lasts_s: i64) -> SendMail {
        let now = SystemClock.now();
        SendMail {
            connection,
            mail: MailId::generate(now),
            to: MailAddress { name: "Ann Lee".into(), address: ANN.into() },
            subject: subject.into(),
            text: "Dear Ann".into(),
            answers: None,
            before: now + SignedDuration::from_secs(lasts_s),
        }
    }

    /// Asks for a mail; asking again is another message for the same mail.
    pub(crate) async fn ask_for(&self, mail: &SendMail) {
        let subject = subject::mail("m365", subject::partition(&mail.connection), &self.organization);
        let now = SystemClock.now();
        let message = Message::json(subject, kind::MAIL, "test", self.organization, now, mail).unwrap();
        self.bus.publish(&message).await.unwrap();
    }

    /// A mail is not to be sent any more.
    pub(crate) async fn withdraw(&self, mail: &SendMail) {
        let partition = subject::partition(&mail.connection);
        let subject = subject::mail("m365", partition, &self.organization);
        let withdrawn = WithdrawMail { connection: mail.connection, mail: mail.mail };
        let (org, now) = (self.organization, SystemClock.now());
        let message = Message::json(subject, kind::MAIL_WITHDRAWAL, "test", org, now, &withdrawn).unwrap();
        self.bus.publish(&message).await.unwrap();
    }

    /// Waits until the runtime has taken everything that it was asked for, and holds so many wishes of it.
    pub(crate) async fn wait_until_held(&self, connection: ConnectionId, count: u64) {
        let durable = format!("connector-posts-m365-{}", subject::partition(&connection));
        eventually(SOON, &format!("{count} wishes to be held"), || async {
            let pending = self.bus.pending(subject::WRITES, &durable).await.ok()?;
            (pending.waiting == 0 && pending.unanswered == count).then_some(())
        })
        .await;
    }

    /// Waits until the mailbox has a draft.
    pub(crate) async fn wait_until_drafted(&self) {
        eventually(SOON, "a draft", || async { (self.count_in("Drafts") > 0).then_some(()) }).await;
    }

    /// Waits until the last fault began to be one.
    pub(crate) async fn wait_until_struck(&self) {
        eventually(SOON, "the fault to strike", || async {
            let left = self.sandbox.control("GET", "/_sandbox/faults", Value::Null).unwrap();
            left["faults"].as_array().unwrap().is_empty().then_some(())
        })
        .await;
    }

    /// Every answer for a mail so far.
    pub(crate) fn answers(&self, mail: &SendMail) -> Vec<MailSent> {
        let mut answers: Vec<MailSent> = self.all(kind::MAILED);
        answers.retain(|answer| answer.mail == mail.mail);
        answers
    }

    /// What became of a mail.
    pub(crate) async fn answer(&self, mail: &SendMail) -> MailSent {
        eventually(SOON, "the answer for a mail", || async { self.answers(mail).into_iter().next() }).await
    }

    /// Waits until something with this subject was told as an activity; gives it.
    pub(crate) async fn told(&self, subject: &str) -> ActivityTold {
        eventually(SOON, subject, || async {
            self.activities().into_iter().find(|told| told.subject == subject)
        })
        .await
    }

    pub(crate) fn activities(&self) -> Vec<ActivityTold> {
        self.all(kind::ACTIVITY_TOLD)
    }

    fn all<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        let seen = self.seen.lock().unwrap();
        let of_kind = seen.iter().filter(|message| message.envelope.kind == kind);
        of_kind.map(|message| message.decode().unwrap()).collect()
    }

    /// The subjects of everything that left the mailbox.
    pub(crate) fn left(&self) -> Vec<String> {
        let left = self.sandbox.control("GET", "/_sandbox/sent", Value::Null).unwrap();
        let text = |sent: &Value| sent["subject"].as_str().unwrap().to_owned();
        left["sent"].as_array().unwrap().iter().map(text).collect()
    }

    /// How many messages a folder of the mailbox has.
    pub(crate) fn count_in(&self, folder: &str) -> usize {
        let state = self.sandbox.state(NORA).unwrap();
        state["messages"].as_array().unwrap().iter().filter(|message| message["folder"] == folder).count()
    }

    pub(crate) fn allow(&self, scopes: &[&str]) {
        self.sandbox.change_settings(json!({"scopes_granted": scopes})).unwrap();
    }

    /// How often something was posted to a path with this end.
    pub(crate) fn count_of(&self, end: &str) -> usize {
        let calls = self.sandbox.calls();
        let is_it = |call: &&Value| {
            call["method"] == "POST" && call["path"].as_str().is_some_and(|path| path.ends_with(end))
        };
        calls["last"].as_array().unwrap().iter().filter(is_it).count()
    }

    /// Waits until something was posted to a path with this end.
    pub(crate) async fn wait_until_called(&self, end: &str) {
        eventually(SOON, end, || async { (self.count_of(end) > 0).then_some(()) }).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.shutdown_background();
        }
    }
}

async fn run(
    m365: &Arc<M365>,
    nats_url: &str,
    database: &TestDatabase,
    vault: &Arc<Vault>,
    identity: Channel,
) -> (Runtime, ConnectionsClient<Channel>) {
    let process = Runtime::new().unwrap();
    let (config, nats_url) = (config(database), nats_url.to_owned());
    let (m365, vault) = (Arc::clone(m365), Arc::clone(vault));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap().into_std().unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let ready = process.spawn(async move {
        let deps = Deps {
            bus: Bus::connect(&nats_url, ConnectOptions::named("runtime")).await.unwrap(),
            guard: Guard::new(identity),
            vault,
            clock: Arc::new(SystemClock),
            connectors: vec![m365],
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        let running = connector::start(config, deps).await.unwrap();
        let listener = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
        let router = Server::builder().add_service(running.grpc());
        tokio::spawn(router.serve_with_incoming(listener));
    });
    ready.await.unwrap();
    let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    (process, ConnectionsClient::new(channel))
}

fn config(database: &TestDatabase) -> Config {
    let (api, console) = ("http://api.test", "http://console.test");
    let mut config = Config::new(database.url(), Url::parse(api).unwrap(), Url::parse(console).unwrap());
    config.max_connections = 8;
    config.lease_ttl = Duration::from_secs(2);
    config.call_timeout = Duration::from_secs(5);
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

fn about(id: ConnectionId) -> Request<ConnectionRequest> {
    by_owner(ConnectionRequest { connection_id: id.to_string() })
}

async fn serve(router: tonic::transport::server::Router) -> Channel {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

async fn collect(bus: Bus, seen: Arc<Mutex<Vec<Message>>>) {
    let mut consumer = bus.consumer(ConsumerConfig::new(subject::CHANGES, "test")).await.unwrap();
    while let Ok(batch) = consumer.next_batch().await {
        let new = batch.iter().map(|delivery| delivery.message.clone());
        seen.lock().unwrap().extend(new);
        bus::ack_all(batch).await.unwrap();
    }
}
