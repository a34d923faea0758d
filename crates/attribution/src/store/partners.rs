use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{OrganizationId, PartnerId};
use proto::attribution as wire;
use sqlx::{PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{maybe_time, time};
use crate::Error;

const COLUMNS: &str =
    "id, email, name, metadata::text AS metadata, created_at, revoked_at, invited_at, activated_at";

/// The unique index of e-mail addresses.
pub(crate) const EMAIL: &str = "partners_email";

fn to_wire(row: &PgRow) -> Result<wire::Partner, Error> {
    let revoked_at = maybe_time(row, "revoked_at")?;
    let activated_at = maybe_time(row, "activated_at")?;
    let status = match (revoked_at, activated_at) {
        (Some(_), _) => "revoked",
        (None, Some(_)) => "active",
        (None, None) => "invited",
    };
    Ok(wire::Partner {
        id: PartnerId::from_uuid(row.try_get("id")?).to_string(),
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        metadata_json: row.try_get("metadata")?,
        status: status.to_owned(),
        created_at: Some(proto::to_wire_time(time(row, "created_at")?)),
        revoked_at: revoked_at.map(proto::to_wire_time),
        invited_at: maybe_time(row, "invited_at")?.map(proto::to_wire_time),
        activated_at: activated_at.map(proto::to_wire_time),
    })
}

/// Stores a partner.
pub(crate) async fn insert(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: PartnerId,
    partner: &wire::CreatePartnerRequest,
    now: Timestamp,
) -> Result<(), Error> {
    let metadata = if partner.metadata_json.is_empty() { "{}" } else { &partner.metadata_json };
    sqlx::query(
        "INSERT INTO partners (id, organization, email, name, metadata, created_at, invited_at, activated_at)
         VALUES ($1, $2, $3, $4, $5::jsonb, $6, CASE WHEN $7 THEN $6 END, CASE WHEN NOT $7 THEN $6 END)",
    )
    .bind(id.uuid())
    .bind(organization.uuid())
    .bind(&partner.email)
    .bind(&partner.name)
    .bind(metadata)
    .bind(now.to_sqlx())
    .bind(partner.invite)
    .execute(tx)
    .await?;
    Ok(())
}

/// Whether a partner was invited and is not active yet.
pub(crate) async fn is_invited(
    pool: &PgPool,
    organization: OrganizationId,
    id: PartnerId,
) -> Result<bool, Error> {
    let found: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM partners WHERE organization = $1 AND id = $2 AND activated_at IS NULL
                        AND revoked_at IS NULL)",
    )
    .bind(organization.uuid())
    .bind(id.uuid())
    .fetch_one(pool)
    .await?;
    Ok(found)
}

/// A partner is invited once more.
pub(crate) async fn invite(tx: &mut PgConnection, id: PartnerId, now: Timestamp) -> Result<(), Error> {
    sqlx::query("UPDATE partners SET invited_at = $2 WHERE id = $1")
        .bind(id.uuid())
        .bind(now.to_sqlx())
        .execute(tx)
        .await?;
    Ok(())
}

/// A partner is active; whether that is new.
pub(crate) async fn activate(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: PartnerId,
    now: Timestamp,
) -> Result<bool, Error> {
    let done = sqlx::query(
        "UPDATE partners SET activated_at = $3 WHERE organization = $1 AND id = $2 AND activated_at IS NULL",
    )
    .bind(organization.uuid())
    .bind(id.uuid())
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Reads a partner.
pub(crate) async fn find<'c>(
    executor: impl sqlx::PgExecutor<'c>,
    organization: OrganizationId,
    id: PartnerId,
) -> Result<Option<wire::Partner>, Error> {
    let sql = format!("SELECT {COLUMNS} FROM partners WHERE organization = $1 AND id = $2");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(executor)
        .await?;
    row.as_ref().map(to_wire).transpose()
}

/// Partners of this status or of any, newest first, below an id.
pub(crate) async fn list(
    pool: &PgPool,
    organization: OrganizationId,
    status: &str,
    below: Option<Uuid>,
    limit: i64,
) -> Result<Vec<wire::Partner>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM partners
         WHERE organization = $1 AND ($2::uuid IS NULL OR id < $2)
           AND ($3 = '' OR $3 = CASE WHEN revoked_at IS NOT NULL THEN 'revoked'
                                     WHEN activated_at IS NULL THEN 'invited' ELSE 'active' END)
         ORDER BY id DESC LIMIT $4"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(below)
        .bind(status)
        .bind(limit)
        .fetch_all(pool)
        .await?;
    rows.iter().map(to_wire).collect()
}

/// A decision about a partner.
#[derive(Clone, Debug)]
pub(crate) struct PartnerDecision {
    pub(crate) id: Uuid,
    pub(crate) organization: OrganizationId,
    pub(crate) partner: PartnerId,
    pub(crate) is_revoked: bool,
    pub(crate) note: String,
    pub(crate) actor: String,
    pub(crate) at: Timestamp,
}

/// Stores a decision, and how the partner stands after it.
pub(crate) async fn decide(tx: &mut PgConnection, decision: &PartnerDecision) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO partner_decisions (id, organization, partner, verdict, note, actor, at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(decision.id)
    .bind(decision.organization.uuid())
    .bind(decision.partner.uuid())
    .bind(if decision.is_revoked { "revoke" } else { "reinstate" })
    .bind(&decision.note)
    .bind(&decision.actor)
    .bind(decision.at.to_sqlx())
    .execute(&mut *tx)
    .await?;
    // Whoever is taken in again is active.
    sqlx::query(
        "UPDATE partners SET revoked_at = $2, activated_at = CASE WHEN $2 IS NULL THEN COALESCE(activated_at, $3)
                                                                  ELSE activated_at END
         WHERE id = $1",
    )
        .bind(decision.partner.uuid())
        .bind(decision.is_revoked.then(|| decision.at.to_sqlx()))
        .bind(decision.at.to_sqlx())
        .execute(tx)
        .await?;
    Ok(())
}
