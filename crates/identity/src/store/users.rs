use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, Role, UserId};
use sqlx::{PgConnection, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use super::optional_time;
use crate::error::Error;

/// How many organizations a sign-in with one address and password looks in.
const MOST_CANDIDATES: i64 = 3;

/// A person in one organization.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) organization: OrganizationId,
    pub(crate) email: String,
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) password_hash: Option<String>,
    pub(crate) last_signed_in_at: Option<Timestamp>,
}

fn user(row: &PgRow) -> Result<User, Error> {
    let role: String = row.try_get("role")?;
    Ok(User {
        id: UserId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        role: role.parse().map_err(|_| Error::Stored("role"))?,
        password_hash: row.try_get("password_hash")?,
        last_signed_in_at: optional_time(row, "last_signed_in_at")?,
    })
}

/// Makes the user, unless the organization has one with this address. Says whether it did.
pub(crate) async fn insert(
    tx: &mut PgConnection,
    organization: OrganizationId,
    (email, name, role): (&str, &str, Role),
    now: Timestamp,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "INSERT INTO users (id, organization, email, name, role, created_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (organization, email) DO NOTHING",
    )
    .bind(UserId::generate(now).uuid())
    .bind(organization.uuid())
    .bind(email)
    .bind(name)
    .bind(role.name())
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// The user with this address in the organization.
pub(crate) async fn by_email(
    tx: &mut PgConnection,
    organization: OrganizationId,
    email: &str,
) -> Result<Option<User>, Error> {
    let row = sqlx::query(
        "SELECT id, organization, email, name, role, password_hash, last_signed_in_at
         FROM users WHERE organization = $1 AND email = $2",
    )
    .bind(organization.uuid())
    .bind(email)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(user).transpose()
}

/// The users with this address, the one who signed in last first.
pub(crate) async fn candidates(pool: &PgPool, email: &str) -> Result<Vec<User>, Error> {
    let rows = sqlx::query(
        "SELECT id, organization, email, name, role, password_hash, last_signed_in_at
         FROM users WHERE email = $1 ORDER BY last_signed_in_at DESC NULLS LAST, id LIMIT $2",
    )
    .bind(email)
    .bind(MOST_CANDIDATES)
    .fetch_all(pool)
    .await?;
    rows.iter().map(user).collect()
}

/// The user with this id in the organization.
pub(crate) async fn get(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: UserId,
) -> Result<Option<User>, Error> {
    let row = sqlx::query(
        "SELECT id, organization, email, name, role, password_hash, last_signed_in_at
         FROM users WHERE organization = $1 AND id = $2",
    )
    .bind(organization.uuid())
    .bind(id.uuid())
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(user).transpose()
}

/// Everybody in the organization, by name.
pub(crate) async fn list(pool: &PgPool, organization: OrganizationId) -> Result<Vec<User>, Error> {
    let rows = sqlx::query(
        "SELECT id, organization, email, name, role, password_hash, last_signed_in_at
         FROM users WHERE organization = $1 ORDER BY name, id",
    )
    .bind(organization.uuid())
    .fetch_all(pool)
    .await?;
    rows.iter().map(user).collect()
}

/// How many Owners the organization has.
pub(crate) async fn owners(tx: &mut PgConnection, organization: OrganizationId) -> Result<i64, Error> {
    let (owners,): (i64,) =
        sqlx::query_as("SELECT count(*) FROM users WHERE organization = $1 AND role = 'owner'")
            .bind(organization.uuid())
            .fetch_one(tx)
            .await?;
    Ok(owners)
}

pub(crate) async fn set_role(tx: &mut PgConnection, id: UserId, role: Role) -> Result<(), Error> {
    sqlx::query("UPDATE users SET role = $2 WHERE id = $1")
        .bind(id.uuid())
        .bind(role.name())
        .execute(tx)
        .await?;
    Ok(())
}

/// The role of a user, held until the transaction ends against being changed.
pub(crate) async fn hold_role(tx: &mut PgConnection, id: UserId) -> Result<Option<Role>, Error> {
    let row: Option<(String,)> = sqlx::query_as("SELECT role FROM users WHERE id = $1 FOR SHARE")
        .bind(id.uuid())
        .fetch_optional(tx)
        .await?;
    row.map(|(role,)| role.parse().map_err(|_| Error::Stored("role"))).transpose()
}

/// Forgets a user with their sessions and links. What they did stays in the audit log, under their id.
pub(crate) async fn delete(tx: &mut PgConnection, id: UserId) -> Result<(), Error> {
    for statement in [
        "DELETE FROM sessions WHERE user_id = $1",
        "DELETE FROM links WHERE user_id = $1",
        "DELETE FROM users WHERE id = $1",
    ] {
        sqlx::query(statement).bind(id.uuid()).execute(&mut *tx).await?;
    }
    Ok(())
}

pub(crate) async fn set_password(tx: &mut PgConnection, id: UserId, hash: &str) -> Result<(), Error> {
    sqlx::query("UPDATE users SET password_hash = $2 WHERE id = $1")
        .bind(id.uuid())
        .bind(hash)
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes a sign-in and returns the user.
pub(crate) async fn signed_in(tx: &mut PgConnection, id: Uuid, now: Timestamp) -> Result<User, Error> {
    let row = sqlx::query(
        "UPDATE users SET last_signed_in_at = $2 WHERE id = $1
         RETURNING id, organization, email, name, role, password_hash, last_signed_in_at",
    )
    .bind(id)
    .bind(now.to_sqlx())
    .fetch_one(tx)
    .await?;
    user(&row)
}
