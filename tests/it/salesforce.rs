//! Salesforce's faults: whatever goes wrong on the way, in the end nothing is missing, doubled or stale.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::eventually;
use tests::{Api, House, Start};

/// How long the platform may take after a fault is lifted.
const EQUAL_WITHIN: Duration = Duration::from_secs(60);
const OBJECTS: [&str; 3] = ["Account", "Contact", "Opportunity"];
const DATA: &str = "/services/data";
/// Where records are read by their ids.
const READ: &str = "POST /services/data/{version}/composite/sobjects/{object}";
/// Where records are read by when they were changed.
const QUERY: &str = "/query";
/// Fields as Salesforce names them and as we do.
const COMPARED: [(&str, &str); 3] =
    [("Name", "name"), ("BillingCity", "address_city"), ("NumberOfEmployees", "employee_count")];

/// A row of the fault table.
struct Row {
    name: &'static str,
    /// Calls of the sandbox's control API that bring the fault.
    begin: Vec<(&'static str, &'static str, Value)>,
    /// What else users write during it.
    written: Value,
    /// What shows that it struck.
    struck: Struck,
    /// Calls that lift it.
    end: Vec<(&'static str, &'static str, Value)>,
}

/// What shows that a fault struck.
enum Struck {
    /// So many calls of such paths were answered with this status since it began.
    Calls { path: &'static str, status: &'static str, times: u64 },
    /// The stream of accounts is said to be in this state.
    Stream(&'static str),
    /// Every stream fault that was set found its subscription.
    EveryStreamFault,
    /// It is there at once.
    AtOnce,
}

/// The org, through the sandbox's control API.
struct Org {
    api: Api,
    connection: String,
}

impl Org {
    async fn of(house: &House) -> Self {
        let list = house.ok("GET", "/api/v1/connections", None).await;
        let connections = list["data"].as_array().expect("a list");
        let found = connections.iter().find(|connection| connection["vendor"] == "salesforce");
        let connection = found.and_then(|connection| connection["id"].as_str()).expect("it is connected");
        let (url, token) =
            (house.ready("sandboxes.salesforce.url"), house.ready("sandboxes.salesforce.access_token"));
        Self { api: Api::new(house.http().clone(), url, token), connection: connection.to_owned() }
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self
            .api
            .try_call(method, &format!("/_sandbox/{path}"), Some(body))
            .await
            .expect("the sandbox answers");
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.body);
        answer.body
    }

    async fn all(&self, calls: &[(&str, &str, Value)]) {
        for (method, path, body) in calls {
            self.control(method, path, body.clone()).await;
        }
    }

    /// Every account by its id, with whether it is there.
    async fn accounts(&self) -> BTreeMap<String, (bool, Value)> {
        let state = self.control("GET", "state/Account", json!({})).await;
        let accounts = state["results"].as_array().expect("a list").iter();
        let by_id = |account: &Value| {
            let id = account["Id"].as_str().expect("an id").to_owned();
            (id, (account["IsDeleted"] == false, account.clone()))
        };
        accounts.map(by_id).collect()
    }

    /// Users of the org edit three accounts, create two, and delete one, all in one transaction.
    async fn live(&self, row: usize, name: &str, written: &Value) {
        let accounts = self.accounts().await;
        let mut living = accounts.iter().filter(|(_, (lives, _))| *lives).map(|(id, _)| id);
        let gone = living.next().expect("accounts are left");
        let mut steps = vec![json!({ "do": "delete", "object": "Account", "id": gone })];
        for (number, id) in living.step_by(3).take(3).enumerate() {
            let mut fields = json!({
                "BillingCity": format!("Port {row}{number}"), "NumberOfEmployees": 100 * row + number });
            merge(&mut fields, written);
            steps.push(json!({ "do": "edit", "object": "Account", "id": id, "fields": fields }));
        }
        for kind in ["Forge", "Orchard"] {
            let mut fields = json!({ "Name": format!("{kind} during {name}"), "BillingCity": "Trieste" });
            merge(&mut fields, written);
            steps.push(json!({ "do": "create", "object": "Account", "fields": fields }));
        }
        self.control("POST", "transaction", json!({ "steps": steps })).await;
    }

    async fn calls(&self) -> Value {
        self.control("GET", "calls", json!({})).await
    }
}

fn merge(fields: &mut Value, more: &Value) {
    for (name, value) in more.as_object().into_iter().flatten() {
        fields[name] = value.clone();
    }
}

fn row(
    name: &'static str,
    begin: Vec<(&'static str, &'static str, Value)>,
    struck: Struck,
    end: Vec<(&'static str, &'static str, Value)>,
) -> Row {
    Row { name, begin, written: json!({}), struck, end }
}

/// The faults of calls strike reads by id, which events that only tell ids lead to.
fn fault_of_calls(name: &'static str, kind: &str, status: &'static str) -> Row {
    let fault = json!({ "match": { "path_prefix": DATA }, "kind": kind });
    row(
        name,
        vec![("POST", "stream/settings", json!({ "gap_percent": 100 })), ("POST", "faults", fault)],
        Struck::Calls { path: DATA, status, times: 2 },
        vec![("DELETE", "faults", json!({})), ("POST", "stream/settings", json!({ "gap_percent": 0 }))],
    )
}

/// A position that is not known any more when the stream is opened again.
fn lost_position(name: &'static str, lose: (&'static str, &'static str, Value)) -> Row {
    let closed = json!({ "rpc": "subscribe", "kind": "unavailable" });
    let begin =
        vec![("POST", "stream/faults", closed), ("POST", "stream/cut", json!({ "kind": "cut_connection" }))];
    let end = vec![lose, ("DELETE", "stream/faults", json!({}))];
    row(name, begin, Struck::Stream("interrupted"), end)
}

fn rows() -> Vec<Row> {
    let cut = json!({ "rpc": "subscribe", "kind": "cut_connection", "after_events": 2, "times": 6 });
    let added =
        json!({ "object": "Account", "name": "Level__c", "type": "Text", "label": "Level", "length": 20 });
    vec![
        fault_of_calls("REQUEST_LIMIT_EXCEEDED", "concurrent_limit", "403"),
        fault_of_calls("503", "503", "503"),
        row(
            "cut stream",
            vec![("POST", "stream/faults", cut), ("POST", "stream/cut", json!({ "kind": "cut_connection" }))],
            Struck::EveryStreamFault,
            vec![("DELETE", "stream/faults", json!({}))],
        ),
        lost_position("corrupted replay", ("POST", "stream/migrate", json!({}))),
        row(
            "gap",
            vec![("POST", "stream/settings", json!({ "gap_percent": 100 }))],
            Struck::Calls { path: READ, status: "200", times: 1 },
            vec![("POST", "stream/settings", json!({ "gap_percent": 0 }))],
        ),
        row(
            "overflow",
            vec![("POST", "stream/settings", json!({ "overflow_threshold": 0 }))],
            Struck::Calls { path: QUERY, status: "200", times: 1 },
            vec![("POST", "stream/settings", json!({ "overflow_threshold": 100_000 }))],
        ),
        Row {
            written: json!({ "Level__c": "gold" }),
            ..row("schema change", vec![("POST", "field", added)], Struck::AtOnce, vec![])
        },
        row(
            "token revoked",
            vec![("POST", "expire_tokens", json!({}))],
            Struck::Calls { path: "/services/oauth2/token", status: "200", times: 1 },
            vec![],
        ),
        row("clock skew", vec![("POST", "clock", json!({ "advance_ms": 420_000 }))], Struck::AtOnce, vec![]),
        lost_position("expired replay", ("POST", "clock", json!({ "advance_ms": 73 * 3_600_000 }))),
    ]
}

/// What differs between the org's accounts and the platform's companies.
async fn differences(house: &House, org: &Org) -> Vec<String> {
    let accounts = org.accounts().await;
    let list = house.ok("GET", "/api/v1/records/company?limit=500", None).await;
    assert_eq!(list["next_page"], Value::Null, "all companies are on one page");
    let mut linked: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in list["data"].as_array().expect("a list") {
        for link in record["links"].as_array().expect("a list") {
            if let Some(id) = link["vendor_id"].as_str()
                && link["vendor"] == "salesforce"
                && link["state"] != "detached"
            {
                linked.entry(id).or_default().push(record);
            }
        }
    }
    let mut found: Vec<String> = doubled(&accounts, &list["data"]);
    for (id, (lives, account)) in &accounts {
        match (lives, linked.remove(id.as_str()).unwrap_or_default().as_slice()) {
            (true, []) => found.push(format!("missing: {id} {}", account["Name"])),
            (true, [record]) => found.extend(stale(account, record)),
            (false, []) => {}
            (false, [_]) => found.push(format!("stale: {id} is deleted there and linked here")),
            (_, several) => found.push(format!("doubled: {id} has {} records", several.len())),
        }
    }
    found.extend(linked.keys().map(|id| format!("stale: {id} is linked here and was never there")));
    found
}

fn stale(account: &Value, record: &Value) -> Option<String> {
    // Numbers are text here.
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    COMPARED.iter().find_map(|(theirs, ours)| {
        let (there, here) = (text(&account[*theirs]), text(&record["fields"][*ours]));
        (there != here)
            .then(|| format!("stale: {} has the {theirs} {there} there and {here} here", account["Id"]))
    })
}

/// Names that users gave during faults are each given once: on both sides they stay alone.
fn doubled(accounts: &BTreeMap<String, (bool, Value)>, records: &Value) -> Vec<String> {
    let here = records.as_array().expect("a list").iter().map(|record| &record["fields"]["name"]);
    let there = accounts.values().map(|(_, account)| &account["Name"]);
    let mut times: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let named = here.map(|name| ("here", name)).chain(there.map(|name| ("there", name)));
    for (side, name) in named.filter_map(|(side, name)| Some((side, name.as_str()?))) {
        if name.contains(" during ") {
            *times.entry((side, name)).or_default() += 1;
        }
    }
    let twice = times.into_iter().filter(|(_, times)| *times > 1);
    twice.map(|((side, name), times)| format!("doubled: {name} is {times} times {side}")).collect()
}

/// Waits until both sides are equal; tells how long that took, or what differs.
async fn wait_until_equal(house: &House, org: &Org) -> Result<Duration, Vec<String>> {
    let began = Instant::now();
    loop {
        let found = differences(house, org).await;
        if found.is_empty() {
            return Ok(began.elapsed());
        }
        if began.elapsed() > EQUAL_WITHIN {
            return Err(found);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn stream_state(house: &House, org: &Org, object: &str) -> Value {
    let progress = house.ok("GET", &format!("/api/v1/connections/{}/progress", org.connection), None).await;
    let objects = progress["objects"].as_array().expect("a list");
    let found = objects.iter().find(|one| one["vendor_object"] == object);
    found.map_or(Value::Null, |one| one["stream"]["state"].clone())
}

async fn wait_for_streams(house: &House, org: &Org) {
    for object in OBJECTS {
        eventually(EQUAL_WITHIN, &format!("the stream of {object} to be followed"), || async {
            (stream_state(house, org, object).await == "following").then_some(())
        })
        .await;
    }
}

/// Answers with a status to calls of such paths.
fn answers(calls: &Value, path: &str, status: &str) -> u64 {
    let routes = calls["routes"].as_object().expect("routes").iter();
    let of_path = routes.filter(|(route, _)| route.contains(path));
    of_path.filter_map(|(_, count)| count["by_status"][status].as_u64()).sum()
}

async fn wait_until_struck(house: &House, org: &Org, row: &Row, before: &Value) {
    let what = format!("{} to strike", row.name);
    eventually(EQUAL_WITHIN, &what, || async {
        let struck = match row.struck {
            Struck::Calls { path, status, times } => {
                let now = answers(&org.calls().await, path, status);
                now >= answers(before, path, status) + times
            }
            Struck::Stream(state) => stream_state(house, org, "Account").await == state,
            Struck::EveryStreamFault => org.control("GET", "stream", json!({})).await["faults"] == json!([]),
            Struck::AtOnce => true,
        };
        struck.then_some(())
    })
    .await;
}

// R24
#[tokio::test]
async fn after_each_fault_of_salesforce_nothing_is_missing_doubled_or_stale() {
    let start = Start { companies: 5, deals: 5, accounts: 40, poll_seconds: 30, ..Start::default() };
    let house = House::start(start).await;
    let org = Org::of(&house).await;
    org.control("POST", "stream/settings", json!({ "keepalive_ms": 1_000 })).await;
    assert!(wait_until_equal(&house, &org).await.is_ok(), "the backfill");
    wait_for_streams(&house, &org).await;
    for (number, row) in rows().iter().enumerate() {
        let before = org.calls().await;
        org.all(&row.begin).await;
        org.live(number + 1, row.name, &row.written).await;
        wait_until_struck(&house, &org, row, &before).await;
        org.all(&row.end).await;
        match wait_until_equal(&house, &org).await {
            Ok(lasted) => println!("{}: equal after {:.1} s", row.name, lasted.as_secs_f64()),
            Err(found) => panic!("{}: {found:#?}\n{}", row.name, house.log()),
        }
        wait_for_streams(&house, &org).await;
    }
    // Nothing that came late or twice changed it again.
    assert_eq!(differences(&house, &org).await, Vec::<String>::new());
}
