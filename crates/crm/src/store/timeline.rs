use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ActivityId, OrganizationId};
use proto::crm as wire;
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::time;
use crate::{
    Error,
    domain::activity::{Concerned, ended},
};

/// How many characters of a text a timeline shows.
const PREVIEW: i32 = 500;
/// How many participants of an activity a timeline shows.
const SHOWN: i32 = 50;
/// What people said to one another: what a deal's timeline shows of its contact or company.
const SAID: [&str; 3] = ["email", "meeting", "call"];

/// Where a page goes on: below this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Below {
    pub(crate) at: Timestamp,
    pub(crate) activity: Uuid,
}

impl Below {
    /// Above everything that can be stored.
    pub(crate) fn everything() -> Self {
        let at = Timestamp::from_second(32_503_680_000).unwrap_or(Timestamp::MAX);
        Self { at, activity: Uuid::max() }
    }
}

/// Whose activities a timeline shows: a record's own and, on a deal's, what was said with its contact or company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Of {
    pub(crate) record: Uuid,
    pub(crate) with: Option<With>,
}

/// With whom a deal is made, and until when what is said with them is of the deal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct With {
    pub(crate) record: Uuid,
    pub(crate) until: Option<Timestamp>,
}

impl Of {
    fn with(self) -> Option<Uuid> {
        self.with.map(|with| with.record)
    }

    /// As it is compared: above everything that can be stored where there is no end.
    fn until(self) -> jiff_sqlx::Timestamp {
        self.with.and_then(|with| with.until).unwrap_or(Below::everything().at).to_sqlx()
    }
}

/// Whose activities this record's timeline shows.
pub(crate) async fn of(
    db: &mut PgConnection,
    organization: OrganizationId,
    record: Uuid,
) -> Result<Of, Error> {
    let rows: Vec<(String, String, Option<Uuid>)> = sqlx::query_as(
        "SELECT field, value, names FROM directory
         WHERE organization = $1 AND record = $2 AND object = 'deal'
           AND field IN ('primary_contact_id', 'company_id', 'actual_close_date', 'closed')",
    )
    .bind(organization.uuid())
    .bind(record)
    .fetch_all(db)
    .await?;
    let found = |name: &str| rows.iter().find(|(field, _, _)| field == name);
    let names = |name: &str| found(name).and_then(|(_, _, names)| *names);
    let value = |name: &str| found(name).map(|(_, value, _)| value.as_str());
    let until = ended(value("closed"), value("actual_close_date"));
    let with = names("primary_contact_id").or_else(|| names("company_id"));
    Ok(Of { record, with: with.map(|record| With { record, until }) })
}

/// The activities of a timeline, newest first, of these kinds. Each part is read from one index, in its order.
pub(crate) async fn page(
    db: &mut PgConnection,
    organization: OrganizationId,
    of: Of,
    kinds: &[String],
    below: Below,
    limit: i64,
) -> Result<Vec<Below>, Error> {
    let rows = sqlx::query(
        "SELECT activity, at FROM (
             (SELECT activity, at FROM concerns
              WHERE organization = $1 AND record = $2 AND (at, activity) < ($3, $4) AND kind = ANY($5)
              ORDER BY at DESC, activity DESC LIMIT $6)
             UNION
             (SELECT activity, at FROM concerns
              WHERE organization = $1 AND record = $7 AND (at, activity) < ($3, $4) AND at < $8 AND kind = ANY($5)
                AND kind = ANY($9)
              ORDER BY at DESC, activity DESC LIMIT $6)
         ) AS found
         ORDER BY at DESC, activity DESC LIMIT $6",
    )
    .bind(organization.uuid())
    .bind(of.record)
    .bind(below.at.to_sqlx())
    .bind(below.activity)
    .bind(kinds)
    .bind(limit)
    .bind(of.with())
    .bind(of.until())
    .bind(SAID)
    .fetch_all(db)
    .await?;
    rows.iter().map(place).collect()
}

/// The same, of those with these words. The record's id is one of the words, so that the index finds both together.
pub(crate) async fn search(
    db: &mut PgConnection,
    organization: OrganizationId,
    of: Of,
    kinds: &[String],
    words: &str,
    below: Below,
    limit: i64,
) -> Result<Vec<Below>, Error> {
    let rows = sqlx::query(
        "WITH found AS MATERIALIZED (
             SELECT id AS activity, at, organization, kind FROM activities
             WHERE words @@ (quote_literal($2::uuid::text)::tsquery && websearch_to_tsquery('simple', $7))
             UNION
             SELECT id, at, organization, kind FROM activities
             WHERE words @@ (quote_literal($8::uuid::text)::tsquery && websearch_to_tsquery('simple', $7))
               AND at < $9 AND kind = ANY($10))
         SELECT activity, at FROM found
         WHERE organization = $1 AND (at, activity) < ($3, $4) AND kind = ANY($5)
         ORDER BY at DESC, activity DESC LIMIT $6",
    )
    .bind(organization.uuid())
    .bind(of.record)
    .bind(below.at.to_sqlx())
    .bind(below.activity)
    .bind(kinds)
    .bind(limit)
    .bind(words)
    .bind(of.with())
    .bind(of.until())
    .bind(SAID)
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
