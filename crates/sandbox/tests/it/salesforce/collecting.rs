//! Many records or calls in one.

use serde_json::{Value, json};

use super::{V, force, refused};

fn of(object: &str, fields: Value) -> Value {
    let mut record = json!({"attributes": {"type": object}});
    for (key, value) in fields.as_object().expect("fields") {
        record[key] = value.clone();
    }
    record
}

#[tokio::test]
async fn each_record_of_a_collection_has_its_own_outcome() {
    let force = force().await;
    let records = json!([
        of("Account", json!({"Name": "One"})),
        of("Account", json!({"Phone": "1"})),
        of("Contact", json!({"LastName": "Doe"}))
    ]);
    let made = force.post("composite/sobjects", json!({"allOrNone": false, "records": records})).await.ok();
    let success: Vec<&Value> = made.as_array().expect("results").iter().map(|one| &one["success"]).collect();
    assert_eq!(success, [&json!(true), &json!(false), &json!(true)]);
    let error = &made[1]["errors"][0];
    assert_eq!(
        (&error["statusCode"], &error["fields"]),
        (&json!("REQUIRED_FIELD_MISSING"), &json!(["Name"]))
    );
    assert!(error.get("errorCode").is_none() && made[1].get("id").is_none());
    let (first, contact) = (&made[0]["id"], &made[2]["id"]);
    let records = json!([
        of("Account", json!({"id": first, "Phone": "2"})),
        of("Account", json!({"Phone": "2"})),
        of("Account", json!({"id": "001000000000000AAA", "Phone": "2"}))
    ]);
    let changed = force.patch("composite/sobjects", json!({"records": records})).await.ok();
    assert_eq!(changed[0], json!({"id": first, "success": true, "errors": []}));
    assert_eq!(changed[1]["errors"][0]["statusCode"], json!("MISSING_ARGUMENT"));
    assert_eq!(changed[2]["errors"][0]["statusCode"], json!("INVALID_CROSS_REFERENCE_KEY"));
    let id = first.as_str().expect("an id");
    let read =
        force.get(&format!("composite/sobjects/Account?ids={id},001000000000000AAA&fields=Phone")).await.ok();
    assert_eq!((&read[0]["Phone"], &read[1]), (&json!("2"), &Value::Null));
    let body = json!({"ids": [contact], "fields": ["LastName"]});
    assert_eq!(force.post("composite/sobjects/Contact", body).await.ok()[0]["LastName"], json!("Doe"));
    let path = format!("composite/sobjects?ids={id},{}&allOrNone=false", contact.as_str().expect("an id"));
    let gone = force.delete(&path).await.ok();
    assert_eq!((&gone[0]["success"], &gone[1]["success"]), (&json!(true), &json!(true)));
    assert_eq!(force.delete(&path).await.ok()[0]["errors"][0]["statusCode"], json!("ENTITY_IS_DELETED"));
}

#[tokio::test]
async fn all_or_none_undoes_everything() {
    let force = force().await;
    let records = json!([of("Account", json!({"Name": "One"})), of("Account", json!({}))]);
    let made = force.post("composite/sobjects", json!({"allOrNone": true, "records": records})).await.ok();
    assert_eq!(made[0]["errors"][0]["statusCode"], json!("ALL_OR_NONE_OPERATION_ROLLED_BACK"));
    assert_eq!(made[1]["errors"][0]["statusCode"], json!("REQUIRED_FIELD_MISSING"));
    assert_eq!(force.handle.state("Account").expect("a state")["total"], json!(0));
}

#[tokio::test]
async fn a_collection_is_upserted_by_a_key() {
    let force = force().await;
    force.key_field("Account", "Key__c").await.ok();
    let records = json!([
        of("Account", json!({"Key__c": "a", "Name": "A"})),
        of("Account", json!({"Key__c": "b", "Name": "B"})),
        of("Account", json!({"Key__c": "A", "Phone": "1"})),
        of("Account", json!({"Name": "C"}))
    ]);
    let path = "composite/sobjects/Account/Key__c";
    let done = force.patch(path, json!({"records": records})).await.ok();
    let created: Vec<&Value> = done.as_array().expect("results").iter().map(|one| &one["created"]).collect();
    assert_eq!(created, [&json!(true), &json!(true), &json!(false), &Value::Null]);
    assert_eq!(done[2]["id"], done[0]["id"], "keys do not tell case");
    assert_eq!(done[3]["errors"][0]["statusCode"], json!("MISSING_ARGUMENT"));
    let many: Vec<Value> = (0..201).map(|n| of("Account", json!({"Name": n.to_string()}))).collect();
    refused(
        &force.post("composite/sobjects", json!({"records": many})).await,
        400,
        "EXCEEDED_MAX_SIZE_REQUEST",
    );
    let mixed: Vec<Value> = (0..12).map(|n| of(["Account", "Contact"][n % 2], json!({}))).collect();
    refused(&force.post("composite/sobjects", json!({"records": mixed})).await, 400, "LIMIT_EXCEEDED");
}

#[tokio::test]
async fn a_composite_request_refers_to_earlier_answers_and_guards_each_part() {
    let force = force().await;
    let url = |path: &str| format!("{V}/sobjects/{path}");
    let request = json!({"compositeRequest": [
        {"method": "POST", "url": url("Account"), "referenceId": "a", "body": {"Name": "Acme"}},
        {"method": "POST", "url": url("Contact"), "referenceId": "c", "body": {"LastName": "Doe", "AccountId": "@{a.id}"}},
        {"method": "PATCH", "url": url("Account/@{a.id}"), "referenceId": "g", "body": {"Phone": "1"},
         "httpHeaders": {"If-Unmodified-Since": "Tue, 01 Jan 2019 00:00:00 GMT"}},
        {"method": "GET", "url": url("Contact/@{c.id}?fields=AccountId"), "referenceId": "r"},
        {"method": "GET", "url": url("Contact/@{nobody.id}"), "referenceId": "n"}]});
    let done = force.post("composite", request).await.ok();
    let part = |at: usize| &done["compositeResponse"][at];
    let codes: Vec<&Value> = (0..5).map(|at| &part(at)["httpStatusCode"]).collect();
    assert_eq!(codes, [&json!(201), &json!(201), &json!(412), &json!(200), &json!(400)], "{done}");
    assert_eq!(part(3)["body"]["AccountId"], part(0)["body"]["id"]);
    assert_eq!(
        (&part(2)["referenceId"], &part(4)["body"][0]["errorCode"]),
        (&json!("g"), &json!("PROCESSING_HALTED"))
    );
    assert!(part(0)["httpHeaders"]["Location"].as_str().expect("a place").contains("/sobjects/Account/001"));
}

#[tokio::test]
async fn a_composite_request_can_be_one_transaction() {
    let force = force().await;
    let part = |id: &str, body: Value| json!({"method": "POST", "url": format!("{V}/sobjects/Account"), "referenceId": id, "body": body});
    let parts =
        json!([part("a", json!({"Name": "A"})), part("b", json!({})), part("c", json!({"Name": "C"}))]);
    let done = force.post("composite", json!({"allOrNone": true, "compositeRequest": parts})).await.ok();
    let code = |at: usize| done["compositeResponse"][at]["body"][0]["errorCode"].clone();
    assert_eq!(
        [code(0), code(1), code(2)],
        ["PROCESSING_HALTED", "REQUIRED_FIELD_MISSING", "PROCESSING_HALTED"]
    );
    assert_eq!(force.handle.state("Account").expect("a state")["total"], json!(0));
    let before =
        force.handle.control("GET", "/_sandbox/health", Value::Null).expect("health")["commit"].clone();
    let parts = json!([part("a", json!({"Name": "A"})), part("b", json!({"Name": "B"}))]);
    force.post("composite", json!({"allOrNone": true, "compositeRequest": parts})).await.ok();
    let after =
        force.handle.control("GET", "/_sandbox/health", Value::Null).expect("health")["commit"].clone();
    assert_eq!(after.as_i64().zip(before.as_i64()).map(|(after, before)| after - before), Some(1));
    let nested = json!({"compositeRequest": [{"method": "POST", "url": format!("{V}/composite"), "referenceId": "x"}]});
    assert_eq!(
        force.post("composite", nested).await.ok()["compositeResponse"][0]["httpStatusCode"],
        json!(400)
    );
}

#[tokio::test]
async fn a_batch_runs_calls_that_know_nothing_of_each_other() {
    let force = force().await;
    let requests = json!([{"method": "POST", "url": "v62.0/sobjects/Account", "richInput": {"Name": "A"}},
        {"method": "GET", "url": "v62.0/sobjects/Nothing/describe"},
        {"method": "GET", "url": "v62.0/query?q=SELECT+COUNT()+FROM+Account"}]);
    let done = force.post("composite/batch", json!({"batchRequests": requests})).await.ok();
    assert_eq!(done["hasErrors"], json!(true));
    assert_eq!(done["results"][1]["statusCode"], json!(404));
    assert_eq!(done["results"][2]["result"]["totalSize"], json!(1));
    let halted =
        force.post("composite/batch", json!({"haltOnError": true, "batchRequests": requests})).await.ok();
    assert_eq!(halted["results"][2]["statusCode"], json!(412));
}
