use jiff::Timestamp;
use model::{ConnectionId, ObjectSchema, OrganizationId, SchemaPart};
use sqlx::PgConnection;

use super::{at, from_json, json};
use crate::Error;

/// Keeps a part of a reading of a schema; gives the whole once all its parts are there. What is left of older readings is
/// forgotten then.
pub(crate) async fn add_part(
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    part: SchemaPart,
    objects: &[ObjectSchema],
    read_at: Timestamp,
) -> Result<Option<Vec<ObjectSchema>>, Error> {
    // Two parts that arrive at the same moment must not both miss each other.
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 8))")
        .bind(format!("sync.schema:{connection}"))
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "INSERT INTO schema_parts (organization_id, connection_id, reading, number, at, objects) \
         VALUES ($1, $2, $3, $4, $5, $6::jsonb) ON CONFLICT DO NOTHING",
    )
    .bind(organization.uuid())
    .bind(connection.uuid())
    .bind(part.reading)
    .bind(i32::try_from(part.number).unwrap_or(i32::MAX))
    .bind(at(read_at))
    .bind(json(objects)?)
    .execute(&mut *tx)
    .await?;
    let there: Vec<String> = sqlx::query_scalar(
        "SELECT objects::text FROM schema_parts \
         WHERE organization_id = $1 AND connection_id = $2 AND reading = $3 ORDER BY number",
    )
    .bind(organization.uuid())
    .bind(connection.uuid())
    .bind(part.reading)
    .fetch_all(&mut *tx)
    .await?;
    if there.len() < usize::try_from(part.of).unwrap_or(usize::MAX) {
        return Ok(None);
    }
    sqlx::query(
        "DELETE FROM schema_parts WHERE organization_id = $1 AND connection_id = $2 AND (at <= $3 OR reading = $4)",
    )
    .bind(organization.uuid())
    .bind(connection.uuid())
    .bind(at(read_at))
    .bind(part.reading)
    .execute(tx)
    .await?;
    let parts: Result<Vec<Vec<ObjectSchema>>, Error> =
        there.iter().map(|text| from_json("a part of a schema", text)).collect();
    Ok(Some(SchemaPart::join(parts?)))
}
