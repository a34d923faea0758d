//! Codes and tokens: who may call on behalf of which account with which scopes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::errors::Failure;

/// Seconds an access token lives.
pub(crate) const ACCESS_TOKEN_S: i64 = 3_599;
/// Milliseconds an authorization code lives.
const CODE_MS: i64 = 600_000;
/// What a refresh token of an app in testing lives.
const TESTING_MS: i64 = 7 * 86_400_000;
/// After so long without use a refresh token is dead.
const UNUSED_MS: i64 = 183 * 86_400_000;
/// Live refresh tokens of an account; the oldest goes when there is one more.
const REFRESH_MOST: usize = 100;

pub(crate) const PREFIX: &str = "https://www.googleapis.com/auth/";

/// Scopes about who somebody is; refresh tokens of these alone never end early.
pub(crate) const IDENTITY: [&str; 5] = [
    "openid",
    "email",
    "profile",
    "https://www.googleapis.com/auth/userinfo.email",
    "https://www.googleapis.com/auth/userinfo.profile",
];

/// Every other scope the simulator knows, without its prefix.
pub(crate) const SCOPES: [&str; 15] = [
    "calendar",
    "calendar.readonly",
    "calendar.calendars",
    "calendar.calendars.readonly",
    "calendar.calendarlist",
    "calendar.calendarlist.readonly",
    "calendar.events",
    "calendar.events.readonly",
    "calendar.events.owned",
    "calendar.events.owned.readonly",
    "meetings.space.readonly",
    "meetings.space.created",
    "meetings.space.settings",
    "documents.readonly",
    "drive.meet.readonly",
];

pub(crate) type Scopes = Arc<BTreeSet<String>>;

/// Whoever holds the token of a call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) email: String,
    pub(crate) scopes: Scopes,
}

impl Caller {
    /// Whether one of these, without their prefix, was granted.
    pub(crate) fn has(&self, any: &[&str]) -> bool {
        any.iter().any(|scope| self.scopes.contains(&format!("{PREFIX}{scope}")))
    }
}

/// An authorization code on its way to the token endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) email: String,
    pub(crate) scopes: Scopes,
    pub(crate) redirect_uri: String,
    /// Method and challenge.
    pub(crate) challenge: Option<(String, String)>,
    pub(crate) refreshable: bool,
    pub(crate) nonce: Option<String>,
    pub(crate) expires_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Access {
    email: String,
    scopes: Scopes,
    expires_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Refresh {
    token: String,
    email: String,
    scopes: Scopes,
    used_ms: i64,
    expires_ms: Option<i64>,
}

/// What the token endpoint gives.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    pub(crate) refresh_expires_s: Option<i64>,
    pub(crate) email: String,
    pub(crate) scopes: Scopes,
}

/// Everything that was issued.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Auth {
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    /// Oldest first.
    refresh: Vec<Refresh>,
    /// The long-lived token of outside tools.
    pub(crate) tool_token: Option<String>,
    #[serde(skip)]
    pub(crate) touched: bool,
}

impl Auth {
    pub(crate) fn issue_code(&mut self, mut code: Code, now_ms: i64) -> String {
        self.touched = true;
        self.codes.retain(|_, known| known.expires_ms > now_ms);
        code.expires_ms = now_ms + CODE_MS;
        let text = format!("4/0A{}", Alphanumeric.sample_string(&mut rand::rng(), 68));
        self.codes.insert(text.clone(), code);
        text
    }

    /// Takes a code: it works once, whatever comes of it.
    pub(crate) fn take_code(&mut self, text: &str, now_ms: i64) -> Option<Code> {
        self.touched = true;
        self.codes.remove(text).filter(|code| code.expires_ms > now_ms)
    }

    /// Whether an account has a refresh token that works.
    pub(crate) fn is_connected(&self, email: &str, now_ms: i64) -> bool {
        self.refresh.iter().any(|one| one.email == email && one.is_live(now_ms))
    }

    pub(crate) fn open(&mut self, code: Code, testing: bool, now_ms: i64) -> Issued {
        let refresh = code.refreshable.then(|| {
            let own = self.refresh.iter().filter(|one| one.email == code.email).count();
            if own >= REFRESH_MOST
                && let Some(oldest) = self.refresh.iter().position(|one| one.email == code.email)
            {
                self.refresh.remove(oldest);
            }
            let token = format!("1//0g{}", Alphanumeric.sample_string(&mut rand::rng(), 98));
            let ends = testing && code.scopes.iter().any(|scope| !IDENTITY.contains(&scope.as_str()));
            self.refresh.push(Refresh {
                token: token.clone(),
                email: code.email.clone(),
                scopes: code.scopes.clone(),
                used_ms: now_ms,
                expires_ms: ends.then_some(now_ms + TESTING_MS),
            });
            (token, ends.then_some(TESTING_MS / 1_000 - 1))
        });
        let (refresh, refresh_expires_s) = refresh.unzip();
        let access = self.issue(&code.email, code.scopes.clone(), now_ms);
        let refresh_expires_s = refresh_expires_s.flatten();
        Issued { access, refresh, refresh_expires_s, email: code.email, scopes: code.scopes }
    }

    /// A new access token for a refresh token, which stays as it is.
    pub(crate) fn refresh(&mut self, token: &str, now_ms: i64) -> Option<Issued> {
        let found = self.refresh.iter_mut().find(|one| one.token == token && one.is_live(now_ms))?;
        found.used_ms = now_ms;
        let (email, scopes) = (found.email.clone(), found.scopes.clone());
        let left_s = found.expires_ms.map(|at| (at - now_ms) / 1_000);
        let access = self.issue(&email, scopes.clone(), now_ms);
        Some(Issued { access, refresh: None, refresh_expires_s: left_s, email, scopes })
    }

    fn issue(&mut self, email: &str, scopes: Scopes, now_ms: i64) -> String {
        self.touched = true;
        self.access.retain(|_, access| access.expires_ms > now_ms);
        let token = format!("ya29.a0{}", Alphanumeric.sample_string(&mut rand::rng(), 180));
        let expires_ms = now_ms + ACCESS_TOKEN_S * 1_000;
        self.access.insert(token.clone(), Access { email: email.to_owned(), scopes, expires_ms });
        token
    }

    /// The long-lived token with every scope; the same one after a restart.
    pub(crate) fn give_tool_token(&mut self) -> String {
        self.touched = true;
        self.tool_token.get_or_insert_with(|| format!("ya29.tool-{}", Uuid::new_v4())).clone()
    }

    pub(crate) fn caller(&self, token: Option<&str>, home: &str, now_ms: i64) -> Result<Caller, Failure> {
        let token = token.ok_or_else(Failure::login)?;
        if self.tool_token.as_deref() == Some(token) {
            let known = SCOPES.iter().map(|scope| format!("{PREFIX}{scope}"));
            let scopes = known.chain(IDENTITY.map(str::to_owned)).collect();
            return Ok(Caller { email: home.to_owned(), scopes: Arc::new(scopes) });
        }
        let access = self.access.get(token).filter(|access| access.expires_ms > now_ms);
        let access = access.ok_or_else(Failure::credentials)?;
        Ok(Caller { email: access.email.clone(), scopes: access.scopes.clone() })
    }

    /// A live access token's account, scopes and seconds left.
    pub(crate) fn info(&self, token: &str, now_ms: i64) -> Option<(&str, &Scopes, i64)> {
        let access = self.access.get(token).filter(|access| access.expires_ms > now_ms)?;
        Some((&access.email, &access.scopes, (access.expires_ms - now_ms) / 1_000))
    }

    /// The account that a live token of either kind is of.
    pub(crate) fn owner(&self, token: &str, now_ms: i64) -> Option<String> {
        let refresh = self.refresh.iter().find(|one| one.token == token && one.is_live(now_ms));
        let access = self.access.get(token).filter(|access| access.expires_ms > now_ms);
        refresh.map(|one| &one.email).or(access.map(|one| &one.email)).cloned()
    }

    /// Ends every token of an account, or of all. Answers how many grants ended.
    pub(crate) fn revoke(&mut self, email: Option<&str>) -> usize {
        self.touched = true;
        let is_meant = |one: &str| email.is_none_or(|email| email == one);
        let refresh = self.refresh.iter().map(|one| &one.email);
        let owners: BTreeSet<&String> = refresh.chain(self.access.values().map(|one| &one.email)).collect();
        let ended = owners.into_iter().filter(|one| is_meant(one)).count();
        self.codes.retain(|_, one| !is_meant(&one.email));
        self.access.retain(|_, one| !is_meant(&one.email));
        self.refresh.retain(|one| !is_meant(&one.email));
        ended
    }

    pub(crate) fn expire_access(&mut self) -> usize {
        self.touched = true;
        let expired = self.access.len();
        self.access.clear();
        expired
    }
}

impl Refresh {
    fn is_live(&self, now_ms: i64) -> bool {
        self.expires_ms.is_none_or(|at| at > now_ms) && self.used_ms + UNUSED_MS > now_ms
    }
}
