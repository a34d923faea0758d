//! Associations between records.

use serde_json::{Value, json};

use crate::client::{Hub, hub};

async fn pair(hub: &Hub) -> (String, String) {
    let deal = hub.make("deals", json!({"dealname": "D"})).await;
    let company = hub.make("companies", json!({"name": "C"})).await;
    (deal, company)
}

fn types(row: &Value) -> Vec<u64> {
    let list = row["associationTypes"].as_array().expect("types");
    let mut ids: Vec<u64> = list.iter().map(|one| one["typeId"].as_u64().expect("id")).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test]
async fn two_records_are_linked_seen_from_both_sides_and_unlinked() {
    let hub = hub().await;
    let (deal, company) = pair(&hub).await;
    let path = format!("/crm/v4/objects/deals/{deal}/associations/companies/{company}");
    let body = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 5}]);
    assert_eq!(hub.put(&path, body).await.status, 201);
    let there = hub.get(&format!("/crm/v4/objects/deals/{deal}/associations/companies")).await.ok();
    assert_eq!(there["results"][0]["toObjectId"], company.parse::<u64>().expect("a number"));
    assert_eq!(types(&there["results"][0]), [5, 341]);
    let back = hub.get(&format!("/crm/objects/2026-03/companies/{company}/associations/deals")).await.ok();
    assert_eq!(back["results"][0]["toObjectId"], deal, "a text in the date-based version");
    assert_eq!(types(&back["results"][0]), [6, 342]);
    let read = hub.get(&format!("/crm/v3/objects/deals/{deal}?associations=companies")).await.ok();
    assert_eq!(read["associations"]["companies"]["results"][0]["id"], company);
    assert_eq!(hub.delete(&path).await.status, 204);
    let none = hub.get(&format!("/crm/v4/objects/companies/{company}/associations/deals")).await.ok();
    assert_eq!(none["results"], json!([]));
}

#[tokio::test]
async fn one_company_is_primary_at_a_time() {
    let hub = hub().await;
    let (deal, first) = pair(&hub).await;
    let second = hub.make("companies", json!({"name": "C2"})).await;
    for company in [&first, &second] {
        let path = format!("/crm/v4/objects/deals/{deal}/associations/default/companies/{company}");
        hub.put(&path, json!(null)).await.ok();
    }
    let list =
        || async { hub.get(&format!("/crm/v4/objects/deals/{deal}/associations/companies")).await.ok() };
    let before = list().await;
    assert_eq!((types(&before["results"][0]), types(&before["results"][1])), (vec![5, 341], vec![341]));
    let primary = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 5}]);
    hub.put(&format!("/crm/v4/objects/deals/{deal}/associations/companies/{second}"), primary).await.ok();
    let after = list().await;
    assert_eq!((types(&after["results"][0]), types(&after["results"][1])), (vec![341], vec![5, 341]));
}

#[tokio::test]
async fn links_are_made_read_and_removed_in_batches() {
    let hub = hub().await;
    let (deal, company) = pair(&hub).await;
    let batch = |verb: &str| format!("/crm/v4/associations/deals/companies/batch/{verb}");
    let plain = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 341}]);
    let link = json!({"inputs": [{"from": {"id": deal}, "to": {"id": company}, "types": plain}]});
    assert_eq!(hub.post(&batch("create"), link).await.status, 201);
    let read = json!({"inputs": [{"id": deal}]});
    let found = hub.post(&batch("read"), read.clone()).await.ok();
    assert_eq!(found["results"][0]["from"]["id"], deal);
    assert_eq!(types(&found["results"][0]["to"][0]), [5, 341]);
    let primary = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 5}]);
    let one_type = json!({"inputs": [{"from": {"id": deal}, "to": {"id": company}, "types": primary}]});
    assert_eq!(hub.post(&batch("labels/archive"), one_type).await.status, 204);
    let dated = hub.post("/crm/associations/2026-03/deals/companies/batch/read", read.clone()).await.ok();
    assert_eq!(
        (types(&dated["results"][0]["to"][0]), &dated["results"][0]["to"][0]["toObjectId"]),
        (vec![341], &json!(company))
    );
    let gone = json!({"inputs": [{"from": {"id": deal}, "to": [{"id": company}]}]});
    assert_eq!(hub.post(&batch("archive"), gone).await.status, 204);
    assert_eq!(hub.post(&batch("read"), read).await.ok()["results"], json!([]));
    let by_default = json!({"inputs": [{"from": {"id": deal}, "to": {"id": company}}]});
    assert_eq!(hub.post(&batch("associate/default"), by_default).await.status, 200);
    let missing = hub.post(&batch("read"), json!({"inputs": [{"id": deal}, {"id": "999"}]})).await;
    assert_eq!(
        (missing.status, &missing.body["errors"][0]["message"]),
        (207, &json!("DEAL=999 is not valid"))
    );
}

#[tokio::test]
async fn a_wrong_type_or_record_is_refused() {
    let hub = hub().await;
    let (deal, company) = pair(&hub).await;
    let wrong = json!([{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 279}]);
    hub.put(&format!("/crm/v4/objects/deals/{deal}/associations/companies/{company}"), wrong.clone())
        .await
        .refused(400, "VALIDATION_ERROR");
    hub.put(&format!("/crm/v4/objects/deals/{deal}/associations/companies/999"), wrong.clone())
        .await
        .refused(404, "OBJECT_NOT_FOUND");
    let new = json!({"properties": {"dealname": "X"}, "associations": [{"to": {"id": company}, "types": [{"associationTypeId": 99}]}]});
    hub.post("/crm/v3/objects/deals", new).await.refused(400, "VALIDATION_ERROR");
    let labels = hub.get("/crm/v4/associations/deals/companies/labels").await.ok();
    assert_eq!(labels["results"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_merge_moves_links_and_a_deletion_ends_them() {
    let hub = hub().await;
    let (deal, company) = pair(&hub).await;
    hub.put(&format!("/crm/v4/objects/deals/{deal}/associations/default/companies/{company}"), json!(null))
        .await
        .ok();
    let keep = hub.make("companies", json!({"name": "Keep"})).await;
    hub.handle.merge("companies", &keep, &company).expect("merged");
    let list = hub.get(&format!("/crm/v4/objects/deals/{deal}/associations/companies")).await.ok();
    assert_eq!(list["results"][0]["toObjectId"].to_string(), keep);
    hub.handle.change_settings(json!({"merge_issues_new_id": true})).expect("changed");
    let third = hub.make("companies", json!({"name": "Third"})).await;
    let survivor = hub.handle.merge("companies", &keep, &third).expect("merged");
    let keep = survivor["id"].as_str().expect("an id");
    let list = hub.get(&format!("/crm/v4/objects/deals/{deal}/associations/companies")).await.ok();
    assert_eq!(list["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(list["results"][0]["toObjectId"].to_string(), keep);
    hub.post("/crm/v3/objects/companies/gdpr-delete", json!({"objectId": keep})).await.ok();
    let list = hub.get(&format!("/crm/v4/objects/deals/{deal}/associations/companies")).await.ok();
    assert_eq!(list["results"], json!([]));
}
