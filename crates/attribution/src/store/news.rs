//! What a gathering adds, in one statement: each statement by itself costs as much as some of its rows.

use std::sync::LazyLock;

use bus::{Message, outbox};
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{CommissionId, PayoutId};
use sqlx::{
    Encode, PgConnection, Postgres, Type,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgHasArrayType, PgTypeInfo, types::PgRecordEncoder},
};

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
static INSERT: LazyLock<String> = LazyLock::new(|| format!("{ROWS} {}", outbox::storing(6)));

const ROWS: &str = "
    WITH recorded AS (
        INSERT INTO events (id, organization, user_key, user_id, type, value, currency, metadata, ts, received_at,
                            external_event_id, key, answer, status, reason, model, generation)
        SELECT id, organization, user_key, user_id, type, value, currency, metadata::jsonb, ts, received_at,
               external_event_id, key, answer, status, reason, model, generation
        FROM UNNEST($2::new_event[])),
    opened AS (
        INSERT INTO attributions (organization, event, generation, model, ts, id, click, partner, program, numerator,
                                  denominator, place, opened_at)
        SELECT *, $1::timestamptz FROM UNNEST($3::new_touch[])),
    accrued AS (
        INSERT INTO commissions (id, organization, event, click, rule, attribution, partner, program, terms, currency,
                                 due, paid, status, reason, held, accrued_at, mature_at, hold_days, approved_at,
                                 paid_at, payout, suspicion)
        SELECT * FROM UNNEST($4::new_commission[])),
    entered AS (
        INSERT INTO entries (id, organization, kind, commission, payout, partner, currency, commission_expense, cash,
                             accrued, payable, reason, at)
        SELECT *, $1::timestamptz FROM UNNEST($5::new_entry[]))";

/// Stores them.
pub(crate) async fn insert(tx: &mut PgConnection, news: News<'_>, now: Timestamp) -> Result<(), Error> {
    let touches = |set| Opened::touches(set).map(move |(place, touch)| Touch { set, place, touch });
    let touches: Vec<Touch<'_>> = news.sets.iter().flat_map(touches).collect();
    if news.events.is_empty()
        && touches.is_empty()
        && news.commissions.is_empty()
        && news.entries.is_empty()
        && news.messages.is_empty()
    {
        return Ok(());
    }
    let query = sqlx::query(INSERT.as_str())
        .bind(now.to_sqlx())
        .bind(news.events.iter().map(Event).collect::<Vec<_>>())
        .bind(touches)
        .bind(news.commissions.iter().map(Commission).collect::<Vec<_>>())
        .bind(news.entries.iter().map(Entry).collect::<Vec<_>>());
    outbox::bind(query, news.messages)?.execute(tx).await?;
    Ok(())
}

/// A row as Postgres knows it by this name: these values, in the order of its type.
macro_rules! row {
    ($row:ident as $name:literal, |$this:ident| $($value:expr),+ $(,)?) => {
        impl Type<Postgres> for $row<'_> {
            fn type_info() -> PgTypeInfo {
                PgTypeInfo::with_name($name)
            }
        }

        impl PgHasArrayType for $row<'_> {
            fn array_type_info() -> PgTypeInfo {
                PgTypeInfo::array_of($name)
            }
        }

        impl<'q> Encode<'q, Postgres> for $row<'_> {
            fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
                let $this = self;
                let mut row = PgRecordEncoder::new(buffer);
                $(row.encode($value)?;)+
                row.finish();
                Ok(IsNull::No)
            }
        }
    };
}

struct Event<'a>(&'a (&'a NewEvent, FirstStanding));

row!(Event as "new_event", |row|
    row.0.0.conversion.id.uuid(),
    row.0.0.customer.organization.uuid(),
    row.0.0.customer.user_key.as_str(),
    row.0.0.user_id.as_str(),
    &*row.0.0.conversion.kind,
    row.0.0.conversion.value,
    row.0.0.conversion.currency.code(),
    row.0.0.metadata.as_str(),
    row.0.0.conversion.at.to_sqlx(),
    row.0.0.conversion.received_at.to_sqlx(),
    row.0.0.external_event_id.as_deref(),
    row.0.0.key,
    row.0.1.answer.as_slice(),
    row.0.1.status,
    row.0.1.reason,
    row.0.1.model,
    row.0.1.generation,
);

struct Touch<'a> {
    set: &'a Opened,
    place: i32,
    touch: &'a TouchStanding,
}

row!(Touch as "new_touch", |row|
    row.set.organization.uuid(),
    row.set.event.uuid(),
    row.set.standing.generation,
    row.set.standing.model.map(Model::name),
    row.set.ts.to_sqlx(),
    row.touch.id.uuid(),
    &*row.touch.click,
    row.touch.partner.uuid(),
    row.touch.program.uuid(),
    row.touch.weight.numerator,
    row.touch.weight.denominator,
    row.place,
);

struct Commission<'a>(&'a CommissionRow);

row!(Commission as "new_commission", |row|
    row.0.id.uuid(),
    row.0.organization.uuid(),
    row.0.is.key.conversion.uuid(),
    &*row.0.is.key.click,
    i16::from(row.0.is.key.rule),
    row.0.attribution.uuid(),
    row.0.is.partner.uuid(),
    row.0.program.uuid(),
    row.0.terms_version.cast_signed(),
    row.0.is.currency.code(),
    row.0.is.position.due,
    row.0.is.position.paid,
    row.0.is.position.status.name(),
    row.0.is.reason.name(),
    row.0.is.held,
    row.0.accrued_at.to_sqlx(),
    row.0.mature_at.to_sqlx(),
    i32::from(row.0.hold_days),
    row.0.approved_at.map(ToSqlx::to_sqlx),
    row.0.paid_at.map(ToSqlx::to_sqlx),
    row.0.is.payout.map(PayoutId::uuid),
    row.0.is.suspicion.map(Suspicion::name),
);

struct Entry<'a>(&'a EntryRow);

row!(Entry as "new_entry", |row|
    row.0.id.uuid(),
    row.0.organization.uuid(),
    row.0.entry.kind.name(),
    row.0.commission.map(CommissionId::uuid),
    row.0.payout.map(PayoutId::uuid),
    row.0.partner.uuid(),
    row.0.currency.code(),
    row.0.of(Account::CommissionExpense),
    row.0.of(Account::Cash),
    row.0.of(Account::Accrued),
    row.0.of(Account::Payable),
    row.0.reason,
);
