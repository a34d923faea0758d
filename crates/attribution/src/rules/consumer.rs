//! Changes of records in: what the rules make of them is written as facts, then what they know of the records, and then
//! the changes are acknowledged. A change that comes again is older than what is known, or comes to the same.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use bus::{Bus, ConsumerConfig, Delivery, Message, outbox, outbox::Waker, subject};
use jiff::Timestamp;
use model::{
    CaptureProgress, ChangeEvent, Clock, ConnectionId, ConversionId, OrganizationId, ReadRequested, kind,
};
use prost::Message as _;
use proto::attribution as wire;
use serde_json::json;
use sqlx::PgPool;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Rule,
    decide::{Known, Recorded, Stands, Turn, Wanted, decide},
};
use crate::{
    Error,
    domain::facts::{Change, Conversion, Correction, user_key},
    key, publisher,
    store::{
        self,
        facts::{Customer, NewCorrection, NewEvent},
        rules::Seen,
    },
    text,
    writer::{Answer, Fact, Job, Writers},
};

/// The durable consumer's name.
const CONSUMER: &str = "attribution-rules";
/// How often a failed batch is tried again before its deliveries are tried one by one.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// What the rules work with.
pub(crate) struct Rules {
    pub(crate) pool: PgPool,
    pub(crate) bus: Bus,
    pub(crate) writers: Writers,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: Waker,
}

/// What a connector says of an object.
#[derive(Debug)]
enum Told {
    Change(Box<ChangeEvent>),
    /// All of its records were read.
    Read(CaptureProgress),
}

type Arrival = (OrganizationId, Told);

/// Consumes until shutdown. A bus that fails is opened again.
pub(crate) async fn run(rules: Rules, shutdown: CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = rules.consume().await {
                tracing::error!(%error, "the consumer of changes stopped and is opened again");
            }
            sleep(PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(work).await;
}

impl Rules {
    async fn consume(&self) -> Result<(), Error> {
        let config = ConsumerConfig::new(subject::CHANGES, CONSUMER);
        let mut consumer = self.bus.consumer(config).await?;
        loop {
            let deliveries = consumer.next_batch().await?;
            if !deliveries.is_empty() {
                self.handle(deliveries).await?;
            }
        }
    }

    async fn handle(&self, deliveries: Vec<Delivery>) -> Result<(), Error> {
        let organizations: BTreeSet<OrganizationId> =
            deliveries.iter().map(|delivery| delivery.message.envelope.organization).collect();
        let concerned = loop {
            match store::rules::organizations(&self.pool, &organizations).await {
                Err(error) if error.is_transient() => self.wait(&error, &deliveries).await?,
                concerned => break concerned?,
            }
        };
        let (mut kept, mut arrivals) = (Vec::new(), Vec::new());
        for delivery in deliveries {
            let organization = delivery.message.envelope.organization;
            let told = if concerned.contains(&organization) { read(&delivery.message) } else { Ok(None) };
            match told {
                Ok(Some(told)) => {
                    arrivals.push((organization, told));
                    kept.push(delivery);
                }
                Ok(None) => delivery.ack().await?,
                Err(error) => delivery.dead_letter("change_undecodable", &error.to_string()).await?,
            }
        }
        let mut tries = 0;
        while let Err(error) = self.process(&arrivals).await {
            if error.is_transient() {
                self.wait(&error, &kept).await?;
                continue;
            }
            tries += 1;
            if tries == TRIES {
                tracing::warn!(%error, size = kept.len(), "a batch failed; its changes are tried one by one");
                return self.one_by_one(kept, &arrivals).await;
            }
            sleep(PAUSE).await;
        }
        Ok(bus::ack_all(kept).await?)
    }

    /// Waits a little before the same is tried again; the deliveries stay ours.
    async fn wait(&self, error: &Error, deliveries: &[Delivery]) -> Result<(), Error> {
        tracing::warn!(%error, "it is tried again");
        sleep(PAUSE).await;
        for delivery in deliveries {
            delivery.in_progress().await?;
        }
        Ok(())
    }

    async fn one_by_one(&self, deliveries: Vec<Delivery>, arrivals: &[Arrival]) -> Result<(), Error> {
        for (delivery, arrival) in deliveries.into_iter().zip(arrivals) {
            match self.process(std::slice::from_ref(arrival)).await {
                Ok(()) => delivery.ack().await?,
                Err(error) => {
                    tracing::error!(%error, "a change failed");
                    delivery.fail("conversion_rule_failed").await?;
                }
            }
        }
        Ok(())
    }

    async fn process(&self, arrivals: &[Arrival]) -> Result<(), Error> {
        let organizations: BTreeSet<OrganizationId> =
            arrivals.iter().map(|(organization, _)| *organization).collect();
        let all = store::rules::enabled(&self.pool, &organizations).await?;
        let mut rules: HashMap<(OrganizationId, ConnectionId, &str), Vec<&Rule>> = HashMap::new();
        for rule in &all {
            let object = (rule.organization, rule.connection, rule.vendor_object.as_str());
            rules.entry(object).or_default().push(rule);
        }
        let mut round: Vec<(&Rule, &ChangeEvent)> = Vec::new();
        for (organization, told) in arrivals {
            match told {
                Told::Change(change) => {
                    let object = (*organization, change.connection, change.object.as_str());
                    for rule in rules.get(&object).into_iter().flatten() {
                        // What comes of a record decides what its next change comes to.
                        let again = |(other, seen): &(&Rule, &ChangeEvent)| {
                            other.id == rule.id && seen.id == change.id
                        };
                        if round.iter().any(again) {
                            self.play(&std::mem::take(&mut round)).await?;
                        }
                        round.push((*rule, &**change));
                    }
                }
                Told::Read(progress) => {
                    self.play(&std::mem::take(&mut round)).await?;
                    let (connection, object) = (progress.connection, progress.vendor_object.as_str());
                    store::rules::read(&self.pool, *organization, connection, object, progress.at).await?;
                }
            }
        }
        self.play(&round).await
    }

    /// One change of each of some records, under each of some rules.
    async fn play(&self, round: &[(&Rule, &ChangeEvent)]) -> Result<(), Error> {
        if round.is_empty() {
            return Ok(());
        }
        let now = text::micros(self.clock.now());
        let mut tx = self.pool.begin().await?;
        let rules: BTreeSet<_> = round.iter().map(|(rule, _)| rule.id).collect();
        store::rules::lock(&mut tx, &rules).await?;
        let records: Vec<_> = round.iter().map(|(rule, change)| (rule.id, change.id.as_str())).collect();
        let mut known = store::rules::known(&mut tx, &records).await?;
        let mut turns: Vec<(&Rule, &ChangeEvent, Turn)> = Vec::with_capacity(round.len());
        for (rule, change) in round {
            let before: Option<Known> = known.remove(&(rule.id, change.id.clone()));
            turns.extend(decide(rule, before, change).map(|turn| (*rule, *change, turn)));
        }
        self.write(&mut turns, now).await?;
        let seen = turns.iter().map(|(rule, change, turn)| Seen {
            rule: rule.id,
            record: &change.id,
            known: &turn.known,
            is_new: turn.record.is_some(),
        });
        store::rules::remember(&mut tx, &seen.collect::<Vec<_>>(), now).await?;
        let wanted = to_be_read(&turns, now)?;
        outbox::enqueue(&mut tx, &wanted).await?;
        tx.commit().await?;
        if !wanted.is_empty() {
            self.waker.wake();
        }
        Ok(())
    }

    /// Writes what the turns come to as facts. They have keys, so that a repeat changes nothing.
    async fn write(&self, turns: &mut [(&Rule, &ChangeEvent, Turn)], now: Timestamp) -> Result<(), Error> {
        let mut jobs = Vec::new();
        let mut recorded = Vec::new();
        for (place, (rule, change, turn)) in turns.iter().enumerate() {
            jobs.extend(corrections(rule, change, turn, now));
            if let Some(wanted) = &turn.record {
                let user = self.user(rule.organization, &wanted.users).await?;
                recorded.push((jobs.len(), place, user.clone()));
                jobs.push(event(rule, change, wanted, turn.known.cycle, user, now));
            }
        }
        let answers =
            self.writers.run_all(jobs).await?.into_iter().collect::<Result<Vec<Answer>, Error>>()?;
        for (job, place, user_id) in recorded {
            let turn = &mut turns[place].2;
            let (Some(Answer::Event(answer)), Some(wanted)) = (answers.get(job), &turn.record) else {
                continue;
            };
            let answer = wire::RecordedEvent::decode(answer.as_slice());
            let stored = |error: &dyn std::fmt::Display| Error::Stored(format!("an event's answer: {error}"));
            let event = answer.map_err(|error| stored(&error))?.event_id;
            let event: ConversionId = event.parse().map_err(|error| stored(&error))?;
            let value = wanted.value.map(crate::domain::money::Money::minor);
            let currency = wanted.currency;
            turn.known.stands = Stands::Recorded(Recorded { event, user_id, value, currency });
        }
        Ok(())
    }

    /// Of those who may be meant, the first who was identified; else the best.
    async fn user(&self, organization: OrganizationId, users: &[String]) -> Result<String, Error> {
        let keys: Vec<String> = users.iter().map(|user| user_key(user)).collect();
        let identified = if users.len() > 1 {
            store::rules::identified(&self.pool, organization, &keys).await?
        } else {
            BTreeSet::new()
        };
        let place = keys.iter().position(|key| identified.contains(key)).unwrap_or_default();
        Ok(users.get(place).cloned().unwrap_or_default())
    }
}

/// What a message tells; none where it is not for rules.
fn read(message: &Message) -> Result<Option<Told>, bus::Error> {
    Ok(match message.envelope.kind.as_str() {
        kind::CHANGE => Some(Told::Change(message.decode()?)),
        kind::BACKFILL_FINISHED => Some(Told::Read(message.decode()?)),
        _ => None,
    })
}

/// Who says so.
fn actor(rule: &Rule) -> String {
    format!("service:attribution/{}", rule.id)
}

fn corrections(rule: &Rule, change: &ChangeEvent, turn: &Turn, now: Timestamp) -> Vec<Job> {
    let (Stands::Recorded(stood) | Stands::Voided(stood, _)) = &turn.known.stands else {
        return Vec::new();
    };
    let customer = Customer { organization: rule.organization, user_key: user_key(&stood.user_id) };
    let job = |correction: &Change| {
        let (what, reason) = match correction {
            Change::Void if turn.record.is_some() => ("void", "the record has another currency"),
            Change::Void => ("void", "the record does not meet the rule any more"),
            Change::Restore => ("restore", "the record meets the rule again"),
            Change::Value(_) => ("value", "the record's amount changed"),
            Change::Refund(_) => ("refund", "a part was given back"),
        };
        let correction = Correction {
            id: text::new_id(now),
            conversion: stood.event,
            at: text::micros(change.changed_at),
            change: *correction,
        };
        let new = NewCorrection {
            customer: customer.clone(),
            correction,
            is_dated: false,
            key: format!("{}:{}:{}:{what}", rule.id, change.id, change.version),
            reason: reason.to_owned(),
            actor: actor(rule),
        };
        Job { customers: vec![customer.clone()], fact: Fact::Correct(Box::new(new)) }
    };
    turn.corrections.iter().map(job).collect()
}

fn event(
    rule: &Rule,
    change: &ChangeEvent,
    wanted: &Wanted,
    cycle: i32,
    user_id: String,
    now: Timestamp,
) -> Job {
    let customer = Customer { organization: rule.organization, user_key: user_key(&user_id) };
    let mut metadata = json!({
        "record_id": change.id,
        "object": change.object,
        "vendor": change.vendor,
        "connection": rule.connection,
        "rule": rule.id,
    });
    for condition in &rule.spec.conditions {
        if let (Some(value), Some(told)) = (change.fields.get(&condition.field), metadata.as_object_mut()) {
            told.entry(condition.field.clone()).or_insert_with(|| value.to_plain());
        }
    }
    let (key, at) = (key::of_record(rule.id, &change.id, cycle), text::micros(wanted.at));
    let conversion = Conversion {
        id: key::event_id(rule.organization, at, key),
        kind: rule.spec.event_type.as_str().into(),
        value: wanted.value.map(crate::domain::money::Money::minor),
        currency: wanted.currency,
        metadata: metadata.clone(),
        at,
        received_at: now,
    };
    let new = NewEvent {
        customer,
        conversion,
        user_id,
        metadata: metadata.to_string(),
        external_event_id: None,
        key: Some(key),
    };
    Job::of(new)
}

/// Asks for the records of which too little is known.
fn to_be_read(turns: &[(&Rule, &ChangeEvent, Turn)], now: Timestamp) -> Result<Vec<Message>, Error> {
    let mut wanted: BTreeMap<(OrganizationId, ConnectionId, &str), BTreeSet<&str>> = BTreeMap::new();
    for (rule, change, turn) in turns {
        if turn.to_be_read {
            let object = (rule.organization, rule.connection, rule.vendor_object.as_str());
            wanted.entry(object).or_default().insert(&change.id);
        }
    }
    let message = |((organization, connection, object), ids): ((_, _, &str), BTreeSet<&str>)| {
        let ids = ids.into_iter().map(str::to_owned).collect();
        let wish = ReadRequested { connection, vendor_object: object.to_owned(), ids };
        publisher::read_requested(organization, &wish, now)
    };
    wanted.into_iter().map(message).collect()
}
