use std::{sync::Arc, time::Duration};

use bus::{Bus, ConnectOptions, ConsumerConfig, ack_all, subject};
use chassis::guard::{Authorized, Credential, Guard, forward, stable_code};
use identity::{Bootstrapped, Config, Deps, FirstUser, Operator, Revocations, Running};
use model::{AccessChanged, Clock, OrganizationId, Role, Scope};
use proto::identity::{
    MintApiKeyRequest, MintIntegrationKeyRequest, MintedKey, Session, SignInWithLinkRequest,
    identity_client::IdentityClient,
};
use secrecy::ExposeSecret;
use testkit::{ManualClock, TestDatabase, TestNats};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Code, Request, Status,
    metadata::MetadataMap,
    transport::{Channel, Server, server::TcpIncoming},
};

pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const NORTHWIND: &str = "Northwind Traders";

/// Identity over gRPC with one organization of four users.
pub(crate) struct House {
    pub(crate) clock: ManualClock,
    pub(crate) bus: Bus,
    pub(crate) operator: Operator,
    pub(crate) channel: Channel,
    pub(crate) northwind: Bootstrapped,
    shutdown: CancellationToken,
    // Last, so that the servers outlive what uses them.
    pub(crate) nats: TestNats,
    pub(crate) database: TestDatabase,
}

impl Drop for House {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

pub(crate) fn first_users() -> Vec<FirstUser> {
    let user = |role: Role| FirstUser {
        email: format!("{role}@northwind.example"),
        name: format!("Robin {role}"),
        role,
    };
    Role::ALL.map(user).to_vec()
}

pub(crate) async fn house() -> House {
    let (database, nats) = tokio::join!(testkit::database(), testkit::nats());
    let bus = connect(&nats).await;
    bus.ensure_streams().await.unwrap();
    let (clock, shutdown) = (ManualClock::default(), CancellationToken::new());
    let deps = Deps { bus: bus.clone(), guard: None, shutdown: shutdown.clone(), tasks: TaskTracker::new() };
    let running = identity::start(Config::new(database.url()), deps, Arc::new(clock.clone())).await.unwrap();
    let channel = serve(&running, &shutdown).await;
    let operator = running.operator();
    let northwind = operator.bootstrap(NORTHWIND, &first_users(), Duration::from_secs(3600)).await.unwrap();
    House { clock, bus, operator, channel, northwind, shutdown, nats, database }
}

pub(crate) async fn connect(nats: &TestNats) -> Bus {
    Bus::connect(nats.url(), ConnectOptions::named("test")).await.unwrap()
}

async fn serve(running: &Running, shutdown: &CancellationToken) -> Channel {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = Server::builder().add_service(running.grpc());
    let (incoming, end) =
        (TcpIncoming::from(listener).with_nodelay(Some(true)), shutdown.clone().cancelled_owned());
    tokio::spawn(server.serve_with_incoming_shutdown(incoming, end));
    Channel::from_shared(url).unwrap().connect().await.unwrap()
}

impl House {
    pub(crate) fn client(&self) -> IdentityClient<Channel> {
        IdentityClient::new(self.channel.clone())
    }

    pub(crate) fn organization(&self) -> OrganizationId {
        self.northwind.organization_id
    }

    /// Signs in by a fresh link.
    pub(crate) async fn sign_in(&self, role: Role) -> Person {
        let user = self.northwind.users.iter().find(|user| user.role == role).unwrap().user;
        self.sign_in_as(self.organization(), user).await
    }

    pub(crate) async fn sign_in_as(&self, organization: OrganizationId, user: model::UserId) -> Person {
        let link = self.operator.create_link(organization, user, Duration::from_secs(60)).await.unwrap();
        let request = SignInWithLinkRequest { token: link.token.expose_secret().to_owned() };
        let session = self.client().sign_in_with_link(request).await.unwrap().into_inner();
        Person { session, client: self.client() }
    }

    /// The Owner of a second organization.
    pub(crate) async fn sign_in_elsewhere(&self) -> Person {
        let owner =
            FirstUser { email: "owner@contoso.example".into(), name: "Kim".into(), role: Role::Owner };
        let contoso = self.operator.bootstrap("Contoso", &[owner], Duration::from_secs(60)).await.unwrap();
        self.sign_in_as(contoso.organization_id, contoso.users[0].user).await
    }

    /// A guard of another process: its own connections to identity and to the bus.
    pub(crate) async fn guard_elsewhere(&self) -> Guard {
        let guard = Guard::with_clock(self.channel.clone(), Arc::new(self.clock.clone()));
        let bus = connect(&self.nats).await;
        let revocations = Revocations::subscribe(&bus).await.unwrap();
        tokio::spawn(revocations.tell(guard.clone(), self.shutdown.clone()));
        guard
    }

    /// Everything that identity has published, up to the first fact that is `last`; with its actors.
    pub(crate) async fn published_until(
        &self,
        what: &str,
        last: impl Fn(&AccessChanged) -> bool,
    ) -> Vec<(String, AccessChanged)> {
        let config = ConsumerConfig { max_wait_ms: 300, ..ConsumerConfig::new(subject::EVENTS, "story") };
        let mut consumer = self.bus.consumer(config).await.unwrap();
        let mut facts: Vec<(String, AccessChanged)> = Vec::new();
        let deadline = tokio::time::Instant::now() + SOON;
        while !facts.iter().any(|(_, fact)| last(fact)) {
            assert!(tokio::time::Instant::now() < deadline, "no {what} was published, only {facts:#?}");
            let batch = consumer.next_batch().await.unwrap();
            for delivery in &batch {
                let actor = delivery.message.envelope.actor.clone().unwrap();
                facts.push((actor, delivery.message.decode().unwrap()));
            }
            ack_all(batch).await.unwrap();
        }
        facts
    }

    /// Waits until this action with this fact is published.
    pub(crate) async fn publishes(&self, action: &str, (name, value): (&str, &str)) {
        let has = |fact: &AccessChanged| fact.facts.get(name).is_some_and(|found| found == value);
        self.published_until(action, |fact| fact.action == action && has(fact)).await;
    }

    pub(crate) fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }
}

/// Somebody who is signed in.
pub(crate) struct Person {
    pub(crate) session: Session,
    pub(crate) client: IdentityClient<Channel>,
}

impl Person {
    pub(crate) fn id(&self) -> String {
        self.session.user.clone().unwrap().id
    }

    pub(crate) fn credential(&self) -> Credential {
        Credential::Bearer(self.session.token.clone().into())
    }

    pub(crate) fn ask<T>(&self, message: T) -> Request<T> {
        forward(&self.credential(), message).unwrap()
    }

    pub(crate) async fn mint_api_key(&self, scopes: &[Scope]) -> Result<MintedKey, Status> {
        let scopes = scopes.iter().map(ToString::to_string).collect();
        let wanted = MintApiKeyRequest { label: "A key".into(), scopes, expires_at: None };
        Ok(self.client.clone().mint_api_key(self.ask(wanted)).await?.into_inner())
    }

    pub(crate) async fn mint_integration_key(
        &self,
        product: &str,
        scopes: &[Scope],
    ) -> Result<MintedKey, Status> {
        let wanted = MintIntegrationKeyRequest {
            product: product.into(),
            label: "A product".into(),
            scopes: scopes.iter().map(ToString::to_string).collect(),
            expires_at: None,
        };
        Ok(self.client.clone().mint_integration_key(self.ask(wanted)).await?.into_inner())
    }
}

/// Which credential this is, by its first characters.
pub(crate) fn credential(secret: &str) -> Credential {
    match secret.starts_with("ik_") {
        true => Credential::IntegrationKey(secret.into()),
        false => Credential::Bearer(secret.into()),
    }
}

/// What a guarded room answers to a call with this credential.
pub(crate) async fn call(guard: &Guard, secret: &str, scope: Scope) -> Result<Authorized, Status> {
    let mut metadata = MetadataMap::new();
    credential(secret).apply(&mut metadata)?;
    guard.authorize(&metadata, scope).await
}

/// The refusal, as its code and stable code.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("a refusal");
    assert!(!status.message().is_empty());
    (status.code(), stable_code(&status).expect("a stable code").to_owned())
}

pub(crate) fn key_of(minted: &MintedKey) -> proto::identity::Key {
    minted.key.clone().unwrap()
}
