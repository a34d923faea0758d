use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use model::{CanonicalObject, ConnectionId, OrganizationId, RecordId};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{at, cells, from_json, json, times};
use crate::{Error, domain::cell::Record};

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, organization_id, object, version, cells::text AS cells, created_at, updated_at, archived_at, \
             deleted FROM records ",
            $rest
        )
    };
}

fn read(row: &PgRow) -> Result<Record, Error> {
    let object: String = row.try_get("object")?;
    Ok(Record {
        id: RecordId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization_id")?),
        object: object.parse().map_err(|error| Error::stored("a record's object", error))?,
        version: row.try_get("version")?,
        cells: from_json::<cells::Read>("a record's fields", row.try_get("cells")?)?.0,
        created_at: row.try_get::<jiff_sqlx::Timestamp, _>("created_at")?.to_jiff(),
        updated_at: row.try_get::<jiff_sqlx::Timestamp, _>("updated_at")?.to_jiff(),
        archived_at: row
            .try_get::<Option<jiff_sqlx::Timestamp>, _>("archived_at")?
            .map(jiff_sqlx::Timestamp::to_jiff),
        deleted: row.try_get("deleted")?,
    })
}

/// Locks records until the transaction ends. Always before their links, and in the order of ids, so that nobody
/// waits in a circle.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    ids: &[RecordId],
) -> Result<HashMap<RecordId, Record>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows =
        sqlx::query(columns!("WHERE id = ANY($1) ORDER BY id FOR UPDATE")).bind(ids).fetch_all(tx).await?;
    rows.iter().map(|row| read(row).map(|record| (record.id, record))).collect()
}

/// Whether there may be records of an object whose edits are older than the present moment: some are here already, or
/// come from another connection.
pub(crate) async fn may_be_older(
    db: &mut PgConnection,
    organization: OrganizationId,
    object: CanonicalObject,
    connection: ConnectionId,
) -> Result<bool, Error> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM records WHERE organization_id = $1 AND object = $2) \
         OR EXISTS (SELECT FROM mappings WHERE organization_id = $1 AND object = $2 AND connection_id <> $3)",
    )
    .bind(organization.uuid())
    .bind(object.name())
    .bind(connection.uuid())
    .fetch_one(db)
    .await?)
}

/// One record of the organization.
pub(crate) async fn get(
    db: &mut PgConnection,
    organization: OrganizationId,
    id: RecordId,
) -> Result<Option<Record>, Error> {
    let row = sqlx::query(columns!("WHERE id = $1 AND organization_id = $2 AND NOT deleted"))
        .bind(id.uuid())
        .bind(organization.uuid())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Records of the organization, by id.
pub(crate) async fn get_many(
    db: &mut PgConnection,
    organization: OrganizationId,
    ids: impl IntoIterator<Item = RecordId>,
) -> Result<HashMap<RecordId, Record>, Error> {
    let ids: Vec<Uuid> = ids.into_iter().map(RecordId::uuid).collect();
    let rows = sqlx::query(columns!("WHERE id = ANY($1) AND organization_id = $2"))
        .bind(ids)
        .bind(organization.uuid())
        .fetch_all(db)
        .await?;
    rows.iter().map(|row| read(row).map(|record| (record.id, record))).collect()
}

/// What a listing asks for.
#[derive(Clone, Debug)]
pub(crate) struct Listing {
    pub(crate) object: CanonicalObject,
    /// Part of the title, in any case.
    pub(crate) query: String,
    /// The vendor and its record that the record is linked to.
    pub(crate) vendor: Option<(String, String)>,
    /// Only records before this one.
    pub(crate) before: Option<RecordId>,
    pub(crate) archived: bool,
    pub(crate) limit: i64,
}

/// A page of the organization's records, the newest first.
pub(crate) async fn list(
    db: &mut PgConnection,
    organization: OrganizationId,
    listing: &Listing,
) -> Result<Vec<Record>, Error> {
    let (vendor, vendor_id) = listing.vendor.clone().unzip();
    let rows = sqlx::query(columns!(
        "WHERE organization_id = $1 AND object = $2 AND ($3 = '' OR title ILIKE '%' || $3 || '%') \
         AND id < $4 AND NOT deleted AND ($5 OR archived_at IS NULL) \
         AND ($6::text IS NULL OR id IN (SELECT l.record_id FROM links l JOIN mappings m ON m.id = l.mapping_id \
              WHERE m.organization_id = $1 AND m.vendor = $6 AND l.vendor_id = $7)) \
         ORDER BY id DESC LIMIT $8"
    ))
    .bind(organization.uuid())
    .bind(listing.object.name())
    .bind(like(&listing.query))
    .bind(listing.before.map_or(Uuid::max(), RecordId::uuid))
    .bind(listing.archived)
    .bind(vendor)
    .bind(vendor_id)
    .bind(listing.limit + 1)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// How many records fit the listing, on all its pages.
pub(crate) async fn count(
    db: &mut PgConnection,
    organization: OrganizationId,
    listing: &Listing,
) -> Result<i64, Error> {
    let (vendor, vendor_id) = listing.vendor.clone().unzip();
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM records WHERE organization_id = $1 AND object = $2 \
         AND ($3 = '' OR title ILIKE '%' || $3 || '%') AND NOT deleted AND ($4 OR archived_at IS NULL) \
         AND ($5::text IS NULL OR id IN (SELECT l.record_id FROM links l JOIN mappings m ON m.id = l.mapping_id \
              WHERE m.organization_id = $1 AND m.vendor = $5 AND l.vendor_id = $6))",
    )
    .bind(organization.uuid())
    .bind(listing.object.name())
    .bind(like(&listing.query))
    .bind(listing.archived)
    .bind(vendor)
    .bind(vendor_id)
    .fetch_one(db)
    .await?)
}

/// Records of an object that no vendor record is linked to under a mapping, in the order of ids.
pub(crate) async fn unlinked(
    db: &mut PgConnection,
    organization: OrganizationId,
    object: CanonicalObject,
    mapping: model::MappingId,
    after: Option<RecordId>,
    limit: i64,
) -> Result<Vec<Record>, Error> {
    let rows = sqlx::query(columns!(
        "WHERE organization_id = $1 AND object = $2 AND archived_at IS NULL AND id > $4 \
         AND NOT EXISTS (SELECT 1 FROM links l WHERE l.record_id = records.id AND l.mapping_id = $3) \
         ORDER BY id LIMIT $5"
    ))
    .bind(organization.uuid())
    .bind(object.name())
    .bind(mapping.uuid())
    .bind(after.map_or(Uuid::nil(), RecordId::uuid))
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// The newest records of an object.
pub(crate) async fn newest(
    db: &mut PgConnection,
    organization: OrganizationId,
    object: CanonicalObject,
    limit: i64,
) -> Result<Vec<Record>, Error> {
    let rows = sqlx::query(columns!(
        "WHERE organization_id = $1 AND object = $2 AND archived_at IS NULL ORDER BY id DESC LIMIT $3"
    ))
    .bind(organization.uuid())
    .bind(object.name())
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// Stores records, new ones and changed ones, in one statement.
pub(crate) async fn put(tx: &mut PgConnection, records: &[&Record]) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    let cells =
        records.iter().map(|record| json(&cells::Stored(&record.cells))).collect::<Result<Vec<_>, _>>()?;
    let archived: Vec<Option<jiff_sqlx::Timestamp>> =
        records.iter().map(|record| record.archived_at.map(at)).collect();
    sqlx::query(
        "INSERT INTO records (id, organization_id, object, version, title, cells, created_at, updated_at, archived_at, \
             deleted) \
         SELECT id, organization_id, object, version, title, cells::json, created_at, updated_at, archived_at, deleted \
         FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[], \
                     $8::timestamptz[], $9::timestamptz[], $10::bool[]) \
              AS r(id, organization_id, object, version, title, cells, created_at, updated_at, archived_at, deleted) \
         ON CONFLICT (id) DO UPDATE SET version = excluded.version, title = excluded.title, cells = excluded.cells, \
             updated_at = excluded.updated_at, archived_at = excluded.archived_at, deleted = excluded.deleted \
         WHERE records.version < excluded.version",
    )
    .bind(records.iter().map(|record| record.id.uuid()).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.organization.uuid()).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.object.name()).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.version).collect::<Vec<_>>())
    .bind(records.iter().map(|record| record.title()).collect::<Vec<_>>())
    .bind(cells)
    .bind(times(records.iter().map(|record| record.created_at)))
    .bind(times(records.iter().map(|record| record.updated_at)))
    .bind(archived)
    .bind(records.iter().map(|record| record.deleted).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Replaces the match keys of records.
pub(crate) async fn put_keys(
    tx: &mut PgConnection,
    records: &[(&Record, BTreeSet<String>)],
) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = records.iter().map(|(record, _)| record.id.uuid()).collect();
    sqlx::query("DELETE FROM match_keys WHERE record_id = ANY($1)").bind(ids).execute(&mut *tx).await?;
    let rows: Vec<(&Record, &String)> =
        records.iter().flat_map(|(record, keys)| keys.iter().map(move |key| (*record, key))).collect();
    sqlx::query(
        "INSERT INTO match_keys (organization_id, object, key, record_id) \
         SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::uuid[]) ON CONFLICT DO NOTHING",
    )
    .bind(rows.iter().map(|(record, _)| record.organization.uuid()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(record, _)| record.object.name()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, key)| key.as_str()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(record, _)| record.id.uuid()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Which records have these match keys: key, record.
pub(crate) async fn by_keys(
    tx: &mut PgConnection,
    organization: OrganizationId,
    object: CanonicalObject,
    keys: &[String],
) -> Result<Vec<(String, RecordId)>, Error> {
    // Key by key, which OFFSET 0 makes sure of: where most organizations are small, the planner would rather read all keys
    // of one than look these up, and that takes a second in a large one.
    let rows = sqlx::query(
        "SELECT k.key, k.record_id FROM (SELECT DISTINCT key FROM UNNEST($3::text[]) AS x(key)) AS given, LATERAL ( \
             SELECT m.key, m.record_id FROM match_keys m JOIN records r ON r.id = m.record_id AND r.archived_at IS NULL \
             WHERE m.organization_id = $1 AND m.object = $2 AND m.key = given.key OFFSET 0) k \
         ORDER BY k.record_id",
    )
    .bind(organization.uuid())
    .bind(object.name())
    .bind(keys)
    .fetch_all(tx)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("key")?, RecordId::from_uuid(row.try_get("record_id")?)))).collect()
}

/// Makes everybody who creates records of this object in this organization wait for the transaction's end, so that
/// two of them never create the same thing. Taken before any row is locked.
pub(crate) async fn lock_creation(
    tx: &mut PgConnection,
    organization: OrganizationId,
    object: CanonicalObject,
) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))")
        .bind(format!("sync.create:{organization}:{object}"))
        .execute(tx)
        .await?;
    Ok(())
}

/// An idempotency key: whose it is, what it says, and the digest of the request that it came with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestKey<'a> {
    pub(crate) organization: OrganizationId,
    pub(crate) actor: &'a str,
    pub(crate) object: CanonicalObject,
    pub(crate) key: &'a str,
    pub(crate) request: &'a [u8],
}

/// Takes the key for a record that is about to be created. Where it was taken before, gives the record and the digest of
/// that request; where somebody is taking it, waits for them. Done before anything else is locked.
pub(crate) async fn take_key(
    tx: &mut PgConnection,
    key: RequestKey<'_>,
    record: RecordId,
    now: Timestamp,
) -> Result<Option<(RecordId, Vec<u8>)>, Error> {
    let taken = sqlx::query(
        "INSERT INTO created_by_key (organization_id, actor, object, key, request, record_id, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
    )
    .bind(key.organization.uuid())
    .bind(key.actor)
    .bind(key.object.name())
    .bind(key.key)
    .bind(key.request)
    .bind(record.uuid())
    .bind(at(now))
    .execute(&mut *tx)
    .await?;
    if taken.rows_affected() == 1 {
        return Ok(None);
    }
    let (id, request): (Uuid, Vec<u8>) = sqlx::query_as(
        "SELECT record_id, request FROM created_by_key \
         WHERE organization_id = $1 AND actor = $2 AND object = $3 AND key = $4",
    )
    .bind(key.organization.uuid())
    .bind(key.actor)
    .bind(key.object.name())
    .bind(key.key)
    .fetch_one(tx)
    .await?;
    Ok(Some((RecordId::from_uuid(id), request)))
}

fn like(query: &str) -> String {
    query.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
