//! Who is calling, and may they: the check that every room makes before it answers.
//!
//! A door forwards the caller's own credential; a room asks identity what it stands for and remembers the answer for
//! a few seconds. A revocation is told to [`Guard::invalidate`], and the next call asks identity again.

mod answers;
mod credential;
mod refusal;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use model::{Actor, Caller, Clock, PartnerId, Scope, SystemClock};
use proto::identity::{CheckRequest, CheckResponse, ListUsersRequest, User, identity_client::IdentityClient};
use secrecy::ExposeSecret;
use tonic::{Code, Status, metadata::MetadataMap, transport::Channel};

pub use answers::AnswerCache;
pub use credential::{Credential, digest, forward, is_passive};
pub use refusal::{at_field, field, stable_code, status};

const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// How long an answer of identity is believed. With the two seconds for which identity believes its own, this bounds a
/// revocation that the bus did not deliver to ten seconds.
const BELIEVED_FOR: Duration = Duration::from_secs(8);
/// What stands before the partner's id in the product of a key that is the link to a form.
const FORM: &str = "form:";

/// A caller whose credential was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorized {
    /// Who calls, for which organization, with which scopes.
    pub caller: Caller,
    /// The id of the session or key; a revocation names it.
    pub credential_id: String,
    /// When the credential ends.
    pub expires_at: Option<Timestamp>,
    /// The sibling product, when an integration key is calling; the partner, or `form:` and the partner, when a key is one's.
    pub product: Option<String>,
}

impl Authorized {
    /// The partner whose key is calling. It has no scopes: it may do what a call lets partners do, and nothing else.
    #[must_use]
    pub fn partner(&self) -> Option<PartnerId> {
        self.product.as_deref()?.parse().ok()
    }

    /// The partner of whose form the link is calling. It may register deals and see them, and nothing else.
    #[must_use]
    pub fn form_of(&self) -> Option<PartnerId> {
        self.product.as_deref()?.strip_prefix(FORM)?.parse().ok()
    }

    fn is_of_partner(&self) -> bool {
        self.partner().or_else(|| self.form_of()).is_some()
    }

    /// Refuses a caller who lacks the scope.
    ///
    /// # Errors
    /// PERMISSION_DENIED `scope_missing`; `partner_key` for the key of a partner.
    pub fn require(self, scope: Scope) -> Result<Self, Status> {
        if self.is_of_partner() {
            return Err(status(
                Code::PermissionDenied,
                "partner_key",
                "The key of a partner may not do this.",
            ));
        }
        if self.caller.may(scope) {
            return Ok(self);
        }
        let message = format!("This needs the scope {scope}, which the credential does not have.");
        Err(status(Code::PermissionDenied, "scope_missing", message))
    }
}

/// Asks identity who is calling and remembers the answer. Cheap to clone; clones share what they remember.
#[derive(Clone)]
pub struct Guard {
    identity: IdentityClient<Channel>,
    answers: AnswerCache<Authorized>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard that asks identity over this channel.
    #[must_use]
    pub fn new(identity: Channel) -> Self {
        Self::with_clock(identity, Arc::new(SystemClock))
    }

    /// A guard with another clock, by which it sees that a remembered credential has expired.
    #[must_use]
    pub fn with_clock(identity: Channel, clock: Arc<dyn Clock>) -> Self {
        Self { identity: IdentityClient::new(identity), answers: AnswerCache::new(BELIEVED_FOR), clock }
    }

    /// Who is calling.
    ///
    /// # Errors
    /// UNAUTHENTICATED for a missing, malformed, unknown, expired or revoked credential; UNAVAILABLE
    /// `identity_unavailable` while identity does not answer.
    pub async fn authenticate(&self, metadata: &MetadataMap) -> Result<Authorized, Status> {
        let credential = Credential::from_metadata(metadata)?;
        let key = digest(credential.secret());
        let known = self.answers.get(&key).await;
        if let Some(known) = known.filter(|known| known.expires_at.is_none_or(|at| at > self.clock.now())) {
            return Ok(known);
        }
        let generation = self.answers.generation();
        let authorized = self.ask(&credential, credential::is_passive(metadata)).await?;
        self.answers.put(key, generation, authorized.credential_id.clone(), authorized.clone()).await;
        Ok(authorized)
    }

    /// Who is calling, when the caller has this scope.
    ///
    /// # Errors
    /// As [`Guard::authenticate`]; PERMISSION_DENIED `scope_missing`.
    pub async fn authorize(&self, metadata: &MetadataMap, scope: Scope) -> Result<Authorized, Status> {
        self.authenticate(metadata).await?.require(scope)
    }

    /// The people of the caller's organization, for a caller who may see them.
    ///
    /// # Errors
    /// As [`Guard::authorize`] with the scope `users:manage`.
    pub async fn users(&self, metadata: &MetadataMap) -> Result<Vec<User>, Status> {
        let request = forward(&Credential::from_metadata(metadata)?, ListUsersRequest {})?;
        let mut identity = self.identity.clone();
        match tokio::time::timeout(ANSWER_WITHIN, identity.list_users(request)).await {
            Ok(Ok(response)) => Ok(response.into_inner().users),
            Ok(Err(refused)) if matches!(refused.code(), Code::Unauthenticated | Code::PermissionDenied) => {
                Err(refused)
            }
            Ok(Err(_)) | Err(_) => Err(unavailable()),
        }
    }

    /// Forgets what is remembered of the session or key with this id; `*` means all of them.
    pub async fn invalidate(&self, credential_id: &str) {
        self.answers.forget(credential_id).await;
    }

    async fn ask(&self, credential: &Credential, passive: bool) -> Result<Authorized, Status> {
        let request = CheckRequest { credential: credential.secret().expose_secret().to_owned(), passive };
        let mut identity = self.identity.clone();
        let answer = tokio::time::timeout(ANSWER_WITHIN, identity.check(request)).await;
        match answer {
            Ok(Ok(response)) => authorized(response.into_inner()).ok_or_else(unavailable),
            Ok(Err(refused)) if refused.code() == Code::Unauthenticated => Err(refused),
            Ok(Err(_)) | Err(_) => Err(unavailable()),
        }
    }
}

fn authorized(answer: CheckResponse) -> Option<Authorized> {
    let (kind, id) = answer.actor.split_once(':')?;
    let actor = match kind {
        "user" => Actor::User(id.parse().ok()?),
        "api_key" => Actor::ApiKey(id.parse().ok()?),
        "integration_key" => Actor::IntegrationKey(id.parse().ok()?),
        _ => return None,
    };
    let role = if answer.role.is_empty() { None } else { Some(answer.role.parse().ok()?) };
    // A scope that only a newer identity knows gives nothing here.
    let scopes: BTreeSet<Scope> = answer.scopes.iter().filter_map(|scope| scope.parse().ok()).collect();
    let product = Some(answer.product).filter(|product| !product.is_empty());
    let caller = Caller { organization: answer.organization_id.parse().ok()?, actor, role, scopes };
    let expires_at = match &answer.expires_at {
        Some(at) => Some(proto::from_wire_time(at)?),
        None => None,
    };
    let mut known = Authorized { caller, credential_id: answer.credential_id, expires_at, product };
    if known.is_of_partner() {
        known.caller.scopes.clear();
    }
    Some(known)
}

fn unavailable() -> Status {
    status(Code::Unavailable, "identity_unavailable", "Who is calling cannot be checked now. Try again soon.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_identity_nobody_is_let_in() {
        let nobody_listens = Channel::from_static("http://127.0.0.1:1").connect_lazy();
        let mut metadata = MetadataMap::new();
        Credential::Bearer("ak_secret".into()).apply(&mut metadata).unwrap();
        let refused = Guard::new(nobody_listens).authorize(&metadata, Scope::RecordsRead).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(stable_code(&refused), Some("identity_unavailable"));
    }

    #[test]
    fn an_answer_that_makes_no_sense_is_no_answer() {
        let sound = CheckResponse {
            organization_id: format!("org_{}", "0".repeat(32)),
            actor: format!("user:user_{}", "0".repeat(32)),
            role: "owner".to_owned(),
            scopes: vec!["records:read".to_owned(), "moon:land".to_owned()],
            ..CheckResponse::default()
        };
        let known = authorized(sound.clone()).unwrap();
        assert_eq!(known.caller.scopes, [Scope::RecordsRead].into());
        for actor in ["", "user:", "service:accord", "connection:conn_1"] {
            assert_eq!(authorized(CheckResponse { actor: actor.to_owned(), ..sound.clone() }), None);
        }
        let product = format!("ptnr_{}", "0".repeat(32));
        let partner = authorized(CheckResponse { product: product.clone(), ..sound.clone() }).unwrap();
        assert_eq!(partner.partner().map(|id| id.to_string()), Some(product.clone()));
        assert_eq!(partner.form_of(), None);
        assert!(partner.caller.scopes.is_empty() && partner.require(Scope::RecordsRead).is_err());
        let link = authorized(CheckResponse { product: format!("form:{product}"), ..sound.clone() }).unwrap();
        assert_eq!(link.form_of().map(|id| id.to_string()), Some(product));
        assert_eq!(link.partner(), None, "it is no key of the partner");
        assert!(link.caller.scopes.is_empty() && link.require(Scope::RecordsRead).is_err());
        assert_eq!(authorized(CheckResponse { role: "boss".to_owned(), ..sound.clone() }), None);
        assert_eq!(authorized(CheckResponse { organization_id: String::new(), ..sound }), None);
    }
}
