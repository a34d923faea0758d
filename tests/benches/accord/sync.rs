//! Our pipeline: change event in, merged record, audit entries and outbox event out, with the rooms as they are.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use bus::{Bus, Message, subject};
use chassis::guard::{Credential, Guard};
use identity::{FirstUser, NewKey};
use jiff::Timestamp;
use model::{
    CaptureProgress, Clock, ConnectionId, OrganizationId, Role, SchemaRefreshed, Scope, SystemClock, kind,
};
use proto::sync::{
    ActivateRequest, CreateMappingRequest, MappingRequest, SetFieldRequest, sync_client::SyncClient,
};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Endpoint, Server};

use crate::{
    load::{FIELDS, Load, OBJECT, VENDOR, schema},
    servers::Servers,
    stage::Started,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Starts the sync-engine and the audit log.
pub(crate) async fn start(servers: &Servers) -> Result<Started> {
    let (started, _) = rooms(servers).await?;
    Ok(started)
}

async fn rooms(servers: &Servers) -> Result<(Started, sync_engine::Running)> {
    // Nobody calls the rooms while they are measured: the guard is asked at seeding only.
    rooms_with(servers, Guard::new(Endpoint::from_static("http://127.0.0.1:1").connect_lazy())).await
}

async fn rooms_with(servers: &Servers, guard: Guard) -> Result<(Started, sync_engine::Running)> {
    let started = Started::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let deps = sync_engine::Deps {
        bus: servers.bus("sync-engine").await?,
        guard: guard.clone(),
        clock: Arc::clone(&clock),
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    let sync = sync_engine::start(sync_engine::Config::new(servers.postgres.url()), deps).await?;
    let deps = audit::Deps {
        bus: servers.bus("audit").await?,
        guard,
        clock,
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    audit::start(audit::Config::new(servers.postgres.url()), deps).await?;
    Ok((started, sync))
}

/// Waits until every room has handled every message.
pub(crate) async fn finish(_servers: &Servers, bus: &Bus) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for (stream, durable) in
        [(subject::CHANGES, "sync-engine"), (subject::CHANGES, "audit"), (subject::EVENTS, "audit")]
    {
        loop {
            let pending = bus.pending(stream, durable).await?;
            if pending.waiting == 0 && pending.unanswered == 0 {
                break;
            }
            ensure!(Instant::now() < deadline, "{durable} does not finish {stream}");
            sleep(Duration::from_millis(5)).await;
        }
    }
    Ok(())
}

/// Rooms with an organization, a connection and an active mapping.
pub(crate) struct Open {
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) channel: Channel,
    credential: Credential,
    rooms: Started,
    identity: Started,
}

impl Open {
    /// A request of the organization's own key.
    pub(crate) fn request<T>(&self, body: T) -> Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(body);
        self.credential.apply(request.metadata_mut())?;
        Ok(request)
    }

    pub(crate) async fn close(self) {
        self.rooms.stop().await;
        self.identity.stop().await;
    }
}

/// An organization with a connection and an active mapping; the rooms are stopped again.
pub(crate) async fn seed(servers: &Servers) -> Result<Load> {
    let open = open(servers).await?;
    let load = Load::new(open.organization, open.connection);
    open.close().await;
    Ok(load)
}

/// An organization with a connection and an active mapping, made as people make them: through gRPC.
pub(crate) async fn open(servers: &Servers) -> Result<Open> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bus = servers.bus("seed").await?;
    let started = Started::default();
    let deps = identity::Deps {
        bus: bus.clone(),
        guard: None,
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    let identity =
        identity::start(identity::Config::new(servers.postgres.url()), deps, Arc::clone(&clock)).await?;
    let (listener, channel) = listen().await?;
    let guard = Guard::new(channel.clone());
    let (rooms, sync) = rooms_with(servers, guard).await?;
    let serving = Server::builder().add_service(identity.grpc()).add_service(sync.grpc());
    let stopped = started.shutdown.clone().cancelled_owned();
    started.tasks.spawn(serving.serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped));
    let owner =
        FirstUser { email: "owner@example.org".to_owned(), name: "Owner".to_owned(), role: Role::Owner };
    let organization =
        identity.operator().bootstrap("Bench", &[owner], Duration::from_secs(60)).await?.organization_id;
    let key = NewKey {
        label: "bench".to_owned(),
        product: String::new(),
        scopes: Scope::ALL.into(),
        expires_at: None,
    };
    let key = identity.operator().mint_api_key(organization, key).await?;
    let connection = ConnectionId::generate(clock.now());
    let credential = Credential::Bearer(key.secret);
    let seeder =
        Seeder { bus, channel: channel.clone(), credential: credential.clone(), organization, connection };
    seeder.activate(clock.now()).await?;
    Ok(Open { organization, connection, channel, credential, rooms, identity: started })
}

/// A loopback listener and a channel to it.
pub(crate) async fn listen() -> Result<(TcpListener, Channel)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    Ok((listener, Endpoint::from_shared(address)?.connect_lazy()))
}

struct Seeder {
    bus: Bus,
    channel: Channel,
    credential: Credential,
    organization: OrganizationId,
    connection: ConnectionId,
}

impl Seeder {
    async fn activate(&self, now: Timestamp) -> Result<()> {
        let body = SchemaRefreshed {
            connection: self.connection,
            vendor: VENDOR.to_owned(),
            objects: vec![schema()],
            at: now,
        };
        let place = subject::schema(&self.organization, "refreshed");
        let message =
            Message::json(place, kind::SCHEMA_REFRESHED, "connector", self.organization, now, &body)?;
        self.bus.publish(&message).await?;
        let mapping = self.create().await?;
        let mut sync = SyncClient::new(self.channel.clone());
        for (vendor_field, _, field) in FIELDS {
            let choice = SetFieldRequest {
                mapping_id: mapping.clone(),
                field: field.to_owned(),
                action: "choose".to_owned(),
                vendor_field: vendor_field.to_owned(),
                ..SetFieldRequest::default()
            };
            sync.set_field(self.request(choice)?).await?;
        }
        sync.request_plan(self.request(MappingRequest { mapping_id: mapping.clone() })?).await?;
        let body = CaptureProgress {
            connection: self.connection,
            vendor_object: OBJECT.to_owned(),
            read: 0,
            total: 0,
            at: now,
        };
        let place = subject::change(&self.organization, VENDOR, OBJECT);
        let message = Message::json(
            place,
            kind::BACKFILL_FINISHED,
            "connector/hubspot",
            self.organization,
            now,
            &body,
        )?;
        self.bus.publish(&message).await?;
        let hash = self.plan(&mapping, "ready").await?;
        let activate = ActivateRequest { mapping_id: mapping.clone(), plan_hash: hash };
        sync.activate(self.request(activate)?).await?;
        self.plan(&mapping, "applied").await?;
        Ok(())
    }

    /// Creates the mapping as soon as the sync-engine knows the schema.
    async fn create(&self) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut sync = SyncClient::new(self.channel.clone());
        loop {
            let create = CreateMappingRequest {
                connection_id: self.connection.to_string(),
                object: "company".to_owned(),
                vendor_object: OBJECT.to_owned(),
            };
            match sync.create_mapping(self.request(create)?).await {
                Ok(mapping) => return Ok(mapping.into_inner().id),
                Err(refused) if Instant::now() > deadline => return Err(refused).context("create a mapping"),
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Waits until the plan is that far and returns its hash.
    async fn plan(&self, mapping: &str, state: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut sync = SyncClient::new(self.channel.clone());
        loop {
            let request = self.request(MappingRequest { mapping_id: mapping.to_owned() })?;
            let plan = sync.get_plan(request).await?.into_inner();
            if plan.state == state {
                return Ok(plan.hash);
            }
            ensure!(Instant::now() < deadline, "the plan stays {}", plan.state);
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn request<T>(&self, body: T) -> Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(body);
        self.credential.apply(request.metadata_mut())?;
        Ok(request)
    }
}
