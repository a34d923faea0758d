use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, UserId};
use sqlx::PgConnection;

use crate::Error;

/// Somebody here, as identity answers.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) person: UserId,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: String,
}

/// Stores who somebody is. What identity says of changes is newer than any answer, which may have been on its way then.
pub(crate) async fn know(
    db: &mut PgConnection,
    organization: OrganizationId,
    person: &Person,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO people (organization, person, name, role) VALUES ($1, $2, $3, $4)
         ON CONFLICT (organization, person) DO UPDATE
             SET name = $3, role = CASE WHEN people.told_at IS NULL THEN $4 ELSE people.role END",
    )
    .bind(organization.uuid())
    .bind(person.person.uuid())
    .bind(&person.name)
    .bind(&person.role)
    .execute(db)
    .await?;
    Ok(())
}

/// Stores the role that somebody has since then; empty where the person was removed.
pub(crate) async fn change(
    db: &mut PgConnection,
    organization: OrganizationId,
    person: UserId,
    role: &str,
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO people (organization, person, name, role, told_at) VALUES ($1, $2, '', $3, $4)
         ON CONFLICT (organization, person) DO UPDATE SET role = $3, told_at = $4
             WHERE people.told_at IS NULL OR people.told_at <= $4",
    )
    .bind(organization.uuid())
    .bind(person.uuid())
    .bind(role)
    .bind(at.to_sqlx())
    .execute(db)
    .await?;
    Ok(())
}

/// The role of somebody who is here.
pub(crate) async fn role(
    db: &mut PgConnection,
    organization: OrganizationId,
    person: UserId,
) -> Result<Option<String>, Error> {
    let found =
        sqlx::query_scalar("SELECT role FROM people WHERE organization = $1 AND person = $2 AND role <> ''")
            .bind(organization.uuid())
            .bind(person.uuid())
            .fetch_optional(db)
            .await?;
    Ok(found)
}

/// What somebody is called here, or at a vendor.
pub(crate) async fn name(
    db: &mut PgConnection,
    organization: OrganizationId,
    person: UserId,
) -> Result<Option<String>, Error> {
    let found = sqlx::query_scalar(
        "SELECT name FROM (
             SELECT 1 AS place, name FROM people WHERE organization = $1 AND person = $2
             UNION ALL SELECT 2, name FROM vendor_users WHERE organization = $1 AND person = $2
         ) AS named WHERE name <> '' ORDER BY place LIMIT 1",
    )
    .bind(organization.uuid())
    .bind(person.uuid())
    .fetch_optional(db)
    .await?;
    Ok(found)
}
