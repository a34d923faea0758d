//! A run is looked at, put back on both sides, and put back again.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const SOON: Duration = Duration::from_secs(60);

// B11
#[tokio::test]
async fn what_a_reading_brought_is_put_back_on_both_sides() {
    let house = House::start(Start::default()).await;
    let company = house.hubspot().ids("companies", 1).await.remove(0);
    house.hubspot().edit("companies", &company, "city", "Ghent").await;
    let record = house.wait_for_field("company", &company, "address_city", "Ghent").await;
    let id = record["id"].as_str().expect("an id").to_owned();
    house.hubspot().edit("companies", &company, "city", "Liège").await;
    house.wait_for_field("company", &company, "address_city", "Liège").await;
    let run = eventually(SOON, "the run that brought it", || async {
        for run in runs(&house).await {
            let path = format!("/api/v1/runs/{}/undo", run["id"].as_str()?);
            let preview = house.ok("GET", &path, None).await;
            let samples = preview["samples"].as_array().cloned().unwrap_or_default();
            // The run before has the record too, as one that was changed since.
            let its = |sample: &&Value| sample["record_id"] == id.as_str() && sample["action"] == "put_back";
            if let Some(sample) = samples.iter().find(its).filter(|sample| sample["now"] == "Liège") {
                assert_eq!(sample["back"], "Ghent");
                return Some(run["id"].as_str()?.to_owned());
            }
        }
        None
    })
    .await;

    let undo = put_back(&house, &run).await;
    assert_eq!((&undo["put_back"], &undo["undo_of"]), (&json!(1), &json!(run)));
    house.wait_for_field("company", &company, "address_city", "Ghent").await;
    house.hubspot().wait_for_property("companies", &company, "city", "Ghent").await;
    let again = house.call("POST", &format!("/api/v1/runs/{run}/undo"), None).await;
    assert_eq!((again.status, again.code()), (409, "run_undone"));
    let told = eventually(SOON, "the audit log to tell who put it back", || async {
        let entries = house.audit("action=sync.run_finished").await;
        let put_back =
            |entry: &Value| entry["summary"].as_str().is_some_and(|it| it.contains("was put back"));
        entries.into_iter().find(put_back)
    })
    .await;
    assert_eq!(told["actor"], undo["actor"], "{told}");
    let story =
        house.ok("GET", &format!("/api/v1/records/company/{id}/lineage?field=address_city"), None).await;
    assert_eq!(story["steps"][0]["note"], "undone", "{story}");

    put_back(&house, undo["id"].as_str().expect("an id")).await;
    house.wait_for_field("company", &company, "address_city", "Liège").await;
    house.hubspot().wait_for_property("companies", &company, "city", "Liège").await;
    let gone = house.call("GET", "/api/v1/runs/nothing", None).await;
    assert_eq!(gone.status, 404);
}

// B11
#[tokio::test]
async fn an_applied_mapping_is_put_back_but_for_what_somebody_changed_since() {
    let house = House::start(Start::default()).await;
    let ids = house.hubspot().ids("companies", 2).await;
    let (untouched, edited) =
        (house.linked("company", &ids[0]).await, house.linked("company", &ids[1]).await);
    let (untouched, edited) = (untouched.expect("a record"), edited.expect("a record"));
    house.edit("company", edited["id"].as_str().expect("an id"), json!({ "address_city": "Ulm" })).await;
    let apply = eventually(SOON, "the run that applied the mapping", || async {
        let fits = |run: &Value| {
            run["kind"] == "apply" && run["vendor_object"] == "companies" && run["state"] == "done"
        };
        runs(&house).await.into_iter().find(fits)
    })
    .await;
    let path = format!("/api/v1/runs/{}/undo", apply["id"].as_str().expect("an id"));
    let preview = house.ok("GET", &path, None).await;
    assert!(preview["put_back"].as_u64() > Some(0) && preview["stays"].as_u64() > Some(0), "{preview}");
    let undo = put_back(&house, apply["id"].as_str().expect("an id")).await;
    assert_eq!((&undo["put_back"], &undo["stayed"]), (&preview["put_back"], &preview["stays"]));
    let archived = |record: Value| {
        let path = format!("/api/v1/records/company/{}", record["id"].as_str().expect("an id"));
        let house = &house;
        async move { !house.ok("GET", &path, None).await["archived_at"].is_null() }
    };
    assert!(archived(untouched).await && !archived(edited).await, "only what the run left as it is");
    assert!(
        house.hubspot().property("companies", &ids[0], "name").await.is_some(),
        "nothing is deleted there"
    );
}

// B11
#[tokio::test]
async fn putting_a_reading_back_archives_what_it_made_here_and_never_what_it_read_there() {
    let house = House::start(Start::default()).await;
    let mapping = house.mapping("company").await;
    let delete = json!({ "delete_policy": "delete" });
    house.ok("PATCH", &format!("/api/v1/mappings/{mapping}"), Some(delete)).await;
    house.apply_changes(&mapping).await;
    let other = house.hubspot().ids("companies", 1).await.remove(0);
    let (status, made) = house
        .hubspot()
        .call(
            "POST",
            "/crm/v3/objects/companies",
            Some(json!({ "properties": { "name": "Brought by mistake" } })),
        )
        .await;
    assert_eq!(status, 201, "{made}");
    let company = made["id"].as_str().expect("an id");
    let record = house.wait_for_field("company", company, "name", "Brought by mistake").await;
    let id = record["id"].as_str().expect("an id").to_owned();
    let run = eventually(SOON, "the run that brought it", || async {
        for run in runs(&house).await {
            let path = format!("/api/v1/runs/{}/undo", run["id"].as_str()?);
            let preview = house.ok("GET", &path, None).await;
            let samples = preview["samples"].as_array().cloned().unwrap_or_default();
            let its = |sample: &Value| sample["record_id"] == id.as_str() && sample["action"] == "archive";
            if samples.iter().any(its) {
                return Some(run["id"].as_str()?.to_owned());
            }
        }
        None
    })
    .await;

    let undo = put_back(&house, &run).await;
    let record = house.ok("GET", &format!("/api/v1/records/company/{id}"), None).await;
    assert!(!record["archived_at"].is_null(), "{record}");
    // What is asked of the vendor later is there: what was asked before it is, too.
    let known = house.linked("company", &other).await.expect("a record");
    house.edit("company", known["id"].as_str().expect("an id"), json!({ "address_city": "Aalst" })).await;
    house.hubspot().wait_for_property("companies", &other, "city", "Aalst").await;
    let name = house.hubspot().property("companies", company, "name").await;
    assert_eq!(name.as_deref(), Some("Brought by mistake"), "the vendor's record is none of ours to archive");

    put_back(&house, undo["id"].as_str().expect("an id")).await;
    house.hubspot().edit("companies", company, "name", "Wanted after all").await;
    let record = house.wait_for_field("company", company, "name", "Wanted after all").await;
    assert!(record["archived_at"].is_null(), "{record}");
}

async fn runs(house: &House) -> Vec<Value> {
    let list = house.ok("GET", "/api/v1/runs?limit=20", None).await;
    list["data"].as_array().cloned().expect("a list")
}

async fn put_back(house: &House, run: &str) -> Value {
    let begun = house.ok("POST", &format!("/api/v1/runs/{run}/undo"), None).await;
    let path = format!("/api/v1/runs/{}", begun["id"].as_str().expect("an id"));
    eventually(SOON, "the run to be put back", || async {
        Some(house.ok("GET", &path, None).await).filter(|run| run["state"] == "done")
    })
    .await
}
