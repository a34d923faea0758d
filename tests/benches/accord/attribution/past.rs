//! A past that is laid out: every row as the room writes it when clicks, identifies and events come one after the other.

use std::{
    fmt::{Arguments, Write},
    ops::Range,
};

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use model::{
    AttributionId, Clock, CommissionId, ConversionId, IdentifyId, LedgerEntryId, PartnerId, ProgramId,
    SystemClock,
};
use prost::Message;
use proto::attribution::{RecordedEvent, Touch, Weight};
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

use super::{HOLD_DAYS, Shop};

/// So many clicks bring a customer, each on a day of its own: one partner's, and then two of another's.
const CLICKS: usize = 3;
/// Rows that are sent at once.
const CHUNK: usize = 10_000;
/// A fifth of it is the commission.
const VALUE: i64 = 450_000;
const KIND: &str = "opportunity_won";
const MODEL: &str = "last_click";

const CLICK: &str = "clicks (id, organization, link_key, partner, program, ts, recorded_at, landing_url, ip_hash, user_agent, referer, flagged)";
const IDENTIFY: &str =
    "identifies (organization, user_key, click, id, at, suspicion, signed, person, address)";
const EVENT: &str = "events (id, organization, user_key, user_id, type, value, currency, metadata, ts, received_at, external_event_id, key, answer, \
     status, reason, model, generation)";
const ATTRIBUTION: &str = "attributions (organization, event, generation, model, ts, id, click, partner, program, numerator, denominator, place, \
     opened_at)";
const COMMISSION: &str = "commissions (id, organization, event, click, rule, attribution, partner, program, terms, currency, due, paid, status, \
     reason, held, accrued_at, mature_at, hold_days, approved_at, paid_at, payout, suspicion)";
const ENTRY: &str = "entries (id, organization, kind, commission, payout, partner, currency, commission_expense, cash, accrued, payable, reason, at)";

/// Rows of one table, as COPY reads them: with `\N` where there is nothing.
struct Rows {
    table: &'static str,
    text: String,
}

impl Rows {
    const fn of(table: &'static str) -> Self {
        Self { table, text: String::new() }
    }

    fn add(&mut self, row: Arguments<'_>) {
        // A string takes everything.
        let _written = writeln!(self.text, "{row}");
    }

    async fn send(self, pool: &PgPool) -> Result<()> {
        let mut connection = pool.acquire().await?;
        let mut copy =
            connection.copy_in_raw(&format!("COPY {} FROM STDIN (DELIMITER '|')", self.table)).await?;
        copy.send(self.text.as_bytes()).await?;
        copy.finish().await.with_context(|| format!("lay out {}", self.table))?;
        Ok(())
    }
}

/// What is laid out.
pub(super) struct Past {
    pool: PgPool,
    organization: Uuid,
    program: ProgramId,
    /// The links with their partners.
    links: Vec<(String, PartnerId)>,
    /// When the last clicks came; the events came after them.
    at: Timestamp,
    /// The last click of each customer.
    last: Vec<String>,
}

impl Past {
    /// Lays out customers with their clicks and all their events.
    pub(super) async fn lay(shop: &Shop, url: &str, customers: usize, events: usize) -> Result<()> {
        let pool: PgPool = chassis::pool(url, attribution::SCHEMA, 2).await?;
        let program: ProgramId = shop.program.parse()?;
        let organization = sqlx::query_scalar("SELECT organization FROM programs WHERE id = $1");
        let organization = organization.bind(program.uuid()).fetch_one(&pool).await?;
        let links = sqlx::query_as("SELECT key, partner FROM links WHERE program = $1 ORDER BY key");
        let links: Vec<(String, Uuid)> = links.bind(program.uuid()).fetch_all(&pool).await?;
        let links = links.into_iter().map(|(key, partner)| (key, PartnerId::from_uuid(partner))).collect();
        let at = micros(SystemClock.now())?;
        let mut past = Self { pool, organization, program, links, at, last: Vec::new() };
        for click in 0..CLICKS {
            past.last = Vec::with_capacity(customers);
            for first in (0..customers).step_by(CHUNK) {
                past.lay_clicks(click, first..customers.min(first + CHUNK)).await?;
            }
        }
        for first in (0..events).step_by(CHUNK) {
            past.lay_events(first..events.min(first + CHUNK)).await?;
        }
        // As the servers do by themselves while a past passes.
        for chore in ["VACUUM ANALYZE", "CHECKPOINT"] {
            sqlx::query(chore).execute(&past.pool).await?;
        }
        past.pool.close().await;
        Ok(())
    }

    /// Whose link a customer clicks on: of one half of the partners first, then of the other.
    fn link(&self, click: usize, customer: usize) -> (&str, PartnerId) {
        let half = self.links.len() / 2;
        let (key, partner) = &self.links[customer % half + if click == 0 { half } else { 0 }];
        (key, *partner)
    }

    async fn lay_clicks(&mut self, click: usize, customers: Range<usize>) -> Result<()> {
        let days = i64::try_from(CLICKS - 1 - click)?;
        let ts = self.at - SignedDuration::from_hours(24 * days);
        let (mut clicks, mut identifies) = (Rows::of(CLICK), Rows::of(IDENTIFY));
        for customer in customers {
            let (link, partner) = self.link(click, customer);
            let (organization, program, partner) = (self.organization, self.program.uuid(), partner.uuid());
            let id = AttributionId::generate(ts).uuid().simple().to_string();
            let (user, stitch) = (user(customer), IdentifyId::generate(ts).uuid());
            clicks.add(format_args!("{id}|{organization}|{link}|{partner}|{program}|{ts}|{ts}|||||false"));
            identifies.add(format_args!(r"{organization}|{user}|{id}|{stitch}|{ts}|\N|false|{user}|"));
            self.last.push(id);
        }
        clicks.send(&self.pool).await?;
        identifies.send(&self.pool).await
    }

    async fn lay_events(&self, numbers: Range<usize>) -> Result<()> {
        let [mut events, mut touches, mut commissions, mut entries] =
            [EVENT, ATTRIBUTION, COMMISSION, ENTRY].map(Rows::of);
        for number in numbers {
            let customer = number % self.last.len();
            let (user, click) = (user(customer), &self.last[customer]);
            let (_, partner) = self.link(CLICKS - 1, customer);
            let ts = self.at + SignedDuration::from_micros(i64::try_from(number)? + 1);
            let event = ConversionId::generate(ts);
            let (touch, commission) = (AttributionId::generate(ts), CommissionId::generate(ts));
            let answer = answer(event, touch, commission, partner, click);
            let (organization, program, partner) = (self.organization, self.program.uuid(), partner.uuid());
            let (event, touch, commission) = (event.uuid(), touch.uuid(), commission.uuid());
            let deal = format!("D-{number}");
            let (key, due) = (key(&deal), VALUE / 5);
            let mature = ts + SignedDuration::from_hours(24 * i64::from(HOLD_DAYS));
            let entry = LedgerEntryId::generate(ts).uuid();
            events.add(format_args!(
                r#"{event}|{organization}|{user}|{user}|{KIND}|{VALUE}|USD|{{"deal_id": "{deal}", "stage": "closedwon"}}|{ts}|{ts}|\N|{key}|{answer}|attributed|\N|{MODEL}|1"#
            ));
            touches.add(format_args!(
                "{organization}|{event}|1|{MODEL}|{ts}|{touch}|{click}|{partner}|{program}|1|1|0|{ts}"
            ));
            commissions.add(format_args!(
                r"{commission}|{organization}|{event}|{click}|0|{touch}|{partner}|{program}|1|USD|{due}|0|accrued|attributed|false|{ts}|{mature}|{HOLD_DAYS}|\N|\N|\N|\N"
            ));
            entries.add(format_args!(
                r"{entry}|{organization}|accrual|{commission}|\N|{partner}|USD|-{due}|0|{due}|0|attributed|{ts}"
            ));
        }
        for rows in [events, touches, commissions, entries] {
            rows.send(&self.pool).await?;
        }
        Ok(())
    }
}

fn user(customer: usize) -> String {
    format!("user-{customer}")
}

/// To the microsecond, as the database keeps it.
fn micros(at: Timestamp) -> Result<Timestamp> {
    Ok(at.round(jiff::Unit::Microsecond)?)
}

/// What a repeat of a deal's event is recognized by.
fn key(deal: &str) -> Uuid {
    let mut hash = Sha256::new();
    for part in ["record", "deal_id", deal, KIND] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// The first answer of an event, as COPY reads bytes.
fn answer(
    event: ConversionId,
    attribution: AttributionId,
    commission: CommissionId,
    partner: PartnerId,
    click: &str,
) -> String {
    let touch = Touch {
        click_id: click.to_owned(),
        partner_id: partner.to_string(),
        weight: Some(Weight { numerator: 1, denominator: 1 }),
        attribution_id: attribution.to_string(),
        commission_id: commission.to_string(),
    };
    let answer = RecordedEvent {
        event_id: event.to_string(),
        status: "attributed".to_owned(),
        model: MODEL.to_owned(),
        touches: vec![touch],
    };
    let mut text = r"\\x".to_owned();
    for byte in answer.encode_to_vec() {
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap_or_default();
        text.extend([digit(byte >> 4), digit(byte & 15)]);
    }
    text
}
