//! Assembles services. `accord up` takes all of them, `accord serve` one; they are the same either way and meet over
//! gRPC and the bus only.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use axum::serve::ListenerExt;
use bus::{Bus, ConnectOptions};
use chassis::{Health, Readiness, guard::Guard};
use connector_google_calendar::GoogleCalendar;
use connector_hubspot::{ApiVersion, HubSpot};
use connector_m365::M365;
use connector_salesforce::Salesforce;
use connector_slack::Slack;
use model::{Clock, SystemClock};
use proto::{
    attribution::attribution_server, audit::audit_server, connections::connections_server, crm::crm_server,
    identity::identity_server, sync::sync_server,
};
use secrecy::SecretString;
use tokio::{net::TcpListener, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{
    service::{Routes, RoutesBuilder},
    transport::{Endpoint, Server, server::TcpIncoming},
};
use tonic_health::server::HealthReporter;
use url::Url;
use vault::{Keyring, Vault};

use crate::{
    cli::{self, HubSpotApiVersion, ServiceName},
    doors::Doors,
    readiness::Watch,
};

/// How long a connection that a browser keeps open may hold up the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
/// How long to wait before the watch for dead letters is started again.
const PAUSE: Duration = Duration::from_secs(2);

/// Where everything is.
pub(crate) struct Plan {
    /// Which services run here.
    pub(crate) services: HashSet<ServiceName>,
    pub(crate) database_url: String,
    pub(crate) nats_url: String,
    pub(crate) identity_url: String,
    pub(crate) sync_url: String,
    pub(crate) audit_url: String,
    pub(crate) attribution_url: String,
    pub(crate) crm_url: String,
    pub(crate) connector_url: String,
    pub(crate) public_api_url: Url,
    pub(crate) public_console_url: Url,
    pub(crate) trusted_proxy: bool,
    pub(crate) csrf_secret: SecretString,
    pub(crate) visitor_secret: SecretString,
    pub(crate) public_api: cli::PublicApi,
    pub(crate) keyring: Option<Keyring>,
    pub(crate) hubspot: cli::HubSpot,
    pub(crate) salesforce: cli::Salesforce,
    pub(crate) slack: cli::Slack,
    pub(crate) m365: cli::M365,
    pub(crate) google: cli::Google,
    pub(crate) reranker: cli::Reranker,
    pub(crate) poll_seconds: u64,
    pub(crate) association_seconds: u64,
    /// For how many days the sync-engine keeps what is not history.
    pub(crate) keep_days: u32,
}

/// What each kind of service listens on; several rooms share one gRPC listener.
#[derive(Default)]
pub(crate) struct Listeners {
    pub(crate) grpc: Option<TcpListener>,
    pub(crate) gateway: Option<TcpListener>,
    pub(crate) console: Option<TcpListener>,
    pub(crate) health: Option<TcpListener>,
}

/// What seals the secrets of this process's rooms.
fn vault(plan: &Plan) -> anyhow::Result<Arc<Vault>> {
    let keyring = plan.keyring.clone().context("read the encryption keys: set ACCORD_VAULT_KEYS")?;
    Ok(Arc::new(Vault::new(keyring)))
}

/// What the rooms of a process share.
struct Shared {
    bus: Bus,
    guard: Guard,
    clock: Arc<dyn Clock>,
    reporter: HealthReporter,
}

/// Running services.
pub(crate) struct House {
    pub(crate) identity: Option<identity::Running>,
    pub(crate) health: Health,
    /// Where it has rooms.
    bus: Option<Bus>,
    shutdown: CancellationToken,
    tasks: TaskTracker,
}

impl Drop for House {
    /// A start that is given up, or fails half way, leaves nothing running.
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl House {
    /// Starts the plan's services and serves them. Whoever fails to serve later ends the house.
    pub(crate) async fn start(plan: Plan, listeners: Listeners) -> anyhow::Result<Self> {
        let mut house = Self {
            identity: None,
            health: Health::new(),
            bus: None,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        };
        for service in &plan.services {
            house.health.set(service.name(), Readiness::NotReady("it is starting".to_owned()));
        }
        if let Some(listener) = listeners.health {
            let router = house.health.router();
            house.serve_http("health", listener, router);
        }
        if let Some(listener) = listeners.grpc {
            let routes = house.rooms(&plan).await?;
            house.serve_grpc(listener, routes);
        }
        let mut doors = Vec::new();
        if let Some(listener) = listeners.gateway {
            let router = gateway::app(gateway_config(&plan)).context("start the gateway")?;
            let router =
                if listeners.console.is_some() { router.merge(house.health.router()) } else { router };
            house.serve_http(ServiceName::Gateway.name(), listener, router);
            doors.push(ServiceName::Gateway.name());
        }
        if let Some(listener) = listeners.console {
            let clock = Arc::new(SystemClock);
            let router = web_console::router(&console_config(&plan), clock).context("start the console")?;
            house.serve_http(ServiceName::WebConsole.name(), listener, router);
            doors.push(ServiceName::WebConsole.name());
        }
        if !doors.is_empty() {
            let doors = Doors::try_new(&plan, doors, house.health.clone())?;
            doors.tell().await;
            house.tasks.spawn(doors.run(house.shutdown.clone()));
        }
        Ok(house)
    }

    /// Ends every service in good order.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        if let Some(bus) = &self.bus {
            bus.close().await;
        }
    }

    /// Waits until a service ends by itself, which none should.
    pub(crate) async fn broken(&self) {
        self.shutdown.cancelled().await;
    }

    async fn rooms(&mut self, plan: &Plan) -> anyhow::Result<Routes> {
        let mut routes = Routes::builder();
        let (reporter, grpc_health) = tonic_health::server::health_reporter();
        routes.add_service(grpc_health);
        routes.add_service(reflection().build_v1().context("describe the services")?);
        routes.add_service(reflection().build_v1alpha().context("describe the services")?);
        let shared = self.shared(plan, reporter).await?;
        if plan.services.contains(&ServiceName::Identity) {
            self.identity(plan, &shared, &mut routes).await?;
        }
        if plan.services.contains(&ServiceName::SyncEngine) {
            self.sync_engine(plan, &shared, &mut routes).await?;
        }
        if plan.services.contains(&ServiceName::Audit) {
            self.audit(plan, &shared, &mut routes).await?;
        }
        if plan.services.contains(&ServiceName::Attribution) {
            self.attribution(plan, &shared, &mut routes).await?;
        }
        if plan.services.contains(&ServiceName::Crm) {
            self.crm(plan, &shared, &mut routes).await?;
        }
        if plan.services.contains(&ServiceName::Connectors) {
            self.connectors(plan, &shared, &mut routes).await?;
        }
        Ok(routes.routes())
    }

    /// Connects to what the rooms of this process share, and starts what each process needs once.
    async fn shared(&mut self, plan: &Plan, reporter: HealthReporter) -> anyhow::Result<Shared> {
        let bus = Bus::connect(&plan.nats_url, ConnectOptions::named("accord")).await?;
        self.bus = Some(bus.clone());
        bus.ensure_streams().await?;
        let identity = Endpoint::from_shared(plan.identity_url.clone())
            .context("read the address of identity")?
            .connect_lazy();
        let guard = Guard::new(identity);
        let revocations = identity::Revocations::subscribe(&bus).await?;
        self.tasks.spawn(revocations.tell(guard.clone(), self.shutdown.clone()));
        self.tasks.spawn(watch_dead_letters(bus.clone(), self.shutdown.clone()));
        Ok(Shared { bus, guard, clock: Arc::new(SystemClock), reporter })
    }

    async fn identity(
        &mut self,
        plan: &Plan,
        shared: &Shared,
        routes: &mut RoutesBuilder,
    ) -> anyhow::Result<()> {
        let deps = identity::Deps {
            bus: shared.bus.clone(),
            guard: Some(shared.guard.clone()),
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        };
        let config = identity::Config::new(&plan.database_url);
        let running = identity::start(config, deps, Arc::clone(&shared.clock)).await?;
        routes.add_service(running.grpc());
        self.identity = Some(running.clone());
        let ready = move || {
            let running = running.clone();
            async move { running.readiness().await }
        };
        self.watch(ServiceName::Identity, identity_server::SERVICE_NAME, shared, ready).await;
        Ok(())
    }

    async fn sync_engine(
        &self,
        plan: &Plan,
        shared: &Shared,
        routes: &mut RoutesBuilder,
    ) -> anyhow::Result<()> {
        let deps = sync_engine::Deps {
            bus: shared.bus.clone(),
            guard: shared.guard.clone(),
            clock: Arc::clone(&shared.clock),
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        };
        let mut config = sync_engine::Config::new(&plan.database_url);
        config.reranker = reranker_config(&plan.reranker);
        config.keep_days = plan.keep_days;
        let running = sync_engine::start(config, deps).await?;
        routes.add_service(running.grpc());
        let ready = move || {
            let running = running.clone();
            async move { running.readiness().await }
        };
        self.watch(ServiceName::SyncEngine, sync_server::SERVICE_NAME, shared, ready).await;
        Ok(())
    }

    async fn audit(&self, plan: &Plan, shared: &Shared, routes: &mut RoutesBuilder) -> anyhow::Result<()> {
        let deps = audit::Deps {
            bus: shared.bus.clone(),
            guard: shared.guard.clone(),
            clock: Arc::clone(&shared.clock),
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        };
        let running = audit::start(audit::Config::new(&plan.database_url), deps).await?;
        routes.add_service(running.grpc());
        let ready = move || {
            let running = running.clone();
            async move { running.readiness().await }
        };
        self.watch(ServiceName::Audit, audit_server::SERVICE_NAME, shared, ready).await;
        Ok(())
    }

    async fn attribution(
        &self,
        plan: &Plan,
        shared: &Shared,
        routes: &mut RoutesBuilder,
    ) -> anyhow::Result<()> {
        let mut config = attribution::Config::new(&plan.database_url);
        config.private_webhooks = plan.public_api.private_webhooks;
        let deps = attribution::Deps {
            bus: shared.bus.clone(),
            guard: shared.guard.clone(),
            vault: vault(plan)?,
            clock: Arc::clone(&shared.clock),
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        };
        let running = attribution::start(config, deps).await?;
        routes.add_service(running.grpc());
        routes.add_service(running.conversion_rules());
        routes.add_service(running.ingest_urls());
        let ready = move || {
            let running = running.clone();
            async move { running.readiness().await }
        };
        self.watch(ServiceName::Attribution, attribution_server::SERVICE_NAME, shared, ready).await;
        Ok(())
    }

    async fn crm(&self, plan: &Plan, shared: &Shared, routes: &mut RoutesBuilder) -> anyhow::Result<()> {
        let deps = crm::Deps {
            bus: shared.bus.clone(),
            guard: shared.guard.clone(),
            clock: Arc::clone(&shared.clock),
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        };
        let running =
            crm::start(crm::Config::new(&plan.database_url, plan.public_api_url.as_str()), deps).await?;
        routes.add_service(running.grpc());
        let ready = move || {
            let running = running.clone();
            async move { running.readiness().await }
        };
        self.watch(ServiceName::Crm, crm_server::SERVICE_NAME, shared, ready).await;
        Ok(())
    }

    async fn connectors(
        &self,
        plan: &Plan,
        shared: &Shared,
        routes: &mut RoutesBuilder,
    ) -> anyhow::Result<()> {
        let mut config = connector::Config::new(
            &plan.database_url,
            plan.public_api_url.clone(),
            plan.public_console_url.clone(),
        );
        config.poll_interval = Duration::from_secs(plan.poll_seconds);
        config.quiet_interval = Duration::from_secs(plan.association_seconds);
        config.poll_interval_min = config.poll_interval_min.min(config.poll_interval);
        let deps = connector::Deps {
            bus: shared.bus.clone(),
            guard: shared.guard.clone(),
            vault: vault(plan)?,
            clock: Arc::clone(&shared.clock),
            connectors: vec![
                Arc::new(HubSpot::new(hubspot_config(&plan.hubspot))),
                Arc::new(Salesforce::try_new(salesforce_config(&plan.salesforce))?),
                Arc::new(Slack::new(slack_config(&plan.slack))),
                Arc::new(M365::new(m365_config(&plan.m365))),
                Arc::new(GoogleCalendar::new(google_config(&plan.google)?)),
            ],
            shutdown: self.shutdown.clone(),
            tasks: self.tasks.clone(),
        };
        let running = connector::start(config, deps).await?;
        routes.add_service(running.grpc());
        let ready = move || {
            let running = running.clone();
            async move { running.readiness().await }
        };
        self.watch(ServiceName::Connectors, connections_server::SERVICE_NAME, shared, ready).await;
        Ok(())
    }

    /// Tells how a room is, now and from now on.
    async fn watch<F>(
        &self,
        service: ServiceName,
        grpc: &'static str,
        shared: &Shared,
        database: impl Fn() -> F + Send + 'static,
    ) where
        F: Future<Output = Readiness> + Send + 'static,
    {
        let watch = Watch {
            name: service.name(),
            grpc,
            bus: shared.bus.clone(),
            health: self.health.clone(),
            reporter: shared.reporter.clone(),
        };
        watch.tell(database().await).await;
        self.tasks.spawn(watch.run(database, self.shutdown.clone()));
    }

    fn serve_grpc(&self, listener: TcpListener, routes: Routes) {
        let shutdown = self.shutdown.clone();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        let served = Server::builder()
            .add_routes(routes)
            .serve_with_incoming_shutdown(incoming, shutdown.clone().cancelled_owned());
        self.tasks.spawn(async move {
            if let Err(error) = served.await {
                tracing::error!(%error, "gRPC is no longer served");
                shutdown.cancel();
            }
        });
    }

    fn serve_http(&self, name: &'static str, listener: TcpListener, router: axum::Router) {
        let shutdown = self.shutdown.clone();
        let app = router.into_make_service_with_connect_info::<SocketAddr>();
        let listener = listener.tap_io(|connection| {
            // A connection that refuses the option answers all the same, only later.
            let _ = connection.set_nodelay(true);
        });
        let served = axum::serve(listener, app).with_graceful_shutdown(shutdown.clone().cancelled_owned());
        self.tasks.spawn(async move {
            let patience = async {
                shutdown.cancelled().await;
                sleep(LAST_ANSWERS).await;
            };
            let ended = tokio::select! {
                ended = async { served.await } => ended,
                () = patience => Ok(()),
            };
            if let Err(error) = ended {
                tracing::error!(%error, service = name, "HTTP is no longer served");
                shutdown.cancel();
            }
        });
    }
}

/// Buries what was delivered too often. A bus that fails is asked again.
async fn watch_dead_letters(bus: Bus, shutdown: CancellationToken) {
    while let Err(error) = bus.run_dead_letter_watch(shutdown.clone()).await {
        tracing::warn!(%error, "the watch for messages that were delivered too often starts again");
        if shutdown.run_until_cancelled(sleep(PAUSE)).await.is_none() {
            return;
        }
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

fn salesforce_config(salesforce: &cli::Salesforce) -> connector_salesforce::Config {
    connector_salesforce::Config {
        client_id: salesforce.consumer_key.clone(),
        client_secret: salesforce.consumer_secret.clone(),
        login_url: salesforce.login_url.clone(),
        pubsub_url: salesforce.pubsub_url.clone(),
        pubsub_authority: None,
        longest_silence: Duration::from_secs(salesforce.silence_seconds),
        bulk_from: salesforce.bulk_from,
    }
}

fn slack_config(slack: &cli::Slack) -> connector_slack::Config {
    connector_slack::Config {
        client_id: slack.client_id.clone(),
        client_secret: slack.client_secret.clone(),
        signing_secret: slack.signing_secret.clone(),
        base_url: slack.url.clone(),
    }
}

fn m365_config(m365: &cli::M365) -> connector_m365::Config {
    connector_m365::Config {
        client_id: m365.client_id.clone(),
        client_secret: m365.client_secret.clone(),
        login_url: m365.login_url.clone(),
        graph_url: m365.graph_url.clone(),
    }
}

fn google_config(google: &cli::Google) -> anyhow::Result<connector_google_calendar::Config> {
    let (id, secret) = (google.google_client_id.clone(), google.google_client_secret.clone());
    Ok(match &google.google_url {
        Some(url) => connector_google_calendar::Config::at(url, id, secret),
        None => connector_google_calendar::Config::try_google(id, secret)?,
    })
}

fn reranker_config(reranker: &cli::Reranker) -> Option<sync_engine::RerankerConfig> {
    Some(sync_engine::RerankerConfig {
        url: reranker.rerank_url.clone()?,
        key: reranker.rerank_key.clone(),
        model: reranker.rerank_model.clone()?,
        timeout: Duration::from_secs(reranker.rerank_seconds),
    })
}

fn gateway_config(plan: &Plan) -> gateway::Config {
    let cli::PublicApi { key_requests, key_window_seconds, identify_requests, cookie_domain, .. } =
        plan.public_api.clone();
    gateway::Config {
        identity_url: plan.identity_url.clone(),
        sync_url: plan.sync_url.clone(),
        audit_url: plan.audit_url.clone(),
        attribution_url: plan.attribution_url.clone(),
        crm_url: plan.crm_url.clone(),
        connections_url: plan.connector_url.clone(),
        public_api_url: plan.public_api_url.clone(),
        public_console_url: plan.public_console_url.clone(),
        cookie_domain,
        key_budget: gateway::Budget {
            requests: key_requests,
            window: Duration::from_secs(key_window_seconds),
        },
        identify_budget: gateway::Budget { requests: identify_requests, ..gateway::Budget::OF_AN_ADDRESS },
        trusted_proxy: plan.trusted_proxy,
        visitor_secret: plan.visitor_secret.clone(),
    }
}

fn console_config(plan: &Plan) -> web_console::Config {
    web_console::Config {
        public_url: plan.public_console_url.clone(),
        gateway_url: plan.public_api_url.clone(),
        identity_url: plan.identity_url.clone(),
        connections_url: plan.connector_url.clone(),
        sync_url: plan.sync_url.clone(),
        audit_url: plan.audit_url.clone(),
        attribution_url: plan.attribution_url.clone(),
        crm_url: plan.crm_url.clone(),
        trusted_proxy: plan.trusted_proxy,
        csrf_secret: plan.csrf_secret.clone(),
        answered_within: web_console::Config::ANSWERED_WITHIN,
    }
}
