use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{CommissionId, ConversionId, OrganizationId, PayoutId, ProgramId};
use proto::attribution as wire;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::{
    facts::{Customer, stored},
    standing::{COMMISSION, CommissionRow, commission},
};
use crate::{Error, domain::facts::CommissionKey, text};

/// Commissions by their id, with what a writer needs to know of them.
pub(crate) async fn keys(
    pool: &PgPool,
    organization: OrganizationId,
    commissions: &[CommissionId],
) -> Result<HashMap<CommissionId, (Customer, CommissionKey)>, Error> {
    let ids: Vec<Uuid> = commissions.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query(
        "SELECT commissions.id, event, click, rule, user_key FROM commissions JOIN events ON events.id = event
         WHERE commissions.id = ANY($1) AND commissions.organization = $2",
    )
    .bind(ids)
    .bind(organization.uuid())
    .fetch_all(pool)
    .await?;
    let row = |row: sqlx::postgres::PgRow| {
        let rule: i16 = row.try_get("rule")?;
        let key = CommissionKey {
            conversion: ConversionId::from_uuid(row.try_get("event")?),
            click: row.try_get::<&str, _>("click")?.into(),
            rule: u8::try_from(rule).map_err(|error| stored("rule", error))?,
        };
        let customer = Customer { organization, user_key: row.try_get("user_key")? };
        Ok((CommissionId::from_uuid(row.try_get("id")?), (customer, key)))
    };
    rows.into_iter().map(row).collect()
}

/// A commission that may be approved now, with what a writer needs to know of it.
#[derive(Clone, Debug)]
pub(crate) struct Mature {
    pub(crate) customer: Customer,
    pub(crate) key: CommissionKey,
}

/// Commissions whose hold period is over, those that wait longest first.
pub(crate) async fn mature(pool: &PgPool, now: Timestamp, limit: i64) -> Result<Vec<Mature>, Error> {
    let rows = sqlx::query(
        "SELECT commissions.organization, event, click, rule, user_key
         FROM commissions JOIN events ON events.id = event
         WHERE commissions.status = 'accrued' AND NOT held AND mature_at <= $1 ORDER BY mature_at LIMIT $2",
    )
    .bind(now.to_sqlx())
    .bind(limit)
    .fetch_all(pool)
    .await?;
    let row = |row: sqlx::postgres::PgRow| {
        let rule: i16 = row.try_get("rule")?;
        Ok(Mature {
            customer: Customer {
                organization: OrganizationId::from_uuid(row.try_get("organization")?),
                user_key: row.try_get("user_key")?,
            },
            key: CommissionKey {
                conversion: ConversionId::from_uuid(row.try_get("event")?),
                click: row.try_get::<&str, _>("click")?.into(),
                rule: u8::try_from(rule).map_err(|error| stored("rule", error))?,
            },
        })
    };
    rows.into_iter().map(row).collect()
}

/// What a list of commissions is asked for; empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub(crate) status: String,
    pub(crate) partner: Option<Uuid>,
    pub(crate) program: Option<Uuid>,
    pub(crate) only_held: bool,
    pub(crate) below: Option<Uuid>,
}

/// Commissions that fit, newest first.
pub(crate) async fn list(
    pool: &PgPool,
    organization: OrganizationId,
    filter: &Filter,
    limit: i64,
) -> Result<Vec<CommissionRow>, Error> {
    let sql = format!(
        "SELECT {COMMISSION} FROM commissions
         WHERE organization = $1 AND ($2 = '' OR status = $2) AND ($3::uuid IS NULL OR partner = $3)
           AND ($4::uuid IS NULL OR program = $4) AND (NOT $5 OR held) AND ($6::uuid IS NULL OR id < $6)
         ORDER BY id DESC LIMIT $7"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(&filter.status)
        .bind(filter.partner)
        .bind(filter.program)
        .bind(filter.only_held)
        .bind(filter.below)
        .bind(limit)
        .persistent(false)
        .fetch_all(pool)
        .await?;
    rows.iter().map(commission).collect()
}

/// The commissions that a payout would take something for, held by this transaction.
pub(crate) async fn payable(
    tx: &mut PgConnection,
    organization: OrganizationId,
    partners: &[Uuid],
) -> Result<Vec<CommissionRow>, Error> {
    let sql = format!(
        "SELECT {COMMISSION} FROM commissions
         WHERE organization = $1 AND (cardinality($2::uuid[]) = 0 OR partner = ANY($2))
           AND payable
         ORDER BY id FOR UPDATE"
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(partners)
        .persistent(false)
        .fetch_all(tx)
        .await?;
    rows.iter().map(commission).collect()
}

/// The names of an organization's programs.
pub(crate) async fn program_names(
    pool: &PgPool,
    organization: OrganizationId,
) -> Result<HashMap<ProgramId, String>, Error> {
    let rows: Vec<(Uuid, String)> = sqlx::query_as("SELECT id, name FROM programs WHERE organization = $1")
        .bind(organization.uuid())
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|(id, name)| (ProgramId::from_uuid(id), name)).collect())
}

/// A commission as it is sent.
pub(crate) fn to_wire(row: &CommissionRow, names: &HashMap<ProgramId, String>) -> wire::Commission {
    let is = &row.is;
    wire::Commission {
        id: row.id.to_string(),
        attribution_id: row.attribution.to_string(),
        event_id: is.key.conversion.to_string(),
        partner_id: is.partner.to_string(),
        program_id: row.program.to_string(),
        program_name: names.get(&row.program).cloned().unwrap_or_default(),
        amount: text::amount(is.position.due, is.currency),
        currency: is.currency.code().to_owned(),
        status: is.position.status.name().to_owned(),
        reason: is.reason.name().to_owned(),
        held: is.held,
        accrued_at: Some(proto::to_wire_time(row.accrued_at)),
        mature_at: Some(proto::to_wire_time(row.mature_at)),
        approved_at: row.approved_at.map(proto::to_wire_time),
        paid_at: row.paid_at.map(proto::to_wire_time),
        payout_id: is.payout.map(|payout: PayoutId| payout.to_string()).unwrap_or_default(),
        hold_days: u32::from(row.hold_days),
        rule: u32::from(is.key.rule),
    }
}
