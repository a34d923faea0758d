//! OAuth: the consent page, the token endpoints and token information.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use super::auth::{ACCESS_TOKEN_S, APP_ID, Bad, Grant, Issued, SCOPES};
use super::call::{Call, Outcome, Reply};
use super::consent::{self, Ask};
use super::errors::Failure;
use super::pipelines::OWNERS;
use super::sim::Sim;
use super::{Settings, Tier};

type Form = HashMap<String, String>;

/// `GET /oauth/authorize`: the page where a user picks a portal and agrees.
pub(crate) fn authorize(sim: &mut Sim, call: &Call) -> Outcome {
    let form: Form = call.query.iter().cloned().collect();
    Ok(match ask(sim, &form) {
        Ok(ask) => Reply::html(StatusCode::OK, consent::page(&ask, &sim.portals)),
        Err(reason) => Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason)),
    })
}

/// `POST /oauth/authorize`: the page's form comes back.
pub(crate) fn decide(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    let ask = match ask(sim, &form) {
        Ok(ask) => ask,
        Err(reason) => return Ok(Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason))),
    };
    let mut to = ask.redirect_uri.clone();
    if form.get("decision").map(String::as_str) == Some("connect") {
        let wanted = form.get("portal_id").and_then(|id| id.parse().ok());
        let Some(portal) = sim.portals.iter().find(|portal| Some(portal.id) == wanted) else {
            return Ok(Reply::html(StatusCode::BAD_REQUEST, consent::refusal("Choose an account first.")));
        };
        let owner = &OWNERS[0];
        let grant = Grant {
            portal_id: portal.id,
            user_id: owner.user_id,
            user: owner.email(),
            scopes: Arc::new(granted(sim, &ask)),
            revoked: false,
        };
        let code = sim.auth.issue_code(grant, ask.redirect_uri.as_str(), ask.challenge.clone(), call.now_ms);
        to.query_pairs_mut().append_pair("code", &code);
    } else {
        to.query_pairs_mut()
            .append_pair("error", "access_denied")
            .append_pair("error_description", "The user denied access to the app.");
    }
    if let Some(state) = &ask.state {
        to.query_pairs_mut().append_pair("state", state);
    }
    Ok(Reply::redirect(to.into()))
}

fn ask(sim: &Sim, form: &Form) -> Result<Ask, String> {
    let get = |key: &str| form.get(key).map(String::as_str).filter(|value| !value.is_empty());
    if get("client_id") != Some(sim.settings.client_id.as_str()) {
        return Err("We couldn't find an app with this client ID.".into());
    }
    let redirect_uri = get("redirect_uri")
        .and_then(|uri| Url::parse(uri).ok())
        .filter(|uri| matches!(uri.scheme(), "http" | "https"))
        .ok_or("The redirect URL is missing or not a web address.")?;
    let scopes = scope_list(get("scope"));
    if scopes.is_empty() {
        return Err("The app asks for no scopes.".into());
    }
    if let Some(unknown) = scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(format!("The scope {unknown} does not exist."));
    }
    if let Some(scope) = scopes.iter().find(|scope| !tier_has(&sim.settings, scope)) {
        return Err(format!("Your account's subscription does not include what {scope} gives access to."));
    }
    let challenge = get("code_challenge").map(str::to_owned);
    if challenge.is_some() && get("code_challenge_method") != Some("S256") {
        return Err("The only code challenge method is S256.".into());
    }
    Ok(Ask {
        client_id: sim.settings.client_id.clone(),
        redirect_uri,
        scopes,
        optional: scope_list(get("optional_scope")),
        state: get("state").map(str::to_owned),
        challenge,
    })
}

fn scope_list(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

fn tier_has(settings: &Settings, scope: &str) -> bool {
    settings.tier == Tier::Enterprise || !scope.contains(".custom.")
}

/// What consent yields: optional scopes only as far as the subscription has them.
fn granted(sim: &Sim, ask: &Ask) -> BTreeSet<String> {
    let optional = ask.optional.iter().filter(|scope| SCOPES.contains(&scope.as_str()));
    let all = ask.scopes.iter().chain(optional.filter(|scope| tier_has(&sim.settings, scope)));
    let allowed =
        |scope: &&String| sim.dials.scopes_granted.as_ref().is_none_or(|granted| granted.contains(*scope));
    let mut scopes: BTreeSet<String> = all.filter(allowed).cloned().collect();
    scopes.insert("oauth".to_owned());
    scopes
}

/// `POST /oauth/v1/token`
pub(crate) fn token_v1(sim: &mut Sim, call: &Call) -> Outcome {
    let mut form = call.form();
    for (key, value) in &call.query {
        form.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let issued = exchange(sim, &form, call.now_ms, false)?;
    Reply::ok(&token_body(&issued))
}

/// `POST /oauth/v3/token` and its date-based spelling.
pub(crate) fn token_v3(sim: &mut Sim, call: &Call) -> Outcome {
    if !call.query.is_empty() {
        return Err(Failure::oauth("BAD_REQUEST", "parameters must be sent in the request body", true));
    }
    let issued = exchange(sim, &call.form(), call.now_ms, true)?;
    let mut body = token_body(&issued);
    body["hub_id"] = json!(issued.grant.portal_id);
    body["user_id"] = json!(issued.grant.user_id);
    body["scopes"] = json!(issued.grant.scopes);
    body["token_use"] = json!("access_token");
    Reply::ok(&body)
}

fn token_body(issued: &Issued) -> Value {
    json!({"token_type": "bearer", "refresh_token": issued.refresh, "access_token": issued.access,
           "expires_in": ACCESS_TOKEN_S})
}

fn exchange(sim: &mut Sim, form: &Form, now_ms: i64, newer: bool) -> Result<Issued, Failure> {
    let fail = |status, message| Failure::oauth(status, message, newer);
    let get = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    check_client(sim, form, newer)?;
    match get("grant_type") {
        "authorization_code" => exchange_code(sim, form, now_ms, newer),
        "refresh_token" => {
            let (rotate, reject) = (sim.settings.rotate_refresh_token, sim.settings.reject_rotated);
            sim.auth
                .refresh(get("refresh_token"), rotate, reject, now_ms)
                .map_err(|_| fail("BAD_REFRESH_TOKEN", "missing or invalid refresh token"))
        }
        _ => Err(fail("BAD_GRANT_TYPE", "missing or unknown grant type")),
    }
}

fn exchange_code(sim: &mut Sim, form: &Form, now_ms: i64, newer: bool) -> Result<Issued, Failure> {
    let fail = |status, message| Failure::oauth(status, message, newer);
    let get = |key: &str| form.get(key).map(String::as_str).unwrap_or_default();
    if get("redirect_uri").is_empty() {
        return Err(fail("BAD_REDIRECT_URI", "missing or invalid redirect uri"));
    }
    let code = sim.auth.take_code(get("code"), now_ms).map_err(|bad| match bad {
        Bad::Expired => fail("EXPIRED_AUTH_CODE", "the auth code has expired"),
        Bad::Unknown | Bad::Mismatch => fail("BAD_AUTH_CODE", "missing or unknown auth code"),
    })?;
    if Url::parse(get("redirect_uri")).ok() != Url::parse(&code.redirect_uri).ok() {
        return Err(fail(
            "MISMATCH_REDIRECT_URI_AUTH_CODE",
            "redirect URI doesn't match the one used to obtain the auth code",
        ));
    }
    if let Some(challenge) = &code.challenge {
        let answer = URL_SAFE_NO_PAD.encode(Sha256::digest(get("code_verifier").as_bytes()));
        if answer != *challenge {
            return Err(fail("BAD_AUTH_CODE", "the code verifier doesn't match the code challenge"));
        }
    }
    Ok(sim.auth.open_grant(code.grant, now_ms))
}

fn check_client(sim: &Sim, form: &Form, newer: bool) -> Result<(), Failure> {
    if form.get("client_id") != Some(&sim.settings.client_id) {
        return Err(Failure::oauth("BAD_CLIENT_ID", "missing or unknown client id", newer));
    }
    if form.get("client_secret") != Some(&sim.settings.client_secret) {
        return Err(Failure::oauth("BAD_CLIENT_SECRET", "missing or invalid client secret", newer));
    }
    Ok(())
}

/// `GET /oauth/v1/access-tokens/{token}`
pub(crate) fn access_token_info(sim: &mut Sim, call: &Call) -> Outcome {
    let token = call.param("token");
    let Some((grant, left_s)) = sim.auth.access_info(token, call.now_ms) else {
        return Err(Failure::not_found("access token not found or expired"));
    };
    Reply::ok(&json!({
        "token": token, "user": grant.user, "hub_domain": hub_domain(sim, grant.portal_id),
        "scopes": grant.scopes, "hub_id": grant.portal_id, "app_id": APP_ID, "expires_in": left_s,
        "user_id": grant.user_id, "token_type": "access", "is_private_distribution": false,
    }))
}

/// `GET /oauth/v1/refresh-tokens/{token}`
pub(crate) fn refresh_token_info(sim: &mut Sim, call: &Call) -> Outcome {
    let token = call.param("token");
    let Some(grant) = sim.auth.refresh_info(token, sim.settings.reject_rotated) else {
        return Err(Failure::not_found("refresh token not found"));
    };
    Reply::ok(&json!({
        "token": token, "user": grant.user, "hub_domain": hub_domain(sim, grant.portal_id),
        "scopes": grant.scopes, "hub_id": grant.portal_id, "client_id": sim.settings.client_id,
        "user_id": grant.user_id, "token_type": "refresh",
    }))
}

/// `DELETE /oauth/v1/refresh-tokens/{token}`
pub(crate) fn delete_refresh_token(sim: &mut Sim, call: &Call) -> Outcome {
    if sim.auth.drop_refresh(call.param("token")) {
        return Reply::empty();
    }
    Err(Failure::not_found("refresh token not found"))
}

/// `POST /oauth/v3/token/introspect`
pub(crate) fn introspect(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    check_client(sim, &form, true)?;
    let token = form.get("token").map(String::as_str).unwrap_or_default();
    let access = sim.auth.access_info(token, call.now_ms).map(|(grant, left_s)| (grant, Some(left_s)));
    let found = access
        .or_else(|| sim.auth.refresh_info(token, sim.settings.reject_rotated).map(|grant| (grant, None)));
    let Some((grant, left_s)) = found else { return Reply::ok(&json!({"active": false})) };
    let token_use = if left_s.is_some() { "access_token" } else { "refresh_token" };
    Reply::ok(&json!({
        "active": true, "hub_id": grant.portal_id, "hub_domain": hub_domain(sim, grant.portal_id),
        "app_id": APP_ID, "client_id": sim.settings.client_id, "scopes": grant.scopes,
        "expires_in": left_s, "user": grant.user, "user_id": grant.user_id, "token_use": token_use,
    }))
}

/// `POST /oauth/v3/token/revoke`
pub(crate) fn revoke(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    check_client(sim, &form, true)?;
    let token = form.get("token").map(String::as_str).unwrap_or_default();
    let _known = sim.auth.drop_refresh(token) || sim.auth.drop_access(token);
    Reply::empty()
}

fn hub_domain(sim: &Sim, portal_id: u64) -> String {
    sim.portals.iter().find(|portal| portal.id == portal_id).map(|portal| portal.domain()).unwrap_or_default()
}
