use jiff::Timestamp;
use model::{ConnectionId, ConnectionState, FieldSchema, ObjectSchema, OrganizationId};
use sqlx::{PgConnection, Row, postgres::PgRow};

use super::{at, from_json, json};
use crate::Error;

/// What the sync-engine knows of a connection, from its events.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) organization: OrganizationId,
    pub(crate) vendor: String,
    pub(crate) objects: Vec<ObjectSchema>,
}

impl Connection {
    /// The schema of one of the vendor's objects.
    pub(crate) fn object(&self, name: &str) -> Option<&ObjectSchema> {
        self.objects.iter().find(|object| object.name == name)
    }
}

/// A connection's state, by its name.
pub(crate) async fn state(db: &mut PgConnection, id: ConnectionId) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar("SELECT state FROM connections WHERE id = $1")
        .bind(id.uuid())
        .fetch_optional(db)
        .await?)
}

/// Stores a connection's state, as of when it was so; an older word that arrives later changes nothing.
pub(crate) async fn put_state(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: ConnectionId,
    vendor: &str,
    state: ConnectionState,
    so_at: Timestamp,
    now: Timestamp,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "INSERT INTO connections (id, organization_id, vendor, state, changed_at, state_at) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at, \
             state_at = excluded.state_at \
         WHERE connections.organization_id = excluded.organization_id \
           AND (connections.state_at IS NULL OR connections.state_at <= excluded.state_at)",
    )
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(vendor)
    .bind(state.name())
    .bind(at(now))
    .bind(at(so_at))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores the vendor's objects and fields. When they changed, every mapping of the connection is read anew; false when
/// newer ones were stored before.
pub(crate) async fn put_objects(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: ConnectionId,
    vendor: &str,
    objects: &[ObjectSchema],
    read_at: Timestamp,
    now: Timestamp,
) -> Result<bool, Error> {
    let same = sqlx::query(
        "UPDATE connections SET objects_at = GREATEST(objects_at, $4) \
         WHERE id = $1 AND organization_id = $2 AND objects = $3::jsonb",
    )
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(json(objects)?)
    .bind(at(read_at))
    .execute(&mut *tx)
    .await?;
    if same.rows_affected() == 1 {
        return Ok(true);
    }
    let stored = sqlx::query(
        "INSERT INTO connections (id, organization_id, vendor, state, objects, changed_at, objects_at) \
         VALUES ($1, $2, $3, 'active', $4::jsonb, $5, $6) \
         ON CONFLICT (id) DO UPDATE SET objects = excluded.objects, changed_at = excluded.changed_at, \
             objects_at = excluded.objects_at \
         WHERE connections.organization_id = excluded.organization_id \
           AND (connections.objects_at IS NULL OR connections.objects_at <= excluded.objects_at)",
    )
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(vendor)
    .bind(json(objects)?)
    .bind(at(now))
    .bind(at(read_at))
    .execute(&mut *tx)
    .await?;
    if stored.rows_affected() == 0 {
        return Ok(false);
    }
    sqlx::query("UPDATE mappings SET revision = revision + 1 WHERE connection_id = $1")
        .bind(id.uuid())
        .execute(tx)
        .await?;
    Ok(true)
}

fn read(row: &PgRow) -> Result<Connection, Error> {
    Ok(Connection {
        id: ConnectionId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization_id")?),
        vendor: row.try_get("vendor")?,
        objects: from_json("a connection's objects", row.try_get("objects")?)?,
    })
}

/// One connection, of any organization.
pub(crate) async fn get(db: &mut PgConnection, id: ConnectionId) -> Result<Option<Connection>, Error> {
    let row = sqlx::query(
        "SELECT id, organization_id, vendor, objects::text AS objects FROM connections WHERE id = $1",
    )
    .bind(id.uuid())
    .fetch_optional(db)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Fields that the organization added to a canonical object.
pub(crate) async fn custom_fields(
    db: &mut PgConnection,
    organization: OrganizationId,
    object: &str,
) -> Result<Vec<FieldSchema>, Error> {
    let fields: Vec<String> = sqlx::query_scalar(
        "SELECT schema::text FROM custom_fields WHERE organization_id = $1 AND object = $2 ORDER BY name",
    )
    .bind(organization.uuid())
    .bind(object)
    .fetch_all(db)
    .await?;
    fields.iter().map(|text| from_json("a custom field", text)).collect()
}

/// Adds a custom field; false when there is one of that name.
pub(crate) async fn add_custom_field(
    tx: &mut PgConnection,
    organization: OrganizationId,
    object: &str,
    field: &FieldSchema,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "INSERT INTO custom_fields (organization_id, object, name, schema) VALUES ($1, $2, $3, $4::jsonb) \
         ON CONFLICT DO NOTHING",
    )
    .bind(organization.uuid())
    .bind(object)
    .bind(&field.name)
    .bind(json(field)?)
    .execute(&mut *tx)
    .await?;
    sqlx::query("UPDATE mappings SET revision = revision + 1 WHERE organization_id = $1 AND object = $2")
        .bind(organization.uuid())
        .bind(object)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}
