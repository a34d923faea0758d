//! Deal registrations in: one that is approved creates its deal, with the id that the crm room gave it, so that a repeat finds
//! it there; the deal of one that expired is told so.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bus::{ConsumerConfig, Delivery, Message, subject};
use jiff::{Timestamp, tz::TimeZone};
use model::{CanonicalObject, DealRegistrationChanged, OrganizationId, RecordId, Value, kind};
use rust_decimal::Decimal;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    consumer::Patience,
    domain::{
        cell::Record,
        sync::{self, Reason},
    },
    edits::fit,
    engine::Engine,
    mappings, store,
    unit::{Cause, Scope, Unit, non_blank},
};

const CONSUMER: &str = "sync-engine-registrations";

/// Consumes until shutdown. A bus that fails is opened again.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = consume(&engine).await {
                tracing::error!(%error, "the consumer of deal registrations stopped and is opened again");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    shutdown.run_until_cancelled(work).await;
}

async fn consume(engine: &Engine) -> Result<(), Error> {
    let config = ConsumerConfig::new(subject::EVENTS, CONSUMER)
        .filtered(["deal_registration.*.approved", "deal_registration.*.expired"]);
    let mut consumer = engine.bus.consumer(config).await?;
    loop {
        let mut deliveries = consumer.next_batch().await?;
        deliveries.reverse();
        let mut patience = Patience::new();
        while let Some(delivery) = deliveries.pop() {
            let done = loop {
                match process(engine, &delivery.message).await {
                    Err(error) if error.passes() => patience.wait(&error, &deliveries).await?,
                    Err(Error::Moved) => {}
                    done => break done,
                }
            };
            answer(delivery, done).await?;
        }
    }
}

async fn answer(delivery: Delivery, done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Ok(()) => delivery.ack().await?,
        Err(Error::Bus(error)) if error.kind() == bus::ErrorKind::Undecodable => {
            delivery.dead_letter("event_undecodable", &error.to_string()).await?;
        }
        Err(error) => {
            tracing::warn!(%error, event = %delivery.message.envelope.id, "a registered deal could not be written");
            delivery.fail("deal_registration_failed").await?;
        }
    }
    Ok(())
}

async fn process(engine: &Engine, message: &Message) -> Result<(), Error> {
    let changed: DealRegistrationChanged = message.decode()?;
    let Some(deal) = changed.deal else { return Ok(()) };
    let cause = cause(message, engine.clock.now());
    match message.envelope.kind.as_str() {
        kind::DEAL_REGISTRATION_APPROVED => {
            create(engine, message.envelope.organization, deal, fields(&changed), &cause).await
        }
        kind::DEAL_REGISTRATION_EXPIRED => expire(engine, message.envelope.organization, deal, &cause).await,
        _ => Ok(()),
    }
}

/// Who approved it, by the event that says so.
fn cause(message: &Message, now: Timestamp) -> Arc<Cause> {
    let envelope = &message.envelope;
    Arc::new(Cause {
        id: envelope.id.clone(),
        actor: envelope.actor.clone().unwrap_or_else(|| format!("service:{}", envelope.source)),
        at: now,
        taken_at: now,
        lane: None,
        vendor: None,
        connection: None,
        traceparent: envelope.traceparent.clone(),
    })
}

/// What the deal of a registration begins with.
fn fields(changed: &DealRegistrationChanged) -> BTreeMap<String, Value> {
    let reference = |id: Option<RecordId>| id.map_or(Value::Null, |id| Value::text(id.to_string()));
    let amount = changed.amount.as_deref().and_then(|amount| amount.parse::<Decimal>().ok());
    let day = |at: Timestamp| Value::Date(at.to_zoned(TimeZone::UTC).date());
    let fields = [
        ("name", Value::text(changed.deal_name.as_str())),
        ("account_name", Value::text(changed.company.as_str())),
        ("company_id", reference(changed.company_record)),
        ("partner_id", reference(changed.partner_record)),
        ("partner_role", Value::text("sourced")),
        ("amount", amount.map_or(Value::Null, Value::Number)),
        ("currency", Value::text(changed.currency.as_str())),
        ("expected_close_date", changed.expected_close.map_or(Value::Null, Value::Date)),
        ("status", Value::text("open")),
        ("registration_status", Value::text("approved")),
        ("registered_at", Value::DateTime(changed.submitted_at)),
        ("registration_expires_at", changed.expires_at.map_or(Value::Null, day)),
    ];
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

async fn create(
    engine: &Engine,
    organization: OrganizationId,
    id: RecordId,
    fields: BTreeMap<String, Value>,
    cause: &Arc<Cause>,
) -> Result<(), Error> {
    let object = CanonicalObject::Deal;
    let mut tx = engine.pool.begin().await?;
    store::records::lock_creation(&mut tx, organization, object).await?;
    let mappings = engine.mappings.load(&mut tx, &[organization]).await?;
    let scope = Scope { records: vec![id], ..Scope::default() };
    let mut unit = Unit::load(&mut tx, cause.at, mappings, scope).await?;
    if unit.record(id).is_some() {
        return Ok(());
    }
    let schema = mappings::canonical_schema(&mut tx, organization, object).await?;
    let fields = non_blank(fit(&schema, fields)?);
    let mut record = Record::new(id, organization, object, cause.at);
    let changes = sync::edit(&mut record, fields, cause.at, &cause.actor, Reason::Edited);
    unit.create(record, changes, cause);
    unit.flush(&mut tx).await?;
    tx.commit().await?;
    engine.waker.wake();
    Ok(())
}

/// Tells the deal that it is not protected any more, unless somebody wrote something else there.
async fn expire(
    engine: &Engine,
    organization: OrganizationId,
    id: RecordId,
    cause: &Arc<Cause>,
) -> Result<(), Error> {
    let mut tx = engine.pool.begin().await?;
    let mappings = engine.mappings.load(&mut tx, &[organization]).await?;
    let scope = Scope { records: vec![id], ..Scope::default() };
    let mut unit = Unit::load(&mut tx, cause.at, mappings, scope).await?;
    let stands = |record: &&Record| {
        record.organization == organization
            && !record.deleted
            && record.archived_at.is_none()
            && *record.value("registration_status") == Value::text("approved")
    };
    if unit.record(id).filter(stands).is_none() {
        return Ok(());
    }
    let fields = BTreeMap::from([("registration_status".to_owned(), Value::text("expired"))]);
    unit.edit(id, kind::RECORD_CHANGED, cause, |record| {
        sync::edit(record, fields, cause.at, &cause.actor, Reason::Edited)
    });
    unit.flush(&mut tx).await?;
    tx.commit().await?;
    engine.waker.wake();
    Ok(())
}
