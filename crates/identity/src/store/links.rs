use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, UserId};
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use super::{long_ago, optional_time};
use crate::{error::Error, store::users::User};

/// Stores a link for this user.
pub(crate) async fn insert(
    tx: &mut PgConnection,
    user: &User,
    hash: &[u8; 32],
    created_by: &str,
    (now, expires_at): (Timestamp, Timestamp),
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO links (id, organization, user_id, token_hash, created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    // A link is never named from outside, so its id has no type of its own.
    .bind(UserId::generate(now).uuid())
    .bind(user.organization.uuid())
    .bind(user.id.uuid())
    .bind(hash.as_slice())
    .bind(created_by)
    .bind(now.to_sqlx())
    .bind(expires_at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// Uses up a link and returns whom it signs in. Of several uses at once one succeeds.
pub(crate) async fn consume(
    tx: &mut PgConnection,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<Uuid>, Error> {
    let row: Option<(Uuid,)> = sqlx::query_as(
        "UPDATE links SET used_at = $2 WHERE token_hash = $1 AND used_at IS NULL AND expires_at > $2
         RETURNING user_id",
    )
    .bind(hash.as_slice())
    .bind(now.to_sqlx())
    .fetch_optional(tx)
    .await?;
    Ok(row.map(|(user,)| user))
}

/// A link that can no longer be used.
#[derive(Debug)]
pub(crate) struct Spent {
    pub(crate) organization: OrganizationId,
    pub(crate) user: UserId,
    pub(crate) used: bool,
}

/// The link that could not be consumed, if there ever was one.
pub(crate) async fn spent(tx: &mut PgConnection, hash: &[u8; 32]) -> Result<Option<Spent>, Error> {
    let row = sqlx::query("SELECT organization, user_id, used_at FROM links WHERE token_hash = $1")
        .bind(hash.as_slice())
        .fetch_optional(tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Spent {
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        user: UserId::from_uuid(row.try_get("user_id")?),
        used: optional_time(&row, "used_at")?.is_some(),
    }))
}

/// Ends all unused links of a user.
pub(crate) async fn end_all(tx: &mut PgConnection, user: UserId, now: Timestamp) -> Result<(), Error> {
    sqlx::query(
        "UPDATE links SET expires_at = $2 WHERE user_id = $1 AND used_at IS NULL AND expires_at > $2",
    )
    .bind(user.uuid())
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// Ends the unused links that somebody made, with which they could sign in as others.
pub(crate) async fn end_made_by(
    tx: &mut PgConnection,
    organization: OrganizationId,
    maker: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE links SET expires_at = $3
         WHERE organization = $1 AND created_by = $2 AND used_at IS NULL AND expires_at > $3",
    )
    .bind(organization.uuid())
    .bind(maker)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

pub(crate) async fn prune(pool: &PgPool, now: Timestamp) -> Result<(), Error> {
    sqlx::query("DELETE FROM links WHERE expires_at < $1").bind(long_ago(now)).execute(pool).await?;
    Ok(())
}
