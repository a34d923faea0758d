//! OAuth.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use sandbox::salesforce::{Environment, Settings};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::{Force, V, force, force_with, refused};
use crate::client::Answer;

const BACK: &str = "http://127.0.0.1:9/callback";
const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters-0123456789";
const TOKEN: &str = "/services/oauth2/token";

fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

async fn decide(force: &Force, decision: &str, scope: &str) -> url::Url {
    let (settings, challenge) = (Settings::default(), challenge());
    let fields = [
        ("response_type", "code"),
        ("client_id", settings.client_id.as_str()),
        ("redirect_uri", BACK),
        ("scope", scope),
        ("state", "st&te"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
        ("decision", decision),
    ];
    let answer = force.form("/services/oauth2/authorize", &fields).await;
    assert_eq!(answer.status, 302, "{}", answer.body);
    answer.header("location").expect("a redirect").parse().expect("an address")
}

fn parameter(url: &url::Url, name: &str) -> String {
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}

async fn code(force: &Force) -> String {
    parameter(&decide(force, "allow", "api id refresh_token").await, "code")
}

async fn exchange(force: &Force, code: &str, verifier: &str) -> Answer {
    let settings = Settings::default();
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("client_id", settings.client_id.as_str()),
        ("client_secret", settings.client_secret.as_str()),
        ("redirect_uri", BACK),
        ("code_verifier", verifier),
    ];
    force.form(TOKEN, &fields).await
}

async fn connect(force: &Force) -> Value {
    exchange(force, &code(force).await, VERIFIER).await.ok()
}

async fn refresh(force: &Force, token: &str) -> Answer {
    let settings = Settings::default();
    let fields = [
        ("grant_type", "refresh_token"),
        ("refresh_token", token),
        ("client_id", settings.client_id.as_str()),
        ("client_secret", settings.client_secret.as_str()),
    ];
    force.form(TOKEN, &fields).await
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().unwrap_or_else(|| panic!("{key} in {body}"))
}

async fn call(force: &Force, token: &str) -> Answer {
    force.send(Method::GET, "limits", token, &[], None).await
}

#[track_caller]
fn oauth_error(answer: &Answer, error: &str, description: &str) {
    let expected = json!({"error": error, "error_description": description});
    assert_eq!((answer.status, &answer.body), (400, &expected));
}

#[tokio::test]
async fn an_app_connects_with_pkce_and_calls_the_org() {
    let force = force().await;
    let back = decide(&force, "allow", "api id refresh_token openid").await;
    assert_eq!(parameter(&back, "state"), "st&te");
    let code = parameter(&back, "code");
    assert!(code.ends_with("==") && back.as_str().contains("%3D%3D"), "{back}");
    let body = exchange(&force, &code, VERIFIER).await.ok();
    assert_eq!(text(&body, "token_type"), "Bearer");
    assert_eq!(text(&body, "instance_url"), force.handle.url());
    assert!(body.get("expires_in").is_none());
    let org = force.handle.organization_id();
    assert!(text(&body, "access_token").starts_with(&format!("{}!", &org[..15])));
    let id: Vec<&str> = text(&body, "id").rsplit('/').collect();
    assert_eq!((id[1], &id[0][..3], org.len()), (org, "005", 18));
    assert!(text(&body, "issued_at").parse::<u64>().expect("milliseconds") > 1_600_000_000_000);
    assert_eq!(text(&body, "id_token").split('.').count(), 3);
    assert_eq!(call(&force, text(&body, "access_token")).await.status, 200);
}

#[tokio::test]
async fn the_consent_page_says_who_and_what_and_a_user_may_deny() {
    let force = force().await;
    let (settings, challenge) = (Settings::default(), challenge());
    let url = format!("{}/services/oauth2/authorize", force.handle.url());
    let query = [
        ("response_type", "code"),
        ("client_id", settings.client_id.as_str()),
        ("redirect_uri", BACK),
        ("scope", "api refresh_token"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let page = force.http.get(&url).query(&query).send().await.expect("a page").text().await.expect("text");
    for words in
        ["login.salesforce.com", "Harborline Systems", "manage user data via APIs", "Avery Lindqvist"]
    {
        assert!(page.contains(words), "{words} is not on {page}");
    }
    let denied = decide(&force, "deny", "api").await;
    assert_eq!(parameter(&denied, "error"), "access_denied");
    assert_eq!(parameter(&denied, "error_description"), "end-user denied authorization");
    assert_eq!(parameter(&denied, "state"), "st&te");
    let no_pkce = force.http.get(&url).query(&query[..4]).send().await.expect("an answer");
    let back: url::Url = no_pkce.headers()["location"].to_str().expect("text").parse().expect("an address");
    assert_eq!(parameter(&back, "error"), "invalid_request");
    assert_eq!(parameter(&decide(&force, "allow", "api everything").await, "error"), "invalid_scope");
    let other = force.http.get(&url).query(&[("client_id", "nobody"), ("redirect_uri", BACK)]).send().await;
    assert_eq!(other.expect("an answer").status(), 400);
}

#[tokio::test]
async fn a_code_works_once_for_fifteen_minutes_and_with_its_verifier() {
    let force = force().await;
    let first = code(&force).await;
    oauth_error(&exchange(&force, &first, "another").await, "invalid_grant", "invalid code verifier");
    let second = code(&force).await;
    exchange(&force, &second, VERIFIER).await.ok();
    oauth_error(&exchange(&force, &second, VERIFIER).await, "invalid_grant", "invalid authorization code");
    let late = code(&force).await;
    force.handle.advance_clock(15 * 60_000);
    oauth_error(&exchange(&force, &late, VERIFIER).await, "invalid_grant", "expired authorization code");
}

#[tokio::test]
async fn wrong_clients_and_grants_are_refused_in_the_vendors_words() {
    let force = force().await;
    let settings = Settings::default();
    let ask = |fields: Vec<(&'static str, String)>| {
        let force = &force;
        async move {
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(key, value)| (*key, value.as_str())).collect();
            force.form(TOKEN, &fields).await
        }
    };
    let id = ("client_id", settings.client_id.clone());
    let secret = ("client_secret", settings.client_secret.clone());
    let grant = ("grant_type", "authorization_code".to_owned());
    let unknown = ask(vec![grant.clone(), ("client_id", "x".into())]).await;
    oauth_error(&unknown, "invalid_client_id", "client identifier invalid");
    let wrong = ask(vec![grant.clone(), id.clone(), ("client_secret", "x".into())]).await;
    oauth_error(&wrong, "invalid_client", "invalid client credentials");
    let odd = ask(vec![("grant_type", "magic".into()), id.clone(), secret.clone()]).await;
    oauth_error(&odd, "unsupported_grant_type", "grant type not supported");
    let elsewhere = ask(vec![
        grant,
        id,
        secret,
        ("code", code(&force).await),
        ("redirect_uri", "http://x.example/".into()),
    ]);
    oauth_error(&elsewhere.await, "redirect_uri_mismatch", "redirect_uri must match configuration");
    // Client credentials may come in the Authorization header.
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", &code(&force).await),
        ("redirect_uri", BACK),
        ("code_verifier", VERIFIER),
    ];
    let request = force.http.post(format!("{}{TOKEN}", force.handle.url())).form(&fields);
    let request = request.basic_auth(&settings.client_id, Some(&settings.client_secret));
    assert_eq!(request.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn with_rotation_a_reused_refresh_token_ends_the_grant_and_its_sessions() {
    let force = force().await;
    let first = connect(&force).await;
    let second = refresh(&force, text(&first, "refresh_token")).await.ok();
    assert_ne!(text(&second, "refresh_token"), text(&first, "refresh_token"));
    assert_eq!(
        call(&force, text(&first, "access_token")).await.status,
        200,
        "a refresh leaves sessions alive"
    );
    let reuse = refresh(&force, text(&first, "refresh_token")).await;
    oauth_error(&reuse, "invalid_grant", "expired access/refresh token");
    let newest = refresh(&force, text(&second, "refresh_token")).await;
    oauth_error(&newest, "invalid_grant", "expired access/refresh token");
    for body in [&first, &second] {
        refused(&call(&force, text(body, "access_token")).await, 401, "INVALID_SESSION_ID");
    }
}

#[tokio::test]
async fn without_rotation_the_refresh_token_stays_and_is_not_repeated() {
    let force = force_with(Settings { rotate_refresh_token: false, ..Settings::default() }).await;
    let first = connect(&force).await;
    for _ in 0..2 {
        let again = refresh(&force, text(&first, "refresh_token")).await.ok();
        assert!(again.get("refresh_token").is_none(), "{again}");
        assert_eq!(text(&again, "instance_url"), force.handle.url());
    }
    let without =
        exchange(&force, &parameter(&decide(&force, "allow", "api").await, "code"), VERIFIER).await.ok();
    assert!(without.get("refresh_token").is_none(), "{without}");
}

#[tokio::test]
async fn a_session_ends_when_it_is_not_used_and_only_a_401_tells() {
    let force = force().await;
    let body = connect(&force).await;
    let token = text(&body, "access_token");
    for _ in 0..3 {
        force.handle.advance_clock(90 * 60_000);
        assert_eq!(call(&force, token).await.status, 200, "using it keeps it alive");
    }
    force.handle.advance_clock(121 * 60_000);
    let message = refused(&call(&force, token).await, 401, "INVALID_SESSION_ID");
    assert_eq!(message, "Session expired or invalid");
    let fresh = refresh(&force, text(&body, "refresh_token")).await.ok();
    assert_eq!(call(&force, text(&fresh, "access_token")).await.status, 200);
    assert_eq!(force.handle.expire_tokens(), 2);
    refused(&call(&force, text(&fresh, "access_token")).await, 401, "INVALID_SESSION_ID");
}

#[tokio::test]
async fn revocation_introspection_and_identity_agree() {
    let force = force().await;
    let settings = Settings::default();
    let body = connect(&force).await;
    let (access, long) = (text(&body, "access_token"), text(&body, "refresh_token"));
    let known =
        [("token", access), ("client_id", &settings.client_id), ("client_secret", &settings.client_secret)];
    let told = force.form("/services/oauth2/introspect", &known).await.ok();
    assert_eq!(
        (&told["active"], &told["username"]),
        (&json!(true), &json!("avery.lindqvist@harborline.example"))
    );
    let info = force.send(Method::GET, "/services/oauth2/userinfo", access, &[], None).await.ok();
    assert_eq!(info["organization_id"], json!(force.handle.organization_id()));
    let identity = url::Url::parse(text(&body, "id")).expect("an address").path().to_owned();
    let who = force.send(Method::GET, &identity, access, &[], None).await.ok();
    assert_eq!(who["username"], told["username"]);
    assert!(text(&who["urls"], "rest").ends_with("/services/data/v{version}/"));
    let missing = force.send(Method::GET, &identity, "", &[], None).await;
    assert_eq!((missing.status, missing.body), (403, json!("Missing_OAuth_Token")));
    let other = identity.replace(force.handle.organization_id(), "00Dx0000000BV7zEAG");
    let other = force.send(Method::GET, &other, access, &[], None).await;
    assert_eq!((other.status, other.body), (403, json!("Wrong_Org")));
    assert_eq!(force.form("/services/oauth2/revoke", &[("token", long)]).await.status, 200);
    assert_eq!(force.form("/services/oauth2/introspect", &known).await.ok(), json!({"active": false}));
    refused(&call(&force, access).await, 401, "INVALID_SESSION_ID");
    let bad = force.send(Method::GET, &identity, access, &[], None).await;
    assert_eq!((bad.status, bad.body), (403, json!("Bad_OAuth_Token")));
    let again = force.get(&format!("/services/oauth2/revoke?token={long}")).await;
    assert_eq!((again.status, &again.body["error"]), (400, &json!("invalid_token")));
    let none = force.form("/services/oauth2/revoke", &[]).await;
    oauth_error(&none, "unsupported_token_type", "this token type is not supported");
}

#[tokio::test]
async fn a_sixth_approval_ends_the_first_silently() {
    let force = force().await;
    let first = connect(&force).await;
    for _ in 0..4 {
        connect(&force).await;
    }
    assert_eq!(call(&force, text(&first, "access_token")).await.status, 200);
    connect(&force).await;
    refused(&call(&force, text(&first, "access_token")).await, 401, "INVALID_SESSION_ID");
    assert_eq!(force.handle.revoke(), 5);
}

#[tokio::test]
async fn the_instance_may_be_elsewhere_and_the_org_a_sandbox() {
    let force = force_with(Settings { environment: Environment::Sandbox, ..Settings::default() }).await;
    force.handle.change_settings(json!({"instance_url": "http://localhost:1234/"})).expect("changed");
    let body = connect(&force).await;
    assert_eq!(text(&body, "instance_url"), "http://localhost:1234");
    let again = refresh(&force, text(&body, "refresh_token")).await.ok();
    assert_eq!(text(&again, "instance_url"), "http://localhost:1234");
    let org = force.query("SELECT Id, IsSandbox, OrganizationType FROM Organization").await.ok();
    assert_eq!(org["records"][0]["IsSandbox"], json!(true));
    assert_eq!(org["records"][0]["Id"], json!(force.handle.organization_id()));
}

#[tokio::test]
async fn an_edition_without_the_api_says_so() {
    let force = force().await;
    force.handle.change_settings(json!({"edition": "professional", "api_enabled": false})).expect("changed");
    refused(&force.get("limits").await, 403, "API_DISABLED_FOR_ORG");
    force.handle.change_settings(json!({"edition": "enterprise"})).expect("changed");
    refused(&force.get("limits").await, 403, "API_CURRENTLY_DISABLED");
    force.handle.change_settings(json!({"api_enabled": true})).expect("changed");
    force.get("limits").await.ok();
    let body =
        exchange(&force, &parameter(&decide(&force, "allow", "id refresh_token").await, "code"), VERIFIER)
            .await;
    let narrow =
        force.send(Method::GET, &format!("{V}/limits"), text(&body.ok(), "access_token"), &[], None).await;
    refused(&narrow, 401, "INVALID_SESSION_ID");
}
