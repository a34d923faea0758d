//! Each service in a process of its own, as in containers.

use std::{
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Stdio},
    time::Duration,
};

use proto::identity::{SignInWithLinkRequest, identity_client::IdentityClient};
use serde_json::{Value, json};
use testkit::{TestDirectory, TestNats, eventually, free_port};
use tests::{Api, Browser, HubSpotPortal, accord};
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const SERVICES: [&str; 9] = [
    "sandbox-hubspot",
    "identity",
    "sync-engine",
    "audit",
    "attribution",
    "crm",
    "connectors",
    "gateway",
    "web-console",
];

/// A service: its process, where it listens, and where its health is.
struct Service {
    name: &'static str,
    child: Child,
    health: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// All services on servers of their own.
struct Town {
    services: Vec<Service>,
    urls: Vec<(&'static str, String)>,
    logs: TestDirectory,
    // Last, so that the services end before their servers.
    database: testkit::TestDatabase,
    nats: TestNats,
}

impl Town {
    fn url(&self, name: &str) -> &str {
        let found = self.urls.iter().find(|(service, _)| *service == name);
        &found.expect("a service of this name").1
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.logs.path().join(name)).unwrap_or_default()
    }

    fn start(&mut self, name: &'static str) {
        let health = format!("127.0.0.1:{}", free_port().expect("a free port"));
        let log = std::fs::File::create(self.logs.path().join(name)).expect("the directory is ours");
        let listen = self.url(name).trim_start_matches("http://").to_owned();
        let child = accord()
            .args(["serve", name, "--poll-seconds", "1"])
            .envs([("ACCORD_LISTEN", listen.as_str()), ("ACCORD_HEALTH_LISTEN", health.as_str())])
            .envs([("DATABASE_URL", self.database.url()), ("NATS_URL", self.nats.url())])
            .envs([
                ("ACCORD_IDENTITY_URL", self.url("identity")),
                ("ACCORD_SYNC_URL", self.url("sync-engine")),
                ("ACCORD_ATTRIBUTION_URL", self.url("attribution")),
                ("ACCORD_CRM_URL", self.url("crm")),
            ])
            .envs([("ACCORD_AUDIT_URL", self.url("audit")), ("ACCORD_CONNECTOR_URL", self.url("connectors"))])
            .envs([
                ("ACCORD_PUBLIC_API_URL", self.url("gateway")),
                ("ACCORD_PUBLIC_CONSOLE_URL", self.url("web-console")),
                ("ACCORD_HUBSPOT_API_URL", self.url("sandbox-hubspot")),
                ("ACCORD_HUBSPOT_CLIENT_ID", "accord-sandbox-client"),
                ("ACCORD_HUBSPOT_CLIENT_SECRET", "accord-sandbox-secret"),
                ("ACCORD_VAULT_KEYS", VAULT_KEY),
                ("ACCORD_CSRF_SECRET", "a secret of this story, long enough to be one"),
            ])
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .expect("the accord binary is built: cargo build -p accord");
        self.services.push(Service { name, child, health: format!("http://{health}") });
    }
}

/// 32 bytes that are no secret.
const VAULT_KEY: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

// "one container each"; R6, R9, R14-R16 across processes; R263
#[tokio::test]
async fn services_in_processes_of_their_own_carry_an_edit_both_ways() {
    let town = town().await;
    each_service_is_healthy_and_counts(&town).await;
    rooms_answer_grpc_health_and_reflection(&town).await;
    let (api, hubspot) = doors(&town).await;
    let company = seed(&hubspot).await;
    connect(&town, &api, &hubspot).await;
    map_and_activate(&api).await;
    an_edit_crosses_both_ways(&api, &hubspot, &company).await;
    let page =
        reqwest::get(format!("{}/sign-in", town.url("web-console"))).await.expect("the console answers");
    assert!(page.status().is_success());
}

async fn town() -> Town {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let urls = SERVICES.map(|name| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port().expect("a free port")));
        (name, format!("http://{address}"))
    });
    let mut town = Town {
        services: Vec::new(),
        urls: urls.into(),
        logs: TestDirectory::create(),
        database: testkit::database().await,
        nats: testkit::nats().await,
    };
    for name in SERVICES {
        town.start(name);
    }
    town
}

async fn each_service_is_healthy_and_counts(town: &Town) {
    for service in &town.services {
        for path in ["/health/live", "/health/ready"] {
            let url = format!("{}{path}", service.health);
            let what = format!("{} to answer {path}: {}", service.name, town.log(service.name));
            eventually(Duration::from_secs(60), &what, || async {
                reqwest::get(&url).await.ok().filter(|answer| answer.status().is_success())
            })
            .await;
        }
        let metrics = reqwest::get(format!("{}/metrics", service.health)).await.expect("metrics answer");
        assert!(metrics.status().is_success(), "{}", service.name);
    }
}

async fn rooms_answer_grpc_health_and_reflection(town: &Town) {
    for (name, service) in [
        ("identity", "accord.identity.v1.Identity"),
        ("sync-engine", "accord.sync.v1.Sync"),
        ("audit", "accord.audit.v1.Audit"),
        ("attribution", "accord.attribution.v1.Attribution"),
        ("crm", "accord.crm.v1.Crm"),
        ("connectors", "accord.connections.v1.Connections"),
    ] {
        let endpoint =
            tonic::transport::Endpoint::from_shared(town.url(name).to_owned()).expect("an address");
        let channel = endpoint.connect().await.expect("the room listens");
        let answer =
            HealthClient::new(channel.clone()).check(HealthCheckRequest { service: String::new() }).await;
        let status = answer.expect("the health service answers").into_inner().status;
        assert_eq!(status, i32::from(ServingStatus::Serving), "{name}");
        let described = described_services(channel).await;
        assert!(described.iter().any(|known| known == service), "{name}: {described:?}");
    }
}

/// The services that a room describes by gRPC reflection.
async fn described_services(channel: Channel) -> Vec<String> {
    let message_request = Some(MessageRequest::ListServices(String::new()));
    let requests = futures::stream::iter([ServerReflectionRequest { host: String::new(), message_request }]);
    let answers = ServerReflectionClient::new(channel).server_reflection_info(requests).await;
    let first = answers.expect("reflection answers").into_inner().message().await.expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = first.and_then(|first| first.message_response)
    else {
        panic!("reflection lists no services")
    };
    list.service.into_iter().map(|service| service.name).collect()
}

/// An organization with an owner's API key, and the portal.
async fn doors(town: &Town) -> (Api, HubSpotPortal) {
    let output = accord()
        .args(["organization", "create", "Harbor Partners", "--owner", "hanna@harbor.example"])
        .args(["--console-url", town.url("web-console"), "--database-url", town.database.url()])
        .output()
        .expect("the accord binary is built");
    let made = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{made}{}", String::from_utf8_lossy(&output.stderr));
    let token = made.trim().rsplit('/').next().expect("the link has a token").to_owned();
    let mut identity =
        IdentityClient::connect(town.url("identity").to_owned()).await.expect("identity answers");
    let session =
        identity.sign_in_with_link(SignInWithLinkRequest { token }).await.expect("the link signs in");
    let http = reqwest::Client::new();
    let api = Api::new(http.clone(), town.url("gateway"), &session.into_inner().token);
    (api, HubSpotPortal::new(http, town.url("sandbox-hubspot").to_owned(), String::new()))
}

async fn seed(hubspot: &HubSpotPortal) -> String {
    let seeded = hubspot.control("POST", "seed", json!({ "object": "companies", "count": 12 })).await;
    seeded["first_id"].as_str().expect("an id").to_owned()
}

async fn connect(town: &Town, api: &Api, hubspot: &HubSpotPortal) {
    let begun = api.ok("POST", "/api/v1/connections/authorize", Some(json!({ "vendor": "hubspot" }))).await;
    let portal = hubspot.control("GET", "health", json!({})).await["portal_id"].as_u64().expect("a portal");
    let landed = Browser::open().connect(begun["start_url"].as_str().expect("an address"), portal).await;
    assert!(landed.url.as_str().starts_with(town.url("web-console")), "{}", landed.url);
    let Some(token) = landed.query("confirm") else {
        panic!("no consent at {}: {}", landed.url, town.log("connectors"));
    };
    api.ok("POST", "/api/v1/connections/confirm", Some(json!({ "token": token }))).await;
}

async fn map_and_activate(api: &Api) {
    let connections = api.ok("GET", "/api/v1/connections", None).await;
    let connection = connections["data"][0]["id"].as_str().expect("an id").to_owned();
    let new = json!({ "connection_id": connection, "object": "company", "vendor_object": "companies" });
    let mapping = eventually(Duration::from_secs(30), "the schema to arrive", || async {
        let made = api.try_call("POST", "/api/v1/mappings", Some(new.clone())).await.ok()?;
        (made.status == 201).then_some(made.body)
    })
    .await;
    let path = format!("/api/v1/mappings/{}", mapping["id"].as_str().expect("an id"));
    api.ok("POST", &format!("{path}/suggest"), None).await;
    api.ok("PATCH", &path, Some(json!({ "confirm_all": true }))).await;
    api.ok("POST", &format!("{path}/plan"), None).await;
    let plan = wait_for_plan(api, &path, "ready").await;
    api.ok("POST", &format!("{path}/activate"), Some(json!({ "plan_hash": plan["hash"] }))).await;
    wait_for_plan(api, &path, "applied").await;
}

async fn wait_for_plan(api: &Api, mapping: &str, state: &str) -> Value {
    eventually(Duration::from_secs(60), &format!("the plan to be {state}"), || async {
        let plan = api.ok("GET", &format!("{mapping}/plan"), None).await;
        (plan["state"] == state).then_some(plan)
    })
    .await
}

async fn an_edit_crosses_both_ways(api: &Api, hubspot: &HubSpotPortal, company: &str) {
    let edit = json!({ "object": "companies", "id": company, "properties": { "phone": "+1 555 0801" } });
    hubspot.control("POST", "edit", edit).await;
    let path = format!("/api/v1/records/company?vendor=hubspot&vendor_id={company}");
    let record = eventually(Duration::from_secs(60), "HubSpot's edit to arrive", || async {
        let found = api.ok("GET", &path, None).await["data"][0].clone();
        (found["fields"]["phone"] == "+1 555 0801").then_some(found)
    })
    .await;
    let path = format!("/api/v1/records/company/{}", record["id"].as_str().expect("an id"));
    api.ok("PATCH", &path, Some(json!({ "fields": { "address_city": "Narvik" } }))).await;
    eventually(Duration::from_secs(60), "our edit to arrive", || async {
        let state = hubspot.control("GET", "state/companies?fields=city", json!({})).await;
        let found = state["results"].as_array()?.iter().find(|found| found["id"] == company)?.clone();
        (found["properties"]["city"] == "Narvik").then_some(())
    })
    .await;
}
