//! The stream of one object's change events.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use connector::{Batch, Change, ChangeStream, Error, ErrorKind, Session, Subscription, Untold};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use model::{ChangeKind, ObjectSchema};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    avro::Schema,
    event::{Event, Plan, Said},
    failure::{not_selected, of_status, silent, unavailable},
    pubsub::{
        Flow, MOST_REQUESTED, PubSub,
        wire::{ConsumerEvent, FetchRequest, FetchResponse},
    },
    schemas::Schemas,
};
use crate::{client::Client, config::Config, deleted, objects::MERGED};

/// A statement may have run so long before its transaction was committed, and stamps tell when it ran.
const LONGEST_TRANSACTION: SignedDuration = SignedDuration::from_mins(15);
/// Events are kept for 72 hours: what a stream left out is not older.
const RETENTION: SignedDuration = SignedDuration::from_hours(73);
/// How long an opening is waited for before the stream is handed out, whose first sign of life may be its answer.
const FIRST_ANSWER: Duration = Duration::from_secs(5);
/// More events are asked for when no more than these are still to come.
const FEW: i32 = MOST_REQUESTED / 2;

/// Opens the stream of an object's changes.
pub(crate) async fn subscribe(
    config: &Config,
    schemas: &Arc<Schemas>,
    session: &Session,
    subscription: &Subscription<'_>,
) -> Result<Box<dyn ChangeStream>, Error> {
    let object = subscription.schema.name.as_str();
    let behind = subscription.position.map(|position| BASE64_STANDARD.decode(position)).transpose();
    let behind = behind.map_err(|_| {
        let message = "the stored position in Salesforce's events is none";
        Error::new(ErrorKind::PositionLost, "follow Salesforce's change events", message)
    })?;
    let topic = topic(object);
    let mut pubsub = PubSub::connect(config, session, object).await?;
    let token = session.access_token().await?;
    let may_subscribe = match pubsub.may_subscribe(&topic).await {
        Err(error) if error.kind == ErrorKind::TokenExpired => {
            session.renewed_access_token(&token).await?;
            pubsub.may_subscribe(&topic).await?
        }
        answer => answer?,
    };
    if !may_subscribe {
        return Err(not_selected(object));
    }
    let heard = Instant::now();
    let mut opener = pubsub.clone();
    let mut opening: BoxFuture<'static, _> = Box::pin(async move { opener.subscribe(&topic, behind).await });
    let flow = match timeout(FIRST_ANSWER.min(config.longest_silence), &mut opening).await {
        Ok(opened) => Subscribed::Open(Box::new(opened?)),
        Err(_) => Subscribed::Opening(opening),
    };
    Ok(Box::new(Events {
        pubsub,
        session: session.clone(),
        object: subscription.schema.clone(),
        wanted: subscription.fields.to_vec(),
        plans: HashMap::new(),
        schemas: schemas.clone(),
        flow,
        requested: MOST_REQUESTED,
        received: None,
        read: None,
        heard,
        longest_silence: config.longest_silence,
        committed: None,
    }))
}

/// The topic of an object's change events: `/data/AccountChangeEvent`, `/data/My_Object__ChangeEvent`.
pub(crate) fn topic(object: &str) -> String {
    match object.strip_suffix("__c") {
        Some(custom) => format!("/data/{custom}__ChangeEvent"),
        None => format!("/data/{object}ChangeEvent"),
    }
}

/// A subscription whose answer is waited for, or has come. The answer may begin with the first sign of life only, so that one
/// that nobody answers looks like one of an object that nobody changes.
enum Subscribed {
    Opening(BoxFuture<'static, Result<Flow, Error>>),
    Open(Box<Flow>),
}

/// An open stream. What was received and is not handed out yet is kept, so that [`ChangeStream::next`] may be dropped.
struct Events {
    pubsub: PubSub,
    session: Session,
    object: ObjectSchema,
    wanted: Vec<String>,
    /// How to read events by the ids of their schemas, which never change; none for a schema that cannot be had.
    plans: HashMap<String, Option<Arc<Plan>>>,
    schemas: Arc<Schemas>,
    flow: Subscribed,
    /// Events that were asked for and are still to come.
    requested: i32,
    received: Option<FetchResponse>,
    read: Option<Batch>,
    heard: Instant,
    longest_silence: Duration,
    /// When the last transaction was committed that was read.
    committed: Option<Timestamp>,
}

#[async_trait]
impl ChangeStream for Events {
    async fn next(&mut self) -> Result<Batch, Error> {
        if self.read.is_none() {
            if self.received.is_none() {
                self.received = Some(self.receive().await?);
            }
            self.learn_schemas().await?;
            self.read = self.received.take().map(|response| self.batch(&response));
        }
        let merged = merged(&self.session, &self.object.name, self.read.as_ref()).await?;
        let mut batch = self.read.take().unwrap_or_default();
        // The winner is told before its losers are gone.
        batch.changes.splice(0..0, merged);
        Ok(batch)
    }
}

impl Events {
    async fn receive(&mut self) -> Result<FetchResponse, Error> {
        let dead_at = self.heard + self.longest_silence;
        let flow = match &mut self.flow {
            Subscribed::Open(flow) => flow,
            Subscribed::Opening(opening) => {
                let opened = timeout_at(dead_at, opening).await.map_err(|_| silent())??;
                self.flow = Subscribed::Open(Box::new(opened));
                return Box::pin(self.receive()).await;
            }
        };
        let received = timeout_at(dead_at, flow.incoming.message()).await;
        let received = received.map_err(|_| silent())?;
        let received = received.map_err(|status| of_status(&status, &self.object.name))?;
        let response = received.ok_or_else(unavailable)?;
        self.heard = Instant::now();
        let count = i32::try_from(response.events.len()).unwrap_or(MOST_REQUESTED);
        self.requested = self.requested.saturating_sub(count).max(0);
        if self.requested <= FEW {
            let num_requested = MOST_REQUESTED - self.requested;
            // A stream that is closed says so when it is read.
            if flow.more.send(FetchRequest { num_requested, ..FetchRequest::default() }).is_ok() {
                self.requested = MOST_REQUESTED;
            }
        }
        Ok(response)
    }

    /// Gets the schemas of what was received.
    async fn learn_schemas(&mut self) -> Result<(), Error> {
        let events = self.received.iter().flat_map(|response| &response.events);
        let ids = events.filter_map(|event| Some(event.event.as_ref()?.schema_id.as_str()));
        let mut unknown: Vec<String> =
            ids.filter(|id| !self.plans.contains_key(*id)).map(str::to_owned).collect();
        unknown.sort_unstable();
        unknown.dedup();
        for id in unknown {
            let plan = match self.schema(&id).await {
                Ok(json) => {
                    Schema::parse(&json).and_then(|schema| Plan::new(schema, &self.object, &self.wanted)).ok()
                }
                Err(error) if error.is_transient() || error.kind == ErrorKind::TokenExpired => {
                    return Err(error);
                }
                Err(_) => None,
            };
            self.plans.insert(id, plan.map(Arc::new));
        }
        Ok(())
    }

    /// A schema, which never changes: it is asked for once.
    async fn schema(&mut self, id: &str) -> Result<Arc<str>, Error> {
        let organization = self.session.account_id();
        if let Some(known) = self.schemas.known(organization, id) {
            return Ok(known);
        }
        let json = self.pubsub.schema(id).await?;
        Ok(self.schemas.learn(self.session.account_id(), id, &json))
    }

    fn batch(&mut self, response: &FetchResponse) -> Batch {
        let mut batch = Batch::default();
        for received in &response.events {
            match self.event(received) {
                Some(event) => {
                    self.committed = Some(event.at);
                    add(&mut batch, event);
                }
                // It cannot be read, so all that it may be about is.
                None => {
                    leave_out(&mut batch, self.committed.unwrap_or(self.session.vendor_now() - RETENTION))
                }
            }
        }
        let last = response.events.last().map_or(&response.latest_replay_id, |event| &event.replay_id);
        batch.position = (!last.is_empty()).then(|| BASE64_STANDARD.encode(last));
        batch.until = self.committed.filter(|_| !response.events.is_empty());
        batch
    }

    fn event(&self, received: &ConsumerEvent) -> Option<Event> {
        let event = received.event.as_ref()?;
        self.plans.get(&event.schema_id)?.as_ref()?.read(&event.payload).ok()
    }
}

/// Records that won a merge with one of the batch's deleted ones, which events do not tell.
async fn merged(session: &Session, object: &str, read: Option<&Batch>) -> Result<Vec<Change>, Error> {
    let Some(batch) = read.filter(|_| MERGED.contains(&object)) else {
        return Ok(Vec::new());
    };
    let gone: Vec<&Change> =
        batch.changes.iter().filter(|change| change.kind == ChangeKind::Deleted).collect();
    deleted::winners(Client(session), object, &gone).await
}

fn add(batch: &mut Batch, event: Event) {
    let Event { ids, version, at, says_ours, said } = event;
    let change = |id, kind| Change {
        id,
        kind,
        version,
        changed_at: at,
        fields: BTreeMap::new(),
        is_partial: false,
        field_times: BTreeMap::new(),
        external_id: None,
        merged_ids: Vec::new(),
        says_ours,
    };
    match said {
        Said::Nothing => {}
        Said::LeftOut => leave_out(batch, at),
        Said::Untold => {
            batch.untold.extend(ids.into_iter().map(|id| Untold { id, version, changed_at: at }));
        }
        Said::Deleted => {
            batch.changes.extend(ids.into_iter().map(|id| change(id, ChangeKind::Deleted)));
        }
        Said::Changed { fields, external_id, is_partial } => {
            batch.changes.extend(ids.into_iter().map(|id| Change {
                fields: fields.clone(),
                external_id: external_id.clone(),
                is_partial,
                ..change(id, ChangeKind::Upserted)
            }));
        }
    }
}

/// Changes of transactions since this moment were left out.
fn leave_out(batch: &mut Batch, committed: Timestamp) {
    let since = committed.checked_sub(LONGEST_TRANSACTION).unwrap_or(Timestamp::MIN);
    batch.left_out_since = Some(batch.left_out_since.map_or(since, |other| other.min(since)));
}
