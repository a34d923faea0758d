//! Facts from connectors: changes at vendors and answers to writes. A batch is one transaction: inbox, merge, state,
//! outbox; then it is acknowledged.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bus::{ConsumerConfig, Delivery, Message, subject};
use model::{
    CaptureProgress, ChangeEvent, ChangeKind, Lane, OrganizationId, RecordId, Value, VerifiedBucket,
    VerifyFinished, VerifyProgressed, WriteOutcome, Written, digest, kind,
};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::{
    Error,
    domain::{
        mapping::{Compiled, MappingState},
        matching,
        sync::{Gone, Seen},
    },
    engine::Engine,
    mappings::Mappings,
    store,
    unit::{self, Arrived, Cause, Scope, Unit, Wanted},
};

/// The durable consumer's and the inbox's name.
const CONSUMER: &str = "sync-engine";

/// How many batches are worked on at once by who is behind: one decides while another waits for the database.
const BATCHES_AT_ONCE: usize = 2;

/// How often a failed batch is tried again before its deliveries are tried one by one.
const TRIES: u32 = 3;

/// How long to wait before a failed batch is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// How often the bus is told that work on deliveries goes on, well within the time to acknowledge.
const STILL_AT_IT: Duration = Duration::from_secs(10);

/// What a connector says.
#[derive(Debug)]
pub(crate) enum Fact {
    Change(ChangeEvent),
    Written(Written),
    BackfillFinished(CaptureProgress),
    Verify(Verify),
}

/// What a comparison of both sides is told.
#[derive(Clone, Debug)]
pub(crate) enum Verify {
    Bucket(VerifiedBucket),
    Progressed(VerifyProgressed),
    Finished(VerifyFinished),
}

/// A message with the fact in it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) message: Message,
    /// Whether somebody replayed it, so that the inbox must not take it for a repeat.
    pub(crate) replayed: bool,
    pub(crate) fact: Fact,
}

/// Consumes until shutdown. A bus that fails is opened again.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        // All of the stream is for us. Naming its subjects in a filter costs: the server then looks through those of all
        // organizations for the next message, 200 us of its processor time for each with a thousand of them.
        let config = ConsumerConfig {
            max_batch: engine.config.batch,
            ..ConsumerConfig::new(subject::CHANGES, CONSUMER)
        };
        tokio::select! {
            () = shutdown.cancelled() => return,
            ended = consume(&engine, config) => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the consumer of changes stopped and is opened again");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn consume(engine: &Arc<Engine>, config: ConsumerConfig) -> Result<(), Error> {
    let most = config.max_batch;
    let mut consumer = engine.bus.consumer(config).await?;
    let mut working = JoinSet::new();
    loop {
        let deliveries = consumer.next_batch().await?;
        let behind = deliveries.len() >= most;
        if deliveries.iter().any(concludes) {
            wait_for_fewer_than(1, &mut working).await?;
        }
        if !deliveries.is_empty() {
            let span = tracing::info_span!("sync.batch", changes = deliveries.len());
            for delivery in &deliveries {
                delivery.message.envelope.link_to(&span);
            }
            let engine = Arc::clone(engine);
            working.spawn(async move { handle(&engine, deliveries).await }.instrument(span));
        }
        // Whoever is up to date gathers what comes in the meantime: fewer, larger transactions.
        wait_for_fewer_than(if behind { BATCHES_AT_ONCE } else { 1 }, &mut working).await?;
    }
}

/// Whether it says something of all that came before it, the end of a reading for one, so that all of that comes first. What
/// people did says nothing of records, and nobody waits for it.
fn concludes(delivery: &Delivery) -> bool {
    let kind = delivery.message.envelope.kind.as_str();
    !matches!(kind, kind::CHANGE | kind::WRITTEN | kind::ACTIVITY_TOLD | kind::POSTED | kind::INTERACTION)
}

async fn wait_for_fewer_than(most: usize, working: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    while working.len() >= most {
        match working.join_next().await {
            Some(Ok(handled)) => handled?,
            Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
            None => break,
        }
    }
    Ok(())
}

async fn handle(engine: &Engine, deliveries: Vec<Delivery>) -> Result<(), Error> {
    let mut kept = Vec::with_capacity(deliveries.len());
    let mut arrivals = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        match read(&delivery.message) {
            Ok(Some(fact)) => {
                let (message, replayed) = (delivery.message.clone(), delivery.replayed);
                arrivals.push(Arrival { message, replayed, fact });
                kept.push(delivery);
            }
            Ok(None) => delivery.ack().await?,
            Err(error) => delivery.dead_letter("change_undecodable", &error.to_string()).await?,
        }
    }
    let deliveries = kept;
    let (mut tries, mut patience) = (0, Patience::new());
    while let Err(error) = process(engine, &arrivals).await {
        if error.passes() {
            patience.wait(&error, &deliveries).await?;
            continue;
        }
        tries += 1;
        if tries == TRIES {
            tracing::warn!(%error, size = arrivals.len(), "a batch failed; its changes are tried one by one");
            return one_by_one(engine, deliveries, arrivals).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
    bus::ack_all(deliveries).await?;
    Ok(())
}

/// Waiting for a database that is out of reach, while the deliveries stay ours.
pub(crate) struct Patience {
    told: tokio::time::Instant,
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { told: tokio::time::Instant::now() }
    }

    /// Waits a little before the same is tried again.
    pub(crate) async fn wait(&mut self, error: &Error, deliveries: &[Delivery]) -> Result<(), Error> {
        tracing::warn!(%error, "it is tried again");
        tokio::time::sleep(PAUSE).await;
        if self.told.elapsed() >= STILL_AT_IT {
            self.told = tokio::time::Instant::now();
            for delivery in deliveries {
                delivery.in_progress().await?;
            }
        }
        Ok(())
    }
}

async fn one_by_one(engine: &Engine, deliveries: Vec<Delivery>, arrivals: Vec<Arrival>) -> Result<(), Error> {
    for (delivery, arrival) in deliveries.into_iter().zip(&arrivals) {
        match process(engine, std::slice::from_ref(arrival)).await {
            Ok(()) => delivery.ack().await?,
            Err(error) => {
                tracing::error!(%error, event = %arrival.message.envelope.id, "a change failed");
                delivery.fail("change_failed").await?;
            }
        }
    }
    Ok(())
}

/// The fact in a message; none when it is not for the sync-engine.
fn read(message: &Message) -> Result<Option<Fact>, bus::Error> {
    Ok(match message.envelope.kind.as_str() {
        kind::CHANGE => {
            let mut change: ChangeEvent = message.decode()?;
            storable(message, change.fields.values_mut());
            Some(Fact::Change(change))
        }
        kind::WRITTEN => {
            let mut written: Written = message.decode()?;
            match &mut written.outcome {
                WriteOutcome::Applied { fields, covered, .. } => {
                    storable(message, fields.values_mut());
                    storable(message, covered.values_mut().map(|covered| &mut covered.value));
                }
                WriteOutcome::Rejected { message: words, .. } => *words = words.replace('\0', ""),
            }
            Some(Fact::Written(written))
        }
        kind::BACKFILL_FINISHED => Some(Fact::BackfillFinished(message.decode()?)),
        kind::VERIFIED_BUCKET => Some(Fact::Verify(Verify::Bucket(message.decode()?))),
        kind::VERIFY_PROGRESSED => Some(Fact::Verify(Verify::Progressed(message.decode()?))),
        kind::VERIFY_FINISHED => Some(Fact::Verify(Verify::Finished(message.decode()?))),
        _ => None,
    })
}

/// Takes the one character that Postgres cannot keep, U+0000, out of texts.
fn storable<'a>(message: &Message, values: impl Iterator<Item = &'a mut Value>) {
    const SPELLED: &[u8] = br"\u0000";
    if !message.body.windows(SPELLED.len()).any(|bytes| bytes == SPELLED) {
        return;
    }
    for value in values {
        match value {
            Value::Text(text) => *value = Value::text(text.replace('\0', "")),
            Value::List(options) => {
                *value = Value::list(options.iter().map(|option| option.replace('\0', "")))
            }
            _ => {}
        }
    }
}

async fn process(engine: &Engine, arrivals: &[Arrival]) -> Result<(), Error> {
    let mut tx = engine.pool.begin().await?;
    let again: Vec<String> =
        arrivals.iter().filter(|a| a.replayed).map(|a| a.message.envelope.id.clone()).collect();
    if !again.is_empty() {
        bus::inbox::forget(&mut tx, CONSUMER, &again).await?;
    }
    let ids: Vec<String> = arrivals.iter().map(|a| a.message.envelope.id.clone()).collect();
    let mut fresh = bus::inbox::fresh(&mut tx, CONSUMER, &ids).await?;
    let arrivals: Vec<&Arrival> = arrivals.iter().filter(|a| fresh.remove(&a.message.envelope.id)).collect();
    let mut organizations: Vec<OrganizationId> =
        arrivals.iter().map(|a| a.message.envelope.organization).collect();
    organizations.sort_unstable();
    organizations.dedup();
    let mappings = engine.mappings.load(&mut tx, &organizations).await?;
    let scope = scope(&mappings, &arrivals);
    let mut unit = Unit::load(&mut tx, engine.clock.now(), mappings.clone(), scope).await?;
    let (mut planned, mut verified) = (false, false);
    for arrival in arrivals {
        apply(&mut unit, &mappings, arrival);
        match &arrival.fact {
            Fact::BackfillFinished(progress) => {
                for compiled in of(&mappings, &arrival.message, progress.connection, &progress.vendor_object)
                {
                    let id = compiled.mapping.id;
                    planned |= store::plans::read(&mut tx, id, progress.asked_at, engine.clock.now()).await?;
                }
            }
            Fact::Verify(told) => {
                let organization = arrival.message.envelope.organization;
                store::reconciles::told(&mut tx, organization, told).await?;
                verified = true;
            }
            Fact::Change(_) | Fact::Written(_) => {}
        }
    }
    unit.flush(&mut tx).await?;
    tx.commit().await?;
    engine.waker.wake();
    if planned {
        engine.jobs.notify_one();
    }
    if verified {
        engine.reconciles.notify_one();
    }
    Ok(())
}

fn of<'a>(
    mappings: &'a Mappings,
    message: &Message,
    connection: model::ConnectionId,
    object: &'a str,
) -> impl Iterator<Item = &'a Arc<Compiled>> {
    mappings.of_vendor_object(message.envelope.organization, connection, object)
}

/// What these facts touch.
pub(crate) fn scope(mappings: &Mappings, arrivals: &[&Arrival]) -> Scope {
    let mut scope = Scope::default();
    let mut parents = Vec::new();
    let mut wanted: BTreeMap<(model::MappingId, String), Wanted> = BTreeMap::new();
    let mut want = |compiled: &Arc<Compiled>, id: &str, keys: Vec<String>, external: Option<RecordId>| {
        let known = wanted.entry((compiled.mapping.id, id.to_owned())).or_insert_with(|| Wanted {
            mapping: Arc::clone(compiled),
            vendor_id: id.to_owned(),
            keys: Vec::new(),
            external: None,
        });
        known.keys.extend(keys);
        known.external = known.external.or(external);
    };
    for arrival in arrivals {
        match &arrival.fact {
            Fact::Change(change) => {
                for compiled in of(mappings, &arrival.message, change.connection, &change.object) {
                    want(
                        compiled,
                        &change.id,
                        matching::keys_there(compiled, &change.fields),
                        external(change),
                    );
                    for merged in &change.merged_ids {
                        want(compiled, merged, Vec::new(), None);
                    }
                    parents.extend(unit::names(compiled, &change.fields));
                }
            }
            Fact::Written(written) => {
                scope.links.push(written.link);
                if let WriteOutcome::Applied { vendor_id, fields, covered, .. } = &written.outcome
                    && let Some(compiled) = mappings.get(written.mapping)
                {
                    want(compiled, vendor_id, Vec::new(), None);
                    let covered = covered.iter().map(|(name, covered)| (name.clone(), covered.value.clone()));
                    parents.extend(unit::names(compiled, fields));
                    parents.extend(unit::names(compiled, &covered.collect()));
                }
            }
            Fact::BackfillFinished(_) | Fact::Verify(_) => {}
        }
    }
    scope.vendor_records = wanted.into_values().collect();
    scope.parents = parents;
    scope
}

fn external(change: &ChangeEvent) -> Option<RecordId> {
    change.external_id.as_deref().and_then(|id| id.parse().ok())
}

/// Lets the unit that was loaded for it take a fact.
pub(crate) fn apply(unit: &mut Unit, mappings: &Mappings, arrival: &Arrival) {
    match &arrival.fact {
        Fact::Change(change) => apply_change(unit, mappings, &arrival.message, change),
        Fact::Written(written) => apply_written(unit, mappings, &arrival.message, written),
        Fact::BackfillFinished(_) | Fact::Verify(_) => {}
    }
}

fn apply_change(unit: &mut Unit, mappings: &Mappings, message: &Message, change: &ChangeEvent) {
    let cause = Arc::new(Cause {
        taken_at: change.captured_at,
        lane: Some(change.lane),
        ..Cause::vendor(&message.envelope, change.connection, &change.vendor, change.changed_at)
    });
    let shown = || digest::digest(&change.id, &change.fields).cast_signed();
    let digest = (!change.is_partial).then(shown);
    if change.lane == Lane::Verify {
        unit.look_at(change.connection, &change.object);
    }
    for compiled in of(mappings, message, change.connection, &change.object) {
        let gone = Gone { version: change.version, at: change.changed_at };
        for merged in &change.merged_ids {
            unit.follow(compiled, merged, &change.id, gone, &cause);
        }
        let arrived = Arrived {
            vendor_id: &change.id,
            seen: Seen {
                version: change.version,
                at: change.changed_at,
                fields: &change.fields,
                times: &change.field_times,
                older: None,
                says_ours: change.says_ours,
            },
            external: external(change),
            lane: change.lane,
            digest,
        };
        match (change.kind, compiled.mapping.state) {
            (ChangeKind::Deleted, _) => unit.delete(compiled, &change.id, gone, &cause),
            (ChangeKind::Upserted, _) if change.is_partial => unit.take_part(compiled, arrived, &cause),
            (ChangeKind::Upserted, MappingState::Active) => {
                unit.arrive(compiled, arrived, &cause);
                unit.keep_beside(compiled, arrived);
            }
            (ChangeKind::Upserted, _) => unit.stage(compiled, arrived),
        }
    }
}

fn apply_written(unit: &mut Unit, mappings: &Mappings, message: &Message, written: &Written) {
    let Some(compiled) = mappings.get(written.mapping) else { return };
    if compiled.mapping.organization != message.envelope.organization {
        return;
    }
    let cause = Arc::new(Cause::vendor(&message.envelope, written.connection, &written.vendor, written.at));
    unit.answer(compiled, written.link, written.write, &written.outcome, &cause);
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::{ChangeKind, ConnectionId, Lane};
    use proptest::prelude::*;

    use super::*;

    fn message(text: String) -> Message {
        let now = Timestamp::UNIX_EPOCH;
        let organization = OrganizationId::generate(now);
        let change = ChangeEvent {
            connection: ConnectionId::generate(now),
            vendor: "hubspot".to_owned(),
            object: "companies".to_owned(),
            id: "1".to_owned(),
            kind: ChangeKind::Upserted,
            version: 1,
            changed_at: now,
            captured_at: now,
            lane: Lane::Live,
            fields: BTreeMap::from([("name".to_owned(), Value::Text(text))]),
            is_partial: false,
            field_times: BTreeMap::new(),
            external_id: None,
            merged_ids: vec!["2".to_owned()],
            says_ours: false,
            people: None,
        };
        let subject = bus::subject::change(&organization, "hubspot", "companies");
        Message::json(subject, kind::CHANGE, "connector/hubspot", organization, now, &change).unwrap()
    }

    #[test]
    fn what_a_write_covered_and_why_it_was_refused_are_stored_without_the_character_that_cannot_be() {
        let now = Timestamp::UNIX_EPOCH;
        let covered = model::CoveredValue { value: Value::text("a\0b"), at: now };
        let outcomes = [
            WriteOutcome::Applied {
                vendor_id: "1".to_owned(),
                version: 1,
                fields: BTreeMap::from([("name".to_owned(), Value::text("c\0d"))]),
                covered: BTreeMap::from([("name".to_owned(), covered)]),
            },
            WriteOutcome::Rejected {
                category: model::IssueCategory::Validation,
                message: "no \0 here".to_owned(),
                field: None,
            },
        ];
        for outcome in outcomes {
            let written = Written {
                write: model::WriteId::generate(now),
                connection: ConnectionId::generate(now),
                vendor: "hubspot".to_owned(),
                object: "companies".to_owned(),
                record: RecordId::generate(now),
                mapping: model::MappingId::generate(now),
                link: model::LinkId::generate(now),
                outcome,
                at: now,
            };
            let mut message = message(String::new());
            kind::WRITTEN.clone_into(&mut message.envelope.kind);
            message.body = serde_json::to_vec(&written).unwrap().into();
            let Ok(Some(Fact::Written(read))) = read(&message) else { panic!("it is an answer") };
            assert!(!format!("{:?}", read.outcome).contains("\\0"), "{read:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn whatever_arrives_is_a_fact_or_an_error_and_never_a_panic(
            body in proptest::collection::vec(any::<u8>(), 0..200),
            kind in proptest::sample::select(vec![kind::CHANGE, kind::WRITTEN, kind::BACKFILL_FINISHED, "another"]),
        ) {
            let mut garbled = message(String::new());
            (garbled.body, garbled.envelope.kind) = (body.into(), kind.to_owned());
            let fact = read(&garbled);
            prop_assert!(kind != "another" || matches!(fact, Ok(None)));
        }

        #[test]
        fn a_change_with_some_bytes_changed_is_read_without_what_cannot_be_stored_or_refused(
            text in "\\PC{0,8}\0?\\PC{0,8}",
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let mut message = message(text.clone());
            let mut body = message.body.to_vec();
            for (place, byte) in &changes {
                let place = place.index(body.len());
                body[place] = *byte;
            }
            if let Some(cut) = &cut {
                body.truncate(cut.index(body.len()));
            }
            message.body = body.into();
            let fact = read(&message);
            if let Ok(Some(Fact::Change(change))) = &fact {
                let texts = change.fields.values().filter(|value| matches!(value, Value::Text(_)));
                prop_assert!(texts.into_iter().all(|value| !value.to_string().contains('\0')));
            }
            prop_assert!(!changes.is_empty() || cut.is_some() || fact.is_ok_and(|fact| fact.is_some()), "{text:?}");
        }
    }
}
