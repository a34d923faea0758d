//! Stopped in good order and started again on its data.

use std::time::{Duration, Instant};

use sandbox::hubspot::{Settings, start};
use serde_json::json;
use tests::{House, Start};

// R112, R118; "stops cleanly on Ctrl-C and resumes with its data"
#[tokio::test]
async fn ctrl_c_stops_everything_and_the_next_start_goes_on_where_it_ended() {
    let mut house = House::start(Start::default()).await;
    let companies = house.hubspot().ids("companies", 2).await;
    house.hubspot().edit("companies", &companies[0], "phone", "+1 555 0501").await;
    let record = house.wait_for_field("company", &companies[0], "phone", "+1 555 0501").await;
    let id = record["id"].as_str().expect("an id").to_owned();
    house.edit("company", &id, json!({ "address_city": "Bodø" })).await;
    house.hubspot().wait_for_property("companies", &companies[0], "city", "Bodø").await;
    let (connection, servers) = (house.connection().await, servers(&house));
    assert!(servers.len() >= 2, "PostgreSQL and NATS run as children: {servers:?}");
    let history = format!("/api/v1/records/company/{id}/history");
    let before = house.ok("GET", &history, None).await;
    let told = conversations(&house).await;
    // A time of a series that was held stands beside the series.
    let [messages, meetings, mails] = told;
    assert!((messages, mails) == (3, 60) && meetings >= 30, "what the demo has: {told:?}");

    let (code, took) = house.interrupt().await;
    tell(&format!("Ctrl-C took {took:.1?}"));
    assert_eq!(code, Some(0), "{}", house.log());
    assert!(took < Duration::from_secs(15), "Ctrl-C took {took:.1?}");
    for server in servers {
        assert!(!is_alive(server), "process {server} outlived Accord");
    }
    edit_in_hubspot_meanwhile(&house, &companies[1]).await;

    let started = Instant::now();
    house.start_again().await;
    tell(&format!("ready {:.1?} after the second start", started.elapsed()));
    let state = house.wait_for_state("active").await;
    assert_eq!(state["id"], connection, "the connection is the same and needs nobody");
    assert_eq!(house.ok("GET", &history, None).await, before, "the history is what it was");
    assert_eq!(conversations(&house).await, told, "what was said is kept, and not planted twice");
    house.wait_for_field("company", &companies[1], "phone", "+1 555 0502").await;
    house.edit("company", &id, json!({ "address_city": "Tromsø" })).await;
    house.hubspot().wait_for_property("companies", &companies[0], "city", "Tromsø").await;
    let chain = house.ok("GET", "/api/v1/audit/verify", None).await;
    assert_eq!(chain["whole"], true, "{chain}");
}

/// How many messages, meetings and mails the sandboxes have whom nobody maps.
async fn conversations(house: &House) -> [usize; 3] {
    let count = async |vendor: &str, path: &str, list: &str| {
        let url = format!("{}/_sandbox/{path}", house.ready(&format!("sandboxes.{vendor}.url")));
        let answer = reqwest::get(url).await.expect("the sandbox answers");
        let body: serde_json::Value = answer.json().await.expect("JSON");
        body[list].as_array().expect("a list").len()
    };
    [
        count("slack", "messages?channel=deal-registrations", "messages").await,
        count("google", "state", "results").await,
        count("microsoft", "state/nora.field@harborline.example", "messages").await,
    ]
}

// A person's word stands
#[tokio::test]
async fn what_somebody_disconnected_is_not_connected_again_by_the_next_start() {
    let mut house = House::start(Start { companies: 5, deals: 0, ..Start::default() }).await;
    let connection = house.connection().await;
    house.ok("POST", &format!("/api/v1/connections/{connection}/disconnect"), None).await;
    house.wait_for_state("disconnected").await;
    let (code, _) = house.interrupt().await;
    assert_eq!(code, Some(0), "{}", house.log());

    house.start_again().await;
    let list = house.ok("GET", "/api/v1/connections", None).await;
    let connections = list["data"].as_array().expect("a list");
    assert_eq!(connections.len(), 1, "{list}");
    assert_eq!(
        (&connections[0]["id"], &connections[0]["state"]),
        (&json!(connection), &json!("disconnected"))
    );
}

/// HubSpot lives on while Accord is down: the sandbox, which ended with Accord, runs alone on its data for a moment.
async fn edit_in_hubspot_meanwhile(house: &House, company: &str) {
    let settings = Settings {
        state_file: Some(house.data_dir().join("accord/hubspot-sandbox.json")),
        ..Settings::default()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let alone = start(settings, listener).await.expect("the sandbox runs on its data");
    let edit = json!({ "object": "companies", "id": company, "properties": { "phone": "+1 555 0502" } });
    alone.control("POST", "/_sandbox/edit", edit).expect("a portal user edits");
    alone.shutdown().await;
}

/// The process ids of the private servers.
fn servers(house: &House) -> Vec<i32> {
    let programs = ["postgres", "nats-server"];
    programs.iter().flat_map(|program| house.servers(program)).map(nix::unistd::Pid::as_raw).collect()
}

fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

#[expect(clippy::print_stderr, reason = "whoever watches sees how long it took")]
fn tell(text: &str) {
    eprintln!("{text}");
}
