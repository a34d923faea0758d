//! What a person tries out between the console and the demo's other vendors: an approval in Slack, and a meeting's transcript.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use model::{Clock as _, SystemClock};
use serde_json::{Value, json};
use testkit::eventually;
use tests::{Chrome, House, Start};

use crate::approvals::Workspace;

const WAIT: Duration = Duration::from_secs(60);

async fn owner(house: &House) -> Chrome {
    let chrome = Chrome::start().await;
    chrome.open(house.ready("sign_in.owner")).await;
    chrome.wait_for_url("/settings/integrations").await;
    chrome
}

/// From the card of a vendor to its consent page, and back by its button.
async fn connects(house: &House, chrome: &Chrome, vendor: &str, button: &str) {
    chrome.open(&page(house, "/settings/integrations")).await;
    chrome.wait_for_text(&format!("#card-{vendor}"), "Not connected").await;
    chrome.click(&format!("#connect-{vendor}")).await;
    chrome.click("#go").await;
    chrome.click(button).await;
    chrome.wait_for_url("/settings/integrations").await;
    chrome.wait_for_text(&format!("#card-{vendor}"), "Active").await;
}

fn page(house: &House, path: &str) -> String {
    format!("{}{path}", house.ready("console_url"))
}

// R32, R33
#[tokio::test]
async fn browser_walks_an_approval_from_the_slack_sandbox_to_the_created_deal() {
    let house = House::start(Start { companies: 2, deals: 1, ..Start::default() }).await;
    let chrome = owner(&house).await;
    connects(&house, &chrome, "slack", "#connect").await;
    chrome.shoot("60-slack-connected").await;
    let slack = Workspace::of(house).await;
    let id = slack.registered("Ten presses", "acme.example").await;

    // The channel as Adam sees it.
    chrome.open(slack.house.ready("sandboxes.slack.url")).await;
    chrome.wait_for_text("main h2", "deal-registrations").await;
    let adam = "const who = document.getElementById('who'); \
        who.value = [...who.options].find(one => one.text === 'Adam Admin').value; who.form.submit()";
    chrome.run(adam).await;
    chrome.wait_for_url("user=").await;
    chrome.wait_for_text("#messages", "Ten presses").await;
    chrome.shoot("61-slack-asks").await;
    chrome.click("button[data-action='registration:approve']").await;
    chrome.wait_for_text("#messages", "Approved by Adam Admin").await;
    assert!(!chrome.has("[role=alert]").await, "Accord did not answer in time");
    assert!(!chrome.has("button[data-action^='registration:']").await, "it is decided");
    chrome.shoot("62-slack-approved").await;

    slack.deal_of(&id).await;
    chrome.open(&page(&slack.house, &format!("/attribution/registrations/{id}"))).await;
    chrome.wait_for_text("#decide", "Protected until").await;
    chrome.shoot("63-registration-approved").await;
    chrome.click("#deal").await;
    chrome.wait_for_text("h1", "Ten presses").await;
    assert!(!slack.house.log().contains("panicked"), "something panicked: {}", slack.house.log());
    chrome.close().await;
}

// R34, R35, R36
#[tokio::test]
async fn browser_walks_from_a_meeting_to_its_transcript_on_the_page_of_the_partner() {
    let house = House::start(Start { companies: 2, deals: 1, ..Start::default() }).await;
    let new = json!({ "fields": { "name": "Lee Partners", "domain": "lee-partners.example" } });
    let partner = house.ok("POST", "/api/v1/records/partner", Some(new)).await;
    let partner = format!("/records/partner/{}", partner["id"].as_str().expect("an id"));
    a_meeting_was_held(&house).await;
    let chrome = owner(&house).await;
    connects(&house, &chrome, "google-calendar", "#allow").await;
    chrome.shoot("64-google-connected").await;
    let record = partner.rsplit('/').next().unwrap_or_default();
    let timeline = format!("/api/v1/timeline?record_id={record}");
    eventually(WAIT, "the meeting and its transcript to be on the timeline", || async {
        let told = house.ok("GET", &timeline, None).await;
        (told["data"].as_array()?.len() == 2).then_some(())
    })
    .await;

    chrome.open(&page(&house, &partner)).await;
    chrome.wait_for_text("#recent", "Quarterly review").await;
    chrome.click("#timeline").await;
    chrome.wait_for_text(".timeline", "Transcript: Quarterly review").await;
    chrome.wait_for_text(".timeline", "told by Google Calendar").await;
    chrome.shoot("65-partner-timeline").await;
    chrome.fill("#q", "renewal").await;
    chrome.click("#search").await;
    chrome.wait_for_url("q=renewal").await;
    chrome.click(".timeline a.strong").await;
    chrome.wait_for_text(".transcript", "Shall we talk about the renewal?").await;
    let said = chrome.text(".transcript").await;
    for words in ["Dana Whitfield", "0:00:05", "Good morning.", "Kim Lee", "0:01:10"] {
        assert!(said.contains(words), "no “{words}” in {said}");
    }
    chrome.shoot("66-partner-transcript").await;
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
    chrome.close().await;
}

// R30, R246
#[tokio::test]
async fn browser_connects_microsoft_365_from_its_card_by_the_consent_page() {
    let house = House::start(Start { companies: 2, deals: 1, ..Start::default() }).await;
    let chrome = owner(&house).await;
    connects(&house, &chrome, "m365", "#accept").await;
    chrome.shoot("67-m365-connected").await;
    chrome.click("#open-m365").await;
    chrome.wait_for_text("#connection", "Active").await;
    let entry = house.wait_for_audit("action=activity.told").await;
    let summary = entry["summary"].as_str().expect("an entry has a summary");
    assert!(summary.ends_with("e-mail was read from Microsoft 365"), "{summary}");
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
    chrome.close().await;
}

/// Two hours ago, with a guest from the partner.
async fn a_meeting_was_held(house: &House) {
    let start = SystemClock.now() - SignedDuration::from_hours(2);
    let time = |at: Timestamp| json!({ "dateTime": at.to_string(), "timeZone": "Europe/Zurich" });
    let meeting = json!({
        "summary": "Quarterly review", "start": time(start), "end": time(start + SignedDuration::from_mins(30)),
        "attendees": [{ "email": "kim@lee-partners.example", "displayName": "Kim Lee" }] });
    let made = google(house, "meeting", meeting).await;
    let lines = json!([
        { "speaker": "Dana Whitfield", "text": "Good morning.", "at_s": 5 },
        { "speaker": "Kim Lee", "text": "Shall we talk about the renewal?", "at_s": 70 },
    ]);
    let held = json!({ "id": made["id"], "lines": lines, "transcript_delay_ms": 0 });
    google(house, "hold", held).await;
}

async fn google(house: &House, path: &str, body: Value) -> Value {
    let url = format!("{}/_sandbox/{path}", house.ready("sandboxes.google.url"));
    let answer = house.http().post(url).json(&body).send().await.expect("the sandbox answers");
    let (status, text) = (answer.status(), answer.text().await.expect("the answer has an end"));
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).expect("JSON")
}
