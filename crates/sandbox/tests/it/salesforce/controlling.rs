//! The control API and what the org keeps.

use std::path::Path;

use reqwest::Method;
use sandbox::salesforce::{Handle, Settings, start};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Force, force, force_with, names, refused};
use crate::client::eventually;

fn text<'a>(record: &'a Value, field: &str) -> &'a str {
    record[field].as_str().unwrap_or_else(|| panic!("{field} in {record}"))
}

#[tokio::test]
async fn planted_records_look_real_and_are_the_same_for_the_same_seed() {
    let (one, other) = (force().await, force().await);
    for force in [&one, &other] {
        for (object, count) in
            [("Account", 20), ("Contact", 30), ("Opportunity", 25), ("Lead", 10), ("Custom__c", 5)]
        {
            let body = json!({"object": object, "count": count, "spread_days": 30});
            assert_eq!(force.control("seed", body)["created"], json!(count));
        }
    }
    let soql = "SELECT Name, Account.Name, Amount, StageName FROM Opportunity ORDER BY Id";
    let (rows, same) = (one.query(soql).await.ok(), other.query(soql).await.ok());
    assert_eq!(rows, same);
    let row = &rows["records"][0];
    assert!(text(row, "Name").starts_with(text(&row["Account"], "Name")), "{row}");
    let contacts = one.query("SELECT Name, Email, AccountId FROM Contact WHERE AccountId != null").await.ok();
    assert_eq!(contacts["totalSize"], json!(30));
    let health = one.handle.control("GET", "/_sandbox/health", Value::Null).expect("health");
    assert_eq!((&health["records"]["Account"], &health["records"]["User"]), (&json!(20), &json!(6)));
    let stamps =
        one.query("SELECT SystemModstamp FROM Account WHERE SystemModstamp < LAST_N_DAYS:20").await.ok();
    let old = stamps["totalSize"].as_u64().expect("a number");
    assert!((1..20).contains(&old), "{old} of 20 records are older than 20 days");
    // A seeded Lead has nothing the API would refuse.
    let lead = one.query("SELECT Email, Company FROM Lead LIMIT 1").await.ok();
    one.make("Lead", json!({"LastName": "X", "Company": lead["records"][0]["Company"], "Email": lead["records"][0]["Email"]})).await;
}

#[tokio::test]
async fn users_create_edit_delete_undelete_merge_and_convert() {
    let force = force().await;
    let made = force.handle.create("Account", json!({"Name": "Acme", "Phone": "1"})).expect("created");
    let id = text(&made, "Id").to_owned();
    force.handle.advance_clock(3_000);
    let edited = force.handle.edit("Account", &id, json!({"Phone": "2"})).expect("edited");
    assert!(text(&edited, "SystemModstamp") > text(&made, "SystemModstamp"));
    assert_eq!(edited["LastModifiedDate"], edited["SystemModstamp"]);
    force.handle.advance_clock(3_000);
    let body = json!({"object": "Account", "id": id, "fields": {"Phone": "3"}, "system": true, "origin": ""});
    let by_system = force.control("edit", body);
    assert_eq!(by_system["LastModifiedDate"], edited["LastModifiedDate"]);
    assert!(text(&by_system, "SystemModstamp") > text(&edited, "SystemModstamp"));
    let commit = |force: &Force| {
        force.handle.control("GET", "/_sandbox/health", Value::Null).expect("health")["commit"].as_i64()
    };
    let before = commit(&force);
    let body = json!({"object": "Account", "id": id, "fields": {"Phone": "4"}, "unnoticed": true});
    let unnoticed = force.control("edit", body);
    assert_eq!(
        (&unnoticed["SystemModstamp"], &unnoticed["Phone"]),
        (&by_system["SystemModstamp"], &json!("4"))
    );
    assert_eq!(commit(&force), before, "nobody is told");
    let deleted = force.handle.delete("Account", &id).expect("deleted");
    assert_eq!(deleted["IsDeleted"], json!(true));
    assert_eq!(force.handle.undelete("Account", &id).expect("undeleted")["IsDeleted"], json!(false));
    assert_eq!(commit(&force), before.map(|before| before + 2));
    let loser = force.handle.create("Account", json!({"Name": "Twin", "Fax": "9"})).expect("created");
    let child = force.make("Contact", json!({"LastName": "Doe", "AccountId": loser["Id"]})).await;
    let winner = force.handle.merge("Account", &id, text(&loser, "Id")).expect("merged");
    assert_eq!((&winner["Name"], &winner["Fax"]), (&json!("Acme"), &json!("9")));
    let gone = force
        .query_all(&format!("SELECT MasterRecordId FROM Account WHERE Id = '{}'", text(&loser, "Id")))
        .await;
    assert_eq!(names(&gone.ok(), "MasterRecordId"), [id.as_str()]);
    assert_eq!(force.get(&format!("sobjects/Contact/{child}")).await.ok()["AccountId"], json!(id));
    assert!(force.handle.undelete("Account", text(&loser, "Id")).is_err());
}

#[tokio::test]
async fn a_converted_lead_becomes_others_and_is_read_only() {
    let force = force().await;
    let lead = force
        .make("Lead", json!({"FirstName": "Ada", "LastName": "Doe", "Company": "Acme", "City": "Bern"}))
        .await;
    let done = force.control("convert", json!({"id": lead, "opportunity": "Acme - first"}));
    assert_eq!((&done["IsConverted"], &done["Status"]), (&json!(true), &json!("Closed - Converted")));
    let account = force.get(&format!("sobjects/Account/{}", text(&done, "ConvertedAccountId"))).await.ok();
    assert_eq!((&account["Name"], &account["BillingCity"]), (&json!("Acme"), &json!("Bern")));
    let contact = force.get(&format!("sobjects/Contact/{}", text(&done, "ConvertedContactId"))).await.ok();
    assert_eq!((&contact["Name"], &contact["AccountId"]), (&json!("Ada Doe"), &account["Id"]));
    let deal =
        force.get(&format!("sobjects/Opportunity/{}", text(&done, "ConvertedOpportunityId"))).await.ok();
    assert_eq!(deal["StageName"], json!("Prospecting"));
    let refusal = force.patch(&format!("sobjects/Lead/{lead}"), json!({"Phone": "1"})).await;
    refused(&refusal, 400, "CANNOT_UPDATE_CONVERTED_LEAD");
    let again = force.handle.control("POST", "/_sandbox/convert", json!({"id": lead})).expect_err("refused");
    assert_eq!(again.body[0]["errorCode"], json!("CANNOT_UPDATE_CONVERTED_LEAD"));
}

#[tokio::test]
async fn a_late_transaction_shows_older_stamps_after_newer_ones_were_read() {
    let force = force().await;
    let id = force.make("Account", json!({"Name": "Slow"})).await;
    let steps = json!([{"do": "edit", "object": "Account", "id": id, "fields": {"Phone": "late"}},
        {"do": "create", "object": "Account", "fields": {"Name": "Later"}}]);
    force.handle.advance_clock(10_000);
    let held = force.control("transaction", json!({"steps": steps, "commit_after_ms": 60_000}));
    force.handle.advance_clock(10_000);
    force.make("Account", json!({"Name": "Quick"})).await;
    let stamps = "SELECT Name, Phone, SystemModstamp FROM Account ORDER BY SystemModstamp, Id";
    let before = force.query(stamps).await.ok();
    assert_eq!(names(&before, "Name"), ["Slow", "Quick"]);
    assert_eq!(before["records"][0]["Phone"], Value::Null);
    let path = format!("sobjects/Account/{id}");
    refused(&force.patch(&path, json!({"Fax": "1"})).await, 400, "UNABLE_TO_LOCK_ROW");
    force.handle.advance_clock(60_000);
    let after = force.query(stamps).await.ok();
    assert_eq!(names(&after, "Name"), ["Slow", "Later", "Quick"], "stamped before the quick one");
    assert_eq!((&after["records"][0]["Phone"], &after["records"][1].get("Id")), (&json!("late"), &None));
    assert_eq!(held["ids"].as_array().map(Vec::len), Some(2));
    assert_eq!(force.patch(&path, json!({"Fax": "1"})).await.status, 204);
}

#[tokio::test]
async fn a_transaction_is_done_whole_or_not_at_all() {
    let force = force().await;
    let steps = json!([{"do": "create", "object": "Account", "fields": {"Name": "A"}},
        {"do": "create", "object": "Account", "fields": {}}]);
    let refusal =
        force.handle.control("POST", "/_sandbox/transaction", json!({"steps": steps})).expect_err("refused");
    assert_eq!(refusal.body[0]["errorCode"], json!("REQUIRED_FIELD_MISSING"));
    assert_eq!(force.handle.state("Account").expect("a state")["total"], json!(0));
}

#[tokio::test]
async fn an_administrator_adds_and_removes_fields() {
    let force = force().await;
    force.control(
        "field",
        json!({"object": "Lead", "name": "Level__c", "type": "Picklist", "valueSet": {"restricted": true,
        "valueSetDefinition": {"value": [{"fullName": "High", "default": false}]}}}),
    );
    let lead = json!({"LastName": "Doe", "Company": "Acme", "Level__c": "High"});
    let id = force.make("Lead", lead.clone()).await;
    let mut wrong = lead;
    wrong["Level__c"] = json!("Low");
    refused(&force.post("sobjects/Lead", wrong).await, 400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST");
    let gone = json!({"object": "Lead", "name": "Level__c"});
    force.handle.control("DELETE", "/_sandbox/field", gone.clone()).expect("removed");
    assert!(force.get(&format!("sobjects/Lead/{id}")).await.ok().get("Level__c").is_none());
    refused(&force.query("SELECT Level__c FROM Lead").await, 400, "INVALID_FIELD");
    assert_eq!(force.handle.control("DELETE", "/_sandbox/field", gone).expect_err("gone").status, 404);
}

#[tokio::test]
async fn settings_and_the_clock_are_turned_by_name() {
    let force = force().await;
    let all = force.control("settings", json!({"session_minutes": 5, "daily_requests": 9}));
    assert_eq!(
        (&all["session_minutes"], &all["daily_requests"], &all["edition"]),
        (&json!(5), &json!(9), &json!("enterprise"))
    );
    for (path, body) in [
        ("settings", json!({"colour": "blue"})),
        ("settings", json!({"deleted_since": "soon"})),
        ("clock", json!({"advance_ms": -9_000_000_000_000_i64})),
        ("edit", json!({"object": "Account"})),
        ("seed", json!({"object": "User", "count": 1})),
    ] {
        let refusal =
            force.handle.control("POST", &format!("/_sandbox/{path}"), body.clone()).expect_err("refused");
        assert_eq!(refusal.status, 400, "{path} {body}");
    }
    assert!(force.control("clock", json!({"advance_ms": 5_000}))["offset_ms"].as_i64() >= Some(5_000));
    assert!(force.control("clock", json!({"advance_ms": -60_000}))["offset_ms"].as_i64() <= Some(-55_000));
    assert_eq!(force.control("revoke", json!({}))["revoked_grants"], json!(0));
    assert_eq!(force.control("expire_tokens", json!({}))["expired_tokens"], json!(0));
}

#[tokio::test]
async fn calls_are_counted_by_route_and_client_and_remembered() {
    let force = force().await;
    let client = [("Sforce-Call-Options", "client=Accord")];
    let body = json!({"Name": "Acme"});
    force.send(Method::POST, "sobjects/Account", force.handle.access_token(), &client, Some(body)).await.ok();
    force.get("sobjects/Account/nothing").await;
    let calls = force.handle.control("GET", "/_sandbox/calls?last=1", Value::Null).expect("calls");
    assert_eq!(calls["total"], json!(2));
    let route = &calls["routes"]["POST /services/data/{version}/sobjects/{object}"];
    assert_eq!(route, &json!({"calls": 1, "by_status": {"201": 1}}));
    assert_eq!((calls["last"].as_array().map(Vec::len), &calls["last"][0]["status"]), (Some(1), &json!(404)));
    assert_eq!(force.handle.calls()["last"][0]["client"], json!("Accord"));
    force.handle.control("DELETE", "/_sandbox/calls", Value::Null).expect("forgotten");
    assert_eq!(force.handle.calls()["total"], json!(0));
}

#[tokio::test]
async fn a_living_org_changes_by_itself() {
    let force = force_with(Settings { living_edits_per_minute: 60_000, ..Settings::default() }).await;
    for object in ["Account", "Opportunity"] {
        force
            .handle
            .control("POST", "/_sandbox/seed", json!({"object": object, "count": 3, "spread_days": 2}))
            .expect("seeded");
    }
    let commit =
        || force.handle.control("GET", "/_sandbox/health", Value::Null).expect("health")["commit"].as_i64();
    let began = commit();
    eventually("twenty edits", || commit() > began.map(|began| began + 20)).await;
}

async fn with_state(file: &Path) -> Handle {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let settings = Settings { state_file: Some(file.to_owned()), ..Settings::default() };
    start(settings, listener).await.expect("the sandbox starts")
}

fn everything(handle: &Handle) -> Value {
    let health = handle.control("GET", "/_sandbox/health", Value::Null).expect("health");
    json!([
        handle.state("Account").expect("a state"),
        handle.state("Contact").expect("a state"),
        health["commit"],
        handle.access_token()
    ])
}

async fn work(handle: &Handle) -> String {
    handle.seed("Account", 5).expect("seeded");
    handle.seed("Contact", 5).expect("seeded");
    let field =
        json!({"object": "Account", "name": "Key__c", "type": "Text", "unique": true, "externalId": true});
    handle.control("POST", "/_sandbox/field", field).expect("made");
    let made = handle.create("Account", json!({"Name": "Acme", "Key__c": "k"})).expect("created");
    let id = text(&made, "Id").to_owned();
    handle.delete("Account", &id).expect("deleted");
    handle.undelete("Account", &id).expect("undeleted");
    handle.advance_clock(86_400_000);
    id
}

#[tokio::test]
async fn a_restart_resumes_with_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("org.jsonl");
    let first = with_state(&file).await;
    let id = work(&first).await;
    let before = everything(&first);
    first.shutdown().await;
    let second = with_state(&file).await;
    assert_eq!(everything(&second), before);
    let twin = second.create("Account", json!({"Name": "Twin", "Key__c": "K"})).expect_err("refused");
    assert_eq!(twin.body[0]["errorCode"], json!("DUPLICATE_VALUE"));
    let next = second.create("Account", json!({"Name": "Next"})).expect("created");
    assert!(text(&next, "Id") > id.as_str(), "ids go on");
    second.shutdown().await;
}

#[tokio::test]
async fn what_was_answered_survives_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("org.jsonl");
    let first = with_state(&file).await;
    work(&first).await;
    let before = everything(&first);
    // The copy is what a killed process leaves, with half a line at its end.
    let copy = folder.path().join("killed.jsonl");
    let mut bytes = std::fs::read(&file).expect("a state file");
    bytes.extend(b"{\"k\":\"record\",\"o\":\"Acc");
    std::fs::write(&copy, bytes).expect("a copy");
    first.shutdown().await;
    let second = with_state(&copy).await;
    assert_eq!(everything(&second), before);
    second.shutdown().await;
}
