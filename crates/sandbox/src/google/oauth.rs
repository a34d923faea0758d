//! OAuth: the consent page, tokens, revocation and who somebody is.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::auth::{ACCESS_TOKEN_S, Code, IDENTITY, Issued, PREFIX, SCOPES};
use super::call::{Call, Outcome, Reply};
use super::consent::{self, Ask};
use super::errors::Failure;
use super::sim::Sim;

type Form = HashMap<String, String>;

fn form(call: &Call) -> Form {
    let mut form = Form::new();
    for (key, value) in call.form() {
        form.entry(key).or_insert(value);
    }
    form
}

/// `GET /o/oauth2/v2/auth`: the page where a user picks an account and agrees.
pub(crate) fn authorize(sim: &mut Sim, call: &Call) -> Outcome {
    let form = form(call);
    let ask = match ask(sim, &form) {
        Ok(ask) => ask,
        Err(refused) => return Ok(refused),
    };
    if form.get("prompt").map(String::as_str) == Some("none") {
        return Ok(back(&ask, &[("error", "interaction_required")]));
    }
    Ok(Reply::html(StatusCode::OK, consent::page(&ask, &sim.calendars)))
}

/// `POST /o/oauth2/v2/auth`: the page's form comes back.
pub(crate) fn decide(sim: &mut Sim, call: &Call) -> Outcome {
    let form = form(call);
    let ask = match ask(sim, &form) {
        Ok(ask) => ask,
        Err(refused) => return Ok(refused),
    };
    if form.get("decision").map(String::as_str) != Some("allow") {
        return Ok(back(&ask, &[("error", "access_denied")]));
    }
    let known = form.get("account").filter(|email| sim.calendars.iter().any(|one| one.email == **email));
    let Some(email) = known.cloned() else {
        let page = consent::refusal("invalid_request", "Choose an account first.");
        return Ok(Reply::html(StatusCode::BAD_REQUEST, page));
    };
    let scopes = granted(&ask, call, form.contains_key("granular"));
    let scope = scopes.iter().map(|one| full_name(one)).collect::<Vec<_>>().join(" ");
    let code = Code {
        refreshable: ask.offline && (ask.consent || !sim.auth.is_connected(&email, call.now_ms)),
        email,
        scopes: Arc::new(scopes.iter().map(|one| full_name(one)).collect()),
        redirect_uri: ask.redirect_uri.to_string(),
        challenge: ask.challenge.clone(),
        nonce: ask.nonce.clone(),
        expires_ms: 0,
    };
    let code = sim.auth.issue_code(code, call.now_ms);
    Ok(back(&ask, &[("code", &code), ("scope", &scope)]))
}

/// What the user left ticked; who somebody is cannot be unticked. A form without boxes takes all.
fn granted(ask: &Ask, call: &Call, granular: bool) -> BTreeSet<String> {
    let fields = call.form();
    let ticked = |scope: &String| fields.iter().any(|(key, value)| key == "granted" && value == scope);
    let wanted = ask.scopes.iter();
    wanted.filter(|one| !granular || IDENTITY.contains(&one.as_str()) || ticked(one)).cloned().collect()
}

/// Short names of two scopes stand for longer ones.
fn full_name(scope: &str) -> String {
    match scope {
        "email" | "profile" => format!("{PREFIX}userinfo.{scope}"),
        other => other.to_owned(),
    }
}

fn back(ask: &Ask, fields: &[(&str, &str)]) -> Reply {
    let mut to = ask.redirect_uri.clone();
    if let Some(state) = &ask.state {
        to.query_pairs_mut().append_pair("state", state);
    }
    to.query_pairs_mut().extend_pairs(fields);
    Reply::redirect(to.into())
}

fn ask(sim: &Sim, form: &Form) -> Result<Ask, Reply> {
    let get = |key: &str| form.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let refuse =
        |code: &str, reason: &str| Reply::html(StatusCode::BAD_REQUEST, consent::refusal(code, reason));
    if get("client_id") != Some(sim.settings.client_id.as_str()) {
        return Err(refuse("invalid_client", "The OAuth client was not found."));
    }
    let listed = |uri: &Url| {
        let list = &sim.settings.redirect_uris;
        list.is_empty() || list.iter().any(|known| Url::parse(known).ok().as_ref() == Some(uri))
    };
    let redirect_uri = get("redirect_uri")
        .and_then(|uri| Url::parse(uri).ok())
        .filter(|uri| matches!(uri.scheme(), "http" | "https") && uri.fragment().is_none())
        .filter(listed)
        .ok_or_else(|| {
            refuse("redirect_uri_mismatch", "The redirect URI is not registered for the OAuth client.")
        })?;
    if get("response_type") != Some("code") {
        return Err(refuse("unsupported_response_type", "The response type must be code."));
    }
    let scopes: Vec<String> =
        get("scope").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    if scopes.is_empty() {
        return Err(refuse("invalid_request", "Missing required parameter: scope"));
    }
    let is_known = |scope: &String| {
        IDENTITY.contains(&scope.as_str())
            || scope.strip_prefix(PREFIX).is_some_and(|name| SCOPES.contains(&name))
    };
    if let Some(unknown) = scopes.iter().find(|scope| !is_known(scope)) {
        return Err(refuse("invalid_scope", &format!("Some requested scopes were invalid: {unknown}")));
    }
    let method = get("code_challenge_method").unwrap_or("plain");
    if get("code_challenge").is_some() && !["plain", "S256"].contains(&method) {
        return Err(refuse("invalid_request", "Invalid code challenge method."));
    }
    Ok(Ask {
        client_id: sim.settings.client_id.clone(),
        redirect_uri,
        scopes,
        offline: get("access_type") == Some("offline"),
        consent: get("prompt").is_some_and(|prompt| prompt.split(' ').any(|word| word == "consent")),
        hint: get("login_hint").map(str::to_owned),
        state: get("state").map(str::to_owned),
        nonce: get("nonce").map(str::to_owned),
        challenge: get("code_challenge").map(|text| (method.to_owned(), text.to_owned())),
    })
}

/// `POST /token`
pub(crate) fn token(sim: &mut Sim, call: &Call) -> Outcome {
    let form = form(call);
    let get = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    check_client(sim, call, &form)?;
    match get("grant_type") {
        "authorization_code" => {
            let (issued, nonce) = exchange(sim, &form, call.now_ms)?;
            Reply::ok(&body(sim, &issued, nonce.as_deref(), call.now_ms))
        }
        "refresh_token" => {
            let issued = sim.auth.refresh(get("refresh_token"), call.now_ms);
            let issued = issued.ok_or_else(|| Failure::grant("Token has been expired or revoked."))?;
            Reply::ok(&body(sim, &issued, None, call.now_ms))
        }
        other => {
            let description = format!("Invalid grant_type: {other}");
            Err(Failure::oauth(StatusCode::BAD_REQUEST, "unsupported_grant_type", &description))
        }
    }
}

fn check_client(sim: &Sim, call: &Call, form: &Form) -> Result<(), Failure> {
    let basic = call.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let basic = basic.and_then(|text| base64::engine::general_purpose::STANDARD.decode(text).ok());
    let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok());
    let (id, secret) = match basic.as_deref().and_then(|pair| pair.split_once(':')) {
        Some((id, secret)) => (Some(id), Some(secret)),
        None => (form.get("client_id").map(String::as_str), form.get("client_secret").map(String::as_str)),
    };
    let wrong = |words| Failure::oauth(StatusCode::UNAUTHORIZED, "invalid_client", words);
    if id != Some(sim.settings.client_id.as_str()) {
        return Err(wrong("The OAuth client was not found."));
    }
    if secret != Some(sim.settings.client_secret.as_str()) {
        return Err(wrong("Unauthorized"));
    }
    Ok(())
}

fn exchange(sim: &mut Sim, form: &Form, now_ms: i64) -> Result<(Issued, Option<String>), Failure> {
    let get = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    let code = sim.auth.take_code(get("code"), now_ms);
    let code = code.ok_or_else(|| Failure::grant("Malformed auth code."))?;
    if Url::parse(get("redirect_uri")).ok() != Url::parse(&code.redirect_uri).ok() {
        return Err(Failure::oauth(StatusCode::BAD_REQUEST, "redirect_uri_mismatch", "Bad Request"));
    }
    if let Some((method, challenge)) = &code.challenge {
        let verifier = get("code_verifier");
        if verifier.is_empty() {
            return Err(Failure::grant("Missing code verifier."));
        }
        let answer = match method.as_str() {
            "S256" => URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())),
            _ => verifier.to_owned(),
        };
        if answer != *challenge {
            return Err(Failure::grant("Invalid code verifier."));
        }
    }
    let nonce = code.nonce.clone();
    Ok((sim.auth.open(code, sim.settings.testing, now_ms), nonce))
}

fn body(sim: &Sim, issued: &Issued, nonce: Option<&str>, now_ms: i64) -> Value {
    let scope = issued.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
    let mut body = json!({"access_token": issued.access, "expires_in": ACCESS_TOKEN_S, "scope": scope,
        "token_type": "Bearer"});
    if let Some(refresh) = &issued.refresh {
        body["refresh_token"] = json!(refresh);
    }
    if let Some(left_s) = issued.refresh_expires_s {
        body["refresh_token_expires_in"] = json!(left_s);
    }
    if issued.scopes.contains("openid") {
        body["id_token"] = json!(id_token(sim, issued, nonce, now_ms));
    }
    body
}

/// Who the account is, signed with the client's secret: the simulator has no key of its own.
fn id_token(sim: &Sim, issued: &Issued, nonce: Option<&str>, now_ms: i64) -> String {
    let mut claims = person(sim, &issued.email, &issued.scopes);
    let now_s = now_ms / 1_000;
    claims["iss"] = json!("https://accounts.google.com");
    claims["azp"] = json!(sim.settings.client_id);
    claims["aud"] = json!(sim.settings.client_id);
    claims["iat"] = json!(now_s);
    claims["exp"] = json!(now_s + 3_600);
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    let head = json!({"alg": "HS256", "typ": "JWT"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&head), part(&claims));
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(sim.settings.client_secret.as_bytes()) else {
        return text;
    };
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// `POST /revoke`: either token ends everything that the user granted.
pub(crate) fn revoke(sim: &mut Sim, call: &Call) -> Outcome {
    let form = form(call);
    let token = form.get("token").map(String::as_str).unwrap_or_default();
    let Some(email) = sim.auth.owner(token, call.now_ms) else {
        let words = "Token expired or revoked";
        return Err(Failure::oauth(StatusCode::BAD_REQUEST, "invalid_token", words));
    };
    sim.auth.revoke(Some(&email));
    Reply::ok(&json!({}))
}

/// `GET /tokeninfo` and its older spelling.
pub(crate) fn token_info(sim: &mut Sim, call: &Call) -> Outcome {
    let form = form(call);
    let token = form.get("access_token").map(String::as_str).unwrap_or_default();
    let Some((email, scopes, left_s)) = sim.auth.info(token, call.now_ms) else {
        return Err(Failure::oauth(StatusCode::BAD_REQUEST, "invalid_token", "Invalid Value"));
    };
    let mut body = person(sim, email, scopes);
    body["azp"] = json!(sim.settings.client_id);
    body["aud"] = json!(sim.settings.client_id);
    body["scope"] = json!(scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" "));
    body["expires_in"] = json!(left_s.to_string());
    body["access_type"] = json!("offline");
    Reply::ok(&body)
}

/// What the scopes let be known of an account.
fn person(sim: &Sim, email: &str, scopes: &BTreeSet<String>) -> Value {
    let Some(account) = sim.calendars.iter().find(|one| one.email == email) else { return json!({}) };
    let has = |name: &str| scopes.contains(name) || scopes.contains(&format!("{PREFIX}userinfo.{name}"));
    let mut body = json!({"sub": account.subject});
    if has("email") {
        body["email"] = json!(account.email);
        body["email_verified"] = json!(true);
        body["hd"] = json!(account.email.rsplit('@').next());
    }
    if has("profile") {
        body["name"] = json!(account.name);
        let (given, family) = account.name.split_once(' ').unwrap_or((&account.name, ""));
        body["given_name"] = json!(given);
        body["family_name"] = json!(family);
    }
    body
}

/// `GET /v1/userinfo` and `GET /oauth2/v3/userinfo`: the OpenID Connect spelling.
pub(crate) fn user_info(sim: &mut Sim, call: &Call) -> Outcome {
    let caller = call.caller.as_ref().ok_or_else(Failure::login)?;
    Reply::ok(&person(sim, &caller.email, &caller.scopes))
}

/// `GET /oauth2/v2/userinfo` and `GET /userinfo/v2/me`: the older spelling.
pub(crate) fn user_info_v2(sim: &mut Sim, call: &Call) -> Outcome {
    let caller = call.caller.as_ref().ok_or_else(Failure::login)?;
    let mut body = person(sim, &caller.email, &caller.scopes);
    for (from, to) in [("sub", "id"), ("email_verified", "verified_email")] {
        let value = body.as_object_mut().and_then(|map| map.remove(from));
        if let Some(value) = value {
            body[to] = value;
        }
    }
    Reply::ok(&body)
}
