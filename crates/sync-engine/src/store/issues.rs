use jiff::Timestamp;
use model::{ConnectionId, LinkId, MappingId, OrganizationId, RecordId};
use sqlx::{
    PgConnection, Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
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

/// Which issues.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// These, whatever else is said; all when empty.
    pub(crate) ids: Vec<Uuid>,
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) record: Option<RecordId>,
    pub(crate) category: String,
    pub(crate) field: String,
    pub(crate) states: Vec<&'static str>,
}

/// What the filter says in SQL: $1 to $7 are the organization and its parts.
macro_rules! fits {
    ($before:literal, $rest:literal) => {
        concat!(
            $before,
            " organization_id = $1 AND ($2::uuid[] = '{}' OR i.id = ANY($2)) \
              AND ($3::uuid IS NULL OR connection_id = $3) AND ($4::uuid IS NULL OR record_id = $4) \
              AND ($5 = '' OR category = $5) AND ($6 = '' OR field = $6) AND state = ANY($7) ",
            $rest
        )
    };
}

/// A query that [`fits!`] made, with its parts bound.
fn fitting<'q>(
    sql: &'static str,
    organization: OrganizationId,
    filter: &'q Filter,
) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(sql)
        .bind(organization.uuid())
        .bind(&filter.ids)
        .bind(filter.connection.map(ConnectionId::uuid))
        .bind(filter.record.map(RecordId::uuid))
        .bind(&filter.category)
        .bind(&filter.field)
        .bind(&filter.states)
}

/// An issue with what its record is and is called.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) issue: StoredIssue,
    pub(crate) object: String,
    pub(crate) title: String,
}

/// The organization's issues that fit, the newest first, behind this one.
pub(crate) async fn list(
    db: &mut PgConnection,
    organization: OrganizationId,
    filter: &Filter,
    behind: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<Listed>, Error> {
    let (before, id) = behind.unzip();
    let sql = fits!(
        "SELECT i.*, r.object AS record_object, r.title AS record_title \
         FROM (SELECT * FROM issues i WHERE",
        "AND ($8::timestamptz IS NULL OR (at, id) < ($8, $9)) ORDER BY at DESC, id DESC LIMIT $10) i \
         LEFT JOIN records r ON r.id = i.record_id ORDER BY i.at DESC, i.id DESC"
    );
    let fitting = fitting(sql, organization, filter);
    let rows = fitting.bind(before.map(at)).bind(id).bind(limit).fetch_all(db).await?;
    rows.iter()
        .map(|row| {
            Ok(Listed {
                issue: read(row)?,
                object: row.try_get::<Option<String>, _>("record_object")?.unwrap_or_default(),
                title: row.try_get::<Option<String>, _>("record_title")?.unwrap_or_default(),
            })
        })
        .collect()
}

/// How many issues fit, by category, whatever the filter says of categories.
pub(crate) async fn counts(
    db: &mut PgConnection,
    organization: OrganizationId,
    filter: &Filter,
) -> Result<Vec<(String, i64)>, Error> {
    let filter = Filter { category: String::new(), ..filter.clone() };
    let sql = fits!(
        "SELECT category, count(*) AS count FROM issues i WHERE",
        "GROUP BY category ORDER BY count DESC, category"
    );
    let rows = fitting(sql, organization, &filter).fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get("category")?, row.try_get("count")?))).collect()
}

/// Issues of one mapping that somebody changed.
#[derive(Clone, Debug)]
pub(crate) struct Changed {
    /// None for an issue of the connection.
    pub(crate) mapping: Option<MappingId>,
    pub(crate) count: i64,
    /// The field, where there is one issue.
    pub(crate) field: Option<String>,
}

/// Asks for all that fit and can be tried again to be; gives which.
pub(crate) async fn want(
    tx: &mut PgConnection,
    organization: OrganizationId,
    filter: &Filter,
    actor: &str,
    now: Timestamp,
) -> Result<Vec<Changed>, Error> {
    change(tx, organization, filter, "retrying", Some((actor, now))).await
}

/// Dismisses all that fit; gives which.
pub(crate) async fn dismiss(
    tx: &mut PgConnection,
    organization: OrganizationId,
    filter: &Filter,
) -> Result<Vec<Changed>, Error> {
    change(tx, organization, filter, "dismissed", None).await
}

/// Rows are locked in the order of ids.
async fn change(
    tx: &mut PgConnection,
    organization: OrganizationId,
    filter: &Filter,
    state: &str,
    wanted: Option<(&str, Timestamp)>,
) -> Result<Vec<Changed>, Error> {
    let (by, when) = wanted.unzip();
    let sql = fits!(
        "WITH changed AS (UPDATE issues SET state = $8, wanted_by = $9, wanted_at = coalesce($10, wanted_at) \
         WHERE id IN (SELECT id FROM issues i WHERE",
        "ORDER BY id FOR UPDATE) AND state IN ('open', 'retrying') \
             AND ($9::text IS NULL OR EXISTS (SELECT FROM links l WHERE l.id = link_id) \
                  OR EXISTS (SELECT FROM mappings m WHERE m.id = link_id)) RETURNING link_id, field), \
         placed AS (SELECT coalesce(l.mapping_id, m.id) AS mapping_id, field FROM changed c \
             LEFT JOIN links l ON l.id = c.link_id LEFT JOIN mappings m ON m.id = c.link_id) \
         SELECT mapping_id, count(*) AS count, min(field) AS field FROM placed GROUP BY mapping_id ORDER BY mapping_id"
    );
    let fitting = fitting(sql, organization, filter);
    let rows = fitting.bind(state).bind(by).bind(when.map(at)).fetch_all(tx).await?;
    let read = |row: &PgRow| {
        let (count, field): (i64, String) = (row.try_get("count")?, row.try_get("field")?);
        let field = Some(field).filter(|field| count == 1 && !field.is_empty());
        let mapping = row.try_get::<Option<Uuid>, _>("mapping_id")?.map(MappingId::from_uuid);
        Ok(Changed { mapping, count, field })
    };
    rows.iter().map(read).collect()
}

/// Issues of one organization that somebody wants tried again, with who.
pub(crate) async fn wanted(db: &mut PgConnection, limit: i64) -> Result<Vec<(StoredIssue, String)>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM issues WHERE wanted_by IS NOT NULL AND organization_id = \
             (SELECT organization_id FROM issues WHERE wanted_by IS NOT NULL ORDER BY organization_id LIMIT 1) \
         ORDER BY id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(|row| Ok((read(row)?, row.try_get("wanted_by")?))).collect()
}

/// These have been tried: nobody wants it any more.
pub(crate) async fn tried(tx: &mut PgConnection, ids: &[Uuid]) -> Result<(), Error> {
    sqlx::query("UPDATE issues SET wanted_by = NULL WHERE id = ANY($1)").bind(ids).execute(tx).await?;
    Ok(())
}

/// This one could not be tried: it is open as before, and nobody wants it any more.
pub(crate) async fn not_tried(db: &mut PgConnection, id: Uuid) -> Result<(), Error> {
    sqlx::query(
        "UPDATE issues SET wanted_by = NULL, state = CASE state WHEN 'retrying' THEN 'open' ELSE state END \
         WHERE id = $1",
    )
    .bind(id)
    .execute(db)
    .await?;
    Ok(())
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
