//! What a test or a demo does from outside the vendor's API.

use reqwest::Method;
use sandbox::slack::Settings;
use serde_json::{Value, json};

use super::{good, refused, slack, slack_with};

#[tokio::test]
async fn people_come_change_and_leave_and_channels_are_made() {
    let slack = slack().await;
    assert_eq!(slack.see("health").await["teams"][0], slack.handle.team_id());
    let token = slack.install().await;
    let made = slack
        .control(
            "user",
            json!({"real_name": "Paula Partner", "email": "paula@bluefin.example", "tz": "Asia/Tokyo"}),
        )
        .await;
    let id = made["user"]["id"].as_str().expect("an id").to_owned();
    let found = good(slack.form("users.lookupByEmail", &token, &[("email", "paula@bluefin.example")]).await);
    assert_eq!((&found["user"]["id"], &found["user"]["name"]), (&json!(id), &json!("paula")));
    slack.control("user", json!({"id": id, "home_team": "T0ELSEWHERE", "email": ""})).await;
    let user = good(slack.form("users.info", &token, &[("user", &id)]).await);
    assert_eq!(
        (&user["user"]["team_id"], &user["user"]["profile"]["email"]),
        (&json!("T0ELSEWHERE"), &Value::Null)
    );
    slack.control("user", json!({"id": id, "deleted": true})).await;
    assert_eq!(good(slack.form("users.info", &token, &[("user", &id)]).await)["user"]["deleted"], true);
    let channel =
        slack.control("channel", json!({"name": "secret-deals", "private": true, "with_app": true})).await;
    assert_eq!(
        (&channel["channel"]["is_private"], &channel["channel"]["is_member"]),
        (&json!(true), &json!(true))
    );
    slack.control("channel", json!({"id": channel["channel"]["id"], "archived": true})).await;
    let post = slack
        .call("chat.postMessage", &token, json!({"channel": channel["channel"]["id"], "text": "x"}))
        .await;
    refused(post, "is_archived");
    for wrong in [json!({}), json!({"id": "U1"}), json!({"real_name": "x", "shoe_size": 44})] {
        assert!(slack.send(Method::POST, "/_sandbox/user", Some(wrong)).await.status >= 400);
    }
}

#[tokio::test]
async fn what_people_say_is_read_and_waited_for() {
    let slack = slack().await;
    let wait = slack.see("wait?channel=general&contains=hello");
    let said = async {
        slack.control("post", json!({"channel": "general", "user": "mia", "text": "other"})).await;
        slack.control("post", json!({"channel": "general", "user": "mia", "text": "well, hello"})).await
    };
    let (found, said) = tokio::join!(wait, said);
    assert_eq!(
        (&found["messages"][0]["ts"], &found["messages"][0]["user"]),
        (&said["ts"], &said["message"]["user"])
    );
    assert_eq!(slack.see("messages?channel=general").await["messages"].as_array().map(Vec::len), Some(2));
    let in_process = slack.handle.messages("general").await.expect("messages");
    assert_eq!(in_process["messages"][1]["text"], "well, hello");
    let never = slack.send(Method::GET, "/_sandbox/wait?contains=never&timeout_ms=20", None).await;
    assert_eq!(never.status, 404);
}

#[tokio::test]
async fn settings_are_turned_by_name_and_calls_remembered() {
    let slack = slack().await;
    let all =
        slack.control("settings", json!({"message_burst": 5, "events_url": "http://127.0.0.1:9/e"})).await;
    assert_eq!((&all["message_burst"], &all["events_url"]), (&json!(5), &json!("http://127.0.0.1:9/e")));
    assert!(all.to_string().find("secret").is_none(), "{all}");
    assert_eq!(slack.control("settings", json!({"events_url": ""})).await["events_url"], Value::Null);
    assert_eq!(slack.send(Method::POST, "/_sandbox/settings", Some(json!({"burst": 1}))).await.status, 400);
    assert_eq!(
        slack.send(Method::POST, "/_sandbox/clock", Some(json!({"advance_ms": -1}))).await.status,
        400
    );
    slack.form("auth.test", "xoxb-nobody", &[]).await;
    let calls = slack.see("calls").await;
    assert_eq!((&calls["total"], &calls["last"][0]["error"]), (&json!(1), &json!("invalid_auth")));
    assert_eq!(slack.send(Method::DELETE, "/_sandbox/calls", None).await.status, 204);
    assert_eq!(slack.handle.calls()["total"], 0);
}

#[tokio::test]
async fn a_restart_resumes_with_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let state_file = Some(folder.path().join("slack.json"));
    let settings = || Settings { state_file: state_file.clone(), rate_limits: false, ..Settings::default() };
    let slack = slack_with(settings()).await;
    let token = slack.install().await;
    let posted =
        good(slack.call("chat.postMessage", &token, json!({"channel": "partners", "text": "first"})).await);
    let order = json!({"channel": posted["channel"], "ts": posted["ts"], "text": "changed"});
    good(slack.call("chat.update", &token, order).await);
    slack.control("user", json!({"real_name": "Paula Partner"})).await;
    slack.control("clock", json!({"advance_ms": 60_000})).await;
    let (before, tool) = (slack.see("workspace").await, slack.handle.access_token().to_owned());
    // Not put away: what was answered is kept all the same.
    let slack = slack_with(settings()).await;
    assert_eq!((slack.see("workspace").await, slack.handle.access_token()), (before.clone(), tool.as_str()));
    slack.handle.shutdown().await;
    let slack = slack_with(settings()).await;
    assert_eq!(slack.see("workspace").await, before);
    let messages = slack.see("messages?channel=partners").await;
    assert_eq!(
        (messages["messages"].as_array().map(Vec::len), &messages["messages"][0]["text"]),
        (Some(1), &json!("changed"))
    );
    good(slack.form("auth.test", &token, &[]).await);
    let next =
        good(slack.call("chat.postMessage", &token, json!({"channel": "partners", "text": "second"})).await);
    assert!(next["ts"].as_str() > posted["ts"].as_str());
}
