//! Consent, codes, tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sandbox::microsoft::{Settings, TENANT_ID};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Cloud, NORA, cloud, cloud_with, refused, text};
use crate::client::Answer;

const AUTHORIZE: &str = "/common/oauth2/v2.0/authorize";
const TOKEN: &str = "/common/oauth2/v2.0/token";
const BACK: &str = "http://127.0.0.1:9/callback?of=accord";
const SCOPES: &str = "offline_access openid profile https://graph.microsoft.com/User.Read Mail.ReadWrite https://graph.microsoft.com/Mail.Send";

fn client() -> (String, String) {
    let Settings { client_id, client_secret, .. } = Settings::default();
    (client_id, client_secret)
}

/// What the app finds in the address it is called back at.
fn came_back(answer: &Answer) -> url::Url {
    assert_eq!(answer.status, 302, "{}", answer.body);
    answer.header("location").expect("an address").parse().expect("an address")
}

fn of(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

async fn decide(cloud: &Cloud, decision: &str, user: &str, scope: &str, more: &[(&str, &str)]) -> Answer {
    let (id, _) = client();
    let mut fields = vec![
        ("client_id", id.as_str()),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", scope),
        ("state", "s 1"),
        ("user", user),
        ("decision", decision),
    ];
    fields.extend(more);
    cloud.form(AUTHORIZE, &fields).await
}

async fn code(cloud: &Cloud, scope: &str) -> String {
    let back = came_back(&decide(cloud, "accept", NORA, scope, &[]).await);
    assert_eq!((of(&back, "state").as_deref(), of(&back, "of").as_deref()), (Some("s 1"), Some("accord")));
    of(&back, "code").expect("a code")
}

async fn ask(cloud: &Cloud, fields: &[(&str, &str)]) -> Answer {
    let (id, secret) = client();
    let mut all = vec![("client_id", id.as_str()), ("client_secret", secret.as_str())];
    all.extend(fields);
    cloud.form(TOKEN, &all).await
}

async fn redeem(cloud: &Cloud, code: &str) -> Answer {
    ask(cloud, &[("grant_type", "authorization_code"), ("code", code), ("redirect_uri", BACK)]).await
}

async fn refresh(cloud: &Cloud, token: &str) -> Answer {
    ask(cloud, &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

/// Tokens of a user who agreed.
async fn connected(cloud: &Cloud) -> Value {
    redeem(cloud, &code(cloud, SCOPES).await).await.ok()
}

#[track_caller]
fn refused_with(answer: &Answer, status: u16, error: &str, code: u64) {
    let body = &answer.body;
    assert_eq!((answer.status, body["error"].as_str()), (status, Some(error)), "{body}");
    assert_eq!(body["error_codes"][0].as_u64(), Some(code), "{body}");
    assert!(
        body["error_description"].as_str().is_some_and(|text| text.starts_with(&format!("AADSTS{code}: ")))
    );
}

async fn whoami(cloud: &Cloud, token: &str) -> Answer {
    cloud.send(reqwest::Method::GET, "me", token, &[], None).await
}

#[tokio::test]
async fn a_user_agrees_and_the_app_reads_their_mailbox() {
    let cloud = cloud().await;
    let (id, _) = client();
    let query = [
        ("client_id", id.as_str()),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", SCOPES),
        ("state", "\"><script>"),
        ("login_hint", "jonas.weber@harborline.example"),
    ];
    let page = cloud
        .http
        .get(format!("{}{AUTHORIZE}", cloud.handle.url()))
        .query(&query)
        .send()
        .await
        .expect("a page");
    let page = page.text().await.expect("a page");
    assert!(page.contains("Nora Field") && page.contains("read and write your mail"));
    assert!(!page.contains("<script>"), "what an app says is not markup");
    let tokens = connected(&cloud).await;
    assert_eq!(tokens["scope"], "Mail.ReadWrite Mail.Send User.Read openid profile");
    assert!((3_600..5_400).contains(&tokens["expires_in"].as_i64().expect("seconds")));
    let me = whoami(&cloud, &text(&tokens, "access_token")).await.ok();
    assert_eq!((me["mail"].as_str(), me["displayName"].as_str()), (Some(NORA), Some("Nora Field")));
    let claims = text(&tokens, "id_token").split('.').nth(1).map(str::to_owned).expect("claims");
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("text")).expect("claims");
    assert_eq!((&claims["tid"], &claims["oid"]), (&json!(TENANT_ID), &me["id"]));
}

#[tokio::test]
async fn a_code_works_once_within_ten_minutes_for_its_address_and_verifier() {
    let cloud = cloud().await;
    let first = code(&cloud, SCOPES).await;
    redeem(&cloud, &first).await.ok();
    refused_with(&redeem(&cloud, &first).await, 400, "invalid_grant", 54_005);
    refused_with(&redeem(&cloud, "1.never").await, 400, "invalid_grant", 70_000);
    let late = code(&cloud, SCOPES).await;
    cloud.handle.advance_clock(601_000);
    refused_with(&redeem(&cloud, &late).await, 400, "invalid_grant", 70_008);
    let elsewhere = code(&cloud, SCOPES).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", elsewhere.as_str()),
        ("redirect_uri", "http://127.0.0.1:9/"),
    ];
    refused_with(&ask(&cloud, &fields).await, 400, "invalid_request", 50_011);

    let verifier = "a-verifier-of-forty-three-characters-or-more-1";
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier));
    for (sent, good) in [("wrong", false), (verifier, true)] {
        let pkce = [("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")];
        let back = came_back(&decide(&cloud, "accept", NORA, SCOPES, &pkce).await);
        let code = of(&back, "code").expect("a code");
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &code),
            ("redirect_uri", BACK),
            ("code_verifier", sent),
        ];
        let answer = ask(&cloud, &fields).await;
        if good {
            answer.ok();
        } else {
            refused_with(&answer, 400, "invalid_grant", 50_148);
        }
    }
}

#[tokio::test]
async fn a_refresh_gives_a_new_token_and_the_old_one_keeps_working_for_its_grace() {
    let cloud = cloud().await;
    let old = text(&connected(&cloud).await, "refresh_token");
    let new = text(&refresh(&cloud, &old).await.ok(), "refresh_token");
    assert_ne!(old, new);
    cloud.handle.advance_clock(3_600_000);
    refresh(&cloud, &old).await.ok();
    cloud.control("settings", json!({"refresh_grace_s": 60}));
    refused_with(&refresh(&cloud, &old).await, 400, "invalid_grant", 70_000);
    refresh(&cloud, &new).await.ok();
    cloud.control("settings", json!({"refresh_grace_s": null}));
    refresh(&cloud, &old).await.ok();
    cloud.handle.advance_clock(91 * 86_400_000);
    refused_with(&refresh(&cloud, &new).await, 400, "invalid_grant", 700_082);
}

#[tokio::test]
async fn without_offline_access_there_is_no_refresh_token() {
    let cloud = cloud().await;
    let tokens = redeem(&cloud, &code(&cloud, "User.Read").await).await.ok();
    assert!(tokens.get("refresh_token").is_none() && tokens.get("id_token").is_none(), "{tokens}");
}

#[tokio::test]
async fn wrong_requests_are_refused_with_their_numbers() {
    let cloud = cloud().await;
    let (id, secret) = client();
    let fields = |id, secret| {
        [
            ("grant_type", "refresh_token"),
            ("refresh_token", "x"),
            ("client_id", id),
            ("client_secret", secret),
        ]
    };
    refused_with(&cloud.form(TOKEN, &fields(id.as_str(), "no")).await, 401, "invalid_client", 7_000_215);
    refused_with(
        &cloud.form(TOKEN, &fields("no", secret.as_str())).await,
        400,
        "unauthorized_client",
        700_016,
    );
    let other =
        cloud.form("/elsewhere.example/oauth2/v2.0/token", &fields(id.as_str(), secret.as_str())).await;
    refused_with(&other, 400, "invalid_request", 90_002);
    refused_with(&ask(&cloud, &[("grant_type", "password")]).await, 400, "unsupported_grant_type", 70_003);
    let basic = cloud.http.post(format!("{}/{TENANT_ID}/oauth2/v2.0/token", cloud.handle.url()));
    let basic =
        basic.basic_auth(&id, Some(&secret)).form(&[("grant_type", "refresh_token"), ("refresh_token", "x")]);
    let answer = crate::client::read(basic.send().await.expect("an answer")).await;
    refused_with(&answer, 400, "invalid_grant", 70_000);

    for (field, value) in [("client_id", "another"), ("redirect_uri", "javascript:alert(1)")] {
        let query = [
            ("response_type", "code"),
            ("scope", SCOPES),
            ("client_id", id.as_str()),
            ("redirect_uri", BACK),
        ]
        .map(|(key, given)| (key, if key == field { value } else { given }));
        let url = format!("{}{AUTHORIZE}", cloud.handle.url());
        let answer = cloud.http.get(url).query(&query).send().await.expect("an answer");
        assert_eq!(answer.status(), 400, "a wrong {field} is a page, never a redirect");
    }
    let back = came_back(&decide(&cloud, "accept", NORA, "Files.Read", &[]).await);
    assert_eq!(of(&back, "error").as_deref(), Some("invalid_scope"));
    let back = came_back(&decide(&cloud, "accept", NORA, SCOPES, &[("prompt", "none")]).await);
    assert_eq!(of(&back, "error").as_deref(), Some("interaction_required"));
}

#[tokio::test]
async fn a_user_who_cancels_sends_the_app_an_error() {
    let cloud = cloud().await;
    let back = came_back(&decide(&cloud, "cancel", NORA, SCOPES, &[]).await);
    assert_eq!(
        (of(&back, "error").as_deref(), of(&back, "state").as_deref()),
        (Some("access_denied"), Some("s 1"))
    );
    assert!(of(&back, "error_description").is_some_and(|text| text.starts_with("AADSTS65004")));
}

#[tokio::test]
async fn users_may_have_to_wait_for_an_administrator() {
    let cloud = cloud().await;
    cloud.control("settings", json!({"admin_consent_required": true}));
    let back = came_back(&decide(&cloud, "accept", NORA, SCOPES, &[]).await);
    assert!(of(&back, "error_description").is_some_and(|text| text.starts_with("AADSTS90094")), "{back}");
    let (id, _) = client();
    let path = format!("/{TENANT_ID}/v2.0/adminconsent");
    let page = cloud
        .get(&format!("{path}?client_id={id}&redirect_uri=http://127.0.0.1:9/admin&scope=Mail.Read"))
        .await;
    assert!(page.body.as_str().is_some_and(|page| page.contains("review for your organization")));
    let fields = |decision| {
        [
            ("client_id", id.as_str()),
            ("redirect_uri", "http://127.0.0.1:9/admin"),
            ("scope", ".default"),
            ("decision", decision),
        ]
    };
    let back = came_back(&cloud.form(&path, &fields("cancel")).await);
    assert_eq!(of(&back, "error").as_deref(), Some("access_denied"));
    let back = came_back(&cloud.form(&path, &fields("accept")).await);
    assert_eq!(
        (of(&back, "admin_consent").as_deref(), of(&back, "tenant").as_deref()),
        (Some("True"), Some(TENANT_ID))
    );
    connected(&cloud).await;
}

#[tokio::test]
async fn consent_that_is_taken_back_ends_every_token() {
    let cloud = cloud().await;
    let tokens = connected(&cloud).await;
    cloud.control("revoke", json!({ "mailbox": NORA }));
    refused(&whoami(&cloud, &text(&tokens, "access_token")).await, 401, "InvalidAuthenticationToken");
    let answer = refresh(&cloud, &text(&tokens, "refresh_token")).await;
    refused_with(&answer, 400, "invalid_grant", 65_001);
    assert_eq!(answer.body["suberror"], "consent_required");

    let again = connected(&cloud).await;
    let token = text(&again, "access_token");
    cloud.send(reqwest::Method::POST, "me/revokeSignInSessions", &token, &[], Some(json!({}))).await.ok();
    refused_with(&refresh(&cloud, &text(&again, "refresh_token")).await, 400, "invalid_grant", 50_173);
}

#[tokio::test]
async fn what_an_administrator_does_to_a_user_ends_their_tokens() {
    let cloud = cloud().await;
    let reset = text(&connected(&cloud).await, "refresh_token");
    cloud.control("user", json!({"mailbox": NORA, "password_reset": true}));
    refused_with(&refresh(&cloud, &reset).await, 400, "invalid_grant", 50_173);
    let disabled = text(&connected(&cloud).await, "refresh_token");
    cloud.control("user", json!({"mailbox": NORA, "disabled": true}));
    refused_with(&refresh(&cloud, &disabled).await, 400, "invalid_grant", 50_057);
    refused(&cloud.get("me").await, 401, "InvalidAuthenticationToken");
    assert_eq!(decide(&cloud, "accept", NORA, SCOPES, &[]).await.status, 400);
}

#[tokio::test]
async fn tokens_expire_by_the_clock_and_on_demand() {
    let cloud = cloud_with(Settings { access_token_s: Some(600), ..Settings::default() }).await;
    let tokens = connected(&cloud).await;
    let token = text(&tokens, "access_token");
    assert_eq!(tokens["expires_in"], 600);
    whoami(&cloud, &token).await.ok();
    cloud.handle.advance_clock(600_000);
    let message = refused(&whoami(&cloud, &token).await, 401, "InvalidAuthenticationToken");
    assert!(message.contains("expired"), "{message}");
    let tokens = refresh(&cloud, &text(&tokens, "refresh_token")).await.ok();
    cloud.control("expire_tokens", json!({}));
    refused(&whoami(&cloud, &text(&tokens, "access_token")).await, 401, "InvalidAuthenticationToken");
    cloud.control("expire_tokens", json!({"kind": "refresh"}));
    refused_with(&refresh(&cloud, &text(&tokens, "refresh_token")).await, 400, "invalid_grant", 700_082);
    refused(&whoami(&cloud, "").await, 401, "InvalidAuthenticationToken");
    refused(&whoami(&cloud, "made-up").await, 401, "InvalidAuthenticationToken");
}

#[tokio::test]
async fn sign_in_can_need_a_person_again() {
    let cloud = cloud().await;
    let token = text(&connected(&cloud).await, "refresh_token");
    let fault = |code: u32| json!({"match": {"path_prefix": "/common/oauth2"}, "kind": "aadsts", "code": code, "times": 1});
    for (code, status, error) in [
        (50_076, 400, "interaction_required"),
        (53_003, 400, "invalid_grant"),
        (90_033, 503, "temporarily_unavailable"),
        (7_000_222, 401, "invalid_client"),
    ] {
        cloud.control("faults", fault(code));
        refused_with(&refresh(&cloud, &token).await, status, error, code.into());
    }
    refresh(&cloud, &token).await.ok();
}

#[tokio::test]
async fn scopes_open_what_they_name_and_no_more() {
    let cloud = cloud().await;
    let mail = cloud.arrives("ada@outside.example", "Hello");
    let path = format!("me/messages/{}", text(&mail, "id"));
    let get = reqwest::Method::GET;
    let token_for =
        async |scope: &str| text(&redeem(&cloud, &code(&cloud, scope).await).await.ok(), "access_token");
    let none = token_for("User.Read").await;
    refused(&cloud.send(get.clone(), &path, &none, &[], None).await, 403, "ErrorAccessDenied");
    let basic = token_for("Mail.ReadBasic").await;
    let envelope = cloud.send(get.clone(), &path, &basic, &[], None).await.ok();
    assert!(
        envelope.get("body").is_none()
            && envelope.get("bodyPreview").is_none()
            && envelope["subject"] == "Hello"
    );
    let reader = token_for("Mail.Read").await;
    assert_eq!(cloud.send(get, &path, &reader, &[], None).await.ok()["body"]["content"], "Hello");
    let post = reqwest::Method::POST;
    refused(
        &cloud.send(post.clone(), "me/messages", &reader, &[], Some(json!({}))).await,
        403,
        "ErrorAccessDenied",
    );
    let mail = json!({"message": {"toRecipients": [{"emailAddress": {"address": "a@b.example"}}]}});
    let writer = token_for("Mail.ReadWrite").await;
    refused(
        &cloud.send(post.clone(), "me/sendMail", &writer, &[], Some(mail.clone())).await,
        403,
        "ErrorAccessDenied",
    );
    let sender = token_for("Mail.Send").await;
    assert_eq!(cloud.send(post, "me/sendMail", &sender, &[], Some(mail)).await.status, 202);
    cloud.control("settings", json!({"scopes_granted": ["User.Read"]}));
    let tokens = redeem(&cloud, &code(&cloud, SCOPES).await).await.ok();
    assert_eq!(tokens["scope"], "User.Read");
}

#[tokio::test]
async fn discovery_leads_to_the_endpoints() {
    let cloud = cloud().await;
    let found = cloud.get("/common/v2.0/.well-known/openid-configuration").await.ok();
    assert_eq!(found["token_endpoint"], format!("{}{TOKEN}", cloud.handle.url()));
    assert_eq!(cloud.get("/nowhere/v2.0/.well-known/openid-configuration").await.status, 400);
}
