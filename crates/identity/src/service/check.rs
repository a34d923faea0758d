use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use chassis::guard::{Authorized, digest};
use jiff::Timestamp;
use model::{Actor, Caller, OrganizationId, Role, Scope, SessionId};
use proto::{identity::CheckResponse, to_wire_time};
use secrecy::SecretString;
use sqlx::PgPool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Service;
use crate::{
    domain::{secret::SecretKind, session},
    error::{Error, Refusal},
    store::{keys, sessions},
};

/// How often the use of a credential is written down.
const NOTED_EVERY_SECONDS: i64 = 60;
const MOST_NOTED_AT_ONCE: usize = 1_000;

/// A credential that is valid.
pub(crate) struct Checked {
    pub(crate) authorized: Authorized,
    pub(crate) response: CheckResponse,
    pub(crate) holder: Holder,
    created_at: Timestamp,
    /// The second in which its use was last written down.
    noted: AtomicI64,
}

/// What a credential belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    Session(SessionId),
    Key(Uuid),
}

/// A credential was used; a session ends later for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Use {
    holder: Holder,
    at: Timestamp,
    session_ends: Timestamp,
}

impl Service {
    /// What a credential stands for. A passive check is no use of it.
    pub(crate) async fn check(&self, secret: &SecretString, passive: bool) -> Result<Arc<Checked>, Error> {
        let kind = SecretKind::of(secret).ok_or_else(|| {
            Refusal::unauthenticated("credential_malformed", "This is no session and no key.")
        })?;
        let (hash, now) = (digest(secret), self.now());
        let known = self.answers.get(&hash).await;
        if let Some(known) = known.filter(|known| known.authorized.expires_at.is_none_or(|at| at > now)) {
            self.note(&known, passive, now);
            return Ok(known);
        }
        let generation = self.answers.generation();
        let checked = match kind {
            SecretKind::Session => self.check_session(&hash, now).await?,
            SecretKind::ApiKey | SecretKind::IntegrationKey => self.check_key(&hash, now).await?,
            SecretKind::Link => return Err(unknown().into()),
        };
        let checked = Arc::new(checked);
        let id = checked.authorized.credential_id.clone();
        self.answers.put(hash, generation, id, checked.clone()).await;
        self.note(&checked, passive, now);
        Ok(checked)
    }

    async fn check_session(&self, hash: &[u8; 32], now: Timestamp) -> Result<Checked, Error> {
        let session = sessions::by_hash(&self.pool, hash).await?.ok_or_else(unknown)?;
        if session.revoked {
            return Err(Refusal::unauthenticated("credential_revoked", "You have signed out.").into());
        }
        if session.expires_at <= now {
            let message = "The session has ended. Sign in again.";
            return Err(Refusal::unauthenticated("credential_expired", message).into());
        }
        Ok(Checked::new(
            Holder::Session(session.id),
            caller(
                session.organization,
                Actor::User(session.user),
                Some(session.role),
                session.role.scopes(),
            ),
            (session.id.to_string(), String::new()),
            Some(session.expires_at),
            (session.created_at, Some(session.last_seen_at)),
        ))
    }

    async fn check_key(&self, hash: &[u8; 32], now: Timestamp) -> Result<Checked, Error> {
        let key = keys::by_hash(&self.pool, hash).await?.ok_or_else(unknown)?;
        if key.revoked_at.is_some() {
            return Err(Refusal::unauthenticated("credential_revoked", "This key was revoked.").into());
        }
        if key.expires_at.is_some_and(|at| at <= now) {
            return Err(Refusal::unauthenticated("credential_expired", "This key has expired.").into());
        }
        Ok(Checked::new(
            Holder::Key(key.id),
            caller(key.organization, key.actor(), None, key.scopes.clone()),
            (key.public_id(), key.product),
            key.expires_at,
            (key.created_at, key.last_used_at),
        ))
    }

    pub(super) fn session_end(&self, created_at: Timestamp, now: Timestamp) -> Timestamp {
        session::expires_at(created_at, now, self.config.session_idle, self.config.session_longest)
    }

    /// Has the use written down, unless that happened within the last minute.
    fn note(&self, checked: &Checked, passive: bool, now: Timestamp) {
        let last = checked.noted.load(Ordering::Relaxed);
        let is_due = !passive && now.as_second() - last >= NOTED_EVERY_SECONDS;
        let Some(uses) = self.uses.as_ref().filter(|_| is_due) else { return };
        checked.noted.store(now.as_second(), Ordering::Relaxed);
        let session_ends = self.session_end(checked.created_at, now);
        // With the queue full this use goes unnoted; the next one a minute later may be noted again.
        let _noted = uses.try_send(Use { holder: checked.holder, at: now, session_ends });
    }
}

fn caller(organization: OrganizationId, actor: Actor, role: Option<Role>, scopes: BTreeSet<Scope>) -> Caller {
    Caller { organization, actor, role, scopes }
}

fn unknown() -> Refusal {
    Refusal::unauthenticated("credential_unknown", "This session or key is not known.")
}

impl Checked {
    fn new(
        holder: Holder,
        caller: Caller,
        (credential_id, product): (String, String),
        expires_at: Option<Timestamp>,
        (created_at, last_used): (Timestamp, Option<Timestamp>),
    ) -> Self {
        let response = CheckResponse {
            organization_id: caller.organization.to_string(),
            actor: caller.actor.to_string(),
            role: caller.role.map(|role| role.name().to_owned()).unwrap_or_default(),
            scopes: caller.scopes.iter().map(|scope| scope.name().to_owned()).collect(),
            credential_id: credential_id.clone(),
            expires_at: expires_at.map(to_wire_time),
            product: product.clone(),
        };
        let product = Some(product).filter(|product| !product.is_empty());
        Self {
            authorized: Authorized { caller, credential_id, expires_at, product },
            response,
            holder,
            created_at,
            noted: AtomicI64::new(last_used.map_or(i64::MIN / 2, Timestamp::as_second)),
        }
    }
}

/// Writes down uses until `shutdown`, many at once when there are many.
pub(crate) async fn note_uses(pool: PgPool, mut uses: mpsc::Receiver<Use>, shutdown: CancellationToken) {
    let mut batch = Vec::new();
    loop {
        let ending = shutdown
            .run_until_cancelled(uses.recv_many(&mut batch, MOST_NOTED_AT_ONCE))
            .await
            .is_none_or(|received| received == 0);
        while ending && batch.len() < MOST_NOTED_AT_ONCE {
            let Ok(last) = uses.try_recv() else { break };
            batch.push(last);
        }
        if let Err(error) = write_down(&pool, &batch).await {
            tracing::warn!(%error, "the use of sessions and keys could not be written down");
        }
        batch.clear();
        if ending {
            return;
        }
    }
}

async fn write_down(pool: &PgPool, uses: &[Use]) -> Result<(), Error> {
    let latest: HashMap<Holder, Use> = uses.iter().map(|used| (used.holder, *used)).collect();
    let mut of_keys = Vec::new();
    let mut of_sessions = Vec::new();
    for used in latest.into_values() {
        match used.holder {
            Holder::Session(id) => of_sessions.push((id, used.at, used.session_ends)),
            Holder::Key(id) => of_keys.push((id, used.at)),
        }
    }
    if !of_keys.is_empty() {
        keys::touch(pool, &of_keys).await?;
    }
    if !of_sessions.is_empty() {
        sessions::touch(pool, &of_sessions).await?;
    }
    Ok(())
}
