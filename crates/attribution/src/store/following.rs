//! What is known of the records whose bodies correct their events.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConversionId, IngestUrlId, OrganizationId};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{
    facts::{stored, word},
    maybe_time, time,
};
use crate::{
    Error,
    domain::money::Money,
    ingest::follow::{Known, Recorded, Status},
};

/// Keeps other replicas from this record until the transaction ends.
pub(crate) async fn lock(tx: &mut PgConnection, url: IngestUrlId, record: &str) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('ingest ' || $1::uuid || ' ' || $2, 0))")
        .bind(url.uuid())
        .bind(record)
        .execute(tx)
        .await?;
    Ok(())
}

/// What is known of a record; nothing where none of its bodies came.
pub(crate) async fn known(tx: &mut PgConnection, url: IngestUrlId, record: &str) -> Result<Known, Error> {
    let row = sqlx::query(
        "SELECT status, status_at, value, currency, value_at, event, event_value, event_currency, event_void, cycle,
                (SELECT user_key FROM events WHERE events.id = event) AS user_key
         FROM ingest_records WHERE url = $1 AND record = $2",
    )
    .bind(url.uuid())
    .bind(record)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map_or_else(|| Ok(Known::default()), read)
}

fn read(row: &PgRow) -> Result<Known, Error> {
    let status: Option<&str> = row.try_get("status")?;
    let status = status.map(|name| {
        let known = Status::ALL.into_iter().find(|status| status.name() == name);
        Ok::<_, Error>((known.ok_or_else(|| stored("a record's status", name))?, time(row, "status_at")?))
    });
    let worth = maybe_time(row, "value_at")?.map(|at| {
        let money = Money::try_from_minor(row.try_get("value")?, word(row, "currency")?);
        Ok::<_, Error>((money.map_err(|error| stored("a record's value", error))?, at))
    });
    let event: Option<Uuid> = row.try_get("event")?;
    let stands = event.map(|event| {
        Ok::<_, Error>(Recorded {
            event: ConversionId::from_uuid(event),
            user_key: row.try_get("user_key")?,
            value: row.try_get("event_value")?,
            currency: word(row, "event_currency")?,
            void: row.try_get("event_void")?,
        })
    });
    Ok(Known {
        status: status.transpose()?,
        worth: worth.transpose()?,
        stands: stands.transpose()?,
        cycle: row.try_get("cycle")?,
    })
}

/// The event with this key, as it was recorded.
pub(crate) async fn recorded(
    tx: &mut PgConnection,
    organization: OrganizationId,
    key: Uuid,
) -> Result<Option<Recorded>, Error> {
    let row =
        sqlx::query("SELECT id, user_key, value, currency FROM events WHERE organization = $1 AND key = $2")
            .bind(organization.uuid())
            .bind(key)
            .fetch_optional(tx)
            .await?;
    let recorded = |row: &PgRow| {
        Ok(Recorded {
            event: ConversionId::from_uuid(row.try_get("id")?),
            user_key: row.try_get("user_key")?,
            value: row.try_get("value")?,
            currency: word(row, "currency")?,
            void: false,
        })
    };
    row.as_ref().map(recorded).transpose()
}

/// Stores what is known of a record now.
pub(crate) async fn remember(
    tx: &mut PgConnection,
    url: IngestUrlId,
    record: &str,
    known: &Known,
) -> Result<(), Error> {
    let at = |at: Timestamp| at.to_sqlx();
    let stands = known.stands.as_ref();
    sqlx::query(
        "INSERT INTO ingest_records (url, record, status, status_at, value, currency, value_at, event, event_value,
                                     event_currency, event_void, cycle)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (url, record) DO UPDATE
         SET status = EXCLUDED.status, status_at = EXCLUDED.status_at, value = EXCLUDED.value,
             currency = EXCLUDED.currency, value_at = EXCLUDED.value_at, event = EXCLUDED.event,
             event_value = EXCLUDED.event_value, event_currency = EXCLUDED.event_currency,
             event_void = EXCLUDED.event_void, cycle = EXCLUDED.cycle",
    )
    .bind(url.uuid())
    .bind(record)
    .bind(known.status.map(|(status, _)| status.name()))
    .bind(known.status.map(|(_, since)| at(since)))
    .bind(known.worth.map(|(worth, _)| worth.minor()))
    .bind(known.worth.map(|(worth, _)| worth.currency().code()))
    .bind(known.worth.map(|(_, since)| at(since)))
    .bind(stands.map(|stands| stands.event.uuid()))
    .bind(stands.and_then(|stands| stands.value))
    .bind(stands.map(|stands| stands.currency.code()))
    .bind(stands.is_some_and(|stands| stands.void))
    .bind(known.cycle)
    .execute(tx)
    .await?;
    Ok(())
}
