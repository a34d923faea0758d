use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, Role, SessionId, UserId};
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use super::{long_ago, time};
use crate::error::Error;

/// A session with the role that its user has now.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) organization: OrganizationId,
    pub(crate) user: UserId,
    pub(crate) role: Role,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) last_seen_at: Timestamp,
    pub(crate) revoked: bool,
}

pub(crate) async fn insert(
    tx: &mut PgConnection,
    organization: OrganizationId,
    user: UserId,
    hash: &[u8; 32],
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<SessionId, Error> {
    let id = SessionId::generate(now);
    sqlx::query(
        "INSERT INTO sessions (id, organization, user_id, token_hash, created_at, expires_at, last_seen_at)
         VALUES ($1, $2, $3, $4, $5, $6, $5)",
    )
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(user.uuid())
    .bind(hash.as_slice())
    .bind(now.to_sqlx())
    .bind(expires_at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(id)
}

pub(crate) async fn by_hash(pool: &PgPool, hash: &[u8; 32]) -> Result<Option<Session>, Error> {
    let row = sqlx::query(
        "SELECT s.id, s.organization, s.user_id, u.role, s.created_at, s.expires_at, s.last_seen_at,
                s.revoked_at IS NOT NULL AS revoked
         FROM sessions s JOIN users u ON u.id = s.user_id WHERE s.token_hash = $1",
    )
    .bind(hash.as_slice())
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let role: String = row.try_get("role")?;
    Ok(Some(Session {
        id: SessionId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        user: UserId::from_uuid(row.try_get("user_id")?),
        role: role.parse().map_err(|_| Error::Stored("role"))?,
        created_at: time(&row, "created_at")?,
        expires_at: time(&row, "expires_at")?,
        last_seen_at: time(&row, "last_seen_at")?,
        revoked: row.try_get("revoked")?,
    }))
}

/// Ends one session. Says whether it was still going.
pub(crate) async fn revoke(tx: &mut PgConnection, id: SessionId, now: Timestamp) -> Result<bool, Error> {
    let done = sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL")
        .bind(id.uuid())
        .bind(now.to_sqlx())
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Ends all sessions of a user but one, and returns their ids.
pub(crate) async fn revoke_others(
    tx: &mut PgConnection,
    user: UserId,
    except: Option<SessionId>,
    now: Timestamp,
) -> Result<Vec<SessionId>, Error> {
    let rows: Vec<(Uuid,)> = sqlx::query_as(
        "UPDATE sessions SET revoked_at = $3
         WHERE user_id = $1 AND id IS DISTINCT FROM $2 AND revoked_at IS NULL AND expires_at > $3 RETURNING id",
    )
    .bind(user.uuid())
    .bind(except.map(SessionId::uuid))
    .bind(now.to_sqlx())
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|(id,)| SessionId::from_uuid(id)).collect())
}

/// The sessions of a user that are still going.
pub(crate) async fn of_user(
    tx: &mut PgConnection,
    user: UserId,
    now: Timestamp,
) -> Result<Vec<SessionId>, Error> {
    let rows: Vec<(Uuid,)> = sqlx::query_as(
        "SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2",
    )
    .bind(user.uuid())
    .bind(now.to_sqlx())
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|(id,)| SessionId::from_uuid(id)).collect())
}

/// Notes that sessions were used at these moments and now end at those.
pub(crate) async fn touch(pool: &PgPool, uses: &[(SessionId, Timestamp, Timestamp)]) -> Result<(), Error> {
    let ids: Vec<Uuid> = uses.iter().map(|(id, ..)| id.uuid()).collect();
    let seen: Vec<_> = uses.iter().map(|(_, at, _)| at.to_sqlx()).collect();
    let ends: Vec<_> = uses.iter().map(|(.., end)| end.to_sqlx()).collect();
    sqlx::query(
        "UPDATE sessions s SET last_seen_at = t.seen, expires_at = greatest(s.expires_at, t.ends)
         FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[]) AS t(id, seen, ends)
         WHERE s.id = t.id AND s.last_seen_at < t.seen",
    )
    .bind(ids)
    .bind(seen)
    .bind(ends)
    .execute(pool)
    .await?;
    Ok(())
}

pub(crate) async fn prune(pool: &PgPool, now: Timestamp) -> Result<(), Error> {
    sqlx::query("DELETE FROM sessions WHERE expires_at < $1").bind(long_ago(now)).execute(pool).await?;
    Ok(())
}
