//! What the org says of itself.

use reqwest::Method;
use serde_json::{Value, json};

use super::{force, refused};

fn field<'a>(describe: &'a Value, name: &str) -> &'a Value {
    let fields = describe["fields"].as_array().expect("fields");
    fields.iter().find(|field| field["name"] == name).unwrap_or_else(|| panic!("no field {name}"))
}

#[tokio::test]
async fn versions_are_listed_to_everybody_and_old_ones_are_gone() {
    let force = force().await;
    let list = force.send(Method::GET, "/services/data/", "", &[], None).await.ok();
    let newest = json!({"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"});
    assert_eq!(list.as_array().expect("a list").last(), Some(&newest));
    assert!(
        list.as_array()
            .expect("a list")
            .iter()
            .any(|one| one["label"] == "Winter '25" && one["version"] == "62.0")
    );
    assert_eq!(force.get("/services/data/v29.0/limits").await.status, 410);
    refused(&force.get("/services/data/v99.0/limits").await, 404, "NOT_FOUND");
    refused(&force.get("/services/data/nonsense/limits").await, 404, "NOT_FOUND");
    assert!(force.get("/services/data/v62.0/").await.ok()["sobjects"].is_string());
}

#[tokio::test]
async fn objects_and_fields_are_the_recorded_ones() {
    let force = force().await;
    let list = force.get("sobjects").await.ok();
    let names: Vec<&str> =
        list["sobjects"].as_array().expect("objects").iter().filter_map(|one| one["name"].as_str()).collect();
    assert_eq!(names[..5], ["Account", "Contact", "Lead", "Opportunity", "Custom__c"]);
    assert_eq!((&list["maxBatchSize"], &list["sobjects"][0]["keyPrefix"]), (&json!(200), &json!("001")));
    let account = force.get("sobjects/Account/describe").await.ok();
    assert_eq!(account["fields"].as_array().map(Vec::len), Some(64));
    let address = field(&account, "BillingAddress");
    assert_eq!((&address["type"], &address["updateable"]), (&json!("address"), &json!(false)));
    assert_eq!(field(&account, "BillingCity")["compoundFieldName"], json!("BillingAddress"));
    assert_eq!(field(&account, "Industry")["picklistValues"].as_array().map(Vec::len), Some(32));
    assert_eq!(field(&account, "ParentId")["referenceTo"], json!(["Account"]));
    assert_eq!(account["recordTypeInfos"].as_array().map(Vec::len), Some(2));
    assert!(field(&account, "Name").as_object().expect("a field").len() > 50, "fields are described in full");
    assert_eq!(force.get("sobjects/account").await.ok()["objectDescribe"]["name"], json!("Account"));
    refused(&force.get("sobjects/Nothing/describe").await, 404, "NOT_FOUND");
}

#[tokio::test]
async fn a_description_is_sent_again_only_when_it_changed() {
    let force = force().await;
    let first = force.get("sobjects/Account/describe").await;
    let since = first.header("last-modified").expect("a date").to_owned();
    let headers = [("If-Modified-Since", since.as_str())];
    let token = force.handle.access_token().to_owned();
    let again = |path: &'static str| force.send(Method::GET, path, &token, &headers, None);
    assert_eq!(again("sobjects/Account/describe").await.status, 304);
    force.handle.advance_clock(2_000);
    force.key_field("Account", "Accord_Id__c").await.ok();
    assert_eq!(again("sobjects/Account/describe").await.status, 200);
    assert_eq!(again("sobjects/Lead/describe").await.status, 304);
    assert_eq!(again("sobjects").await.status, 200);
}

#[tokio::test]
async fn a_client_makes_a_custom_field_and_uses_it() {
    let force = force().await;
    let made = force.key_field("Account", "Accord_Id__c").await;
    assert_eq!((made.status, &made.body["success"]), (201, &json!(true)), "{}", made.body);
    let describe = force.get("sobjects/Account/describe").await.ok();
    let described = field(&describe, "Accord_Id__c");
    for (key, value) in [
        ("custom", json!(true)),
        ("unique", json!(true)),
        ("externalId", json!(true)),
        ("length", json!(64)),
        ("label", json!("Accord ID")),
        ("type", json!("string")),
        ("nillable", json!(true)),
    ] {
        assert_eq!(described[key], value, "{key}");
    }
    force.make("Account", json!({"Name": "Acme", "Accord_Id__c": "a-1"})).await;
    let found = force.query("SELECT Name FROM Account WHERE Accord_Id__c IN ('A-1', 'a-2')").await.ok();
    assert_eq!(found["totalSize"], json!(1));
    refused(&force.key_field("Account", "Accord_Id__c").await, 400, "DUPLICATE_DEVELOPER_NAME");
    refused(&force.key_field("Account", "Accord Id__c").await, 400, "INVALID_FIELD");
    refused(
        &force.key_field("Nothing", "Accord_Id__c").await,
        400,
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
    );
    force.handle.change_settings(json!({"customize_application": false})).expect("changed");
    refused(&force.key_field("Lead", "Accord_Id__c").await, 403, "INSUFFICIENT_ACCESS_OR_READONLY");
}

#[tokio::test]
async fn what_a_user_may_not_see_or_write_is_not_there_or_read_only() {
    let force = force().await;
    let hidden = json!({"hidden_objects": ["Lead"], "read_only_objects": ["Contact"]});
    force.handle.change_settings(hidden).expect("changed");
    refused(&force.get("sobjects/Lead/describe").await, 404, "NOT_FOUND");
    refused(&force.query("SELECT Id FROM Lead").await, 400, "INVALID_TYPE");
    let contact = force.get("sobjects/Contact/describe").await.ok();
    assert_eq!(
        (&contact["createable"], &field(&contact, "LastName")["updateable"]),
        (&json!(false), &json!(false))
    );
    let refusal = force.post("sobjects/Contact", json!({"LastName": "X"})).await;
    refused(&refusal, 403, "INSUFFICIENT_ACCESS_OR_READONLY");
}

#[tokio::test]
async fn a_new_field_can_be_hidden_until_a_right_is_given() {
    let force = force().await;
    force.handle.change_settings(json!({"hide_new_fields": true})).expect("changed");
    force.key_field("Account", "Accord_Id__c").await.ok();
    let named = |describe: Value| {
        describe["fields"]
            .as_array()
            .is_some_and(|fields| fields.iter().any(|field| field["name"] == "Accord_Id__c"))
    };
    assert!(!named(force.get("sobjects/Account/describe").await.ok()));
    refused(
        &force.post("sobjects/Account", json!({"Name": "A", "Accord_Id__c": "a"})).await,
        400,
        "INVALID_FIELD",
    );
    refused(&force.key_field("Account", "Accord_Id__c").await, 400, "DUPLICATE_DEVELOPER_NAME");
    let user = force.query("SELECT ProfileId FROM User LIMIT 1").await.ok();
    let profile = user["records"][0]["ProfileId"].as_str().expect("a profile").to_owned();
    let soql =
        format!("SELECT Id FROM PermissionSet WHERE IsOwnedByProfile = true AND ProfileId = '{profile}'");
    let set = force.query(&soql).await.ok()["records"][0]["Id"].clone();
    let right = |field: &str| {
        json!({"ParentId": set, "SobjectType": "Account", "Field": field, "PermissionsRead": true,
        "PermissionsEdit": true})
    };
    let nothing = force.post("sobjects/FieldPermissions", right("Account.Nothing__c")).await;
    refused(&nothing, 400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST");
    force.make("FieldPermissions", right("Account.Accord_Id__c")).await;
    assert!(named(force.get("sobjects/Account/describe").await.ok()));
    force.make("Account", json!({"Name": "A", "Accord_Id__c": "a"})).await;
}
