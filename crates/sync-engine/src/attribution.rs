//! Attributions in: what events are attributed to is kept, and written to the contact and the deal that they concern as an
//! edit of the service `attribution`. A contact that comes later finds what is kept.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    sync::Arc,
    time::Duration,
};

use bus::{ConsumerConfig, Delivery, Message, subject};
use model::{
    Actor, AttributedTouch, AttributionChanged, CanonicalObject, OrganizationId, RecordChanged, RecordId,
    Value, attribution_fields, kind,
};
use rust_decimal::Decimal;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    consumer::Patience,
    domain::{
        cell::Record,
        matching,
        sync::{self, Reason},
    },
    engine::Engine,
    store::{
        self,
        attributed::{Attributed, Concerned, Source},
    },
    unit::{Cause, Scope, Unit},
};

const CONSUMER: &str = "sync-engine-attribution";
/// Whose edits they are.
const ACTOR: Actor = Actor::Service("attribution");
/// How often to look for a sweep.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Events of one step of a sweep.
const CHUNK: i64 = 200;
/// Characters of a name: vendors take so many in a text.
const LONGEST_NAME: usize = 255;
/// Digits of a weight.
const DIGITS: u32 = 4;

/// Consumes until shutdown. A bus that fails is opened again.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = consume(&engine).await {
                tracing::error!(%error, "the consumer of attributions stopped and is opened again");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    shutdown.run_until_cancelled(work).await;
}

async fn consume(engine: &Engine) -> Result<(), Error> {
    let config = ConsumerConfig::new(subject::EVENTS, CONSUMER).filtered([
        "attribution.*.created",
        "attribution.*.replaced",
        "record.*.contact",
        "record.*.deal",
    ]);
    let mut consumer = engine.bus.consumer(config).await?;
    loop {
        let mut deliveries = consumer.next_batch().await?;
        let organizations = deliveries.iter().map(|it| it.message.envelope.organization).collect();
        let mut patience = Patience::new();
        let writing = loop {
            match writing(engine, &organizations).await {
                Err(error) if error.passes() => patience.wait(&error, &deliveries).await?,
                found => break found?,
            }
        };
        deliveries.reverse();
        while let Some(delivery) = deliveries.pop() {
            let is_told = writing.contains(&delivery.message.envelope.organization);
            let done = loop {
                match process(engine, &delivery.message, is_told).await {
                    Err(error) if error.passes() => patience.wait(&error, &deliveries).await?,
                    done => break done,
                }
            };
            answer(delivery, done).await?;
        }
    }
}

async fn writing(
    engine: &Engine,
    organizations: &BTreeSet<OrganizationId>,
) -> Result<HashSet<OrganizationId>, Error> {
    let mut db = engine.pool.acquire().await?;
    store::attributed::writing(&mut db, organizations).await
}

async fn answer(delivery: Delivery, done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Ok(()) => delivery.ack().await?,
        Err(Error::Bus(error)) if error.kind() == bus::ErrorKind::Undecodable => {
            delivery.dead_letter("event_undecodable", &error.to_string()).await?;
        }
        Err(error) => {
            tracing::warn!(%error, event = %delivery.message.envelope.id, "an attribution could not be written");
            delivery.fail("attribution_failed").await?;
        }
    }
    Ok(())
}

/// `is_told`: the organization had a CRM told of attributions a moment ago. Who begins later has all looked at.
async fn process(engine: &Engine, message: &Message, is_told: bool) -> Result<(), Error> {
    let (organization, id) = (message.envelope.organization, message.envelope.id.as_str());
    match message.envelope.kind.as_str() {
        kind::ATTRIBUTION_CREATED | kind::ATTRIBUTION_REPLACED => {
            let changed: AttributionChanged = message.decode()?;
            let attributed = attributed(changed);
            let concerned = Concerned {
                event: attributed.event.uuid(),
                person: attributed.person.clone(),
                source: attributed.source.clone(),
            };
            let mut db = engine.pool.acquire().await?;
            store::attributed::put(&mut db, organization, &attributed).await?;
            let records = records(&mut db, organization, &[concerned]).await?;
            drop(db);
            tell(engine, organization, records, id).await
        }
        kind::RECORD_CREATED | kind::RECORD_CHANGED if is_told => {
            let changed: RecordChanged = message.decode()?;
            // What is told to a contact depends on its address; what is told to a deal, on its link.
            let concerns =
                message.envelope.kind == kind::RECORD_CREATED || changed.fields.contains_key("email");
            if !concerns {
                return Ok(());
            }
            tell(engine, organization, BTreeSet::from([changed.record]), id).await
        }
        _ => Ok(()),
    }
}

/// What is kept of an attribution.
fn attributed(changed: AttributionChanged) -> Attributed {
    let told = best(&changed.touches).map(|touch| told(touch, changed.model.as_deref()));
    let person = changed.user_id.contains('@').then(|| Value::text(changed.user_id.as_str()));
    Attributed {
        event: changed.event,
        generation: changed.generation,
        person: person.and_then(|address| matching::key("email", &address)),
        source: changed.source.map(|source| Source {
            connection: source.connection,
            object: source.object,
            id: source.record,
        }),
        occurred_at: changed.occurred_at.unwrap_or(changed.at),
        told,
    }
}

/// The click with the largest share; of equal ones the last.
fn best(touches: &[AttributedTouch]) -> Option<&AttributedTouch> {
    let share = |touch: &AttributedTouch| Decimal::from(touch.weight) / Decimal::from(touch.of.max(1));
    touches.iter().max_by_key(|touch| share(touch))
}

fn told(touch: &AttributedTouch, model: Option<&str>) -> BTreeMap<String, Value> {
    let name = |name: &str, id: String| {
        if name.is_empty() { id } else { name.chars().take(LONGEST_NAME).collect() }
    };
    let weight = Decimal::from(touch.weight) / Decimal::from(touch.of.max(1));
    let values = [
        Value::text(name(&touch.partner_name, touch.partner.to_string())),
        Value::text(name(&touch.program_name, touch.program.to_string())),
        Value::text(touch.click.as_str()),
        model.map_or(Value::Null, Value::text),
        Value::Number(weight.round_dp(DIGITS).normalize()),
    ];
    attribution_fields().into_iter().map(|field| field.name).zip(values).collect()
}

/// The contacts and deals that these events concern.
async fn records(
    db: &mut PgConnection,
    organization: OrganizationId,
    events: &[Concerned],
) -> Result<BTreeSet<RecordId>, Error> {
    let keys: Vec<String> = events.iter().filter_map(|event| event.person.clone()).collect();
    let found = store::records::by_keys(db, organization, CanonicalObject::Contact, &keys).await?;
    let mut records: BTreeSet<RecordId> = found.into_iter().map(|(_, record)| record).collect();
    for source in events.iter().filter_map(|event| event.source.as_ref()) {
        records.extend(store::attributed::linked(db, organization, source).await?);
    }
    Ok(records)
}

/// Writes to these records what they are told of their attribution, where it is not what they have.
async fn tell(
    engine: &Engine,
    organization: OrganizationId,
    records: BTreeSet<RecordId>,
    cause: &str,
) -> Result<(), Error> {
    if records.is_empty() {
        return Ok(());
    }
    let mut tx = engine.pool.begin().await?;
    if store::attributed::writing(&mut tx, &BTreeSet::from([organization])).await?.is_empty() {
        return Ok(());
    }
    let mappings = engine.mappings.load(&mut tx, &[organization]).await?;
    let scope = Scope { records: records.iter().copied().collect(), ..Scope::default() };
    let now = engine.clock.now();
    let mut unit = Unit::load(&mut tx, now, mappings, scope).await?;
    let cause = Arc::new(Cause {
        id: cause.to_owned(),
        actor: ACTOR.to_string(),
        at: now,
        taken_at: now,
        lane: None,
        vendor: None,
        connection: None,
        traceparent: None,
    });
    for id in records {
        let Some(record) = unit.record(id).filter(|record| may_be_told(record, organization)) else {
            continue;
        };
        let person = match record.object {
            CanonicalObject::Contact => matching::key("email", record.value("email")),
            _ => None,
        };
        // Read while the record is locked, so that whoever tells it last knows the most.
        let told = store::attributed::of_record(&mut tx, organization, id, person.as_deref()).await?;
        let nothing = || attribution_fields().into_iter().map(|field| (field.name, Value::Null)).collect();
        let fields = told.unwrap_or_else(nothing);
        unit.edit(id, kind::RECORD_CHANGED, &cause, |record| {
            sync::edit(record, fields, now, &cause.actor, Reason::Edited)
        });
    }
    unit.flush(&mut tx).await?;
    tx.commit().await?;
    engine.waker.wake();
    Ok(())
}

fn may_be_told(record: &Record, organization: OrganizationId) -> bool {
    record.organization == organization
        && !record.deleted
        && record.archived_at.is_none()
        && matches!(record.object, CanonicalObject::Contact | CanonicalObject::Deal)
}

/// Sweeps until shutdown.
pub(crate) async fn sweep(engine: Arc<Engine>, shutdown: CancellationToken) {
    loop {
        match step(&engine).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "attributed records could not be looked at again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Looks at the records of some events again; false when none are left.
async fn step(engine: &Engine) -> Result<bool, Error> {
    let mut db = engine.pool.acquire().await?;
    let Some(sweep) = store::attributed::next_sweep(&mut db).await? else { return Ok(false) };
    let events = store::attributed::page(&mut db, sweep, CHUNK).await?;
    let last = events.last().map(|event| event.event);
    let records = records(&mut db, sweep.organization, &events).await?;
    drop(db);
    tell(engine, sweep.organization, records, &Uuid::now_v7().to_string()).await?;
    let mut db = engine.pool.acquire().await?;
    store::attributed::swept(&mut db, sweep, last).await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use model::{AttributionId, PartnerId, ProgramId};

    use super::*;

    fn touch(click: &str, weight: i64, of: i64) -> AttributedTouch {
        AttributedTouch {
            attribution: AttributionId::from_uuid(Uuid::nil()),
            click: click.to_owned(),
            partner: PartnerId::from_uuid(Uuid::nil()),
            program: ProgramId::from_uuid(Uuid::nil()),
            weight,
            of,
            partner_name: "Ada's blog".to_owned(),
            program_name: String::new(),
        }
    }

    #[test]
    fn the_largest_share_is_told_and_of_equal_ones_the_last() {
        let touches = [touch("a", 2, 5), touch("b", 1, 5), touch("c", 2, 5)];
        assert_eq!(best(&touches).map(|touch| touch.click.as_str()), Some("c"));
        assert_eq!(best(&touches[..2]).map(|touch| touch.click.as_str()), Some("a"));
        assert_eq!(best(&[]), None);
    }

    #[test]
    fn a_weight_is_rounded_and_a_nameless_program_is_told_by_its_id() {
        let told = told(&touch("a", 1, 3), Some("linear"));
        assert_eq!(told["attributed_weight"].to_string(), "0.3333");
        assert_eq!(told["attributed_partner"], Value::text("Ada's blog"));
        assert!(told["attributed_program"].to_string().starts_with("prog_"));
    }
}
