//! A search of everything that is stored, sent and said, for what must be nowhere.

use std::{fmt::Write, path::Path};

use bus::{Bus, ConnectOptions, ConsumerConfig, subject};
use proto::identity::{SetPasswordRequest, SignInWithPasswordRequest, identity_client::IdentityClient};
use sandbox::hubspot::Settings;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tests::{House, Start};

const PASSWORD: &str = "correct-horse-battery-staple-7";

// R7, R8
#[tokio::test]
async fn no_secret_is_in_the_database_on_the_bus_in_the_log_or_in_an_answer() {
    let house = House::start(Start { companies: 10, deals: 10, ..Start::default() }).await;
    let mut secrets = live_through_everything(&house).await;
    secrets.extend(hubspot_tokens(&house));
    assert!(secrets.len() >= 10, "there are secrets to look for");
    let places = [
        ("the database", database(&house).await),
        ("the bus", streams(&house).await),
        ("the terminal", house.log()),
        ("the API's answers", answers(&house).await),
    ];
    for (place, text) in &places {
        assert!(text.len() > 200, "{place} was read");
        for (name, secret) in &secrets {
            // Whoever starts the demo signs in by the links on the terminal.
            if *place == "the terminal" && name.starts_with("the link of") {
                continue;
            }
            assert!(!text.contains(secret), "{name} is in {place}");
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert!(!text.contains(&hex), "{name} is in {place}, as bytes");
        }
    }
    files_of_the_servers_have_none(&house, &secrets);
}

/// Uses every kind of secret; gives them by name.
async fn live_through_everything(house: &House) -> Vec<(String, String)> {
    let mut secrets = vec![
        ("the API key of the ready file".to_owned(), house.ready("api_key").to_owned()),
        ("the integration key of the ready file".to_owned(), house.ready("integration_key").to_owned()),
        ("HubSpot's client secret".to_owned(), Settings::default().client_secret),
        ("the tools' token of HubSpot".to_owned(), house.ready("sandboxes.hubspot.access_token").to_owned()),
        ("a password".to_owned(), PASSWORD.to_owned()),
    ];
    for role in ["owner", "admin", "member", "viewer"] {
        let link = house.ready(&format!("sign_in.{role}"));
        secrets.push((format!("the link of the {role}"), link.rsplit('/').next().unwrap_or(link).to_owned()));
    }
    let session = house.sign_in("owner").await;
    secrets.push(("a session".to_owned(), session.trim_start_matches("Bearer ").to_owned()));
    secrets.push(("a session by password".to_owned(), sign_in_by_password(house, &session).await));
    let wish = json!({ "label": "searched", "scopes": ["records:read"] });
    let minted = house.ok("POST", "/api/v1/api-keys", Some(wish)).await;
    secrets.push(("a minted API key".to_owned(), text(&minted["secret"])));
    let wish = json!({ "product": "psa", "label": "searched", "scopes": ["records:read"] });
    let minted = house.ok("POST", "/api/v1/integration-keys", Some(wish)).await;
    secrets.push(("a minted integration key".to_owned(), text(&minted["secret"])));

    // The tokens before a refresh, then those after it.
    secrets.extend(hubspot_tokens(house));
    house.hubspot().control("POST", "expire_tokens", json!({})).await;
    let company = house.hubspot().ids("companies", 1).await.remove(0);
    house.hubspot().edit("companies", &company, "phone", "+1 555 0701").await;
    house.wait_for_field("company", &company, "phone", "+1 555 0701").await;
    house.wait_for_audit("action=token.refreshed").await;
    // Wrong credentials must not be written down either.
    let wrong = "ak_a-wrong-key-that-somebody-mistyped-000000000";
    house.call_as(&[("authorization", &format!("Bearer {wrong}"))], "GET", "/api/v1/me", None).await;
    secrets.push(("a mistyped key".to_owned(), wrong.to_owned()));
    house
        .http()
        .get(format!(
            "{}/oauth/callback/hubspot?state=forged-state-0123456789&code=stolen-code-0123456789",
            house.ready("api_url")
        ))
        .send()
        .await
        .expect("the gateway answers");
    secrets.push(("a stolen code".to_owned(), "stolen-code-0123456789".to_owned()));
    secrets
}

async fn sign_in_by_password(house: &House, session: &str) -> String {
    let mut identity =
        IdentityClient::connect(house.ready("grpc_url").to_owned()).await.expect("identity answers");
    let new = SetPasswordRequest { current_password: String::new(), new_password: PASSWORD.to_owned() };
    let mut request = tonic::Request::new(new);
    request.metadata_mut().insert("authorization", session.parse().expect("a header"));
    identity.set_password(request).await.expect("the password is taken");
    let sign_in = SignInWithPasswordRequest {
        email: "olivia@northwind.example".to_owned(),
        password: PASSWORD.to_owned(),
        client: "203.0.113.7".to_owned(),
    };
    identity.sign_in_with_password(sign_in).await.expect("the password signs in").into_inner().token
}

/// The tokens that HubSpot gave to Accord, as the sandbox has them on its disk.
fn hubspot_tokens(house: &House) -> Vec<(String, String)> {
    let state =
        std::fs::read_to_string(house.data_dir().join("accord/hubspot-sandbox.json")).expect("a file");
    let mut found = Vec::new();
    for line in state.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        for kind in ["access", "refresh"] {
            let tokens = line["auth"][kind].as_object();
            found.extend(
                tokens
                    .into_iter()
                    .flat_map(|tokens| tokens.keys())
                    .map(|token| (format!("an {kind} token"), token.clone())),
            );
        }
    }
    assert!(!found.is_empty(), "the sandbox has tokens");
    found
}

/// Every row of every table as text.
async fn database(house: &House) -> String {
    let mut connection = PgConnection::connect(house.ready("database_url")).await.expect("the database");
    let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables \
                  WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
    let tables: Vec<String> =
        sqlx::query_scalar(tables).fetch_all(&mut connection).await.expect("the tables");
    for schema in ["identity", "connector", "sync", "audit"] {
        assert!(tables.iter().any(|table| table.starts_with(&format!("{schema}."))), "no table of {schema}");
    }
    let mut text = String::new();
    for table in tables {
        let rows = AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
        let rows = sqlx::query(rows).fetch_all(&mut connection).await.expect("the rows");
        for row in rows {
            let row: Option<String> = row.get(0);
            let _ = writeln!(text, "{table} {}", row.unwrap_or_default());
        }
    }
    text
}

/// Every message of every stream.
async fn streams(house: &House) -> String {
    let bus = Bus::connect(house.ready("nats_url"), ConnectOptions::named("search")).await.expect("the bus");
    let mut text = String::new();
    for stream in [subject::CHANGES, subject::EVENTS, subject::DEAD] {
        let config = ConsumerConfig { max_wait_ms: 1_000, ..ConsumerConfig::new(stream, "search") };
        let mut consumer = bus.consumer(config).await.expect("a consumer");
        loop {
            let batch = consumer.next_batch().await.expect("the stream can be read");
            if batch.is_empty() {
                break;
            }
            for delivery in &batch {
                let message = &delivery.message;
                let _ = writeln!(
                    text,
                    "{} {:?} {}",
                    message.subject,
                    message.envelope,
                    String::from_utf8_lossy(&message.body)
                );
            }
            bus::ack_all(batch).await.expect("the stream takes the acks");
        }
    }
    text
}

/// Every listing of the API.
async fn answers(house: &House) -> String {
    let connection = house.connection().await;
    let mut text = String::new();
    for path in [
        "/me",
        "/users",
        "/api-keys",
        "/integration-keys",
        "/connections",
        "/mappings",
        "/vendors",
        "/conflicts",
        "/issues",
        "/objects",
        "/records/company",
        "/records/deal",
        "/audit?limit=200",
        "/audit/export",
        &format!("/connections/{connection}"),
        &format!("/connections/{connection}/progress"),
        &format!("/connections/{connection}/usage"),
        &format!("/connections/{connection}/health"),
    ] {
        text += &house.call_for_text(&format!("/api/v1{path}")).await;
    }
    for path in ["/api/openapi.json", "/llms.txt", "/metrics", "/health/ready"] {
        text += &house.call_for_text(path).await;
    }
    text
}

/// The files of PostgreSQL and NATS, byte by byte: also what was deleted and not yet overwritten, and the logs.
fn files_of_the_servers_have_none(house: &House, secrets: &[(String, String)]) {
    let mut count = 0;
    for server in ["postgres", "nats"] {
        count += search(&house.data_dir().join(server), secrets);
    }
    assert!(count > 100, "the servers have files");
}

fn search(directory: &Path, secrets: &[(String, String)]) -> usize {
    let mut count = 0;
    for entry in std::fs::read_dir(directory).expect("the directory is readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            count += search(&path, secrets);
            continue;
        }
        // Files come and go while the servers run.
        let Ok(bytes) = std::fs::read(&path) else { continue };
        count += 1;
        let text = String::from_utf8_lossy(&bytes);
        for (name, secret) in secrets {
            assert!(!text.contains(secret.as_str()), "{name} is in {}", path.display());
        }
    }
    count
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}
