//! The identity platform: consent, the token endpoint, the consent of an administrator, discovery.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use rand::Rng;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::TENANT_ID;
use super::auth::{Grant, Issued, SCOPES};
use super::call::{Call, Outcome, Reply};
use super::consent::{self, Ask};
use super::errors::{Failure, aadsts};
use super::sim::Sim;

pub(crate) type Form = HashMap<String, String>;

/// The prefix under which Graph's scopes may be spelled.
const GRAPH: &str = "https://graph.microsoft.com/";

/// `GET /{tenant}/oauth2/v2.0/authorize`: the page where a user signs in and agrees.
pub(crate) fn authorize(sim: &mut Sim, call: &Call) -> Outcome {
    let form: Form = call.query.iter().cloned().collect();
    Ok(match ask(sim, call, &form) {
        Ok(ask) => {
            let needs_admin = sim.dials.admin_consent_required && !sim.auth.admin_consent;
            Reply::html(StatusCode::OK, consent::page(&ask, sim.people(), needs_admin))
        }
        Err(Refusal::Page(reason)) => Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason)),
        Err(Refusal::Redirect(to)) => Reply::redirect(to),
    })
}

/// `POST /{tenant}/oauth2/v2.0/authorize`: the page's form comes back.
pub(crate) fn decide(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    let ask = match ask(sim, call, &form) {
        Ok(ask) => ask,
        Err(Refusal::Page(reason)) => {
            return Ok(Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason)));
        }
        Err(Refusal::Redirect(to)) => return Ok(Reply::redirect(to)),
    };
    if form.get("decision").map(String::as_str) != Some("accept") {
        return Ok(Reply::redirect(refuse(&ask, 65_004)));
    }
    if sim.dials.admin_consent_required && !sim.auth.admin_consent {
        return Ok(Reply::redirect(refuse(&ask, 90_094)));
    }
    let wanted = form.get("user").map(String::as_str).unwrap_or_default();
    let Some(person) = sim.person_at(wanted) else {
        return Ok(Reply::html(StatusCode::BAD_REQUEST, consent::refusal("Pick an account first.")));
    };
    if sim.boxes[person].person.disabled {
        return Ok(Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&aadsts(50_057).1)));
    }
    let limit = sim.dials.scopes_granted.as_ref();
    let granted: BTreeSet<String> =
        ask.scopes.iter().filter(|scope| limit.is_none_or(|limit| limit.contains(scope))).cloned().collect();
    let grant = Grant { person, scopes: Arc::new(granted), ended: None };
    let uri = ask.redirect_uri.as_str();
    let code = sim.auth.issue_code(grant, uri, ask.nonce.clone(), ask.challenge.clone(), call.now_ms);
    let session = uuid::Uuid::new_v4().to_string();
    Ok(Reply::redirect(back(&ask, &[("code", &code), ("session_state", &session)])))
}

enum Refusal {
    /// What is wrong is told to the user: where to send them is not known.
    Page(String),
    Redirect(String),
}

fn ask(sim: &Sim, call: &Call, form: &Form) -> Result<Ask, Refusal> {
    let get = |key: &str| form.get(key).map(String::as_str).filter(|value| !value.is_empty());
    let page = |code: u32| Refusal::Page(aadsts(code).1);
    if !is_tenant(call.param("tenant")) {
        return Err(page(90_002));
    }
    if get("client_id") != Some(sim.settings.client_id.as_str()) {
        return Err(page(700_016));
    }
    let redirect_uri = get("redirect_uri")
        .and_then(|uri| Url::parse(uri).ok())
        .filter(|uri| matches!(uri.scheme(), "http" | "https"))
        .ok_or_else(|| page(50_011))?;
    let method = get("code_challenge_method").unwrap_or("plain");
    let ask = Ask {
        action: call.path.clone(),
        client_id: sim.settings.client_id.clone(),
        redirect_uri,
        scopes: get("scope").unwrap_or_default().split_whitespace().map(short).collect(),
        state: get("state").map(str::to_owned),
        nonce: get("nonce").map(str::to_owned),
        login_hint: get("login_hint").map(str::to_owned),
        challenge: get("code_challenge").map(|text| (text.to_owned(), method == "S256")),
    };
    if get("response_type") != Some("code") || !matches!(method, "S256" | "plain") {
        return Err(Refusal::Redirect(
            refuse(&ask, 90_033).replace("temporarily_unavailable", "invalid_request"),
        ));
    }
    if ask.scopes.is_empty() || ask.scopes.iter().any(|scope| !is_scope(scope)) {
        return Err(Refusal::Redirect(refuse(&ask, 70_011)));
    }
    if get("prompt") == Some("none") {
        return Err(Refusal::Redirect(refuse(&ask, 50_076)));
    }
    Ok(ask)
}

/// The tenant's id or domain, or one of the words that stand for any tenant with work accounts.
fn is_tenant(tenant: &str) -> bool {
    [TENANT_ID, super::DOMAIN, "common", "organizations"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(tenant))
}

fn short(scope: &str) -> String {
    scope.strip_prefix(GRAPH).unwrap_or(scope).to_owned()
}

fn is_scope(scope: &str) -> bool {
    scope == ".default" || SCOPES.contains(&scope)
}

fn back(ask: &Ask, pairs: &[(&str, &str)]) -> String {
    let mut to = ask.redirect_uri.clone();
    to.query_pairs_mut().extend_pairs(pairs);
    if let Some(state) = &ask.state {
        to.query_pairs_mut().append_pair("state", state);
    }
    to.into()
}

fn refuse(ask: &Ask, code: u32) -> String {
    let (error, description) = aadsts(code);
    back(ask, &[("error", error), ("error_description", &description)])
}

/// `GET /{tenant}/v2.0/adminconsent`: the page where an administrator agrees for everybody.
pub(crate) fn admin_consent(sim: &mut Sim, call: &Call) -> Outcome {
    let form: Form = call.query.iter().cloned().collect();
    Ok(match admin_ask(sim, call, &form) {
        Ok(ask) => Reply::html(StatusCode::OK, consent::admin_page(&ask)),
        Err(reason) => Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason)),
    })
}

/// `POST /{tenant}/v2.0/adminconsent`: that page's form comes back.
pub(crate) fn decide_admin_consent(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    let ask = match admin_ask(sim, call, &form) {
        Ok(ask) => ask,
        Err(reason) => return Ok(Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason))),
    };
    if form.get("decision").map(String::as_str) != Some("accept") {
        return Ok(Reply::redirect(refuse(&ask, 65_004)));
    }
    sim.auth.admin_consent = true;
    sim.auth.touched = true;
    let scope = ask.scopes.join(" ");
    let pairs = [("admin_consent", "True"), ("tenant", TENANT_ID), ("scope", &scope)];
    Ok(Reply::redirect(back(&ask, &pairs)))
}

fn admin_ask(sim: &Sim, call: &Call, form: &Form) -> Result<Ask, String> {
    let mut form = form.clone();
    form.insert("response_type".to_owned(), "code".to_owned());
    form.entry("scope".to_owned()).or_insert_with(|| ".default".to_owned());
    ask(sim, call, &form).map_err(|refusal| match refusal {
        Refusal::Page(reason) => reason,
        Refusal::Redirect(_) => aadsts(70_011).1,
    })
}

/// `POST /{tenant}/oauth2/v2.0/token`
pub(crate) fn token(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    let refused = |code: u32| Failure::aadsts(code, call.now_ms);
    let get = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    if !is_tenant(call.param("tenant")) {
        return Err(refused(90_002));
    }
    check_client(sim, call, &form).map_err(refused)?;
    let lives_s = match sim.settings.access_token_s {
        Some(seconds) => seconds,
        None => sim.rng.random_range(3_600..5_400),
    };
    let (issued, nonce) = match get("grant_type") {
        "authorization_code" => exchange(sim, &form, lives_s, call.now_ms).map_err(refused)?,
        "refresh_token" => {
            let grace_ms = sim.settings.refresh_grace_s.map(|seconds| seconds.saturating_mul(1_000));
            let issued = sim.auth.refresh(get("refresh_token"), grace_ms, lives_s, call.now_ms);
            (issued.map_err(refused)?, None)
        }
        _ => return Err(refused(70_003)),
    };
    let wanted: Vec<String> = get("scope").split_whitespace().map(short).collect();
    if wanted.iter().any(|scope| !is_scope(scope)) {
        return Err(refused(70_011));
    }
    if wanted.iter().any(|scope| scope != ".default" && !issued.grant.scopes.contains(scope)) {
        return Err(refused(65_001));
    }
    Reply::ok(&token_body(sim, &issued, nonce.as_deref(), call))
}

fn exchange(sim: &mut Sim, form: &Form, lives_s: i64, now_ms: i64) -> Result<(Issued, Option<String>), u32> {
    let get = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    let code = sim.auth.take_code(get("code"), now_ms)?;
    if Url::parse(get("redirect_uri")).ok() != Url::parse(&code.redirect_uri).ok() {
        return Err(50_011);
    }
    if let Some((challenge, hashed)) = &code.challenge {
        let verifier = get("code_verifier");
        let hash = || URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let answer = if *hashed { hash() } else { verifier.to_owned() };
        if answer != *challenge {
            return Err(50_148);
        }
    }
    Ok((sim.auth.open_grant(code.grant, lives_s, now_ms), code.nonce))
}

/// The client by its id and secret, in the body or in the header.
fn check_client(sim: &Sim, call: &Call, form: &Form) -> Result<(), u32> {
    let header = call.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    let pair = header.and_then(|text| String::from_utf8(STANDARD.decode(text).ok()?).ok());
    let pair = pair.as_deref().and_then(|pair| pair.split_once(':'));
    let of_form = |key: &str| form.get(key).map(String::as_str);
    let id = of_form("client_id").or(pair.map(|pair| pair.0));
    let secret = of_form("client_secret").or(pair.map(|pair| pair.1));
    if id != Some(sim.settings.client_id.as_str()) {
        return Err(700_016);
    }
    if secret != Some(sim.settings.client_secret.as_str()) {
        return Err(7_000_215);
    }
    Ok(())
}

fn token_body(sim: &Sim, issued: &Issued, nonce: Option<&str>, call: &Call) -> Value {
    let scopes = issued.grant.scopes.iter().filter(|scope| *scope != "offline_access");
    let scope: Vec<&str> = scopes.map(String::as_str).collect();
    let mut body = json!({
        "token_type": "Bearer", "scope": scope.join(" "), "expires_in": issued.expires_s,
        "ext_expires_in": issued.expires_s, "access_token": issued.access,
    });
    if let Some(refresh) = &issued.refresh {
        body["refresh_token"] = json!(refresh);
    }
    if issued.grant.scopes.contains("openid") {
        body["id_token"] = json!(id_token(sim, issued, nonce, call));
    }
    body
}

/// Who signed in, signed with the app's secret.
fn id_token(sim: &Sim, issued: &Issued, nonce: Option<&str>, call: &Call) -> String {
    let person = &sim.boxes[issued.grant.person].person;
    let now_s = call.now_ms / 1_000;
    let claims = json!({
        "aud": sim.settings.client_id, "iss": format!("{}/{TENANT_ID}/v2.0", call.origin), "iat": now_s,
        "nbf": now_s, "exp": now_s + issued.expires_s, "name": person.name, "nonce": nonce, "oid": person.id,
        "preferred_username": person.address, "email": person.address, "sub": person.id, "tid": TENANT_ID,
        "ver": "2.0",
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"typ": "JWT", "alg": "HS256"})), part(&claims));
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(sim.settings.client_secret.as_bytes()) else {
        return text;
    };
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// `GET /{tenant}/v2.0/.well-known/openid-configuration`
pub(crate) fn discovery(_sim: &mut Sim, call: &Call) -> Outcome {
    if !is_tenant(call.param("tenant")) {
        return Err(Failure::aadsts(90_002, call.now_ms));
    }
    let base = format!("{}/{}", call.origin, call.param("tenant"));
    Reply::ok(&json!({
        "issuer": format!("{}/{TENANT_ID}/v2.0", call.origin),
        "authorization_endpoint": format!("{base}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/oauth2/v2.0/token"),
        "response_types_supported": ["code"], "response_modes_supported": ["query"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "subject_types_supported": ["pairwise"], "id_token_signing_alg_values_supported": ["HS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "msgraph_host": call.origin,
    }))
}
