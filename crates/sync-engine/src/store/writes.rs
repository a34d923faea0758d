use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{Lane, LinkId, MappingId, RecordId, Value, WriteId};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Row, postgres::PgRow};
use uuid::Uuid;

use super::{from_json, json, revisions::lane_name, times};
use crate::Error;

/// A write that a vendor is asked for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) id: WriteId,
    pub(crate) record: RecordId,
    pub(crate) link: LinkId,
    pub(crate) mapping: MappingId,
    pub(crate) mapping_revision: i64,
    /// The record's version that it carries.
    pub(crate) version: i64,
    pub(crate) cause: String,
    pub(crate) lane: Option<Lane>,
    pub(crate) taken_at: Timestamp,
    pub(crate) asked_at: Timestamp,
    pub(crate) creates: bool,
    /// By canonical field.
    pub(crate) fields: BTreeMap<String, AskedField>,
}

/// One field of a write. The names are short because every write stores them for every field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AskedField {
    #[serde(rename = "v")]
    pub(crate) vendor_field: String,
    /// In the vendor's form.
    #[serde(rename = "a", default, skip_serializing_if = "Value::is_blank")]
    pub(crate) asked: Value,
    /// What was last seen there, in canonical form.
    #[serde(rename = "b", default, skip_serializing_if = "Value::is_blank")]
    pub(crate) before: Value,
}

/// The vendor's answer to a write.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    /// The message that brought it.
    pub(crate) event: String,
    pub(crate) at: Timestamp,
    /// What the vendor holds of it now, by its own names.
    pub(crate) fields: BTreeMap<String, Value>,
    pub(crate) vendor_version: Option<i64>,
    /// Set when the vendor refused.
    pub(crate) category: Option<String>,
    pub(crate) message: Option<String>,
}

/// A listing that showed what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The change event.
    pub(crate) event: String,
    pub(crate) at: Timestamp,
}

/// A write and what became of it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StoredWrite {
    pub(crate) asked: Asked,
    pub(crate) answer: Option<Answer>,
    pub(crate) shown: Option<Shown>,
}

/// Stores what vendors are asked for.
pub(crate) async fn ask(tx: &mut PgConnection, asked: &[Asked]) -> Result<(), Error> {
    if asked.is_empty() {
        return Ok(());
    }
    let fields = asked.iter().map(|write| json(&write.fields)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "INSERT INTO writes (id, record_id, link_id, mapping_id, mapping_revision, version, cause, lane, taken_at, \
             asked_at, creates, fields, organization_id) \
         SELECT id, r, l, m, mr, version, cause, lane, taken_at, asked_at, creates, fields::json, \
             (SELECT organization_id FROM mappings WHERE mappings.id = w.m) \
         FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::bigint[], $6::bigint[], $7::text[], \
                     $8::text[], $9::timestamptz[], $10::timestamptz[], $11::bool[], $12::text[]) \
              AS w(id, r, l, m, mr, version, cause, lane, taken_at, asked_at, creates, fields)",
    )
    .bind(asked.iter().map(|write| write.id.uuid()).collect::<Vec<_>>())
    .bind(asked.iter().map(|write| write.record.uuid()).collect::<Vec<_>>())
    .bind(asked.iter().map(|write| write.link.uuid()).collect::<Vec<_>>())
    .bind(asked.iter().map(|write| write.mapping.uuid()).collect::<Vec<_>>())
    .bind(asked.iter().map(|write| write.mapping_revision).collect::<Vec<_>>())
    .bind(asked.iter().map(|write| write.version).collect::<Vec<_>>())
    .bind(asked.iter().map(|write| write.cause.as_str()).collect::<Vec<_>>())
    .bind(asked.iter().map(|write| write.lane.map(lane_name)).collect::<Vec<_>>())
    .bind(times(asked.iter().map(|write| write.taken_at)))
    .bind(times(asked.iter().map(|write| write.asked_at)))
    .bind(asked.iter().map(|write| write.creates).collect::<Vec<_>>())
    .bind(fields)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes what vendors answered.
pub(crate) async fn answer(tx: &mut PgConnection, answers: &BTreeMap<WriteId, Answer>) -> Result<(), Error> {
    if answers.is_empty() {
        return Ok(());
    }
    let fields = answers.values().map(|answer| json(&answer.fields)).collect::<Result<Vec<_>, _>>()?;
    sqlx::query(
        "UPDATE writes SET state = CASE WHEN x.category IS NULL THEN 'applied' ELSE 'refused' END, \
             answer = x.event, answered_at = x.at, answered = x.fields::json, vendor_version = x.version, \
             category = x.category, message = x.message \
         FROM UNNEST($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::bigint[], $6::text[], $7::text[]) \
              AS x(id, event, at, fields, version, category, message) WHERE writes.id = x.id",
    )
    .bind(answers.keys().map(|id| id.uuid()).collect::<Vec<_>>())
    .bind(answers.values().map(|answer| answer.event.as_str()).collect::<Vec<_>>())
    .bind(times(answers.values().map(|answer| answer.at)))
    .bind(fields)
    .bind(answers.values().map(|answer| answer.vendor_version).collect::<Vec<_>>())
    .bind(answers.values().map(|answer| answer.category.as_deref()).collect::<Vec<_>>())
    .bind(answers.values().map(|answer| answer.message.as_deref()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes which listings showed what was written.
pub(crate) async fn show(tx: &mut PgConnection, shown: &BTreeMap<WriteId, Shown>) -> Result<(), Error> {
    if shown.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE writes SET echo = x.event, echoed_at = x.at \
         FROM UNNEST($1::uuid[], $2::text[], $3::timestamptz[]) AS x(id, event, at) WHERE writes.id = x.id",
    )
    .bind(shown.keys().map(|id| id.uuid()).collect::<Vec<_>>())
    .bind(shown.values().map(|shown| shown.event.as_str()).collect::<Vec<_>>())
    .bind(times(shown.values().map(|shown| shown.at)))
    .execute(tx)
    .await?;
    Ok(())
}

macro_rules! columns {
    ($rest:literal) => {
        concat!(
            "SELECT id, record_id, link_id, mapping_id, mapping_revision, version, cause, lane, taken_at, asked_at, \
             creates, fields::text AS fields, state, answer, answered_at, answered::text AS answered, \
             vendor_version, category, message, echo, echoed_at FROM writes ",
            $rest
        )
    };
}

fn read(row: &PgRow) -> Result<StoredWrite, Error> {
    let time = |name: &str| Ok::<_, sqlx::Error>(row.try_get::<jiff_sqlx::Timestamp, _>(name)?.to_jiff());
    let answer = match row.try_get::<Option<String>, _>("answer")? {
        None => None,
        Some(event) => Some(Answer {
            event,
            at: time("answered_at")?,
            fields: from_json("an answer", row.try_get("answered")?)?,
            vendor_version: row.try_get("vendor_version")?,
            category: row.try_get("category")?,
            message: row.try_get("message")?,
        }),
    };
    let shown = match row.try_get::<Option<String>, _>("echo")? {
        None => None,
        Some(event) => Some(Shown { event, at: time("echoed_at")? }),
    };
    let asked = Asked {
        id: WriteId::from_uuid(row.try_get("id")?),
        record: RecordId::from_uuid(row.try_get("record_id")?),
        link: LinkId::from_uuid(row.try_get("link_id")?),
        mapping: MappingId::from_uuid(row.try_get("mapping_id")?),
        mapping_revision: row.try_get("mapping_revision")?,
        version: row.try_get("version")?,
        cause: row.try_get("cause")?,
        lane: super::revisions::lane(row.try_get("lane")?),
        taken_at: time("taken_at")?,
        asked_at: time("asked_at")?,
        creates: row.try_get("creates")?,
        fields: from_json("a write", row.try_get("fields")?)?,
    };
    Ok(StoredWrite { asked, answer, shown })
}

/// These writes, in the order in which they were asked for.
pub(crate) async fn get(db: &mut PgConnection, ids: &[WriteId]) -> Result<Vec<StoredWrite>, Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.uuid()).collect();
    let rows =
        sqlx::query(columns!("WHERE id = ANY($1) ORDER BY asked_at, id")).bind(ids).fetch_all(db).await?;
    rows.iter().map(read).collect()
}

/// The first writes that a record's versions from this one on asked for.
pub(crate) async fn since(
    db: &mut PgConnection,
    record: RecordId,
    version: i64,
    limit: i64,
) -> Result<Vec<StoredWrite>, Error> {
    let rows = sqlx::query(columns!("WHERE record_id = $1 AND version >= $2 ORDER BY version, id LIMIT $3"))
        .bind(record.uuid())
        .bind(version)
        .bind(limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(read).collect()
}
