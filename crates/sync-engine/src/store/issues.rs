use jiff::Timestamp;
use model::{ConnectionId, LinkId, OrganizationId, RecordId};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{at, times};
use crate::Error;

/// What could not be synced, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredIssue {
    pub(crate) id: Uuid,
    pub(crate) organization: OrganizationId,
    pub(crate) connection: ConnectionId,
    pub(crate) link: LinkId,
    pub(crate) record: Option<RecordId>,
    pub(crate) vendor_id: Option<String>,
    /// The canonical field; empty when it is about the whole record.
    pub(crate) field: String,
    pub(crate) category: String,
    pub(crate) message: String,
    /// `open`, `retrying`, `dismissed`, `resolved`.
    pub(crate) state: String,
    pub(crate) at: Timestamp,
}

/// Opens issues; one that is open already takes the newer words. The caller gives each link and field once.
pub(crate) async fn open(tx: &mut PgConnection, issues: &[StoredIssue]) -> Result<(), Error> {
    if issues.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO issues (id, organization_id, connection_id, link_id, record_id, vendor_id, field, category, \
             message, state, at) \
         SELECT id, o, c, l, r, v, f, category, message, 'open', at FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], \
             $4::uuid[], $5::uuid[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[]) \
              AS x(id, o, c, l, r, v, f, category, message, at) \
         ON CONFLICT (link_id, field) WHERE state IN ('open', 'retrying') DO UPDATE SET \
             category = excluded.category, message = excluded.message, state = 'open', at = excluded.at",
    )
    .bind(issues.iter().map(|issue| issue.id).collect::<Vec<_>>())
    .bind(issues.iter().map(|issue| issue.organization.uuid()).collect::<Vec<_>>())
    .bind(issues.iter().map(|issue| issue.connection.uuid()).collect::<Vec<_>>())
    .bind(issues.iter().map(|issue| issue.link.uuid()).collect::<Vec<_>>())
    .bind(issues.iter().map(|issue| issue.record.map(RecordId::uuid)).collect::<Vec<_>>())
    .bind(issues.iter().map(|issue| issue.vendor_id.as_deref()).collect::<Vec<_>>())
    .bind(issues.iter().map(|issue| issue.field.as_str()).collect::<Vec<_>>())
    .bind(issues.iter().map(|issue| issue.category.as_str()).collect::<Vec<_>>())
    .bind(issues.iter().map(|issue| issue.message.as_str()).collect::<Vec<_>>())
    .bind(times(issues.iter().map(|issue| issue.at)))
    .execute(tx)
    .await?;
    Ok(())
}

/// Clears the open issues of these links and fields: what they were about works again.
pub(crate) async fn clear(
    tx: &mut PgConnection,
    cleared: &[(LinkId, String)],
    now: Timestamp,
) -> Result<(), Error> {
    if cleared.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE issues SET state = 'resolved', at = $3 \
         FROM UNNEST($1::uuid[], $2::text[]) AS x(link_id, field) \
         WHERE issues.link_id = x.link_id AND issues.field = x.field AND issues.state IN ('open', 'retrying')",
    )
    .bind(cleared.iter().map(|(link, _)| link.uuid()).collect::<Vec<_>>())
    .bind(cleared.iter().map(|(_, field)| field.as_str()).collect::<Vec<_>>())
    .bind(at(now))
    .execute(tx)
    .await?;
    Ok(())
}

fn read(row: &PgRow) -> Result<StoredIssue, Error> {
    Ok(StoredIssue {
        id: row.try_get("id")?,
        organization: OrganizationId::from_uuid(row.try_get("organization_id")?),
        connection: ConnectionId::from_uuid(row.try_get("connection_id")?),
        link: LinkId::from_uuid(row.try_get("link_id")?),
        record: row.try_get::<Option<Uuid>, _>("record_id")?.map(RecordId::from_uuid),
        vendor_id: row.try_get("vendor_id")?,
        field: row.try_get("field")?,
        category: row.try_get("category")?,
        message: row.try_get("message")?,
        state: row.try_get("state")?,
        at: row.try_get::<jiff_sqlx::Timestamp, _>("at")?.to_jiff(),
    })
}

/// The organization's issues that wait for somebody, the newest first.
pub(crate) async fn list(
    db: &mut PgConnection,
    organization: OrganizationId,
    connection: Option<ConnectionId>,
    limit: i64,
) -> Result<Vec<StoredIssue>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM issues WHERE organization_id = $1 AND ($2::uuid IS NULL OR connection_id = $2) \
         AND state IN ('open', 'retrying') ORDER BY at DESC LIMIT $3",
    )
    .bind(organization.uuid())
    .bind(connection.map(ConnectionId::uuid))
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(read).collect()
}

/// How many issues of a connection wait for somebody.
pub(crate) async fn count(db: &mut PgConnection, connection: ConnectionId) -> Result<i64, Error> {
    Ok(sqlx::query_scalar(
        "SELECT count(*) FROM issues WHERE connection_id = $1 AND state IN ('open', 'retrying')",
    )
    .bind(connection.uuid())
    .fetch_one(db)
    .await?)
}

/// One of the organization's issues, in any state.
pub(crate) async fn get(
    db: &mut PgConnection,
    organization: OrganizationId,
    id: Uuid,
) -> Result<Option<StoredIssue>, Error> {
    let row = sqlx::query("SELECT * FROM issues WHERE id = $1 AND organization_id = $2")
        .bind(id)
        .bind(organization.uuid())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Puts one of the organization's open issues into another state; none when it is not open.
pub(crate) async fn set_state(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: Uuid,
    state: &str,
) -> Result<Option<StoredIssue>, Error> {
    let row = sqlx::query(
        "UPDATE issues SET state = $3 WHERE id = $1 AND organization_id = $2 AND state IN ('open', 'retrying') \
         RETURNING *",
    )
    .bind(id)
    .bind(organization.uuid())
    .bind(state)
    .fetch_optional(tx)
    .await?;
    row.as_ref().map(read).transpose()
}
