//! What the user who connects Salesforce lacks is said in words, when the consent is given and later.

use std::time::Duration;

use reqwest::Url;
use serde_json::{Value, json};
use testkit::eventually;
use tests::{Browser, House, Start};

const WAIT: Duration = Duration::from_secs(60);

/// Somebody gives the consent again, after the address of the consent page was made into another one; the answer to its
/// confirmation, or where the browser was sent when there was nothing to confirm.
async fn consent(
    house: &House,
    connection: &str,
    through: impl FnOnce(&mut Url),
) -> Result<(u16, Value), Url> {
    let wish = json!({ "vendor": "salesforce", "connection_id": connection });
    let begun = house.ok("POST", "/api/v1/connections/authorize", Some(wish)).await;
    let browser = Browser::open();
    let mut page = browser.go_to_consent(begun["start_url"].as_str().expect("an address")).await;
    through(&mut page);
    let back = browser.answer(&page, &[("decision", "allow")]).await;
    let landed = browser.come_back(back).await;
    if landed.query("confirm").is_none() {
        return Err(landed.url);
    }
    let answer = house.confirm(&landed).await;
    Ok((answer.status, answer.body))
}

/// The words of a refusal, which the audit log has as well.
async fn refusal(house: &House, connection: &str, through: impl FnOnce(&mut Url)) -> String {
    let (status, body) = consent(house, connection, through).await.expect("there is something to confirm");
    assert_eq!((status, &body["error"]["code"]), (409, &json!("missing_scopes")), "{body}");
    let words = body["error"]["message"].as_str().expect("words").to_owned();
    assert!(words.starts_with("Not connected: "), "{words}");
    let what = format!("the audit log to have: {words}");
    eventually(WAIT, &what, || async {
        let entries = house.audit("action=oauth.refused").await;
        entries.iter().any(|entry| entry["summary"].to_string().contains(&words[..40])).then_some(())
    })
    .await;
    words
}

/// The consent page is asked for all scopes but this one.
fn without(scope: &str) -> impl FnOnce(&mut Url) {
    move |page| {
        let pairs: Vec<(String, String)> = page.query_pairs().into_owned().collect();
        let kept = |asked: &str| asked.split(' ').filter(|one| *one != scope).collect::<Vec<_>>().join(" ");
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), if name == "scope" { kept(value) } else { value.clone() }));
        page.query_pairs_mut().clear().extend_pairs(pairs);
    }
}

const fn as_it_is(_: &mut Url) {}

// R6, R9, R19
#[tokio::test]
async fn what_a_salesforce_user_may_not_do_is_said_in_words_when_it_is_connected() {
    let start = Start { companies: 1, deals: 0, accounts: 3, ..Start::default() };
    let house = House::start(start).await;
    let org = house.salesforce();
    let connection = house.connection_to("salesforce").await;
    let set = async |settings: Value| drop(org.control("POST", "settings", settings).await);

    // A token without a scope.
    let words = refusal(&house, &connection, without("api")).await;
    assert!(words.contains("Accord cannot call Salesforce's API") && words.contains("(api)"), "{words}");
    let words = refusal(&house, &connection, without("refresh_token")).await;
    assert!(words.contains("perform requests at any time") && words.contains("(refresh_token)"), "{words}");
    // An app without a scope: there is no token at all.
    set(json!({ "withheld_scopes": ["api"] })).await;
    let landed = consent(&house, &connection, as_it_is).await.expect_err("there is nothing to confirm");
    assert!(landed.query().is_some_and(|query| query.contains("error=missing_scopes")), "{landed}");
    eventually(WAIT, "the audit log to name the scopes", || async {
        let entries = house.audit("action=oauth.refused").await;
        let named = entries.iter().any(|entry| entry["summary"].to_string().contains("api refresh_token id"));
        named.then_some(())
    })
    .await;
    set(json!({ "withheld_scopes": [] })).await;
    // A user, or an edition, without the API.
    for edition in ["enterprise", "professional"] {
        set(json!({ "edition": edition, "api_enabled": false })).await;
        let words = refusal(&house, &connection, as_it_is).await;
        assert!(words.contains("has no access to the API") && words.contains("(API Enabled)"), "{words}");
    }
    set(json!({ "edition": "enterprise", "api_enabled": true })).await;
    // A user without the permission on objects.
    set(json!({ "hidden_objects": ["Lead"] })).await;
    let words = refusal(&house, &connection, as_it_is).await;
    assert!(words.contains("(Lead: Read)") && words.contains("\"Edit\" on Lead"), "{words}");
    assert!(!words.contains("Account"), "{words}");
    set(json!({ "hidden_objects": [] })).await;

    // With all of it, it is connected.
    let (status, body) = consent(&house, &connection, as_it_is).await.expect("a consent to confirm");
    assert_eq!((status, &body["id"]), (200, &json!(connection)), "{body}");
}

const OBJECTS: [&str; 4] = ["Account", "Contact", "Opportunity", "Lead"];
/// A minute or so after an administrator gave back what was missing.
const BY_ITSELF: Duration = Duration::from_secs(90);

/// A house that follows all of a Salesforce, with the ids of its accounts.
async fn followed() -> (House, String, Vec<String>) {
    let house = House::start(Start { companies: 1, deals: 0, accounts: 3, ..Start::default() }).await;
    let connection = house.connection_to("salesforce").await;
    house.wait_for_streams(&connection, &OBJECTS).await;
    let accounts = house.salesforce().query("SELECT Id FROM Account ORDER BY Id").await;
    let accounts = accounts.iter().map(|account| account["Id"].as_str().expect("an id").to_owned()).collect();
    (house, connection, accounts)
}

/// The connection, once it is in this state.
async fn wait_for(house: &House, connection: &str, state: &str, deadline: Duration) -> Value {
    eventually(deadline, &format!("Salesforce to be {state}"), || async {
        let shown = house.ok("GET", &format!("/api/v1/connections/{connection}"), None).await;
        (shown["state"] == state).then_some(shown)
    })
    .await
}

/// The record of an account, once it has this phone number.
async fn wait_for_phone(house: &House, account: &str, phone: &str) -> Value {
    let linked = format!("/api/v1/records/company?vendor=salesforce&vendor_id={account}");
    eventually(WAIT, &format!("{account} to have the phone {phone}"), || async {
        let found = house.ok("GET", &linked, None).await["data"][0].clone();
        (found["fields"]["phone"] == phone).then_some(found)
    })
    .await
}

async fn set_phone(house: &House, account: &str, phone: &str) {
    let edit = json!({ "object": "Account", "id": account, "fields": { "Phone": phone } });
    house.salesforce().control("POST", "edit", edit).await;
}

// R6, R24, R62, R112
#[tokio::test]
async fn access_to_the_api_that_is_taken_away_later_and_given_back_needs_nobody() {
    let (house, connection, accounts) = followed().await;
    let org = house.salesforce();
    set_phone(&house, &accounts[0], "+41 31 000 05 00").await;
    let here = wait_for_phone(&house, &accounts[0], "+41 31 000 05 00").await;
    let here = here["id"].as_str().expect("an id");

    org.control("POST", "settings", json!({ "api_enabled": false })).await;
    house.edit("company", here, json!({ "address_city": "Visby" })).await;
    // Whoever looks why it is not there finds out that nothing can be read either.
    house.ok("POST", &format!("/api/v1/connections/{connection}/sync"), None).await;
    let failing = wait_for(&house, &connection, "error", WAIT).await;
    assert_eq!(failing["reason"], "permission_missing", "{failing}");
    assert!(failing["message"].to_string().contains("API Enabled"), "{failing}");
    assert!(failing["next_step"].to_string().contains("administrator"), "{failing}");
    set_phone(&house, &accounts[1], "+41 31 000 05 01").await;

    org.control("POST", "settings", json!({ "api_enabled": true })).await;
    wait_for(&house, &connection, "active", BY_ITSELF).await;
    house.wait_for_streams(&connection, &OBJECTS).await;
    wait_for_phone(&house, &accounts[1], "+41 31 000 05 01").await;
    let city = format!("SELECT BillingCity FROM Account WHERE Id = '{}'", accounts[0]);
    eventually(WAIT, "the city to be there", || async {
        (org.query(&city).await[0]["BillingCity"] == "Visby").then_some(())
    })
    .await;
    let issues = house.ok("GET", &format!("/api/v1/issues?connection_id={connection}"), None).await;
    assert_eq!(issues["data"], json!([]), "nothing waits for anybody");
}

// R6, R24, R62, R112
#[tokio::test]
async fn the_right_to_read_an_object_that_is_taken_away_later_and_given_back_needs_nobody() {
    let (house, connection, accounts) = followed().await;
    let org = house.salesforce();
    org.control("POST", "settings", json!({ "hidden_objects": ["Account"] })).await;
    org.control("POST", "stream/cut", json!({ "kind": "cut_connection" })).await;
    let failing = wait_for(&house, &connection, "error", WAIT).await;
    assert_eq!(failing["reason"], "permission_missing", "{failing}");
    assert!(failing["message"].to_string().contains("object permission"), "{failing}");
    assert!(failing["next_step"].to_string().contains("administrator"), "{failing}");
    // An object that is hidden is not taken for one that is gone.
    house.ok("POST", &format!("/api/v1/connections/{connection}/refresh-schema"), None).await;
    for (account, phone) in accounts.iter().zip(["+41 31 000 06 00", "+41 31 000 06 01"]) {
        set_phone(&house, account, phone).await;
    }

    org.control("POST", "settings", json!({ "hidden_objects": [] })).await;
    wait_for(&house, &connection, "active", BY_ITSELF).await;
    house.wait_for_streams(&connection, &OBJECTS).await;
    for (account, phone) in accounts.iter().zip(["+41 31 000 06 00", "+41 31 000 06 01"]) {
        wait_for_phone(&house, account, phone).await;
    }
    set_phone(&house, &accounts[2], "+41 31 000 06 02").await;
    wait_for_phone(&house, &accounts[2], "+41 31 000 06 02").await;
    let issues = house.ok("GET", "/api/v1/issues?category=schema_drift", None).await;
    assert_eq!(issues["data"], json!([]), "no field is paused");
}
