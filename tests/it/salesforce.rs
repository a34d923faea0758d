//! Salesforce's faults: whatever goes wrong on the way, in the end nothing is missing, doubled or stale.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, SalesforceOrg, Start};

/// How long the platform may take after a fault is lifted.
const EQUAL_WITHIN: Duration = Duration::from_secs(60);
const OBJECTS: [&str; 3] = ["Account", "Contact", "Opportunity"];
const DATA: &str = "/services/data";
/// Where records are read by their ids.
const READ: &str = "POST /services/data/{version}/composite/sobjects/{object}";
/// Where records are made.
const CREATE: &str = "PATCH /services/data/{version}/composite/sobjects/{object}/{field}";
/// Where records are read by when they were changed.
const QUERY: &str = "/query";
/// What is said of a record whose deletion is not known here.
const DELETED: &str = "is deleted there and linked here";
/// Fields as Salesforce names them and as we do.
const COMPARED: [(&str, &str); 4] = [
    ("Name", "name"),
    ("BillingCity", "address_city"),
    ("NumberOfEmployees", "employee_count"),
    ("Description", "description"),
];

/// A row of the fault table: what is done, and what is seen of it, in order.
struct Row {
    name: &'static str,
    steps: Vec<Step>,
}

enum Step {
    /// A call of the sandbox's control API.
    Do(&'static str, &'static str, Value),
    /// People edit on both sides at once; in the org, these fields too.
    Edit(Value),
    /// Waits until it shows.
    See(Sign),
    /// Somebody presses "Sync now".
    SyncNow,
}

/// What shows that a fault struck, and how it went on.
enum Sign {
    /// So many calls of such paths were answered with this status since the row began.
    Calls { path: &'static str, status: &'static str, times: u64 },
    /// The stream of accounts is said to be in this state.
    Stream(&'static str),
    /// Every stream fault that was set found its subscription.
    EveryStreamFault,
    /// Both sides are equal.
    Equal,
    /// Both sides are equal but for what was deleted there, which is asked for every few minutes only.
    EqualButForDeletions,
}

/// The org and its connection.
struct Org {
    sandbox: SalesforceOrg,
    connection: String,
}

impl Org {
    async fn of(house: &House) -> Self {
        Self { sandbox: house.salesforce(), connection: house.connection_to("salesforce").await }
    }

    async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        self.sandbox.control(method, path, body).await
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

    /// Users of the org edit three of these accounts, create two, and delete one, all in one transaction.
    async fn live(&self, edit: Edit<'_>, accounts: &[String]) {
        let Edit { row, number, written } = edit;
        let mut steps = vec![json!({ "do": "delete", "object": "Account", "id": accounts[0] })];
        for (place, at) in [1, 4, 7].into_iter().enumerate() {
            let mut fields = json!({
                "BillingCity": format!("Port {number}.{place}"), "NumberOfEmployees": 100 * number + place });
            merge(&mut fields, written);
            steps.push(json!({ "do": "edit", "object": "Account", "id": accounts[at], "fields": fields }));
        }
        for kind in ["Forge", "Orchard"] {
            let mut fields =
                json!({ "Name": format!("{kind} {number} during {row}"), "BillingCity": "Trieste" });
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

/// An edit of both sides: of which row, and which of all.
#[derive(Clone, Copy)]
struct Edit<'a> {
    row: &'a str,
    number: usize,
    /// What the users of the org write besides.
    written: &'a Value,
}

/// Users of both sides edit: different fields of an account, the same field of another one, one of which the org's users
/// know nothing, and a company that is new.
async fn edit_both(house: &House, org: &Org, edit: Edit<'_>) {
    let accounts = org.accounts().await;
    let living = accounts.into_iter().filter(|(_, (lives, _))| *lives).map(|(id, _)| id);
    let accounts: Vec<String> = living.collect();
    let Edit { row, number, .. } = edit;
    let here = async {
        let ours = [
            (1, json!({ "description": format!("Note {number}") })),
            (4, json!({ "address_city": format!("Haven {number}") })),
            (2, json!({ "address_city": format!("Quay {number}"), "employee_count": 10 * number })),
        ];
        for (at, fields) in ours {
            let linked = format!("/api/v1/records/company?vendor=salesforce&vendor_id={}", accounts[at]);
            let found = house.ok("GET", &linked, None).await;
            house.edit("company", found["data"][0]["id"].as_str().expect("its record"), fields).await;
        }
        let name = format!("Quarry {number} during {row}");
        let new = json!({ "fields": { "name": name, "domain": format!("quarry-{number}.example") } });
        house.ok("POST", "/api/v1/records/company", Some(new)).await;
    };
    tokio::join!(org.live(edit, &accounts), here);
}

fn post(path: &'static str, body: Value) -> Step {
    Step::Do("POST", path, body)
}

fn delete(path: &'static str) -> Step {
    Step::Do("DELETE", path, json!({}))
}

fn edit() -> Step {
    Step::Edit(json!({}))
}

/// A fault of calls strikes reads by id, which events that only tell ids lead to, and writes.
fn fault_of_calls(
    name: &'static str,
    kind: &str,
    status: &'static str,
    (path, times): (&'static str, u64),
) -> Row {
    let fault = json!({ "match": { "path_prefix": DATA }, "kind": kind });
    let steps = vec![
        post("stream/settings", json!({ "gap_percent": 100 })),
        post("faults", fault),
        edit(),
        Step::See(Sign::Calls { path, status, times }),
        delete("faults"),
        post("stream/settings", json!({ "gap_percent": 0 })),
    ];
    Row { name, steps }
}

/// A position that nothing can be resumed from when the stream is opened again.
fn lost_position(name: &'static str, before: Vec<Step>, lose: Step) -> Row {
    let mut steps = before;
    steps.extend([
        post("stream/faults", json!({ "rpc": "subscribe", "kind": "unavailable" })),
        post("stream/cut", json!({ "kind": "cut_connection" })),
        edit(),
        Step::See(Sign::Stream("interrupted")),
        lose,
        delete("stream/faults"),
        Step::See(Sign::Stream("lost")),
    ]);
    Row { name, steps }
}

/// A fault that strikes once edits come, and is there until they are made good.
fn setting(name: &'static str, on: Value, sign: Sign, off: Value) -> Row {
    let steps = vec![post("stream/settings", on), edit(), Step::See(sign), post("stream/settings", off)];
    Row { name, steps }
}

/// The event bus has enough of us, both while it is followed and when it is subscribed to again.
fn overloaded() -> Row {
    let refused = json!({ "rpc": "subscribe", "kind": "resource_exhausted", "times": OBJECTS.len() });
    let steps = vec![
        post("stream/faults", refused),
        post("stream/cut", json!({ "kind": "resource_exhausted" })),
        edit(),
        Step::See(Sign::Stream("interrupted")),
        // Long before the stream may be tried again.
        Step::See(Sign::EqualButForDeletions),
        Step::SyncNow,
        Step::See(Sign::EveryStreamFault),
        edit(),
        Step::See(Sign::EqualButForDeletions),
        Step::See(Sign::Stream("interrupted")),
        Step::SyncNow,
    ];
    Row { name: "RESOURCE_EXHAUSTED", steps }
}

/// Neither events nor signs of life come, first in streams that are open, then in those that are opened instead.
fn silence() -> Row {
    let mute = json!({ "rpc": "subscribe", "kind": "silence", "times": OBJECTS.len() });
    let steps = vec![
        post("stream/faults", mute),
        post("stream/cut", json!({ "kind": "silence" })),
        edit(),
        Step::See(Sign::EveryStreamFault),
        edit(),
    ];
    Row { name: "silence", steps }
}

fn rows() -> Vec<Row> {
    let cut = json!({ "rpc": "subscribe", "kind": "cut_connection", "after_events": 2, "times": 6 });
    let added =
        json!({ "object": "Account", "name": "Level__c", "type": "Text", "label": "Level", "length": 20 });
    let expired = Sign::Calls { path: "/services/oauth2/token", status: "200", times: 1 };
    let damaged = |is: bool| post("stream/settings", json!({ "damaged_replay_ids": is }));
    vec![
        fault_of_calls("REQUEST_LIMIT_EXCEEDED", "concurrent_limit", "403", (DATA, 2)),
        // A call is repeated three times before it has failed.
        fault_of_calls("503", "503", "503", (CREATE, 5)),
        Row {
            name: "cut stream",
            steps: vec![
                post("stream/faults", cut),
                post("stream/cut", json!({ "kind": "cut_connection" })),
                edit(),
                Step::See(Sign::EveryStreamFault),
                delete("stream/faults"),
            ],
        },
        overloaded(),
        silence(),
        lost_position("corrupted replay", vec![], post("stream/migrate", json!({}))),
        // What was pushed was taken, and with it a position that is none.
        lost_position("damaged replay", vec![damaged(true), edit(), Step::See(Sign::Equal)], damaged(false)),
        setting(
            "gap",
            json!({ "gap_percent": 100 }),
            Sign::Calls { path: READ, status: "200", times: 1 },
            json!({ "gap_percent": 0 }),
        ),
        setting(
            "overflow",
            json!({ "overflow_threshold": 0 }),
            Sign::Calls { path: QUERY, status: "200", times: 1 },
            json!({ "overflow_threshold": 100_000 }),
        ),
        Row {
            name: "schema change",
            steps: vec![post("field", added), Step::Edit(json!({ "Level__c": "gold" }))],
        },
        Row {
            name: "token revoked",
            steps: vec![post("expire_tokens", json!({})), edit(), Step::See(expired)],
        },
        Row { name: "clock skew", steps: vec![post("clock", json!({ "advance_ms": 420_000 })), edit()] },
        lost_position("expired replay", vec![], post("clock", json!({ "advance_ms": 73 * 3_600_000 }))),
    ]
}

/// What differs between the org's accounts and the platform's companies, looked at from both sides.
async fn differences(house: &House, org: &Org) -> Vec<String> {
    let accounts = org.accounts().await;
    let list = house.ok("GET", "/api/v1/records/company?limit=500", None).await;
    assert_eq!(list["next_page"], Value::Null, "all companies are on one page");
    let mut found: Vec<String> = doubled(&accounts, &list["data"]);
    let mut linked: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in list["data"].as_array().expect("a list") {
        let links = record["links"].as_array().expect("a list").iter();
        let links: Vec<&Value> = links.filter(|link| link["vendor"] == "salesforce").collect();
        if links.is_empty() {
            found.push(format!("missing there: {}", record["fields"]["name"]));
        }
        for link in links.into_iter().filter(|link| link["state"] != "detached") {
            if link["state"] != "in_sync" {
                found.push(format!("stale there: {} is {}", record["fields"]["name"], link["state"]));
            }
            linked.entry(link["vendor_id"].as_str().unwrap_or_default()).or_default().push(record);
        }
    }
    for (id, (lives, account)) in &accounts {
        match (lives, linked.remove(id.as_str()).unwrap_or_default().as_slice()) {
            (true, []) => found.push(format!("missing here: {id} {}", account["Name"])),
            (true, [record]) => found.extend(stale(account, record)),
            (false, []) => {}
            (false, [_]) => found.push(format!("stale here: {id} {DELETED}")),
            (_, several) => found.push(format!("doubled here: {id} has {} records", several.len())),
        }
    }
    found.extend(linked.keys().map(|id| format!("missing there: {id:?} is linked here")));
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

/// Waits until both sides are equal in all that counts; tells how long that took, or what differs.
async fn wait_until_equal(
    house: &House,
    org: &Org,
    counts: fn(&str) -> bool,
) -> Result<Duration, Vec<String>> {
    let began = Instant::now();
    loop {
        let mut found = differences(house, org).await;
        found.retain(|difference| counts(difference));
        if found.is_empty() {
            return Ok(began.elapsed());
        }
        if began.elapsed() > EQUAL_WITHIN {
            return Err(found);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Answers with a status to calls of such paths.
fn answers(calls: &Value, path: &str, status: &str) -> u64 {
    let routes = calls["routes"].as_object().expect("routes").iter();
    let of_path = routes.filter(|(route, _)| route.contains(path));
    of_path.filter_map(|(_, count)| count["by_status"][status].as_u64()).sum()
}

#[expect(clippy::print_stdout, reason = "how long a fault takes to be made good is worth reading")]
fn tell(row: &Row, what: &str, lasted: Duration) {
    println!("{}: {what} after {:.1} s", row.name, lasted.as_secs_f64());
}

/// Waits for a sign, and says how long it took.
async fn see(house: &House, org: &Org, row: &Row, sign: &Sign, before: &Value) {
    let began = Instant::now();
    let what = match sign {
        Sign::Equal => return equal(house, org, row, |_| true).await,
        Sign::EqualButForDeletions => {
            return equal(house, org, row, |difference| !difference.contains(DELETED)).await;
        }
        Sign::Calls { path, status, times } => format!("{times} answers {status} of {path}"),
        Sign::Stream(state) => format!("the stream to be {state}"),
        Sign::EveryStreamFault => "every fault to strike".to_owned(),
    };
    eventually(EQUAL_WITHIN, &format!("{}: {what}", row.name), || async {
        let shows = match sign {
            Sign::Calls { path, status, times } => {
                answers(&org.calls().await, path, status) >= answers(before, path, status) + times
            }
            Sign::Stream(state) => {
                house.stream_state(&org.connection, "Account").await.as_deref() == Some(*state)
            }
            Sign::EveryStreamFault => org.control("GET", "stream", json!({})).await["faults"] == json!([]),
            Sign::Equal | Sign::EqualButForDeletions => true,
        };
        shows.then_some(())
    })
    .await;
    tell(row, &what, began.elapsed());
}

/// Waits until both sides are equal in all that counts; says how long it took.
async fn equal(house: &House, org: &Org, row: &Row, counts: fn(&str) -> bool) {
    match wait_until_equal(house, org, counts).await {
        Ok(lasted) => tell(row, "equal", lasted),
        Err(found) => panic!("{}: {found:#?}\n{}", row.name, house.log()),
    }
}

// R24
#[tokio::test]
async fn after_each_fault_of_salesforce_nothing_is_missing_doubled_or_stale() {
    let start = Start {
        companies: 5,
        deals: 5,
        accounts: 40,
        poll_seconds: 30,
        settings: vec![("ACCORD_SALESFORCE_SILENCE_SECONDS", "6".to_owned())],
        ..Start::default()
    };
    let house = House::start(start).await;
    let org = Org::of(&house).await;
    org.control("POST", "stream/settings", json!({ "keepalive_ms": 1_000 })).await;
    assert!(wait_until_equal(&house, &org, |_| true).await.is_ok(), "the backfill");
    house.wait_for_streams(&org.connection, &OBJECTS).await;
    let mut number = 0;
    for row in &rows() {
        let before = org.calls().await;
        for step in &row.steps {
            match step {
                Step::Do(method, path, body) => drop(org.control(method, path, body.clone()).await),
                Step::Edit(written) => {
                    number += 1;
                    edit_both(&house, &org, Edit { row: row.name, number, written }).await;
                }
                Step::See(sign) => see(&house, &org, row, sign, &before).await,
                Step::SyncNow => {
                    let path = format!("/api/v1/connections/{}/sync", org.connection);
                    house.ok("POST", &path, None).await;
                }
            }
        }
        equal(&house, &org, row, |_| true).await;
        house.wait_for_streams(&org.connection, &OBJECTS).await;
    }
    // Nothing that came late or twice changed it again.
    assert_eq!(differences(&house, &org).await, Vec::<String>::new());
    let issues = house.ok("GET", &format!("/api/v1/issues?connection_id={}", org.connection), None).await;
    assert_eq!(issues["data"], json!([]));
}
