//! OAuth: consent, codes, tokens, and how they end.

use reqwest::Method;
use sandbox::hubspot::{Settings, Tier};
use serde_json::{Value, json};

use crate::client::{Answer, Hub, hub, hub_with, relaxed};

const SCOPES: &str = "oauth crm.objects.companies.read crm.objects.companies.write crm.objects.deals.read";
const BACK: &str = "http://127.0.0.1:9/callback";
/// base64url(sha256("a-verifier-that-is-long-enough-for-the-standard-43")).
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn request(extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let settings = Settings::default();
    let base = [
        ("client_id", settings.client_id.as_str()),
        ("redirect_uri", BACK),
        ("scope", SCOPES),
        ("state", "st-1"),
    ];
    let mut fields: Vec<(String, String)> = Vec::new();
    for (key, value) in base.iter().chain(extra) {
        fields.retain(|(known, _)| known != key);
        fields.push(((*key).to_owned(), (*value).to_owned()));
    }
    fields
}

/// Opens the consent page, submits its own hidden fields and gives the redirect's parameters.
async fn consent(hub: &Hub, extra: &[(&str, &str)], press: &str, portal: u64) -> Vec<(String, String)> {
    let url = format!("{}/oauth/authorize", hub.handle.url());
    let page =
        hub.http.get(&url).query(&request(extra)).send().await.expect("a page").text().await.expect("text");
    let mut fields = hidden_fields(&page);
    fields.push(("decision".into(), press.into()));
    fields.push(("portal_id".into(), portal.to_string()));
    let answer = hub.http.post(&url).form(&fields).send().await.expect("an answer");
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().expect("a location").to_owned();
    assert!(location.starts_with(BACK), "{location}");
    let query = location.split_once('?').expect("a query").1;
    serde_pairs(query)
}

fn hidden_fields(page: &str) -> Vec<(String, String)> {
    let field = |part: &str| {
        let name = part.split("name=\"").nth(1)?.split('"').next()?.to_owned();
        let value = part.split("value=\"").nth(1)?.split('"').next()?.replace("&amp;", "&");
        Some((name, value))
    };
    page.split("<input type=\"hidden\"").skip(1).filter_map(field).collect()
}

fn serde_pairs(query: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://x/?{query}")).expect("a query");
    url.query_pairs().into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], key: &str) -> &'a str {
    pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str()).unwrap_or_default()
}

async fn token(hub: &Hub, path: &str, fields: &[(&str, &str)]) -> Answer {
    let settings = Settings::default();
    let mut all = vec![
        ("client_id", settings.client_id.as_str()),
        ("client_secret", settings.client_secret.as_str()),
        ("redirect_uri", BACK),
    ];
    all.retain(|(key, _)| !fields.iter().any(|(given, _)| given == key));
    all.extend(fields);
    hub.form(path, &all).await
}

async fn exchange(hub: &Hub, code: &str) -> Answer {
    token(hub, "/oauth/v1/token", &[("grant_type", "authorization_code"), ("code", code)]).await
}

async fn refresh(hub: &Hub, refresh_token: &str) -> Answer {
    token(hub, "/oauth/v1/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
}

pub(crate) async fn connect(hub: &Hub, extra: &[(&str, &str)]) -> Value {
    let back = consent(hub, extra, "connect", hub.handle.portal_id()).await;
    exchange(hub, value(&back, "code")).await.ok()
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body[key].as_str().expect("a text")
}

#[tokio::test]
async fn the_consent_page_names_app_scopes_and_accounts_and_is_a_plain_form() {
    let hub = hub().await;
    let url = format!("{}/oauth/authorize", hub.handle.url());
    let optional = [("optional_scope", "crm.objects.owners.read")];
    let page = hub
        .http
        .get(&url)
        .query(&request(&optional))
        .send()
        .await
        .expect("a page")
        .text()
        .await
        .expect("text");
    let portal = hub.handle.portal_id().to_string();
    for part in
        ["Accord", "crm.objects.deals.read", "crm.objects.owners.read", "Connect app", "Cancel", &portal]
    {
        assert!(page.contains(part), "{part} is missing");
    }
    let attack = [("state", "\"><script>alert(1)</script>")];
    let page =
        hub.http.get(&url).query(&request(&attack)).send().await.expect("a page").text().await.expect("text");
    assert!(!page.contains("<script>"));
}

#[tokio::test]
async fn an_app_connects_and_calls_the_api_of_the_chosen_portal() {
    let hub = hub().await;
    let back = consent(&hub, &[], "connect", hub.handle.portal_id()).await;
    assert_eq!(value(&back, "state"), "st-1");
    let tokens = exchange(&hub, value(&back, "code")).await.ok();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("bearer"), &json!(1800)));
    let access = text(&tokens, "access_token");
    let info = hub.get(&format!("/oauth/v1/access-tokens/{access}")).await.ok();
    assert_eq!(info["hub_id"], hub.handle.portal_id());
    assert!(info["expires_in"].as_i64().is_some_and(|left| left > 1_700));
    let refresh_token = text(&tokens, "refresh_token");
    let info = hub.get(&format!("/oauth/v1/refresh-tokens/{refresh_token}")).await.ok();
    assert_eq!(info["client_id"], Settings::default().client_id);
    hub.send(Method::GET, "/crm/v3/objects/companies", access, None).await.ok();
}

#[tokio::test]
async fn another_portal_is_another_world() {
    let hub = hub().await;
    hub.make("companies", json!({"name": "Here"})).await;
    let other = hub.handle.portal_id() + 1;
    let back = consent(&hub, &[], "connect", other).await;
    let tokens = exchange(&hub, value(&back, "code")).await.ok();
    let access = text(&tokens, "access_token");
    let list = hub.send(Method::GET, "/crm/v3/objects/companies", access, None).await.ok();
    assert_eq!(list["results"], json!([]));
    let details = hub.send(Method::GET, "/account-info/v3/details", access, None).await.ok();
    assert_eq!(details["portalId"], other);
}

#[tokio::test]
async fn a_user_who_cancels_sends_the_app_an_error() {
    let hub = hub().await;
    let back = consent(&hub, &[], "cancel", hub.handle.portal_id()).await;
    assert_eq!((value(&back, "error"), value(&back, "state")), ("access_denied", "st-1"));
    assert!(value(&back, "code").is_empty());
}

#[tokio::test]
async fn a_wrong_authorize_request_is_a_page_and_never_a_redirect() {
    let hub = hub().await;
    let url = format!("{}/oauth/authorize", hub.handle.url());
    for wrong in [
        ("client_id", "someone-else"),
        ("redirect_uri", "javascript:alert(1)"),
        ("scope", ""),
        ("scope", "crm.objects.unicorns.read"),
        ("scope", "crm.objects.custom.read"),
    ] {
        let answer = hub.http.get(&url).query(&request(&[wrong])).send().await.expect("a page");
        assert_eq!(answer.status(), 400, "{wrong:?}");
    }
}

#[tokio::test]
async fn a_code_works_once_for_its_redirect_and_for_five_minutes() {
    let hub = hub().await;
    let status = |answer: Answer| (answer.status, text(&answer.body, "status").to_owned());
    let portal = hub.handle.portal_id();
    let back = consent(&hub, &[], "connect", portal).await;
    exchange(&hub, value(&back, "code")).await.ok();
    assert_eq!(status(exchange(&hub, value(&back, "code")).await), (400, "BAD_AUTH_CODE".into()));

    let back = consent(&hub, &[], "connect", portal).await;
    let elsewhere = [
        ("grant_type", "authorization_code"),
        ("code", value(&back, "code")),
        ("redirect_uri", "http://127.0.0.1:9/other"),
    ];
    let refused = token(&hub, "/oauth/v1/token", &elsewhere).await;
    assert_eq!(status(refused), (400, "MISMATCH_REDIRECT_URI_AUTH_CODE".into()));

    let back = consent(&hub, &[], "connect", portal).await;
    hub.handle.advance_clock(300_001);
    assert_eq!(status(exchange(&hub, value(&back, "code")).await), (400, "EXPIRED_AUTH_CODE".into()));
}

#[tokio::test]
async fn a_code_with_a_challenge_needs_its_verifier() {
    let hub = hub().await;
    let challenge = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    for (verifier, status) in [(VERIFIER, 200), ("another", 400), ("", 400)] {
        let back = consent(&hub, &challenge, "connect", hub.handle.portal_id()).await;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", value(&back, "code")),
            ("code_verifier", verifier),
        ];
        assert_eq!(token(&hub, "/oauth/v1/token", &fields).await.status, status, "{verifier}");
    }
}

#[tokio::test]
async fn the_newer_token_paths_say_more_and_take_nothing_from_the_query() {
    let hub = hub().await;
    for path in ["/oauth/v3/token", "/oauth/2026-03/token"] {
        let back = consent(&hub, &[], "connect", hub.handle.portal_id()).await;
        let fields = [("grant_type", "authorization_code"), ("code", value(&back, "code"))];
        let tokens = token(&hub, path, &fields).await.ok();
        assert_eq!(tokens["hub_id"], hub.handle.portal_id());
        assert!(tokens["scopes"].as_array().is_some_and(|scopes| scopes.contains(&json!("oauth"))));
        let refused =
            token(&hub, path, &[("grant_type", "refresh_token"), ("refresh_token", "nonsense")]).await;
        assert_eq!(refused.status, 400);
        assert_eq!(
            (text(&refused.body, "error"), text(&refused.body, "status")),
            ("invalid_grant", "BAD_REFRESH_TOKEN")
        );
        let query = format!("{path}?grant_type=refresh_token");
        assert_eq!(token(&hub, &query, &[("grant_type", "refresh_token")]).await.status, 400);
    }
}

#[tokio::test]
async fn wrong_clients_and_grants_are_refused_by_name() {
    let hub = hub().await;
    for (field, status) in [
        (("client_id", "x"), "BAD_CLIENT_ID"),
        (("client_secret", "x"), "BAD_CLIENT_SECRET"),
        (("grant_type", "password"), "BAD_GRANT_TYPE"),
        (("redirect_uri", ""), "BAD_REDIRECT_URI"),
    ] {
        let mut fields = vec![("grant_type", "authorization_code"), ("code", "x")];
        fields.retain(|(key, _)| *key != field.0);
        fields.push(field);
        let refused = token(&hub, "/oauth/v1/token", &fields).await;
        assert_eq!((refused.status, text(&refused.body, "status")), (400, status));
        assert!(refused.body["correlationId"].is_string());
    }
}

#[tokio::test]
async fn a_refresh_rotates_the_token_and_the_old_one_is_dead() {
    let hub = hub().await;
    let tokens = connect(&hub, &[]).await;
    let first = text(&tokens, "refresh_token");
    let second = refresh(&hub, first).await.ok();
    assert_ne!(text(&second, "refresh_token"), first);
    let refused = refresh(&hub, first).await;
    assert_eq!((refused.status, text(&refused.body, "status")), (400, "BAD_REFRESH_TOKEN"));
    refresh(&hub, text(&second, "refresh_token")).await.ok();
    let list = hub.send(Method::GET, "/crm/v3/objects/companies", text(&tokens, "access_token"), None).await;
    assert_eq!(list.status, 200, "older access tokens live on");
}

#[tokio::test]
async fn rotation_and_rejection_can_be_turned_off() {
    let hub = hub().await;
    let tokens = connect(&hub, &[]).await;
    let first = text(&tokens, "refresh_token");
    hub.handle.change_settings(json!({"reject_rotated": false})).expect("changed");
    refresh(&hub, first).await.ok();
    refresh(&hub, first).await.ok();
    hub.handle.change_settings(json!({"rotate_refresh_token": false})).expect("changed");
    assert_eq!(text(&refresh(&hub, first).await.ok(), "refresh_token"), first);
}

#[tokio::test]
async fn an_access_token_expires_after_half_an_hour() {
    let hub = hub().await;
    let tokens = connect(&hub, &[]).await;
    let access = text(&tokens, "access_token");
    hub.handle.advance_clock(1_801_000);
    let refused = hub.send(Method::GET, "/crm/v3/objects/companies", access, None).await;
    let body = refused.refused(401, "EXPIRED_AUTHENTICATION");
    assert!(body["context"]["expire time"][0].is_string());
    assert_eq!(hub.get(&format!("/oauth/v1/access-tokens/{access}")).await.status, 404);
}

#[tokio::test]
async fn tokens_can_be_made_to_expire_at_once() {
    let hub = hub().await;
    let tokens = connect(&hub, &[]).await;
    assert_eq!(hub.handle.expire_tokens(), 1);
    let access = text(&tokens, "access_token");
    hub.send(Method::GET, "/crm/v3/objects/companies", access, None)
        .await
        .refused(401, "EXPIRED_AUTHENTICATION");
    let fresh = refresh(&hub, text(&tokens, "refresh_token")).await.ok();
    hub.send(Method::GET, "/crm/v3/objects/companies", text(&fresh, "access_token"), None).await.ok();
}

#[tokio::test]
async fn no_token_and_an_unknown_token_are_refused() {
    let hub = hub().await;
    hub.send(Method::GET, "/crm/v3/objects/companies", "nonsense", None)
        .await
        .refused(401, "INVALID_AUTHENTICATION");
    let url = format!("{}/crm/v3/objects/companies", hub.handle.url());
    assert_eq!(hub.http.get(url).send().await.expect("an answer").status(), 401);
}

#[tokio::test]
async fn a_removed_app_is_dead_on_every_path() {
    let hub = hub().await;
    let tokens = connect(&hub, &[]).await;
    let (access, refresh_token) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    let revoked = hub.post("/_sandbox/revoke", json!({})).await.ok();
    assert_eq!(revoked["revoked_grants"], 1);
    hub.send(Method::GET, "/crm/v3/objects/companies", access, None)
        .await
        .refused(401, "INVALID_AUTHENTICATION");
    assert_eq!(text(&refresh(&hub, refresh_token).await.body, "status"), "BAD_REFRESH_TOKEN");
    connect(&hub, &[]).await;
}

#[tokio::test]
async fn deleting_a_refresh_token_leaves_access_tokens_alive() {
    let hub = hub().await;
    let tokens = connect(&hub, &[]).await;
    let refresh_token = text(&tokens, "refresh_token");
    assert_eq!(hub.delete(&format!("/oauth/v1/refresh-tokens/{refresh_token}")).await.status, 204);
    assert_eq!(refresh(&hub, refresh_token).await.status, 400);
    hub.send(Method::GET, "/crm/v3/objects/companies", text(&tokens, "access_token"), None).await.ok();
}

#[tokio::test]
async fn introspection_knows_live_tokens_and_revocation_ends_them() {
    let hub = hub().await;
    let tokens = connect(&hub, &[]).await;
    let access = text(&tokens, "access_token");
    let live = token(&hub, "/oauth/v3/token/introspect", &[("token", access)]).await.ok();
    assert_eq!((&live["active"], &live["token_use"]), (&json!(true), &json!("access_token")));
    token(&hub, "/oauth/v3/token/revoke", &[("token", access)]).await.ok();
    let dead = token(&hub, "/oauth/2026-03/token/introspect", &[("token", access)]).await;
    assert_eq!((dead.status, dead.body), (200, json!({"active": false})));
}

#[tokio::test]
async fn scopes_are_enforced_for_each_object_and_method() {
    let hub = hub().await;
    let tokens = connect(&hub, &[]).await;
    let access = text(&tokens, "access_token");
    let made = json!({"properties": {"name": "A"}});
    hub.send(Method::POST, "/crm/v3/objects/companies", access, Some(made.clone())).await.ok();
    hub.send(Method::GET, "/crm/v3/objects/deals", access, None).await.ok();
    hub.send(Method::GET, "/crm/v3/properties/deals", access, None).await.ok();
    hub.send(Method::GET, "/account-info/v3/details", access, None).await.ok();
    let new = json!({"name": "x", "label": "X", "type": "string", "fieldType": "text", "groupName": "dealinformation"});
    for (method, path, body) in [
        (Method::POST, "/crm/v3/objects/deals", Some(json!({"properties": {}}))),
        (Method::GET, "/crm/v3/objects/contacts", None),
        (Method::GET, "/crm/v3/owners", None),
        (Method::GET, "/crm-object-schemas/v3/schemas", None),
        (Method::POST, "/crm/v3/properties/deals", Some(new)),
        (Method::POST, "/crm/v4/associations/deals/companies/batch/create", Some(json!({"inputs": []}))),
    ] {
        let body = hub.send(method, path, access, body).await.refused(403, "MISSING_SCOPES");
        assert!(body["errors"][0]["context"]["requiredGranularScopes"].is_array(), "{path}");
    }
}

#[tokio::test]
async fn consent_grants_optional_scopes_as_far_as_the_subscription_has_them() {
    let optional = [("optional_scope", "crm.objects.custom.read crm.objects.owners.read")];
    for (tier, expected) in [(Tier::Starter, false), (Tier::Enterprise, true)] {
        let hub = hub_with(Settings { tier, ..relaxed() }).await;
        let tokens = connect(&hub, &optional).await;
        let info = hub.get(&format!("/oauth/v1/access-tokens/{}", text(&tokens, "access_token"))).await.ok();
        let scopes = info["scopes"].as_array().expect("scopes");
        assert!(scopes.contains(&json!("crm.objects.owners.read")));
        assert_eq!(scopes.contains(&json!("crm.objects.custom.read")), expected);
    }
}

#[tokio::test]
async fn consent_can_be_limited_to_some_scopes() {
    let hub = hub().await;
    hub.handle.change_settings(json!({"scopes_granted": ["crm.objects.companies.read"]})).expect("changed");
    let tokens = connect(&hub, &[]).await;
    let access = text(&tokens, "access_token");
    hub.send(Method::GET, "/crm/v3/objects/companies", access, None).await.ok();
    hub.send(Method::GET, "/crm/v3/objects/deals", access, None).await.refused(403, "MISSING_SCOPES");
}
