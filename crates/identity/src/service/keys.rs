use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use model::{Actor, ApiKeyId, Caller, IntegrationKeyId, Role, Scope};
use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Service;
use crate::{
    domain::{
        key::{KeyKind, NewKey, ceiling},
        secret::Secret,
        session::after,
    },
    error::{Error, Refusal},
    publisher::Fact,
    store::{
        keys::{self, Key},
        organizations, users,
    },
};

/// The longest time in which the old and the new key both work.
const LONGEST_OVERLAP: Duration = Duration::from_secs(30 * 24 * 3600);

/// A key and, for the only time, its secret.
#[derive(Debug)]
pub(crate) struct MintedKey {
    pub(crate) secret: SecretString,
    pub(crate) key: Key,
}

/// The wish to replace a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RotateKey {
    pub(crate) id: Uuid,
    /// How long the old key works beside the new one.
    pub(crate) overlap: Duration,
}

impl Service {
    pub(crate) async fn mint_key(
        &self,
        caller: &Caller,
        kind: KeyKind,
        new: NewKey,
    ) -> Result<MintedKey, Error> {
        let now = self.now();
        let mut tx = self.begin().await?;
        let new = new.check(kind, &scopes_now(&mut tx, caller).await?, now)?;
        let minted = insert(&mut tx, caller, kind, &new, now).await?;
        let fact = Fact::key(caller.actor.clone(), &minted.key, "minted");
        self.commit(tx, (&[fact], now), Vec::new()).await?;
        Ok(minted)
    }

    /// A new key in the place of an old one: same product, label, scopes and length of life.
    pub(crate) async fn rotate_key(
        &self,
        caller: &Caller,
        kind: KeyKind,
        rotate: RotateKey,
    ) -> Result<MintedKey, Error> {
        let now = self.now();
        if rotate.overlap > LONGEST_OVERLAP {
            let message = "Two keys may work side by side for at most 30 days.";
            return Err(Refusal::invalid("overlap_invalid", message).at("overlap_seconds").into());
        }
        let mut tx = self.begin().await?;
        // In the order of a demotion: the organization, who acts, then keys.
        organizations::lock(&mut tx, caller.organization).await?;
        let scopes = scopes_now(&mut tx, caller).await?;
        let old = keys::lock(&mut tx, (rotate.id, kind, caller.organization)).await?;
        let old = old.ok_or_else(key_not_found)?;
        may_rotate(&old, now)?;
        ceiling(&old.scopes, &scopes)?;
        let life = old.expires_at.map(|at| at.duration_since(old.created_at).unsigned_abs());
        let new = NewKey {
            label: old.label.clone(),
            product: old.product.clone(),
            scopes: old.scopes.clone(),
            expires_at: life.map(|life| after(now, life)),
        };
        let minted = insert(&mut tx, caller, kind, &new, now).await?;
        keys::hand_over(&mut tx, old.id, minted.key.id, after(now, rotate.overlap)).await?;
        let (old_id, new_id) = (old.public_id(), minted.key.public_id());
        let rotated = Fact::key(caller.actor.clone(), &old, "rotated").with("replaced_by", new_id);
        let rotated = rotated.with("overlap_seconds", rotate.overlap.as_secs().to_string());
        let fact = Fact::key(caller.actor.clone(), &minted.key, "minted").with("replaces", &old_id);
        self.commit(tx, (&[rotated, fact], now), vec![old_id]).await?;
        Ok(minted)
    }

    /// Ends a key at once. A key that was revoked before stays as it is.
    pub(crate) async fn revoke_key(&self, caller: &Caller, kind: KeyKind, id: Uuid) -> Result<Key, Error> {
        let now = self.now();
        let mut tx = self.begin().await?;
        let key = keys::lock(&mut tx, (id, kind, caller.organization)).await?;
        let key = key.ok_or_else(key_not_found)?;
        if key.revoked_at.is_some() {
            return Ok(key);
        }
        let key = keys::revoke(&mut tx, id, now).await?;
        let fact = Fact::key(caller.actor.clone(), &key, "revoked");
        self.commit(tx, (&[fact], now), vec![key.public_id()]).await?;
        Ok(key)
    }

    /// Revokes the keys that this caller minted under this label, and says how many.
    pub(crate) async fn revoke_keys_labelled(&self, caller: &Caller, label: &str) -> Result<usize, Error> {
        let maker = caller.actor.to_string();
        let keys = keys::with_label(&self.pool, caller.organization, label, &maker).await?;
        for key in &keys {
            self.revoke_key(caller, key.kind, key.id).await?;
        }
        Ok(keys.len())
    }

    pub(crate) async fn list_keys(&self, caller: &Caller, kind: KeyKind) -> Result<Vec<Key>, Error> {
        keys::list(&self.pool, kind, caller.organization).await
    }
}

/// What the caller may do at this moment, and until the transaction ends: whoever is demoted or removed meanwhile waits, and
/// then finds the key that is being made.
async fn scopes_now(tx: &mut PgConnection, caller: &Caller) -> Result<BTreeSet<Scope>, Error> {
    let held = match &caller.actor {
        Actor::User(id) => users::hold_role(tx, *id).await?.map(Role::scopes),
        Actor::ApiKey(id) => keys::hold_scopes(tx, id.uuid()).await?,
        Actor::IntegrationKey(id) => keys::hold_scopes(tx, id.uuid()).await?,
        _ => Some(caller.scopes.clone()),
    };
    let ended = || Refusal::unauthenticated("credential_revoked", "This session or key has just ended.");
    Ok(held.ok_or_else(ended)?)
}

async fn insert(
    tx: &mut PgConnection,
    caller: &Caller,
    kind: KeyKind,
    new: &NewKey,
    now: Timestamp,
) -> Result<MintedKey, Error> {
    let secret = Secret::from_bytes(kind.secret(), rand::random());
    let id = match kind {
        KeyKind::Api => ApiKeyId::generate(now).uuid(),
        KeyKind::Integration => IntegrationKeyId::generate(now).uuid(),
    };
    let maker = caller.actor.to_string();
    let key = keys::insert(tx, (id, kind, caller.organization), new, &secret, (&maker, now)).await?;
    Ok(MintedKey { secret: secret.text, key })
}

fn may_rotate(key: &Key, now: Timestamp) -> Result<(), Refusal> {
    if key.revoked_at.is_some() {
        return Err(Refusal::precondition("key_revoked", "This key was revoked. Mint a new one."));
    }
    if key.rotated {
        return Err(Refusal::precondition(
            "key_rotated",
            "This key was rotated before. Rotate its successor.",
        ));
    }
    if key.expires_at.is_some_and(|at| at <= now) {
        return Err(Refusal::precondition("key_expired", "This key has expired. Mint a new one."));
    }
    Ok(())
}

fn key_not_found() -> Refusal {
    Refusal::not_found("key_not_found", "There is no such key in your organization.")
}
