//! Grants and tokens: who may call for whom, with which scopes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

use super::errors::Failure;

/// Milliseconds an authorization code lives.
const CODE_MS: i64 = 600_000;
/// How long a refresh token may rest.
const REST_MS: i64 = 90 * 86_400_000;
/// How long an expired access token is still recognized as expired.
const REMEMBER_EXPIRED_MS: i64 = 86_400_000;

/// Every scope the simulator knows, besides `.default`.
pub(crate) const SCOPES: [&str; 10] = [
    "openid",
    "profile",
    "email",
    "offline_access",
    "User.Read",
    "Mail.ReadBasic",
    "Mail.Read",
    "Mail.ReadWrite",
    "Mail.Send",
    "MailboxSettings.Read",
];

pub(crate) type Scopes = Arc<BTreeSet<String>>;

/// Whoever holds the token of a call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) person: usize,
    pub(crate) scopes: Scopes,
}

impl Caller {
    pub(crate) fn has(&self, scope: &str) -> bool {
        self.scopes.contains(scope)
    }
}

/// One user's consent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) person: usize,
    pub(crate) scopes: Scopes,
    /// The `AADSTS` code of what ended it.
    pub(crate) ended: Option<u32>,
}

/// An authorization code on its way to the token endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    pub(crate) nonce: Option<String>,
    /// The challenge of PKCE, and whether it is the hash of its verifier.
    pub(crate) challenge: Option<(String, bool)>,
    expires_ms: i64,
    redeemed: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Access {
    grant: usize,
    expires_ms: i64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Refresh {
    grant: usize,
    used_ms: i64,
    /// When a newer one was given.
    rotated_ms: Option<i64>,
}

/// What a token request is answered with.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) access: String,
    pub(crate) refresh: Option<String>,
    pub(crate) expires_s: i64,
    pub(crate) grant: Grant,
}

/// All grants, codes and tokens.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Auth {
    pub(crate) grants: Vec<Grant>,
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    /// The long-lived tokens for outside tools, by user.
    tool_tokens: Vec<String>,
    /// An administrator consented for everybody.
    pub(crate) admin_consent: bool,
    #[serde(skip)]
    pub(crate) touched: bool,
}

impl Auth {
    pub(crate) fn issue_code(
        &mut self,
        grant: Grant,
        redirect_uri: &str,
        nonce: Option<String>,
        challenge: Option<(String, bool)>,
        now_ms: i64,
    ) -> String {
        self.touched = true;
        self.codes.retain(|_, code| code.expires_ms > now_ms - REMEMBER_EXPIRED_MS);
        let code = format!("1.{}", Alphanumeric.sample_string(&mut rand::rng(), 900));
        let redirect_uri = redirect_uri.to_owned();
        let expires_ms = now_ms + CODE_MS;
        self.codes.insert(
            code.clone(),
            Code { grant, redirect_uri, nonce, challenge, expires_ms, redeemed: false },
        );
        code
    }

    /// Takes a code: it works once, whatever comes of it. An error is an `AADSTS` code.
    pub(crate) fn take_code(&mut self, code: &str, now_ms: i64) -> Result<Code, u32> {
        self.touched = true;
        let code = self.codes.get_mut(code).ok_or(70_000_u32)?;
        if std::mem::replace(&mut code.redeemed, true) {
            return Err(54_005);
        }
        if code.expires_ms <= now_ms { Err(70_008) } else { Ok(code.clone()) }
    }

    pub(crate) fn open_grant(&mut self, grant: Grant, lives_s: i64, now_ms: i64) -> Issued {
        self.grants.push(grant);
        self.issue(self.grants.len() - 1, lives_s, now_ms)
    }

    /// Answers a refresh with a new refresh token. The old one keeps working for `grace_ms`, or as long as it is used.
    pub(crate) fn refresh(
        &mut self,
        token: &str,
        grace_ms: Option<i64>,
        lives_s: i64,
        now_ms: i64,
    ) -> Result<Issued, u32> {
        let found = self.refresh.get_mut(token).ok_or(70_000_u32)?;
        let grant = found.grant;
        if let Some(code) = self.grants[grant].ended {
            return Err(code);
        }
        if now_ms - found.used_ms > REST_MS {
            return Err(700_082);
        }
        if found.rotated_ms.zip(grace_ms).is_some_and(|(rotated, grace)| now_ms - rotated > grace) {
            return Err(70_000);
        }
        found.used_ms = now_ms;
        found.rotated_ms.get_or_insert(now_ms);
        Ok(self.issue(grant, lives_s, now_ms))
    }

    fn issue(&mut self, at: usize, lives_s: i64, now_ms: i64) -> Issued {
        self.touched = true;
        self.access.retain(|_, access| access.expires_ms > now_ms - REMEMBER_EXPIRED_MS);
        let grant = self.grants[at].clone();
        let access = format!("eyJ0eXAi{}", Alphanumeric.sample_string(&mut rand::rng(), 1_200));
        self.access.insert(access.clone(), Access { grant: at, expires_ms: now_ms + lives_s * 1_000 });
        let refresh = grant.scopes.contains("offline_access").then(|| {
            let token = format!("1.AX{}", Alphanumeric.sample_string(&mut rand::rng(), 800));
            self.refresh.insert(token.clone(), Refresh { grant: at, used_ms: now_ms, rotated_ms: None });
            token
        });
        Issued { access, refresh, expires_s: lives_s, grant }
    }

    /// The long-lived tokens with every scope, one a user; the same ones after a restart.
    pub(crate) fn tool_tokens(&mut self, people: usize) -> Vec<String> {
        self.touched = true;
        while self.tool_tokens.len() < people {
            self.tool_tokens.push(format!("eyJ0b29s{}", Alphanumeric.sample_string(&mut rand::rng(), 120)));
        }
        self.tool_tokens.clone()
    }

    pub(crate) fn drop_tool_tokens(&mut self) {
        self.tool_tokens.clear();
    }

    pub(crate) fn caller(&self, token: Option<&str>, now_ms: i64) -> Result<Caller, Failure> {
        let token = token.filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| Failure::unauthenticated("Access token is empty."))?;
        if let Some(person) = self.tool_tokens.iter().position(|tool| tool == token) {
            let scopes = Arc::new(SCOPES.iter().map(|scope| (*scope).to_owned()).collect());
            return Ok(Caller { person, scopes });
        }
        let malformed = || Failure::unauthenticated("IDX14100: JWT is not well formed.");
        let access = self.access.get(token).ok_or_else(malformed)?;
        let grant = &self.grants[access.grant];
        if access.expires_ms <= now_ms {
            return Err(Failure::unauthenticated("Lifetime validation failed, the token is expired."));
        }
        if grant.ended.is_some() {
            return Err(Failure::unauthenticated("Continuous access evaluation resulted in challenge."));
        }
        Ok(Caller { person: grant.person, scopes: grant.scopes.clone() })
    }

    /// Ends what a user consented to, with the `AADSTS` code that refreshes are answered with from then on.
    pub(crate) fn end(&mut self, person: Option<usize>, code: u32) -> usize {
        self.touched = true;
        let theirs = |grant: &&mut Grant| person.is_none_or(|person| grant.person == person);
        let live = self.grants.iter_mut().filter(|grant| grant.ended.is_none()).filter(theirs);
        live.map(|grant| grant.ended = Some(code)).count()
    }

    pub(crate) fn expire_access(&mut self, now_ms: i64) -> usize {
        self.touched = true;
        let live = self.access.values_mut().filter(|access| access.expires_ms > now_ms);
        live.map(|access| access.expires_ms = now_ms).count()
    }

    /// Refresh tokens rested too long.
    pub(crate) fn expire_refresh(&mut self, now_ms: i64) -> usize {
        self.touched = true;
        self.refresh.values_mut().map(|refresh| refresh.used_ms = now_ms - REST_MS - 1).count()
    }
}
