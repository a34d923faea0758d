use std::{collections::BTreeMap, sync::Arc, time::Duration};

use audit::{Config, Deps, Running};
use bus::{Bus, ConnectOptions, Message, subject};
use chassis::guard::Guard;
use jiff::Timestamp;
use model::{
    AccessChanged, AccessSubject, CanonicalObject, ChangeEvent, ChangeKind, ConnectionId, Lane,
    MappingChanged, MappingId, OrganizationId, RecordChanged, RecordId, Scope, Value, kind,
};
use proto::audit::audit_client::AuditClient;
use serde::Serialize;
use sqlx::PgPool;
use testkit::{Identity, TestDatabase, TestNats, eventually};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};
use uuid::Uuid;

pub(crate) const SOON: Duration = Duration::from_secs(20);

/// An organization, its audit room and what belongs to it.
pub(crate) struct World {
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) nats: TestNats,
    pub(crate) database: TestDatabase,
    pub(crate) bus: Bus,
    pub(crate) pool: PgPool,
    identity: Channel,
}

/// A running replica of the room.
pub(crate) struct Replica {
    pub(crate) running: Running,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Replica {
    /// Ends it in good order.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub(crate) fn organization(number: u128) -> OrganizationId {
    OrganizationId::from_uuid(Uuid::from_u128(number))
}

/// Servers and an empty log; no replica runs yet.
pub(crate) async fn world() -> World {
    let (nats, database) = tokio::join!(testkit::nats(), testkit::database());
    let bus = Bus::connect(nats.url(), ConnectOptions::named("test")).await.unwrap();
    bus.ensure_streams().await.unwrap();
    let pool = audit::open(&Config::new(database.url())).await.unwrap();
    let organization = organization(1);
    let identity = Identity::new(move |credential| match credential {
        "ak_auditor" => Some(Identity::key(organization, [Scope::AuditRead])),
        "ak_other" => Some(Identity::key(organization, [Scope::RecordsRead])),
        _ => None,
    });
    let identity = serve(Server::builder().add_service(identity)).await;
    let connection = ConnectionId::from_uuid(Uuid::from_u128(7));
    World { organization, connection, nats, database, bus, pool, identity }
}

/// Serves on a free port for the rest of the test.
async fn serve(router: tonic::transport::server::Router) -> Channel {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Endpoint::from_shared(url).unwrap().connect().await.unwrap()
}

impl World {
    /// Starts a replica of the room with its own connection to the bus.
    pub(crate) async fn replica(&self) -> Replica {
        let bus = Bus::connect(self.nats.url(), ConnectOptions::named("audit")).await.unwrap();
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
        let deps = Deps {
            bus,
            guard: Guard::new(self.identity.clone()),
            clock: Arc::new(testkit::ManualClock::at(noon())),
            shutdown: shutdown.clone(),
            tasks: tasks.clone(),
        };
        let running = audit::start(Config::new(self.database.url()), deps).await.unwrap();
        Replica { running, shutdown, tasks }
    }

    pub(crate) async fn client(&self, replica: &Replica) -> AuditClient<Channel> {
        AuditClient::new(serve(Server::builder().add_service(replica.running.grpc())).await)
    }

    pub(crate) async fn count(&self) -> i64 {
        self.count_of(self.organization).await
    }

    pub(crate) async fn count_of(&self, organization: OrganizationId) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM entries WHERE organization = $1")
            .bind(organization.uuid())
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }

    /// Waits until the log of the organization has so many entries.
    pub(crate) async fn entries(&self, count: i64) {
        let found = eventually(SOON, "the entries are recorded", || async {
            let found = self.count().await;
            (found >= count).then_some(found)
        });
        assert_eq!(found.await, count);
    }

    /// Waits until nothing is left to record.
    pub(crate) async fn settled(&self) {
        for stream in [subject::CHANGES, subject::EVENTS, subject::DEAD] {
            eventually(SOON, "all is recorded", || async {
                let pending = self.bus.pending(stream, "audit").await.ok()?;
                (pending.waiting == 0 && pending.unanswered == 0).then_some(())
            })
            .await;
        }
    }

    pub(crate) fn change(&self, number: u64) -> Message {
        self.change_of(self.organization, number)
    }

    pub(crate) fn change_of(&self, organization: OrganizationId, number: u64) -> Message {
        let change = ChangeEvent {
            connection: self.connection,
            vendor: "hubspot".into(),
            object: "companies".into(),
            id: number.to_string(),
            kind: ChangeKind::Upserted,
            version: 1,
            changed_at: noon(),
            captured_at: noon(),
            lane: Lane::Live,
            fields: BTreeMap::from([
                ("name".into(), Value::text("Marker Inc.")),
                ("city".into(), Value::Null),
            ]),
            is_partial: false,
            field_times: BTreeMap::new(),
            external_id: None,
            merged_ids: Vec::new(),
            says_ours: false,
            people: None,
        };
        let subject = subject::change(&organization, "hubspot", "companies");
        message(subject, kind::CHANGE, organization, &change)
            .with_id(format!("change-{organization}-{number}"))
    }

    pub(crate) fn mapping(&self, action: &str) -> Message {
        let changed = MappingChanged {
            mapping: MappingId::from_uuid(Uuid::from_u128(3)),
            connection: self.connection,
            object: CanonicalObject::Company,
            vendor_object: "companies".into(),
            action: action.into(),
            field: Some("name".into()),
            settings: BTreeMap::from([("policy".into(), ("crm_wins".into(), "platform_wins".into()))]),
            at: noon(),
        };
        let subject = subject::mapping(&self.organization, "changed");
        message(subject, kind::MAPPING_CHANGED, self.organization, &changed)
            .by("user:user_00000000000000000000000000000009")
            .with_id(format!("mapping-{action}"))
    }

    pub(crate) fn record(&self, number: u128, pii: &[&str]) -> Message {
        let changed = RecordChanged {
            truncated: false,
            record: RecordId::from_uuid(Uuid::from_u128(number)),
            object: CanonicalObject::Contact,
            version: 2,
            fields: BTreeMap::from([
                ("email".into(), Value::text("personal-marker@example.org")),
                ("stage".into(), Value::text("customer")),
            ]),
            before: BTreeMap::from([("email".into(), Value::text("personal-marker-before@example.org"))]),
            pii: pii.iter().map(|&field| field.to_owned()).collect(),
            actor: "user:user_00000000000000000000000000000009".into(),
            at: noon(),
            connection: None,
        };
        let subject = subject::record(&self.organization, "contact");
        message(subject, kind::RECORD_CHANGED, self.organization, &changed)
            .with_id(format!("record-{number}"))
    }

    pub(crate) fn access(&self, action: &str) -> Message {
        let changed = AccessChanged {
            subject: AccessSubject::User,
            id: "user_00000000000000000000000000000009".into(),
            action: action.into(),
            facts: BTreeMap::from([("email".into(), "personal-marker@example.org".into())]),
            at: noon(),
        };
        let subject = subject::identity(&self.organization, "access_changed");
        message(subject, kind::ACCESS_CHANGED, self.organization, &changed)
            .with_id(format!("access-{action}"))
    }
}

pub(crate) fn message<T: Serialize>(
    subject: String,
    kind: &str,
    organization: OrganizationId,
    body: &T,
) -> Message {
    Message::json(subject, kind, "test", organization, noon(), body).unwrap()
}
