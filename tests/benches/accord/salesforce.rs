//! Salesforce: change events from the wire to the bus and to merged records, and the reading of its history.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use bus::{Bus, ConsumerConfig, Delivery, subject};
use chassis::guard::Guard;
use connector::{AuthorizeRequest, Change, ChangeStream, Connector, Cursor, Fetch, Session, Subscription};
use connector_salesforce::{Config, Salesforce};
use jiff::Timestamp;
use model::{ConnectionId, ObjectSchema, RecordChanged, Value};
use proto::connections::ConnectionRequest;
use sandbox::salesforce::Settings;
use serde_json::{Value as Json, json};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tonic::transport::{Server, server::TcpIncoming};

use crate::{
    load::Sink,
    servers::Servers,
    stage::Started,
    sync::{self, Tenant, listen},
    table::{Row, ms, note, per_second, percentile, ratio, times},
    vendor::{self, PATIENCE, Rooms, Sandbox, query},
};

const OBJECT: &str = "Account";
const HISTORY: usize = 100_000;
const ACCOUNTS: usize = 4_000;
/// Change events of a backlog.
const EVENTS: usize = 40_000;
const RUNS: usize = 3;
/// Records that one call of a client changes together at most.
const TOGETHER: usize = 200;
/// Change events a second, committed a few at a time.
const CALM: usize = 500;
const TICK: Duration = Duration::from_millis(10);
const SECONDS: usize = 10;

const EVENTS_GOAL: f64 = 20_000.0;
const MERGED_GOAL: Duration = Duration::from_millis(50);
const HISTORY_GOAL: f64 = 50_000.0;

/// Fields of accounts, and those of companies that they are mapped to.
const FIELDS: [(&str, &str); 8] = [
    ("Name", "name"),
    ("Website", "domain"),
    ("Phone", "phone"),
    ("Description", "description"),
    ("BillingCity", "address_city"),
    ("BillingState", "address_region"),
    ("AnnualRevenue", "annual_revenue"),
    ("NumberOfEmployees", "employee_count"),
];

/// The example of RFC 7636.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT_URI: &str = "http://127.0.0.1/oauth/callback/salesforce";

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let read = history().await?;
    let org = Org::start(ACCOUNTS).await?;
    let decoded = decoded(&org).await?;
    let (published, disk) = published(&org).await?;
    let (merged, disk_of_merged) = merged(&org).await?;
    Ok(vec![
        Row {
            what: "Salesforce change events on the bus",
            ours: format!("{published:.0}/s"),
            floor: format!("{EVENTS_GOAL:.0}/s"),
            ratio: ratio(published, EVENTS_GOAL),
            goal: ">= 20,000/s",
            disk: Some(disk),
        },
        Row {
            what: "Salesforce change events decoded only",
            ours: format!("{decoded:.0}/s"),
            floor: format!("{EVENTS_GOAL:.0}/s"),
            ratio: ratio(decoded, EVENTS_GOAL),
            goal: "",
            disk: None,
        },
        Row {
            what: "Salesforce edit to merged record, p99, 500/s",
            ours: ms(merged),
            floor: ms(MERGED_GOAL),
            ratio: times(merged, MERGED_GOAL),
            goal: "< 50 ms",
            disk: Some(disk_of_merged),
        },
        Row {
            what: "Salesforce history decoded, per CPU-second",
            ours: format!("{read:.0}/s"),
            floor: format!("{HISTORY_GOAL:.0}/s"),
            ratio: ratio(read, HISTORY_GOAL),
            goal: ">= 50,000/s",
            disk: None,
        },
    ])
}

/// An organization in its simulator, and the connector to it.
struct Org {
    sandbox: Sandbox,
    salesforce: Arc<Salesforce>,
    ids: Vec<String>,
}

impl Org {
    /// One with this many accounts, which were there before anybody listened.
    async fn start(accounts: usize) -> Result<Self> {
        let sandbox = Sandbox::start("salesforce", json!({ "daily_requests": 10_000_000 })).await?;
        // A stream that is quiet tells soon where it stands.
        sandbox.control("stream/settings", &json!({ "keepalive_ms": 100 })).await?;
        let wish = json!({ "object": OBJECT, "count": accounts, "spread_days": 90 });
        sandbox.control("seed", &wish).await?;
        let settings = Settings::default();
        let config = Config {
            client_id: settings.client_id,
            client_secret: settings.client_secret.into(),
            login_url: Some(sandbox.url.clone()),
            pubsub_url: format!("http://127.0.0.1:{}", sandbox.next_port).parse()?,
            pubsub_authority: None,
            longest_silence: connector_salesforce::LONGEST_SILENCE,
            // By pages, however many records there are.
            bulk_from: u64::MAX,
        };
        let salesforce = Arc::new(Salesforce::try_new(config)?.without_limits());
        let state = sandbox.told(&format!("state/{OBJECT}")).await?;
        let records = state["results"].as_array().context("find the accounts")?;
        let ids = records.iter().filter_map(|record| Some(record["Id"].as_str()?.to_owned())).collect();
        Ok(Self { sandbox, salesforce, ids })
    }

    async fn connect(&self, rooms: &mut Rooms) -> Result<ConnectionId> {
        self.sandbox.connect(rooms, &[("decision", "allow".to_owned())]).await
    }

    /// A session of its own, without the runtime.
    async fn session(&self) -> Result<Session> {
        let login_url = self.salesforce.login_url("")?;
        let request = AuthorizeRequest {
            login_url: &login_url,
            redirect_uri: REDIRECT_URI,
            state: "bench",
            code_challenge: CHALLENGE,
        };
        let page = self.salesforce.authorize_url(&request);
        let back = self.sandbox.agree(page, &[("decision", "allow".to_owned())]).await?;
        let health = self.sandbox.told("health").await?;
        let account = health["organization_id"].as_str().context("find the organization's id")?;
        let nobody = Session::for_tests(self.salesforce.clone(), account, "none".into())?;
        let exchange =
            self.salesforce.exchange_request(&query(&back, "code")?, REDIRECT_URI, &VERIFIER.into());
        let grant = self.salesforce.read_grant(&nobody.send(exchange).await?)?;
        Ok(Session::for_tests(self.salesforce.clone(), account, grant.access_token)?)
    }

    async fn schema(&self, session: &Session) -> Result<ObjectSchema> {
        let schemas = self.salesforce.describe(session).await?;
        schemas.into_iter().find(|schema| schema.name == OBJECT).context("find the accounts' schema")
    }

    /// Has its users edit accounts one after the other, so many times, in transactions of a client's usual size.
    async fn commit(&self, first: usize, count: usize) -> Result<()> {
        for begin in (first..first + count).step_by(TOGETHER) {
            self.edit(begin..(begin + TOGETHER).min(first + count)).await?;
        }
        Ok(())
    }

    /// One transaction of the edits with these numbers.
    async fn edit(&self, numbers: std::ops::Range<usize>) -> Result<()> {
        let step = |nth: usize| {
            let fields = json!({ "Description": edit(nth), "NumberOfEmployees": nth });
            json!({ "do": "edit", "object": OBJECT, "id": self.ids[nth % self.ids.len()], "fields": fields })
        };
        let steps: Vec<Json> = numbers.map(step).collect();
        self.sandbox.control("transaction", &json!({ "steps": steps })).await
    }
}

/// What an edit leaves in the record, by which it is known again.
fn edit(nth: usize) -> String {
    format!("the edit number {nth}")
}

fn wanted() -> Vec<String> {
    FIELDS.map(|(name, _)| name.to_owned()).into()
}

/// Records of a history by pages, for a second of this process's time: calls, decoding, change making; no bus.
async fn history() -> Result<f64> {
    let org = Org::start(HISTORY).await?;
    let session = org.session().await?;
    let schema = org.schema(&session).await?;
    let servers = Servers::start().await?;
    let (before, began, fields) = (servers.cpu()?, Instant::now(), wanted());
    let (mut from, mut read) = (Cursor::at(Timestamp::UNIX_EPOCH), 0);
    loop {
        let fetch = Fetch {
            object: OBJECT,
            schema: &schema,
            fields: &fields,
            from: &from,
            until: Some(session.now()),
        };
        let page = org.salesforce.fetch_changes(&session, &fetch).await?;
        let is_read = |change: &Change| change.fields.len() == FIELDS.len();
        ensure!(page.changes.iter().all(is_read), "an account came without a field");
        read += page.changes.len();
        from = page.next;
        if !page.more {
            break;
        }
    }
    let (took, used) = (began.elapsed(), servers.cpu()?.own_since(&before));
    servers.stop().await;
    ensure!(read >= HISTORY, "{read} of {HISTORY} accounts were read");
    note(&format!("salesforce: {read} accounts in {took:.1?}, {used:.1?} of processor time"));
    Ok(per_second(read, used))
}

/// Change events a second that the connector decodes when nobody wants them; the best run.
async fn decoded(org: &Org) -> Result<f64> {
    let session = org.session().await?;
    let (schema, fields) = (org.schema(&session).await?, wanted());
    let mut best = 0.0_f64;
    for run in 1..=RUNS {
        let from_now = Subscription { schema: &schema, fields: &fields, position: None };
        let mut stream = org.salesforce.subscribe(&session, &from_now).await?;
        let position = timeout(PATIENCE, position(&mut stream)).await.context("wait for a position")??;
        drop(stream);
        org.commit(run * EVENTS, EVENTS).await?;
        let behind = Subscription { position: Some(&position), ..from_now };
        let began = Instant::now();
        let mut stream = org.salesforce.subscribe(&session, &behind).await?;
        let mut seen = 0;
        while seen < EVENTS {
            let batch = timeout(PATIENCE, stream.next()).await.context("wait for change events")??;
            let is_read = |change: &Change| change.fields.contains_key("Description");
            ensure!(batch.changes.iter().all(is_read), "a change event came without what was edited");
            seen += batch.changes.len();
        }
        let rate = per_second(EVENTS, began.elapsed());
        note(&format!("salesforce: backlog {run} of {RUNS}: {rate:.0}/s decoded"));
        best = best.max(rate);
    }
    Ok(best)
}

async fn position(stream: &mut Box<dyn ChangeStream>) -> Result<String> {
    loop {
        if let Some(position) = stream.next().await?.position {
            return Ok(position);
        }
    }
}

/// Change events a second that arrive on the bus, acknowledged by it, when the runtime comes back to a backlog; the
/// best run; and the disk's fdatasync.
async fn published(org: &Org) -> Result<(f64, Duration)> {
    let servers = Servers::start().await?;
    let (started, mut connector) = (Started::default(), Started::default());
    let mut rooms = Rooms::open(&servers, &started, &connector, org.salesforce.clone()).await?;
    let connection = org.connect(&mut rooms).await?;
    let bus = servers.bus("bench").await?;
    let fields = FIELDS.map(|(name, _)| name);
    vendor::capture(&bus, rooms.organization, connection, OBJECT, &fields, false).await?;
    let changes = subject::change(&rooms.organization, "salesforce", OBJECT);
    drop(bus.consumer(ConsumerConfig::new(subject::CHANGES, "bench").filtered([changes])).await?);
    following(&mut rooms, connection).await?;
    let mut best = 0.0_f64;
    for run in 1..=RUNS {
        connector.stop().await;
        org.commit(run * EVENTS, EVENTS).await?;
        let before = on_the_bus(&bus).await?;
        connector = rooms.connector(&servers, org.salesforce.clone()).await?;
        let used = servers.cpu()?;
        let rate = rate_of_arrival(&bus, before).await?;
        note(&format!("salesforce: backlog {run} of {RUNS}: {rate:.0}/s on the bus"));
        note(&format!("salesforce: {}", servers.cpu()?.per_change_since(&used, EVENTS)));
        best = best.max(rate);
    }
    connector.stop().await;
    started.stop().await;
    let disk = servers.sync_p50()?;
    servers.stop().await;
    Ok((best, disk))
}

/// Waits until the runtime has stored where the stream stands.
async fn following(rooms: &mut Rooms, connection: ConnectionId) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let ask = rooms.by(ConnectionRequest { connection_id: connection.to_string() })?;
        let objects = rooms.api.get_progress(ask).await?.into_inner().objects;
        let mut streams = objects.into_iter().filter_map(|object| object.stream);
        if streams.any(|stream| stream.state == "following" && !stream.position.is_empty()) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the stream of {OBJECT} is not followed");
        sleep(Duration::from_millis(50)).await;
    }
}

/// How many changes the bus has for a consumer that takes none.
async fn on_the_bus(bus: &Bus) -> Result<u64> {
    Ok(bus.pending(subject::CHANGES, "bench").await?.waiting)
}

/// From the first sight of a change of a backlog until its last one is there.
async fn rate_of_arrival(bus: &Bus, before: u64) -> Result<f64> {
    let (deadline, all) = (Instant::now() + PATIENCE, before + u64::try_from(EVENTS)?);
    let mut first = None;
    loop {
        let there = on_the_bus(bus).await?;
        if there > before {
            let (began, seen) = *first.get_or_insert((Instant::now(), there));
            if there >= all {
                return Ok(per_second(usize::try_from(there - seen)?, began.elapsed()));
            }
        }
        ensure!(Instant::now() < deadline, "{} of {EVENTS} changes are on the bus", there - before);
        sleep(Duration::from_millis(2)).await;
    }
}

/// From when an edit was due in Salesforce until its record's change came out: the 99th percentile, and the disk's
/// fdatasync.
async fn merged(org: &Org) -> Result<(Duration, Duration)> {
    let servers = Servers::start().await?;
    let started = Started::default();
    let mut rooms = Rooms::open(&servers, &started, &started, org.salesforce.clone()).await?;
    let guard = Guard::new(rooms.channel.clone());
    let (engine, running) = sync::rooms_with(&servers, guard).await?;
    let (listener, channel) = listen().await?;
    let serving = Server::builder().add_service(running.grpc());
    let stopped = engine.shutdown.clone().cancelled_owned();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    engine.tasks.spawn(serving.serve_with_incoming_shutdown(incoming, stopped));
    let bus = servers.bus("bench").await?;
    let connection = org.connect(&mut rooms).await?;
    let tenant = Tenant::at(rooms.organization, connection, bus.clone(), channel, rooms.key.clone());
    let mapping = tenant.map(OBJECT, &FIELDS).await?;
    tenant.request_plan(&mapping).await?;
    tenant.activate(&mapping).await?;
    following(&mut rooms, connection).await?;
    let sink = Sink::tracing(&bus, description).await?;
    let mut took = Vec::new();
    // The first seconds warm caches up, let what the activation wrote come back, and do not count.
    for (name, first, seconds) in [("warm", 0, 3), ("measured", 3 * CALM, SECONDS)] {
        let used = servers.cpu()?;
        edit_live(org, &sink, first, seconds).await?;
        sink.wait_for_expected().await?;
        took = sink.take_latencies();
        let (p50, p99) = (percentile(&mut took, 50), percentile(&mut took, 99));
        note(&format!("salesforce: {name}: {} edits, p50 {p50:?}, p99 {p99:?}", took.len()));
        note(&format!("salesforce: {}", servers.cpu()?.per_change_since(&used, took.len())));
    }
    let disk = servers.sync_p50()?;
    drop(sink);
    engine.stop().await;
    started.stop().await;
    servers.stop().await;
    Ok((percentile(&mut took, 99), disk))
}

/// Edits accounts at the calm rate and notes when each was due, so that falling behind counts.
async fn edit_live(org: &Org, sink: &Sink, first: usize, seconds: usize) -> Result<()> {
    let per_tick = CALM / 100;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    // Beyond the edits of the backlogs, so that each is news.
    let first = (RUNS + 1) * EVENTS + first;
    for begin in (first..first + seconds * CALM).step_by(per_tick) {
        let due = ticks.tick().await;
        sink.expect_traces((begin..begin + per_tick).map(edit), due);
        org.edit(begin..begin + per_tick).await?;
    }
    Ok(())
}

fn description(delivery: &Delivery) -> Option<String> {
    let mut changed: RecordChanged = delivery.message.decode().ok()?;
    match changed.fields.remove("description")? {
        Value::Text(text) => Some(text),
        _ => None,
    }
}
