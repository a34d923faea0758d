//! How an app comes into a workspace, and out of it.

use reqwest::Method;
use sandbox::slack::Settings;
use serde_json::json;

use super::app::app;
use super::{BACK, SCOPES, good, refused, slack, slack_with};
use crate::client::eventually;

fn rotating() -> Settings {
    Settings { token_rotation: true, rate_limits: false, ..Settings::default() }
}

#[tokio::test]
async fn the_consent_page_names_workspaces_and_scopes_and_a_user_may_deny() {
    let slack = slack().await;
    let client = Settings::default().client_id;
    let page = format!(
        "/oauth/v2/authorize?client_id={client}&scope=chat:write,users:read&redirect_uri={BACK}&state=x"
    );
    let html = slack.send(Method::GET, &page, None).await.ok().to_string();
    for part in ["Northwind Trials", "Olivia Owner", "send messages", "users:read", "id=\\\"connect\\\""] {
        assert!(html.contains(part), "{part} is not in {html}");
    }
    assert!(!html.contains("Mia Member"), "only administrators install");
    let fields = [
        ("client_id", client.as_str()),
        ("scope", "chat:write"),
        ("redirect_uri", BACK),
        ("state", "x"),
        ("decision", "cancel"),
    ];
    let url = format!("{}/oauth/v2/authorize", slack.handle.url());
    let answer = slack.http.post(url).form(&fields).send().await.expect("an answer");
    assert_eq!(answer.headers()["location"], format!("{BACK}?error=access_denied&state=x"));
    for wrong in [
        "client_id=1.2&scope=chat:write",
        &format!("client_id={client}&scope=fly"),
        &format!("client_id={client}"),
    ] {
        let path = format!("/oauth/v2/authorize?{wrong}&redirect_uri={BACK}");
        assert_eq!(slack.send(Method::GET, &path, None).await.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn an_app_installs_with_a_code_that_works_once() {
    let slack = slack().await;
    let code = slack.consent(SCOPES).await;
    let body = slack.token(&[("code", &code), ("redirect_uri", BACK)]).await;
    assert_eq!((&body["ok"], &body["token_type"]), (&json!(true), &json!("bot")), "{body}");
    assert_eq!(body["team"], json!({"id": slack.handle.team_id(), "name": "Northwind"}));
    assert!(body["enterprise"].is_null() && body["expires_in"].is_null() && body["refresh_token"].is_null());
    assert_eq!(body["authed_user"]["id"].as_str(), Some(slack.user("olivia").await.as_str()));
    let token = body["access_token"].as_str().expect("a token");
    let who = good(slack.form("auth.test", token, &[]).await);
    assert_eq!((&who["team_id"], &who["user_id"]), (&body["team"]["id"], &body["bot_user_id"]));
    assert_eq!(slack.token(&[("code", &code), ("redirect_uri", BACK)]).await["error"], "code_already_used");
}

#[tokio::test]
async fn a_reinstallation_keeps_the_token_and_adds_scopes() {
    let slack = slack().await;
    let first = slack.consent("chat:write").await;
    let first = slack.token(&[("code", &first), ("redirect_uri", BACK)]).await;
    let second = slack.consent("users:read").await;
    let second = slack.token(&[("code", &second), ("redirect_uri", BACK)]).await;
    assert_eq!(first["access_token"], second["access_token"]);
    assert_eq!((&first["scope"], &second["scope"]), (&json!("chat:write"), &json!("chat:write,users:read")));
}

#[tokio::test]
async fn rotating_tokens_expire_and_refresh_once() {
    let slack = slack_with(rotating()).await;
    let code = slack.consent(SCOPES).await;
    let first = slack.token(&[("code", &code), ("redirect_uri", BACK)]).await;
    let (access, refresh) =
        (first["access_token"].as_str().expect("a token"), first["refresh_token"].as_str().expect("a token"));
    assert!(
        access.starts_with("xoxe.xoxb-1-") && refresh.starts_with("xoxe-1-") && first["expires_in"] == 43_200
    );
    assert_eq!(slack.control("expire_tokens", json!({})).await["expired_tokens"], 1);
    refused(slack.form("auth.test", access, &[]).await, "token_expired");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    let second = slack.token(&fields).await;
    let next = second["access_token"].as_str().expect("a token");
    assert!(good(slack.form("auth.test", next, &[]).await)["expires_in"].as_i64() > Some(43_000));
    assert_eq!(slack.token(&fields).await["error"], "invalid_refresh_token");
    let again = [
        ("grant_type", "refresh_token"),
        ("refresh_token", second["refresh_token"].as_str().expect("a token")),
    ];
    slack.token(&again).await["access_token"].as_str().expect("a third token");
    good(slack.form("auth.test", next, &[]).await);
}

#[tokio::test]
async fn a_standing_token_is_exchanged_for_a_rotating_one() {
    let slack = slack().await;
    let token = slack.install().await;
    let Settings { client_id, client_secret, .. } = Settings::default();
    let fields =
        [("client_id", client_id.as_str()), ("client_secret", client_secret.as_str()), ("token", &token)];
    refused(slack.form("oauth.v2.exchange", "", &fields).await, "token_rotation_not_enabled");
    slack.control("settings", json!({"token_rotation": true})).await;
    let body = good(slack.form("oauth.v2.exchange", "", &fields).await);
    good(slack.form("auth.test", body["access_token"].as_str().expect("a token"), &[]).await);
    refused(slack.form("auth.test", &token, &[]).await, "token_revoked");
}

#[tokio::test]
async fn wrong_clients_codes_and_addresses_are_refused() {
    let slack = slack().await;
    let wrong = [("client_id", "1.2"), ("client_secret", "x"), ("code", "x")];
    refused(slack.form("oauth.v2.access", "", &wrong).await, "invalid_client_id");
    let id = Settings::default().client_id;
    let wrong = [("client_id", id.as_str()), ("client_secret", "x"), ("code", "x")];
    refused(slack.form("oauth.v2.access", "", &wrong).await, "bad_client_secret");
    assert_eq!(slack.token(&[("code", "x")]).await["error"], "invalid_code");
    assert_eq!(slack.token(&[("grant_type", "password")]).await["error"], "invalid_grant_type");
    let code = slack.consent(SCOPES).await;
    assert_eq!(slack.token(&[("code", &code)]).await["error"], "bad_redirect_uri");
    let late = slack.consent(SCOPES).await;
    slack.control("clock", json!({"advance_ms": 601_000})).await;
    assert_eq!(slack.token(&[("code", &late), ("redirect_uri", BACK)]).await["error"], "invalid_code");
}

#[tokio::test]
async fn a_revoked_token_and_a_removed_app_are_told_apart() {
    let (slack, app) = (slack().await, app().await);
    slack.control("settings", json!({"events_url": app.url})).await;
    let told = || {
        app.received()
            .iter()
            .map(|one| one.json()["event"]["type"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let token = slack.install().await;
    assert_eq!(good(slack.form("auth.revoke", &token, &[("test", "1")]).await)["revoked"], false);
    assert_eq!(good(slack.form("auth.revoke", &token, &[]).await)["revoked"], true);
    refused(slack.form("auth.test", &token, &[]).await, "token_revoked");
    eventually("both are told", || told().len() == 2).await;
    let token = slack.install().await;
    assert_eq!(slack.control("uninstall", json!({})).await["ended_tokens"], 1);
    refused(slack.form("auth.test", &token, &[]).await, "account_inactive");
    eventually("both are told", || told().len() == 4).await;
    assert!(
        ["tokens_revoked", "app_uninstalled"].iter().all(|kind| told().contains(&Some((*kind).to_owned())))
    );
    let token = slack.install().await;
    assert_eq!(slack.control("revoke", json!({})).await["ended_tokens"], 1);
    refused(slack.form("auth.test", &token, &[]).await, "token_revoked");
    let token = slack.install().await;
    let Settings { client_id, client_secret, .. } = Settings::default();
    let fields = [("client_id", client_id.as_str()), ("client_secret", client_secret.as_str())];
    good(slack.form("apps.uninstall", &token, &fields).await);
    refused(slack.form("auth.test", &token, &[]).await, "account_inactive");
}
