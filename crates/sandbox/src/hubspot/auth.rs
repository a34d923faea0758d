//! Grants and tokens: who may call which portal with which scopes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::errors::Failure;
use super::record::Source;

/// The id of the public app that connects through OAuth.
pub(crate) const APP_ID: u64 = 2_204_417;
/// The id of the private app behind the long-lived token for outside tools.
pub(crate) const TOOL_APP_ID: u64 = 2_204_990;
/// Seconds an access token lives.
pub(crate) const ACCESS_TOKEN_S: i64 = 1_800;
/// Milliseconds an authorization code lives.
const CODE_MS: i64 = 300_000;
/// How long an expired access token is still recognized as expired.
const REMEMBER_EXPIRED_MS: i64 = 86_400_000;

/// Every scope the simulator knows.
pub(crate) const SCOPES: [&str; 20] = [
    "oauth",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.deals.read",
    "crm.objects.deals.write",
    "crm.objects.owners.read",
    "crm.objects.custom.read",
    "crm.objects.custom.write",
    "crm.schemas.contacts.read",
    "crm.schemas.contacts.write",
    "crm.schemas.companies.read",
    "crm.schemas.companies.write",
    "crm.schemas.deals.read",
    "crm.schemas.deals.write",
    "crm.schemas.custom.read",
    "crm.schemas.custom.write",
    "crm.lists.read",
    "crm.lists.write",
];

/// Whoever holds the token of a call.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) portal_id: u64,
    pub(crate) app_id: u64,
    pub(crate) user_id: u64,
    pub(crate) scopes: Arc<BTreeSet<String>>,
    pub(crate) private: bool,
}

impl Caller {
    pub(crate) fn source(&self) -> Source {
        Source::App { app: self.app_id, user: self.user_id }
    }
}

/// One user's consent for one portal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Grant {
    pub(crate) portal_id: u64,
    pub(crate) user_id: u64,
    pub(crate) user: String,
    pub(crate) scopes: Arc<BTreeSet<String>>,
    pub(crate) revoked: bool,
}

/// An authorization code on its way to the token endpoint.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) grant: Grant,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: Option<String>,
    pub(crate) expires_ms: i64,
}

/// An access token: which grant, until when.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Access {
    pub(crate) grant: usize,
    pub(crate) expires_ms: i64,
}

/// A refresh token: which grant, and whether a newer one replaced it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Refresh {
    pub(crate) grant: usize,
    pub(crate) rotated: bool,
}

/// What a token request is answered with.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) access: String,
    pub(crate) refresh: String,
    pub(crate) grant: Grant,
}

/// All grants, codes and tokens.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Auth {
    pub(crate) grants: Vec<Grant>,
    codes: HashMap<String, Code>,
    access: HashMap<String, Access>,
    refresh: HashMap<String, Refresh>,
    /// The long-lived token for outside tools.
    pub(crate) tool_token: Option<String>,
    #[serde(skip)]
    pub(crate) touched: bool,
}

/// Why a token or code is no good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bad {
    Unknown,
    Expired,
    Mismatch,
}

impl Auth {
    pub(crate) fn issue_code(
        &mut self,
        grant: Grant,
        redirect_uri: &str,
        challenge: Option<String>,
        now_ms: i64,
    ) -> String {
        self.touched = true;
        self.codes.retain(|_, code| code.expires_ms > now_ms - REMEMBER_EXPIRED_MS);
        let code = Uuid::new_v4().to_string();
        let redirect_uri = redirect_uri.to_owned();
        self.codes
            .insert(code.clone(), Code { grant, redirect_uri, challenge, expires_ms: now_ms + CODE_MS });
        code
    }

    /// Takes a code: it works once, whatever comes of it.
    pub(crate) fn take_code(&mut self, code: &str, now_ms: i64) -> Result<Code, Bad> {
        self.touched = true;
        let code = self.codes.remove(code).ok_or(Bad::Unknown)?;
        if code.expires_ms <= now_ms { Err(Bad::Expired) } else { Ok(code) }
    }

    pub(crate) fn open_grant(&mut self, grant: Grant, now_ms: i64) -> Issued {
        self.grants.push(grant);
        let at = self.grants.len() - 1;
        let refresh = self.new_refresh(at);
        self.issue(at, refresh, now_ms)
    }

    /// Answers a refresh; with `rotate` the token changes, with `reject` the old one is dead from then on.
    pub(crate) fn refresh(
        &mut self,
        token: &str,
        rotate: bool,
        reject: bool,
        now_ms: i64,
    ) -> Result<Issued, Bad> {
        let found = self.refresh.get_mut(token).ok_or(Bad::Unknown)?;
        let grant = found.grant;
        if self.grants[grant].revoked || (found.rotated && reject) {
            return Err(Bad::Mismatch);
        }
        if !rotate {
            return Ok(self.issue(grant, token.to_owned(), now_ms));
        }
        found.rotated = true;
        let refresh = self.new_refresh(grant);
        Ok(self.issue(grant, refresh, now_ms))
    }

    fn new_refresh(&mut self, grant: usize) -> String {
        let token = format!("na1-{}-{}", &Uuid::new_v4().to_string()[..4], Uuid::new_v4());
        self.refresh.insert(token.clone(), Refresh { grant, rotated: false });
        token
    }

    fn issue(&mut self, grant: usize, refresh: String, now_ms: i64) -> Issued {
        self.touched = true;
        self.access.retain(|_, access| access.expires_ms > now_ms - REMEMBER_EXPIRED_MS);
        let scopes = self.grants[grant].scopes.len();
        let access = format!("C{}", Alphanumeric.sample_string(&mut rand::rng(), 160 + 12 * scopes));
        let expires_ms = now_ms + ACCESS_TOKEN_S * 1_000;
        self.access.insert(access.clone(), Access { grant, expires_ms });
        Issued { access, refresh, grant: self.grants[grant].clone() }
    }

    /// The long-lived token with every scope; the same one after a restart.
    pub(crate) fn tool_token(&mut self) -> String {
        self.touched = true;
        self.tool_token.get_or_insert_with(|| format!("pat-na1-{}", Uuid::new_v4())).clone()
    }

    pub(crate) fn caller(&self, token: Option<&str>, home: u64, now_ms: i64) -> Result<Caller, Failure> {
        let token = token.ok_or_else(Failure::unauthenticated)?;
        if self.tool_token.as_deref() == Some(token) {
            return Ok(tool(home));
        }
        let access = self.access.get(token).ok_or_else(Failure::unauthenticated)?;
        let grant = &self.grants[access.grant];
        if grant.revoked {
            return Err(Failure::unauthenticated());
        }
        if access.expires_ms <= now_ms {
            let ago_s = (now_ms - access.expires_ms) / 1_000;
            return Err(Failure::expired(ago_s, super::clock::iso(access.expires_ms)));
        }
        Ok(Caller {
            portal_id: grant.portal_id,
            app_id: APP_ID,
            user_id: grant.user_id,
            scopes: grant.scopes.clone(),
            private: false,
        })
    }

    /// A live access token with its grant and the seconds it has left.
    pub(crate) fn access_info(&self, token: &str, now_ms: i64) -> Option<(&Grant, i64)> {
        let access = self.access.get(token)?;
        let grant = self.grants.get(access.grant).filter(|grant| !grant.revoked)?;
        let left_s = (access.expires_ms - now_ms) / 1_000;
        (left_s > 0).then_some((grant, left_s))
    }

    pub(crate) fn refresh_info(&self, token: &str, reject_rotated: bool) -> Option<&Grant> {
        let found = self.refresh.get(token).filter(|found| !(found.rotated && reject_rotated))?;
        self.grants.get(found.grant).filter(|grant| !grant.revoked)
    }

    /// Ends a refresh token; access tokens live on until they expire.
    pub(crate) fn drop_refresh(&mut self, token: &str) -> bool {
        self.touched = true;
        self.refresh.remove(token).is_some()
    }

    pub(crate) fn drop_access(&mut self, token: &str) -> bool {
        self.touched = true;
        self.access.remove(token).is_some()
    }

    /// The user removes the app from the portal: every token of it is dead.
    pub(crate) fn revoke(&mut self, portal_id: u64) -> usize {
        self.touched = true;
        let live = self.grants.iter_mut().filter(|grant| grant.portal_id == portal_id && !grant.revoked);
        live.map(|grant| grant.revoked = true).count()
    }

    pub(crate) fn expire_access(&mut self, now_ms: i64) -> usize {
        self.touched = true;
        let live = self.access.values_mut().filter(|access| access.expires_ms > now_ms);
        live.map(|access| access.expires_ms = now_ms).count()
    }
}

fn tool(portal_id: u64) -> Caller {
    Caller {
        portal_id,
        app_id: TOOL_APP_ID,
        user_id: super::pipelines::OWNERS[0].user_id,
        scopes: Arc::new(SCOPES.iter().map(|scope| (*scope).to_owned()).collect()),
        private: true,
    }
}
