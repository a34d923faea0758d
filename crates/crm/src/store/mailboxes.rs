use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConnectionId, OrganizationId};
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{Error, domain::campaign::Limits};

/// How many mails a mailbox sends where nobody said otherwise: within what the vendor's own limits are.
pub(crate) const USUAL: Limits = Limits { per_minute: 30, per_day: 2_000 };

/// A connection that campaigns send through.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    pub(crate) connection: ConnectionId,
    pub(crate) vendor: String,
    /// How the connection stands.
    pub(crate) state: String,
    pub(crate) limits: Limits,
}

fn limits(row: &PgRow) -> Result<Limits, sqlx::Error> {
    let number = |column| row.try_get::<i32, _>(column).map(|it| u32::try_from(it).unwrap_or_default());
    Ok(Limits { per_minute: number("per_minute")?, per_day: number("per_day")? })
}

/// All connections of these vendors, with their limits.
pub(crate) async fn list(
    db: &mut PgConnection,
    organization: OrganizationId,
    vendors: &[&str],
) -> Result<Vec<Mailbox>, Error> {
    let rows = sqlx::query(
        "SELECT connections.connection, vendor, state, COALESCE(per_minute, $3) AS per_minute,
                COALESCE(per_day, $4) AS per_day
         FROM connections LEFT JOIN mailboxes USING (connection)
         WHERE connections.organization = $1 AND vendor = ANY($2) AND state <> 'disconnected' ORDER BY connection",
    )
    .bind(organization.uuid())
    .bind(vendors)
    .bind(USUAL.per_minute.cast_signed())
    .bind(USUAL.per_day.cast_signed())
    .fetch_all(db)
    .await?;
    let read = |row: &PgRow| {
        Ok(Mailbox {
            connection: ConnectionId::from_uuid(row.try_get("connection")?),
            vendor: row.try_get("vendor")?,
            state: row.try_get("state")?,
            limits: limits(row)?,
        })
    };
    rows.iter().map(read).collect()
}

/// Makes a row for whoever sends, where there is none yet.
pub(crate) async fn know(
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO mailboxes (connection, organization, per_minute, per_day) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING",
    )
    .bind(connection.uuid())
    .bind(organization.uuid())
    .bind(USUAL.per_minute.cast_signed())
    .bind(USUAL.per_day.cast_signed())
    .execute(tx)
    .await?;
    Ok(())
}

/// Sets how many mails it sends.
pub(crate) async fn limit(
    tx: &mut PgConnection,
    connection: ConnectionId,
    limits: Limits,
) -> Result<(), Error> {
    sqlx::query("UPDATE mailboxes SET per_minute = $2, per_day = $3 WHERE connection = $1")
        .bind(connection.uuid())
        .bind(limits.per_minute.cast_signed())
        .bind(limits.per_day.cast_signed())
        .execute(tx)
        .await?;
    Ok(())
}

/// The mailboxes with somebody who is due, of connections that send.
pub(crate) async fn with_work(pool: &PgPool, now: Timestamp) -> Result<Vec<ConnectionId>, Error> {
    let found: Vec<Uuid> = sqlx::query_scalar(
        "SELECT connection FROM mailboxes JOIN connections USING (connection)
         WHERE connections.state = 'active' AND EXISTS (
             SELECT FROM campaigns JOIN recipients ON recipients.campaign = campaigns.id
             WHERE campaigns.connection = mailboxes.connection AND campaigns.state = 'running'
               AND recipients.due_at <= $1)",
    )
    .bind(now.to_sqlx())
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(ConnectionId::from_uuid).collect())
}

/// Its limits, for whoever sends: nobody else does meanwhile. None where somebody does, or the connection does not stand.
pub(crate) async fn lock(tx: &mut PgConnection, connection: ConnectionId) -> Result<Option<Limits>, Error> {
    let row = sqlx::query(
        "SELECT per_minute, per_day FROM mailboxes JOIN connections USING (connection)
         WHERE connection = $1 AND connections.state = 'active' FOR UPDATE OF mailboxes SKIP LOCKED",
    )
    .bind(connection.uuid())
    .fetch_optional(tx)
    .await?;
    Ok(row.as_ref().map(limits).transpose()?)
}

/// How many it was asked for since these moments; with the first ones go those that it has not answered yet, so that no
/// more than a minute's mails ever wait at a mailbox that cannot send.
pub(crate) async fn asked_since(
    db: &mut PgConnection,
    connection: ConnectionId,
    (minute, day): (Timestamp, Timestamp),
) -> Result<(u32, u32), Error> {
    let (minute, day): (i64, i64) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE asked_at > $2 OR state = 'asked'), count(*) FROM mails WHERE connection = $1 AND asked_at > $3",
    )
    .bind(connection.uuid())
    .bind(minute.to_sqlx())
    .bind(day.to_sqlx())
    .fetch_one(db)
    .await?;
    let count = |it: i64| u32::try_from(it).unwrap_or(u32::MAX);
    Ok((count(minute), count(day)))
}
