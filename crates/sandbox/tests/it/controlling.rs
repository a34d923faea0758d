//! The control API, the living portal, and the state file.

#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sandbox::hubspot::Settings;
use serde_json::{Value, json};

use crate::client::{Hub, eventually, hub, hub_with, relaxed};

#[tokio::test]
async fn health_says_what_the_portal_holds() {
    let hub = hub().await;
    hub.handle.seed("companies", 3).expect("seeded");
    let health = hub.get("/_sandbox/health").await.ok();
    assert_eq!((&health["status"], &health["records"]["companies"]), (&json!("ok"), &json!(3)));
}

#[tokio::test]
async fn planted_records_look_real_and_are_the_same_for_the_same_seed() {
    let plant = || async {
        let hub = hub().await;
        hub.post("/_sandbox/seed", json!({"object": "companies", "count": 20, "seed": 7})).await.ok();
        hub.post("/_sandbox/seed", json!({"object": "deals", "count": 30, "seed": 7})).await.ok();
        hub.post("/_sandbox/seed", json!({"object": "contacts", "count": 10, "seed": 7})).await.ok();
        hub
    };
    let (one, two) = (plant().await, plant().await);
    let values = |state: &Value| -> Vec<Value> {
        let rows = state["results"].as_array().expect("results");
        rows.iter()
            .map(|row| {
                json!([
                    row["properties"]["name"],
                    row["properties"]["dealname"],
                    row["properties"]["amount"],
                    row["properties"]["email"]
                ])
            })
            .collect()
    };
    for object in ["companies", "deals", "contacts"] {
        assert_eq!(
            values(&one.handle.state(object).expect("state")),
            values(&two.handle.state(object).expect("state"))
        );
    }
    let deals = one.get("/_sandbox/state/deals?associations=true").await.ok();
    let company =
        deals["results"][0]["associations"]["companies"]["results"][0]["id"].as_str().expect("a company");
    let company = one.get(&format!("/crm/v3/objects/companies/{company}")).await.ok();
    let name = company["properties"]["name"].as_str().expect("a name");
    assert!(
        deals["results"][0]["properties"]["dealname"].as_str().is_some_and(|deal| deal.starts_with(name))
    );
}

#[tokio::test]
async fn planted_records_can_lie_in_the_past() {
    let hub = hub().await;
    hub.post("/_sandbox/seed", json!({"object": "companies", "count": 10, "spread_days": 100})).await.ok();
    let state = hub.handle.state("companies").expect("state");
    let (first, last) = (&state["results"][0]["createdAt"], &state["results"][9]["createdAt"]);
    assert!(first.as_str() < last.as_str() && first["x"].is_null());
    assert_eq!(hub.search("companies", json!({})).await.body["total"], 10);
}

#[tokio::test]
async fn portal_users_create_edit_archive_restore_and_merge() {
    let hub = hub().await;
    let made =
        hub.post("/_sandbox/create", json!({"object": "companies", "properties": {"name": "A"}})).await.ok();
    let id = made["id"].as_str().expect("id");
    let edit = |properties: Value| json!({"object": "companies", "id": id, "properties": properties});
    let edited = hub.post("/_sandbox/edit", edit(json!({"city": "Oslo"}))).await.ok();
    assert_eq!(edited["properties"]["city"], "Oslo");
    hub.post("/_sandbox/edit", edit(json!({"industry": "nope"}))).await.refused(400, "VALIDATION_ERROR");
    let archived = hub.post("/_sandbox/archive", json!({"object": "companies", "id": id})).await.ok();
    assert_eq!(archived["archived"], true);
    hub.handle.advance_clock(50);
    let restored = hub.post("/_sandbox/restore", json!({"object": "companies", "id": id})).await.ok();
    assert!(restored["updatedAt"].as_str() > archived["updatedAt"].as_str(), "a restoration moves the time");
    let other = hub.handle.create("companies", json!({"name": "B"})).expect("created");
    let merge = json!({"object": "companies", "primary_id": id, "id": other["id"]});
    assert_eq!(hub.post("/_sandbox/merge", merge).await.ok()["id"], id);
    hub.handle.edit("companies", "12", json!({})).expect_err("no such record");
}

#[tokio::test]
async fn the_vendor_can_be_made_to_reformat_what_it_is_sent() {
    let hub = hub().await;
    hub.post("/_sandbox/settings", json!({"reformat": true})).await.ok();
    let values = json!({"name": "  acme widgets ", "domain": "acme.example", "annualrevenue": "1000.005"});
    let id = hub.make("companies", values).await;
    let read =
        hub.get(&format!("/crm/v3/objects/companies/{id}?properties=name,domain,annualrevenue")).await.ok();
    let got = &read["properties"];
    assert_eq!((&got["name"], &got["domain"]), (&json!("Acme Widgets"), &json!("acme.example")));
    assert_eq!(got["annualrevenue"], "1000");
}

#[tokio::test]
async fn settings_are_changed_by_name_and_wrong_ones_are_refused() {
    let hub = hub().await;
    let changed =
        hub.post("/_sandbox/settings", json!({"tier": "enterprise", "index_delay_ms": 5})).await.ok();
    assert_eq!(
        (&changed["tier"], &changed["index_delay_ms"], &changed["rate_limits"]),
        (&json!("enterprise"), &json!(5), &json!(false))
    );
    hub.post("/_sandbox/settings", json!({"gravity": 9})).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn the_clock_goes_forward_and_back_and_not_before_1970() {
    let hub = hub().await;
    let now = |answer: Value| answer["now_ms"].as_i64().expect("a time");
    let before = now(hub.get("/_sandbox/health").await.ok());
    let after = now(hub.post("/_sandbox/clock", json!({"advance_ms": 3_600_000})).await.ok());
    assert!(after >= before + 3_600_000);
    let back = now(hub.post("/_sandbox/clock", json!({"advance_ms": -3_600_000})).await.ok());
    assert!((before..after).contains(&back), "{before} {back} {after}");
    let ages = json!({"advance_ms": -9_000_000_000_000_i64});
    hub.post("/_sandbox/clock", ages).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn access_tokens_expire_on_demand() {
    let hub = hub().await;
    assert_eq!(hub.post("/_sandbox/expire_tokens", json!({})).await.ok()["expired_tokens"], 0);
}

#[tokio::test]
async fn calls_are_counted_by_route_and_class_and_remembered() {
    let hub = hub().await;
    hub.get("/crm/v3/objects/companies").await.ok();
    hub.search("companies", json!({})).await.ok();
    hub.get("/crm/v3/objects/companies/1").await.refused(404, "OBJECT_NOT_FOUND");
    hub.get("/oauth/v1/access-tokens/secret-token").await;
    let calls = hub.get("/_sandbox/calls?last=2").await.ok();
    assert_eq!((&calls["classes"]["general"], &calls["classes"]["search"]), (&json!(2), &json!(1)));
    assert_eq!(calls["routes"]["GET /crm/v3/objects/{type}/{id}"]["by_status"]["404"], 1);
    assert_eq!(calls["last"].as_array().map(Vec::len), Some(2));
    assert!(!calls.to_string().contains("secret-token"), "tokens in paths are not kept");
    assert_eq!(hub.delete("/_sandbox/calls").await.status, 204);
    assert_eq!(hub.handle.calls()["total"], 0);
}

#[tokio::test]
async fn a_living_portal_changes_by_itself() {
    let hub = hub().await;
    hub.handle.seed("companies", 5).expect("seeded");
    hub.handle.seed("deals", 5).expect("seeded");
    let states =
        || (hub.handle.state("companies").expect("state"), hub.handle.state("deals").expect("state"));
    let before = states();
    hub.handle.change_settings(json!({"living_edits_per_minute": 6_000})).expect("changed");
    eventually("somebody to edit something", || states() != before).await;
}

async fn kept(file: &Path) -> Hub {
    hub_with(Settings { state_file: Some(file.to_owned()), ..relaxed() }).await
}

async fn fill(hub: &Hub) -> (String, String) {
    let unique = json!({"name": "accord_record_id", "label": "Record", "type": "string", "fieldType": "text",
                        "groupName": "companyinformation", "hasUniqueValue": true});
    hub.post("/crm/v3/properties/companies", unique).await.ok();
    let company = hub.make("companies", json!({"name": "Kept", "accord_record_id": "rec_1"})).await;
    let loser = hub.make("companies", json!({"name": "Merged"})).await;
    let deal = hub.make("deals", json!({"dealname": "Kept deal"})).await;
    hub.put(&format!("/crm/v4/objects/deals/{deal}/associations/default/companies/{company}"), json!(null))
        .await
        .ok();
    hub.handle.merge("companies", &company, &loser).expect("merged");
    hub.handle.edit("companies", &company, json!({"city": "Oslo"})).expect("edited");
    let gone = hub.make("companies", json!({"name": "Archived"})).await;
    hub.handle.archive("companies", &gone).expect("archived");
    (company, loser)
}

async fn check_kept(hub: &Hub, company: &str, loser: &str, before: &Value) {
    assert_eq!(&hub.handle.state("companies").expect("state"), before);
    assert_eq!(hub.get(&format!("/crm/v3/objects/companies/{loser}")).await.ok()["id"], company);
    let by =
        hub.get("/crm/v3/objects/companies/rec_1?idProperty=accord_record_id&associations=deals").await.ok();
    assert!(by["associations"]["deals"]["results"][0]["id"].is_string());
    assert_eq!(hub.search("companies", json!({})).await.ids(), [company]);
    let again = json!({"properties": {"accord_record_id": "rec_1"}});
    hub.post("/crm/v3/objects/companies", again).await.refused(409, "CONFLICT");
    let new = hub.make("companies", json!({"name": "New"})).await;
    assert!(new.as_str() > company, "ids are not given twice");
}

#[tokio::test]
async fn a_restart_resumes_with_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("portal.jsonl");
    let hub = kept(&file).await;
    let (company, loser) = fill(&hub).await;
    let (token, before) =
        (hub.handle.access_token().to_owned(), hub.handle.state("companies").expect("state"));
    hub.handle.shutdown().await;
    // An earlier version left the file open to everybody.
    #[cfg(unix)]
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).expect("changed");
    let hub = kept(&file).await;
    #[cfg(unix)]
    assert_eq!(std::fs::metadata(&file).expect("the state file").permissions().mode() & 0o777, 0o600);
    assert_eq!(hub.handle.access_token(), token);
    check_kept(&hub, &company, &loser, &before).await;
}

#[tokio::test]
async fn what_was_answered_survives_a_kill_at_any_moment() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("portal.jsonl");
    let hub = kept(&file).await;
    let (company, loser) = fill(&hub).await;
    let before = hub.handle.state("companies").expect("state");
    // What a killed process leaves behind: the file as it is now, its last line torn.
    let after_kill = folder.path().join("after-kill.jsonl");
    let mut bytes = std::fs::read(&file).expect("the state file");
    bytes.extend_from_slice(b"{\"k\":\"record\",\"p\":48120771,\"o\":\"comp");
    std::fs::write(&after_kill, bytes).expect("written");
    let hub = kept(&after_kill).await;
    check_kept(&hub, &company, &loser, &before).await;
}
