//! A vendor's simulator as a process of its own, so that its time is not counted as ours, and the rooms that connect it.

use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bus::{Bus, Message, subject};
use chassis::{guard::Guard, local::free_port};
use connector::Connector;
use identity::{FirstUser, NewKey};
use model::{CaptureRequested, Clock, ConnectionId, OrganizationId, Role, Scope, SystemClock, kind};
use proto::connections::{
    BeginAuthorizationRequest, CompleteAuthorizationRequest, ConfirmAuthorizationRequest,
    StartAuthorizationRequest, connections_client::ConnectionsClient,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value as Json;
use tokio::time::{Instant, sleep};
use tonic::{
    Request,
    transport::{Channel, Server, server::TcpIncoming},
};
use url::Url;
use vault::{Keyring, Vault};

use crate::{servers::Servers, stage::Started, sync::listen, up::program};

pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// A simulator that runs.
pub(crate) struct Sandbox {
    vendor: &'static str,
    child: Child,
    pub(crate) url: Url,
    /// The port after that of [`Self::url`], free when it was chosen.
    pub(crate) next_port: u16,
    http: reqwest::Client,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left running.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Identity and the connector's runtime behind one address, and an organization with a key.
pub(crate) struct Rooms {
    pub(crate) organization: OrganizationId,
    pub(crate) api: ConnectionsClient<Channel>,
    pub(crate) key: SecretString,
    pub(crate) channel: Channel,
    /// Where they answer gRPC.
    pub(crate) url: String,
    vault: Arc<Vault>,
}

impl Rooms {
    pub(crate) async fn open(
        servers: &Servers,
        started: &Started,
        connector: &Started,
        vendor: Arc<dyn Connector>,
    ) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let deps = identity::Deps {
            bus: servers.bus("identity").await?,
            guard: None,
            shutdown: started.shutdown.clone(),
            tasks: started.tasks.clone(),
        };
        let identity = identity::start(identity::Config::new(servers.postgres.url()), deps, clock).await?;
        let (listener, channel) = listen().await?;
        let url = format!("http://{}", listener.local_addr()?);
        let vault = Arc::new(Vault::new(Keyring::generate("bench".parse()?)));
        let runtime = runtime(servers, connector, &channel, &vault, vendor).await?;
        let serving = Server::builder().add_service(identity.grpc()).add_service(runtime.grpc());
        let stopped = started.shutdown.clone().cancelled_owned();
        let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
        started.tasks.spawn(serving.serve_with_incoming_shutdown(incoming, stopped));
        let owner =
            FirstUser { email: "owner@example.org".to_owned(), name: "Owner".to_owned(), role: Role::Owner };
        let operator = identity.operator();
        let made = operator.bootstrap("Bench", &[owner], Duration::from_secs(60)).await?;
        let key = NewKey {
            label: "bench".to_owned(),
            product: String::new(),
            scopes: Scope::ALL.into(),
            expires_at: None,
        };
        let key = operator.mint_api_key(made.organization_id, key).await?.secret;
        let api = ConnectionsClient::new(channel.clone());
        Ok(Self { organization: made.organization_id, api, key, channel, url, vault })
    }

    /// Starts the connector's runtime once more, after the one before was stopped.
    pub(crate) async fn connector(&self, servers: &Servers, vendor: Arc<dyn Connector>) -> Result<Started> {
        let started = Started::default();
        runtime(servers, &started, &self.channel, &self.vault, vendor).await?;
        Ok(started)
    }

    /// A request of the organization's own key.
    pub(crate) fn by<T>(&self, body: T) -> Result<Request<T>> {
        let mut request = Request::new(body);
        let bearer = format!("Bearer {}", self.key.expose_secret());
        request.metadata_mut().insert("authorization", bearer.parse()?);
        Ok(request)
    }
}

async fn runtime(
    servers: &Servers,
    started: &Started,
    channel: &Channel,
    vault: &Arc<Vault>,
    vendor: Arc<dyn Connector>,
) -> Result<connector::Running> {
    let here = Url::parse("http://127.0.0.1:1")?;
    let deps = connector::Deps {
        bus: servers.bus("connector").await?,
        guard: Guard::new(channel.clone()),
        vault: Arc::clone(vault),
        clock: Arc::new(SystemClock),
        connectors: vec![vendor],
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    Ok(connector::start(connector::Config::new(servers.postgres.url(), here.clone(), here), deps).await?)
}

impl Sandbox {
    /// Starts it and returns when it answers its control API's settings, to which this is said.
    pub(crate) async fn start(vendor: &'static str, settings: Json) -> Result<Self> {
        let (port, health) = (two_free_ports()?, free_port()?);
        let child = Command::new(program()?)
            .args(["serve", &format!("sandbox-{vendor}"), "--listen", &format!("127.0.0.1:{port}")])
            .args(["--health-listen", &format!("127.0.0.1:{health}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run the sandbox")?;
        // The first one of a process sets it up.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
        let url = Url::parse(&format!("http://127.0.0.1:{port}"))?;
        let sandbox = Self { vendor, child, url, next_port: port + 1, http };
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = sandbox.control("settings", &settings).await {
            ensure!(Instant::now() < deadline, "the sandbox does not answer: {error:#}");
            sleep(Duration::from_millis(20)).await;
        }
        Ok(sandbox)
    }

    /// Has it do something.
    pub(crate) async fn control(&self, what: &str, wish: &Json) -> Result<()> {
        let url = self.url.join(&format!("/_sandbox/{what}"))?;
        self.http.post(url).json(wish).send().await?.error_for_status()?;
        Ok(())
    }

    /// Has it do something and says what came of that, from a task of its own.
    pub(crate) fn ask(&self, what: &str, wish: &Json) -> impl Future<Output = Result<Json>> + Send + 'static {
        let url = self.url.join(&format!("/_sandbox/{what}"));
        let (http, wish) = (self.http.clone(), wish.clone());
        async move { Ok(http.post(url?).json(&wish).send().await?.error_for_status()?.json().await?) }
    }

    /// Asks it for something.
    pub(crate) async fn told(&self, what: &str) -> Result<Json> {
        let url = self.url.join(&format!("/_sandbox/{what}"))?;
        Ok(self.http.get(url).send().await?.error_for_status()?.json().await?)
    }

    /// Connects as people do.
    pub(crate) async fn connect(
        &self,
        rooms: &mut Rooms,
        answers: &[(&str, String)],
    ) -> Result<ConnectionId> {
        self.connect_as(self.vendor, rooms, answers).await
    }

    /// The same where the connector has another name than the sandbox.
    pub(crate) async fn connect_as(
        &self,
        vendor: &str,
        rooms: &mut Rooms,
        answers: &[(&str, String)],
    ) -> Result<ConnectionId> {
        let begin = BeginAuthorizationRequest {
            vendor: vendor.to_owned(),
            return_path: "/settings/integrations".to_owned(),
            connection_id: String::new(),
            site: String::new(),
        };
        let begin = rooms.by(begin)?;
        let start = rooms.api.begin_authorization(begin).await?.into_inner().start_url;
        let ticket = query(&start.parse()?, "ticket")?;
        let started = rooms.api.start_authorization(StartAuthorizationRequest { ticket }).await?.into_inner();
        let back = self.agree(started.authorize_url.parse()?, answers).await?;
        let complete = CompleteAuthorizationRequest {
            vendor: vendor.to_owned(),
            state: query(&back, "state")?,
            code: query(&back, "code")?,
            browser_nonce: started.browser_nonce,
            ..CompleteAuthorizationRequest::default()
        };
        let confirm = rooms.api.complete_authorization(complete).await?.into_inner().confirm_url;
        let confirm = ConfirmAuthorizationRequest { token: query(&confirm.parse()?, "confirm")? };
        let confirm = rooms.by(confirm)?;
        let confirmed = rooms.api.confirm_authorization(confirm).await?.into_inner();
        Ok(confirmed.connection.context("find the connection in the answer")?.id.parse()?)
    }

    /// Agrees on the consent page, whose form is what the address asked for, and these answers; says where that leads.
    pub(crate) async fn agree(&self, mut page: Url, answers: &[(&str, String)]) -> Result<Url> {
        let mut form: Vec<(String, String)> = page.query_pairs().into_owned().collect();
        form.extend(answers.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
        page.set_query(None);
        let answer = self.http.post(page).form(&form).send().await?;
        let back = answer.headers().get("location").context("be sent back by the consent page")?;
        Ok(back.to_str()?.parse()?)
    }
}

/// A connector of a vendor that nobody is connected to, where only the rooms are wanted.
pub(crate) fn nobody() -> Result<connector_hubspot::HubSpot> {
    let nowhere = Url::parse("http://127.0.0.1:1")?;
    Ok(connector_hubspot::HubSpot::new(connector_hubspot::Config {
        client_id: "bench".to_owned(),
        client_secret: "bench".into(),
        base_url: nowhere.clone(),
        app_url: nowhere,
        api_version: connector_hubspot::ApiVersion::Classic,
    }))
}

/// A free port with a free one after it; nobody else in this process is given either.
fn two_free_ports() -> Result<u16> {
    for _ in 0..100 {
        let (port, next) = (free_port()?, free_port()?);
        if next == port + 1 {
            return Ok(port);
        }
    }
    anyhow::bail!("no two ports in a row are free")
}

pub(crate) fn query(url: &Url, name: &str) -> Result<String> {
    let found = url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    found.with_context(|| format!("find {name} in the address"))
}

/// Has a connection's object followed, and its history read.
pub(crate) async fn capture(
    bus: &Bus,
    organization: OrganizationId,
    connection: ConnectionId,
    vendor_object: &str,
    fields: &[&str],
    backfill: bool,
) -> Result<()> {
    let wish = CaptureRequested {
        connection,
        vendor_object: vendor_object.to_owned(),
        fields: fields.iter().map(|name| (*name).to_owned()).collect(),
        dated: Vec::new(),
        dated_history: false,
        backfill,
        external_id: false,
    };
    let place = subject::capture(&organization, "requested");
    let now = SystemClock.now();
    bus.publish(&Message::json(place, kind::CAPTURE_REQUESTED, "bench", organization, now, &wish)?).await?;
    Ok(())
}
