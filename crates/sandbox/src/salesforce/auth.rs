//! Grants and tokens: which app may call as which user.

use std::collections::HashMap;
use std::sync::Arc;

use rand::distr::{Distribution, Uniform};
use serde::{Deserialize, Serialize};

use super::id::Id;

/// Milliseconds an authorization code lives.
const CODE_MS: i64 = 15 * 60_000;
/// No policy lets a session live longer without being used.
const SESSION_MOST_MS: i64 = 2 * 86_400_000;
/// How many approvals of one user for the app are kept; the oldest ends silently.
const APPROVALS: usize = 5;
const TOKEN_LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._";

/// Scopes the simulator knows.
pub(crate) const SCOPES: [&str; 12] = [
    "api",
    "refresh_token",
    "offline_access",
    "id",
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "full",
    "web",
    "pubsub_api",
];

/// Whoever holds the token of a call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) user: Id,
    pub(crate) scopes: Arc<Vec<String>>,
}

impl Caller {
    pub(crate) fn may(&self, scope: &str) -> bool {
        self.scopes.iter().any(|granted| granted == scope || granted == "full")
    }
}

/// One user's consent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) user: Id,
    pub(crate) scopes: Arc<Vec<String>>,
    pub(crate) revoked: bool,
}

impl Grant {
    /// Whether the app may come back without the user.
    pub(crate) fn is_offline(&self) -> bool {
        self.scopes.iter().any(|scope| matches!(scope.as_str(), "refresh_token" | "offline_access"))
    }
}

/// An authorization code on its way to the token endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
    pub(crate) nonce: Option<String>,
    expires_ms: i64,
}

/// A session: an access token of a grant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Session {
    grant: usize,
    pub(crate) issued_ms: i64,
    used_ms: i64,
    expired: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Refresh {
    grant: usize,
    rotated: bool,
}

/// What a token request is answered with.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    pub(crate) grant: Grant,
    pub(crate) nonce: Option<String>,
}

/// Why a code is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadCode {
    Unknown,
    Expired,
}

/// All grants, codes and tokens.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Auth {
    grants: Vec<Grant>,
    codes: HashMap<String, Code>,
    sessions: HashMap<String, Session>,
    refresh: HashMap<String, Refresh>,
    /// The long-lived token for outside tools.
    pub(crate) tool_token: Option<String>,
    #[serde(skip)]
    pub(crate) touched: bool,
}

fn secret(length: usize) -> String {
    let mut rng = rand::rng();
    let Ok(places) = Uniform::new(0, TOKEN_LETTERS.len()) else { return String::new() };
    (0..length).map(|_| char::from(TOKEN_LETTERS[places.sample(&mut rng)])).collect()
}

/// An access token as the vendor builds it: the org's id, an exclamation mark, a secret.
fn access_token(org: Id) -> String {
    format!("{}!AQ{}", org.short(), secret(94))
}

impl Auth {
    pub(crate) fn issue_code(
        &mut self,
        grant: Grant,
        redirect_uri: &str,
        challenge: Option<String>,
        nonce: Option<String>,
        now_ms: i64,
    ) -> String {
        self.touched = true;
        self.codes.retain(|_, code| code.expires_ms > now_ms - CODE_MS);
        let code = format!("aPrx{}==", secret(76));
        let expires_ms = now_ms + CODE_MS;
        let kept = Code { grant, redirect_uri: redirect_uri.to_owned(), challenge, nonce, expires_ms };
        self.codes.insert(code.clone(), kept);
        code
    }

    /// Takes a code out: it works once.
    pub(crate) fn take_code(&mut self, code: &str, now_ms: i64) -> Result<Code, BadCode> {
        let Some(code) = self.codes.remove(code) else { return Err(BadCode::Unknown) };
        self.touched = true;
        if code.expires_ms <= now_ms { Err(BadCode::Expired) } else { Ok(code) }
    }

    pub(crate) fn open_grant(&mut self, org: Id, code: Code, now_ms: i64) -> Issued {
        let Code { grant, nonce, .. } = code;
        let alike = |one: &Grant| !one.revoked && one.user == grant.user && one.is_offline();
        let live = self.grants.iter().filter(|one| alike(one)).count();
        if grant.is_offline()
            && live >= APPROVALS
            && let Some(oldest) = self.grants.iter().position(alike)
        {
            self.end(oldest);
        }
        self.grants.push(grant.clone());
        let at = self.grants.len() - 1;
        let access = self.open_session(org, at, now_ms);
        let refresh = grant.is_offline().then(|| self.new_refresh(at));
        Issued { access, refresh, grant, nonce }
    }

    fn open_session(&mut self, org: Id, grant: usize, now_ms: i64) -> String {
        self.touched = true;
        let token = access_token(org);
        self.sessions.retain(|_, session| now_ms - session.used_ms < SESSION_MOST_MS);
        let session = Session { grant, issued_ms: now_ms, used_ms: now_ms, expired: false };
        self.sessions.insert(token.clone(), session);
        token
    }

    fn new_refresh(&mut self, grant: usize) -> String {
        let token = format!("5Aep861{}", secret(80));
        self.refresh.insert(token.clone(), Refresh { grant, rotated: false });
        token
    }

    /// A new session for a refresh token. Showing a token that was rotated away ends its grant.
    pub(crate) fn refresh(&mut self, org: Id, token: &str, rotate: bool, now_ms: i64) -> Option<Issued> {
        let Refresh { grant: at, rotated } = self.refresh.get(token)?.clone();
        let grant = self.grants.get(at).filter(|grant| !grant.revoked)?.clone();
        if rotated {
            self.end(at);
            return None;
        }
        let access = self.open_session(org, at, now_ms);
        let refresh = rotate.then(|| {
            if let Some(old) = self.refresh.get_mut(token) {
                old.rotated = true;
            }
            self.new_refresh(at)
        });
        Some(Issued { access, refresh, grant, nonce: None })
    }

    /// Ends a grant with all its tokens.
    fn end(&mut self, at: usize) {
        self.touched = true;
        if let Some(grant) = self.grants.get_mut(at) {
            grant.revoked = true;
        }
        self.sessions.retain(|_, session| session.grant != at);
    }

    /// Whoever a token stands for, if its session is alive; using it keeps it alive.
    pub(crate) fn caller(
        &mut self,
        token: &str,
        admin: Id,
        session_minutes: u32,
        now_ms: i64,
    ) -> Option<Caller> {
        if self.tool_token.as_deref() == Some(token) {
            return Some(Caller { user: admin, scopes: Arc::new(vec!["full".to_owned()]) });
        }
        let session = self.sessions.get_mut(token)?;
        if session.expired || now_ms - session.used_ms > i64::from(session_minutes) * 60_000 {
            return None;
        }
        session.used_ms = now_ms;
        let grant = self.grants.get(session.grant).filter(|grant| !grant.revoked)?;
        Some(Caller { user: grant.user, scopes: grant.scopes.clone() })
    }

    /// The session of a live access token, and its grant.
    pub(crate) fn session(
        &self,
        token: &str,
        session_minutes: u32,
        now_ms: i64,
    ) -> Option<(&Grant, i64, i64)> {
        let session = self.sessions.get(token).filter(|session| !session.expired)?;
        let ends_ms = session.used_ms + i64::from(session_minutes) * 60_000;
        let grant = self.grants.get(session.grant).filter(|grant| !grant.revoked && ends_ms >= now_ms)?;
        Some((grant, session.issued_ms, ends_ms))
    }

    /// The grant of a live refresh token.
    pub(crate) fn refresh_grant(&self, token: &str) -> Option<&Grant> {
        let refresh = self.refresh.get(token).filter(|refresh| !refresh.rotated)?;
        self.grants.get(refresh.grant).filter(|grant| !grant.revoked)
    }

    /// Revokes a token: a refresh token ends its grant, an access token only itself.
    pub(crate) fn revoke_token(&mut self, token: &str) -> bool {
        let refresh = self.refresh.get(token).map(|refresh| refresh.grant);
        match refresh.filter(|at| self.grants.get(*at).is_some_and(|grant| !grant.revoked)) {
            Some(at) => {
                self.end(at);
                true
            }
            None => {
                let known = self.sessions.remove(token).is_some();
                self.touched |= known;
                known
            }
        }
    }

    /// A user or administrator ends every approval. Answers how many there were.
    pub(crate) fn revoke_all(&mut self) -> usize {
        let live: Vec<usize> = (0..self.grants.len()).filter(|at| !self.grants[*at].revoked).collect();
        live.iter().for_each(|at| self.end(*at));
        live.len()
    }

    /// Access tokens expire now, refresh tokens live on. Answers how many expired.
    pub(crate) fn expire_sessions(&mut self) -> usize {
        self.touched = true;
        let live = self.sessions.values_mut().filter(|session| !session.expired);
        live.map(|session| session.expired = true).count()
    }

    pub(crate) fn give_tool_token(&mut self, org: Id) -> String {
        self.touched = true;
        self.tool_token.get_or_insert_with(|| access_token(org)).clone()
    }
}
