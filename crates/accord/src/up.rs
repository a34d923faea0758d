//! `accord up`: everything on this machine, from nothing to a living console.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context, bail};
use chassis::{
    Shutdown,
    local::{Nats, Postgres, Running as Server, find_nats, find_postgres},
};
use identity::{FirstUser, NewKey};
use model::{Role, Scope};
use secrecy::ExposeSecret;
use url::Url;

use crate::{
    cli::{ServiceName, Up},
    demo,
    files::{Files, Ports, Servers, listen, write_private},
    house::{House, Listeners, Plan},
    ready::Ready,
    sandboxes::{Apps, Sandboxes},
};

/// The label of the keys that the ready file holds; those of an earlier start are revoked.
const KEY_LABEL: &str = "accord up";

/// How long a sign-in link of the terminal can be used.
const LINK_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// What was started so far: it lives and ends with this process.
#[derive(Default)]
struct Started {
    postgres: Option<Server>,
    nats: Option<Server>,
    sandboxes: Option<Sandboxes>,
    house: Option<House>,
}

impl Started {
    /// Stops it in the order in which the one needs the other.
    async fn stop(self) {
        if let Some(house) = self.house {
            house.stop().await;
        }
        if let Some(sandboxes) = self.sandboxes {
            sandboxes.shutdown().await;
        }
        if let Some(nats) = self.nats {
            nats.stop().await;
        }
        if let Some(postgres) = self.postgres {
            postgres.stop().await;
        }
    }
}

pub(crate) async fn run(up: Up) -> anyhow::Result<ExitCode> {
    let telemetry = chassis::telemetry::init(&chassis::telemetry::TelemetryConfig {
        service: "accord".to_owned(),
        otlp_endpoint: up.telemetry.otlp_endpoint.clone().filter(|endpoint| !endpoint.is_empty()),
        json_logs: up.telemetry.log_json,
        filter: up.telemetry.log.clone(),
    })?;
    let data_dir = up.data_dir.clone().unwrap_or_else(chassis::local::default_data_dir);
    let files = Files::open(&data_dir)?;
    let _lock = files.lock()?;
    let shutdown = Shutdown::new();
    let signal = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { chassis::signalled(&shutdown).await }
    });
    if let Some(file) = &up.ready_file {
        // A tool that waits for the file must not read that of an earlier start.
        let _ = std::fs::remove_file(file);
    }
    let mut started = Started::default();
    let outcome = tokio::select! {
        outcome = live(&up, &data_dir, &files, &mut started) => outcome,
        () = shutdown.requested() => Ok(()),
    };
    say("Stopping");
    started.stop().await;
    signal.abort();
    telemetry.flush();
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Starts everything and watches over it; ends only by a failure. Dropped at any point, `started` holds what runs.
async fn live(up: &Up, data_dir: &Path, files: &Files, started: &mut Started) -> anyhow::Result<()> {
    let (database_url, nats_url) = servers(up, data_dir, started).await?;
    demo::keep_apart(up.demo, &database_url).await?;
    let (house, addresses) = start(up, files, &database_url, &nats_url, &mut started.sandboxes).await?;
    let house = started.house.insert(house);
    let urls = (&*database_url, &*nats_url);
    let ready = prepare(up, files, house, started.sandboxes.as_ref(), &addresses, urls).await?;
    announce(up, &ready, data_dir)?;
    house.broken().await;
    bail!("keep all services running; the log above says why")
}

/// Starts what was not given.
async fn servers(up: &Up, data_dir: &Path, started: &mut Started) -> anyhow::Result<(String, String)> {
    if up.database_url.is_none() {
        find_postgres()?;
    }
    if up.nats_url.is_none() {
        find_nats()?;
    }
    let database_url = match &up.database_url {
        Some(url) => url.clone(),
        None => {
            say(&format!("Starting a private PostgreSQL in {}", data_dir.join("postgres").display()));
            let server = Postgres::default().start(&data_dir.join("postgres")).await?;
            started.postgres.insert(server).url().to_owned()
        }
    };
    let nats_url = match &up.nats_url {
        Some(url) => url.clone(),
        None => {
            say(&format!("Starting a private NATS in {}", data_dir.join("nats").display()));
            let server = Nats::default().start(&data_dir.join("nats")).await?;
            started.nats.insert(server).url().to_owned()
        }
    };
    Ok((database_url, nats_url))
}

/// What the rest of the start needs to know of the services.
struct Addresses {
    grpc: String,
    api: Url,
    console: Url,
}

async fn start(
    up: &Up,
    files: &Files,
    database_url: &str,
    nats_url: &str,
    sandboxes: &mut Option<Sandboxes>,
) -> anyhow::Result<(House, Addresses)> {
    let remembered: Ports = files.read("ports.json").unwrap_or_default();
    let grpc = listen(remembered.grpc).await?;
    let gateway = listen(remembered.gateway).await?;
    let console = listen(remembered.console).await?;
    let mut apps = Apps::of(up);
    let mut ports = Ports {
        grpc: grpc.local_addr()?.port(),
        gateway: gateway.local_addr()?.port(),
        console: console.local_addr()?.port(),
        ..remembered
    };
    if up.demo {
        let started = Sandboxes::start(files, &mut ports, up.demo_accounts > 0, &mut apps);
        *sandboxes = Some(started.await?);
    }
    files.write("ports.json", &ports)?;
    let addresses = Addresses {
        grpc: format!("http://127.0.0.1:{}", ports.grpc),
        api: format!("http://127.0.0.1:{}", ports.gateway).parse()?,
        console: format!("http://127.0.0.1:{}", ports.console).parse()?,
    };
    let plan = Plan {
        services: HashSet::from([
            ServiceName::Identity,
            ServiceName::SyncEngine,
            ServiceName::Audit,
            ServiceName::Attribution,
            ServiceName::Crm,
            ServiceName::Connectors,
            ServiceName::Gateway,
            ServiceName::WebConsole,
        ]),
        database_url: database_url.to_owned(),
        nats_url: nats_url.to_owned(),
        identity_url: addresses.grpc.clone(),
        sync_url: addresses.grpc.clone(),
        audit_url: addresses.grpc.clone(),
        attribution_url: addresses.grpc.clone(),
        crm_url: addresses.grpc.clone(),
        connector_url: addresses.grpc.clone(),
        public_api_url: addresses.api.clone(),
        public_console_url: addresses.console.clone(),
        trusted_proxy: false,
        csrf_secret: files.secret("csrf.secret")?,
        visitor_secret: files.secret("visitor.secret")?,
        public_api: up.public_api.clone(),
        keyring: Some(files.keyring()?),
        hubspot: apps.hubspot,
        salesforce: apps.salesforce,
        google: apps.google,
        slack: apps.slack,
        m365: apps.m365,
        reranker: up.reranker.clone(),
        poll_seconds: up.poll_seconds,
        association_seconds: up.association_seconds,
        keep_days: up.keep_days,
    };
    say("Starting identity, sync-engine, audit, attribution, crm, connectors, gateway and web-console");
    let listeners =
        Listeners { grpc: Some(grpc), gateway: Some(gateway), console: Some(console), health: None };
    let house = House::start(plan, listeners).await?;
    Ok((house, addresses))
}

/// Makes the organization, its users and keys, and the demo; then writes the ready file.
async fn prepare(
    up: &Up,
    files: &Files,
    house: &House,
    sandboxes: Option<&Sandboxes>,
    addresses: &Addresses,
    (database_url, nats_url): (&str, &str),
) -> anyhow::Result<Ready> {
    let Some(identity) = &house.identity else { bail!("find identity among the services") };
    let operator = identity.operator();
    let (name, users) = if up.demo { demo::people() } else { own_people() };
    let made = operator.bootstrap(name, &users, LINK_LIFETIME).await?;
    let organization = made.organization_id;
    operator.revoke_keys_labelled(organization, KEY_LABEL).await?;
    let api_key = operator.mint_api_key(organization, new_key(None)).await?.secret;
    let integration_key = operator.mint_integration_key(organization, new_key(Some("outside"))).await?.secret;
    let link = |token: &str| format!("{}sign-in/link/{token}", addresses.console);
    let sign_in: BTreeMap<String, String> = made
        .users
        .iter()
        .map(|user| (user.role.name().to_owned(), link(user.link.token.expose_secret())))
        .collect();
    if let Some(sandboxes) = sandboxes {
        let api_key = api_key.expose_secret();
        let demo = demo::Demo { up, sandboxes, grpc_url: &addresses.grpc, api_key };
        demo.run().await.context("set the demo up")?;
    }
    let ready = Ready {
        console_url: trimmed(&addresses.console),
        api_url: trimmed(&addresses.api),
        grpc_url: addresses.grpc.clone(),
        nats_url: nats_url.to_owned(),
        database_url: database_url.to_owned(),
        organization_id: organization.to_string(),
        sign_in,
        api_key: api_key.expose_secret().to_owned(),
        integration_key: integration_key.expose_secret().to_owned(),
        sandboxes: sandboxes.into_iter().flat_map(Sandboxes::ready).collect(),
    };
    files.write(
        "servers.json",
        &Servers {
            database_url: database_url.to_owned(),
            nats_url: nats_url.to_owned(),
            console_url: ready.console_url.clone(),
        },
    )?;
    if let Some(path) = &up.ready_file {
        write_private(path, &serde_json::to_vec_pretty(&ready)?)?;
    }
    Ok(ready)
}

fn own_people() -> (&'static str, Vec<FirstUser>) {
    let owner =
        FirstUser { email: "owner@example.com".to_owned(), name: "Owner".to_owned(), role: Role::Owner };
    ("My organization", vec![owner])
}

fn new_key(product: Option<&str>) -> NewKey {
    NewKey {
        label: KEY_LABEL.to_owned(),
        scopes: Scope::ALL.into(),
        expires_at: None,
        product: product.unwrap_or_default().to_owned(),
    }
}

/// Says where to look, and opens the console where there is a screen.
fn announce(up: &Up, ready: &Ready, data_dir: &Path) -> anyhow::Result<()> {
    let owner = ready.sign_in.get("owner").context("find the owner's sign-in link")?;
    let mut text = String::from("\nAccord is running.\n\n");
    text += &format!("  Console   {owner}\n            (a one-time link that signs you in as Owner)\n");
    for role in ["admin", "member", "viewer"] {
        if let Some(link) = ready.sign_in.get(role) {
            text += &format!("  as {role:<7}{link}\n");
        }
    }
    text += &format!("  API       {}/api/openapi.json\n", ready.api_url);
    text += &format!("  Health    {}/health/ready\n", ready.api_url);
    for (name, sandbox) in &ready.sandboxes {
        text += &format!("  Sandbox   {} ({name})\n", sandbox.url);
    }
    if let Some(slack) = ready.sandboxes.get("slack") {
        text += &format!("  Slack     {}/ in a browser: the channels, whoever you are\n", slack.url);
    }
    if let Some(microsoft) = ready.sandboxes.get("microsoft") {
        text += &format!("  Mail      {}/mail in a browser: the mailboxes\n", microsoft.url);
    }
    text += &format!("  Data      {}\n", data_dir.display());
    if up.demo {
        text += "\n  The sandboxes' users edit a few records a minute. Watch them arrive under Records, edit one yourself and\n  \
                 see it reach the CRMs, and read all of it in the audit log.\n";
        if up.demo_conversations {
            text += "\n  A partner's deal waits under Deal registrations and in Slack: approve it in either. Mails and meetings are\n  \
                     on the timelines of contacts and companies.\n";
        }
    }
    text += "\n  Ctrl-C stops everything; the next start goes on where this one ended.\n";
    say_plain(&text);
    if !up.no_browser && has_screen() {
        open_browser(owner);
    }
    Ok(())
}

fn has_screen() -> bool {
    cfg!(target_os = "macos")
        || ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|v| !v.is_empty()))
}

fn open_browser(url: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let quiet = std::process::Stdio::null;
    // Nobody is harmed when there is no browser: the link is in the terminal.
    let _ = std::process::Command::new(program).arg(url).stdout(quiet()).stderr(quiet()).spawn();
}

fn trimmed(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Tells the person at the terminal what happens.
pub(crate) fn say(text: &str) {
    say_plain(&format!("==> {text}"));
}

#[expect(clippy::print_stderr, reason = "the person at the terminal reads along")]
fn say_plain(text: &str) {
    eprintln!("{text}");
}

/// Where a running `accord up` says its servers are.
pub(crate) fn servers_of(data_dir: Option<PathBuf>) -> anyhow::Result<Servers> {
    let data_dir = data_dir.unwrap_or_else(chassis::local::default_data_dir);
    Files::open(&data_dir)?.read("servers.json").with_context(|| {
        format!(
            "find a running Accord in {}: start it with `accord up`, or give DATABASE_URL",
            data_dir.display()
        )
    })
}
