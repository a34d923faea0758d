//! Activities in: what connectors tell of what people did is recorded, many at a time.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
    time::Duration,
};

use bus::{Bus, ConsumerConfig, Delivery, Message, subject};
use model::{ActivityTold, Clock, OrganizationId, kind};
use proto::crm as wire;
use sqlx::PgPool;
use tokio::{task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{
    Error, checking,
    domain::activity::NewActivity,
    error::Refusal,
    recording,
    store::{self, activities::Outcome},
    text::{self, LONGEST_NAME},
};

/// The durable consumer's name.
const CONSUMER: &str = "crm-activities";
/// The most messages that are recorded together; a message has 100 KB at most.
const TOGETHER: usize = 500;
/// How many batches are recorded at once: while the database works for one, the next one is read and matched.
const AT_ONCE: usize = 3;
/// How often a failed batch is tried again before its deliveries are tried one by one.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);
/// The kinds of which connectors tell.
const KINDS: [&str; 3] = ["email", "meeting", "call"];

/// What the consumer works with.
#[derive(Clone)]
pub(crate) struct Listener {
    pub(crate) pool: PgPool,
    pub(crate) bus: Bus,
    pub(crate) clock: Arc<dyn Clock>,
}

/// An activity of an organization, and who told it.
struct Told {
    organization: OrganizationId,
    actor: String,
    new: NewActivity,
}

/// Why a message tells nothing that can be recorded.
enum Unusable {
    Undecodable(bus::Error),
    Invalid(Refusal),
}

/// Consumes until shutdown. A bus that fails is opened again.
pub(crate) async fn run(listener: Listener, shutdown: CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = listener.consume().await {
                tracing::error!(%error, "the consumer of activities stopped and is opened again");
            }
            sleep(PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(work).await;
}

impl Listener {
    async fn consume(&self) -> Result<(), Error> {
        let config =
            ConsumerConfig { max_batch: TOGETHER, ..ConsumerConfig::new(subject::CHANGES, CONSUMER) };
        let mut consumer = self.bus.consumer(config.filtered([subject::ALL_ACTIVITIES])).await?;
        let mut working = JoinSet::new();
        loop {
            let deliveries = consumer.next_batch().await?;
            // Whoever is up to date gathers what comes in the meantime.
            let at_once = if deliveries.len() < TOGETHER { 1 } else { AT_ONCE };
            if !deliveries.is_empty() {
                let listener = self.clone();
                working.spawn(async move { listener.handle(deliveries).await });
            }
            while working.len() >= at_once {
                match working.join_next().await {
                    Some(Ok(handled)) => handled?,
                    Some(Err(failed)) => std::panic::resume_unwind(failed.into_panic()),
                    None => break,
                }
            }
        }
    }

    async fn handle(&self, deliveries: Vec<Delivery>) -> Result<(), Error> {
        let (mut kept, mut told) = (Vec::new(), Vec::new());
        for delivery in deliveries {
            match read(&delivery.message) {
                Ok(Some(it)) => {
                    told.push(it);
                    kept.push(delivery);
                }
                Ok(None) => delivery.ack().await?,
                Err(Unusable::Undecodable(error)) => {
                    delivery.dead_letter("activity_undecodable", &error.to_string()).await?;
                }
                Err(Unusable::Invalid(refusal)) => {
                    let detail = format!("{}: {refusal}", refusal.code);
                    delivery.dead_letter("activity_invalid", &detail).await?;
                }
            }
        }
        let mut tries = 0;
        while let Err(error) = self.record(&told).await {
            tracing::warn!(%error, size = kept.len(), "activities are tried again");
            tries += u32::from(!error.is_transient());
            if tries == TRIES {
                return self.one_by_one(kept, &told).await;
            }
            sleep(PAUSE).await;
            for delivery in &kept {
                delivery.in_progress().await?;
            }
        }
        Ok(bus::ack_all(kept).await?)
    }

    async fn one_by_one(&self, deliveries: Vec<Delivery>, told: &[Told]) -> Result<(), Error> {
        for (delivery, told) in deliveries.into_iter().zip(told) {
            match self.record(std::slice::from_ref(told)).await {
                Ok(()) => delivery.ack().await?,
                Err(error) => {
                    tracing::error!(%error, event = %delivery.message.envelope.id, "an activity failed");
                    delivery.fail("crm_activity_failed").await?;
                }
            }
        }
        Ok(())
    }

    /// Records them, those of one organization and teller together. A repeat tells nothing newer and changes nothing.
    async fn record(&self, told: &[Told]) -> Result<(), Error> {
        let mut tellers: BTreeMap<(OrganizationId, &str), Newest<'_>> = BTreeMap::new();
        for Told { organization, actor, new } in told {
            let of_teller = tellers.entry((*organization, actor)).or_default();
            match of_teller.entry((&new.source, &new.external_id)) {
                Entry::Vacant(place) => drop(place.insert(new)),
                Entry::Occupied(mut place) => {
                    if (place.get().version, place.get().is_gone) < (new.version, new.is_gone) {
                        place.insert(new);
                    }
                }
            }
        }
        for ((organization, actor), news) in tellers {
            let news: Vec<&NewActivity> = news.into_values().collect();
            let now = text::micros(self.clock.now());
            let mut tx = self.pool.begin().await?;
            store::activities::lock_shared(&mut tx, organization).await?;
            let free = store::settings::find(&mut tx, organization).await?.free_domains;
            let recorded = recording::record(&mut tx, organization, &news, &free, actor, now).await?;
            tx.commit().await?;
            let known = recorded.iter().filter(|it| it.outcome == Outcome::Known).count();
            tracing::debug!(%organization, actor, told = recorded.len(), known, "activities were recorded");
        }
        Ok(())
    }
}

/// What was told last of each activity, by its source and its id there.
type Newest<'a> = BTreeMap<(&'a str, &'a str), &'a NewActivity>;

/// The activity in a message; none when it tells of none.
fn read(message: &Message) -> Result<Option<Told>, Unusable> {
    let envelope = &message.envelope;
    if envelope.kind != kind::ACTIVITY_TOLD {
        return Ok(None);
    }
    let told: ActivityTold = message.decode().map_err(Unusable::Undecodable)?;
    let actor = format!("connection:{}", told.connection);
    let new = checked(told).map_err(Unusable::Invalid)?;
    Ok(Some(Told { organization: envelope.organization, actor, new }))
}

fn checked(told: ActivityTold) -> Result<NewActivity, Refusal> {
    let at = Some(proto::to_wire_time(told.at));
    if told.is_gone {
        let source = text::required("source", &told.source, LONGEST_NAME)?;
        let external_id = text::required("external_id", &told.external_id, text::LONGEST_LINE)?;
        return Ok(NewActivity::gone(source, external_id, told.version, text::moment("at", at.as_ref())?));
    }
    if !KINDS.contains(&told.kind.as_str()) {
        return Err(checking::kind_invalid("kind", &KINDS));
    }
    let participant = |who: model::ActivityParticipant| wire::Participant {
        role: who.role,
        name: who.name,
        email: who.email,
    };
    let new = checking::activity(
        "",
        wire::NewActivity {
            source: told.source,
            external_id: told.external_id,
            version: told.version,
            kind: told.kind,
            direction: told.direction,
            at,
            subject: told.subject,
            body: told.body,
            thread: told.thread,
            url: told.url,
            participants: told.participants.into_iter().map(participant).collect(),
            record_ids: Vec::new(),
        },
    )?;
    Ok(NewActivity { automatic: told.automatic, is_preview: told.is_preview, ..new })
}
