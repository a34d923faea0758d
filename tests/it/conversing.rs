//! The demo as people first see it: all five vendors connected, a deal that waits for a decision, and timelines that have
//! something to tell.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};

const WAIT: Duration = Duration::from_secs(60);
const DEAL: &str = "Thirty picking arms";

#[tokio::test]
async fn the_demo_connects_five_vendors_has_a_deal_to_decide_and_timelines_to_read_and_starts_again_without_doubles()
 {
    let start =
        Start { companies: 20, deals: 5, contacts: 20, accounts: 5, conversations: true, ..Start::default() };
    let mut house = House::start(start).await;
    is_whole(&house).await;
    house.interrupt().await;
    house.start_again().await;
    is_whole(&house).await;
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
}

async fn is_whole(house: &House) {
    let connections = house.ok("GET", "/api/v1/connections", None).await;
    let states: Vec<(&str, &str)> = connections["data"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| Some((one["vendor"].as_str()?, one["state"].as_str()?)))
        .collect();
    for vendor in ["hubspot", "salesforce", "slack", "google-calendar", "m365"] {
        assert!(states.contains(&(vendor, "active")), "{vendor} is not active: {states:?}");
    }
    assert_eq!(states.len(), 5, "{states:?}");
    let waiting = house.ok("GET", "/api/v1/deal-registrations?status=open", None).await;
    let waiting: Vec<&Value> =
        waiting["data"].as_array().expect("a list").iter().map(|one| &one["deal_name"]).collect();
    assert_eq!(waiting, [&json!(DEAL)]);
    let told = eventually(WAIT, "Slack to be told", || async {
        let url =
            format!("{}/_sandbox/messages?channel=deal-registrations", house.ready("sandboxes.slack.url"));
        let answer = house.http().get(url).send().await.expect("the sandbox answers");
        let said: Value = serde_json::from_str(&answer.text().await.expect("a text")).expect("JSON");
        let of_deal = said["messages"].as_array().expect("a list").iter().map(Value::to_string);
        let of_deal: Vec<String> = of_deal.filter(|message| message.contains(DEAL)).collect();
        (!of_deal.is_empty()).then_some(of_deal)
    })
    .await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("registration:approve") && told[0].contains("Bluefin Resellers"), "{told:?}");
    for (object, kind) in [("contact", "email"), ("company", "meeting")] {
        eventually(WAIT, &format!("a timeline of a {object} to have a {kind}"), || async {
            let records = house.ok("GET", &format!("/api/v1/records/{object}?limit=100"), None).await;
            for record in records["data"].as_array().expect("a list") {
                let id = record["id"].as_str().expect("an id");
                let timeline = format!("/api/v1/timeline?record_id={id}&kinds={kind}");
                if house.ok("GET", &timeline, None).await["data"] != json!([]) {
                    return Some(());
                }
            }
            None
        })
        .await;
    }
}
