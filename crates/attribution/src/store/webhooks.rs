//! Where merchants want to be told what happened, and what they are told.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, WebhookDeliveryId, WebhookId};
use proto::attribution as wire;
use sqlx::{AssertSqlSafe, PgConnection, PgExecutor, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{maybe_time, time};
use crate::Error;

const ENDPOINT: &str = "id, url, events, label, active, secret_prefix, created_at, last_used_at, failures,
    (SELECT count(*) FROM webhook_deliveries WHERE webhook = webhooks.id AND status = 'pending') AS pending";
const DELIVERY: &str =
    "id, webhook, event_id, event, payload, status, attempts, http_status, error, created_at,
    last_attempt_at, delivered_at, next_attempt_at";

fn endpoint(row: &PgRow) -> Result<wire::WebhookEndpoint, Error> {
    Ok(wire::WebhookEndpoint {
        id: WebhookId::from_uuid(row.try_get("id")?).to_string(),
        url: row.try_get("url")?,
        events: row.try_get("events")?,
        label: row.try_get("label")?,
        active: row.try_get("active")?,
        secret_prefix: row.try_get("secret_prefix")?,
        created_at: Some(proto::to_wire_time(time(row, "created_at")?)),
        last_used_at: maybe_time(row, "last_used_at")?.map(proto::to_wire_time),
        pending: row.try_get::<i64, _>("pending")?.unsigned_abs(),
        failures: row.try_get::<i32, _>("failures")?.unsigned_abs(),
    })
}

fn delivery(row: &PgRow) -> Result<wire::WebhookDelivery, Error> {
    Ok(wire::WebhookDelivery {
        id: WebhookDeliveryId::from_uuid(row.try_get("id")?).to_string(),
        webhook_id: WebhookId::from_uuid(row.try_get("webhook")?).to_string(),
        event_id: row.try_get("event_id")?,
        event: row.try_get("event")?,
        payload_json: row.try_get("payload")?,
        status: row.try_get("status")?,
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        http_status: row.try_get::<Option<i32>, _>("http_status")?.unwrap_or_default().unsigned_abs(),
        error: row.try_get("error")?,
        created_at: Some(proto::to_wire_time(time(row, "created_at")?)),
        last_attempt_at: maybe_time(row, "last_attempt_at")?.map(proto::to_wire_time),
        delivered_at: maybe_time(row, "delivered_at")?.map(proto::to_wire_time),
        next_attempt_at: maybe_time(row, "next_attempt_at")?.map(proto::to_wire_time),
    })
}

/// An endpoint as a person described it.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) label: String,
    pub(crate) active: bool,
}

/// Stores a new endpoint with its sealed secret.
pub(crate) async fn insert(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: WebhookId,
    face: &Face,
    (secret, prefix): (&[u8], &str),
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO webhooks (id, organization, url, events, label, active, secret, secret_prefix, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(&face.url)
    .bind(&face.events)
    .bind(&face.label)
    .bind(face.active)
    .bind(secret)
    .bind(prefix)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// Changes an endpoint; one that is mended or switched on rests no longer.
pub(crate) async fn update(tx: &mut PgConnection, id: WebhookId, face: &Face) -> Result<(), Error> {
    sqlx::query(
        "UPDATE webhooks SET url = $2, events = $3, label = $4, active = $5, failures = 0, resting_until = NULL WHERE id = $1",
    )
    .bind(id.uuid())
    .bind(&face.url)
    .bind(&face.events)
    .bind(&face.label)
    .bind(face.active)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets an endpoint and all that it was told.
pub(crate) async fn delete(tx: &mut PgConnection, id: WebhookId) -> Result<(), Error> {
    sqlx::query("DELETE FROM webhooks WHERE id = $1").bind(id.uuid()).execute(tx).await?;
    Ok(())
}

/// Reads an endpoint.
pub(crate) async fn find(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: WebhookId,
) -> Result<Option<wire::WebhookEndpoint>, Error> {
    let sql = format!("SELECT {ENDPOINT} FROM webhooks WHERE organization = $1 AND id = $2");
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(endpoint).transpose()
}

/// All endpoints, newest first.
pub(crate) async fn list(
    pool: &PgPool,
    organization: OrganizationId,
) -> Result<Vec<wire::WebhookEndpoint>, Error> {
    let sql = format!("SELECT {ENDPOINT} FROM webhooks WHERE organization = $1 ORDER BY id DESC");
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(organization.uuid()).fetch_all(pool).await?;
    rows.iter().map(endpoint).collect()
}

/// Whether anybody of the organization wants to be told anything.
pub(crate) async fn is_wanted(
    executor: impl PgExecutor<'_>,
    organization: OrganizationId,
) -> Result<bool, Error> {
    Ok(sqlx::query_scalar("SELECT EXISTS (SELECT FROM webhooks WHERE organization = $1 AND active)")
        .bind(organization.uuid())
        .fetch_one(executor)
        .await?)
}

/// The active endpoints of organizations with what they want to be told.
pub(crate) async fn subscribed(
    tx: &mut PgConnection,
    organizations: &[Uuid],
) -> Result<Vec<(Uuid, WebhookId, Vec<String>)>, Error> {
    let rows: Vec<(Uuid, Uuid, Vec<String>)> = sqlx::query_as(
        "SELECT organization, id, events FROM webhooks WHERE organization = ANY($1) AND active ORDER BY id",
    )
    .bind(organizations)
    .fetch_all(tx)
    .await?;
    Ok(rows.into_iter().map(|(org, id, events)| (org, WebhookId::from_uuid(id), events)).collect())
}

/// Something that an endpoint is to be told.
#[derive(Clone, Debug)]
pub(crate) struct NewDelivery {
    pub(crate) id: WebhookDeliveryId,
    pub(crate) webhook: WebhookId,
    pub(crate) event_id: String,
    pub(crate) event: String,
    pub(crate) payload: String,
}

/// Writes down what is to be sent.
pub(crate) async fn enqueue(
    tx: &mut PgConnection,
    deliveries: &[NewDelivery],
    now: Timestamp,
) -> Result<(), Error> {
    if deliveries.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$row:ident| $value:expr) => {
            deliveries.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO webhook_deliveries (id, webhook, event_id, event, payload, status, created_at, next_attempt_at)
         SELECT *, 'pending', $6::timestamptz, $6 FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[])
         ON CONFLICT (webhook, event_id) DO NOTHING",
    )
    .bind(column!(|row| row.id.uuid()))
    .bind(column!(|row| row.webhook.uuid()))
    .bind(column!(|row| row.event_id.as_str()))
    .bind(column!(|row| row.event.as_str()))
    .bind(column!(|row| row.payload.as_str()))
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// The deliveries of an endpoint, newest first.
pub(crate) async fn deliveries(
    pool: &PgPool,
    webhook: WebhookId,
    status: &str,
    limit: i64,
) -> Result<Vec<wire::WebhookDelivery>, Error> {
    let sql = format!(
        "SELECT {DELIVERY} FROM webhook_deliveries
         WHERE webhook = $1 AND ($2 = '' OR status = $2) ORDER BY id DESC LIMIT $3"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(webhook.uuid())
        .bind(status)
        .bind(limit)
        .persistent(false)
        .fetch_all(pool)
        .await?;
    rows.iter().map(delivery).collect()
}

/// One delivery.
pub(crate) async fn find_delivery(
    pool: &PgPool,
    webhook: WebhookId,
    id: WebhookDeliveryId,
) -> Result<Option<wire::WebhookDelivery>, Error> {
    let sql = format!("SELECT {DELIVERY} FROM webhook_deliveries WHERE webhook = $1 AND id = $2");
    let row =
        sqlx::query(AssertSqlSafe(sql)).bind(webhook.uuid()).bind(id.uuid()).fetch_optional(pool).await?;
    row.as_ref().map(delivery).transpose()
}

/// Endpoints that have something to be told now.
pub(crate) async fn due(pool: &PgPool, now: Timestamp, limit: i64) -> Result<Vec<WebhookId>, Error> {
    let ids: Vec<Uuid> = sqlx::query_scalar(
        "SELECT id FROM webhooks
         WHERE active AND (resting_until IS NULL OR resting_until <= $1) AND EXISTS (
             SELECT FROM webhook_deliveries WHERE webhook = webhooks.id AND status = 'pending' AND next_attempt_at <= $1
                 AND (leased_until IS NULL OR leased_until <= $1))
         ORDER BY resting_until NULLS FIRST, id LIMIT $2",
    )
    .bind(now.to_sqlx())
    .bind(limit)
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(WebhookId::from_uuid).collect())
}

/// A delivery that this process alone sends until its lease is over.
#[derive(Clone, Debug)]
pub(crate) struct Claimed {
    pub(crate) id: WebhookDeliveryId,
    pub(crate) webhook: WebhookId,
    pub(crate) organization: OrganizationId,
    pub(crate) url: String,
    pub(crate) secret: Vec<u8>,
    pub(crate) event: String,
    pub(crate) event_id: String,
    pub(crate) payload: String,
    pub(crate) attempts: u32,
}

/// Takes the next due delivery of an endpoint, or the one that is named, whatever became of it before.
pub(crate) async fn claim(
    pool: &PgPool,
    webhook: WebhookId,
    named: Option<WebhookDeliveryId>,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Claimed>, Error> {
    let row = sqlx::query(
        "UPDATE webhook_deliveries AS taken SET leased_until = $4 FROM webhooks
         WHERE webhooks.id = taken.webhook AND taken.id = (
             SELECT id FROM webhook_deliveries
             WHERE webhook = $1 AND (leased_until IS NULL OR leased_until <= $3)
               AND CASE WHEN $2::uuid IS NULL THEN status = 'pending' AND next_attempt_at <= $3 ELSE id = $2 END
             ORDER BY next_attempt_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
         RETURNING taken.id, organization, url, secret, event, event_id, payload, attempts",
    )
    .bind(webhook.uuid())
    .bind(named.map(WebhookDeliveryId::uuid))
    .bind(now.to_sqlx())
    .bind(until.to_sqlx())
    .persistent(false)
    .fetch_optional(pool)
    .await?;
    let claimed = |row: PgRow| {
        Ok(Claimed {
            id: WebhookDeliveryId::from_uuid(row.try_get("id")?),
            webhook,
            organization: OrganizationId::from_uuid(row.try_get("organization")?),
            url: row.try_get("url")?,
            secret: row.try_get("secret")?,
            event: row.try_get("event")?,
            event_id: row.try_get("event_id")?,
            payload: row.try_get("payload")?,
            attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        })
    };
    row.map(claimed).transpose()
}

/// What became of an attempt.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) http_status: Option<u16>,
    /// Empty: it was delivered.
    pub(crate) error: String,
    /// When it is tried again; none where it is not.
    pub(crate) again_at: Option<Timestamp>,
}

/// Notes what became of an attempt, and lets the endpoint rest after a failure.
pub(crate) async fn settle(
    pool: &PgPool,
    claimed: &Claimed,
    attempt: &Attempt,
    now: Timestamp,
) -> Result<(), Error> {
    let delivered = attempt.error.is_empty();
    let status = match (delivered, attempt.again_at) {
        (true, _) => "delivered",
        (false, Some(_)) => "pending",
        (false, None) => "failed",
    };
    let mut tx = pool.begin().await?;
    sqlx::query(
        "UPDATE webhook_deliveries SET status = $2, attempts = attempts + 1, http_status = $3, error = $4,
             last_attempt_at = $5, delivered_at = CASE WHEN $2 = 'delivered' THEN $5 ELSE delivered_at END,
             next_attempt_at = $6, leased_until = NULL
         WHERE id = $1",
    )
    .bind(claimed.id.uuid())
    .bind(status)
    .bind(attempt.http_status.map(i32::from))
    .bind(&attempt.error)
    .bind(now.to_sqlx())
    .bind(attempt.again_at.map(ToSqlx::to_sqlx))
    .execute(&mut *tx)
    .await?;
    // Seconds: 1, 2, 4 … a minute.
    sqlx::query(
        "UPDATE webhooks SET last_used_at = $2, failures = CASE WHEN $3 THEN 0 ELSE failures + 1 END,
             resting_until = CASE WHEN $3 THEN NULL
                                  ELSE $2 + make_interval(secs => least(60, power(2, least(failures, 6)))) END
         WHERE id = $1",
    )
    .bind(claimed.webhook.uuid())
    .bind(now.to_sqlx())
    .bind(delivered)
    .execute(&mut *tx)
    .await?;
    Ok(tx.commit().await?)
}
