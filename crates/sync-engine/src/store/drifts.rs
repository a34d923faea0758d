use jiff::Timestamp;
use model::{FieldSchema, MappingId};
use sqlx::{PgConnection, Row};

use super::{at, from_json, json};
use crate::Error;

/// A field mapping that is paused because the vendor changed a field that it relies upon.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredDrift {
    /// The canonical field; empty when it is the mapping's filter that relies upon the vendor's field.
    pub(crate) field: String,
    pub(crate) vendor_field: String,
    /// The kind of change, by its name.
    pub(crate) change: String,
    pub(crate) message: String,
    /// The field as it was when the mapping relied upon it.
    pub(crate) expected: FieldSchema,
    /// Whether it is as it was, so that somebody can resume it.
    pub(crate) returned: bool,
}

/// Those of a mapping.
pub(crate) async fn of(db: &mut PgConnection, mapping: MappingId) -> Result<Vec<StoredDrift>, Error> {
    let rows = sqlx::query(
        "SELECT field, vendor_field, change, message, expected::text AS expected, returned FROM drifts \
         WHERE mapping_id = $1 ORDER BY field",
    )
    .bind(mapping.uuid())
    .fetch_all(db)
    .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredDrift {
                field: row.try_get("field")?,
                vendor_field: row.try_get("vendor_field")?,
                change: row.try_get("change")?,
                message: row.try_get("message")?,
                expected: from_json("a field that drifted", row.try_get("expected")?)?,
                returned: row.try_get("returned")?,
            })
        })
        .collect()
}

/// Stores one; a newer one of the same two fields replaces it.
pub(crate) async fn put(
    tx: &mut PgConnection,
    mapping: MappingId,
    drift: &StoredDrift,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO drifts (mapping_id, field, vendor_field, change, message, expected, returned, at) \
         VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8) ON CONFLICT (mapping_id, field, vendor_field) DO UPDATE SET \
         change = excluded.change, message = excluded.message, \
         expected = excluded.expected, returned = excluded.returned, at = excluded.at",
    )
    .bind(mapping.uuid())
    .bind(&drift.field)
    .bind(&drift.vendor_field)
    .bind(&drift.change)
    .bind(&drift.message)
    .bind(json(&drift.expected)?)
    .bind(drift.returned)
    .bind(at(now))
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets one.
pub(crate) async fn remove(
    tx: &mut PgConnection,
    mapping: MappingId,
    drift: &StoredDrift,
) -> Result<(), Error> {
    sqlx::query("DELETE FROM drifts WHERE mapping_id = $1 AND field = $2 AND vendor_field = $3")
        .bind(mapping.uuid())
        .bind(&drift.field)
        .bind(&drift.vendor_field)
        .execute(tx)
        .await?;
    Ok(())
}
