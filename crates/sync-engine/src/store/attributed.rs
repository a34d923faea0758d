//! What conversion events are attributed to, which connections' CRMs are told, and who is to be looked at again.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;
use model::{CanonicalObject, ConnectionId, ConversionId, OrganizationId, RecordId, Value};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{at, from_json, json};
use crate::Error;

/// What a conversion event is attributed to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Attributed {
    pub(crate) event: ConversionId,
    pub(crate) generation: i32,
    /// The match key of the contact whose event it is.
    pub(crate) person: Option<String>,
    pub(crate) source: Option<Source>,
    pub(crate) occurred_at: Timestamp,
    /// What is written to records; none: the event is attributed to nobody.
    pub(crate) told: Option<BTreeMap<String, Value>>,
}

/// The vendor's record that an event tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) connection: ConnectionId,
    pub(crate) object: String,
    pub(crate) id: String,
}

/// Whom an event concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Concerned {
    pub(crate) event: Uuid,
    pub(crate) person: Option<String>,
    pub(crate) source: Option<Source>,
}

/// Stores what an event is attributed to, unless something newer is known.
pub(crate) async fn put(
    tx: &mut PgConnection,
    organization: OrganizationId,
    one: &Attributed,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO attributed (event, organization_id, generation, person, connection_id, vendor_object, vendor_id, \
             occurred_at, told) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::json) \
         ON CONFLICT (event) DO UPDATE SET generation = excluded.generation, person = excluded.person, \
             connection_id = excluded.connection_id, vendor_object = excluded.vendor_object, \
             vendor_id = excluded.vendor_id, occurred_at = excluded.occurred_at, told = excluded.told \
         WHERE attributed.generation < excluded.generation AND attributed.organization_id = excluded.organization_id",
    )
    .bind(one.event.uuid())
    .bind(organization.uuid())
    .bind(one.generation)
    .bind(one.person.as_deref())
    .bind(one.source.as_ref().map(|source| source.connection.uuid()))
    .bind(one.source.as_ref().map(|source| source.object.as_str()))
    .bind(one.source.as_ref().map(|source| source.id.as_str()))
    .bind(at(one.occurred_at))
    .bind(one.told.as_ref().map(json).transpose()?)
    .execute(tx)
    .await?;
    Ok(())
}

/// The attribution that a record is told of: that of the newest event which is attributed to somebody, among those of the
/// person and those that tell of a vendor's record which is linked to it.
pub(crate) async fn of_record(
    tx: &mut PgConnection,
    organization: OrganizationId,
    record: RecordId,
    person: Option<&str>,
) -> Result<Option<BTreeMap<String, Value>>, Error> {
    let told: Option<String> = sqlx::query_scalar(
        "SELECT told::text FROM ( \
             SELECT event, occurred_at, told FROM attributed \
             WHERE organization_id = $1 AND person = $3 AND told IS NOT NULL \
             UNION ALL \
             SELECT a.event, a.occurred_at, a.told FROM links l JOIN mappings m ON m.id = l.mapping_id \
                 JOIN attributed a ON a.connection_id = m.connection_id AND a.vendor_object = m.vendor_object \
                      AND a.vendor_id = l.vendor_id AND a.organization_id = m.organization_id \
             WHERE l.record_id = $2 AND m.organization_id = $1 AND a.told IS NOT NULL) AS found \
         ORDER BY occurred_at DESC, event DESC LIMIT 1",
    )
    .bind(organization.uuid())
    .bind(record.uuid())
    .bind(person)
    .fetch_optional(tx)
    .await?;
    told.map(|told| from_json("an attribution", &told)).transpose()
}

/// The contact or deal that is linked to a vendor's record.
pub(crate) async fn linked(
    tx: &mut PgConnection,
    organization: OrganizationId,
    source: &Source,
) -> Result<Vec<RecordId>, Error> {
    let found: Vec<Uuid> = sqlx::query_scalar(
        "SELECT l.record_id FROM mappings m JOIN links l ON l.mapping_id = m.id AND l.vendor_id = $4 \
         WHERE m.organization_id = $1 AND m.connection_id = $2 AND m.vendor_object = $3 AND m.object IN ($5, $6) \
           AND l.record_id IS NOT NULL",
    )
    .bind(organization.uuid())
    .bind(source.connection.uuid())
    .bind(&source.object)
    .bind(&source.id)
    .bind(CanonicalObject::Contact.name())
    .bind(CanonicalObject::Deal.name())
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(RecordId::from_uuid).collect())
}

/// Those of these organizations that have a CRM told of attributions.
pub(crate) async fn writing(
    db: &mut PgConnection,
    organizations: &BTreeSet<OrganizationId>,
) -> Result<HashSet<OrganizationId>, Error> {
    let organizations: Vec<Uuid> = organizations.iter().map(|id| id.uuid()).collect();
    let found: Vec<Uuid> = sqlx::query_scalar(
        "SELECT DISTINCT organization_id FROM attribution_writing WHERE organization_id = ANY($1)",
    )
    .bind(organizations)
    .fetch_all(db)
    .await?;
    Ok(found.into_iter().map(OrganizationId::from_uuid).collect())
}

/// Who wanted the CRM of a connection to be told; none where nobody does.
pub(crate) async fn wanted_by(
    db: &mut PgConnection,
    connection: ConnectionId,
) -> Result<Option<String>, Error> {
    Ok(sqlx::query_scalar("SELECT actor FROM attribution_writing WHERE connection_id = $1")
        .bind(connection.uuid())
        .fetch_optional(db)
        .await?)
}

/// Has the CRM of a connection told of attributions; false where it is already.
pub(crate) async fn begin(
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    actor: &str,
    now: Timestamp,
) -> Result<bool, Error> {
    let begun = sqlx::query(
        "INSERT INTO attribution_writing (connection_id, organization_id, actor, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT DO NOTHING",
    )
    .bind(connection.uuid())
    .bind(organization.uuid())
    .bind(actor)
    .bind(at(now))
    .execute(tx)
    .await?;
    Ok(begun.rows_affected() > 0)
}

/// Has it told no more; false where it was not.
pub(crate) async fn end(tx: &mut PgConnection, connection: ConnectionId) -> Result<bool, Error> {
    let ended = sqlx::query("DELETE FROM attribution_writing WHERE connection_id = $1")
        .bind(connection.uuid())
        .execute(tx)
        .await?;
    Ok(ended.rows_affected() > 0)
}

/// Has all attributed records of an organization looked at, where it has a CRM told.
pub(crate) async fn sweep(tx: &mut PgConnection, organization: OrganizationId) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO attribution_sweeps (organization_id, after, round) \
         SELECT DISTINCT organization_id, $2::uuid, 0 FROM attribution_writing WHERE organization_id = $1 \
         ON CONFLICT (organization_id) DO UPDATE SET after = excluded.after, round = attribution_sweeps.round + 1",
    )
    .bind(organization.uuid())
    .bind(Uuid::nil())
    .execute(tx)
    .await?;
    Ok(())
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sweep {
    pub(crate) organization: OrganizationId,
    pub(crate) after: Uuid,
    pub(crate) round: i32,
}

/// A sweep that is not at its end.
pub(crate) async fn next_sweep(db: &mut PgConnection) -> Result<Option<Sweep>, Error> {
    let row = sqlx::query(
        "SELECT organization_id, after, round FROM attribution_sweeps ORDER BY organization_id LIMIT 1",
    )
    .fetch_optional(db)
    .await?;
    row.map(|row| {
        Ok(Sweep {
            organization: OrganizationId::from_uuid(row.try_get("organization_id")?),
            after: row.try_get("after")?,
            round: row.try_get("round")?,
        })
    })
    .transpose()
}

/// Events behind a place, by their ids.
pub(crate) async fn page(db: &mut PgConnection, sweep: Sweep, limit: i64) -> Result<Vec<Concerned>, Error> {
    let rows = sqlx::query(
        "SELECT event, person, connection_id, vendor_object, vendor_id FROM attributed \
         WHERE organization_id = $1 AND event > $2 ORDER BY event LIMIT $3",
    )
    .bind(sweep.organization.uuid())
    .bind(sweep.after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(concerned).collect()
}

fn concerned(row: &PgRow) -> Result<Concerned, Error> {
    let connection: Option<Uuid> = row.try_get("connection_id")?;
    let object: Option<String> = row.try_get("vendor_object")?;
    let id: Option<String> = row.try_get("vendor_id")?;
    let source = connection.zip(object).zip(id).map(|((connection, object), id)| Source {
        connection: ConnectionId::from_uuid(connection),
        object,
        id,
    });
    Ok(Concerned { event: row.try_get("event")?, person: row.try_get("person")?, source })
}

/// Notes how far a sweep came, or that it is at its end; one that began again meanwhile goes on from there.
pub(crate) async fn swept(db: &mut PgConnection, sweep: Sweep, last: Option<Uuid>) -> Result<(), Error> {
    let query = match last {
        Some(_) => "UPDATE attribution_sweeps SET after = $3 WHERE organization_id = $1 AND round = $2",
        None => {
            "DELETE FROM attribution_sweeps WHERE organization_id = $1 AND round = $2 AND $3::uuid IS NULL"
        }
    };
    sqlx::query(query).bind(sweep.organization.uuid()).bind(sweep.round).bind(last).execute(db).await?;
    Ok(())
}
