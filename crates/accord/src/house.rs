//! Assembles services. `accord up` takes all of them, `accord serve` one; they are the same either way and meet over
//! gRPC and the bus only.

use std::{collections::HashSet, sync::Arc};

use anyhow::Context;
use axum::serve::ListenerExt;
use bus::{Bus, ConnectOptions};
use chassis::{Health, Readiness, guard::Guard};
use connector_hubspot::{ApiVersion, HubSpot};
use model::{Clock, SystemClock};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    service::Routes,
    transport::{Endpoint, Server, server::TcpIncoming},
};
use url::Url;
use vault::{Keyring, Vault};

use crate::cli::{self, HubSpotApiVersion, ServiceName};

/// Where everything is.
pub(crate) struct Plan {
    /// Which services run here.
    pub(crate) services: HashSet<ServiceName>,
    pub(crate) database_url: String,
    pub(crate) nats_url: String,
    pub(crate) identity_url: String,
    pub(crate) sync_url: String,
    pub(crate) audit_url: String,
    pub(crate) connector_url: String,
    pub(crate) public_api_url: Url,
    pub(crate) public_console_url: Url,
    pub(crate) csrf_secret: SecretString,
    pub(crate) keyring: Option<Keyring>,
    pub(crate) hubspot: cli::HubSpot,
    pub(crate) poll_seconds: u64,
}

/// What each kind of service listens on; several rooms share one gRPC listener.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) grpc: Option<TcpListener>,
    pub(crate) gateway: Option<TcpListener>,
    pub(crate) console: Option<TcpListener>,
    pub(crate) health: Option<TcpListener>,
}

/// Running services.
pub(crate) struct House {
    pub(crate) identity: Option<identity::Running>,
    pub(crate) health: Health,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl House {
    /// Starts the plan's services and serves them. Whoever fails to serve later ends the house.
    pub(crate) async fn start(plan: Plan, listeners: Listeners) -> anyhow::Result<Self> {
        let mut house = Self {
            identity: None,
            health: Health::new(),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        if let Some(listener) = listeners.health {
            let router = house.health.router();
            house.serve_http("health", listener, router);
        }
        if let Some(listener) = listeners.grpc {
            let routes = house.rooms(&plan).await?;
            house.serve_grpc(listener, routes);
        }
        if let Some(listener) = listeners.gateway {
            let router = gateway::app(gateway_config(&plan, &listener)?).context("start the gateway")?;
            let router =
                if listeners.console.is_some() { router.merge(house.health.router()) } else { router };
            house.serve_http("gateway", listener, router);
        }
        if let Some(listener) = listeners.console {
            let clock = Arc::new(SystemClock);
            let router = web_console::router(&console_config(&plan, &listener)?, clock)
                .context("start the console")?;
            house.serve_http("web-console", listener, router);
        }
        Ok(house)
    }

    /// Ends every service in good order.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Waits until a service ends by itself, which none should.
    pub(crate) async fn broken(&self) {
        self.shutdown.cancelled().await;
    }

    async fn rooms(&mut self, plan: &Plan) -> anyhow::Result<Routes> {
        let bus = Bus::connect(&plan.nats_url, ConnectOptions::named("accord")).await?;
        bus.ensure_streams().await?;
        let identity_channel = Endpoint::from_shared(plan.identity_url.clone())
            .context("read the address of identity")?
            .connect_lazy();
        let guard = Guard::new(identity_channel);
        let revocations = identity::Revocations::subscribe(&bus).await?;
        self.tasks.spawn(revocations.tell(guard.clone(), self.shutdown.clone()));
        let watch = (bus.clone(), self.shutdown.clone());
        self.tasks.spawn(async move {
            if let Err(error) = watch.0.run_dead_letter_watch(watch.1).await {
                tracing::error!(%error, "nobody watches for messages that were delivered too often");
            }
        });
        let mut routes = Routes::builder();
        let (reporter, health) = tonic_health::server::health_reporter();
        routes.add_service(health);
        routes.add_service(reflection().build_v1().context("describe the services")?);
        routes.add_service(reflection().build_v1alpha().context("describe the services")?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        if plan.services.contains(&ServiceName::Identity) {
            let deps = identity::Deps {
                bus: bus.clone(),
                guard: Some(guard.clone()),
                shutdown: self.shutdown.clone(),
                tasks: self.tasks.clone(),
                health: self.health.clone(),
            };
            let running =
                identity::start(identity::Config::new(&plan.database_url), deps, clock.clone()).await?;
            routes.add_service(running.grpc());
            reporter
                .set_service_status("accord.identity.v1.Identity", tonic_health::ServingStatus::Serving)
                .await;
            self.identity = Some(running);
        }
        if plan.services.contains(&ServiceName::SyncEngine) {
            let deps = sync_engine::Deps {
                bus: bus.clone(),
                guard: guard.clone(),
                clock: clock.clone(),
                shutdown: self.shutdown.clone(),
                tasks: self.tasks.clone(),
            };
            let running = sync_engine::start(sync_engine::Config::new(&plan.database_url), deps).await?;
            routes.add_service(running.grpc());
            reporter.set_service_status("accord.sync.v1.Sync", tonic_health::ServingStatus::Serving).await;
            self.health.set("sync-engine", Readiness::Ready);
        }
        if plan.services.contains(&ServiceName::Audit) {
            let deps = audit::Deps {
                bus: bus.clone(),
                guard: guard.clone(),
                clock: clock.clone(),
                shutdown: self.shutdown.clone(),
                tasks: self.tasks.clone(),
            };
            let running = audit::start(audit::Config::new(&plan.database_url), deps).await?;
            routes.add_service(running.grpc());
            reporter.set_service_status("accord.audit.v1.Audit", tonic_health::ServingStatus::Serving).await;
            self.health.set("audit", Readiness::Ready);
        }
        if plan.services.contains(&ServiceName::ConnectorHubspot) {
            let running = self.connectors(plan, bus, guard, clock).await?;
            routes.add_service(running.grpc());
            let name = "accord.connections.v1.Connections";
            reporter.set_service_status(name, tonic_health::ServingStatus::Serving).await;
        }
        Ok(routes.routes())
    }

    async fn connectors(
        &self,
        plan: &Plan,
        bus: Bus,
        guard: Guard,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<connector::Running> {
        let keyring = plan.keyring.clone().context("read the encryption keys: set ACCORD_VAULT_KEYS")?;
        let mut config = connector::Config::new(
            &plan.database_url,
            plan.public_api_url.clone(),
            plan.public_console_url.clone(),
        );
        config.poll_interval = std::time::Duration::from_secs(plan.poll_seconds);
        config.poll_interval_min = config.poll_interval_min.min(config.poll_interval);
        let deps = connector::Deps {
            bus,
            guard,
            vault: Arc::new(Vault::new(keyring)),
            clock,
            connectors: vec![Arc::new(HubSpot::new(hubspot_config(&plan.hubspot)))],
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
            health: self.health.clone(),
        };
        Ok(connector::start(config, deps).await?)
    }

    fn serve_grpc(&self, listener: TcpListener, routes: Routes) {
        let shutdown = self.shutdown.clone();
        let served = Server::builder().add_routes(routes).serve_with_incoming_shutdown(
            TcpListenerStream::new(listener),
            shutdown.clone().cancelled_owned(),
        );
        self.tasks.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "gRPC is no longer served");
                shutdown.cancel();
            }
        });
    }

    fn serve_http(&self, name: &'static str, listener: TcpListener, router: axum::Router) {
        let shutdown = self.shutdown.clone();
        self.health.set(name, Readiness::Ready);
        let app = router.into_make_service_with_connect_info::<std::net::SocketAddr>();
        let listener = listener.tap_io(|connection| {
            // A connection that refuses the option answers all the same, only later.
            let _ = connection.set_nodelay(true);
        });
        let served = axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        self.tasks.spawn(async move {
            // A browser that keeps a connection open must not keep the house from ending.
            let ended = tokio::select! {
                ended = async { served.await } => ended,
                () = async { shutdown.cancelled().await; tokio::time::sleep(std::time::Duration::from_secs(2)).await } => Ok(()),
            };
            if let Err(error) = ended {
                tracing::error!(%error, service = name, "HTTP is no longer served");
                shutdown.cancel();
            }
        });
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

fn hubspot_config(hubspot: &cli::HubSpot) -> connector_hubspot::Config {
    let is_real = hubspot.api_url.host_str() == Some("api.hubapi.com");
    let app_url = hubspot.app_url.clone().unwrap_or_else(|| {
        if is_real {
            Url::parse("https://app.hubspot.com").unwrap_or_else(|_| hubspot.api_url.clone())
        } else {
            hubspot.api_url.clone()
        }
    });
    connector_hubspot::Config {
        client_id: hubspot.client_id.clone(),
        client_secret: hubspot.client_secret.clone(),
        base_url: hubspot.api_url.clone(),
        app_url,
        api_version: match hubspot.api_version {
            HubSpotApiVersion::Classic => ApiVersion::Classic,
            HubSpotApiVersion::March2026 => ApiVersion::March2026,
        },
    }
}

fn gateway_config(plan: &Plan, listener: &TcpListener) -> anyhow::Result<gateway::Config> {
    Ok(gateway::Config {
        listen: listener.local_addr()?,
        identity_url: plan.identity_url.clone(),
        sync_url: plan.sync_url.clone(),
        audit_url: plan.audit_url.clone(),
        connections_url: plan.connector_url.clone(),
        public_api_url: plan.public_api_url.clone(),
        public_console_url: plan.public_console_url.clone(),
        cors_origins: Vec::new(),
    })
}

fn console_config(plan: &Plan, listener: &TcpListener) -> anyhow::Result<web_console::Config> {
    Ok(web_console::Config {
        listen: listener.local_addr()?,
        public_url: plan.public_console_url.clone(),
        gateway_url: plan.public_api_url.clone(),
        identity_url: plan.identity_url.clone(),
        connections_url: plan.connector_url.clone(),
        sync_url: plan.sync_url.clone(),
        audit_url: plan.audit_url.clone(),
        csrf_secret: plan.csrf_secret.clone(),
    })
}
