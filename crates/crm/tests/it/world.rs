use std::{sync::Arc, time::Duration};

use bus::{Bus, ConnectOptions, Consumer, ConsumerConfig, subject};
use chassis::guard::Guard;
use crm::{Config, Deps};
use jiff::Timestamp;
use model::{DealRegistrationChanged, OrganizationId, PartnerId, Role, Scope, UserId};
use proto::{
    crm::{crm_client::CrmClient, *},
    identity::User,
};
use serde::Serialize;
use sqlx::PgPool;
use testkit::{Identity, ManualClock, TestDatabase, TestNats};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use uuid::Uuid;

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// An organization with its running room.
pub(crate) struct World {
    pub(crate) organization: OrganizationId,
    pub(crate) clock: ManualClock,
    pub(crate) bus: Bus,
    pub(crate) pool: PgPool,
    pub(crate) client: CrmClient<Channel>,
    config: Config,
    deps: Deps,
    _database: TestDatabase,
    _nats: TestNats,
}

impl Drop for World {
    fn drop(&mut self) {
        self.deps.shutdown.cancel();
    }
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub(crate) fn partner(number: u128) -> PartnerId {
    PartnerId::from_uuid(Uuid::from_u128(0x100 + number))
}

/// People of the organization, who sign in as `user1` …: an owner, an admin, a viewer.
pub(crate) const PEOPLE: [(&str, Role); 3] =
    [("Ann Field", Role::Owner), ("Bob Marsh", Role::Admin), ("Vic Moor", Role::Viewer)];

pub(crate) fn user(number: usize) -> UserId {
    UserId::from_uuid(Uuid::from_u128(0x200 + number as u128))
}

/// `ann.field@example.com`
pub(crate) fn email(number: usize) -> String {
    format!("{}@example.com", PEOPLE[number].0.to_lowercase().replace(' ', "."))
}

fn people() -> Vec<User> {
    let person = |(number, (name, role)): (usize, &(&str, Role))| User {
        id: user(number).to_string(),
        email: email(number),
        name: (*name).to_owned(),
        role: role.to_string(),
        last_signed_in_at: None,
    };
    PEOPLE.iter().enumerate().map(person).collect()
}

async fn serve(router: tonic::transport::server::Router) -> Channel {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Endpoint::from_shared(url).unwrap().connect().await.unwrap()
}

/// `ann` and `bob` may do all, `viewer` reads; `first` and `second` are partners, `form` the link to the form of the first; `other` is of another organization,
/// whose partner is the third.
fn knowing(organization: OrganizationId, other: OrganizationId) -> Identity {
    let all = || Identity::key(organization, Scope::ALL);
    let (ann, bob) = (all(), all());
    let of_partner = |number| {
        let mut key = Identity::key(organization, []);
        key.product = partner(number).to_string();
        key
    };
    let (first, second) = (of_partner(1), of_partner(2));
    let mut form = of_partner(1);
    form.product = format!("form:{}", partner(1));
    Identity::new(move |credential| match credential {
        "ak_ann" => Some(ann.clone()),
        "ak_bob" => Some(bob.clone()),
        "ak_viewer" => Some(Identity::key(organization, model::Role::Viewer.scopes())),
        "ak_first" => Some(first.clone()),
        "ak_second" => Some(second.clone()),
        "ak_form" => Some(form.clone()),
        "ak_other" => Some(Identity::key(other, Scope::ALL)),
        _ => None,
    })
    .with_people(people())
}

/// A message with a credential.
pub(crate) fn by<T>(who: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer ak_{who}").parse().unwrap());
    request
}

/// The stable code of a refusal.
pub(crate) fn code<T: std::fmt::Debug>(answer: Result<T, Status>) -> String {
    chassis::guard::stable_code(&answer.unwrap_err()).unwrap_or_default().to_owned()
}

pub(crate) async fn world() -> World {
    let (nats, database) = tokio::join!(testkit::nats(), testkit::database());
    let bus = Bus::connect(nats.url(), ConnectOptions::named("test")).await.unwrap();
    bus.ensure_streams().await.unwrap();
    let organization = OrganizationId::from_uuid(Uuid::from_u128(1));
    let other = OrganizationId::from_uuid(Uuid::from_u128(2));
    let identity = serve(Server::builder().add_service(knowing(organization, other))).await;
    let clock = ManualClock::at(noon());
    let config = Config {
        expiry_seconds: 1,
        sending_seconds: 1,
        ..Config::new(database.url(), "https://api.example")
    };
    let pool = crm::open(&config).await.unwrap();
    for (of, number) in [(organization, 1), (organization, 2), (other, 3)] {
        knows(&pool, of, partner(number)).await;
    }
    let deps = Deps {
        bus: bus.clone(),
        guard: Guard::new(identity),
        clock: Arc::new(clock.clone()),
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let running = crm::start(config.clone(), deps.clone()).await.unwrap();
    let client = CrmClient::new(serve(Server::builder().add_service(running.grpc())).await);
    World { organization, clock, bus, pool, client, config, deps, _database: database, _nats: nats }
}

/// The room was told of a partner, and not what they are called.
async fn knows(pool: &PgPool, organization: OrganizationId, partner: PartnerId) {
    sqlx::query(
        "INSERT INTO partners (partner, organization, status, at, name) VALUES ($1, $2, 'active', 'epoch', '')",
    )
    .bind(partner.uuid())
    .bind(organization.uuid())
    .execute(pool)
    .await
    .unwrap();
}

/// A deal with Acme.
pub(crate) fn deal(number: u128, name: &str) -> SubmitDealRegistrationRequest {
    SubmitDealRegistrationRequest {
        partner_id: partner(number).to_string(),
        company_name: "Acme".to_owned(),
        company_domain: "https://www.acme.example/".to_owned(),
        contact_name: "Carol Wild".to_owned(),
        contact_email: "Carol@acme.example".to_owned(),
        deal_name: name.to_owned(),
        amount: "45000.1".to_owned(),
        currency: "EUR".to_owned(),
        expected_close: "2027-01-31".to_owned(),
        note: "they know us".to_owned(),
        ..SubmitDealRegistrationRequest::default()
    }
}

/// An e-mail from the first of these to the others.
pub(crate) fn mail(id: &str, subject: &str, people: &[&str]) -> NewActivity {
    let person = |(place, email): (usize, &&str)| Participant {
        role: if place == 0 { "from" } else { "to" }.to_owned(),
        name: String::new(),
        email: (*email).to_owned(),
    };
    NewActivity {
        source: "test".to_owned(),
        external_id: id.to_owned(),
        kind: "email".to_owned(),
        direction: "inbound".to_owned(),
        at: Some(proto::to_wire_time(noon())),
        subject: subject.to_owned(),
        body: "Dear all, here is the text.".to_owned(),
        participants: people.iter().enumerate().map(person).collect(),
        ..NewActivity::default()
    }
}

impl World {
    /// Starts the same room once more, beside the other.
    pub(crate) async fn replica(&self) {
        crm::start(self.config.clone(), self.deps.clone()).await.unwrap();
    }

    pub(crate) async fn record(
        &self,
        who: &str,
        activities: Vec<NewActivity>,
    ) -> Result<Vec<RecordedActivity>, Status> {
        let request = RecordActivitiesRequest { activities };
        Ok(self.client().record_activities(by(who, request)).await?.into_inner().activities)
    }

    /// The first page of a record's timeline, of what has these words.
    pub(crate) async fn timeline(&self, who: &str, record: &str, query: &str) -> Vec<Activity> {
        let request = GetTimelineRequest {
            record_id: record.to_owned(),
            query: query.to_owned(),
            ..GetTimelineRequest::default()
        };
        self.client().get_timeline(by(who, request)).await.unwrap().into_inner().activities
    }

    pub(crate) fn client(&self) -> CrmClient<Channel> {
        self.client.clone()
    }

    pub(crate) async fn submit(
        &self,
        who: &str,
        request: SubmitDealRegistrationRequest,
    ) -> Result<DealRegistration, Status> {
        // Ids of the same millisecond have no order.
        self.clock.advance(Duration::from_millis(5));
        Ok(self.client().submit_deal_registration(by(who, request)).await?.into_inner())
    }

    pub(crate) async fn approve(&self, who: &str, id: &str) -> Result<DealRegistration, Status> {
        let request = ApproveDealRegistrationRequest { id: id.to_owned(), days: 0 };
        Ok(self.client().approve_deal_registration(by(who, request)).await?.into_inner())
    }

    pub(crate) async fn reject(&self, who: &str, id: &str, reason: &str) -> Result<DealRegistration, Status> {
        let request = RejectDealRegistrationRequest { id: id.to_owned(), reason: reason.to_owned() };
        Ok(self.client().reject_deal_registration(by(who, request)).await?.into_inner())
    }

    pub(crate) async fn get(&self, who: &str, id: &str) -> Result<DealRegistration, Status> {
        let request = DealRegistrationRequest { id: id.to_owned() };
        Ok(self.client().get_deal_registration(by(who, request)).await?.into_inner())
    }

    pub(crate) async fn publish<T: Serialize>(&self, noun: &str, rest: &str, kind: &str, body: &T) {
        let subject = subject::event(noun, &self.organization, rest);
        let message = bus::Message::json(subject, kind, "test", self.organization, noon(), body).unwrap();
        self.bus.publish(&message).await.unwrap();
    }

    /// Hears what the room says of registrations.
    pub(crate) async fn ear(&self) -> Ear {
        let config = ConsumerConfig { max_wait_ms: 200, ..ConsumerConfig::new(subject::EVENTS, "ear") };
        let consumer = self.bus.consumer(config.filtered(["deal_registration.>"])).await.unwrap();
        Ear { consumer, heard: Vec::new() }
    }
}

/// What was said, as `kind` and who said it, with the body.
pub(crate) struct Ear {
    consumer: Consumer,
    heard: Vec<(String, String, DealRegistrationChanged)>,
}

impl Ear {
    /// All that was said, once it is so many.
    pub(crate) async fn hear(&mut self, count: usize) -> &[(String, String, DealRegistrationChanged)] {
        let listen = async {
            while self.heard.len() < count {
                for delivery in self.consumer.next_batch().await.unwrap() {
                    let envelope = &delivery.message.envelope;
                    let (kind, actor) = (envelope.kind.clone(), envelope.actor.clone().unwrap_or_default());
                    self.heard.push((kind, actor, delivery.message.decode().unwrap()));
                    delivery.ack().await.unwrap();
                }
            }
        };
        tokio::time::timeout(SOON, listen).await.expect("so much to be said");
        &self.heard
    }
}
