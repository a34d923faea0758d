//! Conversion events over gRPC and over HTTP: accepted, attributed and accrued, beside one row with its commit; and clicks. The rooms are
//! identity and attribution, whose events are on the bus; at last the audit log reads them beside it.

mod again;
mod following;
mod past;
mod posting;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use bus::subject;
use chassis::guard::Guard;
use futures::{StreamExt, TryStreamExt, stream};
use identity::{FirstUser, NewKey};
use model::{Clock, Role, Scope, SystemClock};
use proto::attribution::{
    CreateLinkRequest, CreatePartnerRequest, FollowLinkRequest, IdentifyRequest, NewEvent, Program,
    RecordEventsRequest, Rule, Terms, Tier, VerifyRequest, attribution_client::AttributionClient,
    event_answer, rule,
};
use secrecy::ExposeSecret;
use sqlx::PgPool;
use tokio::time::Instant;
use tonic::{
    Request,
    transport::{Channel, Server, server::TcpIncoming},
};
use vault::{Keyring, Vault};

use crate::{
    servers::Servers,
    stage::Started,
    sync::listen,
    table::{Row, ms, note, per_second, percentile, ratio},
};

const CALLERS: usize = 16;
const EVENTS: usize = 20_000;
const BATCHES: usize = 30;
const BATCH: usize = 1_000;
/// Who send batches at once.
const BATCH_CALLERS: usize = 4;
const PARTNERS: usize = 50;
/// So long that nothing is approved while it is measured.
const HOLD_DAYS: u32 = 30;
/// Of a program whose tiers reach over all customers of a partner.
const TIERED: usize = 5_000;
/// While the audit log records what is accrued.
const AUDITED: usize = 20_000;

pub(crate) use again::measure as measure_again;

/// A room with partners whose customers are identified.
#[derive(Clone)]
struct Shop {
    client: AttributionClient<Channel>,
    /// To all rooms.
    channel: Channel,
    key: String,
    /// It may record events and nothing else, as a CRM's.
    crm_key: String,
    program: String,
    links: Vec<String>,
    /// Where the rooms answer.
    rooms: SocketAddr,
}

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let servers = Servers::start().await?;
    let started = Started::default();
    let shop = open(&servers, &started).await?;
    let began = Instant::now();
    shop.identify(0..EVENTS + BATCHES * BATCH).await?;
    let prepared = per_second(EVENTS + BATCHES * BATCH, began.elapsed());
    note(&format!("attribution: {prepared:.0} clicks and identifies a second"));
    let floor = floor(servers.postgres.url()).await?;
    let before = servers.cpu()?;
    let (singles, mut took) = shop.singles(0..EVENTS).await?;
    note(&format!("attribution: singles: {}", servers.cpu()?.per_change_since(&before, EVENTS)));
    let before = servers.cpu()?;
    let batches = shop.batches().await?;
    note(&format!("attribution: batches: {}", servers.cpu()?.per_change_since(&before, BATCHES * BATCH)));
    let clicks = shop.clicks().await?;
    let gateway = following::serve(shop.rooms, &started).await?;
    let before = servers.cpu()?;
    let followed = shop.follow(gateway).await?;
    note(&format!(
        "attribution: clicks over HTTP: {}",
        servers.cpu()?.per_change_since(&before, following::CLICKS)
    ));
    let disk = Some(servers.sync_p50()?);
    let posted = shop.posted(gateway, floor, disk).await?;
    let tiered = tiered(&shop).await?;
    let audited = audited(&shop, &servers, &started).await?;
    let whole = shop.verify().await?;
    note(&format!("attribution: verified {whole} events"));
    let (p50, p99) = (percentile(&mut took, 50), percentile(&mut took, 99));
    started.stop().await;
    servers.stop().await;
    let row = |what, ours, goal| Row { what, ours, floor: String::new(), ratio: String::new(), goal, disk };
    let mut rows = vec![
        Row {
            what: "Events accrued one by one, 16 callers",
            ours: format!("{singles:.0}/s"),
            floor: format!("{floor:.0}/s"),
            ratio: ratio(singles, floor),
            goal: ">= 4,000/s",
            disk,
        },
        row("Their p50", ms(p50), ""),
        row("Their p99", ms(p99), "< 20 ms"),
        row("Events accrued in batches of 1,000, 4 callers", format!("{batches:.0}/s"), ">= 15,000/s"),
        row("Events of a program with tiers, 16 callers", format!("{tiered:.0}/s"), ""),
        row("Events one by one beside the audit log", format!("{audited:.0}/s"), ""),
        row("Clicks on links, 64 callers", format!("{clicks:.0}/s"), ""),
        row("Links followed over HTTP, 16 connections", format!("{followed:.0}/s"), ">= 10,000/s"),
    ];
    rows.extend(posted);
    Ok(rows)
}

/// Customers that a program with tiers pays for too.
async fn tiered(shop: &Shop) -> Result<f64> {
    let tier = |volume: &str, percent: &str| Tier {
        volume: volume.to_owned(),
        currency: "USD".to_owned(),
        reward: percent.to_owned(),
    };
    let tiers = vec![tier("1000000", "22"), tier("2000000", "25")];
    let shop = shop.beside("Tiers", tiers).await?;
    let first = EVENTS + BATCHES * BATCH;
    shop.identify(first..first + TIERED).await?;
    Ok(shop.singles(first..first + TIERED).await?.0)
}

/// The audit log records the same events meanwhile, after it has recorded all that came before.
async fn audited(shop: &Shop, servers: &Servers, started: &Started) -> Result<f64> {
    let first = EVENTS + BATCHES * BATCH + TIERED;
    shop.identify(first..first + AUDITED).await?;
    let bus = servers.bus("audit").await?;
    let deps = audit::Deps {
        bus: bus.clone(),
        guard: Guard::new(shop.channel.clone()),
        clock: Arc::new(SystemClock),
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    audit::start(audit::Config::new(servers.postgres.url()), deps).await?;
    let recorded = || async {
        let pending = bus.pending(subject::EVENTS, "audit").await.ok()?;
        (pending.waiting == 0 && pending.unanswered == 0).then_some(())
    };
    testkit::eventually(Duration::from_secs(60), "the audit log has recorded everything", recorded).await;
    Ok(shop.singles(first..first + AUDITED).await?.0)
}

async fn open(servers: &Servers, started: &Started) -> Result<Shop> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let deps = identity::Deps {
        bus: servers.bus("identity").await?,
        guard: None,
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    let url = servers.postgres.url();
    let identity = identity::start(identity::Config::new(url), deps, Arc::clone(&clock)).await?;
    let owner =
        FirstUser { email: "owner@example.org".to_owned(), name: "Owner".to_owned(), role: Role::Owner };
    let operator = identity.operator();
    let organization = operator.bootstrap("Bench", &[owner], Duration::from_secs(60)).await?.organization_id;
    let key = |scopes| NewKey { label: "bench".to_owned(), product: String::new(), scopes, expires_at: None };
    let crm_key = operator.mint_api_key(organization, key([Scope::EventsWrite].into())).await?;
    let crm_key = crm_key.secret.expose_secret().to_owned();
    let key = operator.mint_api_key(organization, key(Scope::ALL.into())).await?;
    let key = key.secret.expose_secret().to_owned();
    let (listener, channel) = listen().await?;
    let rooms = listener.local_addr()?;
    let deps = attribution::Deps {
        bus: servers.bus("attribution").await?,
        guard: Guard::new(channel.clone()),
        vault: Arc::new(Vault::new(Keyring::generate("bench".parse()?))),
        clock,
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    let room = attribution::start(attribution::Config::new(url), deps).await?;
    let serving = Server::builder().add_service(identity.grpc()).add_service(room.grpc());
    let stopped = started.shutdown.clone().cancelled_owned();
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    started.tasks.spawn(serving.serve_with_incoming_shutdown(incoming, stopped));
    let client = AttributionClient::new(channel.clone());
    let shop = Shop { client, channel, key, crm_key, program: String::new(), links: Vec::new(), rooms };
    shop.beside("Spring", Vec::new()).await
}

/// One row with its commit, 16 writers.
async fn floor(url: &str) -> Result<f64> {
    const EACH: usize = 1_000;
    let pool: PgPool = chassis::pool(url, "public", 16).await?;
    sqlx::raw_sql("CREATE TABLE floor (id bigserial PRIMARY KEY, body text)").execute(&pool).await?;
    let began = Instant::now();
    let writers = (0..CALLERS).map(|_| async {
        let mut connection = pool.acquire().await?;
        for _ in 0..EACH {
            sqlx::query("INSERT INTO floor (body) VALUES ('opportunity_won')")
                .execute(&mut *connection)
                .await?;
        }
        Ok::<(), sqlx::Error>(())
    });
    futures::future::try_join_all(writers).await?;
    Ok(per_second(CALLERS * EACH, began.elapsed()))
}

impl Shop {
    fn with<T>(&self, message: T) -> Result<Request<T>> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.key).parse()?);
        Ok(request)
    }

    /// One with partners of its own, whose program has these tiers.
    async fn beside(&self, name: &str, tiers: Vec<Tier>) -> Result<Self> {
        let mut client = self.client.clone();
        let reward = Some(rule::Reward::Percent("20".to_owned()));
        let rules = vec![Rule { reward, tiers, ..Rule::default() }];
        let program = Program {
            name: name.to_owned(),
            destination_url: "https://shop.example/".to_owned(),
            terms: Some(Terms { rules, hold_days: HOLD_DAYS, ..Terms::default() }),
            ..Program::default()
        };
        let program = client.create_program(self.with(program)?).await?.into_inner().id;
        let mut links = Vec::with_capacity(PARTNERS);
        for number in 0..PARTNERS {
            let partner = CreatePartnerRequest {
                email: format!("{name}-{number}@example.org"),
                name: format!("Partner {number}"),
                ..CreatePartnerRequest::default()
            };
            let partner_id = client.create_partner(self.with(partner)?).await?.into_inner().id;
            let key = format!("{name}-{number}");
            let link = CreateLinkRequest {
                key: key.clone(),
                partner_id,
                program_id: program.clone(),
                ..CreateLinkRequest::default()
            };
            client.create_link(self.with(link)?).await?;
            links.push(key);
        }
        Ok(Self { client, program, links, ..self.clone() })
    }

    async fn click(&self, number: usize) -> Result<String> {
        let link_key = self.links[number % self.links.len()].clone();
        let request = FollowLinkRequest { link_key, ..FollowLinkRequest::default() };
        Ok(self.client.clone().follow_link(request).await?.into_inner().click_id)
    }

    async fn identify(&self, users: std::ops::Range<usize>) -> Result<()> {
        let one = |number: usize| async move {
            let click_id = self.click(number).await?;
            let user_id = format!("user-{number}");
            let request = IdentifyRequest { click_id, user_id, ..IdentifyRequest::default() };
            self.client.clone().identify(request).await?;
            Ok::<(), anyhow::Error>(())
        };
        stream::iter(users).map(one).buffer_unordered(256).try_collect().await
    }

    async fn record(&self, users: std::ops::Range<usize>) -> Result<()> {
        let event = |number| NewEvent {
            user_id: format!("user-{number}"),
            r#type: "opportunity_won".to_owned(),
            value: Some("4500.00".to_owned()),
            metadata_json: format!(r#"{{"deal_id":"D-{number}","stage":"closedwon"}}"#),
            ..NewEvent::default()
        };
        let request = RecordEventsRequest { events: users.map(event).collect() };
        let answers = self.client.clone().record_events(self.with(request)?).await?.into_inner().answers;
        for answer in answers {
            let Some(event_answer::Answer::Recorded(recorded)) = answer.answer else {
                anyhow::bail!("an event was refused: {answer:?}");
            };
            let pays = recorded.touches.first().is_some_and(|touch| !touch.commission_id.is_empty());
            ensure!(pays, "an event accrued nothing: {recorded:?}");
        }
        Ok(())
    }

    async fn singles(&self, users: std::ops::Range<usize>) -> Result<(f64, Vec<Duration>)> {
        let count = users.len();
        let began = Instant::now();
        let callers = (0..CALLERS).map(|caller| {
            let own = users.clone().skip(caller).step_by(CALLERS);
            async move {
                let mut took = Vec::with_capacity(count / CALLERS);
                for number in own {
                    let at = Instant::now();
                    self.record(number..number + 1).await?;
                    took.push(at.elapsed());
                }
                Ok::<_, anyhow::Error>(took)
            }
        });
        let took = futures::future::try_join_all(callers).await?.concat();
        Ok((per_second(count, began.elapsed()), took))
    }

    async fn batches(&self) -> Result<f64> {
        let began = Instant::now();
        let one = |batch: usize| {
            let first = EVENTS + batch * BATCH;
            self.record(first..first + BATCH)
        };
        stream::iter(0..BATCHES).map(one).buffer_unordered(BATCH_CALLERS).try_collect::<()>().await?;
        Ok(per_second(BATCHES * BATCH, began.elapsed()))
    }

    async fn clicks(&self) -> Result<f64> {
        let began = Instant::now();
        let one = |number: usize| async move { self.click(number).await.map(drop) };
        stream::iter(0..EVENTS).map(one).buffer_unordered(64).try_collect::<()>().await?;
        Ok(per_second(EVENTS, began.elapsed()))
    }

    async fn verify(&self) -> Result<u64> {
        let request = self.with(VerifyRequest {})?;
        let found = self.client.clone().verify(request).await.context("verify")?.into_inner();
        ensure!(found.whole, "the ledger differs from the facts: {:?}", found.differences);
        Ok(found.events)
    }
}
