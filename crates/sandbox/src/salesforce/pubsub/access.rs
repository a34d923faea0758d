//! Who calls, by the three headers that every call carries.

use tonic::metadata::MetadataMap;

use super::errors::{self, Refusal};
use crate::salesforce::Edition;
use crate::salesforce::id::Id;
use crate::salesforce::sim::Sim;

/// A client that showed an access token.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    token: String,
    /// The org's id.
    pub(crate) tenant: String,
}

impl Caller {
    /// Reads the headers of a call and checks them.
    ///
    /// # Errors
    /// When a header is missing, the token is not good for the org, or the org has no change events.
    pub(crate) fn of(headers: &MetadataMap, sim: &Sim) -> Result<Self, Refusal> {
        let header = |name| {
            let text = headers.get(name).and_then(|value| value.to_str().ok());
            text.filter(|text| !text.is_empty()).ok_or(errors::HEADERS)
        };
        let (token, instance_url) = (header("accesstoken")?, header("instanceurl")?);
        let tenant = header("tenantid")?;
        let known = instance_url.trim_end_matches('/') == sim.instance_url().trim_end_matches('/');
        if !known || Id::parse(tenant) != Some(sim.org.id) {
            return Err(errors::AUTH);
        }
        let caller = Self { token: token.to_owned(), tenant: sim.org.id.to_string() };
        caller.check(sim)?;
        Ok(caller)
    }

    /// Whether a call with a good token names another instance than the org's: one that it was at before.
    pub(crate) fn is_misaddressed(headers: &MetadataMap, sim: &Sim) -> bool {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let named = header("instanceurl").trim_end_matches('/');
        let caller = Self { token: header("accesstoken").to_owned(), tenant: sim.org.id.to_string() };
        named != sim.instance_url().trim_end_matches('/') && caller.check(sim).is_ok()
    }

    /// Whether the client may still call.
    ///
    /// # Errors
    /// When the token expired or was revoked, lacks the scope, or the org has no change events.
    pub(crate) fn check(&self, sim: &Sim) -> Result<(), Refusal> {
        let is_tool = sim.auth.tool_token.as_ref() == Some(&self.token);
        let session = sim.auth.session(&self.token, sim.settings.session_minutes, sim.clock.now_ms());
        let scoped = session.is_some_and(|(grant, ..)| {
            grant.scopes.iter().any(|scope| matches!(scope.as_str(), "api" | "full" | "pubsub_api"))
        });
        if !is_tool && !scoped {
            return Err(errors::AUTH);
        }
        if sim.settings.edition == Edition::Professional {
            return Err(errors::LICENSE);
        }
        Ok(())
    }
}
