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

/// Reads all facts of these customers, in their order, but for what payouts took.
pub(crate) async fn load(
    tx: &mut PgConnection,
    customers: &[&Customer],
    with_metadata: bool,
) -> Result<Vec<Facts>, Error> {
    Ok(read(tx, &Wanted { customers, with_metadata, ..Wanted::default() }).await?.facts)
}

/// What is asked about facts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted<'a> {
    pub(crate) customers: &'a [&'a Customer],
    /// Whether metadata of events are read.
    pub(crate) with_metadata: bool,
    /// Whose catalogs' versions are wanted.
    pub(crate) organizations: &'a [OrganizationId],
    /// By which events are recognized.
    pub(crate) keys: &'a [(OrganizationId, Uuid)],
    /// Clicks that may become a customer's, given by its place from 1: what was decided about them before is a fact too.
    pub(crate) coming: &'a [(i32, &'a str)],
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// Of the customers, in their order, but for what payouts took: [`super::standing::load`] adds that.
    pub(crate) facts: Vec<Facts>,
    /// The versions of catalogs; one that nobody changed yet has none.
    pub(crate) versions: HashMap<OrganizationId, i64>,
    /// First answers of the events that have these keys already; there may be others of other organizations.
    pub(crate) first: HashMap<(OrganizationId, Uuid), Vec<u8>>,
}

/// Reads it.
pub(crate) async fn read(tx: &mut PgConnection, wanted: &Wanted<'_>) -> Result<Found, Error> {
    let mut all = vec![Facts::default(); wanted.customers.len()];
    let (mut versions, mut first) = (HashMap::new(), HashMap::new());
    let mut events: HashMap<Uuid, usize> = HashMap::new();
    for row in rows(tx, wanted).await? {
        let place: i64 = row.try_get("place")?;
        let place = usize::try_from(place - 1).unwrap_or(usize::MAX);
        match row.try_get::<&str, _>("what")? {
            "click" => all[place].clicks.push(click(&row)?),
            "event" => {
                let event: Uuid = row.try_get("id")?;
                events.insert(event, place);
                all[place].conversions.push(conversion(&row, event)?);
            }
            "decision" => all[place].decisions.push(decision(&row)?),
            what => {
                let organization = OrganizationId::from_uuid(row.try_get("organization")?);
                if what == "catalog" {
                    versions.insert(organization, row.try_get("value")?);
                } else {
                    first.insert((organization, row.try_get("id")?), row.try_get("answer")?);
                }
            }
        }
    }
    if !events.is_empty() {
        for row in said_of(tx, events.keys()).await? {
            let Some(&place) = events.get(&row.try_get::<Uuid, _>("event")?) else { continue };
            match row.try_get::<Option<&str>, _>("verdict")? {
                Some(_) => all[place].decisions.push(decision(&row)?),
                None => all[place].corrections.push(correction(&row)?),
            }
        }
    }
    Ok(Found { facts: all, versions, first })
}

/// In one statement, since each costs as much as some of its rows: clicks of the customers, their events, decisions about
/// the clicks and about those that may become theirs, versions of catalogs, known events. What a row does not say is null.
///
/// Everything is looked up row by row, which OFFSET 0 makes sure of. The statement is planned once for a connection, maybe
/// while tables are small, and then another plan would read all of them: with each gathering, however large they became.
async fn rows(tx: &mut PgConnection, wanted: &Wanted<'_>) -> Result<Vec<PgRow>, Error> {
    Ok(sqlx::query(
        "SELECT 'click' AS what, place, clicks.id AS click, NULL::uuid AS id, partner, program, ts, identifies.at, flagged,
                suspicion, NULL::text AS type, NULL::bigint AS value, NULL::text AS currency, NULL::text AS metadata,
                NULL::text AS verdict, NULL::uuid AS event, NULL::smallint AS rule, NULL::uuid AS organization,
                NULL::bytea AS answer, guarded, instead_of
         FROM UNNEST($1::uuid[], $2::text[]) WITH ORDINALITY AS given (organization, user_key, place)
         CROSS JOIN LATERAL (
             SELECT * FROM identifies WHERE organization = given.organization AND user_key = given.user_key OFFSET 0)
             AS identifies
         CROSS JOIN LATERAL (SELECT * FROM clicks WHERE id = identifies.click OFFSET 0) AS clicks
         UNION ALL
         SELECT 'event', place, NULL, id, NULL, NULL, ts, received_at, NULL, NULL, type, value, currency,
                CASE WHEN $3 OR metadata ? 'record_id' THEN metadata::text END, NULL, NULL, NULL, NULL, NULL, NULL, NULL
         FROM UNNEST($1::uuid[], $2::text[]) WITH ORDINALITY AS given (organization, user_key, place)
         CROSS JOIN LATERAL (
             SELECT * FROM events WHERE organization = given.organization AND user_key = given.user_key OFFSET 0)
             AS events
         UNION ALL
         SELECT 'decision', place, decisions.click, decisions.id, NULL, NULL, NULL, decisions.at, NULL, NULL, NULL, NULL,
                NULL, NULL, verdict, NULL, NULL, NULL, NULL, NULL, NULL
         FROM UNNEST($1::uuid[], $2::text[]) WITH ORDINALITY AS given (organization, user_key, place)
         CROSS JOIN LATERAL (
             SELECT * FROM identifies WHERE organization = given.organization AND user_key = given.user_key OFFSET 0)
             AS identifies
         CROSS JOIN LATERAL (
             SELECT * FROM decisions
             WHERE organization = given.organization AND click = identifies.click AND event IS NULL OFFSET 0) AS decisions
         UNION ALL
         SELECT 'decision', given.place, given.click, decisions.id, NULL, NULL, NULL, decisions.at, NULL, NULL, NULL, NULL,
                NULL, NULL, verdict, NULL, NULL, NULL, NULL, NULL, NULL
         FROM UNNEST($6::int[], $7::text[]) AS given (place, click)
         CROSS JOIN LATERAL (
             SELECT * FROM decisions
             WHERE organization = ($1::uuid[])[given.place] AND click = given.click AND event IS NULL OFFSET 0) AS decisions
         WHERE NOT EXISTS (
             SELECT FROM identifies
             WHERE organization = ($1::uuid[])[given.place] AND user_key = ($2::text[])[given.place]
               AND click = given.click)
         UNION ALL
         SELECT 'catalog', 0, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, version, NULL, NULL, NULL, NULL,
                NULL, organization, NULL, NULL, NULL
         FROM catalogs WHERE organization = ANY($4)
         UNION ALL
         SELECT 'known', 0, NULL, key, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                organization, answer, NULL, NULL
         FROM events WHERE key = ANY($5) AND key IS NOT NULL",
    )
    .bind(wanted.customers.iter().map(|customer| customer.organization.uuid()).collect::<Vec<_>>())
    .bind(wanted.customers.iter().map(|customer| customer.user_key.as_str()).collect::<Vec<_>>())
    .bind(wanted.with_metadata)
    .bind(wanted.organizations.iter().map(|id| id.uuid()).collect::<Vec<_>>())
    .bind(wanted.keys.iter().map(|(_, key)| *key).collect::<Vec<_>>())
    .bind(wanted.coming.iter().map(|(place, _)| *place).collect::<Vec<_>>())
    .bind(wanted.coming.iter().map(|(_, click)| *click).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?)
}

/// Decisions about what events pay, and corrections of events: those have no verdict.
async fn said_of<'a>(
    tx: &mut PgConnection,
    events: impl Iterator<Item = &'a Uuid>,
) -> Result<Vec<PgRow>, Error> {
    Ok(sqlx::query(
        "SELECT id, at, event, verdict, click, rule, NULL::text AS kind, NULL::bigint AS amount, NULL::text AS currency
         FROM decisions WHERE event = ANY($1) AND event IS NOT NULL
         UNION ALL
         SELECT corrections.id, corrections.at, corrections.event, NULL, NULL, NULL, kind, amount, events.currency
         FROM corrections
         CROSS JOIN LATERAL (SELECT * FROM events WHERE id = corrections.event OFFSET 0) AS events
         WHERE corrections.event = ANY($1)",
    )
    .bind(events.copied().collect::<Vec<_>>())
    .fetch_all(tx)
    .await?)
}

/// Reads what payouts took for these events.
pub(super) async fn payout_lines(tx: &mut PgConnection, events: &[Uuid]) -> Result<Vec<PayoutLine>, Error> {
    let rows = sqlx::query(
        "SELECT payout_lines.event, payout_lines.amount, payouts.currency, payout_lines.payout, commissions.click,
                commissions.rule, payouts.partner
         FROM payout_lines
         CROSS JOIN LATERAL (SELECT * FROM payouts WHERE id = payout_lines.payout OFFSET 0) AS payouts
         CROSS JOIN LATERAL (SELECT * FROM commissions WHERE id = payout_lines.commission OFFSET 0) AS commissions
         WHERE payout_lines.event = ANY($1) AND payouts.status <> 'failed'",
    )
    .bind(events)
    .fetch_all(tx)
    .await?;
    rows.iter().map(payout_line).collect()
}

fn click(row: &PgRow) -> Result<Click, Error> {
    Ok(Click {
        id: row.try_get::<&str, _>("click")?.into(),
        partner: PartnerId::from_uuid(row.try_get("partner")?),
        program: ProgramId::from_uuid(row.try_get("program")?),
        at: time(row, "ts")?,
        identified_at: time(row, "at")?,
        flagged: row.try_get("flagged")?,
        suspicion: maybe_word(row, "suspicion")?,
        guarded: row.try_get("guarded")?,
        instead_of: row.try_get::<Option<&str>, _>("instead_of")?.map(Into::into),
    })
}

fn conversion(row: &PgRow, id: Uuid) -> Result<Conversion, Error> {
    let metadata: Option<&str> = row.try_get("metadata")?;
    let metadata =
        metadata.map(serde_json::from_str).transpose().map_err(|error| stored("metadata", error))?;
    Ok(Conversion {
        id: ConversionId::from_uuid(id),
        kind: row.try_get::<&str, _>("type")?.into(),
        value: row.try_get("value")?,
        currency: word(row, "currency")?,
        metadata: metadata.unwrap_or_default(),
        at: time(row, "ts")?,
        received_at: time(row, "at")?,
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

fn payout_line(row: &PgRow) -> Result<PayoutLine, Error> {
    Ok(PayoutLine {
        payout: PayoutId::from_uuid(row.try_get("payout")?),
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

/// How an event stands when it is stored first.
#[derive(Clone, Debug)]
pub(crate) struct FirstStanding {
    pub(crate) answer: Vec<u8>,
    pub(crate) status: &'static str,
    pub(crate) reason: Option<&'static str>,
    pub(crate) model: Option<&'static str>,
    pub(crate) generation: i32,
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
        "INSERT INTO identifies (organization, user_key, click, id, at, suspicion, signed, person, guarded, instead_of,
                                 address)
         SELECT given.*, clicks.ip_hash
         FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::timestamptz[], $6::text[], $7::boolean[],
                     $8::text[], $9::boolean[], $10::text[])
             AS given (organization, user_key, click, id, at, suspicion, signed, person, guarded, instead_of)
         CROSS JOIN LATERAL (SELECT * FROM clicks WHERE id = given.click OFFSET 0) AS clicks",
    )
    .bind(column!(|customer, _click, _stitch| customer.organization.uuid()))
    .bind(column!(|customer, _click, _stitch| customer.user_key.as_str()))
    .bind(column!(|_customer, click, _stitch| &*click.id))
    .bind(column!(|_customer, _click, stitch| stitch.id.uuid()))
    .bind(column!(|_customer, click, _stitch| click.identified_at.to_sqlx()))
    .bind(column!(|_customer, click, _stitch| click.suspicion.map(Suspicion::name)))
    .bind(column!(|_customer, _click, stitch| stitch.signed))
    .bind(column!(|_customer, _click, stitch| stitch.person.as_str()))
    .bind(column!(|_customer, click, _stitch| click.guarded))
    .bind(column!(|_customer, click, _stitch| click.instead_of.as_deref()))
    .execute(tx)
    .await?;
    Ok(())
}

/// A correction as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct NewCorrection {
    pub(crate) customer: Customer,
    pub(crate) correction: Correction,
    /// Whether its sender says when it happened: then the order in which such ones come does not count.
    pub(crate) is_dated: bool,
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
