//! Channels and people, read by a bot.

use reqwest::Method;
use serde_json::{Value, json};

use super::{good, refused, slack};
use crate::client::read;

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect()
}

#[tokio::test]
async fn channels_are_listed_in_pages_that_may_be_short() {
    let slack = slack().await;
    let token = slack.install().await;
    let fields = [("exclude_archived", "true"), ("types", "public_channel,private_channel")];
    let all = good(slack.form("conversations.list", &token, &fields).await);
    assert_eq!(names(&all["channels"]), ["general", "deal-registrations", "partners"]);
    assert_eq!(all["response_metadata"]["next_cursor"], "");
    let (mut cursor, mut pages, mut found) = (String::new(), 0, Vec::new());
    loop {
        let fields = [("exclude_archived", "true"), ("limit", "2"), ("cursor", cursor.as_str())];
        let page = good(slack.form("conversations.list", &token, &fields).await);
        found.extend(names(&page["channels"]).into_iter().map(str::to_owned));
        pages += 1;
        cursor = page["response_metadata"]["next_cursor"].as_str().expect("a cursor").to_owned();
        if cursor.is_empty() {
            break;
        }
    }
    assert_eq!((pages, found.len()), (3, 3), "the last page holds private and archived ones only");
    refused(slack.form("conversations.list", &token, &[("cursor", "bm9uZQ==")]).await, "invalid_cursor");
    refused(slack.form("conversations.list", &token, &[("types", "planet")]).await, "invalid_types");
}

#[tokio::test]
async fn a_bot_sees_private_channels_only_as_a_member() {
    let slack = slack().await;
    let token = slack.install().await;
    let id = slack.channel("leadership").await;
    refused(slack.form("conversations.info", &token, &[("channel", &id)]).await, "channel_not_found");
    slack.control("invite", json!({"channel": "leadership"})).await;
    let seen = good(slack.form("conversations.info", &token, &[("channel", &id)]).await);
    assert_eq!((&seen["channel"]["is_private"], &seen["channel"]["is_member"]), (&json!(true), &json!(true)));
    let fields = [("types", "private_channel")];
    assert_eq!(
        names(&good(slack.form("conversations.list", &token, &fields).await)["channels"]),
        ["leadership"]
    );
    slack.control("kick", json!({"channel": id})).await;
    refused(slack.form("conversations.info", &token, &[("channel", &id)]).await, "channel_not_found");
}

#[tokio::test]
async fn people_are_found_by_id_and_address_and_listed() {
    let slack = slack().await;
    let token = slack.install().await;
    let found = good(slack.form("users.lookupByEmail", &token, &[("email", "Adam@northwind.example")]).await);
    let id = found["user"]["id"].as_str().expect("an id");
    let user = good(slack.form("users.info", &token, &[("user", id)]).await);
    assert_eq!(
        (&user["user"]["profile"]["email"], &user["user"]["tz"]),
        (&json!("adam@northwind.example"), &json!("Europe/London"))
    );
    refused(slack.form("users.info", &token, &[("user", "U1")]).await, "user_not_found");
    refused(
        slack.form("users.lookupByEmail", &token, &[("email", "leo@northwind.example")]).await,
        "users_not_found",
    );
    let page = good(slack.form("users.list", &token, &[("limit", "4")]).await);
    let cursor = page["response_metadata"]["next_cursor"].as_str().expect("a cursor");
    let rest = good(slack.form("users.list", &token, &[("limit", "4"), ("cursor", cursor)]).await);
    let gone = rest["members"].as_array().expect("members").iter().find(|one| one["name"] == "leo");
    assert_eq!(gone.expect("who left is listed")["deleted"], true);
    assert!(rest["members"].as_array().expect("members").iter().any(|one| one["is_bot"] == true));
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named() {
    let slack = slack().await;
    let code = slack.consent("users:read,channels:read").await;
    let body = slack.token(&[("code", &code), ("redirect_uri", super::BACK)]).await;
    let token = body["access_token"].as_str().expect("a token");
    let answer = slack.call("chat.postMessage", token, json!({"channel": "C1", "text": "x"})).await;
    assert_eq!(answer.header("x-oauth-scopes"), Some("channels:read,users:read"));
    let body = refused(answer, "missing_scope");
    assert_eq!(
        (&body["needed"], &body["provided"]),
        (&json!("chat:write"), &json!("channels:read,users:read"))
    );
    let private = slack.form("conversations.list", token, &[("types", "private_channel")]).await;
    assert_eq!(refused(private, "missing_scope")["needed"], "groups:read");
    let id = slack.user("mia").await;
    let user = good(slack.form("users.info", token, &[("user", &id)]).await);
    assert!(user["user"]["profile"]["email"].is_null(), "no scope, no address");
}

#[tokio::test]
async fn arguments_come_as_a_form_and_for_methods_that_write_as_json() {
    let slack = slack().await;
    let token = slack.install().await;
    let user = slack.user("mia").await;
    let url = format!("{}/api/users.info?user={user}&token={token}", slack.handle.url());
    good(read(slack.http.get(url).send().await.expect("an answer")).await);
    refused(slack.call("users.info", &token, json!({"user": user})).await, "invalid_arguments");
    let raw = async |kind: &str, body: &'static str| {
        let url = format!("{}/api/chat.postMessage", slack.handle.url());
        let request = slack.http.post(url).bearer_auth(&token).header("content-type", kind).body(body);
        read(request.send().await.expect("an answer")).await
    };
    refused(raw("application/json", "{").await, "invalid_json");
    refused(raw("application/json", "[]").await, "json_not_object");
    refused(raw("text/csv", "a,b").await, "invalid_post_type");
    refused(slack.form("auth.test", "", &[]).await, "not_authed");
    refused(slack.form("auth.test", "xoxb-nobody", &[]).await, "invalid_auth");
    assert_eq!(
        refused(slack.form("pins.add", &token, &[]).await, "unknown_method")["req_method"],
        "pins.add"
    );
    assert_eq!(slack.send(Method::GET, "/nowhere", None).await.status, 404);
}
