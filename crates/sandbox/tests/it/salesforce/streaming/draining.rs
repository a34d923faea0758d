//! An outside client reads the stream, and a backlog does not take long.

use std::time::Instant;

use sandbox::salesforce::StreamSettings;
use sandbox::salesforce::wire::ReplayPreset;
use serde_json::{Value, json};

use super::subscriber::{ACCOUNTS, org_with, replay};
use crate::python::{environment, run};

/// What the outside client needs; versions as they were when this story was written.
const PACKAGES: [&str; 3] = ["grpcio==1.85.1", "grpcio-tools==1.85.1", "fastavro==1.13.1"];
/// Changes of one backlog.
const BACKLOG: usize = 5_000;
/// Events a second that even a build for debugging delivers.
const FLOOR: f64 = 1_000.0;

#[tokio::test]
async fn an_outside_client_in_python_reads_the_stream() {
    let python = environment("salesforce-stream", &PACKAGES).await;
    let org = org_with(StreamSettings { tls: true, ..StreamSettings::default() }).await;
    let address =
        json!({"Name": "Sable & Co", "BillingCity": "Nantes", "BillingLatitude": 47.25, "AnnualRevenue": 10});
    let id = org.create("Account", address).await;
    org.update("Account", &id, json!({"Name": "Sable SA", "BillingCity": null, "AnnualRevenue": 12})).await;
    org.control("field", json!({"object": "Account", "name": "Tier__c", "type": "Text", "length": 20}));
    org.update("Account", &id, json!({"Tier__c": "Gold", "BillingStreet": "Quai 3"})).await;
    org.gaps(3);

    let folder = tempfile::tempdir().expect("a folder");
    let certificate = folder.path().join("certificate.pem");
    std::fs::write(&certificate, org.service.certificate.as_ref().expect("a certificate")).expect("written");
    let home = env!("CARGO_MANIFEST_DIR");
    let endpoint = org.service.url.trim_start_matches("https://");
    let arguments = [
        &format!("{home}/tests/it/salesforce/streaming/client.py"),
        &format!("{home}/proto/pubsub.proto"),
        endpoint,
        certificate.to_str().expect("a path"),
        org.handle.access_token(),
        org.handle.url(),
        org.handle.organization_id(),
        ACCOUNTS,
        "6",
    ];
    let printed = run(&python, &arguments, "the outside client").await;
    let events: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["header"]["changeType"].as_str()).collect();
    assert_eq!(kinds, ["CREATE", "UPDATE", "UPDATE", "GAP_UPDATE", "GAP_UPDATE", "GAP_UPDATE"]);
    assert!(events[..3].iter().all(|event| event["header"]["recordIds"] == json!([id])), "{printed}");
    let [made, changed, tiered] = [&events[0]["values"], &events[1]["values"], &events[2]["values"]];
    assert_eq!((&made["Name"], &made["BillingAddress"]["City"]), (&json!("Sable & Co"), &json!("Nantes")));
    assert_eq!(made["BillingAddress"]["Latitude"], json!(47.25));
    assert_eq!((&changed["Name"], &changed["AnnualRevenue"]), (&json!("Sable SA"), &json!(12.0)));
    assert_eq!(events[1]["header"]["nulledFields"], json!(["BillingAddress.City"]));
    let told = |event: &Value| event["header"]["changedFields"].as_array().cloned().unwrap_or_default();
    let named = |event: &Value, name: &str| told(event).contains(&json!(name));
    assert!(["Name", "AnnualRevenue", "BillingAddress.City"].iter().all(|name| named(&events[1], name)));
    assert_eq!((&tiered["Tier__c"], &tiered["BillingAddress"]["Street"]), (&json!("Gold"), &json!("Quai 3")));
    assert!(["Tier__c", "BillingAddress.Street"].iter().all(|name| named(&events[2], name)), "{printed}");
    assert_ne!(events[1]["schema"], events[2]["schema"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_delivered_by_the_thousand() {
    let org = org_with(StreamSettings::default()).await;
    org.control("seed", json!({"object": "Account", "count": BACKLOG}));
    let client = org.client().await;
    let began = Instant::now();
    let mut stream = client.subscribe(ACCOUNTS, replay(ReplayPreset::Earliest, &[])).await;
    let (mut delivered, mut bytes) = (0, 0);
    while delivered < BACKLOG {
        let response = stream.response().await.expect("no error").expect("a response");
        delivered += response.events.len();
        bytes += response
            .events
            .iter()
            .filter_map(|one| one.event.as_ref())
            .map(|one| one.payload.len())
            .sum::<usize>();
        if response.pending_num_requested < 50 {
            stream.more(100).await;
        }
    }
    let rate = delivered as f64 / began.elapsed().as_secs_f64();
    println!("{delivered} events, {} bytes each, {rate:.0} a second", bytes / delivered);
    assert!(rate > FLOOR, "{rate:.0} events a second");
}
