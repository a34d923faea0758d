use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{Actor, ApiKeyId, IntegrationKeyId, OrganizationId, Scope};
use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use super::{optional_time, time};
use crate::{
    domain::{
        key::{KeyKind, NewKey},
        secret::Secret,
    },
    error::Error,
};

/// The most keys that a list shows.
const MOST_LISTED: i64 = 1_000;

/// A key as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: Uuid,
    pub(crate) kind: KeyKind,
    pub(crate) organization: OrganizationId,
    pub(crate) label: String,
    pub(crate) product: String,
    pub(crate) prefix: String,
    pub(crate) scopes: BTreeSet<Scope>,
    pub(crate) created_by: String,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Option<Timestamp>,
    pub(crate) last_used_at: Option<Timestamp>,
    pub(crate) revoked_at: Option<Timestamp>,
    pub(crate) rotated: bool,
}

impl Key {
    /// The id as callers know it, `apikey_…` or `intkey_…`.
    pub(crate) fn public_id(&self) -> String {
        self.actor_id().0
    }

    /// Who acts when this key is used.
    pub(crate) fn actor(&self) -> Actor {
        self.actor_id().1
    }

    /// Whether it is a partner's, or the link to its form. What that may do is not up to the scopes, so none can be taken away.
    pub(crate) fn is_of_partner(&self) -> bool {
        self.kind == KeyKind::Api && !self.product.is_empty()
    }

    fn actor_id(&self) -> (String, Actor) {
        match self.kind {
            KeyKind::Api => {
                let id = ApiKeyId::from_uuid(self.id);
                (id.to_string(), Actor::ApiKey(id))
            }
            KeyKind::Integration => {
                let id = IntegrationKeyId::from_uuid(self.id);
                (id.to_string(), Actor::IntegrationKey(id))
            }
        }
    }
}

fn key(row: &PgRow) -> Result<Key, Error> {
    let kind: String = row.try_get("kind")?;
    let scopes: Vec<String> = row.try_get("scopes")?;
    let kinds = [KeyKind::Api, KeyKind::Integration];
    Ok(Key {
        id: row.try_get("id")?,
        kind: kinds.into_iter().find(|known| known.name() == kind).ok_or(Error::Stored("kind of a key"))?,
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        label: row.try_get("label")?,
        product: row.try_get("product")?,
        prefix: row.try_get("prefix")?,
        scopes: scopes
            .iter()
            .map(|scope| scope.parse().map_err(|_| Error::Stored("scope")))
            .collect::<Result<_, _>>()?,
        created_by: row.try_get("created_by")?,
        created_at: time(row, "created_at")?,
        expires_at: optional_time(row, "expires_at")?,
        last_used_at: optional_time(row, "last_used_at")?,
        revoked_at: optional_time(row, "revoked_at")?,
        rotated: row.try_get::<Option<Uuid>, _>("rotated_to")?.is_some(),
    })
}

pub(crate) async fn insert(
    tx: &mut PgConnection,
    (id, kind, organization): (Uuid, KeyKind, OrganizationId),
    new: &NewKey,
    secret: &Secret,
    (created_by, now): (&str, Timestamp),
) -> Result<Key, Error> {
    let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.name()).collect();
    let row = sqlx::query(
        "INSERT INTO keys (id, kind, organization, label, product, prefix, secret_hash, scopes, created_by,
                           created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING *",
    )
    .bind(id)
    .bind(kind.name())
    .bind(organization.uuid())
    .bind(&new.label)
    .bind(&new.product)
    .bind(&secret.prefix)
    .bind(secret.hash.as_slice())
    .bind(scopes)
    .bind(created_by)
    .bind(now.to_sqlx())
    .bind(new.expires_at.map(ToSqlx::to_sqlx))
    .fetch_one(tx)
    .await?;
    key(&row)
}

pub(crate) async fn by_hash(pool: &PgPool, hash: &[u8; 32]) -> Result<Option<Key>, Error> {
    let row = sqlx::query("SELECT * FROM keys WHERE secret_hash = $1")
        .bind(hash.as_slice())
        .fetch_optional(pool)
        .await?;
    row.as_ref().map(key).transpose()
}

/// The key with this id in the organization, held until the transaction ends.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    (id, kind, organization): (Uuid, KeyKind, OrganizationId),
) -> Result<Option<Key>, Error> {
    let row = sqlx::query("SELECT * FROM keys WHERE id = $1 AND kind = $2 AND organization = $3 FOR UPDATE")
        .bind(id)
        .bind(kind.name())
        .bind(organization.uuid())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(key).transpose()
}

/// The ids of the keys with this label and maker that are not revoked.
pub(crate) async fn with_label(
    pool: &PgPool,
    organization: OrganizationId,
    label: &str,
    created_by: &str,
) -> Result<Vec<Key>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM keys WHERE organization = $1 AND label = $2 AND created_by = $3 AND revoked_at IS NULL",
    )
    .bind(organization.uuid())
    .bind(label)
    .bind(created_by)
    .fetch_all(pool)
    .await?;
    rows.iter().map(key).collect()
}

/// The organization's keys of this kind, the newest first.
pub(crate) async fn list(
    pool: &PgPool,
    kind: KeyKind,
    organization: OrganizationId,
) -> Result<Vec<Key>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM keys WHERE organization = $1 AND kind = $2 ORDER BY created_at DESC, id DESC LIMIT $3",
    )
    .bind(organization.uuid())
    .bind(kind.name())
    .bind(MOST_LISTED)
    .fetch_all(pool)
    .await?;
    rows.iter().map(key).collect()
}

pub(crate) async fn revoke(tx: &mut PgConnection, id: Uuid, now: Timestamp) -> Result<Key, Error> {
    let row = sqlx::query("UPDATE keys SET revoked_at = $2 WHERE id = $1 RETURNING *")
        .bind(id)
        .bind(now.to_sqlx())
        .fetch_one(tx)
        .await?;
    key(&row)
}

/// Leaves a key these scopes only.
pub(crate) async fn narrow(tx: &mut PgConnection, id: Uuid, scopes: &BTreeSet<Scope>) -> Result<Key, Error> {
    let scopes: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
    let row = sqlx::query("UPDATE keys SET scopes = $2 WHERE id = $1 RETURNING *")
        .bind(id)
        .bind(scopes)
        .fetch_one(tx)
        .await?;
    key(&row)
}

/// The keys that a person made and that are not revoked, with those that were made with such keys; held until the
/// transaction ends.
pub(crate) async fn lock_made_by(
    tx: &mut PgConnection,
    organization: OrganizationId,
    maker: &str,
) -> Result<Vec<Key>, Error> {
    let rows = sqlx::query(
        "WITH RECURSIVE made (id, hex, kind) AS (
             SELECT id, replace(id::text, '-', ''), kind FROM keys WHERE organization = $1 AND created_by = $2
             UNION
             SELECT k.id, replace(k.id::text, '-', ''), k.kind FROM keys k JOIN made m
             ON k.created_by = CASE m.kind WHEN 'api_key' THEN 'api_key:apikey_' ELSE 'integration_key:intkey_' END
                               || m.hex
             WHERE k.organization = $1)
         SELECT * FROM keys WHERE id IN (SELECT id FROM made) AND revoked_at IS NULL ORDER BY id FOR UPDATE",
    )
    .bind(organization.uuid())
    .bind(maker)
    .fetch_all(tx)
    .await?;
    rows.iter().map(key).collect()
}

/// The scopes of a key that is not revoked, held until the transaction ends against being narrowed or revoked.
pub(crate) async fn hold_scopes(tx: &mut PgConnection, id: Uuid) -> Result<Option<BTreeSet<Scope>>, Error> {
    let row = sqlx::query("SELECT * FROM keys WHERE id = $1 AND revoked_at IS NULL FOR SHARE")
        .bind(id)
        .fetch_optional(tx)
        .await?;
    Ok(row.as_ref().map(key).transpose()?.map(|key| key.scopes))
}

/// Notes that another key takes over, and when this one ends.
pub(crate) async fn hand_over(
    tx: &mut PgConnection,
    id: Uuid,
    to: Uuid,
    expires_at: Timestamp,
) -> Result<(), Error> {
    sqlx::query("UPDATE keys SET rotated_to = $2, expires_at = least(expires_at, $3) WHERE id = $1")
        .bind(id)
        .bind(to)
        .bind(expires_at.to_sqlx())
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes that keys were used at these moments.
pub(crate) async fn touch(pool: &PgPool, uses: &[(Uuid, Timestamp)]) -> Result<(), Error> {
    let ids: Vec<Uuid> = uses.iter().map(|(id, _)| *id).collect();
    let used: Vec<_> = uses.iter().map(|(_, at)| at.to_sqlx()).collect();
    sqlx::query(
        "UPDATE keys k SET last_used_at = t.used FROM unnest($1::uuid[], $2::timestamptz[]) AS t(id, used)
         WHERE k.id = t.id AND (k.last_used_at IS NULL OR k.last_used_at < t.used)",
    )
    .bind(ids)
    .bind(used)
    .execute(pool)
    .await?;
    Ok(())
}
