//! Change events as a HubSpot connection publishes them, and what comes out at the other end.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use bus::{Bus, ConsumerConfig, Message, subject};
use jiff::{SignedDuration, Timestamp};
use model::{
    ChangeEvent, ChangeKind, Clock, ConnectionId, FieldSchema, FieldType, Lane, ObjectSchema, OrganizationId,
    SystemClock, Value, kind,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, sleep},
};

pub(crate) const VENDOR: &str = "hubspot";
pub(crate) const OBJECT: &str = "companies";

/// Vendor fields, their types, and the canonical company fields that they are mapped to.
pub(crate) const FIELDS: [(&str, FieldType, &str); 10] = [
    ("name", FieldType::Text, "name"),
    ("domain", FieldType::Text, "domain"),
    ("phone", FieldType::Phone, "phone"),
    ("industry", FieldType::Text, "industry"),
    ("description", FieldType::Text, "description"),
    ("city", FieldType::Text, "address_city"),
    ("state", FieldType::Text, "address_region"),
    ("country", FieldType::Text, "address_country"),
    ("annualrevenue", FieldType::Currency, "annual_revenue"),
    ("numberofemployees", FieldType::Number, "employee_count"),
];

/// The ticks of a live producer: a connector publishes a page at a time too.
const TICK: Duration = Duration::from_millis(10);

/// How far the record of an update is from the one before; a prime, so that every record has its turn.
const STRIDE: usize = 7_919;

const PATIENCE: Duration = Duration::from_secs(120);

/// The vendor's schema of [`OBJECT`].
pub(crate) fn schema() -> ObjectSchema {
    let fields = FIELDS.iter().map(|(name, field_type, _)| FieldSchema {
        name: (*name).to_owned(),
        label: (*name).to_owned(),
        field_type: *field_type,
        description: String::new(),
        options: Vec::new(),
        read_only: false,
        required: false,
        unique: false,
        custom: false,
        references: None,
    });
    ObjectSchema { name: OBJECT.to_owned(), label: "Companies".to_owned(), fields: fields.collect() }
}

/// Makes changes of a connection's records.
pub(crate) struct Load {
    organization: OrganizationId,
    connection: ConnectionId,
    started: Timestamp,
    made: usize,
    records: usize,
}

impl Load {
    pub(crate) fn new(organization: OrganizationId, connection: ConnectionId) -> Self {
        Self {
            organization,
            connection,
            started: SystemClock.now() - SignedDuration::from_hours(24),
            made: 0,
            records: 0,
        }
    }

    /// The next changes: a quarter of them create a record, the rest update one of these, no record twice in a row.
    pub(crate) fn next(&mut self, count: usize) -> Result<Vec<Message>> {
        let (first, records) = (self.records, (count / 4).max(1));
        self.records += records;
        self.changes(count, |nth| first + nth % records)
    }

    /// Goes on after so many records that are made elsewhere.
    pub(crate) fn skip(&mut self, records: usize) {
        self.records += records;
    }

    /// The first changes of so many new records.
    pub(crate) fn creations(&mut self, count: usize) -> Result<Vec<Message>> {
        let first = self.records;
        self.records += count;
        self.changes(count, |nth| first + nth)
    }

    /// Changes of records that exist, all over the place.
    pub(crate) fn updates(&mut self, count: usize) -> Result<Vec<Message>> {
        let (made, records) = (self.made, self.records.max(1));
        self.changes(count, |nth| (made + nth) * STRIDE % records)
    }

    fn changes(&mut self, count: usize, record: impl Fn(usize) -> usize) -> Result<Vec<Message>> {
        let changes = (0..count).map(|nth| self.change(record(nth), self.made + nth)).collect();
        self.made += count;
        changes
    }

    fn change(&self, record: usize, nth: usize) -> Result<Message> {
        let nth_ms = i64::try_from(nth)?;
        let at = self.started + SignedDuration::from_millis(nth_ms);
        let id = (8_000_000_000 + record).to_string();
        let text = |name: &str| Value::text(format!("{name} of the company number {record}"));
        let mut fields: BTreeMap<String, Value> =
            FIELDS.iter().map(|(name, ..)| ((*name).to_owned(), text(name))).collect();
        fields.insert("domain".to_owned(), Value::text(format!("company-{record}.example")));
        fields.insert("phone".to_owned(), Value::text(format!("+49 30 {nth:07}")));
        fields.insert("annualrevenue".to_owned(), Value::Number((nth_ms * 1_000).into()));
        fields.insert("numberofemployees".to_owned(), Value::Number(((record % 900) as i64).into()));
        let change = ChangeEvent {
            connection: self.connection,
            vendor: VENDOR.to_owned(),
            object: OBJECT.to_owned(),
            id: id.clone(),
            kind: ChangeKind::Upserted,
            version: at.as_millisecond(),
            changed_at: at,
            captured_at: at,
            lane: Lane::Live,
            fields,
            is_partial: false,
            field_times: BTreeMap::new(),
            external_id: None,
            merged_ids: Vec::new(),
            says_ours: false,
            people: None,
        };
        let name = bus::event_id_at(
            at,
            &[
                &self.organization.to_string(),
                &self.connection.to_string(),
                OBJECT,
                &id,
                &change.version.to_string(),
                "upserted",
            ],
        );
        let subject = subject::change(&self.organization, VENDOR, OBJECT);
        let source = "connector/hubspot";
        let message = Message::json(subject, kind::CHANGE, source, self.organization, at, &change)?;
        Ok(message.with_id(name))
    }

    /// Publishes this many changes a second and notes when each was due, so that falling behind counts.
    pub(crate) async fn publish_live(
        &mut self,
        bus: &Bus,
        sink: &Sink,
        per_second: usize,
        seconds: u64,
    ) -> Result<usize> {
        let per_tick = per_second / 100;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut published = 0;
        for _ in 0..seconds * 100 {
            let due = ticks.tick().await;
            let messages = self.updates(per_tick)?;
            sink.expect(&messages, due);
            bus.publish_batch(&messages).await?;
            published += messages.len();
        }
        Ok(published)
    }
}

/// By what a changed record is known to come of a change.
type Trace = fn(&bus::Delivery) -> Option<String>;

/// Receives what comes out: changed records.
pub(crate) struct Sink {
    received: Arc<AtomicUsize>,
    due: Arc<Mutex<HashMap<String, Instant>>>,
    took: Arc<Mutex<Vec<Duration>>>,
    task: JoinHandle<Result<(), bus::Error>>,
}

impl Sink {
    pub(crate) async fn open(bus: &Bus) -> Result<Self> {
        Self::tracing(bus, |delivery| delivery.message.envelope.cause.clone()).await
    }

    /// One for changes whose messages are made elsewhere.
    pub(crate) async fn tracing(bus: &Bus, trace: Trace) -> Result<Self> {
        let config = ConsumerConfig::new(subject::EVENTS, "bench").filtered([subject::ALL_RECORDS]);
        let mut consumer = bus.consumer(config).await?;
        let (received, due, took) = (Arc::<AtomicUsize>::default(), Arc::default(), Arc::default());
        let (count, times, latencies) = (Arc::clone(&received), Arc::clone(&due), Arc::clone(&took));
        let task = tokio::spawn(async move {
            loop {
                let batch = consumer.next_batch().await?;
                let now = Instant::now();
                count.fetch_add(batch.len(), Ordering::Relaxed);
                note_latencies(&times, &latencies, &batch, now, trace);
                bus::ack_all(batch).await?;
            }
        });
        Ok(Self { received, due, took, task })
    }

    fn expect(&self, messages: &[Message], due: Instant) {
        self.expect_traces(messages.iter().map(|message| message.envelope.id.clone()), due);
    }

    /// Changes with these traces were due at this moment.
    pub(crate) fn expect_traces(&self, traces: impl IntoIterator<Item = String>, due: Instant) {
        let mut waiting = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(traces.into_iter().map(|trace| (trace, due)));
    }

    /// Waits until everything that is expected has come.
    pub(crate) async fn wait_for_expected(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let missing = self.due.lock().unwrap_or_else(PoisonError::into_inner).len();
            if missing == 0 {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{missing} changes did not come out");
            ensure!(!self.task.is_finished(), "the sink ended");
            sleep(Duration::from_millis(2)).await;
        }
    }

    pub(crate) fn received(&self) -> usize {
        self.received.load(Ordering::Relaxed)
    }

    /// Waits until this many have come in all.
    pub(crate) async fn wait_for(&self, count: usize) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while self.received() < count {
            ensure!(Instant::now() < deadline, "only {} of {count} changes came out", self.received());
            ensure!(!self.task.is_finished(), "the sink ended");
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }

    /// The latencies since the last call.
    pub(crate) fn take_latencies(&self) -> Vec<Duration> {
        std::mem::take(&mut self.took.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note_latencies(
    due: &Mutex<HashMap<String, Instant>>,
    took: &Mutex<Vec<Duration>>,
    batch: &[bus::Delivery],
    now: Instant,
    trace: Trace,
) {
    let mut due = due.lock().unwrap_or_else(PoisonError::into_inner);
    let mut took = took.lock().unwrap_or_else(PoisonError::into_inner);
    for delivery in batch {
        let at = trace(delivery).and_then(|trace| due.remove(&trace));
        took.extend(at.map(|at| now - at));
    }
}
