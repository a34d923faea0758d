//! Records: one at a time, in batches, merged, archived, deleted for good, with history.

use serde_json::{Value, json};

use crate::client::{hub, ids};

#[tokio::test]
async fn a_record_is_created_read_changed_and_archived() {
    let hub = hub().await;
    let values = json!({"dealname": "  Two words ", "amount": "1500.00", "closedate": "1706742000000", "dealstage": "closedwon"});
    let made =
        hub.post("/crm/v3/objects/deals", json!({"properties": values, "objectWriteTraceId": "t-1"})).await;
    assert_eq!((made.status, &made.body["objectWriteTraceId"]), (201, &json!("t-1")));
    let id = made.body["id"].as_str().expect("id").to_owned();
    let path = format!("/crm/v3/objects/0-3/{id}");
    let wanted = "?properties=dealname,amount&properties=closedate,description,no_such_thing,hs_is_closed_won,pipeline";
    let read = hub.get(&format!("{path}{wanted}")).await.ok();
    let got = &read["properties"];
    assert_eq!(got["dealname"], "  Two words ", "text stays as it was sent");
    assert_eq!((&got["amount"], &got["closedate"]), (&json!("1500.00"), &json!("2024-01-31T23:00:00.000Z")));
    assert_eq!((&got["description"], &got["hs_is_closed_won"]), (&Value::Null, &json!("true")));
    assert_eq!((&got["pipeline"], got.get("no_such_thing")), (&json!("default"), None));
    assert_eq!((&got["hs_object_id"], &got["hs_lastmodifieddate"]), (&json!(id), &read["updatedAt"]));

    hub.handle.advance_clock(10);
    let changed = hub.patch(&path, json!({"properties": {"amount": ""}})).await.ok();
    assert_eq!(changed["properties"]["amount"], Value::Null, "an empty text clears");
    assert!(changed["updatedAt"].as_str() > read["updatedAt"].as_str());

    assert_eq!((hub.delete(&path).await.status, hub.delete(&path).await.status), (204, 204));
    hub.get(&path).await.refused(404, "OBJECT_NOT_FOUND");
    let archived = hub.get(&format!("{path}?archived=true")).await.ok();
    assert_eq!((&archived["archived"], &archived["updatedAt"]), (&json!(true), &changed["updatedAt"]));
    assert!(archived["archivedAt"].is_string());
}

#[tokio::test]
async fn default_properties_depend_on_the_object() {
    let hub = hub().await;
    for (object, values, modified) in [
        ("contacts", json!({"email": "a@b.example"}), "lastmodifieddate"),
        ("companies", json!({"name": "A"}), "hs_lastmodifieddate"),
        ("deals", json!({"dealname": "D"}), "hs_lastmodifieddate"),
    ] {
        let id = hub.make(object, values).await;
        let read = hub.get(&format!("/crm/objects/2026-03/{object}/{id}")).await.ok();
        assert_eq!(read["properties"][modified], read["updatedAt"], "{object}");
        assert!(read["properties"]["createdate"].is_string());
    }
}

#[tokio::test]
async fn wrong_values_are_named_one_by_one_and_nothing_is_written() {
    let hub = hub().await;
    let id = hub.make("companies", json!({"name": "A"})).await;
    for (name, value, error) in [
        ("no_such_thing", json!("x"), "PROPERTY_DOESNT_EXIST"),
        ("industry", json!("Utilities"), "INVALID_OPTION"),
        ("numberofemployees", json!("many"), "INVALID_INTEGER"),
        ("hs_object_id", json!("7"), "READ_ONLY_VALUE"),
        ("createdate", json!("2020-01-01"), "READ_ONLY_VALUE"),
        ("hubspot_owner_id", json!("7"), "INVALID_OPTION"),
    ] {
        let change = json!({"properties": {"city": "Paris", name: value}});
        let body = hub
            .patch(&format!("/crm/v3/objects/companies/{id}"), change)
            .await
            .refused(400, "VALIDATION_ERROR");
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|m| m.starts_with("Property values were not valid: [{") && m.contains(error)),
            "{body}"
        );
        assert_eq!(
            (&body["errors"][0]["code"], &body["errors"][0]["context"]["propertyName"][0]),
            (&json!(error), &json!(name))
        );
    }
    for (object, name, value, error) in [
        ("deals", "closedate", "soon", "INVALID_DATE"),
        ("deals", "dealstage", "Closed Won", "INVALID_OPTION"),
        ("contacts", "email", "not an address", "INVALID_EMAIL"),
    ] {
        let change = json!({"properties": {name: value}});
        let body =
            hub.post(&format!("/crm/v3/objects/{object}"), change).await.refused(400, "VALIDATION_ERROR");
        assert_eq!(body["errors"][0]["code"], error);
    }
    let read = hub.get(&format!("/crm/v3/objects/companies/{id}?properties=city")).await.ok();
    assert_eq!(read["properties"]["city"], Value::Null);
    hub.post("/crm/v3/objects/companies", json!({"properties": {"name": ["a"]}}))
        .await
        .refused(400, "VALIDATION_ERROR");
    hub.post("/crm/v3/objects/unicorns", json!({"properties": {}})).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn an_email_belongs_to_one_contact_and_a_domain_to_any_number_of_companies() {
    let hub = hub().await;
    let id = hub.make("contacts", json!({"email": "ann@example.com"})).await;
    let body = hub
        .post("/crm/v3/objects/contacts", json!({"properties": {"email": "Ann@Example.com"}}))
        .await
        .refused(409, "CONFLICT");
    assert_eq!(body["message"], format!("Contact already exists. Existing ID: {id}"));
    let found = hub.get("/crm/v3/objects/contacts/ann@example.com?idProperty=email").await.ok();
    assert_eq!(found["id"], id);
    hub.get("/crm/v3/objects/contacts/x?idProperty=city").await.refused(400, "VALIDATION_ERROR");
    hub.make("companies", json!({"domain": "same.example"})).await;
    hub.make("companies", json!({"domain": "same.example"})).await;
}

#[tokio::test]
async fn a_list_pages_by_id_and_can_show_the_archived() {
    let hub = hub().await;
    hub.handle.seed("companies", 25).expect("seeded");
    let first = hub.get("/crm/v3/objects/companies?limit=20&properties=name").await.ok();
    assert_eq!(ids(&first).len(), 20);
    let after = first["paging"]["next"]["after"].as_str().expect("after");
    let second = hub.get(&format!("/crm/v3/objects/companies?limit=20&after={after}")).await.ok();
    assert_eq!(ids(&second).len(), 5);
    assert!(ids(&first).iter().all(|id| !ids(&second).contains(id)));
    assert!(second.get("paging").is_none());
    let gone = ids(&second)[0].clone();
    hub.handle.archive("companies", &gone).expect("archived");
    assert_eq!(ids(&hub.get("/crm/v3/objects/companies?archived=true").await.ok()), [gone]);
    hub.get("/crm/v3/objects/companies?limit=101").await.refused(400, "VALIDATION_ERROR");
    hub.get("/crm/v3/objects/companies?limit=51&propertiesWithHistory=name")
        .await
        .refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn history_says_who_wrote_what_newest_first() {
    let hub = hub().await;
    let id = hub.make("deals", json!({"dealname": "D", "amount": "1"})).await;
    hub.handle.edit("deals", &id, json!({"amount": "2"})).expect("edited");
    hub.handle.edit("deals", &id, json!({"amount": "2"})).expect("edited");
    let read = hub.get(&format!("/crm/v3/objects/deals/{id}?propertiesWithHistory=amount")).await.ok();
    let history = read["propertiesWithHistory"]["amount"].as_array().expect("history").clone();
    let rows: Vec<_> =
        history.iter().map(|row| (row["value"].as_str(), row["sourceType"].as_str())).collect();
    assert_eq!(rows, [(Some("2"), Some("CRM_UI")), (Some("1"), Some("INTEGRATION"))]);
    assert!(history[0]["updatedByUserId"].is_u64() && history[0]["timestamp"].is_string());
    let body = json!({"inputs": [{"id": id}], "properties": ["amount"], "propertiesWithHistory": ["amount"]});
    let batch = hub.post("/crm/v3/objects/deals/batch/read", body).await.ok();
    assert_eq!(batch["results"][0]["propertiesWithHistory"]["amount"], json!(history));
    let many: Vec<Value> = (0..51).map(|id| json!({"id": id.to_string()})).collect();
    let body = json!({"inputs": many, "propertiesWithHistory": ["amount"]});
    hub.post("/crm/v3/objects/deals/batch/read", body).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn batches_create_read_update_and_archive() {
    let hub = hub().await;
    let inputs: Vec<Value> = (0..100)
        .map(|n| json!({"properties": {"name": format!("C{n}")}, "objectWriteTraceId": n.to_string()}))
        .collect();
    let made = hub.post("/crm/v3/objects/companies/batch/create", json!({"inputs": inputs})).await;
    assert_eq!((made.status, &made.body["status"]), (201, &json!("COMPLETE")));
    let all = made.ids();
    assert!(
        made.body["results"]
            .as_array()
            .expect("results")
            .iter()
            .all(|row| row["objectWriteTraceId"].is_string())
    );

    let changes: Vec<Value> =
        all.iter().map(|id| json!({"id": id, "properties": {"city": "Oslo"}})).collect();
    let changed = hub.post("/crm/v3/objects/companies/batch/update", json!({"inputs": changes})).await.ok();
    assert!(
        changed["results"].as_array().expect("results").iter().all(|row| row["properties"]["city"] == "Oslo")
    );

    let gone: Vec<Value> =
        all.iter().take(3).map(|id| json!({"id": id})).chain([json!({"id": "999"})]).collect();
    let archived = hub.post("/crm/v3/objects/companies/batch/archive", json!({"inputs": gone})).await;
    assert_eq!(archived.status, 204, "unknown ids are ignored");
    let wanted: Vec<Value> = all.iter().map(|id| json!({"id": id})).collect();
    let read = hub
        .post("/crm/v3/objects/companies/batch/read", json!({"inputs": wanted, "properties": ["city"]}))
        .await;
    assert_eq!((read.status, read.ids().len(), &read.body["numErrors"]), (207, 97, &json!(1)));
    assert_eq!(read.body["errors"][0]["category"], "OBJECT_NOT_FOUND");
    assert_eq!(read.body["errors"][0]["context"]["ids"].as_array().expect("ids").len(), 3);
    let bin = hub.post("/crm/v3/objects/companies/batch/read?archived=true", json!({"inputs": gone})).await;
    assert_eq!((bin.status, bin.ids().len()), (207, 3));
}

#[tokio::test]
async fn a_batch_of_writes_is_valid_as_a_whole_or_not_at_all() {
    let hub = hub().await;
    let id = hub.make("companies", json!({"name": "A"})).await;
    let post = |verb: &str, inputs: Value| {
        let path = format!("/crm/v3/objects/companies/batch/{verb}");
        let hub = &hub;
        async move { hub.post(&path, json!({"inputs": inputs})).await }
    };
    let bad = json!([{"properties": {"name": "B"}}, {"properties": {"industry": "nothing"}}]);
    post("create", bad).await.refused(400, "VALIDATION_ERROR");
    let twice = json!([{"id": id, "properties": {"city": "X"}}, {"id": id, "properties": {"city": "Y"}}]);
    post("update", twice).await.refused(400, "VALIDATION_ERROR");
    post("read", json!([])).await.refused(400, "VALIDATION_ERROR");
    let many: Vec<Value> = (0..101).map(|id| json!({"id": id.to_string()})).collect();
    post("read", json!(many)).await.refused(400, "VALIDATION_ERROR");
    let missing =
        json!([{"id": id, "properties": {"city": "Z"}}, {"id": "999", "properties": {"city": "Z"}}]);
    let partly = post("update", missing).await;
    assert_eq!((partly.status, partly.ids()), (207, vec![id]));
    assert_eq!(hub.search("companies", json!({})).await.body["total"], 1);
}

#[tokio::test]
async fn an_upsert_finds_its_record_by_a_unique_property() {
    let hub = hub().await;
    let unique = json!({"name": "accord_record_id", "label": "Accord record", "type": "string", "fieldType": "text",
                        "groupName": "companyinformation", "hasUniqueValue": true});
    hub.post("/crm/v3/properties/companies", unique).await.ok();
    let upsert = |city: &str| json!({"inputs": [{"id": "rec_1", "idProperty": "accord_record_id", "properties": {"city": city}}]});
    let first = hub.post("/crm/v3/objects/companies/batch/upsert", upsert("Rome")).await.ok();
    let second = hub.post("/crm/v3/objects/companies/batch/upsert", upsert("Bern")).await.ok();
    assert_eq!((&first["results"][0]["new"], &second["results"][0]["new"]), (&json!(true), &json!(false)));
    assert_eq!(first["results"][0]["id"], second["results"][0]["id"]);
    let again = json!({"properties": {"accord_record_id": "rec_1"}});
    hub.post("/crm/v3/objects/companies", again).await.refused(409, "CONFLICT");
    let by =
        hub.get("/crm/v3/objects/companies/rec_1?idProperty=accord_record_id&properties=city").await.ok();
    assert_eq!(by["properties"]["city"], "Bern");
    let twins = json!({"inputs": [{"properties": {"accord_record_id": "rec_2"}}, {"properties": {"accord_record_id": "REC_2"}}]});
    hub.post("/crm/v3/objects/companies/batch/create", twins).await.refused(400, "VALIDATION_ERROR");
    let other = json!({"inputs": [{"id": "x", "idProperty": "name", "properties": {}}]});
    hub.post("/crm/v3/objects/companies/batch/upsert", other).await.refused(400, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_merge_keeps_the_primary_and_leads_old_ids_to_it() {
    let hub = hub().await;
    let primary = hub.make("companies", json!({"name": "Keep", "city": "Oslo"})).await;
    let loser = hub.make("companies", json!({"name": "Lose", "phone": "+47 1"})).await;
    let body = json!({"primaryObjectId": primary, "objectIdToMerge": loser});
    let merged = hub.post("/crm/v3/objects/companies/merge", body.clone()).await.ok();
    assert_eq!(
        (&merged["id"], &merged["properties"]["hs_merged_object_ids"]),
        (&json!(primary), &json!(loser))
    );
    assert_eq!(
        (&merged["properties"]["name"], &merged["properties"]["phone"]),
        (&json!("Keep"), &json!("+47 1"))
    );
    assert_eq!(hub.get(&format!("/crm/v3/objects/companies/{loser}")).await.ok()["id"], primary);
    assert_eq!(hub.search("companies", json!({})).await.ids(), std::slice::from_ref(&primary));

    hub.handle.change_settings(json!({"merge_issues_new_id": true})).expect("changed");
    let third = hub.make("companies", json!({"name": "Third"})).await;
    let survivor = hub.handle.merge("companies", &primary, &third).expect("merged");
    let new = survivor["id"].as_str().expect("id");
    assert!(new != primary && new != third);
    for old in [&primary, &third, &loser] {
        assert_eq!(hub.get(&format!("/crm/v3/objects/companies/{old}")).await.ok()["id"], new);
    }
}

#[tokio::test]
async fn a_gdpr_delete_is_for_good() {
    let hub = hub().await;
    let id = hub.make("contacts", json!({"email": "x@y.example"})).await;
    let body = json!({"objectId": "x@y.example", "idProperty": "email"});
    assert_eq!(hub.post("/crm/v3/objects/contacts/gdpr-delete", body).await.status, 204);
    hub.get(&format!("/crm/v3/objects/contacts/{id}")).await.refused(404, "OBJECT_NOT_FOUND");
    hub.get(&format!("/crm/v3/objects/contacts/{id}?archived=true")).await.refused(404, "OBJECT_NOT_FOUND");
    hub.make("contacts", json!({"email": "x@y.example"})).await;
}

#[tokio::test]
async fn broken_requests_get_an_error_that_says_so() {
    let hub = hub().await;
    let url = format!("{}/crm/v3/objects/companies", hub.handle.url());
    let send =
        |body: &'static str| hub.http.post(&url).bearer_auth(hub.handle.access_token()).body(body).send();
    for body in ["", "{", "[]", "{\"properties\": 7}"] {
        let answer = crate::client::read(send(body).await.expect("an answer")).await;
        answer.refused(400, "VALIDATION_ERROR");
    }
    hub.get("/crm/v3/nothing/here").await.refused(404, "OBJECT_NOT_FOUND");
    hub.put("/crm/v3/objects/companies", json!({})).await.refused(405, "METHOD_NOT_ALLOWED");
    hub.get("/crm/v3/objects/companies/not-a-number").await.refused(404, "OBJECT_NOT_FOUND");
}
