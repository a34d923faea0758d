//! Accord is killed at work on a stream of Salesforce's: after a change was published and before the place in the stream
//! was stored, and while the bus takes nothing.

use std::time::{Duration, Instant};

use bus::{Bus, ConnectOptions, ConsumerConfig, subject};
use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use testkit::eventually;
use tests::{House, Start};

const WAIT: Duration = Duration::from_secs(60);
/// For so long the bus takes nothing, and nothing may be stored.
const STOPPED: Duration = Duration::from_secs(4);

/// An account there and its company here.
struct Known {
    there: String,
    here: String,
}

/// A connection to the house's database.
async fn database(house: &House) -> PgConnection {
    PgConnection::connect(house.ready("database_url")).await.expect("the database")
}

/// How far the stream of accounts is, as stored.
async fn place(database: &mut PgConnection) -> String {
    let place =
        "SELECT position::text FROM connector.checkpoints WHERE object = 'Account' AND lane = 'stream'";
    sqlx::query_scalar(place).fetch_one(database).await.expect("the stream has a place")
}

async fn accounts(house: &House) -> Vec<Known> {
    let mut known = Vec::new();
    for account in house.salesforce().query("SELECT Id FROM Account ORDER BY Id").await {
        let there = account["Id"].as_str().expect("an id").to_owned();
        let path = format!("/api/v1/records/company?vendor=salesforce&vendor_id={there}");
        let here = eventually(WAIT, "the account to be here", || async {
            house.ok("GET", &path, None).await["data"][0]["id"].as_str().map(str::to_owned)
        })
        .await;
        known.push(Known { there, here });
    }
    known
}

impl Known {
    async fn is_given(&self, house: &House, phone: &str) {
        house.salesforce().edit("Account", &self.there, json!({ "Phone": phone })).await;
    }

    async fn has(&self, house: &House, phone: &str) {
        eventually(WAIT, &format!("the phone {phone} to be here"), || async {
            let record = house.ok("GET", &format!("/api/v1/records/company/{}", self.here), None).await;
            (record["fields"]["phone"] == phone).then_some(())
        })
        .await;
    }

    /// How often the history has this phone.
    async fn recorded(&self, house: &House, phone: &str) -> usize {
        let path = format!("/api/v1/records/company/{}/history?limit=500", self.here);
        let history = house.ok("GET", &path, None).await;
        let revisions = history["data"].as_array().expect("a list").iter();
        let changes = revisions.filter_map(|revision| revision["changes"].as_array()).flatten();
        changes.filter(|change| change["field"] == "phone" && change["after"] == phone).count()
    }

    /// How often the bus has it: each time that it was told.
    async fn told(&self, house: &House, phone: &str) -> usize {
        let options = ConnectOptions::named("count");
        let bus = Bus::connect(house.ready("nats_url"), options).await.expect("the bus");
        let config = ConsumerConfig { max_wait_ms: 1_000, ..ConsumerConfig::new(subject::CHANGES, "count") };
        let mut consumer = bus.consumer(config).await.expect("a consumer");
        let mut told = 0;
        loop {
            let batch = consumer.next_batch().await.expect("the stream can be read");
            if batch.is_empty() {
                return told;
            }
            for delivery in &batch {
                let body = String::from_utf8_lossy(&delivery.message.body);
                told += usize::from(body.contains(&self.there) && body.contains(phone));
            }
            bus::ack_all(batch).await.expect("the stream takes the acks");
        }
    }
}

// R24, R112, R118
#[tokio::test]
async fn a_kill_between_publishing_a_change_of_a_stream_and_storing_its_place_loses_nothing_and_records_nothing_twice()
 {
    let start = Start { companies: 1, deals: 1, accounts: 6, ..Start::default() };
    let mut house = House::start(start).await;
    let connection = house.connection_to("salesforce").await;
    house.wait_for_streams(&connection, &["Account"]).await;
    let known = accounts(&house).await;
    known[0].is_given(&house, "+41 31 000 01 00").await;
    known[0].has(&house, "+41 31 000 01 00").await;

    kill_before_the_place_is_stored(&mut house, &known[1], &known[2]).await;
    house.wait_for_streams(&connection, &["Account"]).await;
    known[2].has(&house, "+41 31 000 03 00").await;
    known[1].has(&house, "+41 31 000 02 00").await;
    assert!(known[1].told(&house, "+41 31 000 02 00").await > 0, "it was told before");
    assert_eq!(known[1].recorded(&house, "+41 31 000 02 00").await, 1, "and is recorded once");

    kill_while_the_bus_takes_nothing(&mut house, &known[3]).await;
    known[3].has(&house, "+41 31 000 04 00").await;
    house.wait_for_streams(&connection, &["Account"]).await;
    known[0].is_given(&house, "+41 31 000 05 00").await;
    known[0].has(&house, "+41 31 000 05 00").await;
    let phones = ["+41 31 000 05 00", "+41 31 000 02 00", "+41 31 000 03 00", "+41 31 000 04 00"];
    for (known, phone) in known.iter().zip(phones) {
        known.has(&house, phone).await;
        assert_eq!(known.recorded(&house, phone).await, 1, "{phone}");
    }
    assert_eq!(house.operator(&["dead", "list"]).trim(), "", "nothing was given up");
    let issues = house.ok("GET", &format!("/api/v1/issues?connection_id={connection}"), None).await;
    assert_eq!(issues["data"], Value::Array(Vec::new()));
}

/// One change is published, and another one is behind it, when Accord dies.
async fn kill_before_the_place_is_stored(house: &mut House, published: &Known, behind: &Known) {
    let mut database = database(house).await;
    let before = place(&mut database).await;
    let mut held = database.begin().await.expect("a transaction");
    let lock = "LOCK TABLE connector.checkpoints IN EXCLUSIVE MODE";
    sqlx::query(lock).execute(&mut *held).await.expect("nobody else holds it for long");
    published.is_given(house, "+41 31 000 02 00").await;
    published.has(house, "+41 31 000 02 00").await;
    behind.is_given(house, "+41 31 000 03 00").await;
    assert_eq!(place(&mut held).await, before, "the place is not stored");
    house.kill();
    drop(held);
    house.start_again().await;
}

/// A change was pushed, and the bus has not said that it has it, when Accord dies.
async fn kill_while_the_bus_takes_nothing(house: &mut House, pushed: &Known) {
    let mut database = database(house).await;
    for server in house.servers("nats-server") {
        kill(server, Signal::SIGSTOP).expect("the process is ours");
    }
    let before = place(&mut database).await;
    pushed.is_given(house, "+41 31 000 04 00").await;
    let end = Instant::now() + STOPPED;
    while Instant::now() < end {
        assert_eq!(
            place(&mut database).await,
            before,
            "a place is stored before the bus has what lies there"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    house.kill();
    house.start_again().await;
}
