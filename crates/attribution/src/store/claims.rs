//! What rules that reach over customers ask for and came to, in the order in which it is settled.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConversionId, OrganizationId, PartnerId, ProgramId};
use serde::{Deserialize, Serialize};
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};

use super::{
    facts::{Customer, stored, word},
    time,
};
use crate::{
    Error,
    domain::{
        facts::CommissionKey,
        money::Currency,
        outcome::{Claim, Payment},
        settle::{Asked, Group, Paid, Place, Settled, Tally},
        terms::Book,
    },
};

/// A claim as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ClaimRow {
    pub(crate) customer: Customer,
    pub(crate) group: Group,
    pub(crate) key: CommissionKey,
    pub(crate) at: Timestamp,
    pub(crate) terms_version: u32,
    pub(crate) currency: Currency,
    pub(crate) amounts: Vec<i64>,
    pub(crate) volume: Option<i64>,
    /// What it came to; none before it is settled.
    pub(crate) settled: Option<Settled>,
}

/// The column `state`.
#[derive(Serialize, Deserialize)]
struct State {
    amounts: Vec<i64>,
    volume: Option<i64>,
    tally: Tally,
    customer: Paid,
}

impl ClaimRow {
    /// One that is not settled yet.
    pub(crate) fn of(customer: &Customer, claim: &Claim<'_>) -> Self {
        Self {
            customer: customer.clone(),
            group: claim.asked().group(),
            key: claim.key.clone(),
            at: claim.at,
            terms_version: claim.terms_version,
            currency: claim.currency,
            amounts: claim.amounts.clone(),
            volume: claim.volume,
            settled: None,
        }
    }

    /// Its place among those of its group.
    pub(crate) fn place(&self) -> Place {
        (self.at, self.key.conversion, self.key.click.clone())
    }

    /// Whether the same is asked, whatever it came to.
    pub(crate) fn asks_the_same_as(&self, other: &Self) -> bool {
        let asked = |row: &Self| Self { settled: None, ..row.clone() };
        asked(self) == asked(other)
    }

    /// What settling reads of it.
    ///
    /// # Errors
    /// The terms that it was asked by are not in the book.
    pub(crate) fn asked<'c>(&'c self, book: &'c Book) -> Result<Asked<'c>, Error> {
        let Group { partner, program, rule } = self.group;
        let known = book.programs.get(&program).and_then(|program| program.rule(self.terms_version, rule));
        let rule = known.filter(|rule| self.amounts.len() > rule.tiers.len());
        let missing = || stored("a claim", format!("event {} is paid by no rule", self.key.conversion));
        Ok(Asked {
            key: &self.key,
            at: self.at,
            partner,
            program,
            customer: &self.customer.user_key,
            currency: self.currency,
            amounts: &self.amounts,
            volume: self.volume,
            rule: rule.ok_or_else(missing)?,
        })
    }
}

const COLUMNS: &str = "claims.organization, claims.partner, claims.program, claims.rule, claims.at, claims.event, \
                       claims.click, claims.user_key, terms, currency, minor, note, state::text AS state";

fn row(row: &PgRow) -> Result<ClaimRow, Error> {
    let rule: i16 = row.try_get("rule")?;
    let rule = u8::try_from(rule).map_err(|error| stored("rule", error))?;
    let state: State =
        serde_json::from_str(row.try_get("state")?).map_err(|error| stored("a claim", error))?;
    let customer = Customer {
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        user_key: row.try_get("user_key")?,
    };
    let group = Group {
        partner: PartnerId::from_uuid(row.try_get("partner")?),
        program: ProgramId::from_uuid(row.try_get("program")?),
        rule,
    };
    let key = CommissionKey {
        conversion: ConversionId::from_uuid(row.try_get("event")?),
        click: Arc::from(row.try_get::<&str, _>("click")?),
        rule,
    };
    let payment = Payment { minor: row.try_get("minor")?, note: word(row, "note")? };
    Ok(ClaimRow {
        customer,
        group,
        key,
        at: time(row, "at")?,
        terms_version: row.try_get::<i32, _>("terms")?.unsigned_abs(),
        currency: word(row, "currency")?,
        amounts: state.amounts,
        volume: state.volume,
        settled: Some(Settled { payment, tally: state.tally, customer: state.customer }),
    })
}

/// All of these customers.
pub(crate) async fn of_customers(
    tx: &mut PgConnection,
    customers: &[&Customer],
) -> Result<Vec<ClaimRow>, Error> {
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS} FROM UNNEST($1::uuid[], $2::text[]) AS given (organization, user_key)
         CROSS JOIN LATERAL (
             SELECT * FROM claims WHERE organization = given.organization AND user_key = given.user_key OFFSET 0)
             AS claims"
    )))
    .bind(customers.iter().map(|one| one.organization.uuid()).collect::<Vec<_>>())
    .bind(customers.iter().map(|one| one.user_key.as_str()).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    rows.iter().map(row).collect()
}

/// Of each of these groups the claim before a place, if there is one.
pub(crate) async fn before(tx: &mut PgConnection, from: &[(Group, Place)]) -> Result<Vec<ClaimRow>, Error> {
    beside(
        tx,
        from,
        "(at, event, click) < (given.at, given.event, given.click COLLATE \"C\")
             ORDER BY at DESC, event DESC, click DESC LIMIT 1",
    )
    .await
}

/// Of each of these groups the claims at a place and after it, in their order.
pub(crate) async fn after(tx: &mut PgConnection, from: &[(Group, Place)]) -> Result<Vec<ClaimRow>, Error> {
    beside(
        tx,
        from,
        "(at, event, click) >= (given.at, given.event, given.click COLLATE \"C\") ORDER BY at, event, click",
    )
    .await
}

async fn beside(tx: &mut PgConnection, from: &[(Group, Place)], which: &str) -> Result<Vec<ClaimRow>, Error> {
    if from.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query(AssertSqlSafe(format!(
        "SELECT {COLUMNS}
         FROM UNNEST($1::uuid[], $2::uuid[], $3::smallint[], $4::timestamptz[], $5::uuid[], $6::text[])
             AS given (partner, program, rule, at, event, click)
         CROSS JOIN LATERAL (
             SELECT * FROM claims
             WHERE partner = given.partner AND program = given.program AND rule = given.rule AND {which}) AS claims"
    )))
    .bind(from.iter().map(|(group, _)| group.partner.uuid()).collect::<Vec<_>>())
    .bind(from.iter().map(|(group, _)| group.program.uuid()).collect::<Vec<_>>())
    .bind(from.iter().map(|(group, _)| i16::from(group.rule)).collect::<Vec<_>>())
    .bind(from.iter().map(|(_, place)| place.0.to_sqlx()).collect::<Vec<_>>())
    .bind(from.iter().map(|(_, place)| place.1.uuid()).collect::<Vec<_>>())
    .bind(from.iter().map(|(_, place)| &*place.2).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    rows.iter().map(row).collect()
}

/// What claims of an organization came to.
pub(crate) async fn payments(
    tx: &mut PgConnection,
    organization: OrganizationId,
) -> Result<HashMap<CommissionKey, Payment>, Error> {
    let rows = sqlx::query("SELECT event, click, rule, minor, note FROM claims WHERE organization = $1")
        .bind(organization.uuid())
        .persistent(false)
        .fetch_all(tx)
        .await?;
    let read = |row: PgRow| {
        let rule: i16 = row.try_get("rule")?;
        let key = CommissionKey {
            conversion: ConversionId::from_uuid(row.try_get("event")?),
            click: Arc::from(row.try_get::<&str, _>("click")?),
            rule: u8::try_from(rule).map_err(|error| stored("rule", error))?,
        };
        Ok((key, Payment { minor: row.try_get("minor")?, note: word(&row, "note")? }))
    };
    rows.into_iter().map(read).collect()
}

/// These are asked no more.
pub(crate) async fn delete(tx: &mut PgConnection, rows: &[ClaimRow]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$row:ident| $value:expr) => {
            rows.iter().map(|$row| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "DELETE FROM claims USING UNNEST($1::uuid[], $2::uuid[], $3::smallint[], $4::timestamptz[], $5::uuid[],
                                         $6::text[])
             AS given (partner, program, rule, at, event, click)
         WHERE claims.partner = given.partner AND claims.program = given.program AND claims.rule = given.rule
           AND claims.at = given.at AND claims.event = given.event AND claims.click = given.click",
    )
    .bind(column!(|row| row.group.partner.uuid()))
    .bind(column!(|row| row.group.program.uuid()))
    .bind(column!(|row| i16::from(row.group.rule)))
    .bind(column!(|row| row.at.to_sqlx()))
    .bind(column!(|row| row.key.conversion.uuid()))
    .bind(column!(|row| &*row.key.click))
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores claims that are settled, in the place of what was stored of them before.
pub(crate) async fn put(tx: &mut PgConnection, rows: &[ClaimRow]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut settled: Vec<(&ClaimRow, Payment, String)> = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(Settled { payment, tally, customer }) = row.settled.clone() else {
            return Err(Error::Stored("a claim is not settled".to_owned()));
        };
        let state = State { amounts: row.amounts.clone(), volume: row.volume, tally, customer };
        let state = serde_json::to_string(&state).map_err(|error| stored("a claim", error))?;
        settled.push((row, payment, state));
    }
    macro_rules! column {
        (|$row:ident, $payment:ident, $state:ident| $value:expr) => {
            settled.iter().map(|($row, $payment, $state)| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO claims (organization, partner, program, rule, at, event, click, user_key, terms, currency, minor,
                             note, state)
         SELECT organization, partner, program, rule, at, event, click, user_key, terms, currency, minor, note,
                state::json
         FROM UNNEST($1::uuid[], $2::uuid[], $3::uuid[], $4::smallint[], $5::timestamptz[], $6::uuid[], $7::text[],
                     $8::text[], $9::integer[], $10::text[], $11::bigint[], $12::text[], $13::text[])
             AS given (organization, partner, program, rule, at, event, click, user_key, terms, currency, minor, note,
                       state)
         ON CONFLICT (partner, program, rule, at, event, click) DO UPDATE SET
             user_key = excluded.user_key, terms = excluded.terms, currency = excluded.currency,
             minor = excluded.minor, note = excluded.note, state = excluded.state",
    )
    .bind(column!(|row, _payment, _state| row.customer.organization.uuid()))
    .bind(column!(|row, _payment, _state| row.group.partner.uuid()))
    .bind(column!(|row, _payment, _state| row.group.program.uuid()))
    .bind(column!(|row, _payment, _state| i16::from(row.group.rule)))
    .bind(column!(|row, _payment, _state| row.at.to_sqlx()))
    .bind(column!(|row, _payment, _state| row.key.conversion.uuid()))
    .bind(column!(|row, _payment, _state| &*row.key.click))
    .bind(column!(|row, _payment, _state| row.customer.user_key.as_str()))
    .bind(column!(|row, _payment, _state| row.terms_version.cast_signed()))
    .bind(column!(|row, _payment, _state| row.currency.code()))
    .bind(column!(|_row, payment, _state| payment.minor))
    .bind(column!(|_row, payment, _state| payment.note.name()))
    .bind(column!(|_row, _payment, state| state.as_str()))
    .execute(tx)
    .await?;
    Ok(())
}
