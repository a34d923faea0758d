//! OAuth: the consent page, the token endpoints, and what a token can be asked and told.

use std::collections::{BTreeSet, HashMap};

use http::StatusCode;
use serde_json::{Value, json};
use url::Url;

use super::auth::{Dead, Issued, ROTATING_S, SCOPES};
use super::call::{Args, Call, Outcome, Reply};
use super::consent::{self, Ask};
use super::errors::Failure;
use super::sim::Sim;
use super::workspace::APP_BOT;

type Form = HashMap<String, String>;

/// `GET /oauth/v2/authorize`: the page where a user picks a workspace and agrees.
pub(crate) fn authorize(sim: &mut Sim, call: &Call) -> Outcome {
    let form: Form = call.query.iter().cloned().collect();
    Ok(match ask(sim, &form) {
        Ok(ask) => Reply::html(StatusCode::OK, consent::page(&ask, &sim.workspaces)),
        Err(reason) => Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason)),
    })
}

/// `POST /oauth/v2/authorize`: the page's form comes back.
pub(crate) fn decide(sim: &mut Sim, call: &Call) -> Outcome {
    let form = call.form();
    let ask = match ask(sim, &form) {
        Ok(ask) => ask,
        Err(reason) => return Ok(Reply::html(StatusCode::BAD_REQUEST, consent::refusal(&reason))),
    };
    let mut to = ask.redirect_uri.clone();
    if form.get("decision").map(String::as_str) == Some("allow") {
        let (team, user) = form.get("by").and_then(|by| by.split_once(' ')).unwrap_or_default();
        let is_one_of_them = sim
            .workspace(team)
            .is_some_and(|workspace| workspace.user(user).is_some_and(super::workspace::User::is_human));
        if !is_one_of_them {
            return Ok(Reply::html(StatusCode::BAD_REQUEST, consent::refusal("Choose a workspace first.")));
        }
        let scopes: BTreeSet<String> = ask.scopes.iter().cloned().collect();
        let sent = Some(ask.redirect_uri.to_string()).filter(|_| ask.redirect_uri_was_sent);
        let code = sim.auth.issue_code((team, user), scopes, sent, call.now_ms);
        to.query_pairs_mut().append_pair("code", &code);
    } else {
        to.query_pairs_mut().append_pair("error", "access_denied");
    }
    to.query_pairs_mut().append_pair("state", ask.state.as_deref().unwrap_or_default());
    Ok(Reply::redirect(to.into()))
}

fn ask(sim: &Sim, form: &Form) -> Result<Ask, String> {
    let get = |key: &str| form.get(key).map(String::as_str).filter(|value| !value.is_empty());
    if get("client_id") != Some(sim.settings.client_id.as_str()) {
        return Err("Invalid client_id parameter.".into());
    }
    let registered = &sim.settings.redirect_urls;
    let sent = get("redirect_uri");
    let redirect_uri = sent
        .or(registered.first().map(String::as_str))
        .and_then(|uri| Url::parse(uri).ok())
        .filter(|uri| matches!(uri.scheme(), "http" | "https"))
        .ok_or("bad_redirect_uri: there is no web address to return to.")?;
    let is_registered = |url: &String| redirect_uri.as_str().starts_with(url.as_str());
    if !registered.is_empty() && !registered.iter().any(is_registered) {
        return Err("redirect_uri did not match any configured URIs.".into());
    }
    let scopes: Vec<String> = get("scope")
        .unwrap_or_default()
        .split([',', ' '])
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    if scopes.is_empty() {
        return Err("No scopes requested.".into());
    }
    if let Some(unknown) = scopes.iter().find(|scope| !SCOPES.contains(&scope.as_str())) {
        return Err(format!("Invalid permissions requested: {unknown}."));
    }
    Ok(Ask {
        client_id: sim.settings.client_id.clone(),
        redirect_uri_was_sent: sent.is_some(),
        redirect_uri,
        scopes,
        state: get("state").map(str::to_owned),
        team: get("team").map(str::to_owned),
    })
}

/// `oauth.v2.access`: tokens for a code or for a refresh token.
pub(crate) fn access(sim: &mut Sim, call: &Call) -> Outcome {
    let args = call.args()?;
    check_client(sim, call, args)?;
    let issued = match args.text("grant_type").as_deref() {
        None | Some("authorization_code") => {
            let code = args.text("code").ok_or_else(|| Failure::named("invalid_code"))?;
            let code = sim.auth.take_code(&code, call.now_ms)?;
            let sent = args.text("redirect_uri").and_then(|uri| Url::parse(&uri).ok()).map(String::from);
            if code.redirect_uri != sent {
                return Err(Failure::named("bad_redirect_uri"));
            }
            let rotate = sim.settings.token_rotation;
            sim.auth.install(code, rotate, call.now_ms)
        }
        Some("refresh_token") => {
            sim.auth.refresh(&args.text("refresh_token").unwrap_or_default(), call.now_ms)?
        }
        Some(_) => return Err(Failure::named("invalid_grant_type")),
    };
    if let Some(workspace) = sim.workspace(&issued.team_id) {
        workspace.welcome(&APP_BOT);
    }
    Reply::ok(token_body(sim, &issued))
}

/// `oauth.v2.exchange`: a standing token for a rotating one.
pub(crate) fn exchange(sim: &mut Sim, call: &Call) -> Outcome {
    let args = call.args()?;
    check_client(sim, call, args)?;
    let token = call.credentials.bearer.clone().or(args.text("token"));
    let token = token.ok_or_else(|| Failure::named("not_authed"))?;
    if !sim.settings.token_rotation {
        return Err(Failure::named("token_rotation_not_enabled"));
    }
    let issued = sim.auth.exchange(&token, call.now_ms)?;
    Reply::ok(token_body(sim, &issued))
}

fn token_body(sim: &mut Sim, issued: &Issued) -> Value {
    let app_id = sim.settings.app_id.clone();
    let name = sim.workspace(&issued.team_id).map(|workspace| workspace.name.clone());
    let scope = issued.install.scopes.iter().cloned().collect::<Vec<_>>().join(",");
    let mut body = json!({
        "access_token": issued.access, "token_type": "bot", "scope": scope, "bot_user_id": APP_BOT.user_id,
        "app_id": app_id, "team": {"name": name, "id": issued.team_id}, "enterprise": null,
        "is_enterprise_install": false, "authed_user": {"id": issued.install.installer},
    });
    if let Some(refresh) = &issued.refresh {
        body["refresh_token"] = json!(refresh);
        body["expires_in"] = json!(ROTATING_S);
    }
    body
}

fn check_client(sim: &Sim, call: &Call, args: &Args) -> Result<(), Failure> {
    let sent = || Some((args.text("client_id")?, args.text("client_secret").unwrap_or_default()));
    let (id, secret) = call.credentials.basic.clone().or_else(sent).unwrap_or_default();
    if id != sim.settings.client_id {
        return Err(Failure::named("invalid_client_id"));
    }
    if secret != sim.settings.client_secret {
        return Err(Failure::named("bad_client_secret"));
    }
    Ok(())
}

/// `auth.test`: who the token is.
pub(crate) fn test(sim: &mut Sim, call: &Call) -> Outcome {
    let caller = call.caller()?.clone();
    let home = sim.home(call)?;
    let mut body = json!({
        "url": format!("https://{}.slack.com/", home.domain), "team": home.name, "user": caller.bot.name,
        "team_id": home.id, "user_id": caller.bot.user_id, "bot_id": caller.bot.bot_id,
        "is_enterprise_install": false,
    });
    if let Some(left_s) = caller.expires_in {
        body["expires_in"] = json!(left_s);
    }
    Reply::ok(body)
}

/// `auth.revoke`: the token ends; with the last one the app is gone from the workspace.
pub(crate) fn revoke(sim: &mut Sim, call: &Call) -> Outcome {
    if call.args()?.flag("test") {
        return Reply::ok(json!({"revoked": false}));
    }
    let token = call.caller()?.token.clone();
    let Some((team, was_last)) = sim.auth.revoke(&token) else {
        return Err(Failure::named("not_allowed_token_type"));
    };
    sim.tell_revoked(&team);
    if was_last {
        sim.tell_uninstalled(&team);
    }
    Reply::ok(json!({"revoked": true}))
}

/// `apps.uninstall`: the app removes itself from the token's workspace.
pub(crate) fn uninstall(sim: &mut Sim, call: &Call) -> Outcome {
    let args = call.args()?;
    check_client(sim, call, args)?;
    let token = call.credentials.bearer.clone().or(args.text("token"));
    let caller = sim.auth.caller(token.as_deref(), call.now_ms)?;
    sim.remove_app(&caller.team_id, Dead::AccountInactive);
    Reply::ok(json!({}))
}

impl Sim {
    /// The app is removed from a workspace: its tokens are dead, its bot is gone, and it is told so.
    pub(crate) fn remove_app(&mut self, team: &str, why: Dead) -> usize {
        let ended = self.auth.end(team, why);
        if ended > 0 {
            self.tell_revoked(team);
            self.tell_uninstalled(team);
        }
        ended
    }

    pub(crate) fn tell_revoked(&mut self, team: &str) {
        let event = json!({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [APP_BOT.user_id]}});
        self.tell(team, event);
    }

    fn tell_uninstalled(&mut self, team: &str) {
        if let Some(workspace) = self.workspace(team) {
            workspace.part(&APP_BOT);
        }
        self.tell(team, json!({"type": "app_uninstalled"}));
    }
}
