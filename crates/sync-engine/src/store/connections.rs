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

/// Which event tells something of a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// When what it tells was so.
    pub(crate) at: Timestamp,
    /// Its place in the stream.
    pub(crate) sequence: i64,
    /// Whether it was a dead letter, so that its place says nothing.
    pub(crate) replayed: bool,
}

/// Whether the event is no older than the one before: clocks of connectors differ, so the order of the stream decides
/// unless both speak against it. `$3` to `$5` are when, the place and whether it was replayed.
macro_rules! newer {
    ($before:literal, $at:literal, $sequence:literal, $after:literal) => {
        concat!(
            $before,
            " AND (connections.",
            $at,
            " IS NULL OR $3 >= connections.",
            $at,
            " OR (NOT $5 AND $4 > connections.",
            $sequence,
            ")) ",
            $after
        )
    };
}

/// A connection's state, by its name.
pub(crate) async fn state(db: &mut PgConnection, id: ConnectionId) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar("SELECT state FROM connections WHERE id = $1")
        .bind(id.uuid())
        .fetch_optional(db)
        .await?)
}

/// Stores a connection's state as an event tells it; false when a newer event told another already.
pub(crate) async fn put_state(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: ConnectionId,
    vendor: &str,
    state: ConnectionState,
    told: Told,
) -> Result<bool, Error> {
    let stored = sqlx::query(newer!(
        "INSERT INTO connections (id, organization_id, vendor, state, changed_at, state_at, state_seq) \
         VALUES ($1, $2, $6, $7, $3, $3, $4) \
         ON CONFLICT (id) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at, \
             state_at = excluded.state_at, state_seq = excluded.state_seq \
         WHERE connections.organization_id = excluded.organization_id",
        "state_at",
        "state_seq",
        ""
    ))
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(at(told.at))
    .bind(told.sequence)
    .bind(told.replayed)
    .bind(vendor)
    .bind(state.name())
    .execute(tx)
    .await?;
    Ok(stored.rows_affected() > 0)
}

/// Notes that an event told of the connection's budget; false when a newer one did already.
pub(crate) async fn note_budget(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: ConnectionId,
    told: Told,
) -> Result<bool, Error> {
    let noted = sqlx::query(newer!(
        "UPDATE connections SET budget_at = $3, budget_seq = $4 WHERE id = $1 AND organization_id = $2",
        "budget_at",
        "budget_seq",
        ""
    ))
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(at(told.at))
    .bind(told.sequence)
    .bind(told.replayed)
    .execute(tx)
    .await?;
    Ok(noted.rows_affected() > 0)
}

/// Stores the vendor's objects and fields as an event tells them; false when a newer one told others. When they changed,
/// every mapping of the connection is read anew.
pub(crate) async fn put_objects(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: ConnectionId,
    vendor: &str,
    objects: &[ObjectSchema],
    told: Told,
) -> Result<bool, Error> {
    let changed: Option<bool> = sqlx::query_scalar(newer!(
        "WITH old AS (SELECT objects FROM connections WHERE id = $1) \
         INSERT INTO connections (id, organization_id, vendor, state, objects, changed_at, objects_at, objects_seq) \
         VALUES ($1, $2, $6, 'active', $7::jsonb, $3, $3, $4) \
         ON CONFLICT (id) DO UPDATE SET objects = excluded.objects, changed_at = excluded.changed_at, \
             objects_at = excluded.objects_at, objects_seq = excluded.objects_seq \
         WHERE connections.organization_id = excluded.organization_id",
        "objects_at",
        "objects_seq",
        "RETURNING NOT EXISTS (SELECT FROM old WHERE old.objects = $7::jsonb)"
    ))
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(at(told.at))
    .bind(told.sequence)
    .bind(told.replayed)
    .bind(vendor)
    .bind(json(objects)?)
    .fetch_optional(&mut *tx)
    .await?;
    if changed == Some(true) {
        sqlx::query("UPDATE mappings SET revision = revision + 1 WHERE connection_id = $1")
            .bind(id.uuid())
            .execute(tx)
            .await?;
    }
    Ok(changed.is_some())
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

/// The same, locked: its schema stays what it is until the transaction ends. Mappings are locked after it.
pub(crate) async fn lock(tx: &mut PgConnection, id: ConnectionId) -> Result<Option<Connection>, Error> {
    let row = sqlx::query(
        "SELECT id, organization_id, vendor, objects::text AS objects FROM connections WHERE id = $1 \
         FOR NO KEY UPDATE",
    )
    .bind(id.uuid())
    .fetch_optional(tx)
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

/// How many custom fields an object has.
pub(crate) async fn count_custom_fields(
    db: &mut PgConnection,
    organization: OrganizationId,
    object: &str,
) -> Result<i64, Error> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM custom_fields WHERE organization_id = $1 AND object = $2")
        .bind(organization.uuid())
        .bind(object)
        .fetch_one(db)
        .await?)
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
