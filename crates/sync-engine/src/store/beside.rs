use std::collections::BTreeMap;

use jiff::Timestamp;
use model::MappingId;
use sqlx::{PgConnection, Row};

use super::{at, from_json, json};
use crate::{Error, domain::sync::Staged};

/// A vendor's record as it was last seen, by the vendor's id.
pub(crate) type Read = (String, Staged);

/// Keeps what vendors' records were seen with; newer fields take the place of older ones, in whichever order they come.
pub(crate) async fn put(
    tx: &mut PgConnection,
    read: &BTreeMap<&(MappingId, String), &Staged>,
) -> Result<(), Error> {
    let fields = read.values().map(|seen| json(&seen.fields)).collect::<Result<Vec<_>, _>>()?;
    let times = read.values().map(|seen| json(&seen.times)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO beside AS b (mapping_id, vendor_id, organization_id, version, at, fields, times) \
         SELECT r.mapping_id, r.vendor_id, m.organization_id, r.version, r.at, r.fields::jsonb, r.times::jsonb \
         FROM UNNEST($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[]) \
              AS r(mapping_id, vendor_id, version, at, fields, times) JOIN mappings m ON m.id = r.mapping_id \
         ORDER BY r.mapping_id, r.vendor_id \
         ON CONFLICT (mapping_id, vendor_id) DO UPDATE SET \
             fields = CASE WHEN excluded.version >= b.version THEN b.fields || excluded.fields \
                           ELSE excluded.fields || b.fields END, \
             times = CASE WHEN excluded.version >= b.version \
                           THEN (b.times - ARRAY(SELECT jsonb_object_keys(excluded.fields))) || excluded.times \
                           ELSE (excluded.times - ARRAY(SELECT jsonb_object_keys(b.fields))) || b.times END, \
             at = CASE WHEN excluded.version >= b.version THEN excluded.at ELSE b.at END, \
             version = greatest(excluded.version, b.version)",
    )
    .bind(read.keys().map(|(mapping, _)| mapping.uuid()).collect::<Vec<_>>())
    .bind(read.keys().map(|(_, vendor_id)| vendor_id.as_str()).collect::<Vec<_>>())
    .bind(read.values().map(|seen| seen.version).collect::<Vec<_>>())
    .bind(read.values().map(|seen: &&Staged| at(seen.at)).collect::<Vec<jiff_sqlx::Timestamp>>())
    .bind(fields)
    .bind(times)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets records that the vendor has no more, as of these versions.
pub(crate) async fn remove_gone(
    tx: &mut PgConnection,
    gone: &BTreeMap<&(MappingId, String), i64>,
) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM beside USING UNNEST($1::uuid[], $2::text[], $3::bigint[]) AS g(mapping_id, vendor_id, version) \
         WHERE beside.mapping_id = g.mapping_id AND beside.vendor_id = g.vendor_id AND beside.version <= g.version",
    )
    .bind(gone.keys().map(|(mapping, _)| mapping.uuid()).collect::<Vec<_>>())
    .bind(gone.keys().map(|(_, vendor_id)| vendor_id.as_str()).collect::<Vec<_>>())
    .bind(gone.values().copied().collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// What is kept of a mapping's records behind this one, in the order of the vendor's ids.
pub(crate) async fn page(
    db: &mut PgConnection,
    mapping: MappingId,
    after: &str,
    limit: i64,
) -> Result<Vec<Read>, Error> {
    let rows = sqlx::query(
        "SELECT vendor_id, version, at, fields::text AS fields, times::text AS times FROM beside \
         WHERE mapping_id = $1 AND vendor_id > $2 ORDER BY vendor_id LIMIT $3",
    )
    .bind(mapping.uuid())
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            let at: Timestamp = row.try_get::<jiff_sqlx::Timestamp, _>("at")?.to_jiff();
            let fields = from_json("a vendor's record", row.try_get("fields")?)?;
            let times = from_json("a vendor's record", row.try_get("times")?)?;
            let version = row.try_get("version")?;
            let older = BTreeMap::new();
            Ok((row.try_get("vendor_id")?, Staged { version, at, fields, times, older, gone: None }))
        })
        .collect()
}

/// Forgets what was kept of these records.
pub(crate) async fn remove(tx: &mut PgConnection, mapping: MappingId, read: &[Read]) -> Result<(), Error> {
    sqlx::query("DELETE FROM beside WHERE mapping_id = $1 AND vendor_id = ANY($2)")
        .bind(mapping.uuid())
        .bind(read.iter().map(|(vendor_id, _)| vendor_id.as_str()).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    Ok(())
}

/// Forgets all that was kept for a mapping.
pub(crate) async fn clear(tx: &mut PgConnection, mapping: MappingId) -> Result<(), Error> {
    sqlx::query("DELETE FROM beside WHERE mapping_id = $1").bind(mapping.uuid()).execute(tx).await?;
    Ok(())
}

/// How many of a mapping's records are kept.
pub(crate) async fn count(db: &mut PgConnection, mapping: MappingId) -> Result<i64, Error> {
    let count = sqlx::query_scalar("SELECT count(*) FROM beside WHERE mapping_id = $1");
    Ok(count.bind(mapping.uuid()).fetch_one(db).await?)
}
