use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ActivityId, OrganizationId};
use proto::crm as wire;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::time;
use crate::{Error, domain::activity::Concerned};

/// How many characters of a text a timeline shows.
const PREVIEW: i32 = 500;
/// How many participants of an activity a timeline shows.
const SHOWN: i32 = 50;

/// Where a page goes on: below this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Below {
    pub(crate) at: Timestamp,
    pub(crate) activity: Uuid,
}

/// The activities that concern a record, newest first, of these kinds. Read from one index, in its order.
pub(crate) async fn page(
    db: &mut PgConnection,
    organization: OrganizationId,
    record: Uuid,
    kinds: &[String],
    below: Below,
    limit: i64,
) -> Result<Vec<Below>, Error> {
    let rows = sqlx::query(
        "SELECT activity, at FROM concerns
         WHERE organization = $1 AND record = $2 AND (at, activity) < ($3, $4) AND kind = ANY($5)
         ORDER BY at DESC, activity DESC LIMIT $6",
    )
    .bind(organization.uuid())
    .bind(record)
    .bind(below.at.to_sqlx())
    .bind(below.activity)
    .bind(kinds)
    .bind(limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(place).collect()
}

/// The same, of those with these words. The record's id is one of the words, so that the index finds both together.
pub(crate) async fn search(
    db: &mut PgConnection,
    organization: OrganizationId,
    record: Uuid,
    kinds: &[String],
    words: &str,
    below: Below,
    limit: i64,
) -> Result<Vec<Below>, Error> {
    let rows = sqlx::query(
        "WITH found AS MATERIALIZED (
             SELECT id AS activity, at, organization, kind FROM activities
             WHERE words @@ (quote_literal($2::uuid::text)::tsquery && websearch_to_tsquery('simple', $7)))
         SELECT activity, at FROM found
         WHERE organization = $1 AND (at, activity) < ($3, $4) AND kind = ANY($5)
         ORDER BY at DESC, activity DESC LIMIT $6",
    )
    .bind(organization.uuid())
    .bind(record)
    .bind(below.at.to_sqlx())
    .bind(below.activity)
    .bind(kinds)
    .bind(limit)
    .bind(words)
    .fetch_all(db)
    .await?;
    rows.iter().map(place).collect()
}

fn place(row: &PgRow) -> Result<Below, Error> {
    Ok(Below { at: time(row, "at")?, activity: row.try_get("activity")? })
}

/// These activities, in this order.
pub(crate) async fn read(db: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<wire::Activity>, Error> {
    let rows = sqlx::query(
        "SELECT id, source, external_id, kind, direction, at, subject, left(body, $2) AS preview,
                length(body) > $2 AS has_more, thread, url, participants, recorded_by
         FROM activities WHERE id = ANY($1)",
    )
    .bind(ids)
    .bind(PREVIEW)
    .fetch_all(&mut *db)
    .await?;
    let mut found: HashMap<Uuid, wire::Activity> = HashMap::with_capacity(rows.len());
    for row in &rows {
        found.insert(row.try_get("id")?, to_wire(row)?);
    }
    let rows = sqlx::query(
        "SELECT activity, role, name, email FROM participants WHERE activity = ANY($1) AND place < $2
         ORDER BY activity, place",
    )
    .bind(ids)
    .bind(SHOWN)
    .fetch_all(&mut *db)
    .await?;
    for row in &rows {
        if let Some(activity) = found.get_mut(&row.try_get("activity")?) {
            let (role, name, email) = (row.try_get("role")?, row.try_get("name")?, row.try_get("email")?);
            activity.participants.push(wire::Participant { role, name, email });
        }
    }
    for (id, concerned) in concerned(db, ids).await? {
        if let Some(activity) = found.get_mut(&id) {
            activity.record_ids.push(concerned.to_string());
        }
    }
    Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
}

/// All of the text of an activity; none where the organization has no such activity.
pub(crate) async fn body(
    db: &mut PgConnection,
    organization: OrganizationId,
    id: ActivityId,
) -> Result<Option<String>, Error> {
    let body = sqlx::query_scalar("SELECT body FROM activities WHERE organization = $1 AND id = $2")
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await?;
    Ok(body)
}

/// What these activities concern.
pub(crate) async fn concerned(db: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, Concerned)>, Error> {
    let rows: Vec<(Uuid, Uuid, bool)> = sqlx::query_as(
        "SELECT activity, record, is_partner FROM concerns WHERE activity = ANY($1) ORDER BY activity, record",
    )
    .bind(ids)
    .fetch_all(db)
    .await?;
    let read = |(activity, record, is_partner)| (activity, Concerned::stored(record, is_partner));
    Ok(rows.into_iter().map(read).collect())
}

fn to_wire(row: &PgRow) -> Result<wire::Activity, Error> {
    Ok(wire::Activity {
        id: ActivityId::from_uuid(row.try_get("id")?).to_string(),
        source: row.try_get("source")?,
        external_id: row.try_get("external_id")?,
        kind: row.try_get("kind")?,
        direction: row.try_get("direction")?,
        at: Some(proto::to_wire_time(time(row, "at")?)),
        subject: row.try_get("subject")?,
        preview: row.try_get("preview")?,
        has_more_text: row.try_get("has_more")?,
        thread: row.try_get("thread")?,
        url: row.try_get("url")?,
        participants: Vec::new(),
        participant_count: row.try_get::<i32, _>("participants")?.unsigned_abs(),
        record_ids: Vec::new(),
        recorded_by: row.try_get("recorded_by")?,
    })
}
