//! Customers that something changed for which they are not derived by yet: written in the transaction of the change, so
//! that an end in between is made up for at the next start.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::OrganizationId;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::facts::Customer;
use crate::Error;

/// Notes them.
pub(crate) async fn insert(tx: &mut PgConnection, customers: &[Customer]) -> Result<(), Error> {
    if customers.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO stale (organization, user_key) SELECT * FROM UNNEST($1::uuid[], $2::text[]) ON CONFLICT DO NOTHING",
    )
    .bind(customers.iter().map(|one| one.organization.uuid()).collect::<Vec<_>>())
    .bind(customers.iter().map(|one| one.user_key.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes all who have a click of this program or of this partner and an event of this time or later; answers who they are.
pub(crate) async fn insert_from(
    tx: &mut PgConnection,
    organization: OrganizationId,
    whose: Uuid,
    from: Option<Timestamp>,
) -> Result<Vec<Customer>, Error> {
    let keys: Vec<String> = sqlx::query_scalar(
        "WITH concerned AS (
             SELECT DISTINCT user_key FROM events JOIN identifies USING (organization, user_key)
             JOIN clicks ON clicks.id = identifies.click
             WHERE events.organization = $1 AND (clicks.program = $2 OR clicks.partner = $2)
               AND ($3::timestamptz IS NULL OR events.ts >= $3)),
         noted AS (INSERT INTO stale SELECT $1, user_key FROM concerned ON CONFLICT DO NOTHING)
         SELECT user_key FROM concerned ORDER BY user_key",
    )
    .bind(organization.uuid())
    .bind(whose)
    .bind(from.map(ToSqlx::to_sqlx))
    .persistent(false)
    .fetch_all(tx)
    .await?;
    Ok(keys.into_iter().map(|user_key| Customer { organization, user_key }).collect())
}

/// Those that are noted.
pub(crate) async fn list(pool: &PgPool, limit: i64) -> Result<Vec<Customer>, Error> {
    let rows: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT organization, user_key FROM stale ORDER BY organization, user_key LIMIT $1")
            .bind(limit)
            .fetch_all(pool)
            .await?;
    let customer = |(id, user_key)| Customer { organization: OrganizationId::from_uuid(id), user_key };
    Ok(rows.into_iter().map(customer).collect())
}

/// They are derived.
pub(crate) async fn delete(tx: &mut PgConnection, customers: &[&Customer]) -> Result<(), Error> {
    if customers.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM stale USING UNNEST($1::uuid[], $2::text[]) AS given (organization, user_key)
         WHERE stale.organization = given.organization AND stale.user_key = given.user_key",
    )
    .bind(customers.iter().map(|one| one.organization.uuid()).collect::<Vec<_>>())
    .bind(customers.iter().map(|one| one.user_key.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
