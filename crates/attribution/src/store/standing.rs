//! What stands at present of what was derived: attributions and commissions, read and moved.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{AttributionId, CommissionId, ConversionId, OrganizationId, PartnerId, PayoutId, ProgramId};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::{
    facts::{maybe_word, payout_lines, stored, word},
    maybe_time, time,
};
use crate::{
    Error,
    domain::{
        facts::{ClickId, CommissionKey, Facts},
        outcome::{Commission, Position, Reason, Status, Suspicion, Weight},
        terms::Model,
    },
};

/// How an event stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventStanding {
    pub(crate) status: Status,
    pub(crate) reason: Option<Reason>,
    pub(crate) model: Option<Model>,
    pub(crate) generation: i32,
    pub(crate) touches: Vec<TouchStanding>,
}

/// The share of a click in an event, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TouchStanding {
    pub(crate) id: AttributionId,
    pub(crate) click: ClickId,
    pub(crate) partner: PartnerId,
    pub(crate) program: ProgramId,
    pub(crate) weight: Weight,
}

/// A commission, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommissionRow {
    pub(crate) id: CommissionId,
    pub(crate) organization: OrganizationId,
    /// Where it stands.
    pub(crate) is: Commission,
    pub(crate) attribution: AttributionId,
    pub(crate) program: ProgramId,
    pub(crate) terms_version: u32,
    pub(crate) accrued_at: Timestamp,
    pub(crate) mature_at: Timestamp,
    pub(crate) hold_days: u16,
    pub(crate) approved_at: Option<Timestamp>,
    pub(crate) paid_at: Option<Timestamp>,
}

/// What stands of some events.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) events: HashMap<ConversionId, EventStanding>,
    pub(crate) commissions: HashMap<CommissionKey, CommissionRow>,
}

/// The columns of [`CommissionRow`].
pub(crate) const COMMISSION: &str = "id, organization, event, click, rule, attribution, partner, program, terms, currency, due, paid, status, reason, \
     held, suspicion, accrued_at, mature_at, hold_days, approved_at, paid_at, payout";

/// Reads a row of these columns.
pub(crate) fn commission(row: &PgRow) -> Result<CommissionRow, Error> {
    let small = |column| -> Result<u8, Error> {
        u8::try_from(row.try_get::<i16, _>(column)?).map_err(|error| stored(column, error))
    };
    let payout: Option<Uuid> = row.try_get("payout")?;
    let hold_days: i32 = row.try_get("hold_days")?;
    let is = Commission {
        key: CommissionKey {
            conversion: ConversionId::from_uuid(row.try_get("event")?),
            click: row.try_get::<&str, _>("click")?.into(),
            rule: small("rule")?,
        },
        partner: PartnerId::from_uuid(row.try_get("partner")?),
        currency: word(row, "currency")?,
        position: Position {
            status: word(row, "status")?,
            due: row.try_get("due")?,
            paid: row.try_get("paid")?,
        },
        reason: word(row, "reason")?,
        held: row.try_get("held")?,
        suspicion: maybe_word(row, "suspicion")?,
        payout: payout.map(PayoutId::from_uuid),
    };
    Ok(CommissionRow {
        id: CommissionId::from_uuid(row.try_get("id")?),
        organization: OrganizationId::from_uuid(row.try_get("organization")?),
        is,
        attribution: AttributionId::from_uuid(row.try_get("attribution")?),
        program: ProgramId::from_uuid(row.try_get("program")?),
        terms_version: row.try_get::<i32, _>("terms")?.unsigned_abs(),
        accrued_at: time(row, "accrued_at")?,
        mature_at: time(row, "mature_at")?,
        hold_days: u16::try_from(hold_days).map_err(|error| stored("hold_days", error))?,
        approved_at: maybe_time(row, "approved_at")?,
        paid_at: maybe_time(row, "paid_at")?,
    })
}

/// Reads what stands of the events of each of these facts, and then adds to the facts what payouts took. A payout does not
/// wait for those who derive: if one is made meanwhile, it is seen in the facts and not in what stands, so that moving what
/// stands is refused ([`update`]). The other way round it would be taken back.
pub(crate) async fn load(tx: &mut PgConnection, facts: &mut [Facts]) -> Result<Vec<Standing>, Error> {
    let mut standings: Vec<Standing> = facts.iter().map(|_| Standing::default()).collect();
    let places: HashMap<ConversionId, usize> = (0..)
        .zip(facts.iter())
        .flat_map(|(place, facts)| facts.conversions.iter().map(move |one| (one.id, place)))
        .collect();
    if places.is_empty() {
        return Ok(standings);
    }
    let events: Vec<Uuid> = places.keys().map(|id| id.uuid()).collect();
    for row in event_rows(tx, &events).await? {
        let event = ConversionId::from_uuid(row.try_get("event")?);
        let Some(&place) = places.get(&event) else { continue };
        let read = standings[place].events.entry(event).or_insert(EventStanding {
            status: word(&row, "status")?,
            reason: maybe_word(&row, "reason")?,
            model: maybe_word(&row, "model")?,
            generation: row.try_get("generation")?,
            touches: Vec::new(),
        });
        if let Some(id) = row.try_get::<Option<Uuid>, _>("id")? {
            read.touches.push(touch(&row, id)?);
        }
    }
    let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {COMMISSION} FROM commissions WHERE event = ANY($1)"
    )))
    .bind(&events)
    .fetch_all(&mut *tx)
    .await?;
    for row in rows {
        let row = commission(&row)?;
        let Some(&place) = places.get(&row.is.key.conversion) else { continue };
        standings[place].commissions.insert(row.is.key.clone(), row);
    }
    for line in payout_lines(tx, &events).await? {
        let Some(&place) = places.get(&line.commission.conversion) else { continue };
        facts[place].paid.push(line);
    }
    Ok(standings)
}

/// Looked up row by row, as in [`super::facts`].
async fn event_rows(tx: &mut PgConnection, events: &[Uuid]) -> Result<Vec<PgRow>, Error> {
    Ok(sqlx::query(
        "SELECT events.id AS event, events.status, events.reason, events.model, events.generation,
                attributions.id, click, partner, program, numerator, denominator
         FROM events
         LEFT JOIN LATERAL (
             SELECT * FROM attributions WHERE event = events.id AND closed_at IS NULL OFFSET 0) AS attributions ON true
         WHERE events.id = ANY($1) ORDER BY attributions.id",
    )
    .bind(events)
    .fetch_all(tx)
    .await?)
}

fn touch(row: &PgRow, id: Uuid) -> Result<TouchStanding, Error> {
    Ok(TouchStanding {
        id: AttributionId::from_uuid(id),
        click: row.try_get::<&str, _>("click")?.into(),
        partner: PartnerId::from_uuid(row.try_get("partner")?),
        program: ProgramId::from_uuid(row.try_get("program")?),
        weight: Weight { numerator: row.try_get("numerator")?, denominator: row.try_get("denominator")? },
    })
}

/// An attribution set that is opened.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    pub(crate) organization: OrganizationId,
    pub(crate) event: ConversionId,
    pub(crate) ts: Timestamp,
    /// The event stood otherwise before.
    pub(crate) is_again: bool,
    pub(crate) standing: EventStanding,
}

impl Opened {
    /// Its touches, each with its place.
    pub(crate) fn touches(&self) -> impl Iterator<Item = (i32, &TouchStanding)> {
        (0..).zip(&self.standing.touches)
    }
}

/// Closes the sets that stand of these events.
pub(crate) async fn close(tx: &mut PgConnection, events: &[Uuid], now: Timestamp) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE attributions SET closed_at = $2 WHERE event = ANY($1) AND closed_at IS NULL")
        .bind(events)
        .bind(now.to_sqlx())
        .execute(tx)
        .await?;
    Ok(())
}

/// Stores how events stand now that stood otherwise before.
pub(crate) async fn restate(tx: &mut PgConnection, sets: &[&Opened]) -> Result<(), Error> {
    if sets.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE events SET status = given.status, reason = given.reason, model = given.model,
                           generation = given.generation
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[])
             AS given (id, status, reason, model, generation)
         WHERE events.id = given.id",
    )
    .bind(sets.iter().map(|set| set.event.uuid()).collect::<Vec<_>>())
    .bind(sets.iter().map(|set| set.standing.status.name()).collect::<Vec<_>>())
    .bind(sets.iter().map(|set| set.standing.reason.map(Reason::name)).collect::<Vec<_>>())
    .bind(sets.iter().map(|set| set.standing.model.map(Model::name)).collect::<Vec<_>>())
    .bind(sets.iter().map(|set| set.standing.generation).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// Moves commissions that stand as `before` to where they stand now. False: another transaction moved one meanwhile.
pub(crate) async fn update(
    tx: &mut PgConnection,
    rows: &[(CommissionRow, CommissionRow)],
) -> Result<bool, Error> {
    if rows.is_empty() {
        return Ok(true);
    }
    macro_rules! column {
        (|$before:ident, $row:ident| $value:expr) => {
            rows.iter().map(|($before, $row)| $value).collect::<Vec<_>>()
        };
    }
    let updated = sqlx::query(
        "UPDATE commissions SET
             attribution = given.attribution, due = given.due, paid = given.paid, status = given.status,
             reason = given.reason, held = given.held, mature_at = given.mature_at, hold_days = given.hold_days,
             approved_at = given.approved_at, paid_at = given.paid_at, payout = given.payout, terms = given.terms,
             suspicion = given.suspicion
         FROM UNNEST($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::boolean[],
                     $8::timestamptz[], $9::integer[], $10::timestamptz[], $11::timestamptz[], $12::uuid[],
                     $13::integer[], $14::text[], $15::bigint[], $16::bigint[], $17::text[])
             AS given (id, attribution, due, paid, status, reason, held, mature_at, hold_days, approved_at, paid_at,
                       payout, terms, suspicion, due_before, paid_before, status_before)
         WHERE commissions.id = given.id AND commissions.due = due_before AND commissions.paid = paid_before
           AND commissions.status = status_before",
    )
    .bind(column!(|_before, row| row.id.uuid()))
    .bind(column!(|_before, row| row.attribution.uuid()))
    .bind(column!(|_before, row| row.is.position.due))
    .bind(column!(|_before, row| row.is.position.paid))
    .bind(column!(|_before, row| row.is.position.status.name()))
    .bind(column!(|_before, row| row.is.reason.name()))
    .bind(column!(|_before, row| row.is.held))
    .bind(column!(|_before, row| row.mature_at.to_sqlx()))
    .bind(column!(|_before, row| i32::from(row.hold_days)))
    .bind(column!(|_before, row| row.approved_at.map(ToSqlx::to_sqlx)))
    .bind(column!(|_before, row| row.paid_at.map(ToSqlx::to_sqlx)))
    .bind(column!(|_before, row| row.is.payout.map(PayoutId::uuid)))
    .bind(column!(|_before, row| row.terms_version.cast_signed()))
    .bind(column!(|_before, row| row.is.suspicion.map(Suspicion::name)))
    .bind(column!(|before, _row| before.is.position.due))
    .bind(column!(|before, _row| before.is.position.paid))
    .bind(column!(|before, _row| before.is.position.status.name()))
    .execute(tx)
    .await?;
    Ok(updated.rows_affected() == rows.len() as u64)
}
