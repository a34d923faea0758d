use model::{ConnectionId, MappingId, OrganizationId};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{at, from_json, json};
use crate::{
    Error,
    domain::{UnknownWord, mapping::Mapping},
};

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, organization_id, connection_id, vendor, object, vendor_object, state, revision, \
             settings::text AS settings, draft::text AS draft, activated_at, activated_by FROM mappings ",
            $rest
        )
    };
}

fn read(row: &PgRow) -> Result<Mapping, Error> {
    let object: &str = row.try_get("object")?;
    let state: &str = row.try_get("state")?;
    let draft: Option<&str> = row.try_get("draft")?;
    Ok(Mapping {
        id: MappingId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization_id")?),
        connection: ConnectionId::from_uuid(row.try_get("connection_id")?),
        vendor: row.try_get("vendor")?,
        object: object.parse().map_err(|error| Error::stored("a mapping's object", error))?,
        vendor_object: row.try_get("vendor_object")?,
        state: state.parse().map_err(|error: UnknownWord| Error::stored("a mapping's state", error))?,
        revision: row.try_get("revision")?,
        settings: from_json("a mapping's settings", row.try_get("settings")?)?,
        draft: draft.map(|text| from_json("a mapping's draft", text)).transpose()?,
        activated_at: row
            .try_get::<Option<jiff_sqlx::Timestamp>, _>("activated_at")?
            .map(jiff_sqlx::Timestamp::to_jiff),
        activated_by: row.try_get("activated_by")?,
    })
}

/// A mapping's id and revision, to see whether what is in memory still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: MappingId,
    pub(crate) revision: i64,
}

/// The heads of all mappings of these organizations, in a stable order.
pub(crate) async fn heads(
    db: &mut PgConnection,
    organizations: &[OrganizationId],
) -> Result<Vec<Head>, Error> {
    let organizations: Vec<Uuid> = organizations.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query("SELECT id, revision FROM mappings WHERE organization_id = ANY($1) ORDER BY id")
        .bind(organizations)
        .fetch_all(db)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Head { id: MappingId::from_uuid(row.try_get("id")?), revision: row.try_get("revision")? })
        })
        .collect()
}

/// Holds mappings as they are until the transaction ends; false when one has moved. The last thing a transaction does,
/// so that nobody waits for records with a mapping in hand.
pub(crate) async fn hold(tx: &mut PgConnection, heads: &[Head]) -> Result<bool, Error> {
    let held = sqlx::query(
        "SELECT m.id FROM mappings m JOIN UNNEST($1::uuid[], $2::bigint[]) AS h(id, revision) \
         ON h.id = m.id AND h.revision = m.revision ORDER BY m.id FOR SHARE OF m",
    )
    .bind(heads.iter().map(|head| head.id.uuid()).collect::<Vec<_>>())
    .bind(heads.iter().map(|head| head.revision).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    Ok(held.len() == heads.len())
}

/// One mapping, of any organization.
pub(crate) async fn get(db: &mut PgConnection, id: MappingId) -> Result<Option<Mapping>, Error> {
    let row = sqlx::query(columns!("WHERE id = $1")).bind(id.uuid()).fetch_optional(db).await?;
    row.as_ref().map(read).transpose()
}

/// Locks one of the organization's mappings.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: MappingId,
) -> Result<Option<Mapping>, Error> {
    let row = sqlx::query(columns!("WHERE id = $1 AND organization_id = $2 FOR UPDATE"))
        .bind(id.uuid())
        .bind(organization.uuid())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Locks a mapping of any organization.
pub(crate) async fn lock_any(tx: &mut PgConnection, id: MappingId) -> Result<Option<Mapping>, Error> {
    let row = sqlx::query(columns!("WHERE id = $1 FOR UPDATE")).bind(id.uuid()).fetch_optional(tx).await?;
    row.as_ref().map(read).transpose()
}

/// The organization's mappings; of one connection where given.
pub(crate) async fn list(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: Option<ConnectionId>,
) -> Result<Vec<Mapping>, Error> {
    let rows = sqlx::query(columns!(
        "WHERE organization_id = $1 AND ($2::uuid IS NULL OR connection_id = $2) ORDER BY created_at, id"
    ))
    .bind(organization.uuid())
    .bind(connection.map(ConnectionId::uuid))
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// Stores a new mapping; false when the pair has one.
pub(crate) async fn insert(
    tx: &mut PgConnection,
    mapping: &Mapping,
    now: jiff::Timestamp,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "INSERT INTO mappings (id, organization_id, connection_id, vendor, object, vendor_object, state, revision, \
             settings, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10) ON CONFLICT DO NOTHING",
    )
    .bind(mapping.id.uuid())
    .bind(mapping.organization.uuid())
    .bind(mapping.connection.uuid())
    .bind(&mapping.vendor)
    .bind(mapping.object.name())
    .bind(&mapping.vendor_object)
    .bind(mapping.state.name())
    .bind(mapping.revision)
    .bind(json(&mapping.settings)?)
    .bind(at(now))
    .execute(tx)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Stores a changed mapping under its next revision.
pub(crate) async fn update(tx: &mut PgConnection, mapping: &mut Mapping) -> Result<(), Error> {
    mapping.revision = sqlx::query_scalar(
        "UPDATE mappings SET state = $2, settings = $3::jsonb, activated_at = $4, activated_by = $5, \
             draft = $6::jsonb, revision = revision + 1 WHERE id = $1 RETURNING revision",
    )
    .bind(mapping.id.uuid())
    .bind(mapping.state.name())
    .bind(json(&mapping.settings)?)
    .bind(mapping.activated_at.map(at))
    .bind(mapping.activated_by.as_deref())
    .bind(mapping.draft.as_ref().map(json).transpose()?)
    .fetch_one(tx)
    .await?;
    Ok(())
}
