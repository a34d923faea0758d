//! What a gathering adds, in one statement: each statement by itself costs as much as some of its rows.

use std::sync::LazyLock;

use bus::{Message, outbox};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{CommissionId, PayoutId};
use sqlx::{PgConnection, Postgres, postgres::PgArguments, query::Query};

use super::{
    facts::{FirstStanding, NewEvent},
    ledger::EntryRow,
    standing::{CommissionRow, Opened, TouchStanding},
};
use crate::{
    Error,
    domain::{ledger::Account, outcome::Suspicion, terms::Model},
};

/// Rows that are new.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News<'a> {
    pub(crate) events: &'a [(&'a NewEvent, FirstStanding)],
    /// Whose touches are stored.
    pub(crate) sets: &'a [Opened],
    pub(crate) commissions: &'a [CommissionRow],
    pub(crate) entries: &'a [EntryRow],
    /// What leaves the room, through the outbox.
    pub(crate) messages: &'a [Message],
}

/// Ends with the statement of the outbox, whose parameters come after all others.
static INSERT: LazyLock<String> = LazyLock::new(|| format!("{ROWS} {}", outbox::storing(65)));

const ROWS: &str = "
    WITH recorded AS (
        INSERT INTO events (id, organization, user_key, user_id, type, value, currency, metadata, ts, received_at,
                            external_event_id, key, answer, status, reason, model, generation)
        SELECT id, organization, user_key, user_id, type, value, currency, metadata::jsonb, ts, received_at,
               external_event_id, key, answer, status, reason, model, generation
        FROM UNNEST($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[],
                    $10::timestamptz[], $11::timestamptz[], $12::text[], $13::uuid[], $14::bytea[], $15::text[],
                    $16::text[], $17::text[], $18::integer[])
            AS given (id, organization, user_key, user_id, type, value, currency, metadata, ts, received_at,
                      external_event_id, key, answer, status, reason, model, generation)),
    opened AS (
        INSERT INTO attributions (organization, event, generation, model, ts, id, click, partner, program, numerator,
                                  denominator, place, opened_at)
        SELECT *, $1::timestamptz FROM UNNEST(
            $19::uuid[], $20::uuid[], $21::integer[], $22::text[], $23::timestamptz[], $24::uuid[], $25::text[],
            $26::uuid[], $27::uuid[], $28::bigint[], $29::bigint[], $30::integer[])),
    accrued AS (
        INSERT INTO commissions (id, organization, event, click, rule, attribution, partner, program, terms, currency,
                                 due, paid, status, reason, held, accrued_at, mature_at, hold_days, approved_at,
                                 paid_at, payout, suspicion)
        SELECT * FROM UNNEST(
            $31::uuid[], $32::uuid[], $33::uuid[], $34::text[], $35::smallint[], $36::uuid[], $37::uuid[], $38::uuid[],
            $39::integer[], $40::text[], $41::bigint[], $42::bigint[], $43::text[], $44::text[], $45::boolean[],
            $46::timestamptz[], $47::timestamptz[], $48::integer[], $49::timestamptz[], $50::timestamptz[],
            $51::uuid[], $52::text[])),
    entered AS (
        INSERT INTO entries (id, organization, kind, commission, payout, partner, currency, commission_expense, cash,
                             accrued, payable, reason, at)
        SELECT *, $1::timestamptz FROM UNNEST(
            $53::uuid[], $54::uuid[], $55::text[], $56::uuid[], $57::uuid[], $58::uuid[], $59::text[], $60::bigint[],
            $61::bigint[], $62::bigint[], $63::bigint[], $64::text[]))";

type Inserting<'q> = Query<'q, Postgres, PgArguments>;

/// Stores them.
pub(crate) async fn insert(tx: &mut PgConnection, news: News<'_>, now: Timestamp) -> Result<(), Error> {
    let touches = |set| Opened::touches(set).map(move |(place, touch)| (set, place, touch));
    let touches: Vec<(&Opened, i32, &TouchStanding)> = news.sets.iter().flat_map(touches).collect();
    if news.events.is_empty()
        && touches.is_empty()
        && news.commissions.is_empty()
        && news.entries.is_empty()
        && news.messages.is_empty()
    {
        return Ok(());
    }
    let query = sqlx::query(INSERT.as_str()).bind(now.to_sqlx());
    let query = with_events(query, news.events);
    let query = with_touches(query, &touches);
    let query = with_commissions(query, news.commissions);
    let query = with_entries(query, news.entries);
    outbox::bind(query, news.messages)?.execute(tx).await?;
    Ok(())
}

macro_rules! columns {
    ($query:expr, $rows:expr, |$row:pat_param| $($value:expr),+ $(,)?) => {
        $query$(.bind($rows.iter().map(|$row| $value).collect::<Vec<_>>()))+
    };
}

fn with_events<'q>(query: Inserting<'q>, events: &'q [(&NewEvent, FirstStanding)]) -> Inserting<'q> {
    let query = columns!(
        query,
        events,
        |(event, _)| event.conversion.id.uuid(),
        event.customer.organization.uuid(),
        event.customer.user_key.as_str(),
        event.user_id.as_str(),
        &*event.conversion.kind,
        event.conversion.value,
        event.conversion.currency.code(),
        event.metadata.as_str(),
        event.conversion.at.to_sqlx(),
        event.conversion.received_at.to_sqlx(),
        event.external_event_id.as_deref(),
        event.key,
    );
    columns!(
        query,
        events,
        |(_, first)| first.answer.as_slice(),
        first.status,
        first.reason,
        first.model,
        first.generation,
    )
}

fn with_touches<'q>(query: Inserting<'q>, touches: &[(&'q Opened, i32, &'q TouchStanding)]) -> Inserting<'q> {
    let query = columns!(
        query,
        touches,
        |(set, _, _)| set.organization.uuid(),
        set.event.uuid(),
        set.standing.generation,
        set.standing.model.map(Model::name),
        set.ts.to_sqlx(),
    );
    let query = columns!(
        query,
        touches,
        |(_, _, touch)| touch.id.uuid(),
        &*touch.click,
        touch.partner.uuid(),
        touch.program.uuid(),
        touch.weight.numerator,
        touch.weight.denominator,
    );
    columns!(query, touches, |(_, place, _)| *place)
}

fn with_commissions<'q>(query: Inserting<'q>, rows: &'q [CommissionRow]) -> Inserting<'q> {
    columns!(
        query,
        rows,
        |row| row.id.uuid(),
        row.organization.uuid(),
        row.is.key.conversion.uuid(),
        &*row.is.key.click,
        i16::from(row.is.key.rule),
        row.attribution.uuid(),
        row.is.partner.uuid(),
        row.program.uuid(),
        row.terms_version.cast_signed(),
        row.is.currency.code(),
        row.is.position.due,
        row.is.position.paid,
        row.is.position.status.name(),
        row.is.reason.name(),
        row.is.held,
        row.accrued_at.to_sqlx(),
        row.mature_at.to_sqlx(),
        i32::from(row.hold_days),
        row.approved_at.map(ToSqlx::to_sqlx),
        row.paid_at.map(ToSqlx::to_sqlx),
        row.is.payout.map(PayoutId::uuid),
        row.is.suspicion.map(Suspicion::name),
    )
}

fn with_entries<'q>(query: Inserting<'q>, entries: &'q [EntryRow]) -> Inserting<'q> {
    columns!(
        query,
        entries,
        |row| row.id.uuid(),
        row.organization.uuid(),
        row.entry.kind.name(),
        row.commission.map(CommissionId::uuid),
        row.payout.map(PayoutId::uuid),
        row.partner.uuid(),
        row.currency.code(),
        row.of(Account::CommissionExpense),
        row.of(Account::Cash),
        row.of(Account::Accrued),
        row.of(Account::Payable),
        row.reason,
    )
}
