//! Salesforce's four objects: a record of each comes here, is edited on both sides, and leaves; nothing comes back.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const WAIT: Duration = Duration::from_secs(60);
const OBJECTS: [&str; 4] = ["Account", "Contact", "Opportunity", "Lead"];

/// An object, as both sides call it, and what happens to a record of it.
struct Object {
    theirs: &'static str,
    ours: &'static str,
    /// The field that names its records.
    named: (&'static str, &'static str),
    made_there: Value,
    made_here: Value,
    /// A field, as both sides call it, and its new value.
    edited_there: (&'static str, &'static str, Value),
    edited_here: (&'static str, &'static str, Value),
}

fn objects() -> [Object; 4] {
    [
        Object {
            theirs: "Account",
            ours: "company",
            named: ("Name", "name"),
            made_there: json!({ "Name": "Amber Weir", "Website": "https://amber-weir.example" }),
            made_here: json!({ "name": "Slate Mill", "domain": "slate-mill.example" }),
            edited_there: ("Phone", "phone", json!("+47 22 00 00 01")),
            edited_here: ("BillingCity", "address_city", json!("Bergen")),
        },
        Object {
            theirs: "Contact",
            ours: "contact",
            named: ("LastName", "last_name"),
            made_there: json!({ "LastName": "Harbor", "Email": "ann@harbor.example" }),
            made_here: json!({ "last_name": "Mill", "email": "mia@mill.example" }),
            edited_there: ("Title", "job_title", json!("Head of Alliances")),
            edited_here: ("FirstName", "first_name", json!("Anneke")),
        },
        Object {
            theirs: "Opportunity",
            ours: "deal",
            named: ("Name", "name"),
            made_there: json!({ "Name": "Weir deal", "StageName": "Prospecting", "CloseDate": "2031-01-31" }),
            made_here: json!({ "name": "Mill deal", "stage": "contractsent", "expected_close_date": "2031-02-28" }),
            edited_there: ("Amount", "amount", json!("1200.5")),
            edited_here: ("NextStep", "next_step", json!("Send the contract")),
        },
        Object {
            theirs: "Lead",
            ours: "lead",
            named: ("LastName", "last_name"),
            made_there: json!({ "LastName": "Loom", "Company": "Tidal Loom", "Email": "lea@loom.example" }),
            made_here: json!({ "last_name": "Reed", "company_name": "Reed Works", "email": "ria@reed.example" }),
            edited_there: ("Title", "job_title", json!("Buyer")),
            edited_here: ("Company", "company_name", json!("Tidal Loom Holding")),
        },
    ]
}

/// A record on both sides.
struct Known<'a> {
    object: &'a Object,
    there: String,
    here: String,
}

impl Known<'_> {
    async fn here(&self, house: &House) -> Value {
        house.ok("GET", &format!("/api/v1/records/{}/{}", self.object.ours, self.here), None).await
    }

    async fn wait_until_here(&self, house: &House, field: &str, value: &Value) {
        let what = format!("our {} to have the {field} {value}", self.object.ours);
        eventually(WAIT, &what, || async {
            (self.here(house).await["fields"][field] == *value).then_some(())
        })
        .await;
    }

    async fn wait_until_there(&self, house: &House, field: &str, value: &Value) {
        let what = format!("their {} to have the {field} {value}", self.object.theirs);
        let soql = format!("SELECT {field} FROM {} WHERE Id = '{}'", self.object.theirs, self.there);
        eventually(WAIT, &what, || async {
            (house.salesforce().query(&soql).await[0][field] == *value).then_some(())
        })
        .await;
    }

    async fn wait_until_detached(&self, house: &House) -> Value {
        eventually(WAIT, &format!("our {} to be detached", self.object.ours), || async {
            let record = self.here(house).await;
            (link(&record)?["state"] == "detached").then_some(record)
        })
        .await
    }
}

/// The record's link to Salesforce.
fn link(record: &Value) -> Option<&Value> {
    record["links"].as_array()?.iter().find(|link| link["vendor"] == "salesforce")
}

/// The record that is linked to one of Salesforce's, once it is.
async fn linked(house: &House, object: &str, id: &str) -> String {
    let path = format!("/api/v1/records/{object}?vendor=salesforce&vendor_id={id}");
    eventually(WAIT, &format!("{object} {id} to be here"), || async {
        let found = house.ok("GET", &path, None).await;
        found["data"][0]["id"].as_str().map(str::to_owned)
    })
    .await
}

/// Waits until nothing is written to Salesforce for a while; says how many writes there were.
async fn rest(house: &House) -> u64 {
    let salesforce = house.salesforce();
    eventually(WAIT, "rest", || async {
        let before = salesforce.writes().await;
        house.hubspot().wait_for_polls().await;
        (salesforce.writes().await == before).then_some(before)
    })
    .await
}

/// How often Salesforce was asked for records.
async fn asked(house: &House) -> u64 {
    let query = house.salesforce().calls("GET /services/data/{version}/query").await;
    query + house.salesforce().calls("POST /services/data/{version}/composite/sobjects/{object}").await
}

// R19-R23
#[tokio::test]
async fn each_object_of_salesforce_crosses_both_ways_and_comes_back_from_neither() {
    let house = House::start(Start { companies: 1, deals: 1, accounts: 3, ..Start::default() }).await;
    let salesforce = house.salesforce();
    let connection = house.connection_to("salesforce").await;
    let early = salesforce.query("SELECT Id FROM Lead ORDER BY Id").await[0].clone();
    house.wait_for_streams(&connection, &OBJECTS).await;
    let objects = objects();
    let mut known = Vec::new();
    for object in &objects {
        let new = json!({ "object": object.theirs, "fields": object.made_there });
        let made = salesforce.control("POST", "create", new).await;
        let there = made["Id"].as_str().expect("an id").to_owned();
        let here = linked(&house, object.ours, &there).await;
        known.push(Known { object, there, here });
    }
    // What was made may still be on its way to HubSpot and back.
    let writes = rest(&house).await;
    edits_there_are_pushed(&house, &known).await;
    an_edit_there_is_here_within_two_seconds(&house, &known[0]).await;
    edits_here_name_nothing_but_what_changed(&house, &connection, &known).await;
    let edited = rest(&house).await;
    assert_eq!(edited - writes, 4, "one for each edit here: none goes back, none comes back");
    what_is_made_here_is_made_there(&house, &objects).await;
    a_converted_lead_is_shown_and_left_alone(&house, &known[3]).await;
    let made = rest(&house).await;
    assert_eq!(made - edited, 5, "one for each record that was made here, and one that was refused");
    there_is_one_of_each(&house, &objects).await;
    let there = early["Id"].as_str().expect("an id").to_owned();
    let here = linked(&house, "lead", &there).await;
    known[3] = Known { object: &objects[3], there, here };
    what_is_deleted_there_is_kept_here_and_detached(&house, &known).await;
    assert_eq!(rest(&house).await, made, "nothing is written to what is gone, and nothing is made again");
}

async fn edits_there_are_pushed(house: &House, known: &[Known<'_>]) {
    let asked_before = asked(house).await;
    for it in known {
        let (theirs, _, value) = &it.object.edited_there;
        let edit = json!({ "object": it.object.theirs, "id": it.there, "fields": { *theirs: value } });
        house.salesforce().control("POST", "edit", edit).await;
    }
    for it in known {
        let (_, ours, value) = &it.object.edited_there;
        it.wait_until_here(house, ours, value).await;
    }
    assert_eq!(asked(house).await, asked_before, "it was pushed, and not asked for");
}

// R24, D13
/// How long an edit there takes until the record here has it: the median of several.
async fn an_edit_there_is_here_within_two_seconds(house: &House, account: &Known<'_>) {
    let mut lags = Vec::new();
    for number in 0..7 {
        let phone = json!(format!("+47 22 00 01 {number:02}"));
        let edit = json!({ "object": "Account", "id": account.there, "fields": { "Phone": phone } });
        let began = Instant::now();
        house.salesforce().control("POST", "edit", edit).await;
        account.wait_until_here(house, "phone", &phone).await;
        lags.push(began.elapsed());
    }
    lags.sort_unstable();
    assert!(lags[lags.len() / 2] < Duration::from_secs(2), "{lags:?}");
}

/// The vendor fields of a mapping.
fn mapped<'a>(mappings: &'a Value, object: &str) -> Vec<&'a str> {
    let mappings = mappings["data"].as_array().expect("a list");
    let mapping = mappings.iter().find(|mapping| mapping["vendor_object"] == object).expect("it is mapped");
    let fields = mapping["fields"].as_array().expect("fields").iter();
    fields
        .filter(|field| field["state"] == "confirmed")
        .filter_map(|it| it["vendor_field"].as_str())
        .collect()
}

async fn edits_here_name_nothing_but_what_changed(house: &House, connection: &str, known: &[Known<'_>]) {
    let salesforce = house.salesforce();
    let mappings = house.ok("GET", &format!("/api/v1/mappings?connection_id={connection}"), None).await;
    for it in known {
        let (theirs, ours, value) = &it.object.edited_here;
        let others: Vec<&str> =
            mapped(&mappings, it.object.theirs).into_iter().filter(|field| field != theirs).collect();
        assert!(others.len() > 5 && others.contains(&it.object.named.0), "{others:?}");
        // A write that names any other field is refused.
        for field in others {
            let rule = json!({
                "match": { "object": it.object.theirs, "field": field }, "kind": "validation_rule" });
            salesforce.control("POST", "faults", rule).await;
        }
        house.edit(it.object.ours, &it.here, json!({ *ours: value })).await;
    }
    for it in known {
        let (theirs, _, value) = &it.object.edited_here;
        it.wait_until_there(house, theirs, value).await;
    }
    salesforce.control("DELETE", "faults", json!({})).await;
}

async fn what_is_made_here_is_made_there(house: &House, objects: &[Object]) {
    for object in objects {
        let path = format!("/api/v1/records/{}", object.ours);
        let made = house.ok("POST", &path, Some(json!({ "fields": object.made_here }))).await;
        let path = format!("{path}/{}", made["id"].as_str().expect("an id"));
        eventually(WAIT, &format!("the {} to be made there", object.theirs), || async {
            (link(&house.ok("GET", &path, None).await)?["state"] == "in_sync").then_some(())
        })
        .await;
    }
}

async fn there_is_one_of_each(house: &House, objects: &[Object]) {
    for object in objects {
        let name = object.made_here[object.named.1].as_str().expect("a name");
        let soql = format!("SELECT Id FROM {} WHERE {} = '{name}'", object.theirs, object.named.0);
        assert_eq!(house.salesforce().query(&soql).await.len(), 1, "{name}");
    }
}

async fn a_converted_lead_is_shown_and_left_alone(house: &House, lead: &Known<'_>) {
    let converted = json!({ "id": lead.there, "opportunity": "Loom deal" });
    let converted = house.salesforce().control("POST", "convert", converted).await;
    lead.wait_until_here(house, "is_converted", &json!(true)).await;
    let became = [
        ("company", "ConvertedAccountId", "name", "Tidal Loom Holding"),
        ("contact", "ConvertedContactId", "last_name", "Loom"),
        ("deal", "ConvertedOpportunityId", "name", "Loom deal"),
    ];
    for (object, named_by, field, value) in became {
        let id = converted[named_by].as_str().expect("what the lead became");
        let record = linked(house, object, id).await;
        let record = house.ok("GET", &format!("/api/v1/records/{object}/{record}"), None).await;
        assert_eq!(record["fields"][field], value, "{record}");
    }
    house.edit("lead", &lead.here, json!({ "company_name": "Nobody's" })).await;
    // Until they were linked, what the lead became was missing here, too.
    eventually(WAIT, "one issue, which says why", || async {
        let issues = house.ok("GET", "/api/v1/issues", None).await;
        let of_lead = issues["data"].as_array().expect("a list").iter();
        let of_lead: Vec<&Value> = of_lead.filter(|it| it["record_id"] == lead.here.as_str()).collect();
        let [issue] = of_lead[..] else { return None };
        issue["message"].as_str()?.contains("the lead is converted").then_some(())
    })
    .await;
    lead.wait_until_there(house, "Company", &json!("Tidal Loom Holding")).await;
}

async fn what_is_deleted_there_is_kept_here_and_detached(house: &House, known: &[Known<'_>]) {
    for it in known {
        let gone = json!({ "object": it.object.theirs, "id": it.there });
        house.salesforce().control("POST", "delete", gone).await;
    }
    for it in known {
        let kept = it.wait_until_detached(house).await;
        assert_eq!(kept["archived_at"], Value::Null, "{kept}");
        let (_, ours, _) = &it.object.edited_here;
        house.edit(it.object.ours, &it.here, json!({ *ours: "after it was gone" })).await;
    }
}
