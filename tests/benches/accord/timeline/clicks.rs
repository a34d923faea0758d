use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use bus::{Message, subject};
use connector_slack::{Config, Slack};
use model::{Clock, PostButton, PostContent, PostId, PostMessage, SystemClock, kind};
use sandbox::slack::Settings;
use serde_json::{Value as Json, json};
use tokio::{
    net::TcpListener,
    time::{Instant, MissedTickBehavior, interval},
};
use url::Url;

use super::{crm, number};
use crate::{
    servers::Servers,
    stage::Started,
    table::{Row, ms, note, percentile, times},
    vendor::{Rooms, Sandbox},
};

const CLICKS_PER_SECOND: u64 = 50;
const SECONDS: usize = 20;
const GOAL: Duration = Duration::from_millis(100);
const CHANNEL: &str = "deals";

/// A message with a button is posted as rules post it, and clicked all the time; Slack's side of the wire says how long each
/// acknowledgement took: signature, replay and the bus included. Every click is of somebody who was never seen before.
pub(super) async fn measure() -> Result<Row> {
    let clicks = number("SECONDS", SECONDS)? * usize::try_from(CLICKS_PER_SECOND)?;
    let sandbox = Sandbox::start("slack", json!({ "rate_limits": false })).await?;
    let servers = Servers::start().await?;
    let started = Started::default();
    let settings = Settings::default();
    let config = Config {
        client_id: settings.client_id,
        client_secret: settings.client_secret.into(),
        signing_secret: settings.signing_secret.into(),
        base_url: sandbox.url.clone(),
    };
    let slack = Arc::new(Slack::new(config).without_limits());
    let mut rooms = Rooms::open(&servers, &started, &started, slack).await?;
    let _crm = crm(&servers, &started, &rooms).await?;
    let door = serve_gateway(&started, &rooms).await?;
    sandbox.control("settings", &json!({ "interactivity_url": door })).await?;
    sandbox.control("channel", &json!({ "name": CHANNEL, "with_app": true })).await?;
    let click = posted(&sandbox, &servers, &mut rooms).await?;
    let mut strangers = Vec::with_capacity(clicks);
    for number in 0..clicks {
        let person = json!({ "real_name": format!("Person {number}") });
        strangers.push(sandbox.ask("user", &person).await?["user"]["id"].clone());
    }
    let mut took = Vec::with_capacity(clicks);
    let mut answers = tokio::task::JoinSet::new();
    let mut tick = interval(Duration::from_secs(1) / u32::try_from(CLICKS_PER_SECOND)?);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let began = Instant::now();
    for user in strangers {
        tick.tick().await;
        let mut click = click.clone();
        click["user"] = user;
        let asking = sandbox.ask("click", &click);
        answers.spawn(asking);
    }
    while let Some(answer) = answers.join_next().await {
        took.push(acknowledged(&answer??)?);
    }
    let passed = began.elapsed();
    started.stop().await;
    servers.stop().await;
    let (p50, p99) = (percentile(&mut took, 50), percentile(&mut took, 99));
    note(&format!("clicks: {clicks} in {passed:.1?}, p50 {p50:?}, p99 {p99:?}"));
    Ok(Row {
        what: "Slack acknowledged at 50 clicks/s, p99",
        ours: ms(p99),
        floor: ms(GOAL),
        ratio: times(p99, GOAL),
        goal: "< 100 ms",
        disk: None,
    })
}

/// The address at which a gateway before these rooms takes clicks.
async fn serve_gateway(started: &Started, rooms: &Rooms) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let door = format!("http://{}", listener.local_addr()?);
    let url = || rooms.url.clone();
    let gateway = gateway::app(gateway::Config {
        identity_url: url(),
        sync_url: url(),
        audit_url: url(),
        attribution_url: url(),
        crm_url: url(),
        connections_url: url(),
        public_api_url: Url::parse(&door)?,
        public_console_url: Url::parse(&door)?,
        cookie_domain: None,
        key_budget: gateway::Budget::OF_AN_ADDRESS,
        identify_budget: gateway::Budget::OF_AN_ADDRESS,
        trusted_proxy: false,
        visitor_secret: "bench".into(),
    })?;
    let stopped = started.shutdown.clone().cancelled_owned();
    let serving = axum::serve(listener, gateway).with_graceful_shutdown(stopped);
    started.tasks.spawn(async move {
        if let Err(error) = serving.await {
            note(&format!("the gateway ended: {error}"));
        }
    });
    Ok(format!("{door}/slack/interactions"))
}

/// Connects the workspace and has a message posted there; gives the click on its button.
async fn posted(sandbox: &Sandbox, servers: &Servers, rooms: &mut Rooms) -> Result<Json> {
    let workspace = sandbox.told("workspace").await?;
    let list = |name: &str| workspace[name].as_array().cloned().unwrap_or_default();
    let id = |found: Option<Json>| found.and_then(|it| it["id"].as_str().map(str::to_owned));
    let user = id(list("users").into_iter().find(|user| user["name"] == "olivia")).context("find Olivia")?;
    let is_ours = |channel: &Json| channel["name"] == CHANNEL;
    let channel = id(list("channels").into_iter().find(is_ours)).context("find the channel")?;
    let team = sandbox.told("health").await?["teams"][0].as_str().context("find the team")?.to_owned();
    let answers = [("decision", "allow".to_owned()), ("by", format!("{team} {user}"))];
    let connection = sandbox.connect_as("slack", rooms, &answers).await?;
    let now = SystemClock.now();
    let button = PostButton {
        action: "bench".to_owned(),
        label: "Click".to_owned(),
        value: "x".to_owned(),
        style: String::new(),
    };
    let content =
        PostContent { title: "A bench".to_owned(), buttons: vec![button], ..PostContent::default() };
    let post = PostMessage {
        connection,
        post: PostId::generate(now),
        channel: channel.clone(),
        replaces: None,
        content,
    };
    let place = subject::post("slack", subject::partition(&connection), &rooms.organization);
    let bus = servers.bus("bench").await?;
    bus.publish(&Message::json(place, kind::POST, "bench", rooms.organization, now, &post)?).await?;
    let found = sandbox.told(&format!("wait?channel={channel}&contains=bench&timeout_ms=60000")).await?;
    let message = found["messages"][0].clone();
    let ts = message["ts"].as_str().context("find the message")?.to_owned();
    let blocks = message["blocks"].as_array().context("find the blocks")?.iter();
    let mut buttons = blocks.filter_map(|block| block["elements"][0]["action_id"].as_str());
    let action = buttons.next_back().context("find the button")?;
    Ok(json!({ "team": team, "channel": channel, "ts": ts, "user": user, "action_id": action }))
}

/// How long the acknowledgement of a click took.
fn acknowledged(answer: &Json) -> Result<Duration> {
    let delivery = &answer["delivery"];
    ensure!(delivery["state"] == "acknowledged", "a click was not acknowledged: {delivery}");
    let took_ms = delivery["attempts"][0]["took_ms"].as_f64().context("find how long it took")?;
    Ok(Duration::from_secs_f64(took_ms / 1_000.0))
}
