//! Reading a portal's history with every limit off: from the sandbox's bytes to change events on the bus.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bus::{Bus, Message, subject};
use chassis::{guard::Guard, local::free_port};
use connector_hubspot::{ApiVersion, HubSpot};
use identity::{FirstUser, NewKey};
use model::{CaptureRequested, Clock, ConnectionId, OrganizationId, Role, Scope, SystemClock, kind};
use proto::connections::{
    BeginAuthorizationRequest, CompleteAuthorizationRequest, ConfirmAuthorizationRequest,
    StartAuthorizationRequest, connections_client::ConnectionsClient,
};
use sandbox::hubspot::Settings;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tonic::{
    Request,
    transport::{Channel, Server, server::TcpIncoming},
};
use url::Url;
use vault::{Keyring, Vault};

use crate::{
    load::FIELDS,
    servers::Servers,
    stage::Started,
    sync::listen,
    table::{Row, note, per_second},
    up::{first_backfill, program},
};

const PATIENCE: Duration = Duration::from_secs(180);
const COMPANIES: u64 = 100_000;

/// The sandbox, as a process of its own so that its time is not counted as ours.
struct Sandbox {
    child: Child,
    url: Url,
    http: reqwest::Client,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left running.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) async fn measure() -> Result<Row> {
    let sandbox = Sandbox::start().await?;
    let servers = Servers::start().await?;
    let started = Started::default();
    let (organization, mut api, key) = rooms(&servers, &started, &sandbox).await?;
    let connection = sandbox.connect(&mut api, &key).await?;
    let bus = servers.bus("bench").await?;
    let (before, began) = (servers.cpu()?, Instant::now());
    request(&bus, organization, connection).await?;
    let read = timeout(PATIENCE, first_backfill(&bus)).await.context("wait for the history")??.read;
    let (took, used) = (began.elapsed(), servers.cpu()?.own_since(&before));
    started.stop().await;
    servers.stop().await;
    ensure!(read == COMPANIES, "{read} of {COMPANIES} companies were read");
    let count = usize::try_from(read)?;
    note(&format!("capture: {read} companies in {took:.1?}, {used:.1?} of processor time"));
    Ok(Row {
        what: "HubSpot history, no limits, per CPU-second",
        ours: format!("{:.0}/s", per_second(count, used)),
        floor: String::new(),
        ratio: String::new(),
        goal: "100,000/s is the aim",
        disk: None,
    })
}

/// Identity and the connector's runtime behind one address.
async fn rooms(
    servers: &Servers,
    started: &Started,
    sandbox: &Sandbox,
) -> Result<(OrganizationId, ConnectionsClient<Channel>, SecretString)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let deps = identity::Deps {
        bus: servers.bus("identity").await?,
        guard: None,
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    let identity =
        identity::start(identity::Config::new(servers.postgres.url()), deps, Arc::clone(&clock)).await?;
    let (listener, channel) = listen().await?;
    let config = connector_hubspot::Config {
        client_id: "accord-sandbox-client".to_owned(),
        client_secret: "accord-sandbox-secret".into(),
        base_url: sandbox.url.clone(),
        app_url: sandbox.url.clone(),
        api_version: ApiVersion::Classic,
    };
    let here = Url::parse("http://127.0.0.1:1")?;
    let deps = connector::Deps {
        bus: servers.bus("connector").await?,
        guard: Guard::new(channel.clone()),
        vault: Arc::new(Vault::new(Keyring::generate("bench".parse()?))),
        clock,
        connectors: vec![Arc::new(HubSpot::new(config).without_limits())],
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    let config = connector::Config::new(servers.postgres.url(), here.clone(), here);
    let connector = connector::start(config, deps).await?;
    let serving = Server::builder().add_service(identity.grpc()).add_service(connector.grpc());
    let stopped = started.shutdown.clone().cancelled_owned();
    started.tasks.spawn(
        serving.serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stopped),
    );
    let owner =
        FirstUser { email: "owner@example.org".to_owned(), name: "Owner".to_owned(), role: Role::Owner };
    let operator = identity.operator();
    let organization = operator.bootstrap("Bench", &[owner], Duration::from_secs(60)).await?.organization_id;
    let key = NewKey {
        label: "bench".to_owned(),
        product: String::new(),
        scopes: Scope::ALL.into(),
        expires_at: None,
    };
    let key = operator.mint_api_key(organization, key).await?;
    Ok((organization, ConnectionsClient::new(channel), key.secret))
}

impl Sandbox {
    async fn start() -> Result<Self> {
        let (port, health) = (free_port()?, free_port()?);
        let child = Command::new(program()?)
            .args(["serve", "sandbox-hubspot", "--listen", &format!("127.0.0.1:{port}")])
            .args(["--health-listen", &format!("127.0.0.1:{health}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run the sandbox")?;
        // The first one of a process sets it up.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let sandbox = Self { child, url: Url::parse(&format!("http://127.0.0.1:{port}"))?, http };
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = sandbox.control("settings", json!({ "rate_limits": false })).await {
            ensure!(Instant::now() < deadline, "the sandbox does not answer: {error:#}");
            sleep(Duration::from_millis(20)).await;
        }
        let companies = json!({ "object": "companies", "count": COMPANIES, "spread_days": 90 });
        sandbox.control("seed", companies).await?;
        Ok(sandbox)
    }

    async fn control(&self, what: &str, wish: serde_json::Value) -> Result<()> {
        let url = self.url.join(&format!("/_sandbox/{what}"))?;
        self.http.post(url).json(&wish).send().await?.error_for_status()?;
        Ok(())
    }

    /// Agrees on the consent page: its form is what the address asked for, and the portal.
    async fn connect(
        &self,
        api: &mut ConnectionsClient<Channel>,
        key: &SecretString,
    ) -> Result<ConnectionId> {
        let begin = BeginAuthorizationRequest {
            vendor: "hubspot".to_owned(),
            return_path: "/settings/integrations".to_owned(),
            connection_id: String::new(),
            site: String::new(),
        };
        let start = api.begin_authorization(by(key, begin)?).await?.into_inner().start_url;
        let ticket = query(&start.parse()?, "ticket")?;
        let started = api.start_authorization(StartAuthorizationRequest { ticket }).await?.into_inner();
        let mut page: Url = started.authorize_url.parse()?;
        let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
        form.push(("portal_id".to_owned(), Settings::default().portal_id.to_string()));
        form.push(("decision".to_owned(), "connect".to_owned()));
        page.set_query(None);
        let answer = self.http.post(page).form(&form).send().await?;
        let back = answer.headers().get("location").context("be sent back by the consent page")?;
        let back: Url = back.to_str()?.parse()?;
        let complete = CompleteAuthorizationRequest {
            vendor: "hubspot".to_owned(),
            state: query(&back, "state")?,
            code: query(&back, "code")?,
            browser_nonce: started.browser_nonce,
            ..CompleteAuthorizationRequest::default()
        };
        let confirm = api.complete_authorization(complete).await?.into_inner().confirm_url;
        let confirm = ConfirmAuthorizationRequest { token: query(&confirm.parse()?, "confirm")? };
        let confirmed = api.confirm_authorization(by(key, confirm)?).await?.into_inner();
        Ok(confirmed.connection.context("find the connection in the answer")?.id.parse()?)
    }
}

fn query(url: &Url, name: &str) -> Result<String> {
    let found = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    found.with_context(|| format!("find {name} in the address"))
}

fn by<T>(key: &SecretString, body: T) -> Result<Request<T>> {
    let mut request = Request::new(body);
    request.metadata_mut().insert("authorization", format!("Bearer {}", key.expose_secret()).parse()?);
    Ok(request)
}

async fn request(bus: &Bus, organization: OrganizationId, connection: ConnectionId) -> Result<()> {
    let wish = CaptureRequested {
        connection,
        vendor_object: "companies".to_owned(),
        fields: FIELDS.iter().map(|(name, ..)| (*name).to_owned()).collect(),
        dated: Vec::new(),
        dated_history: false,
        backfill: true,
        external_id: false,
    };
    let place = subject::capture(&organization, "requested");
    let now = SystemClock.now();
    bus.publish(&Message::json(place, kind::CAPTURE_REQUESTED, "bench", organization, now, &wish)?).await?;
    Ok(())
}
