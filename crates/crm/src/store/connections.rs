use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConnectionId, OrganizationId};
use sqlx::{PgConnection, Row as _};

use crate::Error;

/// The vendor of a connection of the organization, and how it stands.
pub(crate) async fn find(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
) -> Result<Option<(String, String)>, Error> {
    let row =
        sqlx::query("SELECT vendor, state FROM connections WHERE organization = $1 AND connection = $2")
            .bind(organization.uuid())
            .bind(connection.uuid())
            .fetch_optional(db)
            .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some((row.try_get("vendor")?, row.try_get("state")?)))
}

/// Stores how a connection stands, unless something later is known.
pub(crate) async fn put(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    (vendor, state): (&str, &str),
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO connections (connection, organization, vendor, state, at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (connection) DO UPDATE SET state = $4, at = $5
             WHERE connections.at <= $5 AND connections.organization = $2",
    )
    .bind(connection.uuid())
    .bind(organization.uuid())
    .bind(vendor)
    .bind(state)
    .bind(at.to_sqlx())
    .execute(db)
    .await?;
    Ok(())
}
