//! `accord serve <service>`: one service in one process.

use std::{collections::HashSet, process::ExitCode};

use anyhow::{Context, bail};
use chassis::{Health, Readiness, Shutdown};
use tokio::net::TcpListener;
use vault::Keyring;

use crate::{
    cli::{Serve, ServiceName},
    house::{House, Listeners, Plan},
};

pub(crate) async fn run(serve: Serve) -> anyhow::Result<ExitCode> {
    let telemetry = chassis::telemetry::init(&chassis::telemetry::TelemetryConfig {
        service: format!("accord-{}", serve.service.name()),
        otlp_endpoint: serve.telemetry.otlp_endpoint.clone().filter(|endpoint| !endpoint.is_empty()),
        json_logs: serve.telemetry.log_json,
        filter: serve.telemetry.log.clone(),
    })?;
    let listener =
        TcpListener::bind(serve.listen).await.with_context(|| format!("listen on {}", serve.listen))?;
    let shutdown = Shutdown::new();
    let health = TcpListener::bind(serve.health_listen)
        .await
        .with_context(|| format!("listen on {}", serve.health_listen))?;
    match serve.service {
        ServiceName::SandboxHubspot => return sandbox_hubspot(serve, listener, health, &shutdown).await,
        ServiceName::SandboxSalesforce => {
            return sandbox_salesforce(serve, listener, health, &shutdown).await;
        }
        ServiceName::SandboxSlack => return sandbox_slack(serve, listener, health, &shutdown).await,
        ServiceName::SandboxGoogle => return sandbox_google(serve, listener, health, &shutdown).await,
        ServiceName::SandboxMicrosoft => return sandbox_microsoft(serve, listener, health, &shutdown).await,
        _ => {}
    }
    let mut listeners = Listeners { health: Some(health), ..Listeners::default() };
    match serve.service {
        ServiceName::Gateway => listeners.gateway = Some(listener),
        ServiceName::WebConsole => listeners.console = Some(listener),
        _ => listeners.grpc = Some(listener),
    }
    let house = House::start(plan(serve)?, listeners).await?;
    tokio::select! {
        signal = chassis::signalled(&shutdown) => signal?,
        () = house.broken() => bail!("keep the service running; its log says why"),
    }
    house.stop().await;
    telemetry.flush();
    Ok(ExitCode::SUCCESS)
}

/// The sandbox knows nothing of the house, so it is served beside it.
async fn sandbox_hubspot(
    serve: Serve,
    listener: TcpListener,
    health_listener: TcpListener,
    shutdown: &Shutdown,
) -> anyhow::Result<ExitCode> {
    let mut settings = sandbox::hubspot::Settings::default();
    if !serve.hubspot.client_id.is_empty() {
        settings.client_id = serve.hubspot.client_id;
        settings.client_secret =
            secrecy::ExposeSecret::expose_secret(&serve.hubspot.client_secret).to_owned();
    }
    let handle = sandbox::hubspot::start(settings, listener).await.context("start the sandbox")?;
    until_shutdown(serve.service, health_listener, shutdown).await?;
    handle.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn sandbox_salesforce(
    serve: Serve,
    listener: TcpListener,
    health_listener: TcpListener,
    shutdown: &Shutdown,
) -> anyhow::Result<ExitCode> {
    let mut address = listener.local_addr()?;
    address.set_port(address.port() + 1);
    let events = TcpListener::bind(address).await.with_context(|| format!("listen on {address}"))?;
    let mut settings = sandbox::salesforce::Settings::default();
    if !serve.salesforce.consumer_key.is_empty() {
        settings.client_id = serve.salesforce.consumer_key;
        settings.client_secret =
            secrecy::ExposeSecret::expose_secret(&serve.salesforce.consumer_secret).to_owned();
    }
    let handle = sandbox::salesforce::start(settings, listener).await.context("start the sandbox")?;
    handle.serve_events(events).context("serve the sandbox's change events")?;
    until_shutdown(serve.service, health_listener, shutdown).await?;
    handle.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn sandbox_slack(
    serve: Serve,
    listener: TcpListener,
    health_listener: TcpListener,
    shutdown: &Shutdown,
) -> anyhow::Result<ExitCode> {
    let settings = sandbox::slack::Settings::default();
    let handle = sandbox::slack::start(settings, listener).await.context("start the sandbox")?;
    until_shutdown(serve.service, health_listener, shutdown).await?;
    handle.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn sandbox_google(
    serve: Serve,
    listener: TcpListener,
    health_listener: TcpListener,
    shutdown: &Shutdown,
) -> anyhow::Result<ExitCode> {
    let settings = sandbox::google::Settings::default();
    let handle = sandbox::google::start(settings, listener).await.context("start the sandbox")?;
    until_shutdown(serve.service, health_listener, shutdown).await?;
    handle.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn sandbox_microsoft(
    serve: Serve,
    listener: TcpListener,
    health_listener: TcpListener,
    shutdown: &Shutdown,
) -> anyhow::Result<ExitCode> {
    let settings = sandbox::microsoft::Settings::default();
    let handle = sandbox::microsoft::start(settings, listener).await.context("start the sandbox")?;
    until_shutdown(serve.service, health_listener, shutdown).await?;
    handle.shutdown().await;
    Ok(ExitCode::SUCCESS)
}

async fn until_shutdown(
    service: ServiceName,
    health_listener: TcpListener,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let health = Health::new();
    health.set(service.name(), Readiness::Ready);
    let served = axum::serve(health_listener, health.router());
    tokio::select! {
        signal = chassis::signalled(shutdown) => Ok(signal?),
        ended = async { served.await } => ended.context("serve health"),
    }
}

fn plan(serve: Serve) -> anyhow::Result<Plan> {
    use secrecy::ExposeSecret;
    let is_room = !matches!(serve.service, ServiceName::Gateway | ServiceName::WebConsole);
    if is_room && (serve.database_url.is_empty() || serve.nats_url.is_empty()) {
        bail!("start a room: DATABASE_URL and NATS_URL must be set");
    }
    if serve.service == ServiceName::WebConsole && serve.csrf_secret.expose_secret().is_empty() {
        bail!("start the console: ACCORD_CSRF_SECRET must be set");
    }
    let keys = serve.vault_keys.expose_secret();
    let keyring =
        if keys.is_empty() { None } else { Some(Keyring::parse(keys).context("read ACCORD_VAULT_KEYS")?) };
    Ok(Plan {
        services: HashSet::from([serve.service]),
        database_url: serve.database_url,
        nats_url: serve.nats_url,
        identity_url: serve.identity_url,
        sync_url: serve.sync_url,
        audit_url: serve.audit_url,
        attribution_url: serve.attribution_url,
        crm_url: serve.crm_url,
        connector_url: serve.connector_url,
        public_api_url: serve.public_api_url,
        public_console_url: serve.public_console_url,
        trusted_proxy: serve.trusted_proxy,
        csrf_secret: serve.csrf_secret,
        visitor_secret: serve.visitor_secret,
        public_api: serve.public_api,
        keyring,
        hubspot: serve.hubspot,
        salesforce: serve.salesforce,
        google: serve.google,
        slack: serve.slack,
        m365: serve.m365,
        reranker: serve.reranker,
        poll_seconds: serve.poll_seconds,
        association_seconds: serve.association_seconds,
        keep_days: serve.keep_days,
    })
}
