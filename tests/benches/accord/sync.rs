//! Our pipeline: change event in, merged record, audit entries and outbox event out, with the rooms as they are.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use bus::{Bus, Message, subject};
use chassis::guard::{Credential, Guard};
use identity::{FirstUser, NewKey};
use model::{
    CaptureProgress, Clock, ConnectionId, OrganizationId, Role, SchemaRefreshed, Scope, SystemClock, kind,
};
use proto::sync::{
    ActivateRequest, CreateMappingRequest, MappingRequest, Plan, SetFieldRequest, sync_client::SyncClient,
};
use secrecy::SecretString;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};
use tonic::transport::{Channel, Endpoint, Server, server::TcpIncoming};

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

/// The sync-engine and the audit log, which ask this guard.
pub(crate) async fn rooms_with(servers: &Servers, guard: Guard) -> Result<(Started, sync_engine::Running)> {
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

/// Rooms that run and can be asked.
pub(crate) struct Open {
    bus: Bus,
    operator: identity::Operator,
    channel: Channel,
    rooms: Started,
    identity: Started,
}

/// An organization with a connection, as people have made them: through gRPC.
pub(crate) struct Tenant {
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    bus: Bus,
    channel: Channel,
    credential: Credential,
}

/// An organization with a connection and an active mapping; the rooms are stopped again.
pub(crate) async fn seed(servers: &Servers) -> Result<Load> {
    let open = open(servers).await?;
    let load = open.tenant().await?.load();
    open.close().await;
    Ok(load)
}

/// Starts the rooms with somebody who says who may ask.
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
    started.tasks.spawn(
        serving.serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stopped),
    );
    Ok(Open { bus, operator: identity.operator(), channel, rooms, identity: started })
}

/// A loopback listener and a channel to it.
pub(crate) async fn listen() -> Result<(TcpListener, Channel)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    Ok((listener, Endpoint::from_shared(address)?.connect_lazy()))
}

impl Open {
    /// One more organization, with a connection and an active mapping.
    pub(crate) async fn tenant(&self) -> Result<Tenant> {
        let name = uuid::Uuid::now_v7();
        let owner = FirstUser {
            email: format!("owner-{name}@example.org"),
            name: "Owner".to_owned(),
            role: Role::Owner,
        };
        let name = format!("Bench {name}");
        let made = self.operator.bootstrap(&name, &[owner], Duration::from_secs(60)).await?;
        let key = NewKey {
            label: "bench".to_owned(),
            product: String::new(),
            scopes: Scope::ALL.into(),
            expires_at: None,
        };
        let key = self.operator.mint_api_key(made.organization_id, key).await?;
        let tenant = Tenant {
            organization: made.organization_id,
            connection: ConnectionId::generate(SystemClock.now()),
            bus: self.bus.clone(),
            channel: self.channel.clone(),
            credential: Credential::Bearer(key.secret),
        };
        let mapping = tenant.mapping().await?;
        tenant.plan(&mapping).await?;
        tenant.activate(&mapping).await?;
        Ok(tenant)
    }

    pub(crate) async fn close(self) {
        self.rooms.stop().await;
        self.identity.stop().await;
    }
}

impl Tenant {
    /// An organization whose rooms are asked at this address.
    pub(crate) const fn at(
        organization: OrganizationId,
        connection: ConnectionId,
        bus: Bus,
        channel: Channel,
        key: SecretString,
    ) -> Self {
        Self { organization, connection, bus, channel, credential: Credential::Bearer(key) }
    }

    pub(crate) fn load(&self) -> Load {
        Load::new(self.organization, self.connection)
    }

    pub(crate) fn sync(&self) -> SyncClient<Channel> {
        SyncClient::new(self.channel.clone())
    }

    /// A request of the organization's own key.
    pub(crate) fn request<T>(&self, body: T) -> Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(body);
        self.credential.apply(request.metadata_mut())?;
        Ok(request)
    }

    /// The same organization with another connection, of which nothing is known yet.
    pub(crate) fn with_another_connection(self) -> Self {
        Self { connection: ConnectionId::generate(SystemClock.now()), ..self }
    }

    /// A mapping of the connection, every field of it chosen.
    pub(crate) async fn mapping(&self) -> Result<String> {
        let body = SchemaRefreshed {
            connection: self.connection,
            vendor: VENDOR.to_owned(),
            objects: vec![schema()],
            part: None,
            at: SystemClock.now(),
        };
        self.say(subject::schema(&self.organization, "refreshed"), kind::SCHEMA_REFRESHED, &body).await?;
        self.map(OBJECT, &FIELDS.map(|(vendor_field, _, field)| (vendor_field, field))).await
    }

    /// A mapping of companies with these pairs of fields.
    pub(crate) async fn map(&self, vendor_object: &str, fields: &[(&str, &str)]) -> Result<String> {
        let mapping = self.create(vendor_object).await?;
        for &(vendor_field, field) in fields {
            let choice = SetFieldRequest {
                mapping_id: mapping.clone(),
                field: field.to_owned(),
                action: "choose".to_owned(),
                vendor_field: vendor_field.to_owned(),
                ..SetFieldRequest::default()
            };
            self.sync().set_field(self.request(choice)?).await?;
        }
        Ok(mapping)
    }

    /// Asks for a plan and says that everything there is has been read.
    pub(crate) async fn plan(&self, mapping: &str) -> Result<()> {
        self.request_plan(mapping).await?;
        self.all_is_read().await?;
        self.reach(mapping, "ready").await?;
        Ok(())
    }

    pub(crate) async fn request_plan(&self, mapping: &str) -> Result<()> {
        let ask = self.request(MappingRequest { mapping_id: mapping.to_owned() })?;
        self.sync().request_plan(ask).await?;
        Ok(())
    }

    pub(crate) async fn all_is_read(&self) -> Result<()> {
        let body = CaptureProgress {
            connection: self.connection,
            vendor_object: OBJECT.to_owned(),
            read: 0,
            total: 0,
            at: SystemClock.now(),
            asked_at: None,
        };
        self.say(subject::change(&self.organization, VENDOR, OBJECT), kind::BACKFILL_FINISHED, &body).await
    }

    /// Applies the plan.
    pub(crate) async fn activate(&self, mapping: &str) -> Result<()> {
        let plan_hash = self.reach(mapping, "ready").await?.hash;
        let activate = ActivateRequest { mapping_id: mapping.to_owned(), plan_hash };
        self.sync().activate(self.request(activate)?).await?;
        self.reach(mapping, "applied").await?;
        Ok(())
    }

    /// Creates the mapping as soon as the sync-engine knows the schema.
    async fn create(&self, vendor_object: &str) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let create = CreateMappingRequest {
                connection_id: self.connection.to_string(),
                object: "company".to_owned(),
                vendor_object: vendor_object.to_owned(),
            };
            match self.sync().create_mapping(self.request(create)?).await {
                Ok(mapping) => return Ok(mapping.into_inner().id),
                Err(refused) if Instant::now() > deadline => return Err(refused).context("create a mapping"),
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Waits until the plan is that far.
    pub(crate) async fn reach(&self, mapping: &str, state: &str) -> Result<Plan> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let request = self.request(MappingRequest { mapping_id: mapping.to_owned() })?;
            let plan = self.sync().get_plan(request).await?.into_inner();
            if plan.state == state {
                return Ok(plan);
            }
            ensure!(Instant::now() < deadline, "the plan stays {}", plan.state);
            // Often enough for a plan of seconds, and seldom enough that many who ask are no load.
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn say<T: serde::Serialize>(&self, subject: String, kind: &str, body: &T) -> Result<()> {
        let message =
            Message::json(subject, kind, "connector/hubspot", self.organization, SystemClock.now(), body)?;
        Ok(self.bus.publish(&message).await?)
    }
}
