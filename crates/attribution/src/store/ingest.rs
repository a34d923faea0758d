//! Ingest URLs and the bodies that came.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConversionId, IngestUrlId, OrganizationId};
use proto::attribution as wire;
use sqlx::{AssertSqlSafe, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{facts::stored, maybe_time, time};
use crate::{
    Error,
    ingest::{IngestUrl, vendor::Vendor},
};

const COLUMNS: &str = "id, organization, name, vendor, mapping::text AS mapping, secret, created_at, created_by, \
                       revoked_at, last_received_at, received, recorded, refused";
/// How many bodies of an address are kept.
const KEPT: i64 = 20;

fn url(row: &PgRow) -> Result<IngestUrl, Error> {
    let (vendor, mapping): (&str, &str) = (row.try_get("vendor")?, row.try_get("mapping")?);
    Ok(IngestUrl {
        id: IngestUrlId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        name: row.try_get("name")?,
        vendor: Vendor::named(vendor).ok_or_else(|| stored("a vendor", vendor))?,
        mapping: serde_json::from_str(mapping).map_err(|error| stored("an ingest mapping", error))?,
        secret: row.try_get("secret")?,
        created_at: time(row, "created_at")?,
        created_by: row.try_get("created_by")?,
        revoked_at: maybe_time(row, "revoked_at")?,
    })
}

fn to_wire(row: &PgRow) -> Result<wire::IngestUrl, Error> {
    let url = url(row)?;
    let count = |column| row.try_get::<i64, _>(column).map(|count| u64::try_from(count).unwrap_or_default());
    Ok(wire::IngestUrl {
        last_received_at: maybe_time(row, "last_received_at")?.map(proto::to_wire_time),
        received: count("received")?,
        recorded: count("recorded")?,
        refused: count("refused")?,
        ..url.to_wire()
    })
}

/// Stores an address, or what changed of it.
pub(crate) async fn put(pool: &PgPool, url: &IngestUrl) -> Result<(), Error> {
    let mapping = serde_json::to_string(&url.mapping).map_err(|error| stored("an ingest mapping", error))?;
    sqlx::query(
        "INSERT INTO ingest_urls (id, organization, name, vendor, mapping, secret, created_at, created_by, revoked_at)
         VALUES ($1, $2, $3, $4, $5::jsonb, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE SET name = EXCLUDED.name, mapping = EXCLUDED.mapping, secret = EXCLUDED.secret,
                                        revoked_at = COALESCE(ingest_urls.revoked_at, EXCLUDED.revoked_at)",
    )
    .bind(url.id.uuid())
    .bind(url.organization.uuid())
    .bind(&url.name)
    .bind(url.vendor.name())
    .bind(mapping)
    .bind(&url.secret)
    .bind(url.created_at.to_sqlx())
    .bind(&url.created_by)
    .bind(url.revoked_at.map(|at| at.to_sqlx()))
    .execute(pool)
    .await?;
    Ok(())
}

/// An address, whoever asks.
pub(crate) async fn find(pool: &PgPool, id: IngestUrlId) -> Result<Option<IngestUrl>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM ingest_urls WHERE id = $1");
    let row = sqlx::query(AssertSqlSafe(sql)).bind(id.uuid()).fetch_optional(pool).await?;
    row.as_ref().map(url).transpose()
}

/// All addresses of an organization, newest first.
pub(crate) async fn list(pool: &PgPool, organization: OrganizationId) -> Result<Vec<wire::IngestUrl>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM ingest_urls WHERE organization = $1 ORDER BY id DESC");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(organization.uuid()).fetch_all(pool).await?;
    rows.iter().map(to_wire).collect()
}

/// A body that came, and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Body {
    pub(crate) id: Uuid,
    pub(crate) received_at: Timestamp,
    /// Sealed.
    pub(crate) body: Vec<u8>,
    pub(crate) outcome: &'static str,
    pub(crate) message: String,
    pub(crate) event: Option<ConversionId>,
}

/// Keeps a body with the last of its address, and counts it.
pub(crate) async fn keep(pool: &PgPool, url: IngestUrlId, body: &Body) -> Result<(), Error> {
    let mut tx = pool.begin().await?;
    sqlx::query(
        "INSERT INTO ingest_bodies (id, url, received_at, body, outcome, message, event) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(body.id)
    .bind(url.uuid())
    .bind(body.received_at.to_sqlx())
    .bind(&body.body)
    .bind(body.outcome)
    .bind(&body.message)
    .bind(body.event.map(|event| event.uuid()))
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "DELETE FROM ingest_bodies WHERE url = $1
             AND id <= (SELECT id FROM ingest_bodies WHERE url = $1 ORDER BY id DESC OFFSET $2 LIMIT 1)",
    )
    .bind(url.uuid())
    .bind(KEPT)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "UPDATE ingest_urls SET last_received_at = $2, received = received + 1,
             recorded = recorded + ($3 = 'recorded')::integer, refused = refused + ($3 = 'refused')::integer
         WHERE id = $1",
    )
    .bind(url.uuid())
    .bind(body.received_at.to_sqlx())
    .bind(body.outcome)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// The bodies of an address that came since, newest first.
pub(crate) async fn bodies(
    pool: &PgPool,
    url: IngestUrlId,
    since: Timestamp,
) -> Result<Vec<(Vec<u8>, wire::IngestedBody)>, Error> {
    let rows = sqlx::query(
        "SELECT received_at, body, outcome, message, event FROM ingest_bodies
         WHERE url = $1 AND received_at > $2 ORDER BY id DESC LIMIT $3",
    )
    .bind(url.uuid())
    .bind(since.to_sqlx())
    .bind(KEPT)
    .fetch_all(pool)
    .await?;
    let body = |row: &PgRow| {
        let event: Option<Uuid> = row.try_get("event")?;
        let known = wire::IngestedBody {
            received_at: Some(proto::to_wire_time(time(row, "received_at")?)),
            outcome: row.try_get("outcome")?,
            message: row.try_get("message")?,
            event_id: event.map(|event| ConversionId::from_uuid(event).to_string()).unwrap_or_default(),
            ..wire::IngestedBody::default()
        };
        Ok((row.try_get("body")?, known))
    };
    rows.iter().map(body).collect()
}

/// Forgets bodies that came before this moment.
pub(crate) async fn forget(pool: &PgPool, before: Timestamp) -> Result<(), Error> {
    sqlx::query("DELETE FROM ingest_bodies WHERE received_at < $1")
        .bind(before.to_sqlx())
        .execute(pool)
        .await?;
    Ok(())
}
