use std::collections::BTreeMap;

use model::MappingId;
use sqlx::{PgConnection, Row};

use super::{from_json, json};
use crate::{Error, domain::sync::Staged};

/// A mapping and the vendor's id of a record.
pub(crate) type Place = (MappingId, String);

/// What is kept of these records.
pub(crate) async fn of(tx: &mut PgConnection, places: &[Place]) -> Result<BTreeMap<Place, Staged>, Error> {
    let rows = sqlx::query(
        "SELECT p.mapping_id, p.vendor_id, p.seen::text AS seen \
         FROM UNNEST($1::uuid[], $2::text[]) AS w(mapping_id, vendor_id) \
         JOIN parts p ON p.mapping_id = w.mapping_id AND p.vendor_id = w.vendor_id",
    )
    .bind(places.iter().map(|(mapping, _)| mapping.uuid()).collect::<Vec<_>>())
    .bind(places.iter().map(|(_, vendor_id)| vendor_id.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let place = (MappingId::from_uuid(row.try_get("mapping_id")?), row.try_get("vendor_id")?);
        Ok((place, from_json("a part of a vendor's record", row.try_get("seen")?)?))
    };
    rows.iter().map(read).collect()
}

/// Keeps what is known of records now, in place of what was kept.
pub(crate) async fn put(tx: &mut PgConnection, kept: &[(&Place, &Staged)]) -> Result<(), Error> {
    let seen = kept.iter().map(|(_, seen)| json(seen)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO parts (mapping_id, vendor_id, organization_id, seen) \
         SELECT k.mapping_id, k.vendor_id, m.organization_id, k.seen::json \
         FROM UNNEST($1::uuid[], $2::text[], $3::text[]) AS k(mapping_id, vendor_id, seen) \
              JOIN mappings m ON m.id = k.mapping_id \
         ORDER BY k.mapping_id, k.vendor_id \
         ON CONFLICT (mapping_id, vendor_id) DO UPDATE SET seen = excluded.seen",
    )
    .bind(kept.iter().map(|((mapping, _), _)| mapping.uuid()).collect::<Vec<_>>())
    .bind(kept.iter().map(|((_, vendor_id), _)| vendor_id.as_str()).collect::<Vec<_>>())
    .bind(seen)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets what was kept of these records.
pub(crate) async fn remove(tx: &mut PgConnection, places: &[&Place]) -> Result<(), Error> {
    sqlx::query(
        "DELETE FROM parts USING UNNEST($1::uuid[], $2::text[]) AS g(mapping_id, vendor_id) \
         WHERE parts.mapping_id = g.mapping_id AND parts.vendor_id = g.vendor_id",
    )
    .bind(places.iter().map(|(mapping, _)| mapping.uuid()).collect::<Vec<_>>())
    .bind(places.iter().map(|(_, vendor_id)| vendor_id.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
