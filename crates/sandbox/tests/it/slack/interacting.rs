//! People click, dialogs open and are submitted, and the app is told.

use reqwest::Method;
use serde_json::{Value, json};

use super::app::{App, Plan, app};
use super::{Slack, good, reason_dialog, refused, registration, slack};
use crate::client::read;

/// A registration in a channel, of an app that listens.
struct Stage {
    slack: Slack,
    app: App,
    token: String,
    channel: String,
    ts: String,
}

async fn stage() -> Stage {
    let (slack, app) = (slack().await, app().await);
    slack.control("settings", json!({"interactivity_url": app.url})).await;
    let token = slack.install().await;
    let order = json!({"channel": "deal-registrations", "text": "A deal", "blocks": registration()});
    let posted = good(slack.call("chat.postMessage", &token, order).await);
    let text = |key: &str| posted[key].as_str().expect("text").to_owned();
    let (channel, ts) = (text("channel"), text("ts"));
    Stage { slack, app, token, channel, ts }
}

impl Stage {
    async fn click(&self, user: &str, action: &str) -> Value {
        let click = json!({"channel": self.channel, "ts": self.ts, "user": user, "action_id": action});
        self.slack.control("click", click).await["delivery"].clone()
    }

    async fn open(&self, view: Value) -> crate::client::Answer {
        let trigger = self.app.last().payload()["trigger_id"].clone();
        self.slack.call("views.open", &self.token, json!({"trigger_id": trigger, "view": view})).await
    }

    async fn views(&self) -> Value {
        self.slack.see("views").await["views"].clone()
    }
}

#[tokio::test]
async fn a_click_reaches_the_app_and_its_dialog_comes_back_filled_in() {
    let stage = stage().await;
    let delivery = stage.click("adam", "reject").await;
    assert_eq!(delivery["state"], "acknowledged", "{delivery}");
    assert!(delivery["attempts"][0]["took_ms"].as_f64().is_some_and(|took| took < 3_000.0));
    let told = stage.app.last().payload();
    let action = &told["actions"][0];
    assert_eq!(
        (&action["action_id"], &action["block_id"], &action["value"]),
        (&json!("reject"), &json!("decision"), &json!("dreg_1"))
    );
    assert_eq!(
        (&told["user"]["username"], &told["container"]["message_ts"]),
        (&json!("adam"), &json!(stage.ts))
    );
    assert_eq!(
        (&told["channel"]["name"], &told["message"]["ts"]),
        (&json!("deal-registrations"), &json!(stage.ts))
    );
    assert!(told["user"]["email"].is_null());
    let view = good(stage.open(reason_dialog()).await)["view"].clone();
    assert_eq!(view["private_metadata"], "dreg_1");
    let refusal = stage.slack.send(Method::POST, "/_sandbox/submit", Some(json!({"user": "adam"}))).await;
    assert_eq!(
        (refusal.status, &refusal.body["errors"]["why"]),
        (400, &json!("Please complete this required field."))
    );
    let filled = json!({"user": "adam", "values": {"reason": "We know them already"}});
    stage.app.plan(Plan::Answer(
        200,
        json!({"response_action": "errors", "errors": {"why": "Say more"}}).to_string(),
    ));
    stage.slack.control("submit", filled.clone()).await;
    assert_eq!(stage.views().await[0]["errors"], json!([["why", "Say more"]]));
    stage.slack.control("submit", filled).await;
    let told = stage.app.last().payload();
    assert_eq!(
        (&told["type"], &told["view"]["private_metadata"]),
        (&json!("view_submission"), &json!("dreg_1"))
    );
    assert_eq!(told["view"]["state"]["values"]["why"]["reason"]["value"], "We know them already");
    assert_eq!(stage.views().await, json!([]));
}

#[tokio::test]
async fn a_dialog_is_updated_covered_and_closed() {
    let stage = stage().await;
    stage.click("adam", "reject").await;
    let view = good(stage.open(reason_dialog()).await)["view"].clone();
    let mut other = reason_dialog();
    (other["title"]["text"], other["notify_on_close"]) = (json!("Sure?"), json!(true));
    let update = json!({"view_id": view["id"], "hash": "old", "view": other});
    refused(stage.slack.call("views.update", &stage.token, update).await, "hash_conflict");
    let update = json!({"view_id": view["id"], "hash": view["hash"], "view": other});
    let updated = good(stage.slack.call("views.update", &stage.token, update).await);
    assert_ne!(updated["view"]["hash"], view["hash"]);
    stage.click("adam", "reject").await;
    let trigger = stage.app.last().payload()["trigger_id"].clone();
    let push = json!({"trigger_id": trigger, "view": reason_dialog()});
    let pushed = good(stage.slack.call("views.push", &stage.token, push).await);
    assert_eq!(pushed["view"]["previous_view_id"], view["id"]);
    stage.slack.control("close", json!({"user": "adam"})).await;
    assert_eq!(stage.app.received().len(), 2, "nobody asked to be told of this one");
    stage.slack.control("close", json!({"user": "adam"})).await;
    assert_eq!(stage.app.last().payload()["type"], "view_closed");
    assert_eq!(stage.views().await, json!([]));
    for (action, views) in [("update", 1), ("push", 2), ("clear", 0)] {
        stage.click("mia", "reject").await;
        good(stage.open(reason_dialog()).await);
        stage
            .app
            .plan(Plan::Answer(200, json!({"response_action": action, "view": reason_dialog()}).to_string()));
        stage.slack.control("submit", json!({"user": "mia", "values": {"why": {"reason": "x"}}})).await;
        assert_eq!(stage.views().await.as_array().map(Vec::len), Some(views), "{action}");
    }
}

#[tokio::test]
async fn a_trigger_works_once_and_for_three_seconds() {
    let stage = stage().await;
    stage.click("adam", "reject").await;
    let mut wrong = reason_dialog();
    wrong["title"]["text"] = json!("far too long to be the title of a dialog");
    let body = refused(stage.open(wrong).await, "invalid_arguments");
    assert!(
        body["response_metadata"]["messages"].to_string().contains("json-pointer:/view/title/text"),
        "{body}"
    );
    good(stage.open(reason_dialog()).await);
    refused(stage.open(reason_dialog()).await, "exchanged_trigger_id");
    stage.click("adam", "reject").await;
    stage.slack.control("clock", json!({"advance_ms": 3_001})).await;
    refused(stage.open(reason_dialog()).await, "expired_trigger_id");
    let order = json!({"trigger_id": "1.2.3", "view": reason_dialog()});
    refused(stage.slack.call("views.open", &stage.token, order).await, "invalid_trigger_id");
}

#[tokio::test]
async fn a_response_url_works_five_times_for_half_an_hour() {
    let stage = stage().await;
    stage.click("adam", "approve").await;
    let url = stage.app.last().payload()["response_url"].as_str().expect("a URL").to_owned();
    let answer = async |url: &str, body: Value| {
        read(stage.slack.http.post(url).json(&body).send().await.expect("an answer")).await
    };
    assert_eq!(answer(&url, json!({"text": "Only you"})).await.body, "ok");
    let adam = stage.slack.user("adam").await;
    let seen = stage.slack.see(&format!("messages?only_for={adam}")).await;
    assert_eq!(seen["messages"][0]["text"], "Only you");
    answer(&url, json!({"text": "Everybody", "response_type": "in_channel"})).await.ok();
    answer(&url, json!({"text": "Approved", "replace_original": true})).await.ok();
    let original =
        stage.slack.see(&format!("messages?channel={}", stage.channel)).await["messages"][0].clone();
    assert_eq!(
        (&original["ts"], &original["text"], &original["blocks"]),
        (&json!(stage.ts), &json!("Approved"), &Value::Null)
    );
    answer(&url, json!({"delete_original": true})).await.ok();
    answer(&url, json!({"text": "five"})).await.ok();
    let sixth = answer(&url, json!({"text": "six"})).await;
    assert_eq!((sixth.status, &sixth.body["error"]), (404, &json!("used_url")));
    let order = json!({"channel": stage.channel, "text": "Again", "blocks": registration()});
    let posted = good(stage.slack.call("chat.postMessage", &stage.token, order).await);
    let click = json!({"channel": stage.channel, "ts": posted["ts"], "user": "adam", "action_id": "approve"});
    stage.slack.control("click", click).await;
    let url = stage.app.last().payload()["response_url"].as_str().expect("a URL").to_owned();
    stage.slack.control("clock", json!({"advance_ms": 1_800_001})).await;
    assert_eq!(answer(&url, json!({"text": "late"})).await.body["error"], "expired_url");
    let other = url.rsplit_once('/').expect("a path").0;
    assert_eq!(
        answer(&format!("{other}/guess"), json!({"text": "x"})).await.body["error"],
        "no_active_hooks"
    );
}

#[tokio::test]
async fn an_acknowledgement_that_comes_late_or_wrong_is_noted_and_nothing_is_repeated() {
    let stage = stage().await;
    stage.slack.control("settings", json!({"ack_limit_ms": 100})).await;
    stage.app.plan(Plan::Never);
    let late = stage.click("adam", "approve").await;
    assert_eq!((&late["state"], &late["attempts"][0]["reason"]), (&json!("failed"), &json!("http_timeout")));
    stage.app.plan(Plan::Answer(500, "broken".to_owned()));
    let broken = stage.click("adam", "approve").await;
    assert_eq!(
        (&broken["attempts"][0]["reason"], &broken["attempts"][0]["status"]),
        (&json!("http_error"), &json!(500))
    );
    stage
        .slack
        .control("settings", json!({"interactivity_url": "http://127.0.0.1:9/", "ack_limit_ms": 3_000}))
        .await;
    let nobody = stage.click("adam", "approve").await;
    assert_eq!(nobody["attempts"][0]["reason"], "connection_failed");
    let all = stage.slack.see("deliveries?kind=block_actions").await;
    let attempts = all["deliveries"]
        .as_array()
        .expect("deliveries")
        .iter()
        .map(|one| one["attempts"].as_array().map_or(0, Vec::len));
    assert_eq!(attempts.collect::<Vec<_>>(), [1, 1, 1]);
}

#[tokio::test]
async fn a_click_can_be_replayed_aged_and_forged() {
    let stage = stage().await;
    let id = stage.click("adam", "approve").await["id"].clone();
    let first = stage.app.last();
    stage.slack.control("redeliver", json!({"id": id})).await;
    let replayed = stage.app.last();
    for header in ["x-slack-signature", "x-slack-request-timestamp"] {
        assert_eq!(replayed.header(header), first.header(header));
    }
    assert_eq!(replayed.body, first.body);
    assert!(replayed.is_signed());
    stage.slack.control("redeliver", json!({"id": id, "age_s": 400})).await;
    let seconds = |text: &str| text.parse::<i64>().expect("seconds");
    let aged = stage.app.last();
    let age = seconds(replayed.header("x-slack-request-timestamp"))
        - seconds(aged.header("x-slack-request-timestamp"));
    assert!((380..=400).contains(&age) && aged.is_signed(), "{age}");
    let forged =
        stage.slack.control("redeliver", json!({"id": id, "forged": true, "body": "payload=%7B%7D"})).await;
    assert_eq!(forged["delivery"]["body"], "payload=%7B%7D");
    assert!(!stage.app.last().is_signed(), "another secret");
    stage.slack.control("redeliver", json!({"id": id, "body": "payload=%7B%7D"})).await;
    assert!(!stage.app.last().is_signed(), "another body");
    assert_eq!(stage.app.received().len(), 5);
}

#[tokio::test]
async fn nobody_clicks_what_they_cannot_see() {
    let stage = stage().await;
    let click = async |user: &str, action: &str, ts: &str| {
        let click = json!({"channel": stage.channel, "ts": ts, "user": user, "action_id": action});
        stage.slack.send(Method::POST, "/_sandbox/click", Some(click)).await.body["error"].clone()
    };
    assert_eq!(click("leo", "approve", &stage.ts).await, "user_not_found");
    assert_eq!(click("mia", "explode", &stage.ts).await, "action_not_found");
    assert_eq!(click("mia", "approve", "1.2").await, "message_not_found");
    stage.slack.control("invite", json!({"channel": "leadership"})).await;
    let order =
        json!({"channel": stage.slack.channel("leadership").await, "text": "x", "blocks": registration()});
    let posted = good(stage.slack.call("chat.postMessage", &stage.token, order).await);
    let hidden = json!({"channel": "leadership", "ts": posted["ts"], "user": "mia", "action_id": "approve"});
    let answer = stage.slack.send(Method::POST, "/_sandbox/click", Some(hidden)).await;
    assert_eq!((answer.status, &answer.body["error"]), (404, &json!("channel_not_found")));
    assert_eq!(stage.app.received().len(), 0);
}
