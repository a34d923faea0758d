use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use jiff::Timestamp;
use model::{
    ConnectionId, Digests, MappingId, OrganizationId, RecordId, VerifiedBucket, VerifyFinished,
    VerifyProgressed, digest,
};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::at;
use crate::{
    Error,
    consumer::Verify,
    unit::{Difference, Unsynced},
};

/// A comparison of an object at both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reconcile {
    pub(crate) id: Uuid,
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) vendor: String,
    pub(crate) vendor_object: String,
    /// `wanted`, `reading`, `done` or `given_up`.
    pub(crate) state: String,
    pub(crate) actor: String,
    pub(crate) started_at: Timestamp,
    /// When the reading began, so that both sides are equal as of this moment.
    pub(crate) verified_at: Option<Timestamp>,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) read: i64,
    /// Records that the vendor counted at the start, where it counts them.
    pub(crate) total: Option<i64>,
    /// How many buckets differed.
    pub(crate) buckets: Option<i64>,
    pub(crate) repaired: i64,
    /// Records that an issue held back when it ended.
    pub(crate) held: i64,
}

/// What of a difference is listed.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) vendor_id: Option<String>,
    pub(crate) record: Option<RecordId>,
    /// The record's object.
    pub(crate) object: Option<String>,
    pub(crate) what: String,
    pub(crate) fields: Vec<String>,
    pub(crate) at: Timestamp,
}

/// A link whose vendor record was not in the listing.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    pub(crate) mapping: MappingId,
    pub(crate) vendor_id: String,
    pub(crate) version: i64,
}

fn moment(row: &PgRow, column: &str) -> Result<Option<Timestamp>, Error> {
    Ok(row.try_get::<Option<jiff_sqlx::Timestamp>, _>(column)?.map(jiff_sqlx::Timestamp::to_jiff))
}

fn read(row: &PgRow) -> Result<Reconcile, Error> {
    Ok(Reconcile {
        id: row.try_get("id")?,
        organization: OrganizationId::from_uuid(row.try_get("organization_id")?),
        connection: ConnectionId::from_uuid(row.try_get("connection_id")?),
        vendor: row.try_get("vendor")?,
        vendor_object: row.try_get("vendor_object")?,
        state: row.try_get("state")?,
        actor: row.try_get("actor")?,
        started_at: row.try_get::<jiff_sqlx::Timestamp, _>("started_at")?.to_jiff(),
        verified_at: moment(row, "verified_at")?,
        finished_at: moment(row, "finished_at")?,
        read: row.try_get("read")?,
        total: row.try_get("total")?,
        buckets: row.try_get("buckets")?,
        repaired: row.try_get("repaired")?,
        held: row.try_get("held")?,
    })
}

/// Wants every object of a connection that an active mapping syncs compared; one that is being compared already is not
/// begun again.
pub(crate) async fn want(
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    actor: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO reconciles (id, organization_id, connection_id, vendor, vendor_object, state, actor, started_at) \
         SELECT gen_random_uuid(), organization_id, connection_id, vendor, vendor_object, 'wanted', $3, $4 \
         FROM mappings WHERE organization_id = $1 AND connection_id = $2 AND state = 'active' \
         GROUP BY organization_id, connection_id, vendor, vendor_object \
         ON CONFLICT (connection_id, vendor_object) WHERE state IN ('wanted', 'reading') DO NOTHING",
    )
    .bind(organization.uuid())
    .bind(connection.uuid())
    .bind(actor)
    .bind(at(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Wants what was not compared since this moment compared, of connections that work and mappings that are older; gives
/// how many.
pub(crate) async fn want_due(
    tx: &mut PgConnection,
    due: Timestamp,
    actor: &str,
    now: Timestamp,
) -> Result<u64, Error> {
    let done = sqlx::query(
        "INSERT INTO reconciles (id, organization_id, connection_id, vendor, vendor_object, state, actor, started_at) \
         SELECT gen_random_uuid(), m.organization_id, m.connection_id, m.vendor, m.vendor_object, 'wanted', $2, $3 \
         FROM mappings m JOIN connections c ON c.id = m.connection_id \
         WHERE m.state = 'active' AND m.activated_at < $1 AND c.state = 'active' AND NOT EXISTS \
             (SELECT FROM reconciles r WHERE r.connection_id = m.connection_id \
              AND r.vendor_object = m.vendor_object AND r.started_at >= $1) \
         GROUP BY m.organization_id, m.connection_id, m.vendor, m.vendor_object \
         ON CONFLICT (connection_id, vendor_object) WHERE state IN ('wanted', 'reading') DO NOTHING",
    )
    .bind(at(due))
    .bind(actor)
    .bind(at(now))
    .execute(tx)
    .await?;
    Ok(done.rows_affected())
}

/// Gives up what began before this moment and has not ended.
pub(crate) async fn give_up(tx: &mut PgConnection, before: Timestamp, now: Timestamp) -> Result<(), Error> {
    sqlx::query(
        "UPDATE reconciles SET state = 'given_up', finished_at = $2 WHERE state IN ('wanted', 'reading') \
         AND started_at < $1",
    )
    .bind(at(before))
    .bind(at(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// The comparisons of a connection, the newest first.
pub(crate) async fn list(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    limit: i64,
) -> Result<Vec<Reconcile>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM reconciles WHERE connection_id = $2 AND organization_id = $1 \
         ORDER BY started_at DESC, vendor_object LIMIT $3",
    )
    .bind(organization.uuid())
    .bind(connection.uuid())
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// One of the organization's comparisons.
pub(crate) async fn get(
    db: &mut PgConnection,
    organization: OrganizationId,
    id: Uuid,
) -> Result<Option<Reconcile>, Error> {
    let row = sqlx::query("SELECT * FROM reconciles WHERE id = $1 AND organization_id = $2")
        .bind(id)
        .bind(organization.uuid())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// What a comparison repaired, in the order in which it did.
pub(crate) async fn differences(db: &mut PgConnection, id: Uuid, limit: i64) -> Result<Vec<Listed>, Error> {
    let rows = sqlx::query(
        "SELECT d.vendor_id, d.record_id, r.object, d.what, d.fields, d.at \
         FROM reconcile_differences d LEFT JOIN records r ON r.id = d.record_id \
         WHERE d.reconcile_id = $1 ORDER BY d.at, d.link_id LIMIT $2",
    )
    .bind(id)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let read = |row: &PgRow| {
        Ok(Listed {
            vendor_id: row.try_get("vendor_id")?,
            record: row.try_get::<Option<Uuid>, _>("record_id")?.map(RecordId::from_uuid),
            object: row.try_get("object")?,
            what: row.try_get("what")?,
            fields: row.try_get("fields")?,
            at: row.try_get::<jiff_sqlx::Timestamp, _>("at")?.to_jiff(),
        })
    };
    rows.iter().map(read).collect()
}

/// Takes one that is wanted; nobody else gets it until the transaction ends.
pub(crate) async fn take_wanted(tx: &mut PgConnection) -> Result<Option<Reconcile>, Error> {
    let row = sqlx::query(
        "SELECT * FROM reconciles WHERE state = 'wanted' AND pg_try_advisory_xact_lock(hashtextextended(id::text, 0)) \
         ORDER BY started_at LIMIT 1",
    )
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// The vendor's records are being read.
pub(crate) async fn reading(tx: &mut PgConnection, id: Uuid) -> Result<bool, Error> {
    let done = sqlx::query("UPDATE reconciles SET state = 'reading' WHERE id = $1 AND state = 'wanted'")
        .bind(id)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Takes one whose reading ended, of which everything that was handed out again has been looked at, and whose repairs
/// the vendor has answered.
pub(crate) async fn take_read(tx: &mut PgConnection) -> Result<Option<Reconcile>, Error> {
    let row = sqlx::query(
        "SELECT * FROM reconciles r WHERE state = 'reading' AND looked_at >= sent AND buckets = \
             (SELECT count(*) FROM reconcile_buckets b WHERE b.reconcile_id = r.id) \
         AND NOT EXISTS (SELECT FROM reconcile_differences d JOIN links l ON l.id = d.link_id \
                         WHERE d.reconcile_id = r.id AND l.write_id IS NOT NULL) \
         AND pg_try_advisory_xact_lock(hashtextextended(id::text, 0)) ORDER BY started_at LIMIT 1",
    )
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Both sides are equal but for what issues hold back; the ids of the vendor's records are not needed any more.
pub(crate) async fn done(
    tx: &mut PgConnection,
    id: Uuid,
    mappings: &[MappingId],
    now: Timestamp,
) -> Result<Option<Reconcile>, Error> {
    let mappings: Vec<Uuid> = mappings.iter().map(|id| id.uuid()).collect();
    sqlx::query("DELETE FROM reconcile_buckets WHERE reconcile_id = $1").bind(id).execute(&mut *tx).await?;
    let row = sqlx::query(
        "UPDATE reconciles SET state = 'done', finished_at = $2, held = \
             (SELECT count(DISTINCT i.link_id) FROM issues i JOIN links l ON l.id = i.link_id \
              WHERE l.mapping_id = ANY($3) AND i.state IN ('open', 'retrying')) \
         WHERE id = $1 AND state = 'reading' RETURNING *",
    )
    .bind(id)
    .bind(at(now))
    .bind(mappings)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}

/// Ends one that cannot be compared: nothing of its object is synced any more.
pub(crate) async fn abandon(tx: &mut PgConnection, id: Uuid, now: Timestamp) -> Result<(), Error> {
    sqlx::query("UPDATE reconciles SET state = 'given_up', finished_at = $2 WHERE id = $1")
        .bind(id)
        .bind(at(now))
        .execute(tx)
        .await?;
    Ok(())
}

/// Notes what the connector told of a comparison.
pub(crate) async fn told(
    tx: &mut PgConnection,
    organization: OrganizationId,
    told: &Verify,
) -> Result<(), Error> {
    match told {
        Verify::Bucket(fact) => bucket(tx, organization, fact).await,
        Verify::Progressed(fact) => progressed(tx, organization, fact).await,
        Verify::Finished(fact) => finished(tx, organization, fact).await,
    }
}

/// Notes which records the vendor has in a bucket that differs.
async fn bucket(
    tx: &mut PgConnection,
    organization: OrganizationId,
    fact: &VerifiedBucket,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO reconcile_buckets (reconcile_id, organization_id, bucket, ids) \
         SELECT id, organization_id, $3, $4 FROM reconciles \
         WHERE id = $1 AND organization_id = $2 AND state = 'reading' \
         ON CONFLICT (reconcile_id, bucket) DO UPDATE SET ids = excluded.ids",
    )
    .bind(fact.run)
    .bind(organization.uuid())
    .bind(i32::try_from(fact.bucket).unwrap_or(i32::MAX))
    .bind(&fact.ids)
    .execute(tx)
    .await?;
    Ok(())
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Notes how far the vendor's records were read.
async fn progressed(
    tx: &mut PgConnection,
    organization: OrganizationId,
    fact: &VerifyProgressed,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE reconciles SET read = $3, total = $4 \
         WHERE id = $1 AND organization_id = $2 AND state = 'reading' AND verified_at IS NULL",
    )
    .bind(fact.run)
    .bind(organization.uuid())
    .bind(count(fact.read))
    .bind(fact.total.map(count))
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes that all of the vendor's records were read.
async fn finished(
    tx: &mut PgConnection,
    organization: OrganizationId,
    fact: &VerifyFinished,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE reconciles SET read = $3, sent = $4, buckets = $5, verified_at = $6 \
         WHERE id = $1 AND organization_id = $2 AND state = 'reading'",
    )
    .bind(fact.run)
    .bind(organization.uuid())
    .bind(count(fact.read))
    .bind(count(fact.sent))
    .bind(count(fact.buckets))
    .bind(at(fact.started_at))
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes for the comparison of this object that is at work how many records were looked at, and what differed.
pub(crate) async fn note(
    tx: &mut PgConnection,
    connection: ConnectionId,
    vendor_object: &str,
    looked_at: i64,
    differences: &[&Difference],
    now: Timestamp,
) -> Result<(), Error> {
    let fields: Vec<String> = differences.iter().map(|it| it.fields.join("\n")).collect();
    sqlx::query(
        "WITH r AS (SELECT id, organization_id FROM reconciles WHERE connection_id = $1 AND vendor_object = $2 \
                    AND state IN ('wanted', 'reading') FOR UPDATE), \
              new AS (INSERT INTO reconcile_differences \
                          (reconcile_id, organization_id, link_id, vendor_id, record_id, what, fields, at) \
                      SELECT r.id, r.organization_id, d.link_id, d.vendor_id, d.record_id, d.what, \
                             string_to_array(d.fields, E'\\n'), $9 \
                      FROM r, UNNEST($4::uuid[], $5::text[], $6::uuid[], $7::text[], $8::text[]) \
                           AS d(link_id, vendor_id, record_id, what, fields) \
                      ON CONFLICT DO NOTHING RETURNING 1) \
         UPDATE reconciles SET looked_at = looked_at + $3, repaired = repaired + (SELECT count(*) FROM new) \
         WHERE id = (SELECT id FROM r)",
    )
    .bind(connection.uuid())
    .bind(vendor_object)
    .bind(looked_at)
    .bind(differences.iter().map(|it| it.link.uuid()).collect::<Vec<_>>())
    .bind(differences.iter().map(|it| it.vendor_id.clone()).collect::<Vec<_>>())
    .bind(differences.iter().map(|it| it.record.map(RecordId::uuid)).collect::<Vec<_>>())
    .bind(differences.iter().map(|it| it.what.name()).collect::<Vec<_>>())
    .bind(fields)
    .bind(at(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Remembers what a listing showed of records that are not synced; an older version changes nothing.
pub(crate) async fn remember_unsynced(
    tx: &mut PgConnection,
    unsynced: &BTreeMap<(MappingId, String), Unsynced>,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO unsynced (mapping_id, vendor_id, organization_id, version, shown) \
         SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::bigint[], $5::bigint[]) \
         ON CONFLICT (mapping_id, vendor_id) DO UPDATE SET version = excluded.version, shown = excluded.shown \
         WHERE unsynced.version <= excluded.version",
    )
    .bind(unsynced.keys().map(|(mapping, _)| mapping.uuid()).collect::<Vec<_>>())
    .bind(unsynced.keys().map(|(_, vendor_id)| vendor_id.as_str()).collect::<Vec<_>>())
    .bind(unsynced.values().map(|it| it.organization.uuid()).collect::<Vec<_>>())
    .bind(unsynced.values().map(|it| it.version).collect::<Vec<_>>())
    .bind(unsynced.values().map(|it| it.shown).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// The sums of digests of what the vendor showed last, of these mappings.
pub(crate) async fn digests(db: &mut PgConnection, mappings: &[MappingId]) -> Result<Digests, Error> {
    let ids: Vec<Uuid> = mappings.iter().map(|id| id.uuid()).collect();
    let mut digests = Digests::default();
    let mut rows = sqlx::query(
        "SELECT vendor_id, shown FROM links WHERE mapping_id = ANY($1) AND vendor_id IS NOT NULL \
             AND shown IS NOT NULL AND state <> 'detached' \
         UNION SELECT vendor_id, shown FROM unsynced u WHERE mapping_id = ANY($1) AND NOT EXISTS \
             (SELECT FROM links l WHERE l.mapping_id = u.mapping_id AND l.vendor_id = u.vendor_id)",
    )
    .bind(ids)
    .fetch(db);
    while let Some(row) = rows.try_next().await? {
        let id: &str = row.try_get("vendor_id")?;
        digests.add(id, row.try_get::<i64, _>("shown")?.cast_unsigned());
    }
    Ok(digests)
}

/// The vendor's records in the buckets that differed.
#[derive(Debug)]
pub(crate) struct There(BTreeMap<usize, BTreeSet<String>>);

impl There {
    /// Whether it is known that the vendor does not have this record.
    fn lacks(&self, vendor_id: &str) -> bool {
        self.0.get(&digest::bucket(vendor_id)).is_some_and(|ids| !ids.contains(vendor_id))
    }
}

/// What the vendor has in the buckets that differed.
pub(crate) async fn there(db: &mut PgConnection, id: Uuid) -> Result<There, Error> {
    let rows = sqlx::query("SELECT bucket, ids FROM reconcile_buckets WHERE reconcile_id = $1")
        .bind(id)
        .fetch_all(db)
        .await?;
    let mut there = BTreeMap::new();
    for row in rows {
        let bucket = usize::try_from(row.try_get::<i32, _>("bucket")?).unwrap_or_default();
        there.insert(bucket, row.try_get::<Vec<String>, _>("ids")?.into_iter().collect());
    }
    Ok(There(there))
}

/// Links whose vendor record was not in the listing, and was not touched since this moment.
pub(crate) async fn missing(
    db: &mut PgConnection,
    there: &There,
    mappings: &[MappingId],
    untouched_since: Timestamp,
) -> Result<Vec<Missing>, Error> {
    let mut missing = Vec::new();
    if there.0.is_empty() {
        return Ok(missing);
    }
    let ids: Vec<Uuid> = mappings.iter().map(|id| id.uuid()).collect();
    let mut links = sqlx::query(
        "SELECT mapping_id, vendor_id, seen_version FROM links WHERE mapping_id = ANY($1) AND vendor_id IS NOT NULL \
         AND shown IS NOT NULL AND state <> 'detached' AND seen_at < $2",
    )
    .bind(ids)
    .bind(at(untouched_since))
    .fetch(db);
    while let Some(row) = links.try_next().await? {
        let vendor_id: String = row.try_get("vendor_id")?;
        if there.lacks(&vendor_id) {
            let mapping = MappingId::from_uuid(row.try_get("mapping_id")?);
            missing.push(Missing { mapping, vendor_id, version: row.try_get("seen_version")? });
        }
    }
    Ok(missing)
}

/// Forgets records that were not synced and are gone, or are synced by now.
pub(crate) async fn forget_unsynced(
    tx: &mut PgConnection,
    there: &There,
    mappings: &[MappingId],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = mappings.iter().map(|id| id.uuid()).collect();
    let known: Vec<String> = sqlx::query_scalar("SELECT vendor_id FROM unsynced WHERE mapping_id = ANY($1)")
        .bind(&ids)
        .fetch_all(&mut *tx)
        .await?;
    let gone: Vec<String> = known.into_iter().filter(|vendor_id| there.lacks(vendor_id)).collect();
    sqlx::query(
        "DELETE FROM unsynced u WHERE mapping_id = ANY($1) AND (vendor_id = ANY($2) OR EXISTS \
             (SELECT FROM links l WHERE l.mapping_id = u.mapping_id AND l.vendor_id = u.vendor_id))",
    )
    .bind(ids)
    .bind(gone)
    .execute(tx)
    .await?;
    Ok(())
}
