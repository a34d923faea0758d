//! Which record is linked to which at the other side, for fields that name other records; and what waits for it.

use model::{CanonicalObject, ConnectionId, LinkId, OrganizationId, RecordId};
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::Error;

/// A record that a field names, under the mapping of these two objects on a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Named<Id> {
    pub(crate) connection: ConnectionId,
    pub(crate) vendor_object: String,
    pub(crate) object: CanonicalObject,
    pub(crate) id: Id,
}

/// A field of a link that names a record which is not linked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The vendor's record is not linked to one here.
    Here(Named<String>),
    /// Our record is not linked to one there.
    There(Named<RecordId>),
}

/// The records that vendors' ids name, as far as they are linked.
pub(crate) async fn here(
    db: &mut PgConnection,
    named: &[Named<String>],
) -> Result<Vec<(Named<String>, RecordId)>, Error> {
    let rows = sqlx::query(
        "SELECT w.n, l.record_id FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[]) \
         WITH ORDINALITY AS w(connection_id, vendor_object, object, vendor_id, n) \
         JOIN mappings m USING (connection_id, vendor_object, object) \
         JOIN links l ON l.mapping_id = m.id AND l.vendor_id = w.vendor_id AND l.record_id IS NOT NULL",
    )
    .bind(named.iter().map(|one| one.connection.uuid()).collect::<Vec<_>>())
    .bind(named.iter().map(|one| one.vendor_object.as_str()).collect::<Vec<_>>())
    .bind(named.iter().map(|one| one.object.name()).collect::<Vec<_>>())
    .bind(named.iter().map(|one| one.id.as_str()).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| Ok((place(named, row)?, RecordId::from_uuid(row.try_get::<Uuid, _>("record_id")?))))
        .collect()
}

/// The vendors' ids of our records, as far as they are linked.
pub(crate) async fn there(
    db: &mut PgConnection,
    named: &[Named<RecordId>],
) -> Result<Vec<(Named<RecordId>, String)>, Error> {
    let rows = sqlx::query(
        "SELECT w.n, l.vendor_id FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::uuid[]) \
         WITH ORDINALITY AS w(connection_id, vendor_object, object, record_id, n) \
         JOIN mappings m USING (connection_id, vendor_object, object) \
         JOIN links l ON l.mapping_id = m.id AND l.record_id = w.record_id \
         AND l.vendor_id IS NOT NULL AND l.state = 'linked'",
    )
    .bind(named.iter().map(|one| one.connection.uuid()).collect::<Vec<_>>())
    .bind(named.iter().map(|one| one.vendor_object.as_str()).collect::<Vec<_>>())
    .bind(named.iter().map(|one| one.object.name()).collect::<Vec<_>>())
    .bind(named.iter().map(|one| one.id.uuid()).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok((place(named, row)?, row.try_get("vendor_id")?))).collect()
}

fn place<Id: Clone>(named: &[Named<Id>], row: &sqlx::postgres::PgRow) -> Result<Named<Id>, Error> {
    let at = usize::try_from(row.try_get::<i64, _>("n")? - 1).unwrap_or_default();
    Ok(named[at].clone())
}

/// Remembers what fields wait for; a field waits for one record only.
pub(crate) async fn wait(tx: &mut PgConnection, waiting: &[(LinkId, String, Waiting)]) -> Result<(), Error> {
    for (link, field, waiting) in waiting {
        let (connection, vendor_object, object, vendor_id, record) = match waiting {
            Waiting::Here(named) => {
                (named.connection, &named.vendor_object, named.object, Some(named.id.as_str()), None)
            }
            Waiting::There(named) => {
                (named.connection, &named.vendor_object, named.object, None, Some(named.id.uuid()))
            }
        };
        sqlx::query(
            "INSERT INTO waiting (link_id, field, connection_id, vendor_object, object, vendor_id, record_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (link_id, field) DO UPDATE SET \
             connection_id = excluded.connection_id, vendor_object = excluded.vendor_object, \
             object = excluded.object, vendor_id = excluded.vendor_id, record_id = excluded.record_id",
        )
        .bind(link.uuid())
        .bind(field)
        .bind(connection.uuid())
        .bind(vendor_object)
        .bind(object.name())
        .bind(vendor_id)
        .bind(record)
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Fields whose other record is linked by now, with their organization.
pub(crate) async fn arrived(
    db: &mut PgConnection,
    limit: i64,
) -> Result<Vec<(OrganizationId, LinkId, String)>, Error> {
    let rows = sqlx::query(
        "WITH waiting AS (SELECT w.* FROM waiting w JOIN links own ON own.id = w.link_id \
             JOIN mappings m ON m.id = own.mapping_id AND m.state = 'active') \
         SELECT m.organization_id, w.link_id, w.field FROM waiting w \
         JOIN mappings m USING (connection_id, vendor_object, object) \
         JOIN links l ON l.mapping_id = m.id AND l.vendor_id = w.vendor_id AND l.record_id IS NOT NULL \
         UNION ALL \
         SELECT m.organization_id, w.link_id, w.field FROM waiting w \
         JOIN mappings m USING (connection_id, vendor_object, object) \
         JOIN links l ON l.record_id = w.record_id AND l.mapping_id = m.id AND l.vendor_id IS NOT NULL \
         AND l.state = 'linked' LIMIT $1",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let organization = OrganizationId::from_uuid(row.try_get("organization_id")?);
        Ok((organization, LinkId::from_uuid(row.try_get("link_id")?), row.try_get("field")?))
    };
    rows.iter().map(read).collect()
}

/// Fields of links, which the caller has locked, wait no longer.
pub(crate) async fn forget(tx: &mut PgConnection, fields: &[(LinkId, String)]) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM waiting WHERE (link_id, field) IN (SELECT * FROM UNNEST($1::uuid[], $2::text[]))",
    )
    .bind(fields.iter().map(|(link, _)| link.uuid()).collect::<Vec<_>>())
    .bind(fields.iter().map(|(_, field)| field.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
