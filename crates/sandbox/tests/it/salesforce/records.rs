//! Single records.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Force, V, force, names, refused};
use crate::client::Answer;

async fn with(
    force: &Force,
    method: Method,
    path: &str,
    header: (&str, &str),
    body: Option<Value>,
) -> Answer {
    force.send(method, path, force.handle.access_token(), &[header], body).await
}

#[tokio::test]
async fn a_record_is_created_read_changed_and_deleted() {
    let force = force().await;
    let made = force
        .post(
            "sobjects/Account",
            json!({"Name": "  Acme  ", "BillingCity": "Bern", "NumberOfEmployees": 12,
        "AnnualRevenue": 1_000_000, "Description": "two\nlines \n", "Website": ""}),
        )
        .await;
    assert_eq!((made.status, &made.body["success"]), (201, &json!(true)));
    let id = made.body["id"].as_str().expect("an id").to_owned();
    assert_eq!(made.header("location"), Some(format!("{V}/sobjects/Account/{id}").as_str()));
    let read = force.get(&format!("sobjects/Account/{}", &id[..15])).await.ok();
    assert_eq!((read["Name"].as_str(), read["Website"].as_str()), (Some("Acme"), None));
    assert_eq!(read["Description"], json!("two\nlines"));
    assert_eq!(read["AnnualRevenue"].to_string(), "1000000.0");
    assert_eq!(read["BillingAddress"]["city"], json!("Bern"));
    assert_eq!(read["BillingAddress"]["street"], Value::Null);
    assert_eq!(read["attributes"], json!({"type": "Account", "url": format!("{V}/sobjects/Account/{id}")}));
    assert_eq!(&read["OwnerId"].as_str().expect("an owner")[..3], "005");
    let stamp = read["SystemModstamp"].as_str().expect("a stamp");
    assert!(stamp.ends_with(".000+0000") && read["CreatedDate"] == *stamp, "{stamp}");
    force.handle.advance_clock(5_000);
    let path = format!("sobjects/Account/{id}");
    assert_eq!(force.patch(&path, json!({"BillingCity": null, "Phone": "1"})).await.status, 204);
    let few =
        force.get(&format!("{path}?fields=Phone,BillingAddress,LastModifiedDate,CreatedDate")).await.ok();
    assert_eq!((&few["Phone"], &few["BillingAddress"]), (&json!("1"), &Value::Null));
    assert!(few["LastModifiedDate"].as_str() > few["CreatedDate"].as_str() && few.get("Name").is_none());
    assert_eq!(force.delete(&path).await.status, 204);
    assert_eq!(refused(&force.delete(&path).await, 404, "ENTITY_IS_DELETED"), "entity is deleted");
    refused(&force.get(&path).await, 404, "ENTITY_IS_DELETED");
    refused(&force.get("sobjects/Account/001000000000000AAA").await, 404, "NOT_FOUND");
    let odd = refused(&force.get("sobjects/Account/23foo").await, 404, "NOT_FOUND");
    assert_eq!(odd, "Provided external ID field does not exist or is not accessible: 23foo");
}

#[tokio::test]
async fn wrong_values_are_refused_in_the_vendors_words() {
    let force = force().await;
    let account = force.make("Account", json!({"Name": "Acme"})).await;
    let contact = force.make("Contact", json!({"LastName": "Doe", "AccountId": account})).await;
    let long = "x".repeat(41);
    let cases = [
        ("Account", json!({}), "REQUIRED_FIELD_MISSING", "Required fields are missing: [Name]"),
        (
            "Account",
            json!({"Name": "A", "foo": 1}),
            "INVALID_FIELD",
            "No such column 'foo' on sobject of type Account",
        ),
        ("Account", json!({"Name": "A", "Phone": long}), "STRING_TOO_LONG", "(max length=40)"),
        (
            "Account",
            json!({"Name": "A", "BillingAddress": {}}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "BillingAddress",
        ),
        (
            "Account",
            json!({"Name": "A", "CreatedDate": "2020-01-01T00:00:00Z"}),
            "INVALID_FIELD_FOR_INSERT_UPDATE",
            "CreatedDate",
        ),
        (
            "Account",
            json!({"Name": "A", "CleanStatus": "Dirty"}),
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Dirty",
        ),
        (
            "Account",
            json!({"Name": "A", "NumberOfEmployees": 999_999_999}),
            "NUMBER_OUTSIDE_VALID_RANGE",
            "Employees",
        ),
        (
            "Account",
            json!({"Name": "A", "NumberOfEmployees": "many"}),
            "JSON_PARSER_ERROR",
            "instance of int",
        ),
        (
            "Account",
            json!({"Name": 5}),
            "JSON_PARSER_ERROR",
            "instance of string from VALUE_NUMBER_INT value 5",
        ),
        (
            "Account",
            json!({"Name": "A", "ParentId": "nonsense"}),
            "MALFORMED_ID",
            "id value of incorrect type: nonsense",
        ),
        ("Account", json!({"Name": "A", "ParentId": contact}), "MALFORMED_ID", "id value of incorrect type"),
        (
            "Account",
            json!({"Name": "A", "ParentId": "001000000000000AAA"}),
            "INVALID_CROSS_REFERENCE_KEY",
            "invalid cross reference id",
        ),
        (
            "Contact",
            json!({"LastName": "A", "Email": "nobody"}),
            "INVALID_EMAIL_ADDRESS",
            "invalid email address: nobody",
        ),
        ("Contact", json!({"LastName": "A", "Birthdate": "soon"}), "JSON_PARSER_ERROR", "instance of date"),
        ("Opportunity", json!({"Name": "A"}), "REQUIRED_FIELD_MISSING", "[StageName, CloseDate]"),
        ("Lead", json!({"LastName": "A", "Company": null}), "REQUIRED_FIELD_MISSING", "[Company]"),
    ];
    for (object, body, code, words) in cases {
        let message = refused(&force.post(&format!("sobjects/{object}"), body.clone()).await, 400, code);
        assert!(message.contains(words), "{body}: {message}");
    }
    let path = format!("sobjects/Account/{account}");
    refused(&force.patch(&path, json!({"Name": ""})).await, 400, "REQUIRED_FIELD_MISSING");
    refused(&force.patch(&path, json!({"Id": account})).await, 400, "INVALID_FIELD_FOR_INSERT_UPDATE");
    assert_eq!(force.handle.state("Account").expect("a state")["total"], json!(1), "nothing was written");
}

#[tokio::test]
async fn values_are_worked_out_of_others() {
    let force = force().await;
    let person =
        force.make("Contact", json!({"FirstName": "Ada", "LastName": "Byron", "Salutation": "Ms."})).await;
    assert_eq!(
        force.get(&format!("sobjects/Contact/{person}?fields=Name")).await.ok()["Name"],
        json!("Ada Byron")
    );
    let fields =
        json!({"Name": "Deal", "StageName": "Qualification", "CloseDate": "2026-08-15", "Amount": 1_000});
    let deal = force.make("Opportunity", fields).await;
    let path = format!("sobjects/Opportunity/{deal}");
    let read = force.get(&path).await.ok();
    assert_eq!((&read["Probability"], &read["ExpectedRevenue"]), (&json!(10.0), &json!(100.0)));
    assert_eq!((&read["IsClosed"], &read["ForecastCategoryName"]), (&json!(false), &json!("Pipeline")));
    assert_eq!(
        (&read["FiscalYear"], &read["FiscalQuarter"], &read["Fiscal"]),
        (&json!(2026), &json!(3), &json!("2026 3"))
    );
    force.patch(&path, json!({"StageName": "Closed Won"})).await;
    let read = force.get(&path).await.ok();
    assert_eq!(
        (&read["IsClosed"], &read["IsWon"], &read["Probability"]),
        (&json!(true), &json!(true), &json!(100.0))
    );
    let lead = force.make("Lead", json!({"LastName": "Doe", "Company": "Acme"})).await;
    let read = force.get(&format!("sobjects/Lead/{lead}")).await.ok();
    assert_eq!((&read["Status"], &read["IsConverted"]), (&json!("Open - Not Contacted"), &json!(false)));
}

#[tokio::test]
async fn an_upsert_has_three_shapes_and_a_fourth_for_several() {
    let force = force().await;
    force.key_field("Account", "Key__c").await.ok();
    let path = "sobjects/Account/Key__c/a%2Fb%20c";
    let created = force.patch(path, json!({"Name": "Acme"})).await;
    assert_eq!((created.status, &created.body["created"]), (201, &json!(true)), "{}", created.body);
    let updated = force.patch(path, json!({"Phone": "1"})).await;
    assert_eq!((updated.status, &updated.body["created"]), (200, &json!(false)));
    assert_eq!(updated.body["id"], created.body["id"]);
    let old =
        force.patch("/services/data/v45.0/sobjects/Account/Key__c/a%2Fb%20c", json!({"Phone": "2"})).await;
    assert_eq!((old.status, old.body), (204, json!("")));
    let read = force.get(path).await.ok();
    assert_eq!((&read["Key__c"], &read["Phone"]), (&json!("a/b c"), &json!("2")));
    refused(&force.patch(path, json!({"Key__c": "x"})).await, 400, "INVALID_FIELD");
    refused(&force.patch("sobjects/Account/Phone/1", json!({"Name": "x"})).await, 404, "NOT_FOUND");
    refused(&force.get("sobjects/Account/Key__c/none").await, 404, "NOT_FOUND");
    let twin = refused(
        &force.post("sobjects/Account", json!({"Name": "B", "Key__c": "A/B c"})).await,
        400,
        "DUPLICATE_VALUE",
    );
    assert!(
        twin.starts_with("duplicate value found: Key__c duplicates value on record with id: 001"),
        "{twin}"
    );
    for name in ["one", "two"] {
        force.make("Contact", json!({"LastName": name, "Email": "same@mail.example"})).await;
    }
    let several = force.patch("sobjects/Contact/Email/same@mail.example", json!({"Phone": "1"})).await;
    assert_eq!((several.status, several.body.as_array().map(Vec::len)), (300, Some(2)));
    assert!(several.body[0].as_str().expect("an address").starts_with(&format!("{V}/sobjects/Contact/003")));
    assert_eq!(force.get("sobjects/Contact/Email/same@mail.example").await.status, 300);
    assert_eq!(force.delete(path).await.status, 204);
    assert_eq!(
        force.patch(path, json!({"Name": "again"})).await.status,
        201,
        "a deleted record frees its key"
    );
}

#[tokio::test]
async fn a_parent_can_be_told_by_its_key() {
    let force = force().await;
    force.key_field("Account", "Key__c").await.ok();
    let account = force.make("Account", json!({"Name": "Acme", "Key__c": "k"})).await;
    let contact = force.make("Contact", json!({"LastName": "Doe", "Account": {"Key__c": "k"}})).await;
    let read = force.get(&format!("sobjects/Contact/{contact}?fields=AccountId")).await.ok();
    assert_eq!(read["AccountId"], json!(account));
    let none = force.post("sobjects/Contact", json!({"LastName": "Doe", "Account": {"Key__c": "x"}})).await;
    assert!(refused(&none, 400, "INVALID_FIELD").starts_with("Foreign key external ID: x not found"));
}

#[tokio::test]
async fn conditional_requests_compare_whole_seconds() {
    let force = force().await;
    let id = force.make("Account", json!({"Name": "Acme"})).await;
    let path = format!("sobjects/Account/{id}");
    let seen = force.get(&path).await.header("last-modified").expect("a date").to_owned();
    let unmodified = ("If-Unmodified-Since", seen.as_str());
    assert_eq!(with(&force, Method::GET, &path, ("If-Modified-Since", &seen), None).await.status, 304);
    let same_second = with(&force, Method::PATCH, &path, unmodified, Some(json!({"Phone": "1"}))).await;
    assert_eq!(same_second.status, 204);
    force.handle.advance_clock(2_000);
    force.handle.edit("Account", &id, json!({"Phone": "2"})).expect("edited");
    let late = with(&force, Method::PATCH, &path, unmodified, Some(json!({"Phone": "3"}))).await;
    assert_eq!((late.status, late.body), (412, json!("")));
    assert_eq!(with(&force, Method::GET, &path, ("If-Modified-Since", &seen), None).await.status, 200);
    assert_eq!(with(&force, Method::DELETE, &path, unmodified, None).await.status, 412);
    assert_eq!(force.get(&path).await.ok()["Phone"], json!("2"));
}

#[tokio::test]
async fn deletion_takes_children_along_and_undeletion_brings_them_back() {
    let force = force().await;
    let account = force.make("Account", json!({"Name": "Acme"})).await;
    let contact = force.make("Contact", json!({"LastName": "Doe", "AccountId": account})).await;
    force.delete(&format!("sobjects/Account/{account}")).await;
    refused(&force.get(&format!("sobjects/Contact/{contact}")).await, 404, "ENTITY_IS_DELETED");
    let orphan = force.post("sobjects/Contact", json!({"LastName": "B", "AccountId": account})).await;
    refused(&orphan, 404, "ENTITY_IS_DELETED");
    let all = force.query_all("SELECT Id FROM Contact WHERE IsDeleted = true").await.ok();
    assert_eq!(names(&all, "Id"), [contact.as_str()]);
    force.handle.undelete("Account", &account).expect("undeleted");
    assert_eq!(
        force.get(&format!("sobjects/Contact/{contact}?fields=IsDeleted")).await.ok()["IsDeleted"],
        json!(false)
    );
}

#[tokio::test]
async fn broken_requests_get_an_error_that_says_so() {
    let force = force().await;
    refused(&force.get("nothing").await, 404, "NOT_FOUND");
    let put = force.send(Method::PUT, "sobjects/Account", force.handle.access_token(), &[], None).await;
    let message = refused(&put, 405, "METHOD_NOT_ALLOWED");
    assert_eq!(message, "HTTP Method 'PUT' not allowed. Allowed are GET,POST");
    let url = format!("{}{V}/sobjects/Account", force.handle.url());
    let request = force.http.post(&url).bearer_auth(force.handle.access_token()).body("{\"Name\": ");
    let broken = crate::client::read(request.send().await.expect("an answer")).await;
    assert!(refused(&broken, 400, "JSON_PARSER_ERROR").contains("[line:1, column:"));
    refused(&force.send(Method::GET, "sobjects", "", &[], None).await, 401, "INVALID_SESSION_ID");
    let long = force.get(&format!("query?q={}", "x".repeat(17_000))).await;
    assert_eq!(long.status, 414);
    let id = force.make("Account", json!({"Name": "Acme"})).await;
    let disguised =
        force.post(&format!("sobjects/Account/{id}?_HttpMethod=PATCH"), json!({"Phone": "1"})).await;
    assert_eq!(disguised.status, 204);
    assert_eq!(force.get(&format!("sobjects/Account/{id}/?fields=Phone")).await.ok()["Phone"], json!("1"));
}
