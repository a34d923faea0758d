use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{CommissionId, OrganizationId, PartnerId, PayoutId};
use proto::attribution as wire;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{facts::Customer, maybe_time, time};
use crate::{
    Error,
    domain::{facts::CommissionKey, money::Currency},
    rail::Transfer,
    text,
    transfers::End,
};

const COLUMNS: &str =
    "id, run, partner, currency, amount, key, status, reference, created_at, settled_at, rail, trouble,
    ARRAY(SELECT commission FROM payout_lines WHERE payout = payouts.id ORDER BY commission) AS commissions";

fn to_wire(row: &PgRow) -> Result<wire::Payout, Error> {
    let currency: String = row.try_get("currency")?;
    let commissions: Vec<Uuid> = row.try_get("commissions")?;
    Ok(wire::Payout {
        id: PayoutId::from_uuid(row.try_get("id")?).to_string(),
        run_id: row.try_get::<Uuid, _>("run")?.simple().to_string(),
        partner_id: PartnerId::from_uuid(row.try_get("partner")?).to_string(),
        amount: Some(wire::Money { amount: text::amount_of(row.try_get("amount")?, &currency), currency }),
        status: row.try_get("status")?,
        key: row.try_get("key")?,
        created_at: Some(proto::to_wire_time(time(row, "created_at")?)),
        settled_at: maybe_time(row, "settled_at")?.map(proto::to_wire_time),
        commission_ids: commissions.into_iter().map(|id| CommissionId::from_uuid(id).to_string()).collect(),
        reference: row.try_get("reference")?,
        rail: row.try_get("rail")?,
        trouble: row.try_get("trouble")?,
    })
}

/// Whether a payout is under way.
pub(crate) async fn is_pending(tx: &mut PgConnection, payout: PayoutId) -> Result<bool, Error> {
    let found: Option<bool> = sqlx::query_scalar("SELECT status = 'pending' FROM payouts WHERE id = $1")
        .bind(payout.uuid())
        .fetch_optional(tx)
        .await?;
    Ok(found.unwrap_or(false))
}

/// The run that was asked for with this key, if it was.
pub(crate) async fn run_of(
    tx: &mut PgConnection,
    organization: OrganizationId,
    key: &str,
) -> Result<Option<Uuid>, Error> {
    Ok(sqlx::query_scalar("SELECT id FROM payout_runs WHERE organization = $1 AND key = $2")
        .bind(organization.uuid())
        .bind(key)
        .fetch_optional(tx)
        .await?)
}

/// Notes that a run is made.
pub(crate) async fn insert_run(
    tx: &mut PgConnection,
    organization: OrganizationId,
    key: &str,
    run: Uuid,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO payout_runs (organization, key, id, at) VALUES ($1, $2, $3, $4)")
        .bind(organization.uuid())
        .bind(key)
        .bind(run)
        .bind(now.to_sqlx())
        .execute(tx)
        .await?;
    Ok(())
}

/// A payout that is written down.
#[derive(Clone, Debug)]
pub(crate) struct NewPayout {
    pub(crate) id: PayoutId,
    pub(crate) organization: OrganizationId,
    pub(crate) run: Uuid,
    pub(crate) partner: PartnerId,
    pub(crate) currency: Currency,
    pub(crate) minor: i64,
    pub(crate) actor: String,
    /// Who moves the money.
    pub(crate) rail: &'static str,
    /// What it takes for each commission.
    pub(crate) lines: Vec<(CommissionId, CommissionKey, i64)>,
}

/// Writes a payout down, for its rail to be asked about. Its key is made of its id, and does not change any more than the
/// amount does.
pub(crate) async fn insert(tx: &mut PgConnection, payout: &NewPayout, now: Timestamp) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO payouts (id, organization, run, partner, currency, amount, key, status, reference, actor, created_at,
                              rail, ask_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 'pending', '', $8, $9, $10, $9)",
    )
    .bind(payout.id.uuid())
    .bind(payout.organization.uuid())
    .bind(payout.run)
    .bind(payout.partner.uuid())
    .bind(payout.currency.code())
    .bind(payout.minor)
    .bind(format!("accord-{}", payout.id))
    .bind(&payout.actor)
    .bind(now.to_sqlx())
    .bind(payout.rail)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "INSERT INTO payout_lines (payout, commission, event, amount)
         SELECT $1, * FROM UNNEST($2::uuid[], $3::uuid[], $4::bigint[])",
    )
    .bind(payout.id.uuid())
    .bind(payout.lines.iter().map(|line| line.0.uuid()).collect::<Vec<_>>())
    .bind(payout.lines.iter().map(|line| line.1.conversion.uuid()).collect::<Vec<_>>())
    .bind(payout.lines.iter().map(|line| line.2).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// A payout that is to be settled, held by this transaction.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) partner: PartnerId,
    pub(crate) currency: Currency,
    pub(crate) minor: i64,
    pub(crate) status: String,
    pub(crate) rail: String,
    /// Whether the rail is still to be asked what becomes of it.
    pub(crate) is_asked: bool,
}

/// Reads and holds a payout.
pub(crate) async fn hold(
    tx: &mut PgConnection,
    organization: OrganizationId,
    payout: PayoutId,
) -> Result<Option<Held>, Error> {
    let row = sqlx::query(
        "SELECT partner, currency, amount, status, rail, ask_at IS NOT NULL AS is_asked FROM payouts
         WHERE organization = $1 AND id = $2 FOR UPDATE",
    )
    .bind(organization.uuid())
    .bind(payout.uuid())
    .fetch_optional(tx)
    .await?;
    let held = |row: PgRow| {
        Ok(Held {
            partner: PartnerId::from_uuid(row.try_get("partner")?),
            currency: super::facts::word(&row, "currency")?,
            minor: row.try_get("amount")?,
            status: row.try_get("status")?,
            rail: row.try_get("rail")?,
            is_asked: row.try_get("is_asked")?,
        })
    };
    row.map(held).transpose()
}

/// Notes how a payout ended.
pub(crate) async fn settle(
    tx: &mut PgConnection,
    payout: PayoutId,
    end: End<'_>,
    now: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE payouts SET status = $2, reference = $3, trouble = $4, settled_at = $5, ask_at = NULL WHERE id = $1",
    )
    .bind(payout.uuid())
    .bind(if end.is_paid { "paid" } else { "failed" })
    .bind(end.reference)
    .bind(end.trouble)
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// A payout that its rail is asked about.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) transfer: Transfer,
    /// How often it was asked about before: the transfer may have been begun.
    pub(crate) asked: i32,
}

/// Takes payouts of a rail that it is to be asked about now, and keeps others from them until `lease.1`. That they are
/// asked about is committed before anybody is.
pub(crate) async fn take_to_ask(
    pool: &PgPool,
    rail: &str,
    run: Option<Uuid>,
    lease: (Timestamp, Timestamp),
    limit: i64,
) -> Result<Vec<Asking>, Error> {
    let rows = sqlx::query(
        "UPDATE payouts SET ask_at = $3, asked = asked + 1, begun_at = coalesce(begun_at, $2)
         WHERE id IN (SELECT id FROM payouts
             WHERE status = 'pending' AND rail = $1 AND ask_at <= $2 AND ($4::uuid IS NULL OR run = $4)
             ORDER BY ask_at LIMIT $5 FOR UPDATE SKIP LOCKED)
         RETURNING id, key, organization, partner, amount, currency, asked - 1 AS asked",
    )
    .bind(rail)
    .bind(lease.0.to_sqlx())
    .bind(lease.1.to_sqlx())
    .bind(run)
    .bind(limit)
    .persistent(false)
    .fetch_all(pool)
    .await?;
    let asking = |row: &PgRow| {
        let currency: String = row.try_get("currency")?;
        let transfer = Transfer {
            payout: PayoutId::from_uuid(row.try_get("id")?),
            key: row.try_get("key")?,
            organization: OrganizationId::from_uuid(row.try_get("organization")?),
            partner: PartnerId::from_uuid(row.try_get("partner")?),
            amount: text::amount_of(row.try_get("amount")?, &currency),
            currency,
        };
        Ok(Asking { transfer, asked: row.try_get("asked")? })
    };
    rows.iter().map(asking).collect()
}

/// Notes when the rail is asked about a payout again; none: a person says what becomes of it.
pub(crate) async fn ask_again(
    pool: &PgPool,
    payout: PayoutId,
    at: Option<Timestamp>,
    trouble: &str,
) -> Result<(), Error> {
    sqlx::query("UPDATE payouts SET ask_at = $2, trouble = $3 WHERE id = $1 AND status = 'pending'")
        .bind(payout.uuid())
        .bind(at.map(ToSqlx::to_sqlx))
        .bind(trouble)
        .execute(pool)
        .await?;
    Ok(())
}

/// The customers of the commissions that a payout took.
pub(crate) async fn customers(
    tx: &mut PgConnection,
    organization: OrganizationId,
    payout: PayoutId,
) -> Result<Vec<Customer>, Error> {
    let keys: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT user_key FROM payout_lines JOIN events ON events.id = payout_lines.event
         WHERE payout = $1 ORDER BY user_key",
    )
    .bind(payout.uuid())
    .fetch_all(tx)
    .await?;
    Ok(keys.into_iter().map(|user_key| Customer { organization, user_key }).collect())
}

/// What a list of payouts is asked for; empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) id: Option<Uuid>,
    pub(crate) run: Option<Uuid>,
    pub(crate) partner: Option<Uuid>,
    pub(crate) status: String,
    pub(crate) below: Option<Uuid>,
}

/// Payouts that fit, newest first.
pub(crate) async fn list(
    pool: &PgPool,
    organization: OrganizationId,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<wire::Payout>, Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM payouts
         WHERE organization = $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::uuid IS NULL OR run = $3)
           AND ($4::uuid IS NULL OR partner = $4) AND ($5 = '' OR status = $5) AND ($6::uuid IS NULL OR id < $6)
         ORDER BY id DESC LIMIT $7"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(filter.id)
        .bind(filter.run)
        .bind(filter.partner)
        .bind(&filter.status)
        .bind(filter.below)
        .bind(limit)
        .persistent(false)
        .fetch_all(pool)
        .await?;
    rows.iter().map(to_wire).collect()
}
