//! The facts of customers: reading all of them, adding new ones.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use model::{ConversionId, IdentifyId, OrganizationId, PartnerId, PayoutId, ProgramId};
use sqlx::{PgConnection, Row as _, postgres::PgRow};
use uuid::Uuid;

use super::time;
use crate::{
    Error,
    domain::{
        facts::{
            Change, Click, ClickId, CommissionKey, Conversion, Correction, Decision, Facts, PayoutLine,
            Verdict,
        },
        money::{Currency, Money},
        outcome::Suspicion,
    },
};

/// A customer of an organization, by [`crate::domain::facts::user_key`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Customer {
    pub(crate) organization: OrganizationId,
    pub(crate) user_key: String,
}

/// What does not make sense to this version in what is stored.
pub(crate) fn stored(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Stored(format!("{what}: {error}"))
}

/// A word of a row that the domain knows.
pub(crate) fn word<T: std::str::FromStr>(row: &PgRow, column: &str) -> Result<T, Error>
where
    T::Err: std::fmt::Display,
{
    let text: &str = row.try_get(column)?;
    text.parse().map_err(|error| stored(column, error))
}

/// The same, where it may be null.
pub(crate) fn maybe_word<T: std::str::FromStr>(row: &PgRow, column: &str) -> Result<Option<T>, Error>
where
    T::Err: std::fmt::Display,
{
    let text: Option<&str> = row.try_get(column)?;
    text.map(str::parse).transpose().map_err(|error| stored(column, error))
}

/// A place in the list of customers that were asked for.
fn place(row: &PgRow) -> Result<usize, Error> {
    let place: i64 = row.try_get("place")?;
    Ok(usize::try_from(place - 1).unwrap_or(usize::MAX))
}

/// Reads all facts of these customers, in their order.
pub(crate) async fn load(
    tx: &mut PgConnection,
    customers: &[&Customer],
    with_metadata: bool,
) -> Result<Vec<Facts>, Error> {
    let organizations: Vec<Uuid> = customers.iter().map(|customer| customer.organization.uuid()).collect();
    let keys: Vec<&str> = customers.iter().map(|customer| customer.user_key.as_str()).collect();
    let mut all = vec![Facts::default(); customers.len()];
    let mut clicks: HashMap<(Uuid, ClickId), Vec<usize>> = HashMap::new();
    for row in clicks_of(tx, &organizations, &keys).await? {
        let (place, click) = (place(&row)?, click(&row)?);
        clicks.entry((organizations[place], click.id.clone())).or_default().push(place);
        all[place].clicks.push(click);
    }
    let mut events: HashMap<Uuid, usize> = HashMap::new();
    for row in events_of(tx, &organizations, &keys, with_metadata).await? {
        let (place, conversion) = (place(&row)?, conversion(&row)?);
        events.insert(conversion.id.uuid(), place);
        all[place].conversions.push(conversion);
    }
    if !clicks.is_empty() || !events.is_empty() {
        for row in decisions_of(tx, clicks.keys(), events.keys()).await? {
            let organization: Uuid = row.try_get("organization")?;
            let decision = decision(&row)?;
            let places = match row.try_get::<Option<Uuid>, _>("event")? {
                Some(event) => events.get(&event).map(std::slice::from_ref),
                None => {
                    clicks.get(&(organization, row.try_get::<&str, _>("click")?.into())).map(Vec::as_slice)
                }
            };
            for &place in places.unwrap_or_default() {
                all[place].decisions.push(decision.clone());
            }
        }
    }
    if !events.is_empty() {
        for row in said_of(tx, events.keys()).await? {
            let Some(&place) = events.get(&row.try_get::<Uuid, _>("event")?) else { continue };
            match row.try_get::<Option<Uuid>, _>("payout")? {
                Some(payout) => all[place].paid.push(payout_line(&row, payout)?),
                None => all[place].corrections.push(correction(&row)?),
            }
        }
    }
    Ok(all)
}

async fn clicks_of(
    tx: &mut PgConnection,
    organizations: &[Uuid],
    keys: &[&str],
) -> Result<Vec<PgRow>, Error> {
    Ok(sqlx::query(
        "SELECT place, clicks.id, partner, program, ts, flagged, identifies.at, suspicion
         FROM UNNEST($1::uuid[], $2::text[]) WITH ORDINALITY AS given (organization, user_key, place)
         JOIN identifies USING (organization, user_key) JOIN clicks ON clicks.id = identifies.click",
    )
    .bind(organizations)
    .bind(keys)
    .fetch_all(tx)
    .await?)
}

async fn events_of(
    tx: &mut PgConnection,
    organizations: &[Uuid],
    keys: &[&str],
    with_metadata: bool,
) -> Result<Vec<PgRow>, Error> {
    Ok(sqlx::query(
        "SELECT place, id, type, value, currency, ts, received_at,
                CASE WHEN $3 OR metadata ? 'record_id' THEN metadata::text END AS metadata
         FROM UNNEST($1::uuid[], $2::text[]) WITH ORDINALITY AS given (organization, user_key, place)
         JOIN events USING (organization, user_key)",
    )
    .bind(organizations)
    .bind(keys)
    .bind(with_metadata)
    .fetch_all(tx)
    .await?)
}

async fn decisions_of<'a>(
    tx: &mut PgConnection,
    clicks: impl Iterator<Item = &'a (Uuid, ClickId)>,
    events: impl Iterator<Item = &'a Uuid>,
) -> Result<Vec<PgRow>, Error> {
    let (organizations, clicks): (Vec<Uuid>, Vec<&str>) = clicks.map(|(org, click)| (*org, &**click)).unzip();
    Ok(sqlx::query(
        "SELECT decisions.organization, id, at, verdict, decisions.click, event, rule
         FROM UNNEST($1::uuid[], $2::text[]) AS given (organization, click)
         JOIN decisions ON decisions.organization = given.organization AND decisions.click = given.click
             AND event IS NULL
         UNION ALL
         SELECT organization, id, at, verdict, click, event, rule
         FROM decisions WHERE event = ANY($3) AND event IS NOT NULL",
    )
    .bind(organizations)
    .bind(clicks)
    .bind(events.copied().collect::<Vec<_>>())
    .fetch_all(tx)
    .await?)
}

/// Corrections and payout lines of events; one of the two halves of each row is null.
async fn said_of<'a>(
    tx: &mut PgConnection,
    events: impl Iterator<Item = &'a Uuid>,
) -> Result<Vec<PgRow>, Error> {
    Ok(sqlx::query(
        "SELECT corrections.event, corrections.id, kind, corrections.amount, corrections.at, events.currency,
                NULL::uuid AS payout, NULL::text AS click, NULL::smallint AS rule, NULL::uuid AS partner
         FROM corrections JOIN events ON events.id = corrections.event WHERE corrections.event = ANY($1)
         UNION ALL
         SELECT payout_lines.event, NULL, NULL, payout_lines.amount, NULL, payouts.currency,
                payout_lines.payout, commissions.click, commissions.rule, payouts.partner
         FROM payout_lines JOIN payouts ON payouts.id = payout_lines.payout
         JOIN commissions ON commissions.id = payout_lines.commission
         WHERE payout_lines.event = ANY($1) AND payouts.status <> 'failed'",
    )
    .bind(events.copied().collect::<Vec<_>>())
    .fetch_all(tx)
    .await?)
}

fn click(row: &PgRow) -> Result<Click, Error> {
    Ok(Click {
        id: row.try_get::<&str, _>("id")?.into(),
        partner: PartnerId::from_uuid(row.try_get("partner")?),
        program: ProgramId::from_uuid(row.try_get("program")?),
        at: time(row, "ts")?,
        identified_at: time(row, "at")?,
        flagged: row.try_get("flagged")?,
        suspicion: maybe_word(row, "suspicion")?,
    })
}

fn conversion(row: &PgRow) -> Result<Conversion, Error> {
    let metadata: Option<&str> = row.try_get("metadata")?;
    let metadata =
        metadata.map(serde_json::from_str).transpose().map_err(|error| stored("metadata", error))?;
    Ok(Conversion {
        id: ConversionId::from_uuid(row.try_get("id")?),
        kind: row.try_get::<&str, _>("type")?.into(),
        value: row.try_get("value")?,
        currency: word(row, "currency")?,
        metadata: metadata.unwrap_or_default(),
        at: time(row, "ts")?,
        received_at: time(row, "received_at")?,
    })
}

fn commission_key(row: &PgRow, conversion: ConversionId) -> Result<CommissionKey, Error> {
    let rule: i16 = row.try_get("rule")?;
    Ok(CommissionKey {
        conversion,
        click: row.try_get::<&str, _>("click")?.into(),
        rule: u8::try_from(rule).map_err(|error| stored("rule", error))?,
    })
}

fn decision(row: &PgRow) -> Result<Decision, Error> {
    let event: Option<Uuid> = row.try_get("event")?;
    let key = event.map(|event| commission_key(row, ConversionId::from_uuid(event))).transpose()?;
    let click = || Ok::<ClickId, Error>(row.try_get::<&str, _>("click")?.into());
    let name: &str = row.try_get("verdict")?;
    let verdict = match (name, key) {
        ("flag", None) => Verdict::FlagClick(click()?),
        ("clear", None) => Verdict::ClearClick(click()?),
        ("approve", Some(key)) => Verdict::Approve(key),
        ("mature", Some(key)) => Verdict::Mature(key),
        ("reverse", Some(key)) => Verdict::Reverse(key),
        ("hold", Some(key)) => Verdict::Hold(key),
        ("release", Some(key)) => Verdict::Release(key),
        (other, _) => return Err(stored("a decision", other)),
    };
    Ok(Decision { id: row.try_get("id")?, at: time(row, "at")?, verdict })
}

fn correction(row: &PgRow) -> Result<Correction, Error> {
    let currency: Currency = word(row, "currency")?;
    let money = || {
        let minor: i64 = row.try_get("amount")?;
        Money::try_from_minor(minor, currency).map_err(|error| stored("a correction", error))
    };
    let kind: &str = row.try_get("kind")?;
    let change = match kind {
        "value" => Change::Value(money()?),
        "refund" => Change::Refund(money()?),
        "void" => Change::Void,
        "restore" => Change::Restore,
        other => return Err(stored("a correction", other)),
    };
    Ok(Correction {
        id: row.try_get("id")?,
        conversion: ConversionId::from_uuid(row.try_get("event")?),
        at: time(row, "at")?,
        change,
    })
}

fn payout_line(row: &PgRow, payout: Uuid) -> Result<PayoutLine, Error> {
    Ok(PayoutLine {
        payout: PayoutId::from_uuid(payout),
        commission: commission_key(row, ConversionId::from_uuid(row.try_get("event")?))?,
        partner: PartnerId::from_uuid(row.try_get("partner")?),
        minor: row.try_get("amount")?,
        currency: word(row, "currency")?,
    })
}

/// What is new of an event, beside what the domain reads.
#[derive(Clone, Debug)]
pub(crate) struct NewEvent {
    pub(crate) customer: Customer,
    pub(crate) conversion: Conversion,
    pub(crate) user_id: String,
    pub(crate) metadata: String,
    pub(crate) external_event_id: Option<String>,
    /// What a repeat is recognized by.
    pub(crate) key: Option<Uuid>,
}

/// The events that have these keys already, with their first answers; there may be others of other organizations.
pub(crate) async fn known_events(
    tx: &mut PgConnection,
    keys: &[(OrganizationId, Uuid)],
) -> Result<HashMap<(OrganizationId, Uuid), Vec<u8>>, Error> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<Uuid> = keys.iter().map(|(_, key)| *key).collect();
    let found: Vec<(Uuid, Uuid, Vec<u8>)> = sqlx::query_as(
        "SELECT organization, key, answer FROM events WHERE key = ANY($1) AND key IS NOT NULL",
    )
    .bind(keys)
    .fetch_all(tx)
    .await?;
    Ok(found.into_iter().map(|(org, key, answer)| ((OrganizationId::from_uuid(org), key), answer)).collect())
}

/// How an event stands when it is stored first.
#[derive(Clone, Debug)]
pub(crate) struct FirstStanding {
    pub(crate) answer: Vec<u8>,
    pub(crate) status: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) model: Option<&'static str>,
    pub(crate) generation: i32,
}

/// Stores new events.
pub(crate) async fn insert_events(
    tx: &mut PgConnection,
    events: &[(&NewEvent, FirstStanding)],
) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        ($event:ident, $first:ident => $value:expr) => {
            events.iter().map(|($event, $first)| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO events (id, organization, user_key, user_id, type, value, currency, metadata, ts, received_at,
                             external_event_id, key, answer, status, reason, model, generation)
         SELECT id, organization, user_key, user_id, type, value, currency, metadata::jsonb, ts, received_at,
                external_event_id, key, answer, status, reason, model, generation
         FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[],
                     $8::text[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::uuid[], $13::bytea[],
                     $14::text[], $15::text[], $16::text[], $17::integer[])
             AS given (id, organization, user_key, user_id, type, value, currency, metadata, ts, received_at,
                       external_event_id, key, answer, status, reason, model, generation)",
    )
    .bind(column!(event, _first => event.conversion.id.uuid()))
    .bind(column!(event, _first => event.customer.organization.uuid()))
    .bind(column!(event, _first => event.customer.user_key.as_str()))
    .bind(column!(event, _first => event.user_id.as_str()))
    .bind(column!(event, _first => &*event.conversion.kind))
    .bind(column!(event, _first => event.conversion.value))
    .bind(column!(event, _first => event.conversion.currency.code()))
    .bind(column!(event, _first => event.metadata.as_str()))
    .bind(column!(event, _first => event.conversion.at.to_sqlx()))
    .bind(column!(event, _first => event.conversion.received_at.to_sqlx()))
    .bind(column!(event, _first => event.external_event_id.as_deref()))
    .bind(column!(event, _first => event.key))
    .bind(column!(_event, first => first.answer.as_slice()))
    .bind(column!(_event, first => first.status))
    .bind(column!(_event, first => first.reason))
    .bind(column!(_event, first => first.model))
    .bind(column!(_event, first => first.generation))
    .execute(tx)
    .await?;
    Ok(())
}

/// A click that is tied to a customer, beside what the domain reads.
#[derive(Clone, Debug)]
pub(crate) struct Stitch {
    pub(crate) id: IdentifyId,
    /// Whether the merchant signed the user id.
    pub(crate) signed: bool,
    /// By what the same person under another address is known.
    pub(crate) person: String,
}

/// Ties clicks to customers.
pub(crate) async fn insert_identifies(
    tx: &mut PgConnection,
    identifies: &[(&Customer, &Click, &Stitch)],
) -> Result<(), Error> {
    if identifies.is_empty() {
        return Ok(());
    }
    macro_rules! column {
        (|$customer:ident, $click:ident, $stitch:ident| $value:expr) => {
            identifies.iter().map(|($customer, $click, $stitch)| $value).collect::<Vec<_>>()
        };
    }
    sqlx::query(
        "INSERT INTO identifies (organization, user_key, click, id, at, suspicion, signed, person, address)
         SELECT given.*, clicks.ip_hash
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::timestamptz[], $6::text[], $7::boolean[],
                     $8::text[]) AS given (organization, user_key, click, id, at, suspicion, signed, person)
         JOIN clicks ON clicks.id = given.click",
    )
    .bind(column!(|customer, _click, _stitch| customer.organization.uuid()))
    .bind(column!(|customer, _click, _stitch| customer.user_key.as_str()))
    .bind(column!(|_customer, click, _stitch| &*click.id))
    .bind(column!(|_customer, _click, stitch| stitch.id.uuid()))
    .bind(column!(|_customer, click, _stitch| click.identified_at.to_sqlx()))
    .bind(column!(|_customer, click, _stitch| click.suspicion.map(Suspicion::name)))
    .bind(column!(|_customer, _click, stitch| stitch.signed))
    .bind(column!(|_customer, _click, stitch| stitch.person.as_str()))
    .execute(tx)
    .await?;
    Ok(())
}

/// A correction as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct NewCorrection {
    pub(crate) customer: Customer,
    pub(crate) correction: Correction,
    /// What a repeat is recognized by.
    pub(crate) key: String,
    pub(crate) reason: String,
    pub(crate) actor: String,
}

/// Whether an event has a correction with this key.
pub(crate) async fn is_corrected(
    tx: &mut PgConnection,
    organization: OrganizationId,
    event: ConversionId,
    key: &str,
) -> Result<bool, Error> {
    Ok(sqlx::query_scalar(
        "SELECT EXISTS (SELECT FROM corrections WHERE event = $2 AND key = $3 AND organization = $1)",
    )
    .bind(organization.uuid())
    .bind(event.uuid())
    .bind(key)
    .fetch_one(tx)
    .await?)
}

/// Stores a correction.
pub(crate) async fn insert_correction(
    tx: &mut PgConnection,
    new: &NewCorrection,
    now: Timestamp,
) -> Result<(), Error> {
    let (kind, amount) = match new.correction.change {
        Change::Value(money) => ("value", Some(money.minor())),
        Change::Refund(money) => ("refund", Some(money.minor())),
        Change::Void => ("void", None),
        Change::Restore => ("restore", None),
    };
    sqlx::query(
        "INSERT INTO corrections (id, organization, user_key, event, key, kind, amount, reason, actor, at, recorded_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(new.correction.id)
    .bind(new.customer.organization.uuid())
    .bind(&new.customer.user_key)
    .bind(new.correction.conversion.uuid())
    .bind(&new.key)
    .bind(kind)
    .bind(amount)
    .bind(&new.reason)
    .bind(&new.actor)
    .bind(new.correction.at.to_sqlx())
    .bind(now.to_sqlx())
    .execute(tx)
    .await?;
    Ok(())
}

/// A decision as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct NewDecision {
    pub(crate) organization: OrganizationId,
    pub(crate) decision: Decision,
    pub(crate) note: String,
    pub(crate) actor: String,
}

/// Stores decisions.
pub(crate) async fn insert_decisions(tx: &mut PgConnection, new: &[NewDecision]) -> Result<(), Error> {
    if new.is_empty() {
        return Ok(());
    }
    let named: Vec<_> = new.iter().map(|new| named(&new.decision.verdict)).collect();
    sqlx::query(
        "INSERT INTO decisions (id, organization, verdict, click, event, rule, note, actor, at)
         SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::smallint[],
                              $7::text[], $8::text[], $9::timestamptz[])",
    )
    .bind(new.iter().map(|new| new.decision.id).collect::<Vec<_>>())
    .bind(new.iter().map(|new| new.organization.uuid()).collect::<Vec<_>>())
    .bind(named.iter().map(|named| named.0).collect::<Vec<_>>())
    .bind(named.iter().map(|named| &**named.1).collect::<Vec<_>>())
    .bind(named.iter().map(|named| named.2.map(ConversionId::uuid)).collect::<Vec<_>>())
    .bind(named.iter().map(|named| named.3.map(i16::from)).collect::<Vec<_>>())
    .bind(new.iter().map(|new| new.note.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|new| new.actor.as_str()).collect::<Vec<_>>())
    .bind(new.iter().map(|new| new.decision.at.to_sqlx()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// What a verdict is called, and what it is about.
pub(crate) fn named(verdict: &Verdict) -> (&'static str, &ClickId, Option<ConversionId>, Option<u8>) {
    let of = |name, key: &'_ CommissionKey| (name, Some(key.conversion), Some(key.rule));
    let (click, (name, event, rule)) = match verdict {
        Verdict::FlagClick(click) => (click, ("flag", None, None)),
        Verdict::ClearClick(click) => (click, ("clear", None, None)),
        Verdict::Approve(key) => (&key.click, of("approve", key)),
        Verdict::Mature(key) => (&key.click, of("mature", key)),
        Verdict::Reverse(key) => (&key.click, of("reverse", key)),
        Verdict::Hold(key) => (&key.click, of("hold", key)),
        Verdict::Release(key) => (&key.click, of("release", key)),
    };
    (name, click, event, rule)
}
