use jiff::{Timestamp, civil::Date};
use jiff_sqlx::ToSqlx;
use model::{DealRegistrationId, OrganizationId, PartnerId, RecordId, RegistrationConflict};
use rust_decimal::Decimal;
use sqlx::{PgConnection, PgExecutor, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{maybe_time, time};
use crate::{
    Error,
    domain::registration::{Decided, Standing, Status},
};

/// What a partner said; it is not changed any more.
#[derive(Clone, Debug)]
pub(crate) struct Registration {
    pub(crate) id: DealRegistrationId,
    pub(crate) organization: OrganizationId,
    pub(crate) partner: PartnerId,
    pub(crate) partner_record: Option<RecordId>,
    pub(crate) company_name: String,
    pub(crate) domain: String,
    pub(crate) contact_name: String,
    pub(crate) contact_email: String,
    pub(crate) deal_name: String,
    pub(crate) amount: Option<Decimal>,
    pub(crate) currency: String,
    pub(crate) expected_close: Option<Date>,
    pub(crate) note: String,
    pub(crate) conflicts: Vec<RegistrationConflict>,
    pub(crate) submitted_at: Timestamp,
    pub(crate) submitted_by: String,
    pub(crate) standing: Standing,
}

fn stored(what: &str, error: &dyn std::fmt::Display) -> Error {
    Error::Stored(format!("{what}: {error}"))
}

fn status(row: &PgRow) -> Result<Status, Error> {
    let name: String = row.try_get("status")?;
    let found = Status::ALL.into_iter().find(|status| status.name() == name);
    found.ok_or_else(|| stored("a status", &name))
}

fn read(row: &PgRow) -> Result<Registration, Error> {
    let record = |column| row.try_get::<Option<Uuid>, _>(column).map(|id| id.map(RecordId::from_uuid));
    let (by, at) = (row.try_get::<Option<String>, _>("decided_by")?, maybe_time(row, "decided_at")?);
    let expected_close: Option<jiff_sqlx::Date> = row.try_get("expected_close")?;
    Ok(Registration {
        id: DealRegistrationId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        partner: PartnerId::from_uuid(row.try_get("partner")?),
        partner_record: record("partner_record")?,
        company_name: row.try_get("company_name")?,
        domain: row.try_get("domain")?,
        contact_name: row.try_get("contact_name")?,
        contact_email: row.try_get("contact_email")?,
        deal_name: row.try_get("deal_name")?,
        amount: row.try_get("amount")?,
        currency: row.try_get("currency")?,
        expected_close: expected_close.map(jiff_sqlx::Date::to_jiff),
        note: row.try_get("note")?,
        conflicts: serde_json::from_value(row.try_get("conflicts")?)
            .map_err(|error| stored("conflicts", &error))?,
        submitted_at: time(row, "submitted_at")?,
        submitted_by: row.try_get("submitted_by")?,
        standing: Standing {
            status: status(row)?,
            reviewer: row.try_get("reviewer")?,
            decided: by.zip(at).map(|(by, at)| Decided { by, at }),
            reason: row.try_get("reason")?,
            expires_at: time(row, "expires_at")?,
            deal: record("deal")?,
        },
    })
}

/// Makes those who register deals with the same company wait for each other.
pub(crate) async fn lock_company(
    tx: &mut PgConnection,
    organization: OrganizationId,
    domain: &str,
) -> Result<(), Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 11))")
        .bind(format!("crm.register:{organization}:{domain}"))
        .execute(tx)
        .await?;
    Ok(())
}

/// Those with a company that stand, the oldest first.
pub(crate) async fn standing_with(
    tx: &mut PgConnection,
    organization: OrganizationId,
    domain: &str,
    now: Timestamp,
) -> Result<Vec<Registration>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM registrations
         WHERE organization = $1 AND domain = $2 AND status IN ('submitted', 'under_review', 'approved')
           AND expires_at > $3
         ORDER BY id",
    )
    .bind(organization.uuid())
    .bind(domain)
    .bind(now.to_sqlx())
    .fetch_all(tx)
    .await?;
    rows.iter().map(read).collect()
}

/// By what the same deal is known again.
pub(crate) fn deal_key(name: &str) -> String {
    name.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Stores a new one.
pub(crate) async fn insert(tx: &mut PgConnection, new: &Registration) -> Result<(), Error> {
    let conflicts = serde_json::to_value(&new.conflicts).map_err(|error| stored("conflicts", &error))?;
    sqlx::query(
        "INSERT INTO registrations (id, organization, partner, partner_record, company_name, domain, contact_name,
             contact_email, deal_name, deal_key, amount, currency, expected_close, note, conflicts, submitted_at,
             submitted_by, status, reason, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, '', $19)",
    )
    .bind(new.id.uuid())
    .bind(new.organization.uuid())
    .bind(new.partner.uuid())
    .bind(new.partner_record.map(RecordId::uuid))
    .bind(&new.company_name)
    .bind(&new.domain)
    .bind(&new.contact_name)
    .bind(&new.contact_email)
    .bind(&new.deal_name)
    .bind(deal_key(&new.deal_name))
    .bind(new.amount)
    .bind(&new.currency)
    .bind(new.expected_close.map(ToSqlx::to_sqlx))
    .bind(&new.note)
    .bind(conflicts)
    .bind(new.submitted_at.to_sqlx())
    .bind(&new.submitted_by)
    .bind(new.standing.status.name())
    .bind(new.standing.expires_at.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores how one stands now.
pub(crate) async fn update(
    tx: &mut PgConnection,
    id: DealRegistrationId,
    standing: &Standing,
) -> Result<(), Error> {
    let decided = standing.decided.as_ref();
    sqlx::query(
        "UPDATE registrations SET status = $2, reviewer = $3, decided_by = $4, decided_at = $5, reason = $6,
             expires_at = $7, deal = $8
         WHERE id = $1",
    )
    .bind(id.uuid())
    .bind(standing.status.name())
    .bind(&standing.reviewer)
    .bind(decided.map(|decided| &decided.by))
    .bind(decided.map(|decided| decided.at.to_sqlx()))
    .bind(&standing.reason)
    .bind(standing.expires_at.to_sqlx())
    .bind(standing.deal.map(RecordId::uuid))
    .execute(tx)
    .await?;
    Ok(())
}

/// Reads one.
pub(crate) async fn find(
    db: impl PgExecutor<'_>,
    organization: OrganizationId,
    id: DealRegistrationId,
) -> Result<Option<Registration>, Error> {
    let row = sqlx::query("SELECT * FROM registrations WHERE organization = $1 AND id = $2")
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(db)
        .await?;
    row.as_ref().map(read).transpose()
}

/// The same, for whoever decides: nobody else does meanwhile.
pub(crate) async fn lock(
    tx: &mut PgConnection,
    organization: OrganizationId,
    id: DealRegistrationId,
) -> Result<Option<Registration>, Error> {
    let row = sqlx::query("SELECT * FROM registrations WHERE organization = $1 AND id = $2 FOR UPDATE")
        .bind(organization.uuid())
        .bind(id.uuid())
        .fetch_optional(tx)
        .await?;
    row.as_ref().map(read).transpose()
}

/// Some whose time is over and that nobody works on.
pub(crate) async fn lock_due(
    tx: &mut PgConnection,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Registration>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM registrations
         WHERE expires_at <= $1 AND status IN ('submitted', 'under_review', 'approved')
         ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED",
    )
    .bind(now.to_sqlx())
    .bind(limit)
    .fetch_all(tx)
    .await?;
    rows.iter().map(read).collect()
}

/// How many a partner has submitted since then. Whoever asks at the same time waits, so that many at once are counted too.
pub(crate) async fn submitted_since(
    tx: &mut PgConnection,
    organization: OrganizationId,
    partner: PartnerId,
    since: Timestamp,
) -> Result<i64, Error> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 11))")
        .bind(format!("crm.form:{organization}:{partner}"))
        .execute(&mut *tx)
        .await?;
    let count = sqlx::query_scalar(
        "SELECT count(*) FROM registrations WHERE organization = $1 AND partner = $2 AND submitted_at > $3",
    );
    Ok(count.bind(organization.uuid()).bind(partner.uuid()).bind(since.to_sqlx()).fetch_one(tx).await?)
}

/// Those of a partner or of all, of these statuses, newest first, below an id.
pub(crate) async fn list(
    pool: &PgPool,
    organization: OrganizationId,
    partner: Option<PartnerId>,
    statuses: &[&str],
    below: Option<DealRegistrationId>,
    limit: i64,
) -> Result<Vec<Registration>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM registrations
         WHERE organization = $1 AND ($2::uuid IS NULL OR partner = $2) AND status = ANY($3)
           AND ($4::uuid IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5",
    )
    .bind(organization.uuid())
    .bind(partner.map(PartnerId::uuid))
    .bind(statuses)
    .bind(below.map(DealRegistrationId::uuid))
    .bind(limit)
    .fetch_all(pool)
    .await?;
    rows.iter().map(read).collect()
}
