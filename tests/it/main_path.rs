//! The main path: a HubSpot that was connected, mapped and backfilled, edited on both sides.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const BATCH_UPDATE: &str = "POST /crm/v3/objects/{type}/batch/update";

// R1, R2, R9, R10, R14-R16, R26, R27, R29, R39, R40, R42-R44, R47, R48, R60, R62, R64, R68, R69, R80, R82, R83,
// R107, R113, R114
#[tokio::test]
async fn an_edit_on_either_side_reaches_the_other_once_and_is_explained() {
    let house = House::start(Start::default()).await;
    let companies = house.hubspot().ids("companies", 6).await;
    a_portal_edit_arrives_with_its_history_and_audit(&house, &companies[0]).await;
    our_edit_goes_out_in_one_write_that_does_not_echo(&house, &companies[1]).await;
    deals_cross_too(&house).await;
    a_record_created_here_appears_there_once(&house).await;
    a_record_created_there_appears_here_once(&house).await;
    a_record_archived_there_is_kept_here_and_detached(&house, &companies[2]).await;
    an_emptied_field_is_emptied_on_the_other_side(&house, &companies[3]).await;
    the_connection_shows_how_it_is(&house).await;
    the_audit_log_has_the_way_from_the_consent_to_the_backfill_and_is_whole(&house).await;
    each_metric_of_the_documents_is_counted(&house).await;
    let kinds = house.assert_events_are_as_described().await;
    for kind in ["record.created", "record.changed", "connection.authorized", "mapping.changed"] {
        assert!(kinds.contains(kind), "{kind} was not among {kinds:?}");
    }
}

async fn a_portal_edit_arrives_with_its_history_and_audit(house: &House, company: &str) {
    house.hubspot().edit("companies", company, "phone", "+1 555 0100").await;
    let record = house.wait_for_field("company", company, "phone", "+1 555 0100").await;

    let id = record["id"].as_str().expect("an id");
    let (newest, connection) = (newest_revision(house, "company", id).await, house.connection().await);
    assert_eq!(newest["actor"], format!("connection:{connection}"));
    assert_eq!(newest["vendor"], "hubspot");
    assert_eq!(newest["changes"][0]["field"], "phone");
    assert_eq!(newest["changes"][0]["after"], "+1 555 0100");
    assert_eq!(newest["changes"][0]["reason"], "vendor_moved");

    let entry = house.wait_for_audit(&format!("action=record.changed&target={id}")).await;
    assert_eq!(entry["actor"], format!("connection:{connection}"));
    assert_eq!(entry["cause"], newest["cause"], "the history and the audit log name the same change event");
    let captured = eventually(Duration::from_secs(30), "the change event in the audit log", || async {
        let entries = house.audit("action=change.captured").await;
        entries.into_iter().find(|entry| entry["event_id"] == newest["cause"])
    })
    .await;
    assert_eq!(captured["target"], format!("hubspot:companies:{company}"));
}

async fn our_edit_goes_out_in_one_write_that_does_not_echo(house: &House, company: &str) {
    let hubspot = house.hubspot();
    let record = house.linked("company", company).await.expect("it was backfilled");
    let id = record["id"].as_str().expect("an id").to_owned();
    let before = hubspot.calls(BATCH_UPDATE).await;
    let edited = house.edit("company", &id, json!({ "address_city": "Lund", "employee_count": 77 })).await;
    hubspot.wait_for_property("companies", company, "city", "Lund").await;
    hubspot.wait_for_property("companies", company, "numberofemployees", "77").await;
    wait_until_in_sync(house, "company", &id).await;
    hubspot.wait_for_polls().await;
    assert_eq!(
        hubspot.calls(BATCH_UPDATE).await,
        before + 1,
        "two fields are one write, and it is not repeated"
    );
    let after = house.ok("GET", &format!("/api/v1/records/company/{id}"), None).await;
    assert_eq!(after["version"], edited["version"], "the echo changed nothing");

    let newest = newest_revision(house, "company", &id).await;
    assert!(newest["actor"].as_str().is_some_and(|actor| actor.starts_with("api_key:")), "{newest}");
    assert_eq!(newest["changes"][0]["reason"], "edited");
    let changed = house.wait_for_audit(&format!("action=record.changed&target={id}")).await;
    assert_eq!(changed["actor"], newest["actor"]);
    let written = house.wait_for_audit(&format!("action=write.applied&target={id}")).await;
    let details = details(&written);
    assert_eq!(details["object"], "companies");
    assert_eq!(details["operation"], "write");
    assert_eq!(details["vendor_id"], company);
    assert_eq!(written["outcome"], "ok");
}

async fn deals_cross_too(house: &House) {
    let hubspot = house.hubspot();
    let deals = hubspot.ids("deals", 2).await;
    hubspot.edit("deals", &deals[0], "amount", "48250.75").await;
    house.wait_for_field("deal", &deals[0], "amount", "48250.75").await;

    let record = house.linked("deal", &deals[1]).await.expect("it was backfilled");
    let id = record["id"].as_str().expect("an id");
    house.edit("deals", id, json!({ "amount": "1200.50", "next_step": "Send the contract" })).await;
    hubspot.wait_for_property("deals", &deals[1], "amount", "1200.50").await;
    hubspot.wait_for_property("deals", &deals[1], "hs_next_step", "Send the contract").await;
}

async fn a_record_created_here_appears_there_once(house: &House) {
    let hubspot = house.hubspot();
    let fields = json!({ "fields": { "name": "Tidal Loom", "domain": "tidal-loom.example" } });
    let key = format!("Bearer {}", house.ready("api_key"));
    let headers = [("authorization", key.as_str()), ("idempotency-key", "story-1")];
    let created = house.call_as(&headers, "POST", "/api/v1/records/company", Some(fields.clone())).await;
    assert_eq!(created.status, 201, "{}", created.body);
    let again = house.call_as(&headers, "POST", "/api/v1/records/company", Some(fields)).await;
    assert_eq!(again.body["id"], created.body["id"], "the same request gives the same record");

    let id = created.body["id"].as_str().expect("an id");
    let linked = wait_until_in_sync(house, "company", id).await;
    let vendor_id = linked["links"][0]["vendor_id"].as_str().expect("it was created there");
    hubspot.wait_for_property("companies", vendor_id, "domain", "tidal-loom.example").await;
    hubspot.wait_for_polls().await;
    assert_eq!(named(house, "tidal-loom.example").await, 1, "it was created once");
    let here = house.ok("GET", "/api/v1/records/company?query=Tidal%20Loom", None).await;
    assert_eq!(here["data"].as_array().map(Vec::len), Some(1), "it did not come back as another record");
}

async fn a_record_created_there_appears_here_once(house: &House) {
    let body = json!({ "properties": { "name": "Amber Weir", "domain": "amber-weir.example" } });
    let (status, made) = house.hubspot().call("POST", "/crm/v3/objects/companies", Some(body)).await;
    assert_eq!(status, 201, "{made}");
    let id = made["id"].as_str().expect("an id");
    let record = house.wait_for_field("company", id, "name", "Amber Weir").await;
    assert_eq!(record["version"], 1);
    house.hubspot().wait_for_polls().await;
    let here = house.ok("GET", "/api/v1/records/company?query=Amber%20Weir", None).await;
    assert_eq!(here["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(named(house, "amber-weir.example").await, 1, "it was not created there again");
}

async fn a_record_archived_there_is_kept_here_and_detached(house: &House, company: &str) {
    let record = house.linked("company", company).await.expect("it was backfilled");
    let id = record["id"].as_str().expect("an id");
    let (status, _) =
        house.hubspot().call("DELETE", &format!("/crm/v3/objects/companies/{company}"), None).await;
    assert_eq!(status, 204);
    let connection = house.connection().await;
    let started = house.ok("POST", &format!("/api/v1/connections/{connection}/sync"), None).await;
    assert!(started["objects"].as_array().is_some_and(|objects| objects.contains(&json!("companies"))));
    let path = format!("/api/v1/records/company/{id}");
    let detached = eventually(Duration::from_secs(60), "the link to be detached", || async {
        let record = house.ok("GET", &path, None).await;
        (record["links"][0]["state"] == "detached").then_some(record)
    })
    .await;
    assert_eq!(detached["archived_at"], Value::Null, "ours is kept");
    assert_eq!(detached["title"], record["title"]);
    // Nothing is written to what is gone.
    let before = house.hubspot().calls(BATCH_UPDATE).await;
    house.edit("company", id, json!({ "phone": "+1 555 0199" })).await;
    house.hubspot().wait_for_polls().await;
    assert_eq!(house.hubspot().calls(BATCH_UPDATE).await, before);
}

async fn an_emptied_field_is_emptied_on_the_other_side(house: &House, company: &str) {
    let hubspot = house.hubspot();
    let record = house.linked("company", company).await.expect("it was backfilled");
    let id = record["id"].as_str().expect("an id");
    house.edit("company", id, json!({ "website": null })).await;
    eventually(Duration::from_secs(60), "HubSpot's website to be empty", || async {
        hubspot
            .property("companies", company, "website")
            .await
            .is_none_or(|text| text.is_empty())
            .then_some(())
    })
    .await;
    hubspot.edit("companies", company, "phone", "").await;
    eventually(Duration::from_secs(60), "our phone to be empty", || async {
        let record = house.linked("company", company).await?;
        record["fields"].get("phone").is_none_or(Value::is_null).then_some(())
    })
    .await;
}

async fn the_connection_shows_how_it_is(house: &House) {
    let connection = house.wait_for_state("active").await;
    let id = connection["id"].as_str().expect("an id");
    assert_eq!(
        connection["account_id"],
        house.ready_file_content()["sandboxes"]["hubspot"]["portal_id"].to_string()
    );
    assert!(connection["last_sync_at"].is_string() && connection["schema_refreshed_at"].is_string());

    let health = house.ok("GET", &format!("/api/v1/connections/{id}/health"), None).await;
    assert!(health["applied"].as_u64() > Some(0), "{health}");
    let issues = house.ok("GET", &format!("/api/v1/issues?limit=500&connection_id={id}"), None).await;
    let issues = issues["data"].as_array().expect("a list");
    assert!(issues.iter().all(|issue| issue["category"] == "value"), "{issues:?}");
    assert!(health["echoes"].as_u64() > Some(0), "{health}");
    assert!(health["lag_p50_ms"].as_u64() > Some(0), "{health}");
    let usage = house.ok("GET", &format!("/api/v1/connections/{id}/usage"), None).await;
    let points = usage["points"].as_array().expect("a list");
    let sum = |name: &str| points.iter().filter_map(|point| point[name].as_u64()).sum::<u64>();
    assert!(sum("calls") > 0 && sum("records_read") > 0 && sum("records_written") > 0, "{usage}");
    assert_eq!(sum("rate_limited"), 0, "{usage}");
    let schema = house.ok("POST", &format!("/api/v1/connections/{id}/refresh-schema"), None).await;
    assert!(schema["objects"].as_array().is_some_and(|objects| objects.len() >= 2));
}

async fn the_audit_log_has_the_way_from_the_consent_to_the_backfill_and_is_whole(house: &House) {
    let connection = house.connection().await;
    for action in [
        "connection.authorized",
        "schema.refreshed",
        "capture.requested",
        "change.backfill_finished",
        "mapping.*",
    ] {
        let found = house.audit(&format!("action={action}&connection_id={connection}")).await;
        assert!(!found.is_empty(), "no {action} of the connection");
    }
    let chain = house.ok("GET", "/api/v1/audit/verify", None).await;
    assert_eq!(chain["whole"], true, "{chain}");
    let verified = house.operator(&["audit", "verify"]);
    assert!(verified.contains("whole"), "{verified}");
    both_doors_export_lines_that_can_be_verified_alone(house).await;
}

async fn both_doors_export_lines_that_can_be_verified_alone(house: &House) {
    let session = house.sign_in("viewer").await;
    let cookie = session.replace("Bearer ", "accord_session=");
    let address = format!("{}/settings/audit/export", house.ready("console_url"));
    let answer =
        house.http().get(address).header("cookie", cookie).send().await.expect("the console answers");
    let console = answer.text().await.expect("the export has an end");
    let api = house.call_for_text("/api/v1/audit/export").await;
    assert!(api.starts_with(&console), "the console exports other lines than the API");
    for export in [console, api] {
        let file = house.data_dir().with_file_name("export.jsonl");
        std::fs::write(&file, &export).expect("the directory is ours");
        let verified = house.operator(&["audit", "verify", "--export", &file.display().to_string()]);
        assert_eq!(verified.trim(), format!("whole, {} entries", export.lines().count()));
    }
}

/// Whoever is to raise an alarm by a name finds it.
async fn each_metric_of_the_documents_is_counted(house: &House) {
    let documents = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operating.md");
    let documents = std::fs::read_to_string(documents).expect("the documents are there");
    let name = regex::Regex::new("`(accord_[a-z_]+)`").expect("a pattern");
    let names: Vec<_> = name.captures_iter(&documents).map(|found| found[1].to_owned()).collect();
    assert!(names.len() >= 4, "{names:?}");
    let metrics = house.call_for_text("/metrics").await;
    for name in names {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "no {name} in {metrics}");
    }
}

async fn newest_revision(house: &House, object: &str, id: &str) -> Value {
    let history = house.ok("GET", &format!("/api/v1/records/{object}/{id}/history?limit=1"), None).await;
    history["data"][0].clone()
}

async fn wait_until_in_sync(house: &House, object: &str, id: &str) -> Value {
    let path = format!("/api/v1/records/{object}/{id}");
    eventually(Duration::from_secs(60), "the link to be in sync", || async {
        let record = house.ok("GET", &path, None).await;
        (record["links"][0]["state"] == "in_sync").then_some(record)
    })
    .await
}

/// How many companies of the portal have this domain.
async fn named(house: &House, domain: &str) -> usize {
    let state = house.hubspot().control("GET", "state/companies?fields=domain", json!({})).await;
    let results = state["results"].as_array().expect("a list");
    results.iter().filter(|company| company["properties"]["domain"] == domain).count()
}

fn details(entry: &Value) -> Value {
    let text = entry["details_json"].as_str().expect("details are text");
    serde_json::from_str(text).expect("details are JSON")
}
