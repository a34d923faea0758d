//! OAuth: consent, codes, tokens, and how they end.

use reqwest::Method;
use sandbox::google::Settings;
use serde_json::{Value, json};

use super::{Google, HOUR_MS, google, google_with, refused, text};
use crate::client::Answer;

const SCOPES: &str = "openid email profile https://www.googleapis.com/auth/calendar.readonly \
                      https://www.googleapis.com/auth/meetings.space.readonly";
const CALENDAR: &str = "https://www.googleapis.com/auth/calendar.readonly";
const BACK: &str = "http://127.0.0.1:9/callback";
const DAY_MS: u64 = 24 * HOUR_MS;
/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const LIST: &str = "/calendar/v3/users/me/calendarList";

fn request(extra: &[(&str, &str)]) -> Vec<(String, String)> {
    let settings = Settings::default();
    let base = [
        ("client_id", settings.client_id.as_str()),
        ("redirect_uri", BACK),
        ("response_type", "code"),
        ("scope", SCOPES),
        ("state", "st-1"),
        ("access_type", "offline"),
    ];
    let mut fields: Vec<(String, String)> = Vec::new();
    for (key, value) in base.iter().chain(extra) {
        fields.retain(|(known, _)| known != key);
        fields.push(((*key).to_owned(), (*value).to_owned()));
    }
    fields
}

/// What the consent page would send: its hidden fields, its ticked boxes, an account.
fn fields_of(page: &str, account: &str, unticked: &[&str]) -> Vec<(String, String)> {
    let field = |part: &str| {
        let name = part.split("name=\"").nth(1)?.split('"').next()?.to_owned();
        let value = part.split("value=\"").nth(1)?.split('"').next()?.replace("&amp;", "&");
        Some((name, value))
    };
    let mut fields: Vec<_> = page.split("<input type=\"hidden\"").skip(1).filter_map(field).collect();
    let boxes = page.split("<input type=\"checkbox\"").skip(1).filter_map(field);
    fields.extend(boxes.filter(|(_, value)| !unticked.contains(&value.as_str())));
    fields.push(("account".into(), account.into()));
    fields
}

/// Opens the consent page, submits it and gives the redirect's parameters.
async fn consent(
    google: &Google,
    extra: &[(&str, &str)],
    press: &str,
    unticked: &[&str],
) -> Vec<(String, String)> {
    let url = format!("{}/o/oauth2/v2/auth", google.handle.url());
    let page = google.http.get(&url).query(&request(extra)).send().await.expect("a page");
    let page = page.text().await.expect("text");
    let mut fields = fields_of(&page, google.handle.email(), unticked);
    fields.push(("decision".into(), press.into()));
    let answer = google.http.post(&url).form(&fields).send().await.expect("an answer");
    assert_eq!(answer.status(), 302);
    let location = answer.headers()["location"].to_str().expect("a location").to_owned();
    assert!(location.starts_with(BACK), "{location}");
    let url = reqwest::Url::parse(&location).expect("an address");
    url.query_pairs().into_owned().collect()
}

fn value<'a>(pairs: &'a [(String, String)], key: &str) -> &'a str {
    pairs.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str()).unwrap_or_default()
}

async fn token(google: &Google, fields: &[(&str, &str)]) -> Answer {
    let settings = Settings::default();
    let mut all = vec![
        ("client_id", settings.client_id.as_str()),
        ("client_secret", settings.client_secret.as_str()),
        ("redirect_uri", BACK),
    ];
    for (key, value) in fields {
        all.retain(|(known, _)| known != key);
        all.push((key, value));
    }
    google.form("/token", &all).await
}

async fn exchange(google: &Google, code: &str) -> Answer {
    token(google, &[("grant_type", "authorization_code"), ("code", code)]).await
}

async fn refresh(google: &Google, refresh_token: &str) -> Answer {
    token(google, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
}

/// Connects and gives the token answer.
async fn connect(google: &Google, extra: &[(&str, &str)]) -> Value {
    let back = consent(google, extra, "allow", &[]).await;
    exchange(google, value(&back, "code")).await.ok()
}

#[tokio::test]
async fn an_app_connects_offline_and_calls_the_api_of_the_chosen_account() {
    let google = google().await;
    let back = consent(&google, &[("nonce", "n-1")], "allow", &[]).await;
    assert_eq!(value(&back, "state"), "st-1");
    assert!(value(&back, "scope").contains(CALENDAR), "{back:?}");
    let tokens = exchange(&google, value(&back, "code")).await.ok();
    assert_eq!((tokens["expires_in"].as_i64(), tokens["token_type"].as_str()), (Some(3_599), Some("Bearer")));
    assert!(text(&tokens["refresh_token"]).starts_with("1//"), "{tokens}");
    let access = text(&tokens["access_token"]);
    let list = google.send(Method::GET, LIST, &access, None).await.ok();
    assert_eq!(list["items"][0]["id"], google.handle.email());
    assert_eq!(
        (&list["items"][0]["primary"], &list["items"][0]["accessRole"]),
        (&json!(true), &json!("owner"))
    );
    let path = format!("{LIST}?syncToken={}", text(&list["nextSyncToken"]));
    let again = google.send(Method::GET, &path, &access, None);
    assert_eq!(again.await.ok()["items"], json!([]));
    let one = google.send(Method::GET, &format!("{LIST}/primary"), &access, None).await.ok();
    assert_eq!(one["id"], google.handle.email());
    let calendar = google.send(Method::GET, "/calendar/v3/calendars/primary", &access, None).await.ok();
    assert_eq!(
        (&calendar["id"], &calendar["timeZone"]),
        (&json!(google.handle.email()), &json!("Europe/Zurich"))
    );
    let other = format!("/calendar/v3/calendars/{}", google.handle.other_email());
    refused(&google.send(Method::GET, &other, &access, None).await, 404, "notFound");
    // Who somebody is, in every spelling.
    for path in ["/v1/userinfo", "/oauth2/v3/userinfo"] {
        let who = google.send(Method::GET, path, &access, None).await.ok();
        assert_eq!((&who["email"], &who["name"]), (&json!(google.handle.email()), &json!("Dana Whitfield")));
    }
    let who = google.send(Method::GET, "/v1/userinfo", &access, None).await.ok();
    for path in ["/oauth2/v2/userinfo", "/userinfo/v2/me"] {
        let older = google.send(Method::GET, path, &access, None).await.ok();
        assert_eq!((&older["id"], &older["verified_email"]), (&who["sub"], &json!(true)));
    }
    let info = google.send(Method::GET, &format!("/tokeninfo?access_token={access}"), "", None).await.ok();
    assert_eq!(info["aud"], Settings::default().client_id);
    assert_eq!(
        google.form("/oauth2/v2/tokeninfo", &[("access_token", &access)]).await.ok()["sub"],
        who["sub"]
    );
    let claims = text(&tokens["id_token"]);
    let claims = base64::Engine::decode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        claims.split('.').nth(1).expect("claims"),
    );
    let claims: Value = serde_json::from_slice(&claims.expect("base64")).expect("JSON");
    assert_eq!((&claims["sub"], &claims["nonce"]), (&who["sub"], &json!("n-1")));
}

#[tokio::test]
async fn a_refresh_token_comes_once_and_again_only_with_consent() {
    let google = google().await;
    assert_eq!(connect(&google, &[("access_type", "online")]).await["refresh_token"], Value::Null);
    let first = connect(&google, &[]).await;
    assert!(first["refresh_token"].is_string());
    assert_eq!(connect(&google, &[]).await["refresh_token"], Value::Null);
    let second = connect(&google, &[("prompt", "consent")]).await;
    assert!(second["refresh_token"].is_string());
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    // Both work, as often as one likes, and stay what they are.
    for _ in 0..3 {
        for tokens in [&first, &second] {
            let fresh = refresh(&google, &text(&tokens["refresh_token"])).await.ok();
            assert_eq!(fresh["refresh_token"], Value::Null);
            assert_eq!(google.send(Method::GET, LIST, &text(&fresh["access_token"]), None).await.status, 200);
        }
    }
    assert_eq!(google.send(Method::GET, LIST, &text(&first["access_token"]), None).await.status, 200);
}

#[tokio::test]
async fn the_user_may_untick_scopes_and_the_apis_then_refuse() {
    let google = google().await;
    let back = consent(&google, &[], "allow", &[CALENDAR]).await;
    assert!(!value(&back, "scope").contains(CALENDAR));
    let tokens = exchange(&google, value(&back, "code")).await.ok();
    let (access, scope) = (text(&tokens["access_token"]), text(&tokens["scope"]));
    assert!(!scope.contains("calendar") && scope.contains("meetings.space.readonly"), "{scope}");
    refused(&google.send(Method::GET, "", &access, None).await, 403, "insufficientPermissions");
    assert_eq!(google.send(Method::GET, "/v2/conferenceRecords", &access, None).await.ok(), json!({}));
    // Reading does not let write, and Calendar not Meet.
    let back = consent(&google, &[("scope", CALENDAR)], "allow", &[]).await;
    let access = text(&exchange(&google, value(&back, "code")).await.ok()["access_token"]);
    refused(&google.send(Method::POST, "", &access, Some(json!({}))).await, 403, "insufficientPermissions");
    let meet = google.send(Method::GET, "/v2/conferenceRecords", &access, None).await;
    assert_eq!((meet.status, &meet.body["error"]["status"]), (403, &json!("PERMISSION_DENIED")));
    assert_eq!(meet.body["error"]["details"][0]["reason"], "ACCESS_TOKEN_SCOPE_INSUFFICIENT");
}

#[tokio::test]
async fn a_user_who_cancels_sends_an_error_and_a_wrong_request_is_a_page() {
    let google = google_with(Settings { redirect_uris: vec![BACK.to_owned()], ..Settings::default() }).await;
    let back = consent(&google, &[], "deny", &[]).await;
    assert_eq!((value(&back, "error"), value(&back, "state")), ("access_denied", "st-1"));
    let url = format!("{}/o/oauth2/v2/auth", google.handle.url());
    for (wrong, says) in [
        (("client_id", "somebody"), "invalid_client"),
        (("redirect_uri", "http://elsewhere.example/"), "redirect_uri_mismatch"),
        (("redirect_uri", "javascript:alert(1)"), "redirect_uri_mismatch"),
        (("response_type", "token"), "unsupported_response_type"),
        (("scope", "https://www.googleapis.com/auth/everything"), "invalid_scope"),
        (("scope", ""), "invalid_request"),
        (("state", "\"><script>"), "&quot;&gt;&lt;script&gt;"),
    ] {
        let page = google.http.get(&url).query(&request(&[wrong])).send().await.expect("a page");
        assert!(page.headers().get("location").is_none(), "{wrong:?}");
        let page = page.text().await.expect("text");
        assert!(page.contains(says) && !page.contains("<script>"), "{wrong:?}: {page}");
    }
    let none = google.http.get(&url).query(&request(&[("prompt", "none")])).send().await.expect("an answer");
    assert!(none.headers()["location"].to_str().expect("text").contains("interaction_required"));
}

#[tokio::test]
async fn wrong_codes_clients_and_grants_are_refused_by_name() {
    let google = google().await;
    let refusal = |answer: Answer| (answer.status, text(&answer.body["error"]), answer.body.clone());
    let pkce = [("code_challenge", CHALLENGE), ("code_challenge_method", "S256")];
    let code = || async { text(&json!(value(&consent(&google, &pkce, "allow", &[]).await, "code"))) };
    let grant = ("grant_type", "authorization_code");
    let known = code().await;
    token(&google, &[grant, ("code", &known), ("code_verifier", VERIFIER)]).await.ok();
    let used = refusal(token(&google, &[grant, ("code", &known), ("code_verifier", VERIFIER)]).await);
    assert_eq!(
        (used.0, used.1.as_str(), &used.2["error_description"]),
        (400, "invalid_grant", &json!("Malformed auth code."))
    );
    let wrong = refusal(token(&google, &[grant, ("code", &code().await), ("code_verifier", "x")]).await);
    assert_eq!((wrong.0, &wrong.2["error_description"]), (400, &json!("Invalid code verifier.")));
    let to = ("redirect_uri", "http://127.0.0.1:9/other");
    let moved = token(&google, &[grant, ("code", &code().await), ("code_verifier", VERIFIER), to]).await;
    assert_eq!(refusal(moved).1, "redirect_uri_mismatch");
    let late = code().await;
    google.handle.advance_clock(11 * 60_000);
    assert_eq!(
        refusal(token(&google, &[grant, ("code", &late), ("code_verifier", VERIFIER)]).await).1,
        "invalid_grant"
    );
    for (wrong, status, error) in [
        (("client_id", "x"), 401, "invalid_client"),
        (("client_secret", "x"), 401, "invalid_client"),
        (("grant_type", "password"), 400, "unsupported_grant_type"),
        (("refresh_token", "1//none"), 400, "invalid_grant"),
    ] {
        let answer = token(&google, &[("grant_type", "refresh_token"), wrong]).await;
        assert_eq!((answer.status, answer.body["error"].as_str()), (status, Some(error)), "{wrong:?}");
    }
}

#[tokio::test]
async fn an_access_token_ends_after_an_hour_and_on_demand() {
    let google = google().await;
    let tokens = connect(&google, &[]).await;
    google.handle.advance_clock(HOUR_MS);
    let access = text(&tokens["access_token"]);
    refused(&google.send(Method::GET, "", &access, None).await, 401, "authError");
    let fresh = text(&refresh(&google, &text(&tokens["refresh_token"])).await.ok()["access_token"]);
    assert_eq!(google.send(Method::GET, "", &fresh, None).await.status, 200);
    assert_eq!(google.control("expire_tokens", Value::Null)["expired_tokens"], 1);
    refused(&google.send(Method::GET, "", &fresh, None).await, 401, "authError");
    let meet = google.send(Method::GET, "/v2/conferenceRecords", &fresh, None).await;
    assert_eq!((meet.status, &meet.body["error"]["status"]), (401, &json!("UNAUTHENTICATED")));
    refused(&google.send(Method::GET, "", "", None).await, 401, "required");
}

#[tokio::test]
async fn revoking_either_token_ends_everything() {
    let google = google().await;
    for kind in ["access_token", "refresh_token"] {
        let tokens = connect(&google, &[("prompt", "consent")]).await;
        let revoked = google.form("/revoke", &[("token", &text(&tokens[kind]))]).await;
        assert_eq!((revoked.status, &revoked.body), (200, &json!({})));
        refused(&google.send(Method::GET, "", &text(&tokens["access_token"]), None).await, 401, "authError");
        let dead = refresh(&google, &text(&tokens["refresh_token"])).await;
        assert_eq!(dead.body["error_description"], "Token has been expired or revoked.");
        let path = format!("/revoke?token={}", text(&tokens["access_token"]));
        let again = google.send(Method::GET, &path, "", None).await;
        assert_eq!((again.status, &again.body["error"]), (400, &json!("invalid_token")));
    }
    let tokens = connect(&google, &[]).await;
    assert_eq!(google.control("revoke", Value::Null)["revoked_grants"], 1);
    assert_eq!(refresh(&google, &text(&tokens["refresh_token"])).await.status, 400);
}

#[tokio::test]
async fn refresh_tokens_of_an_app_in_testing_end_after_seven_days() {
    let google = google().await;
    let lasting = connect(&google, &[]).await;
    assert_eq!(lasting["refresh_token_expires_in"], Value::Null);
    google.control("settings", json!({"testing": true}));
    let ending = connect(&google, &[("prompt", "consent")]).await;
    assert_eq!(ending["refresh_token_expires_in"], 604_799);
    let only_who = connect(&google, &[("prompt", "consent"), ("scope", "openid email")]).await;
    google.handle.advance_clock(6 * DAY_MS);
    refresh(&google, &text(&ending["refresh_token"])).await.ok();
    google.handle.advance_clock(DAY_MS);
    let dead = refresh(&google, &text(&ending["refresh_token"])).await;
    assert_eq!((dead.status, &dead.body["error"]), (400, &json!("invalid_grant")));
    refresh(&google, &text(&lasting["refresh_token"])).await.ok();
    refresh(&google, &text(&only_who["refresh_token"])).await.ok();
    // What nobody uses for half a year is dead, too.
    google.handle.advance_clock(184 * DAY_MS);
    assert_eq!(refresh(&google, &text(&lasting["refresh_token"])).await.status, 400);
}
