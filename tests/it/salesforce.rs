//! Salesforce's faults: whatever goes wrong on the way, in the end nothing is missing, doubled or stale.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::eventually;
use tests::{Browser, House, SalesforceOrg, Start};

use self::rows::{Row, Sign, Step, rows, text_field};

mod rows;

/// How long the platform may take after a fault is lifted.
const EQUAL_WITHIN: Duration = Duration::from_secs(60);
const OBJECTS: [&str; 4] = ["Account", "Contact", "Opportunity", "Lead"];
/// What is said of a record whose deletion is not known here.
const DELETED: &str = "is deleted there and linked here";
/// An object as Salesforce names it and as we do, with the field that names its records there and fields that both have.
struct Object {
    theirs: &'static str,
    ours: &'static str,
    named: &'static str,
    compared: &'static [(&'static str, &'static str)],
}

const ACCOUNT: Object = Object {
    theirs: "Account",
    ours: "company",
    named: "Name",
    compared: &[
        ("Name", "name"),
        ("BillingCity", "address_city"),
        ("NumberOfEmployees", "employee_count"),
        ("Description", "description"),
        ("Rank__c", "ticker"),
    ],
};

/// The other objects; of each, the second field is edited.
const OTHERS: [Object; 3] = [
    Object {
        theirs: "Contact",
        ours: "contact",
        named: "LastName",
        compared: &[("LastName", "last_name"), ("Title", "job_title"), ("Department", "department")],
    },
    Object {
        theirs: "Opportunity",
        ours: "deal",
        named: "Name",
        compared: &[("Name", "name"), ("NextStep", "next_step"), ("CloseDate", "expected_close_date")],
    },
    Object {
        theirs: "Lead",
        ours: "lead",
        named: "LastName",
        compared: &[("LastName", "last_name"), ("Title", "job_title"), ("Company", "company_name")],
    },
];

impl Object {
    /// What a record needs besides its name, there and here.
    fn required(&self, number: usize) -> (Value, Value) {
        let email = format!("{}-{number}@during.example", self.ours);
        match self.theirs {
            "Opportunity" => (
                json!({ "StageName": "Prospecting", "CloseDate": "2031-01-31" }),
                json!({ "stage": "contractsent", "expected_close_date": "2031-02-28" }),
            ),
            "Lead" => (
                json!({ "Company": "Tidal Loom", "Email": format!("their-{email}") }),
                json!({ "company_name": "Reed Works", "email": email }),
            ),
            _ => (json!({ "Email": format!("their-{email}") }), json!({ "email": email })),
        }
    }
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

    /// Every record of an object by its id, with whether it is there.
    async fn records(&self, object: &str) -> BTreeMap<String, (bool, Value)> {
        let state = self.control("GET", &format!("state/{object}"), json!({})).await;
        let records = state["results"].as_array().expect("a list").iter();
        let by_id = |record: &Value| {
            let id = record["Id"].as_str().expect("an id").to_owned();
            (id, (record["IsDeleted"] == false, record.clone()))
        };
        records.map(by_id).collect()
    }

    /// The ids of those that are there, oldest first.
    async fn living(&self, object: &str) -> Vec<String> {
        let records = self.records(object).await;
        records.into_iter().filter(|(_, (lives, _))| *lives).map(|(id, _)| id).collect()
    }

    /// Users of the org edit three of these accounts, create two, and delete one, all in one transaction.
    async fn live(&self, edit: Edit<'_>, accounts: &[String]) {
        let Edit { row, number, written } = edit;
        let mut steps = vec![json!({ "do": "delete", "object": "Account", "id": accounts[0] })];
        for (place, at) in [1, 4, 7].into_iter().enumerate() {
            let mut fields = json!({
                "BillingCity": format!("Port {number}.{place}"), "NumberOfEmployees": 100 * number + place,
                "Rank__c": format!("R{number}.{place}") });
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
/// know nothing, and a company that is new. So they do with the other objects.
async fn edit_both(house: &House, org: &Org, edit: Edit<'_>) {
    let accounts = org.living("Account").await;
    let Edit { row, number, .. } = edit;
    let here = async {
        let ours = [
            (1, json!({ "description": format!("Note {number}") })),
            (4, json!({ "address_city": format!("Haven {number}") })),
            (2, json!({ "address_city": format!("Quay {number}"), "employee_count": 10 * number })),
        ];
        for (at, fields) in ours {
            edit_here(house, &ACCOUNT, &accounts[at], fields).await;
        }
        let name = format!("Quarry {number} during {row}");
        let new = json!({ "fields": { "name": name, "domain": format!("quarry-{number}.example") } });
        house.ok("POST", "/api/v1/records/company", Some(new)).await;
    };
    tokio::join!(org.live(edit, &accounts), here);
    for object in &OTHERS {
        edit_other(house, org, object, edit).await;
    }
}

async fn edit_here(house: &House, object: &Object, id: &str, fields: Value) {
    let linked = format!("/api/v1/records/{}?vendor=salesforce&vendor_id={id}", object.ours);
    let found = house.ok("GET", &linked, None).await;
    house.edit(object.ours, found["data"][0]["id"].as_str().expect("its record"), fields).await;
}

async fn edit_other(house: &House, org: &Org, object: &Object, edit: Edit<'_>) {
    let Edit { row, number, .. } = edit;
    let (ids, (theirs, ours)) = (org.living(object.theirs).await, object.compared[1]);
    let (name_here, (mut new_there, mut new_here)) = (object.compared[0].1, object.required(number));
    new_there[object.named] = json!(format!("Dell {number} during {row}"));
    new_here[name_here] = json!(format!("Moor {number} during {row}"));
    let there = |at: usize| json!({ "do": "edit", "object": object.theirs, "id": ids[at], "fields": { theirs: format!("Step {number}.{at}") } });
    let steps = json!([
        { "do": "delete", "object": object.theirs, "id": ids[0] },
        there(1),
        there(4),
        { "do": "create", "object": object.theirs, "fields": new_there },
    ]);
    let here = async {
        for at in [2, 4] {
            edit_here(house, object, &ids[at], json!({ ours: format!("Stair {number}.{at}") })).await;
        }
        let path = format!("/api/v1/records/{}", object.ours);
        house.ok("POST", &path, Some(json!({ "fields": new_here }))).await;
    };
    tokio::join!(org.control("POST", "transaction", json!({ "steps": steps })), here);
}

/// Somebody gives the consent once more.
async fn reconnect(house: &House, org: &Org) {
    let wish = json!({ "vendor": "salesforce", "connection_id": org.connection });
    let begun = house.ok("POST", "/api/v1/connections/authorize", Some(wish)).await;
    let landed = Browser::open().allow(begun["start_url"].as_str().expect("an address")).await;
    let confirmed = house.confirm(&landed).await;
    assert_eq!(
        (confirmed.status, &confirmed.body["id"]),
        (200, &json!(org.connection)),
        "{}",
        confirmed.body
    );
}

/// What differs between the org's records and the platform's, looked at from both sides.
async fn differences(house: &House, org: &Org) -> Vec<String> {
    let mut found = Vec::new();
    for object in std::iter::once(&ACCOUNT).chain(&OTHERS) {
        found.extend(differences_of(house, org, object).await);
    }
    found
}

async fn differences_of(house: &House, org: &Org, object: &Object) -> Vec<String> {
    let theirs = org.records(object.theirs).await;
    let list = house.ok("GET", &format!("/api/v1/records/{}?limit=500", object.ours), None).await;
    assert_eq!(list["next_page"], Value::Null, "all are on one page");
    let mut found: Vec<String> = doubled(object, &theirs, &list["data"]);
    let mut linked: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in list["data"].as_array().expect("a list") {
        let name = &record["fields"][object.compared[0].1];
        let links = record["links"].as_array().expect("a list").iter();
        let links: Vec<&Value> = links.filter(|link| link["vendor"] == "salesforce").collect();
        if links.is_empty() {
            found.push(format!("missing there: {} {name}", object.ours));
        }
        for link in links.into_iter().filter(|link| link["state"] != "detached") {
            if link["state"] != "in_sync" {
                found.push(format!("stale there: {} {name} is {}", object.ours, link["state"]));
            }
            linked.entry(link["vendor_id"].as_str().unwrap_or_default()).or_default().push(record);
        }
    }
    for (id, (lives, there)) in &theirs {
        match (lives, linked.remove(id.as_str()).unwrap_or_default().as_slice()) {
            (true, []) => found.push(format!("missing here: {id} {}", there[object.named])),
            (true, [record]) => found.extend(stale(object, there, record)),
            (false, []) => {}
            (false, [_]) => found.push(format!("stale here: {id} {DELETED}")),
            (_, several) => found.push(format!("doubled here: {id} has {} records", several.len())),
        }
    }
    found.extend(linked.keys().map(|id| format!("missing there: {id:?} is linked here")));
    found
}

fn stale(object: &Object, there: &Value, record: &Value) -> Option<String> {
    // Numbers are text here.
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    object.compared.iter().find_map(|(theirs, ours)| {
        let (value, here) = (text(&there[*theirs]), text(&record["fields"][*ours]));
        (value != here)
            .then(|| format!("stale: {} has the {theirs} {value} there and {here} here", there["Id"]))
    })
}

/// Names that users gave during faults are each given once: on both sides they stay alone.
fn doubled(object: &Object, theirs: &BTreeMap<String, (bool, Value)>, records: &Value) -> Vec<String> {
    let name_here = object.compared[0].1;
    let here = records.as_array().expect("a list").iter().map(|record| &record["fields"][name_here]);
    let there = theirs.values().map(|(_, record)| &record[object.named]);
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
        Sign::Connection(state) => format!("the connection to be {state}"),
        Sign::Audited(action) => format!("{action} in the audit log"),
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
            Sign::Connection(state) => {
                let path = format!("/api/v1/connections/{}", org.connection);
                house.ok("GET", &path, None).await["state"] == *state
            }
            Sign::Audited(action) => {
                let filter = format!("action={action}&connection_id={}", org.connection);
                !house.audit(&filter).await.is_empty()
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
    map_rank(&house, &org).await;
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
                Step::Reconnect => reconnect(&house, &org).await,
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

/// Maps a field that the org's administrator has made, behind another one.
async fn map_rank(house: &House, org: &Org) {
    for name in ["Level__c", "Rank__c"] {
        org.control("POST", "field", text_field(name)).await;
    }
    house.ok("POST", &format!("/api/v1/connections/{}/refresh-schema", org.connection), None).await;
    let mappings = house.ok("GET", "/api/v1/mappings", None).await;
    let mapping = mappings["data"].as_array().expect("a list").iter();
    let mapping =
        mapping.clone().find(|mapping| mapping["vendor_object"] == "Account").expect("it is mapped");
    let mapping = mapping["id"].as_str().expect("an id");
    let choose = json!({ "action": "choose", "vendor_field": "Rank__c" });
    eventually(EQUAL_WITHIN, "the new field to be known", || async {
        let path = format!("/api/v1/mappings/{mapping}/fields/ticker");
        (house.call("PATCH", &path, Some(choose.clone())).await.status < 300).then_some(())
    })
    .await;
    house.apply_changes(mapping).await;
}
