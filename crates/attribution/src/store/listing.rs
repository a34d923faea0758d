//! What people look at: events, attributions, balances, entries.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{
    AttributionId, CommissionId, ConversionId, LedgerEntryId, OrganizationId, PartnerId, PayoutId, ProgramId,
};
use proto::attribution as wire;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Postgres, QueryBuilder, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{
    facts::{Customer, word},
    maybe_time, time,
};
use crate::{Error, domain::money::Currency, text};

type Found = Option<(ConversionId, String, Currency)>;

/// An event by its id: its customer and currency.
pub(crate) async fn event(
    pool: &PgPool,
    organization: OrganizationId,
    event: ConversionId,
) -> Result<Found, Error> {
    let row = sqlx::query("SELECT id, user_key, currency FROM events WHERE organization = $1 AND id = $2")
        .bind(organization.uuid())
        .bind(event.uuid())
        .fetch_optional(pool)
        .await?;
    found(row)
}

/// The same by the key that a repeat is recognized by.
pub(crate) async fn event_by_key(
    pool: &PgPool,
    organization: OrganizationId,
    key: Uuid,
) -> Result<Found, Error> {
    let row = sqlx::query("SELECT id, user_key, currency FROM events WHERE organization = $1 AND key = $2")
        .bind(organization.uuid())
        .bind(key)
        .fetch_optional(pool)
        .await?;
    found(row)
}

fn found(row: Option<PgRow>) -> Result<Found, Error> {
    let Some(row) = row else { return Ok(None) };
    let id = ConversionId::from_uuid(row.try_get("id")?);
    Ok(Some((id, row.try_get("user_key")?, word(&row, "currency")?)))
}

/// Customers with a click of this program.
pub(crate) async fn customers_of_program(
    pool: &PgPool,
    organization: OrganizationId,
    program: ProgramId,
) -> Result<Vec<Customer>, Error> {
    let keys: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT user_key FROM identifies JOIN clicks ON clicks.id = identifies.click
         WHERE identifies.organization = $1 AND program = $2 ORDER BY user_key",
    )
    .bind(organization.uuid())
    .bind(program.uuid())
    .persistent(false)
    .fetch_all(pool)
    .await?;
    Ok(keys.into_iter().map(|user_key| Customer { organization, user_key }).collect())
}

/// The customers with events and clicks of these programs.
pub(crate) async fn customers_of_programs(
    tx: &mut PgConnection,
    organization: OrganizationId,
    programs: &[Uuid],
) -> Result<Vec<Customer>, Error> {
    let keys: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT user_key FROM events JOIN identifies USING (organization, user_key)
         JOIN clicks ON clicks.id = identifies.click
         WHERE events.organization = $1 AND clicks.program = ANY($2)",
    )
    .bind(organization.uuid())
    .bind(programs)
    .persistent(false)
    .fetch_all(tx)
    .await?;
    Ok(keys.into_iter().map(|user_key| Customer { organization, user_key }).collect())
}

/// Every customer that a fact is known of, above a key.
pub(crate) async fn customers(
    executor: impl sqlx::PgExecutor<'_>,
    organization: OrganizationId,
    above: &str,
    limit: i64,
) -> Result<Vec<Customer>, Error> {
    let keys: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT user_key FROM events WHERE organization = $1 AND user_key > $2 ORDER BY user_key LIMIT $3",
    )
    .bind(organization.uuid())
    .bind(above)
    .bind(limit)
    .persistent(false)
    .fetch_all(executor)
    .await?;
    Ok(keys.into_iter().map(|user_key| Customer { organization, user_key }).collect())
}

/// The organizations that something is known of.
pub(crate) async fn organizations(pool: &PgPool) -> Result<Vec<OrganizationId>, Error> {
    let found: Vec<Uuid> = sqlx::query_scalar(
        "SELECT organization FROM catalogs UNION SELECT organization FROM events ORDER BY 1",
    )
    .fetch_all(pool)
    .await?;
    Ok(found.into_iter().map(OrganizationId::from_uuid).collect())
}

/// What a list of events is asked for; empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct EventFilter {
    pub(crate) ids: Vec<Uuid>,
    pub(crate) status: String,
    pub(crate) user_key: String,
    pub(crate) kind: String,
    pub(crate) metadata_value: String,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) below: Option<Uuid>,
}

const EVENT: &str = "id, user_id, type, value, currency, metadata::text AS metadata, ts, received_at,
    external_event_id, status, reason, model";

/// Events that fit, newest first.
pub(crate) async fn events(
    pool: &PgPool,
    organization: OrganizationId,
    filter: &EventFilter,
    limit: i64,
) -> Result<Vec<wire::ConversionEvent>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(format!(
        "SELECT {EVENT} FROM events WHERE currency <> '' AND organization = "
    ));
    query.push_bind(organization.uuid());
    if !filter.ids.is_empty() {
        query.push(" AND id = ANY(").push_bind(filter.ids.clone()).push(")");
    }
    match filter.status.as_str() {
        "" => {}
        "unattributed" => drop(query.push(" AND status <> 'attributed'")),
        status => drop(query.push(" AND status = ").push_bind(status.to_owned())),
    }
    if !filter.user_key.is_empty() {
        query.push(" AND user_key = ").push_bind(filter.user_key.clone());
    }
    if !filter.kind.is_empty() {
        query.push(" AND type = ").push_bind(filter.kind.clone());
    }
    if !filter.metadata_value.is_empty() {
        query.push(" AND EXISTS (SELECT FROM jsonb_each_text(metadata) AS pair WHERE pair.value = ");
        query.push_bind(filter.metadata_value.clone()).push(")");
    }
    if let Some(since) = filter.since {
        query.push(" AND ts >= ").push_bind(since.to_sqlx());
    }
    if let Some(until) = filter.until {
        query.push(" AND ts < ").push_bind(until.to_sqlx());
    }
    if let Some(below) = filter.below {
        query.push(" AND id < ").push_bind(below);
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
    let rows = query.build().persistent(false).fetch_all(pool).await?;
    with_touches(pool, rows).await
}

/// Events by their ids.
pub(crate) async fn events_by_id(
    pool: &PgPool,
    organization: OrganizationId,
    ids: &[ConversionId],
) -> Result<Vec<wire::ConversionEvent>, Error> {
    let sql = format!("SELECT {EVENT} FROM events WHERE organization = $1 AND id = ANY($2) ORDER BY id DESC");
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(organization.uuid())
        .bind(ids.iter().map(|id| id.uuid()).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    with_touches(pool, rows).await
}

async fn with_touches(pool: &PgPool, rows: Vec<PgRow>) -> Result<Vec<wire::ConversionEvent>, Error> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.try_get("id")).collect::<Result<_, _>>()?;
    let mut events: Vec<wire::ConversionEvent> = rows.iter().map(event_to_wire).collect::<Result<_, _>>()?;
    let touches = sqlx::query(
        "SELECT attributions.event, attributions.id, attributions.click, attributions.partner, numerator, denominator,
                (SELECT id FROM commissions WHERE commissions.event = attributions.event
                 AND commissions.click = attributions.click ORDER BY rule LIMIT 1) AS commission
         FROM attributions WHERE attributions.event = ANY($1) AND closed_at IS NULL ORDER BY attributions.id",
    )
    .bind(&ids)
    .fetch_all(pool)
    .await?;
    for row in touches {
        let event: Uuid = row.try_get("event")?;
        if let Some(place) = ids.iter().position(|id| *id == event) {
            events[place].touches.push(touch_to_wire(&row)?);
        }
    }
    let said: Vec<(Uuid, String, Option<i64>)> =
        sqlx::query_as("SELECT event, kind, amount FROM corrections WHERE event = ANY($1) ORDER BY at, id")
            .bind(&ids)
            .fetch_all(pool)
            .await?;
    for (event, kind, amount) in said {
        if let Some(place) = ids.iter().position(|id| *id == event) {
            correct(&mut events[place], &kind, amount);
        }
    }
    Ok(events)
}

/// What a correction leaves of an event; as the domain counts it.
fn correct(event: &mut wire::ConversionEvent, kind: &str, amount: Option<i64>) {
    let Ok(currency) = event.currency.parse::<Currency>() else { return };
    let minor = |text: &str| {
        let decimal: Option<rust_decimal::Decimal> = text.parse().ok();
        decimal.and_then(|decimal| i64::try_from(decimal.mantissa()).ok()).unwrap_or_default()
    };
    match (kind, amount) {
        ("value", Some(value)) => event.current_value = text::amount(value, currency),
        ("refund", Some(refund)) if !event.current_value.is_empty() => {
            let left = (minor(&event.current_value) - refund).max(0);
            event.current_value = text::amount(left, currency);
        }
        ("void", _) => event.is_void = true,
        ("restore", _) => event.is_void = false,
        _ => {}
    }
}

fn event_to_wire(row: &PgRow) -> Result<wire::ConversionEvent, Error> {
    let currency: Currency = word(row, "currency")?;
    let value: Option<i64> = row.try_get("value")?;
    let value = value.map(|value| text::amount(value, currency)).unwrap_or_default();
    let (ts, received_at) = (time(row, "ts")?, time(row, "received_at")?);
    let is_early = ts.duration_since(received_at) > jiff::SignedDuration::from_mins(5);
    let reason: Option<String> = row.try_get("reason")?;
    Ok(wire::ConversionEvent {
        id: ConversionId::from_uuid(row.try_get("id")?).to_string(),
        user_id: row.try_get("user_id")?,
        r#type: row.try_get("type")?,
        current_value: value.clone(),
        value,
        currency: currency.code().to_owned(),
        metadata_json: row.try_get("metadata")?,
        ts: Some(proto::to_wire_time(ts)),
        received_at: Some(proto::to_wire_time(received_at)),
        external_event_id: row.try_get::<Option<String>, _>("external_event_id")?.unwrap_or_default(),
        status: row.try_get("status")?,
        reason: reason.unwrap_or_default(),
        model: row.try_get::<Option<String>, _>("model")?.unwrap_or_default(),
        touches: Vec::new(),
        is_void: false,
        flags: if is_early { vec!["early_event".to_owned()] } else { Vec::new() },
    })
}

fn touch_to_wire(row: &PgRow) -> Result<wire::Touch, Error> {
    let commission: Option<Uuid> = row.try_get("commission")?;
    Ok(wire::Touch {
        click_id: row.try_get("click")?,
        partner_id: PartnerId::from_uuid(row.try_get("partner")?).to_string(),
        weight: Some(wire::Weight {
            numerator: row.try_get("numerator")?,
            denominator: row.try_get("denominator")?,
        }),
        attribution_id: AttributionId::from_uuid(row.try_get("id")?).to_string(),
        commission_id: commission.map(|id| CommissionId::from_uuid(id).to_string()).unwrap_or_default(),
    })
}

/// What a list of attributions is asked for; empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct AttributionFilter {
    pub(crate) partner: Option<Uuid>,
    pub(crate) program: Option<Uuid>,
    pub(crate) user_key: String,
    pub(crate) kind: String,
    pub(crate) since: Option<Timestamp>,
    pub(crate) until: Option<Timestamp>,
    pub(crate) below: Option<Uuid>,
    pub(crate) offset: i64,
}

/// Attributions that stand and fit, newest first.
pub(crate) async fn attributions(
    pool: &PgPool,
    organization: OrganizationId,
    filter: &AttributionFilter,
    limit: i64,
) -> Result<Vec<wire::AttributionRow>, Error> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT attributions.id, attributions.partner, attributions.program, attributions.model, numerator, denominator,
                event, type, value, currency, events.ts, user_id, metadata::text AS metadata, click, link_key,
                clicks.ts AS clicked_at, landing_url,
                ARRAY(SELECT id FROM commissions WHERE commissions.event = attributions.event
                      AND commissions.click = attributions.click ORDER BY rule) AS commissions
         FROM attributions JOIN events ON events.id = event JOIN clicks ON clicks.id = click
         WHERE closed_at IS NULL AND attributions.organization = ",
    );
    query.push_bind(organization.uuid());
    if let Some(partner) = filter.partner {
        query.push(" AND attributions.partner = ").push_bind(partner);
    }
    if let Some(program) = filter.program {
        query.push(" AND attributions.program = ").push_bind(program);
    }
    if !filter.user_key.is_empty() {
        query.push(" AND events.user_key = ").push_bind(filter.user_key.clone());
    }
    if !filter.kind.is_empty() {
        query.push(" AND events.type = ").push_bind(filter.kind.clone());
    }
    if let Some(since) = filter.since {
        query.push(" AND attributions.ts >= ").push_bind(since.to_sqlx());
    }
    if let Some(until) = filter.until {
        query.push(" AND attributions.ts < ").push_bind(until.to_sqlx());
    }
    if let Some(below) = filter.below {
        query.push(" AND attributions.id < ").push_bind(below);
    }
    query.push(" ORDER BY attributions.id DESC LIMIT ").push_bind(limit);
    query.push(" OFFSET ").push_bind(filter.offset);
    let rows = query.build().persistent(false).fetch_all(pool).await?;
    rows.iter().map(attribution_to_wire).collect()
}

fn attribution_to_wire(row: &PgRow) -> Result<wire::AttributionRow, Error> {
    let currency: String = row.try_get("currency")?;
    let value: Option<i64> = row.try_get("value")?;
    let commissions: Vec<Uuid> = row.try_get("commissions")?;
    Ok(wire::AttributionRow {
        id: AttributionId::from_uuid(row.try_get("id")?).to_string(),
        partner_id: PartnerId::from_uuid(row.try_get("partner")?).to_string(),
        program_id: ProgramId::from_uuid(row.try_get("program")?).to_string(),
        weight: Some(wire::Weight {
            numerator: row.try_get("numerator")?,
            denominator: row.try_get("denominator")?,
        }),
        model: row.try_get("model")?,
        event_id: ConversionId::from_uuid(row.try_get("event")?).to_string(),
        r#type: row.try_get("type")?,
        value: value.map(|value| text::amount_of(value, &currency)).unwrap_or_default(),
        currency,
        ts: Some(proto::to_wire_time(time(row, "ts")?)),
        user_id: row.try_get("user_id")?,
        metadata_json: row.try_get("metadata")?,
        click_id: row.try_get("click")?,
        link_key: row.try_get("link_key")?,
        clicked_at: maybe_time(row, "clicked_at")?.map(proto::to_wire_time),
        landing_url: row.try_get("landing_url")?,
        commission_ids: commissions.into_iter().map(|id| CommissionId::from_uuid(id).to_string()).collect(),
    })
}

/// The accounts of the organization, or those of a partner.
pub(crate) async fn balances(
    pool: &PgPool,
    organization: OrganizationId,
    partner: Option<PartnerId>,
) -> Result<Vec<wire::Balance>, Error> {
    let rows: Vec<(Option<Uuid>, String, i64, i64, i64, i64)> = sqlx::query_as(
        "SELECT partner, currency, sum(commission_expense)::bigint, sum(cash)::bigint, sum(accrued)::bigint,
                sum(payable)::bigint
         FROM entries WHERE organization = $1 AND ($2::uuid IS NULL OR partner = $2)
         GROUP BY GROUPING SETS ((currency), (partner, currency)) ORDER BY partner NULLS FIRST, currency",
    )
    .bind(organization.uuid())
    .bind(partner.map(PartnerId::uuid))
    .persistent(false)
    .fetch_all(pool)
    .await?;
    let mut balances = Vec::with_capacity(rows.len() * 2);
    for (of, currency, expense, cash, accrued, payable) in rows {
        let partner_id = of.map(|id| PartnerId::from_uuid(id).to_string()).unwrap_or_default();
        let accounts = match of {
            None if partner.is_some() => continue,
            None => [("commission_expense", expense), ("cash", cash)],
            Some(_) => [("accrued", accrued), ("payable", payable)],
        };
        balances.extend(accounts.map(|(account, minor)| wire::Balance {
            account: account.to_owned(),
            partner_id: partner_id.clone(),
            balance: Some(wire::Money {
                amount: text::amount_of(minor, &currency),
                currency: currency.clone(),
            }),
        }));
    }
    Ok(balances)
}

/// What a list of ledger entries is asked for; empty fields do not filter.
#[derive(Clone, Debug, Default)]
pub(crate) struct EntryFilter {
    pub(crate) partner: Option<Uuid>,
    pub(crate) commission: Option<Uuid>,
    pub(crate) kind: String,
    pub(crate) below: Option<Uuid>,
}

/// Entries of the ledger that fit, newest first.
pub(crate) async fn entries(
    pool: &PgPool,
    organization: OrganizationId,
    filter: &EntryFilter,
    limit: i64,
) -> Result<Vec<wire::LedgerEntry>, Error> {
    let rows = sqlx::query(
        "SELECT * FROM entries
         WHERE organization = $1 AND ($2::uuid IS NULL OR partner = $2) AND ($3::uuid IS NULL OR commission = $3)
           AND ($4 = '' OR kind = $4) AND ($5::uuid IS NULL OR id < $5)
         ORDER BY id DESC LIMIT $6",
    )
    .bind(organization.uuid())
    .bind(filter.partner)
    .bind(filter.commission)
    .bind(&filter.kind)
    .bind(filter.below)
    .bind(limit)
    .persistent(false)
    .fetch_all(pool)
    .await?;
    rows.iter().map(entry_to_wire).collect()
}

fn entry_to_wire(row: &PgRow) -> Result<wire::LedgerEntry, Error> {
    let currency: String = row.try_get("currency")?;
    let partner_id = PartnerId::from_uuid(row.try_get("partner")?).to_string();
    let (commission, payout): (Option<Uuid>, Option<Uuid>) =
        (row.try_get("commission")?, row.try_get("payout")?);
    let mut postings = Vec::with_capacity(2);
    for (account, is_partners) in
        [("commission_expense", false), ("cash", false), ("accrued", true), ("payable", true)]
    {
        let minor: i64 = row.try_get(account)?;
        if minor != 0 {
            let amount =
                wire::Money { amount: text::amount_of(minor, &currency), currency: currency.clone() };
            let partner_id = if is_partners { partner_id.clone() } else { String::new() };
            postings.push(wire::Posting { account: account.to_owned(), partner_id, amount: Some(amount) });
        }
    }
    Ok(wire::LedgerEntry {
        id: LedgerEntryId::from_uuid(row.try_get("id")?).to_string(),
        kind: row.try_get("kind")?,
        commission_id: commission.map(|id| CommissionId::from_uuid(id).to_string()).unwrap_or_default(),
        payout_id: payout.map(|id| PayoutId::from_uuid(id).to_string()).unwrap_or_default(),
        partner_id,
        reason: row.try_get("reason")?,
        at: Some(proto::to_wire_time(time(row, "at")?)),
        postings,
    })
}
