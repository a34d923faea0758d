//! The event stream of the org: what was captured, and how it behaves.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use super::StreamSettings;
use super::capture::{Draft, drafts, publish};
use super::errors::{self, Refusal};
use super::event::ChangeType;
use super::faults::{StreamFault, StreamFaultKind};
use super::log::Log;
use super::schema::{Described, EventSchema, event_name};
use crate::faults::Faults;
use crate::salesforce::id::Id;
use crate::salesforce::journal::{Changed, Commit};
use crate::salesforce::object::Object;
use crate::salesforce::org::{Org, Touch, Transaction};
use crate::salesforce::schema::Field;
use crate::salesforce::sim::Sim;

/// How long the automated process takes to find the coordinates of an address.
const GEOCODING_MS: i64 = 1_000;
const ADDRESS_PARTS: [&str; 5] = ["Street", "City", "State", "PostalCode", "Country"];

/// Which events a topic carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topic {
    /// Those of every selected object.
    All,
    /// Those of these objects.
    Of(Vec<String>),
}

impl Topic {
    pub(crate) fn carries(&self, entity: &str) -> bool {
        match self {
            Topic::All => true,
            Topic::Of(entities) => entities.iter().any(|one| one == entity),
        }
    }
}

/// An order to end running subscriptions; each order has the next number.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cut {
    pub(crate) number: u64,
    pub(crate) kind: StreamFaultKind,
}

/// The schemas that events are written with.
#[derive(Debug, Default)]
struct Schemas {
    /// Those of new events by object, and the fields they were made from.
    current: HashMap<String, (Vec<Arc<Field>>, Arc<EventSchema>)>,
    /// Every one that an event or a topic ever named, by id.
    named: HashMap<String, Arc<EventSchema>>,
}

impl Schemas {
    /// The schema of an object's new events. Events that are stored keep theirs.
    fn of(&mut self, objects: &[Object], entity: &str) -> Option<Arc<EventSchema>> {
        let object = objects.iter().find(|object| object.schema.name == entity)?;
        let fields = &object.schema.fields;
        if let Some((of, schema)) = self.current.get(entity)
            && of.len() == fields.len()
            && of.iter().zip(fields).all(|(was, is)| Arc::ptr_eq(was, is))
        {
            return Some(schema.clone());
        }
        let live = object.schema.live_fields();
        let described: Vec<Described<'_>> = live.filter_map(|field| Described::read(&field.raw)).collect();
        let schema = Arc::new(EventSchema::of(entity, &described));
        let schema = self.named.entry(schema.id.clone()).or_insert(schema).clone();
        self.current.insert(entity.to_owned(), (fields.clone(), schema.clone()));
        Some(schema)
    }
}

/// What the stream keeps beside the org.
#[derive(Debug)]
pub(crate) struct Events {
    pub(crate) settings: StreamSettings,
    pub(crate) faults: Faults<StreamFault>,
    pub(crate) cut: Cut,
    pub(crate) log: Log,
    pub(crate) rng: StdRng,
    /// How many calls with a good token named an instance at which the org is no more.
    pub(crate) misaddressed: u64,
    schemas: Schemas,
    /// The number of the last commit that was captured.
    seen: i64,
    /// Captured commits whose events are not delivered yet, and when they are.
    waiting: VecDeque<(i64, Arc<Commit>, Vec<Draft>)>,
    /// Addresses whose coordinates are being looked up: when they are found, object and record.
    lookups: VecDeque<(i64, String, String)>,
    /// Rings when there is something new that no commit tells.
    bell: watch::Sender<()>,
}

impl Events {
    pub(crate) fn new(settings: StreamSettings, seed: u64) -> Self {
        Self {
            settings,
            faults: Faults::default(),
            cut: Cut { number: 0, kind: StreamFaultKind::Unavailable },
            log: Log::default(),
            rng: StdRng::seed_from_u64(seed),
            misaddressed: 0,
            schemas: Schemas::default(),
            seen: 0,
            waiting: VecDeque::new(),
            lookups: VecDeque::new(),
            bell: watch::Sender::new(()),
        }
    }

    pub(crate) fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    pub(crate) fn ring(&self) {
        self.bell.send_replace(());
    }

    /// The objects of a topic.
    ///
    /// # Errors
    /// When there is no such topic, or its object is not selected.
    fn topic(&self, name: &str) -> Result<Topic, Refusal> {
        if name.is_empty() {
            return Err(errors::TOPIC_EMPTY);
        }
        let channel = name.strip_prefix("/data/").ok_or(errors::TOPIC_UNKNOWN)?;
        if channel == "ChangeEvents" {
            return Ok(Topic::All);
        }
        if let Some(entities) = self.settings.channels.get(channel) {
            return Ok(Topic::Of(entities.clone()));
        }
        let entity = self.settings.entities.iter().find(|entity| event_name(entity) == channel);
        entity.map(|entity| Topic::Of(vec![entity.clone()])).ok_or(errors::TOPIC_UNKNOWN)
    }

    /// The schema of a topic that carries one object's events only.
    pub(crate) fn topic_schema(&mut self, topic: &Topic, org: &Org) -> Option<Arc<EventSchema>> {
        match topic {
            Topic::Of(entities) if entities.len() == 1 => self.schemas.of(&org.objects, &entities[0]),
            _ => None,
        }
    }

    /// A schema that an event or a topic named.
    pub(crate) fn named(&self, id: &str) -> Option<&Arc<EventSchema>> {
        self.schemas.named.get(id)
    }

    /// Captures what was committed since the last time, and delivers what is due. Answers when the next is due, in
    /// milliseconds from now, if something waits.
    pub(crate) fn capture(&mut self, org: &mut Org, now_ms: i64) -> Option<u64> {
        self.geocode(org, now_ms);
        for commit in org.journal.commits_after(self.seen) {
            self.capture_commit(commit, &org.objects, now_ms);
        }
        while let Some((_, commit, drafts)) = self.waiting.pop_front_if(|(due_ms, ..)| *due_ms <= now_ms) {
            publish(&mut self.log, &commit, drafts, self.settings.max_event_bytes);
        }
        self.log.expire(now_ms);
        let waiting = self.waiting.front().map(|(due_ms, ..)| due_ms);
        let lookup = self.lookups.front().map(|(due_ms, ..)| due_ms);
        let next = waiting.into_iter().chain(lookup).min()?;
        Some(u64::try_from(next - now_ms).unwrap_or(0))
    }

    fn capture_commit(&mut self, commit: &Arc<Commit>, objects: &[Object], now_ms: i64) {
        self.seen = commit.number;
        if self.settings.geocode {
            self.note_addresses(commit, now_ms);
        }
        let Self { settings, schemas, rng, .. } = self;
        let mut schema = |entity: &str| {
            settings.entities.iter().any(|one| one == entity).then(|| schemas.of(objects, entity)).flatten()
        };
        let drafts = drafts(commit, &mut schema, settings, rng);
        let delay_ms = i64::try_from(settings.delivery_delay_ms).unwrap_or(i64::MAX / 4);
        self.waiting.push_back((commit.at.as_millisecond() + delay_ms, commit.clone(), drafts));
    }

    /// Puts an event into the stream that no commit stands behind.
    fn inject(&mut self, org: &Org, draft: Draft, now_ms: i64) {
        let commit = Commit {
            number: org.journal.newest(),
            at: jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default(),
            transaction: Uuid::new_v4(),
            user: org.users.first().map(Id::to_string).unwrap_or_default(),
            origin: String::new(),
            changes: Vec::new(),
        };
        publish(&mut self.log, &commit, vec![draft], self.settings.max_event_bytes);
        self.ring();
    }

    /// A gap or an overflow for `ids` of an object.
    pub(crate) fn gap(
        &mut self,
        org: &Org,
        entity: &str,
        change: ChangeType,
        ids: Vec<String>,
        now_ms: i64,
    ) -> bool {
        let Some(schema) = self.schemas.of(&org.objects, entity) else { return false };
        self.inject(org, Draft::gap(entity, schema, change, ids), now_ms);
        true
    }

    /// Ends every running subscription.
    pub(crate) fn cut_all(&mut self, kind: StreamFaultKind) {
        self.cut = Cut { number: self.cut.number + 1, kind };
        self.ring();
    }

    /// The org moves to another instance: what was stored is gone, and so is every replay id.
    pub(crate) fn migrate(&mut self) {
        self.waiting.clear();
        self.log.migrate();
        self.cut_all(StreamFaultKind::Unavailable);
    }

    fn note_addresses(&mut self, commit: &Commit, now_ms: i64) {
        for change in &commit.changes {
            if commit.origin.is_empty() || !moved(change) {
                continue;
            }
            let found =
                change.ids.iter().map(|id| (now_ms + GEOCODING_MS, change.object.clone(), id.clone()));
            self.lookups.extend(found);
        }
    }

    /// Writes the coordinates that were found by now, as a process that is not a user's.
    fn geocode(&mut self, org: &mut Org, now_ms: i64) {
        while self.lookups.front().is_some_and(|(due_ms, ..)| *due_ms <= now_ms) {
            let Some((_, object, id)) = self.lookups.pop_front() else { return };
            let Some((at, id)) = org.find(&object).zip(Id::parse(&id)) else { continue };
            if org.is_locked(at, id) {
                continue;
            }
            let values = coordinates(&org.objects[at], id);
            let Some(user) = org.users.last().copied().filter(|_| !values.is_empty()) else { continue };
            let mut transaction = Transaction::new(user, "", now_ms.div_euclid(1_000));
            org.update(&mut transaction, at, id, values, Touch::System);
            org.commit(transaction, now_ms);
        }
    }
}

/// Whether a change gives a record another address.
fn moved(change: &Changed) -> bool {
    let part = |name: &str| ADDRESS_PARTS.iter().any(|part| name.ends_with(part));
    change.after.iter().any(|(name, value)| part(name) && change.before.get(name) != Some(value))
}

/// Latitude and longitude of each address of a record: made up, but the same for the same address.
fn coordinates(object: &Object, id: Id) -> Vec<(u16, serde_json::Value)> {
    let Some(record) = object.get(id).filter(|record| record.is_live()) else { return Vec::new() };
    let mut values = Vec::new();
    for address in object.schema.live_fields().filter(|field| field.name.ends_with("Address")) {
        let prefix = address.name.strip_suffix("Address").unwrap_or_default();
        let field = |part: &str| object.schema.field(&format!("{prefix}{part}"));
        let parts: Vec<&str> =
            ADDRESS_PARTS.iter().filter_map(|part| record.cells.text(field(part)?.at)).collect();
        if parts.is_empty() {
            continue;
        }
        let digest = uuid::Uuid::new_v5(&Uuid::NAMESPACE_URL, parts.join("\n").as_bytes());
        let bytes = digest.as_bytes();
        let degrees = |at: usize, span: f64| {
            (f64::from(u16::from_be_bytes([bytes[at], bytes[at + 1]])) / 65_536.0 * span).round() / 100.0
        };
        let found = [("Latitude", degrees(0, 18_000.0) - 90.0), ("Longitude", degrees(2, 36_000.0) - 180.0)];
        values.extend(found.into_iter().filter_map(|(part, value)| Some((field(part)?.at, json!(value)))));
    }
    values
}

impl Sim {
    /// The objects of a topic that the user may see.
    ///
    /// # Errors
    /// When there is no such topic, its object is not selected, or the user may not see it.
    pub(crate) fn topic(&self, name: &str) -> Result<Topic, Refusal> {
        let hidden =
            |entity: &String| self.dials.hidden_objects.iter().any(|one| one.eq_ignore_ascii_case(entity));
        let selected = &self.events.settings.entities;
        match self.events.topic(name)? {
            Topic::All if selected.iter().any(hidden) => {
                Ok(Topic::Of(selected.iter().filter(|entity| !hidden(entity)).cloned().collect()))
            }
            Topic::Of(entities) if entities.iter().any(hidden) => Err(errors::TOPIC_PERMISSION),
            topic => Ok(topic),
        }
    }

    /// Captures what was committed since the last time. Answers in how many milliseconds there will be more, if
    /// that is known.
    pub(crate) fn capture(&mut self) -> Option<u64> {
        let now_ms = self.clock.now_ms();
        let Sim { events, org, .. } = self;
        events.capture(org, now_ms)
    }
}
