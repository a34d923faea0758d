//! Installations and tokens: which bot may act in which workspace with which scopes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

use super::errors::Failure;
use super::workspace::{APP_BOT, TOOL_BOT};

/// Seconds that a rotating token lives.
pub(crate) const ROTATING_S: i64 = 43_200;
/// Milliseconds an authorization code lives.
const CODE_MS: i64 = 600_000;
/// How long a dead token is still recognized.
const REMEMBER_MS: i64 = 86_400_000;

/// Every scope the simulator knows.
pub(crate) const SCOPES: [&str; 19] = [
    "channels:history",
    "channels:join",
    "channels:read",
    "chat:write",
    "chat:write.public",
    "commands",
    "app_mentions:read",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "incoming-webhook",
    "mpim:read",
    "reactions:write",
    "team:read",
    "users.profile:read",
    "users:read",
    "users:read.email",
];

/// Whoever holds the token of a call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) team_id: String,
    pub(crate) bot: &'static Bot,
    pub(crate) scopes: Arc<BTreeSet<String>>,
    pub(crate) token: String,
    pub(crate) expires_in: Option<i64>,
}

/// A bot: an app in the shape of a user.
#[derive(Debug)]
pub(crate) struct Bot {
    pub(crate) user_id: &'static str,
    pub(crate) bot_id: &'static str,
    pub(crate) name: &'static str,
}

/// Why a token is no good any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Dead {
    /// The token was revoked.
    TokenRevoked,
    /// The app was removed from the workspace.
    AccountInactive,
}

/// The app in a workspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Install {
    pub(crate) installer: String,
    pub(crate) scopes: BTreeSet<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Token {
    team_id: String,
    expires_ms: Option<i64>,
    dead: Option<Dead>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Refresh {
    team_id: String,
    used: bool,
}

/// An authorization code on its way to the token endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) team_id: String,
    pub(crate) user_id: String,
    pub(crate) scopes: BTreeSet<String>,
    pub(crate) redirect_uri: Option<String>,
    expires_ms: i64,
    used: bool,
}

/// What a token request is answered with.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) team_id: String,
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    pub(crate) install: Install,
}

/// Every installation, code and token.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Auth {
    installs: HashMap<String, Install>,
    codes: HashMap<String, Code>,
    tokens: HashMap<String, Token>,
    refresh: HashMap<String, Refresh>,
    /// The long-lived token for outside tools, with its workspace.
    pub(crate) tool: Option<(String, String)>,
    #[serde(skip)]
    pub(crate) touched: bool,
}

impl Auth {
    pub(crate) fn issue_code(
        &mut self,
        (team_id, user_id): (&str, &str),
        scopes: BTreeSet<String>,
        redirect_uri: Option<String>,
        now_ms: i64,
    ) -> String {
        self.touched = true;
        self.codes.retain(|_, code| code.expires_ms > now_ms - REMEMBER_MS);
        let code = format!("{}.{}", now_ms, secret(48));
        let (team_id, user_id, expires_ms) = (team_id.to_owned(), user_id.to_owned(), now_ms + CODE_MS);
        self.codes
            .insert(code.clone(), Code { team_id, user_id, scopes, redirect_uri, expires_ms, used: false });
        code
    }

    /// Takes a code: it works once, whatever comes of it.
    pub(crate) fn take_code(&mut self, code: &str, now_ms: i64) -> Result<Code, Failure> {
        self.touched = true;
        let found = self.codes.get_mut(code).filter(|code| code.expires_ms > now_ms);
        let found = found.ok_or_else(|| Failure::named("invalid_code"))?;
        if std::mem::replace(&mut found.used, true) {
            return Err(Failure::named("code_already_used"));
        }
        Ok(found.clone())
    }

    /// Installs the app, or adds to what it may. Without rotation a workspace has one token, which stays.
    pub(crate) fn install(&mut self, code: Code, rotate: bool, now_ms: i64) -> Issued {
        self.touched = true;
        let installer = code.user_id.clone();
        let install = self
            .installs
            .entry(code.team_id.clone())
            .or_insert_with(|| Install { installer, scopes: BTreeSet::new() });
        install.installer = code.user_id;
        install.scopes.extend(code.scopes);
        let standing = self.tokens.iter().find(|(_, token)| {
            token.team_id == code.team_id && token.dead.is_none() && token.expires_ms.is_none()
        });
        match standing.map(|(access, _)| access.clone()) {
            Some(access) if !rotate => {
                let install = self.installs[&code.team_id].clone();
                Issued { team_id: code.team_id, access, refresh: None, install }
            }
            _ => self.issue(code.team_id, rotate, now_ms),
        }
    }

    fn issue(&mut self, team_id: String, rotate: bool, now_ms: i64) -> Issued {
        self.touched = true;
        self.tokens.retain(|_, token| token.expires_ms.is_none_or(|at| at > now_ms - REMEMBER_MS));
        let kind = if rotate { "xoxe.xoxb-1-" } else { "xoxb-" };
        let access = format!("{kind}{}", secret(if rotate { 160 } else { 48 }));
        let refresh = rotate.then(|| format!("xoxe-1-{}", secret(146)));
        let expires_ms = rotate.then_some(now_ms + ROTATING_S * 1_000);
        self.tokens.insert(access.clone(), Token { team_id: team_id.clone(), expires_ms, dead: None });
        if let Some(refresh) = &refresh {
            self.refresh.insert(refresh.clone(), Refresh { team_id: team_id.clone(), used: false });
        }
        let install = self.installs[&team_id].clone();
        Issued { team_id, access, refresh, install }
    }

    /// Gives new tokens for a refresh token, which works once. The newest two access tokens live on.
    pub(crate) fn refresh(&mut self, token: &str, now_ms: i64) -> Result<Issued, Failure> {
        let invalid = || Failure::named("invalid_refresh_token");
        let found = self.refresh.get_mut(token).filter(|found| !found.used).ok_or_else(invalid)?;
        if !self.installs.contains_key(&found.team_id) {
            return Err(invalid());
        }
        found.used = true;
        let team_id = found.team_id.clone();
        let issued = self.issue(team_id, true, now_ms);
        let mut live: Vec<(i64, String)> = self
            .tokens
            .iter()
            .filter(|(_, token)| token.team_id == issued.team_id && token.dead.is_none())
            .filter_map(|(access, token)| Some((token.expires_ms?, access.clone())))
            .filter(|(_, access)| *access != issued.access)
            .collect();
        live.sort();
        live.pop();
        for (_, access) in live {
            self.tokens.entry(access).and_modify(|token| token.dead = Some(Dead::TokenRevoked));
        }
        Ok(issued)
    }

    /// Exchanges a standing token for a rotating one, once and for all.
    pub(crate) fn exchange(&mut self, token: &str, now_ms: i64) -> Result<Issued, Failure> {
        let found = self.tokens.get_mut(token).filter(|found| found.dead.is_none());
        let found = found.ok_or_else(|| Failure::named("invalid_auth"))?;
        if found.expires_ms.is_some() {
            return Err(Failure::named("token_already_exchanged"));
        }
        found.dead = Some(Dead::TokenRevoked);
        let team_id = found.team_id.clone();
        Ok(self.issue(team_id, true, now_ms))
    }

    /// The long-lived token with every scope; the same one after a restart.
    pub(crate) fn tool_token(&mut self, team_id: &str) -> String {
        self.touched = true;
        let make = || (format!("xoxb-tool-{}", secret(40)), team_id.to_owned());
        self.tool.get_or_insert_with(make).0.clone()
    }

    pub(crate) fn caller(&self, token: Option<&str>, now_ms: i64) -> Result<Caller, Failure> {
        let token = token.ok_or_else(|| Failure::named("not_authed"))?;
        if let Some((tool, team_id)) = &self.tool
            && tool == token
        {
            let scopes = Arc::new(SCOPES.iter().map(|scope| (*scope).to_owned()).collect());
            let team_id = team_id.clone();
            return Ok(Caller { team_id, bot: &TOOL_BOT, scopes, token: token.to_owned(), expires_in: None });
        }
        let found = self.tokens.get(token).ok_or_else(|| Failure::named("invalid_auth"))?;
        match found.dead {
            Some(Dead::TokenRevoked) => return Err(Failure::named("token_revoked")),
            Some(Dead::AccountInactive) => return Err(Failure::named("account_inactive")),
            None => {}
        }
        if found.expires_ms.is_some_and(|at| at <= now_ms) {
            return Err(Failure::named("token_expired"));
        }
        let install = self.installs.get(&found.team_id);
        let install = install.ok_or_else(|| Failure::named("account_inactive"))?;
        Ok(Caller {
            team_id: found.team_id.clone(),
            bot: &APP_BOT,
            scopes: Arc::new(install.scopes.clone()),
            token: token.to_owned(),
            expires_in: found.expires_ms.map(|at| (at - now_ms) / 1_000),
        })
    }

    pub(crate) fn install_of(&self, team_id: &str) -> Option<&Install> {
        self.installs.get(team_id)
    }

    /// Ends one token. Whether it was the last of its workspace, which ends the installation.
    pub(crate) fn revoke(&mut self, token: &str) -> Option<(String, bool)> {
        self.touched = true;
        let found = self.tokens.get_mut(token)?;
        found.dead = Some(Dead::TokenRevoked);
        let team_id = found.team_id.clone();
        let lives = self.tokens.values().any(|token| token.team_id == team_id && token.dead.is_none());
        if !lives {
            self.installs.remove(&team_id);
        }
        Some((team_id, !lives))
    }

    /// Ends every token of a workspace; without its tokens the app is gone from it.
    pub(crate) fn end(&mut self, team_id: &str, why: Dead) -> usize {
        self.touched = true;
        self.installs.remove(team_id);
        self.refresh.retain(|_, refresh| refresh.team_id != team_id);
        let live = self.tokens.values_mut().filter(|token| token.team_id == team_id && token.dead.is_none());
        live.map(|token| token.dead = Some(why)).count()
    }

    /// Rotating tokens expire now.
    pub(crate) fn expire(&mut self, now_ms: i64) -> usize {
        self.touched = true;
        let ends = self.tokens.values_mut().filter_map(|token| token.expires_ms.as_mut());
        ends.filter(|at| **at > now_ms).map(|at| *at = now_ms).count()
    }
}

pub(crate) fn secret(length: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), length)
}
