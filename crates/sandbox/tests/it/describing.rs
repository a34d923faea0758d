//! What a portal says about itself: properties, pipelines, owners, schemas, account.

use sandbox::hubspot::{Settings, Tier};
use serde_json::{Value, json};

use crate::client::{hub, hub_with, relaxed};

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let rows = list["results"].as_array().expect("results");
    rows.iter().find(|row| row["name"] == name).expect("a property of this name")
}

#[tokio::test]
async fn properties_are_the_recorded_ones() {
    let hub = hub().await;
    for (object, count) in [("companies", 153), ("0-3", 121), ("contact", 233)] {
        let list = hub.get(&format!("/crm/v3/properties/{object}")).await.ok();
        assert_eq!(list["results"].as_array().expect("results").len(), count, "{object}");
    }
    let companies =
        hub.get("/crm/v3/properties/companies?archived=false&dataSensitivity=non_sensitive").await.ok();
    let industry = named(&companies, "industry");
    assert_eq!((&industry["type"], &industry["fieldType"]), (&json!("enumeration"), &json!("select")));
    assert_eq!(industry["options"].as_array().expect("options").len(), 147);
    let deals = hub.get("/crm/properties/2026-03/deals").await.ok();
    assert_eq!(named(&deals, "closedate")["type"], "datetime");
    assert_eq!(named(&deals, "dealstage")["externalOptions"], true);
    assert_eq!(named(&deals, "hs_is_closed")["modificationMetadata"]["readOnlyValue"], true);
}

#[tokio::test]
async fn a_property_is_created_changed_used_and_archived() {
    let hub = hub().await;
    let new = json!({"name": "region", "label": "Region", "type": "enumeration", "fieldType": "select", "groupName": "dealinformation",
                     "options": [{"label": "North", "value": "n"}, {"label": "South", "value": "s"}]});
    let made = hub.post("/crm/v3/properties/deals", new.clone()).await;
    assert_eq!((made.status, &made.body["modificationMetadata"]["archivable"]), (201, &json!(true)));
    assert!(made.body.get("hubspotDefined").is_none(), "only present when true");
    hub.post("/crm/v3/properties/deals", new).await.refused(409, "CONFLICT");
    let id = hub.make("deals", json!({"region": "n"})).await;
    let wider = json!({"label": "Area", "options": [{"label": "North", "value": "n"}, {"label": "West", "value": "w"}]});
    let changed = hub.patch("/crm/v3/properties/deals/region", wider).await.ok();
    assert_eq!(changed["label"], "Area");
    hub.patch(&format!("/crm/v3/objects/deals/{id}"), json!({"properties": {"region": "w"}})).await.ok();
    assert_eq!(hub.delete("/crm/v3/properties/deals/region").await.status, 204);
    hub.get("/crm/v3/properties/deals/region").await.refused(404, "OBJECT_NOT_FOUND");
    hub.get("/crm/v3/properties/deals/region?archived=true").await.ok();
    let body =
        hub.patch(&format!("/crm/v3/objects/deals/{id}"), json!({"properties": {"region": "n"}})).await;
    assert_eq!(body.refused(400, "VALIDATION_ERROR")["errors"][0]["code"], "PROPERTY_DOESNT_EXIST");
    hub.delete("/crm/v3/properties/deals/amount").await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn properties_come_in_batches_and_groups() {
    let hub = hub().await;
    let text = |name: &str| json!({"name": name, "label": name, "type": "string", "fieldType": "text", "groupName": "companyinformation"});
    let made = hub
        .post("/crm/v3/properties/companies/batch/create", json!({"inputs": [text("one"), text("two")]}))
        .await;
    assert_eq!(made.status, 201);
    let read = json!({"archived": false, "inputs": [{"name": "one"}, {"name": "three"}]});
    let read = hub.post("/crm/v3/properties/companies/batch/read", read).await;
    assert_eq!((read.status, &read.body["results"][0]["name"]), (207, &json!("one")));
    let gone = hub
        .post(
            "/crm/v3/properties/companies/batch/archive",
            json!({"inputs": [{"name": "one"}, {"name": "two"}]}),
        )
        .await;
    assert_eq!(gone.status, 204);
    let groups = hub.get("/crm/v3/properties/companies/groups").await.ok();
    named(&groups, "companyinformation");
}

#[tokio::test]
async fn wrong_definitions_are_refused() {
    let hub = hub().await;
    let base = json!({"name": "fine", "label": "Fine", "type": "string", "fieldType": "text", "groupName": "companyinformation"});
    for (key, value) in [
        ("name", json!("Not Fine")),
        ("type", json!("poem")),
        ("fieldType", json!("crystal")),
        ("type", json!("enumeration")),
    ] {
        let mut wrong = base.clone();
        wrong[key] = value;
        hub.post("/crm/v3/properties/companies", wrong).await.refused(400, "VALIDATION_ERROR");
    }
    for number in 0..10 {
        let mut unique = base.clone();
        unique["name"] = json!(format!("unique_{number}"));
        unique["hasUniqueValue"] = json!(true);
        hub.post("/crm/v3/properties/companies", unique).await.ok();
    }
    let mut one_more = base.clone();
    one_more["hasUniqueValue"] = json!(true);
    hub.post("/crm/v3/properties/companies", one_more).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn deals_have_the_default_pipeline_with_seven_stages() {
    let hub = hub().await;
    let list = hub.get("/crm/v3/pipelines/deals").await.ok();
    let stages = list["results"][0]["stages"].as_array().expect("stages").clone();
    let found: Vec<_> = stages.iter().map(|stage| stage["id"].as_str().expect("id")).collect();
    assert_eq!(
        found,
        [
            "appointmentscheduled",
            "qualifiedtobuy",
            "presentationscheduled",
            "decisionmakerboughtin",
            "contractsent",
            "closedwon",
            "closedlost"
        ]
    );
    assert_eq!(stages[5]["metadata"], json!({"isClosed": "true", "probability": "1.0"}));
    assert_eq!(hub.get("/crm/pipelines/2026-03/deals/default").await.ok()["id"], "default");
    assert_eq!(hub.get("/crm/v3/pipelines/deals/default/stages").await.ok()["results"], json!(stages));
    assert_eq!(
        hub.get("/crm/v3/pipelines/deals/default/stages/closedlost").await.ok()["label"],
        "Closed Lost"
    );
    hub.get("/crm/v3/pipelines/deals/other").await.refused(404, "OBJECT_NOT_FOUND");
    assert_eq!(hub.get("/crm/v3/pipelines/companies").await.ok()["results"], json!([]));
}

#[tokio::test]
async fn owners_are_listed_paged_and_found_by_email() {
    let hub = hub().await;
    let all = hub.get("/crm/v3/owners").await.ok();
    let rows = all["results"].as_array().expect("results").clone();
    assert_eq!(rows.len(), 5);
    assert_ne!(rows[0]["id"], json!(rows[0]["userId"].to_string()), "an owner is not a user");
    let page = hub.get("/crm/v3/owners/?limit=2").await.ok();
    let after = page["paging"]["next"]["after"].as_str().expect("after");
    assert_eq!(hub.get(&format!("/crm/v3/owners?limit=2&after={after}")).await.ok()["results"][0], rows[2]);
    let email = rows[1]["email"].as_str().expect("email");
    assert_eq!(hub.get(&format!("/crm/v3/owners?email={email}")).await.ok()["results"], json!([rows[1]]));
    assert_eq!(
        hub.get("/crm/v3/owners?archived=true").await.ok()["results"].as_array().map(Vec::len),
        Some(1)
    );
    let id = rows[0]["id"].as_str().expect("id");
    assert_eq!(hub.get(&format!("/crm/owners/2026-03/{id}")).await.ok(), rows[0]);
    hub.get("/crm/v3/owners/1").await.refused(404, "OBJECT_NOT_FOUND");
}

#[tokio::test]
async fn custom_objects_exist_on_enterprise_only() {
    let car = json!({"name": "car", "labels": {"singular": "Car", "plural": "Cars"}, "primaryDisplayProperty": "model",
        "requiredProperties": ["model"], "searchableProperties": ["model"],
        "properties": [{"name": "model", "label": "Model", "type": "string", "fieldType": "text"}]});
    let poor = hub().await;
    assert_eq!(poor.get("/crm-object-schemas/v3/schemas").await.ok()["results"], json!([]));
    poor.post("/crm-object-schemas/v3/schemas", car.clone()).await.refused(403, "BANNED");

    let hub = hub_with(Settings { tier: Tier::Enterprise, ..relaxed() }).await;
    let made = hub.post("/crm-object-schemas/v3/schemas", car).await.ok();
    let type_id = made["objectTypeId"].as_str().expect("a type id").to_owned();
    let fully = made["fullyQualifiedName"].as_str().expect("a name").to_owned();
    assert_eq!(fully, format!("p{}_car", hub.handle.portal_id()));
    let id = hub.make(&type_id, json!({"model": "Roadster"})).await;
    let read = hub.get(&format!("/crm/v3/objects/{fully}/{id}?properties=model")).await.ok();
    assert_eq!(read["properties"]["model"], "Roadster");
    assert_eq!(hub.search("car", json!({"query": "road"})).await.ids(), [id]);
    hub.post("/crm/v3/objects/car", json!({"properties": {}})).await.refused(400, "VALIDATION_ERROR");
    let list = hub.get("/crm-object-schemas/2026-03/schemas").await.ok();
    assert_eq!(list["results"][0]["objectTypeId"], type_id);
    assert_eq!(hub.get("/crm-object-schemas/v3/schemas/car").await.ok()["name"], "car");
    hub.get("/crm-object-schemas/v3/schemas/deals").await.refused(404, "OBJECT_NOT_FOUND");
}

#[tokio::test]
async fn the_account_says_its_portal_and_a_private_app_its_usage() {
    let hub = hub().await;
    let details = hub.get("/account-info/v3/details").await.ok();
    assert_eq!(
        (&details["portalId"], &details["companyCurrency"]),
        (&json!(hub.handle.portal_id()), &json!("USD"))
    );
    let usage = hub.get("/account-info/v3/api-usage/daily/private-apps").await.ok();
    assert_eq!(usage["results"][0]["currentUsage"], 1);
}
