use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConnectionId, NotificationRuleId, OrganizationId};
use sqlx::{PgConnection, Row as _, postgres::PgRow};

use super::maybe_time;
use crate::Error;

/// What is told in a channel.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) id: NotificationRuleId,
    pub(crate) connection: ConnectionId,
    pub(crate) vendor: String,
    pub(crate) channel: String,
    pub(crate) channel_name: String,
    pub(crate) events: Vec<String>,
    /// Why the last message could not be posted; empty where it could.
    pub(crate) error: String,
    pub(crate) error_at: Option<Timestamp>,
    pub(crate) posted_at: Option<Timestamp>,
}

fn read(row: &PgRow) -> Result<Rule, Error> {
    Ok(Rule {
        id: NotificationRuleId::from_uuid(row.try_get("id")?),
        connection: ConnectionId::from_uuid(row.try_get("connection")?),
        vendor: row.try_get("vendor")?,
        channel: row.try_get("channel")?,
        channel_name: row.try_get("channel_name")?,
        events: row.try_get("events")?,
        error: row.try_get("error")?,
        error_at: maybe_time(row, "error_at")?,
        posted_at: maybe_time(row, "posted_at")?,
    })
}

/// All of an organization's.
pub(crate) async fn list(db: &mut PgConnection, organization: OrganizationId) -> Result<Vec<Rule>, Error> {
    let rows =
        sqlx::query("SELECT * FROM notification_rules WHERE organization = $1 ORDER BY channel_name, id")
            .bind(organization.uuid())
            .fetch_all(db)
            .await?;
    rows.iter().map(read).collect()
}

/// Those of a connection, for whoever sets them: nobody else does meanwhile.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
) -> Result<Vec<Rule>, Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 12))")
        .bind(format!("crm.rules:{connection}"))
        .execute(&mut *tx)
        .await?;
    let rows = sqlx::query("SELECT * FROM notification_rules WHERE organization = $1 AND connection = $2")
        .bind(organization.uuid())
        .bind(connection.uuid())
        .fetch_all(tx)
        .await?;
    rows.iter().map(read).collect()
}

/// Those that want an event, of connections that are still there.
pub(crate) async fn wanting(
    db: &mut PgConnection,
    organization: OrganizationId,
    event: &str,
) -> Result<Vec<Rule>, Error> {
    let rows = sqlx::query(
        "SELECT notification_rules.* FROM notification_rules
         JOIN connections USING (connection, organization)
         WHERE organization = $1 AND $2 = ANY(events) AND state <> 'disconnected' ORDER BY id",
    )
    .bind(organization.uuid())
    .bind(event)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// Stores a rule, new or as it is now.
pub(crate) async fn put(
    tx: &mut PgConnection,
    organization: OrganizationId,
    rule: &Rule,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO notification_rules (id, organization, connection, vendor, channel, channel_name, events)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET channel_name = $6, events = $7",
    )
    .bind(rule.id.uuid())
    .bind(organization.uuid())
    .bind(rule.connection.uuid())
    .bind(&rule.vendor)
    .bind(&rule.channel)
    .bind(&rule.channel_name)
    .bind(&rule.events)
    .execute(tx)
    .await?;
    Ok(())
}

/// Forgets a rule.
pub(crate) async fn delete(tx: &mut PgConnection, id: NotificationRuleId) -> Result<(), Error> {
    sqlx::query("DELETE FROM notification_rules WHERE id = $1").bind(id.uuid()).execute(tx).await?;
    Ok(())
}

/// Keeps how the last message of a rule ended: an error, or empty.
pub(crate) async fn answered(
    tx: &mut PgConnection,
    id: NotificationRuleId,
    error: &str,
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE notification_rules
         SET error = $2, error_at = CASE WHEN $2 = '' THEN NULL ELSE $3 END,
             posted_at = CASE WHEN $2 = '' THEN $3 ELSE posted_at END
         WHERE id = $1",
    )
    .bind(id.uuid())
    .bind(error)
    .bind(at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}
