use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, ProgramId};
use prost::Message;
use proto::attribution as wire;
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{facts::stored, maybe_time, time};
use crate::{Error, domain::terms::Model};

const NEWEST: &str =
    "SELECT programs.id, name, destination_url, allowed_domains, starts_at, ends_at, extra::text AS extra,
        created_at, updated_at, version, effective_from, terms,
        (SELECT model_changes.model FROM model_changes
         WHERE program = programs.id AND up_to_version >= terms.version ORDER BY id DESC LIMIT 1) AS model
     FROM programs
     JOIN LATERAL (SELECT * FROM terms WHERE program = programs.id AND terms IS NOT NULL
                        ORDER BY version DESC LIMIT 1) AS terms ON true";

fn to_wire(row: &PgRow) -> Result<wire::Program, Error> {
    let encoded: Vec<u8> = row.try_get("terms")?;
    let mut terms = wire::Terms::decode(encoded.as_slice()).map_err(|error| stored("terms", error))?;
    terms.version = row.try_get::<i32, _>("version")?.unsigned_abs();
    terms.effective_from = Some(proto::to_wire_time(time(row, "effective_from")?));
    if let Some(model) = row.try_get("model")? {
        terms.model = model;
    }
    Ok(wire::Program {
        id: ProgramId::from_uuid(row.try_get("id")?).to_string(),
        name: row.try_get("name")?,
        destination_url: row.try_get("destination_url")?,
        allowed_domains: row.try_get("allowed_domains")?,
        terms: Some(terms),
        starts_at: maybe_time(row, "starts_at")?.map(proto::to_wire_time),
        ends_at: maybe_time(row, "ends_at")?.map(proto::to_wire_time),
        extra_json: row.try_get("extra")?,
        created_at: Some(proto::to_wire_time(time(row, "created_at")?)),
        updated_at: Some(proto::to_wire_time(time(row, "updated_at")?)),
    })
}

/// The face of a program: all but its terms.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) name: String,
    pub(crate) destination_url: String,
    pub(crate) allowed_domains: Vec<String>,
    pub(crate) starts_at: Option<Timestamp>,
    pub(crate) ends_at: Option<Timestamp>,
    pub(crate) extra: String,
}

/// Stores a program, or its new face.
pub(crate) async fn put(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: ProgramId,
    face: &Face,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO programs (id, organization, name, destination_url, allowed_domains, starts_at, ends_at, extra,
                               created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8::jsonb, $9, $9)
         ON CONFLICT (id) DO UPDATE SET name = $3, destination_url = $4, allowed_domains = $5, starts_at = $6,
             ends_at = $7, extra = $8::jsonb, updated_at = $9",
    )
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(&face.name)
    .bind(&face.destination_url)
    .bind(&face.allowed_domains)
    .bind(face.starts_at.map(ToSqlx::to_sqlx))
    .bind(face.ends_at.map(ToSqlx::to_sqlx))
    .bind(&face.extra)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores a version of a program's terms; without terms, nobody is paid for events from then on.
pub(crate) async fn insert_terms(
    tx: &mut PgConnection,
    program: ProgramId,
    version: u32,
    effective_from: Timestamp,
    terms: Option<&wire::Terms>,
) -> Result<(), Error> {
    let bare = |terms: &wire::Terms| wire::Terms { version: 0, effective_from: None, ..terms.clone() };
    sqlx::query("INSERT INTO terms (program, version, effective_from, terms) VALUES ($1, $2, $3, $4)")
        .bind(program.uuid())
        .bind(version.cast_signed())
        .bind(effective_from.to_sqlx())
        .bind(terms.map(|terms| bare(terms).encode_to_vec()))
        .execute(tx)
        .await?;
    Ok(())
}

/// The number that the next version of a program's terms has, or of those of one of its partners.
pub(crate) async fn next_version(tx: &mut PgConnection, program: ProgramId) -> Result<u32, Error> {
    let last: Option<i32> = sqlx::query_scalar(
        "SELECT greatest((SELECT max(version) FROM terms WHERE program = $1),
                         (SELECT max(version) FROM partner_terms WHERE program = $1))",
    )
    .bind(program.uuid())
    .fetch_one(tx)
    .await?;
    Ok(last.unwrap_or_default().unsigned_abs() + 1)
}

/// Stores that another model holds for all terms so far.
pub(crate) async fn insert_model(
    tx: &mut PgConnection,
    program: ProgramId,
    id: Uuid,
    model: Model,
    actor: &str,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO model_changes (id, program, model, up_to_version, actor, at)
         SELECT $1, $2, $3, max(version), $4, $5
         FROM (SELECT program, version FROM terms UNION ALL SELECT program, version FROM partner_terms) AS versions
         WHERE program = $2",
    )
    .bind(id)
    .bind(program.uuid())
    .bind(model.name())
    .bind(actor)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// Reads a program with its newest terms.
pub(crate) async fn find<'c>(
    executor: impl sqlx::PgExecutor<'c>,
    organization: OrganizationId,
    id: ProgramId,
) -> Result<Option<wire::Program>, Error> {
    let row =
        sqlx::query(sqlx::AssertSqlSafe(format!("{NEWEST} WHERE organization = $1 AND programs.id = $2")))
            .bind(organization.uuid())
            .bind(id.uuid())
            .fetch_optional(executor)
            .await?;
    row.as_ref().map(to_wire).transpose()
}

/// All programs, newest first.
pub(crate) async fn list(pool: &PgPool, organization: OrganizationId) -> Result<Vec<wire::Program>, Error> {
    let sql = format!("{NEWEST} WHERE organization = $1 ORDER BY programs.id DESC");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(organization.uuid()).fetch_all(pool).await?;
    rows.iter().map(to_wire).collect()
}
