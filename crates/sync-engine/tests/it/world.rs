//! A database, a bus, identity, replicas of the sync-engine, and the connector played by the story.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use bus::{Bus, ConnectOptions, ConsumerConfig, Message, subject};
use chassis::guard::Guard;
use jiff::Timestamp;
use model::{
    ApplyWrite, CaptureProgress, ChangeEvent, ChangeKind, Clock, ConnectionChanged, ConnectionId,
    ConnectionState, FieldSchema, FieldType, Lane, ObjectSchema, OrganizationId, PicklistOption, Role,
    SchemaRefreshed, Scope, Value, WriteOutcome, Written, kind,
};
use proto::sync::{self as wire, sync_client::SyncClient};
use serde::de::DeserializeOwned;
use sync_engine::{Config, Deps, RerankerConfig};
use testkit::{Identity, ManualClock, TestDatabase, TestNats, eventually};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    Request,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};

/// What a story may wait for.
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) database_url: String,
    /// Keeps the story's database.
    _database: Option<TestDatabase>,
    pub(crate) nats: TestNats,
    pub(crate) bus: Bus,
    pub(crate) clock: ManualClock,
    organization: OrganizationId,
    /// The organization of `as_stranger`.
    pub(crate) other: OrganizationId,
    pub(crate) api: SyncClient<Channel>,
    pub(crate) connection: ConnectionId,
    /// Everything that the sync-engine said, in order.
    pub(crate) said: Arc<Mutex<Vec<Message>>>,
    channel: Channel,
}

impl World {
    /// One replica, and a connection that was authorized and whose schema was read.
    pub(crate) async fn new() -> Self {
        let world = Self::bare().await;
        world.connect(world.connection, &hubspot()).await;
        world
    }

    /// One replica and nothing else.
    pub(crate) async fn bare() -> Self {
        let filter = tracing_subscriber::EnvFilter::from_default_env();
        let logs = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer();
        // The first story of a process sets it up.
        drop(logs.try_init());
        let database = testkit::database().await;
        let url = database.url().to_owned();
        Self::on(url, Some(database)).await
    }

    /// One replica on this database.
    pub(crate) async fn on(database_url: String, database: Option<TestDatabase>) -> Self {
        let nats = testkit::nats().await;
        let bus = Bus::connect(nats.url(), ConnectOptions::named("test")).await.unwrap();
        bus.ensure_streams().await.unwrap();
        let clock = ManualClock::default();
        let organization = OrganizationId::generate(clock.now());
        let other = OrganizationId::generate(clock.now());
        let channel = serve(Server::builder().add_service(knowing(organization, other))).await;
        let said = Arc::new(Mutex::new(Vec::new()));
        for stream in [subject::EVENTS, subject::WRITES] {
            tokio::spawn(collect(bus.clone(), stream, Arc::clone(&said)));
        }
        let connection = ConnectionId::generate(clock.now());
        let api = replica(Config::new(&database_url), &nats, &clock, channel.clone()).await;
        Self {
            database_url,
            _database: database,
            nats,
            bus,
            clock,
            organization,
            other,
            api,
            connection,
            said,
            channel,
        }
    }

    /// Starts another replica.
    pub(crate) async fn start_replica(&self) -> SyncClient<Channel> {
        self.start_replica_with(None).await
    }

    /// Starts another replica that may ask this language model.
    pub(crate) async fn start_replica_with(&self, reranker: Option<RerankerConfig>) -> SyncClient<Channel> {
        self.start_replica_as(|config| Config { reranker, ..config }).await
    }

    /// Starts another replica with other settings.
    pub(crate) async fn start_replica_as(&self, set: impl FnOnce(Config) -> Config) -> SyncClient<Channel> {
        let config = set(Config::new(&self.database_url));
        replica(config, &self.nats, &self.clock, self.channel.clone()).await
    }

    /// The person behind a role, as events name them.
    pub(crate) fn actor(&self, role: Role) -> String {
        Identity::person(self.organization, role).actor
    }

    pub(crate) fn organization(&self) -> OrganizationId {
        self.organization
    }

    /// The present moment, ten seconds later than the last one.
    pub(crate) fn later(&self) -> Timestamp {
        self.clock.advance(Duration::from_secs(10));
        self.clock.now()
    }

    pub(crate) async fn publish<T: serde::Serialize>(&self, subject: String, kind: &str, body: &T) {
        let now = self.clock.now();
        let message =
            Message::json(subject, kind, "connector/hubspot", self.organization(), now, body).unwrap();
        self.bus.publish(&message).await.unwrap();
    }

    /// Authorizes a connection whose vendor has these objects, and waits until that is known.
    pub(crate) async fn connect(&self, connection: ConnectionId, objects: &[ObjectSchema]) {
        self.authorize(connection).await;
        self.describe(connection, objects).await;
        let ask = wire::ListPairsRequest { connection_id: connection.to_string() };
        eventually(SOON, "the connection and its schema", || async {
            let pairs = self.api.clone().list_pairs(by("owner", ask.clone())).await.ok()?.into_inner().pairs;
            (!pairs.is_empty()).then_some(())
        })
        .await;
    }

    pub(crate) async fn authorize(&self, connection: ConnectionId) {
        self.connection_state(connection, kind::CONNECTION_AUTHORIZED, ConnectionState::Active).await;
    }

    pub(crate) async fn connection_state(
        &self,
        connection: ConnectionId,
        kind: &str,
        state: ConnectionState,
    ) {
        let change = ConnectionChanged {
            connection: Some(connection),
            vendor: "hubspot".to_owned(),
            state: Some(state),
            account: None,
            reason: None,
            message: None,
            at: self.clock.now(),
        };
        let name = kind.rsplit('.').next().unwrap();
        self.publish(subject::connection(&self.organization(), name), kind, &change).await;
    }

    pub(crate) async fn describe(&self, connection: ConnectionId, objects: &[ObjectSchema]) {
        let schema = SchemaRefreshed {
            connection,
            vendor: "hubspot".to_owned(),
            objects: objects.to_vec(),
            part: None,
            at: self.clock.now(),
        };
        let subject = subject::schema(&self.organization(), "refreshed");
        self.publish(subject, kind::SCHEMA_REFRESHED, &schema).await;
    }

    /// Publishes changes of companies, as one batch.
    pub(crate) async fn deliver(&self, changes: &[ChangeEvent]) {
        let organization = self.organization();
        let messages: Vec<Message> = changes
            .iter()
            .map(|change| {
                let subject = subject::change(&organization, &change.vendor, &change.object);
                let now = self.clock.now();
                Message::json(subject, kind::CHANGE, "connector/hubspot", organization, now, change).unwrap()
            })
            .collect();
        self.bus.publish_batch(&messages).await.unwrap();
    }

    /// A company was edited at the vendor, later than everything before, and read by the poll.
    pub(crate) fn edited(&self, id: &str, fields: &[(&str, &str)]) -> ChangeEvent {
        let at = self.later();
        ChangeEvent {
            connection: self.connection,
            vendor: "hubspot".to_owned(),
            object: "companies".to_owned(),
            id: id.to_owned(),
            kind: ChangeKind::Upserted,
            version: at.as_millisecond(),
            changed_at: at,
            captured_at: at,
            lane: Lane::Live,
            fields: texts(fields),
            is_partial: false,
            field_times: BTreeMap::new(),
            external_id: None,
            merged_ids: Vec::new(),
            says_ours: false,
            people: None,
        }
    }

    pub(crate) async fn backfill_finished(&self, object: &str, count: u64) {
        self.backfill_finished_of(None, object, count).await;
    }

    /// A backfill ended that followed a wish of this moment.
    pub(crate) async fn backfill_finished_of(&self, asked_at: Option<Timestamp>, object: &str, count: u64) {
        let progress = CaptureProgress {
            connection: self.connection,
            vendor_object: object.to_owned(),
            read: count,
            total: count,
            at: self.clock.now(),
            asked_at,
        };
        let subject = subject::change(&self.organization(), "hubspot", object);
        self.publish(subject, kind::BACKFILL_FINISHED, &progress).await;
    }

    /// Answers a write as the connector does.
    pub(crate) async fn answer(&self, write: &ApplyWrite, outcome: WriteOutcome) {
        let answer = Written {
            write: write.id,
            connection: write.connection,
            vendor: "hubspot".to_owned(),
            object: write.object.clone(),
            mapping: write.mapping,
            link: write.link,
            record: write.record,
            at: self.clock.now(),
            outcome,
        };
        let subject = subject::written(&self.organization(), "hubspot", &write.object);
        self.publish(subject, kind::WRITTEN, &answer).await;
    }

    /// The vendor took a write as it is.
    pub(crate) async fn applied(&self, write: &ApplyWrite, vendor_id: &str) {
        let version = self.later().as_millisecond();
        let outcome = WriteOutcome::Applied {
            vendor_id: vendor_id.to_owned(),
            version,
            fields: write.fields.clone(),
            covered: BTreeMap::new(),
        };
        self.answer(write, outcome).await;
    }

    /// Messages of this kind so far, decoded.
    pub(crate) fn all<T: DeserializeOwned>(&self, kind: &str) -> Vec<T> {
        let said = self.said.lock().unwrap();
        let of_kind = said.iter().filter(|message| message.envelope.kind == kind);
        of_kind.map(|message| message.decode().unwrap()).collect()
    }

    pub(crate) fn writes(&self) -> Vec<ApplyWrite> {
        self.all(kind::WRITE)
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

    /// Waits for the write with this number, from zero.
    pub(crate) async fn write(&self, number: usize) -> ApplyWrite {
        eventually(SOON, &format!("write {number}"), || async { self.writes().into_iter().nth(number) }).await
    }

    /// Waits until everything published so far was taken in and everything that follows was said.
    pub(crate) async fn settled(&self) {
        eventually(SOON, "the consumers to be done", || async {
            for (stream, durable) in [
                (subject::CHANGES, "sync-engine"),
                (subject::EVENTS, "sync-engine-connections"),
                (subject::EVENTS, "sync-engine-attribution"),
                (subject::EVENTS, "test-EVENTS"),
                (subject::WRITES, "test-WRITES"),
            ] {
                let pending = self.bus.pending(stream, durable).await.ok()?;
                if pending.waiting + pending.unanswered > 0 {
                    return None;
                }
            }
            (self.query::<i64>("SELECT count(*) FROM outbox").await == 0).then_some(())
        })
        .await;
        // What the relay published last is in the streams; one more look empties them.
        eventually(SOON, "the last messages", || async {
            let events = self.bus.pending(subject::EVENTS, "test-EVENTS").await.ok()?;
            let writes = self.bus.pending(subject::WRITES, "test-WRITES").await.ok()?;
            (events.waiting + events.unanswered + writes.waiting + writes.unanswered == 0).then_some(())
        })
        .await;
    }

    /// A value of the room's database.
    pub(crate) async fn query<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let pool = chassis::pool(&self.database_url, "sync", 1).await.unwrap();
        let value = sqlx::query_scalar(sql).fetch_one(&pool).await.unwrap();
        pool.close().await;
        value
    }

    /// Does something to the room's database that nobody tells it of.
    pub(crate) async fn execute(&self, sql: &'static str) {
        let pool = chassis::pool(&self.database_url, "sync", 1).await.unwrap();
        sqlx::query(sql).execute(&pool).await.unwrap();
        pool.close().await;
    }

    /// The record that is linked to this vendor record.
    pub(crate) async fn find(&self, object: &str, vendor_id: &str) -> Option<wire::Record> {
        let ask = wire::ListRecordsRequest {
            object: object.to_owned(),
            vendor: "hubspot".to_owned(),
            vendor_id: vendor_id.to_owned(),
            ..wire::ListRecordsRequest::default()
        };
        self.api.clone().list_records(by("viewer", ask)).await.unwrap().into_inner().records.pop()
    }

    /// Waits until the company linked to this vendor record shows this value.
    pub(crate) async fn company_with(&self, vendor_id: &str, field: &str, value: &str) -> wire::Record {
        eventually(SOON, &format!("{vendor_id}.{field} = {value}"), || async {
            self.find("company", vendor_id).await.filter(|record| text(record, field) == value)
        })
        .await
    }

    pub(crate) async fn get(&self, id: &str) -> wire::Record {
        let ask = wire::GetRecordRequest { id: id.to_owned() };
        self.api.clone().get_record(by("viewer", ask)).await.unwrap().into_inner()
    }

    /// Edits a record as a member.
    pub(crate) async fn edit(&self, id: &str, fields: &[(&str, &str)]) -> wire::Record {
        self.later();
        let ask = wire::UpdateRecordRequest { id: id.to_owned(), fields: values(fields), if_version: None };
        self.api.clone().update_record(by("member", ask)).await.unwrap().into_inner()
    }

    /// Creates a company as a member.
    pub(crate) async fn create(&self, fields: &[(&str, &str)]) -> wire::Record {
        self.later();
        let ask = wire::CreateRecordRequest {
            object: "company".to_owned(),
            fields: values(fields),
            idempotency_key: String::new(),
        };
        self.api.clone().create_record(by("member", ask)).await.unwrap().into_inner()
    }

    pub(crate) async fn mapping(&self, id: &str) -> wire::Mapping {
        let ask = wire::MappingRequest { mapping_id: id.to_owned() };
        self.api.clone().get_mapping(by("viewer", ask)).await.unwrap().into_inner()
    }

    /// A company mapping whose suggestions are all confirmed.
    pub(crate) async fn draft(&self) -> wire::Mapping {
        let mut api = self.api.clone();
        let ask = wire::CreateMappingRequest {
            connection_id: self.connection.to_string(),
            object: "company".to_owned(),
            vendor_object: "companies".to_owned(),
        };
        let mapping = api.create_mapping(by("admin", ask)).await.unwrap().into_inner();
        let ask = wire::MappingRequest { mapping_id: mapping.id.clone() };
        api.suggest_mappings(by("admin", ask)).await.unwrap();
        let ask = wire::SetMappingRequest {
            mapping_id: mapping.id,
            confirm_all: true,
            ..wire::SetMappingRequest::default()
        };
        api.set_mapping(by("admin", ask)).await.unwrap().into_inner()
    }

    /// A company mapping that is active, with this direction and policy, before any record came.
    pub(crate) async fn active(&self, direction: &str, policy: &str) -> wire::Mapping {
        let draft = self.draft().await;
        let ask = wire::SetMappingRequest {
            mapping_id: draft.id.clone(),
            direction: Some(direction.to_owned()),
            default_policy: Some(policy.to_owned()),
            ..wire::SetMappingRequest::default()
        };
        self.api.clone().set_mapping(by("admin", ask)).await.unwrap();
        self.activate(&draft.id, 0).await
    }

    /// Has the plan made and applies it; `count` records were staged for it.
    pub(crate) async fn activate(&self, mapping: &str, count: u64) -> wire::Mapping {
        self.request_plan(mapping).await;
        self.backfill_finished("companies", count).await;
        let plan = self.plan_in(mapping, "ready").await;
        let ask = wire::ActivateRequest { mapping_id: mapping.to_owned(), plan_hash: plan.hash };
        let active = self.api.clone().activate(by("admin", ask)).await.unwrap().into_inner();
        self.plan_in(mapping, "applied").await;
        active
    }

    pub(crate) async fn request_plan(&self, mapping: &str) -> wire::Plan {
        let ask = wire::MappingRequest { mapping_id: mapping.to_owned() };
        self.api.clone().request_plan(by("admin", ask)).await.unwrap().into_inner()
    }

    /// Waits until the plan is in this state.
    pub(crate) async fn plan_in(&self, mapping: &str, state: &str) -> wire::Plan {
        let ask = wire::MappingRequest { mapping_id: mapping.to_owned() };
        eventually(SOON, &format!("the plan is {state}"), || async {
            let plan = self.api.clone().get_plan(by("viewer", ask.clone())).await.unwrap().into_inner();
            (plan.state == state).then_some(plan)
        })
        .await
    }

    pub(crate) async fn issues(&self) -> Vec<wire::Issue> {
        let ask =
            wire::ListIssuesRequest { connection_id: self.connection.to_string(), ..Default::default() };
        self.api.clone().list_issues(by("viewer", ask)).await.unwrap().into_inner().issues
    }

    pub(crate) async fn conflicts(&self) -> Vec<wire::Conflict> {
        let ask = wire::ListConflictsRequest::default();
        self.api.clone().list_conflicts(by("viewer", ask)).await.unwrap().into_inner().conflicts
    }
}

/// A request by the holder of this credential.
pub(crate) fn by<T>(credential: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer as_{credential}").parse().unwrap());
    request
}

/// A field of a record as text; empty when it is blank.
pub(crate) fn text(record: &wire::Record, field: &str) -> String {
    let value = record.fields.get(field).cloned();
    value.map(|value| Value::try_from(value).unwrap().to_string()).unwrap_or_default()
}

/// Texts as the vendor's values.
pub(crate) fn texts(fields: &[(&str, &str)]) -> BTreeMap<String, Value> {
    fields.iter().map(|(name, text)| ((*name).to_owned(), Value::text(*text))).collect()
}

/// Texts as a request's values.
pub(crate) fn values(fields: &[(&str, &str)]) -> std::collections::HashMap<String, proto::v1::Value> {
    texts(fields).iter().map(|(name, value)| (name.clone(), value.into())).collect()
}

/// A vendor's field.
pub(crate) fn field(name: &str, label: &str, field_type: FieldType) -> FieldSchema {
    FieldSchema {
        name: name.to_owned(),
        label: label.to_owned(),
        field_type,
        description: String::new(),
        options: Vec::new(),
        read_only: false,
        required: false,
        unique: false,
        custom: false,
        references: None,
    }
}

/// What the stories' vendor has.
pub(crate) fn hubspot() -> Vec<ObjectSchema> {
    let options = ["BANKING", "COMPUTER_SOFTWARE"]
        .map(|value| PicklistOption { value: value.to_owned(), label: value.to_lowercase() });
    let industry =
        FieldSchema { options: options.to_vec(), ..field("industry", "Industry", FieldType::Picklist) };
    let modified = field("hs_lastmodifieddate", "Last Modified Date", FieldType::DateTime);
    let companies = vec![
        field("name", "Company name", FieldType::Text),
        field("domain", "Company Domain Name", FieldType::Text),
        field("phone", "Phone Number", FieldType::Phone),
        field("city", "City", FieldType::Text),
        field("numberofemployees", "Number of Employees", FieldType::Number),
        industry,
        FieldSchema { read_only: true, ..modified },
    ];
    let deals = vec![
        field("dealname", "Deal Name", FieldType::Text),
        field("amount", "Amount", FieldType::Currency),
        field("closedate", "Close Date", FieldType::DateTime),
    ];
    let object = |name: &str, label: &str, fields| ObjectSchema {
        name: name.to_owned(),
        label: label.to_owned(),
        fields,
    };
    vec![object("companies", "Companies", companies), object("deals", "Deals", deals)]
}

async fn replica(
    config: Config,
    nats: &TestNats,
    clock: &ManualClock,
    identity: Channel,
) -> SyncClient<Channel> {
    let deps = Deps {
        bus: Bus::connect(nats.url(), ConnectOptions::named("sync-engine")).await.unwrap(),
        guard: Guard::new(identity),
        clock: Arc::new(clock.clone()),
        shutdown: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let running = sync_engine::start(config, deps).await.unwrap();
    SyncClient::new(serve(Server::builder().add_service(running.grpc())).await)
}

/// The credential names the role; `as_stranger` is of another organization, and `as_mapper` may see mappings and nothing else.
fn knowing(organization: OrganizationId, other: OrganizationId) -> Identity {
    Identity::new(move |credential| match credential.strip_prefix("as_")? {
        "stranger" => Some(Identity::person(other, Role::Owner)),
        "mapper" => Some(Identity::key(organization, [Scope::MappingsRead])),
        role => Some(Identity::person(organization, role.parse().ok()?)),
    })
}

async fn serve(router: tonic::transport::server::Router) -> Channel {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(router.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
    Endpoint::from_shared(address).unwrap().connect().await.unwrap()
}

async fn collect(bus: Bus, stream: &'static str, said: Arc<Mutex<Vec<Message>>>) {
    let mut consumer = bus.consumer(ConsumerConfig::new(stream, format!("test-{stream}"))).await.unwrap();
    while let Ok(batch) = consumer.next_batch().await {
        let own =
            batch.iter().map(|delivery| &delivery.message).filter(|m| m.envelope.source == "sync-engine");
        said.lock().unwrap().extend(own.cloned());
        if bus::ack_all(batch).await.is_err() {
            return;
        }
    }
}
