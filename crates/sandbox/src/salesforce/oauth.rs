//! OAuth 2.0: the consent page, the token endpoint and what belongs to it.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::auth::{BadCode, Grant, Issued, SCOPES};
use super::call::{Call, Outcome, Reply};
use super::consent::{self, Ask};
use super::errors::Failure;
use super::id::Id;
use super::sim::Sim;
use super::time::datetime;

type Form = HashMap<String, String>;

/// `GET /services/oauth2/authorize`: the page where a user agrees.
pub(crate) fn authorize(sim: &mut Sim, call: &Call) -> Outcome {
    let form: Form = call.query.iter().cloned().collect();
    Ok(match ask(sim, &form) {
        Err(reason) => Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason)),
        Ok(ask) => match objection(sim, &ask) {
            Some((error, description)) => {
                Reply::redirect(back(&ask, &[("error", error), ("error_description", &description)]))
            }
            None => Reply::html(StatusCode::OK, consent::page(&ask, sim)),
        },
    })
}

/// `POST /services/oauth2/authorize`: the page's form comes back.
pub(crate) fn decide(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    let ask = match ask(sim, &form) {
        Ok(ask) => ask,
        Err(reason) => return Ok(Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason))),
    };
    if let Some((error, description)) = objection(sim, &ask) {
        return Ok(Reply::redirect(back(&ask, &[("error", error), ("error_description", &description)])));
    }
    if form.get("decision").map(String::as_str) != Some("allow") {
        let description = "end-user denied authorization";
        return Ok(Reply::redirect(back(
            &ask,
            &[("error", "access_denied"), ("error_description", description)],
        )));
    }
    let chosen = form.get("user").and_then(|id| Id::parse(id)).filter(|id| sim.org.users.contains(id));
    let grant = Grant {
        user: chosen.unwrap_or(sim.org.users[0]),
        scopes: Arc::new(ask.scopes.clone()),
        revoked: false,
    };
    let (challenge, nonce) = (ask.challenge.clone(), ask.nonce.clone());
    let code = sim.auth.issue_code(grant, ask.redirect_uri.as_str(), challenge, nonce, call.now_ms);
    Ok(Reply::redirect(back(&ask, &[("code", &code)])))
}

fn back(ask: &Ask, parameters: &[(&str, &str)]) -> String {
    let mut to = ask.redirect_uri.clone();
    to.query_pairs_mut().extend_pairs(parameters);
    if let Some(state) = &ask.state {
        to.query_pairs_mut().append_pair("state", state);
    }
    to.into()
}

/// What the app asks for, or why there is nobody to send back to.
fn ask(sim: &Sim, form: &Form) -> Result<Ask, String> {
    let get = |key: &str| form.get(key).map(String::as_str).filter(|value| !value.is_empty());
    if get("client_id") != Some(sim.settings.client_id.as_str()) {
        return Err("error=invalid_client_id&error_description=client identifier invalid".into());
    }
    let allowed = |uri: &Url| {
        let uris = &sim.settings.redirect_uris;
        uris.is_empty()
            || uris.iter().any(|known| Some(known.as_str()) == get("redirect_uri") || known == uri.as_str())
    };
    let redirect_uri = get("redirect_uri")
        .and_then(|uri| Url::parse(uri).ok())
        .filter(|uri| matches!(uri.scheme(), "http" | "https") && allowed(uri))
        .ok_or("error=redirect_uri_mismatch&error_description=redirect_uri must match configuration")?;
    let scopes = get("scope").unwrap_or("api id refresh_token");
    Ok(Ask {
        client_id: sim.settings.client_id.clone(),
        redirect_uri,
        response_type: get("response_type").unwrap_or_default().to_owned(),
        scopes: scopes.split_whitespace().map(str::to_owned).collect(),
        state: get("state").map(str::to_owned),
        nonce: get("nonce").map(str::to_owned),
        challenge: get("code_challenge").map(str::to_owned),
        challenge_method: get("code_challenge_method").map(str::to_owned),
    })
}

/// Why the app is sent back at once.
fn objection(sim: &Sim, ask: &Ask) -> Option<(&'static str, String)> {
    if ask.response_type != "code" {
        return Some(("unsupported_response_type", "response type not supported".into()));
    }
    let withheld = &sim.settings.withheld_scopes;
    let refused = |scope: &&String| !SCOPES.contains(&scope.as_str()) || withheld.contains(scope);
    if let Some(scope) = ask.scopes.iter().find(refused) {
        return Some(("invalid_scope", format!("the requested scope is not allowed: {scope}")));
    }
    match (&ask.challenge, ask.challenge_method.as_deref()) {
        (None, _) if sim.settings.require_pkce => {
            Some(("invalid_request", "missing required code challenge".into()))
        }
        (Some(_), method) if method.is_some_and(|method| method != "S256") => {
            Some(("invalid_request", "invalid code challenge method".into()))
        }
        _ => None,
    }
}

/// `POST /services/oauth2/token`
pub(crate) fn token(sim: &mut Sim, call: &Call) -> Outcome {
    let mut form = call.form();
    basic(call, &mut form);
    let get = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    let grant_type = get("grant_type");
    if grant_type.is_empty() {
        return Err(Failure::oauth("unsupported_grant_type", "grant type not supported"));
    }
    check_client(sim, &form)?;
    let issued = match grant_type {
        "authorization_code" => exchange(sim, &form, call.now_ms)?,
        "refresh_token" => {
            let (org, rotate) = (sim.org.id, sim.settings.rotate_refresh_token);
            let issued = sim.auth.refresh(org, get("refresh_token"), rotate, call.now_ms);
            issued.ok_or_else(|| Failure::oauth("invalid_grant", "expired access/refresh token"))?
        }
        _ => return Err(Failure::oauth("unsupported_grant_type", "grant type not supported")),
    };
    Reply::ok(&answer(sim, &issued, call.now_ms))
}

/// Client credentials of the Authorization header, where it has them.
fn basic(call: &Call, form: &mut Form) {
    let header = call.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let decoded = header.and_then(|text| STANDARD.decode(text.trim()).ok());
    let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else { return };
    if let Some((id, secret)) = text.split_once(':') {
        form.insert("client_id".to_owned(), id.to_owned());
        form.insert("client_secret".to_owned(), secret.to_owned());
    }
}

fn check_client(sim: &Sim, form: &Form) -> Result<(), Failure> {
    if form.get("client_id") != Some(&sim.settings.client_id) {
        return Err(Failure::oauth("invalid_client_id", "client identifier invalid"));
    }
    if form.get("client_secret") != Some(&sim.settings.client_secret) {
        return Err(Failure::oauth("invalid_client", "invalid client credentials"));
    }
    Ok(())
}

fn exchange(sim: &mut Sim, form: &Form, now_ms: i64) -> Result<Issued, Failure> {
    let get = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    if get("code").is_empty() {
        return Err(Failure::oauth("invalid_request", "must supply code"));
    }
    let code = sim.auth.take_code(get("code"), now_ms).map_err(|bad| match bad {
        BadCode::Expired => Failure::oauth("invalid_grant", "expired authorization code"),
        BadCode::Unknown => Failure::oauth("invalid_grant", "invalid authorization code"),
    })?;
    if Url::parse(get("redirect_uri")).ok() != Url::parse(&code.redirect_uri).ok() {
        return Err(Failure::oauth("redirect_uri_mismatch", "redirect_uri must match configuration"));
    }
    if let Some(challenge) = &code.challenge
        && URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier"))) != *challenge
    {
        return Err(Failure::oauth("invalid_grant", "invalid code verifier"));
    }
    Ok(sim.auth.open_grant(sim.org.id, code, now_ms))
}

fn answer(sim: &Sim, issued: &Issued, now_ms: i64) -> Value {
    let id = sim.identity_url(issued.grant.user);
    let issued_at = now_ms.to_string();
    let signature = STANDARD.encode(sign(&sim.settings.client_secret, &format!("{id}{issued_at}")));
    let scopes = &issued.grant.scopes;
    let mut body = json!({"access_token": issued.access, "signature": signature, "scope": scopes.join(" "),
        "instance_url": sim.instance_url(), "id": id, "token_type": "Bearer", "issued_at": issued_at});
    if let Some(refresh) = &issued.refresh {
        body["refresh_token"] = json!(refresh);
    }
    if scopes.iter().any(|scope| scope == "openid") {
        body["id_token"] = json!(id_token(sim, issued, now_ms));
    }
    body
}

fn sign(secret: &str, text: &str) -> Vec<u8> {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return Vec::new() };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

/// An id token, signed with the app's secret.
fn id_token(sim: &Sim, issued: &Issued, now_ms: i64) -> String {
    let now_s = now_ms.div_euclid(1_000);
    let mut claims = json!({"iss": sim.origin, "sub": sim.identity_url(issued.grant.user),
        "aud": sim.settings.client_id, "iat": now_s, "exp": now_s + 120});
    if let Some(nonce) = &issued.nonce {
        claims["nonce"] = json!(nonce);
    }
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "HS256", "typ": "JWT"})), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(sign(&sim.settings.client_secret, &text));
    format!("{text}.{signature}")
}

/// `POST` or `GET /services/oauth2/revoke`
pub(crate) fn revoke(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    let token = form.get("token").map(String::as_str).or_else(|| call.query("token")).unwrap_or_default();
    if token.is_empty() {
        return Err(Failure::oauth("unsupported_token_type", "this token type is not supported"));
    }
    if sim.auth.revoke_token(token) {
        return Reply::empty(StatusCode::OK);
    }
    Err(Failure::oauth("invalid_token", "the token is unknown or dead already"))
}

/// `POST /services/oauth2/introspect`
pub(crate) fn introspect(sim: &mut Sim, call: &Call) -> Outcome {
    let mut form = call.form();
    basic(call, &mut form);
    check_client(sim, &form)?;
    let token = form.get("token").map(String::as_str).unwrap_or_default();
    let access = sim.auth.session(token, sim.settings.session_minutes, call.now_ms);
    let access =
        access.map(|(grant, issued_ms, ends_ms)| (grant, "access_token", Some((issued_ms, ends_ms))));
    let found = access.or_else(|| sim.auth.refresh_grant(token).map(|grant| (grant, "refresh_token", None)));
    let Some((grant, token_type, times)) = found else { return Reply::ok(&json!({"active": false})) };
    let mut body = json!({"active": true, "scope": grant.scopes.join(" "), "client_id": sim.settings.client_id,
        "username": sim.person(grant.user, "Username"), "sub": sim.identity_url(grant.user), "token_type": token_type});
    if let Some((issued_ms, ends_ms)) = times {
        body["iat"] = json!(issued_ms.div_euclid(1_000));
        body["nbf"] = json!(issued_ms.div_euclid(1_000));
        body["exp"] = json!(ends_ms.div_euclid(1_000));
    }
    Reply::ok(&body)
}

/// `GET /services/oauth2/userinfo`
pub(crate) fn userinfo(sim: &mut Sim, call: &Call) -> Outcome {
    let caller = sim.session(call).ok_or_else(|| Failure::plain(StatusCode::FORBIDDEN, "Bad_OAuth_Token"))?;
    let person = |field: &str| sim.person(caller.user, field);
    Reply::ok(&json!({
        "sub": sim.identity_url(caller.user), "user_id": caller.user, "organization_id": sim.org.id,
        "preferred_username": person("Username"), "nickname": person("Alias"), "name": person("Name"),
        "given_name": person("FirstName"), "family_name": person("LastName"), "email": person("Email"),
        "email_verified": true, "zoneinfo": person("TimeZoneSidKey"), "language": "en_US", "locale": "en_US",
        "utcOffset": -18_000_000, "user_type": "STANDARD", "active": true, "is_app_installed": true,
        "urls": urls(sim, caller.user),
    }))
}

/// `GET /id/{org}/{user}`: the identity that a token answer names.
pub(crate) fn identity(sim: &mut Sim, call: &Call) -> Outcome {
    let refuse = |words| Failure::plain(StatusCode::FORBIDDEN, words);
    if call.bearer().is_none() {
        return Err(refuse("Missing_OAuth_Token"));
    }
    let caller = sim.session(call).ok_or_else(|| refuse("Bad_OAuth_Token"))?;
    if Id::parse(call.param("org")) != Some(sim.org.id) {
        return Err(refuse("Wrong_Org"));
    }
    let user = Id::parse(call.param("user")).filter(|id| sim.org.users.contains(id));
    let user = user.ok_or_else(|| Failure::plain(StatusCode::NOT_FOUND, "Bad_Id"))?;
    let person = |field: &str| sim.person(user, field);
    let asked = user == caller.user;
    Reply::ok(&json!({
        "id": sim.identity_url(user), "asserted_user": asked, "user_id": user, "organization_id": sim.org.id,
        "username": person("Username"), "nick_name": person("Alias"), "display_name": person("Name"),
        "email": person("Email"), "email_verified": true, "first_name": person("FirstName"),
        "last_name": person("LastName"), "timezone": person("TimeZoneSidKey"), "active": true,
        "user_type": "STANDARD", "language": "en_US", "locale": "en_US", "utcOffset": -18_000_000,
        "last_modified_date": datetime(sim.org_made_s()), "is_app_installed": true, "urls": urls(sim, user),
    }))
}

/// Addresses of an identity; `{version}` is for the client to fill in.
fn urls(sim: &Sim, user: Id) -> Value {
    let base = sim.instance_url();
    let org = sim.org.id.short();
    let mut urls = Map::new();
    for (name, path) in [
        ("rest", ""),
        ("sobjects", "sobjects/"),
        ("search", "search/"),
        ("query", "query/"),
        ("recent", "recent/"),
        ("tooling_rest", "tooling/"),
    ] {
        urls.insert(name.to_owned(), json!(format!("{base}/services/data/v{{version}}/{path}")));
    }
    for (name, letter) in [("enterprise", "c"), ("metadata", "m"), ("partner", "u")] {
        urls.insert(name.to_owned(), json!(format!("{base}/services/Soap/{letter}/{{version}}/{org}")));
    }
    urls.insert("profile".to_owned(), json!(format!("{base}/{user}")));
    urls.insert("custom_domain".to_owned(), json!(base));
    Value::Object(urls)
}
