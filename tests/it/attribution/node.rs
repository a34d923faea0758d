//! What others wrote against this API, run as it is.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tests::{House, Start};

use super::shop::Shop;

/// Where `tests/run` puts the client package.
fn sdk() -> PathBuf {
    let cache = || {
        let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
        std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from)
    };
    let directory = std::env::var_os("ACCORD_SDK")
        .map_or_else(|| cache().join("accord/openpartner-sdk-0.1.0/package"), PathBuf::from);
    let is_there = directory.join("package.json").is_file();
    assert!(is_there, "{} is not there: tests/run fetches it", directory.display());
    directory
}

fn node(script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/attribution").join(script);
    let mut command = Command::new("node");
    command.arg(script).args(arguments).envs(environment.iter().copied());
    let output = command.output().expect("Node.js is installed: tests/run brings it");
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{said}");
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}{said}"))
}

// R136, R161-R168
#[tokio::test]
async fn the_client_package_and_the_hubspot_action_work_as_they_are() {
    let house = House::start(Start { companies: 5, deals: 5, ..Start::default() }).await;
    let shop = Shop::open(&house).await;
    the_client_package_works_unchanged(&shop).await;
    the_hubspot_action_works_with_and_without_an_amount(&shop).await;
}

async fn the_client_package_works_unchanged(shop: &Shop) {
    let (landing, _) = shop.follow("/r/ada-2026").await;
    let click = landing.rsplit_once("cref=").expect("a click").1.to_owned();
    let key = shop.mint(&["events:write"]).await;
    let directory = sdk();
    let directory = directory.to_str().expect("a path of text");
    for base in ["", "/api"] {
        let address = shop.at(base).address();
        let seen = node("use_sdk.mjs", &[directory, &address, &key, &click, &landing], &[]);
        assert_eq!((&seen["cref"], &seen["fromCookie"]), (&json!(click), &json!(click)));
        assert_eq!(seen["identified"]["ok"], true, "{seen}");
        assert_eq!(
            seen["again"],
            json!({ "ok": true, "identityId": null, "firstStitch": false, "backfilledAttributions": 0 })
        );
        assert_eq!(seen["faults"], json!([{ "status": 404, "code": "click_not_found" }]));
        let touch = &seen["event"]["attribution"]["touches"][0];
        assert_eq!((&touch["clickId"], &touch["partnerId"]), (&json!(click), &json!(shop.partner)), "{seen}");
        assert!(touch["commissionId"].is_string(), "{seen}");
        assert_eq!(seen["stitched"]["ok"], true);
        assert_eq!(
            seen["invalid"],
            json!({
                "isOurs": true, "status": 400, "code": "invalid_body",
                "detail": { "formErrors": [], "fieldErrors": { "userId": ["String must contain at least 1 character(s)"] } },
            })
        );
        assert_eq!(
            seen["unauthorized"],
            json!({ "isOurs": true, "status": 401, "code": "unauthorized", "detail": { "error": "unauthorized" } })
        );
    }
}

async fn the_hubspot_action_works_with_and_without_an_amount(shop: &Shop) {
    shop.click("deal@example.com").await;
    let key = shop.mint(&["events:write"]).await;
    let address = shop.address();
    let environment = [("ACCORD_API", address.as_str()), ("ACCORD_KEY", key.as_str())];
    for (deal, value, currency) in [
        (
            json!({ "hs_object_id": "7001", "amount": "4500.50", "deal_currency_code": "EUR" }),
            json!(4500.5),
            "EUR",
        ),
        (json!({ "hs_object_id": "7002", "amount": "", "deal_currency_code": "" }), Value::Null, "USD"),
        (json!({ "hs_object_id": "7003" }), Value::Null, "USD"),
    ] {
        let mut fields = deal.clone();
        fields["contact_email"] = json!("deal@example.com");
        fields["dealstage"] = json!("closedwon");
        for _ in 0..2 {
            let answer = node("run_hubspot_action.cjs", &[&fields.to_string()], &environment);
            assert_eq!(answer, json!({ "outputFields": { "status": 200 } }));
        }
        let id = deal["hs_object_id"].as_str().expect("a text");
        let found = shop.ok("GET", &format!("/attribution/events?metadataValue={id}"), None).await;
        let events = found["events"].as_array().expect("a list");
        assert_eq!(events.len(), 1, "HubSpot tries again, and it is the same deal: {found}");
        assert_eq!((&events[0]["value"], &events[0]["currency"]), (&value, &json!(currency)));
        assert_eq!(events[0]["metadata"], json!({ "hubspot_deal_id": id, "stage": "closedwon" }));
        assert_eq!(events[0]["attribution"]["status"], "attributed");
    }
}
