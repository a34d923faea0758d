//! Facts about connections: their state and their schemas, from the connectors' events.

use std::sync::Arc;

use bus::{ConsumerConfig, Delivery, Message, subject};
use model::{
    BudgetLevel, BudgetReached, ConnectionChanged, ConnectionId, ConnectionState, IssueCategory, Lane,
    LinkId, OrganizationId, SchemaRefreshed, SyncRunFinished, kind,
};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error,
    consumer::Patience,
    drifts,
    engine::Engine,
    error::category_name,
    jobs, publisher, review,
    store::{self, connections::Told, issues::StoredIssue},
};

const CONSUMER: &str = "sync-engine-connections";

/// Consumes until shutdown. A bus that fails is opened again.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => return,
            ended = consume(&engine) => {
                if let Err(error) = ended {
                    tracing::error!(%error, "the consumer of connections stopped and is opened again");
                }
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        }
    }
}

async fn consume(engine: &Engine) -> Result<(), Error> {
    let config =
        ConsumerConfig::new(subject::EVENTS, CONSUMER).filtered(["connection.>", "schema.>", "sync.>"]);
    let mut consumer = engine.bus.consumer(config).await?;
    loop {
        let mut deliveries = consumer.next_batch().await?;
        deliveries.reverse();
        while let Some(delivery) = deliveries.pop() {
            let mut patience = Patience::new();
            let done = loop {
                match process(engine, &delivery).await {
                    Err(error) if error.passes() => patience.wait(&error, &deliveries).await?,
                    done => break done,
                }
            };
            answer(delivery, done).await?;
        }
    }
}

async fn answer(delivery: Delivery, done: Result<(), Error>) -> Result<(), Error> {
    match done {
        Ok(()) => delivery.ack().await?,
        Err(Error::Bus(error)) if error.kind() == bus::ErrorKind::Undecodable => {
            delivery.dead_letter("event_undecodable", &error.to_string()).await?;
        }
        Err(error) => {
            tracing::warn!(%error, event = %delivery.message.envelope.id, "a connection's event failed");
            delivery.fail("event_failed").await?;
        }
    }
    Ok(())
}

async fn process(engine: &Engine, delivery: &Delivery) -> Result<(), Error> {
    let (message, replayed) = (&delivery.message, delivery.replayed);
    let sequence = i64::try_from(delivery.stream_sequence).unwrap_or(i64::MAX);
    let told = |at| Told { at, sequence, replayed };
    let organization = message.envelope.organization;
    if message.envelope.kind == kind::CONNECTION_AUTHORIZED {
        forget_what_was_in_flight(engine, message).await?;
    }
    let mut tx = engine.pool.begin().await?;
    let ids = [message.envelope.id.clone()];
    if replayed {
        bus::inbox::forget(&mut tx, CONSUMER, &ids).await?;
    }
    if bus::inbox::fresh(&mut tx, CONSUMER, &ids).await?.is_empty() {
        return Ok(());
    }
    match message.envelope.kind.as_str() {
        kind::SCHEMA_REFRESHED => {
            let schema: SchemaRefreshed = message.decode()?;
            let told = told(schema.at);
            take_schema(engine, &mut tx, organization, schema, told).await?;
        }
        kind::CONNECTION_AUTHORIZED | kind::CONNECTION_CHANGED | kind::CONNECTION_DISCONNECTED => {
            let change: ConnectionChanged = message.decode()?;
            let (Some(id), Some(state)) = (change.connection, change.state) else { return Ok(()) };
            let before = store::connections::state(&mut tx, id).await?;
            let stored = store::connections::put_state(
                &mut tx,
                organization,
                id,
                &change.vendor,
                state,
                told(change.at),
            );
            let newest = stored.await?;
            if newest && message.envelope.kind == kind::CONNECTION_AUTHORIZED {
                let unwatched = before.as_deref() == Some(ConnectionState::Disconnected.name());
                publisher::request_captures(engine, &mut tx, organization, id, unwatched).await?;
            }
        }
        kind::BUDGET_REACHED => {
            let reached: BudgetReached = message.decode()?;
            let told = told(reached.at);
            if store::connections::note_budget(&mut tx, organization, reached.connection, told).await? {
                take_budget(&mut tx, organization, &reached).await?;
            }
        }
        kind::SYNC_RUN_FINISHED => {
            note_run(&mut tx, message).await?;
        }
        _ => {}
    }
    tx.commit().await?;
    engine.waker.wake();
    Ok(())
}

/// A vendor's schema was read. It counts once all its parts are here.
async fn take_schema(
    engine: &Engine,
    tx: &mut PgConnection,
    organization: OrganizationId,
    schema: SchemaRefreshed,
    told: Told,
) -> Result<(), Error> {
    let SchemaRefreshed { connection, vendor, objects, part, at } = schema;
    let objects = match part {
        None => objects,
        Some(part) => {
            let whole = store::schemas::add_part(tx, organization, connection, part, &objects, at).await?;
            let Some(whole) = whole else { return Ok(()) };
            whole
        }
    };
    let before = store::connections::get(tx, connection).await?;
    let newest =
        store::connections::put_objects(tx, organization, connection, &vendor, &objects, told).await?;
    let read = |before: &store::connections::Connection| {
        newest && before.organization == organization && !before.objects.is_empty()
    };
    if let Some(before) = before.filter(read) {
        drifts::take(engine, tx, &before, &objects).await?;
    }
    if let Some(now) = store::connections::get(tx, connection).await?.filter(|_| newest) {
        review::map_attribution(engine, tx, &now).await?;
    }
    Ok(())
}

/// The use of a budget reached a level: a low one is an issue of the connection, until there is enough again.
async fn take_budget(
    tx: &mut PgConnection,
    organization: OrganizationId,
    reached: &BudgetReached,
) -> Result<(), Error> {
    let place = place_of_budget(reached.connection);
    let calls = reached.budget.map_or(0, |budget| budget.calls);
    let message = match reached.level {
        BudgetLevel::Ok => {
            return store::issues::clear(tx, &[(place, String::new())], reached.at).await;
        }
        BudgetLevel::Warning => format!(
            "{} of the {calls} API calls of the budget are used: history waits, live changes go on",
            reached.used
        ),
        BudgetLevel::Spent => format!(
            "all {calls} API calls of the budget are used: reading and writing go on at {}, or when the budget is raised",
            reached.turns_at.strftime("%H:%M:%S UTC")
        ),
    };
    let issue = StoredIssue {
        id: Uuid::now_v7(),
        organization,
        connection: reached.connection,
        link: place,
        record: None,
        vendor_id: None,
        field: String::new(),
        category: category_name(IssueCategory::RateLimit).to_owned(),
        message,
        state: "open".to_owned(),
        at: reached.at,
    };
    store::issues::open(tx, &[issue]).await
}

/// An issue of a budget is about no record, so the connection stands where the link would.
pub(crate) fn place_of_budget(connection: ConnectionId) -> LinkId {
    LinkId::from_uuid(connection.uuid())
}

/// A reading ended that brought changes: it can be put back.
async fn note_run(tx: &mut sqlx::PgConnection, message: &Message) -> Result<(), Error> {
    let fact: SyncRunFinished = message.decode()?;
    let lane = match fact.run.as_str() {
        "backfill" => Lane::Backfill,
        "poll" | "manual" | "rescan" | "archive_sweep" | "quiet_sweep" => Lane::Live,
        _ => return Ok(()),
    };
    // One that failed in the middle can be put back as far as it came.
    if fact.published == 0 {
        return Ok(());
    }
    let run = store::runs::Run {
        id: uuid::Uuid::now_v7(),
        organization: message.envelope.organization,
        connection: fact.connection,
        vendor: fact.vendor,
        vendor_object: fact.vendor_object,
        kind: fact.run,
        state: "done".to_owned(),
        actor: message.envelope.actor.clone().unwrap_or_default(),
        cause: None,
        lane: Some(lane),
        started_at: fact.started_at,
        finished_at: Some(fact.finished_at),
        read: i64::try_from(fact.read).unwrap_or(i64::MAX),
        total: 0,
        done: 0,
        put_back: 0,
        stayed: 0,
        undo_of: None,
        undone_by: None,
    };
    store::runs::insert(tx, &run).await
}

/// A connection that was disconnected and is authorized again answers no write from before.
async fn forget_what_was_in_flight(engine: &Engine, message: &Message) -> Result<(), Error> {
    let change: ConnectionChanged = message.decode()?;
    let Some(id) = change.connection else { return Ok(()) };
    let mut db = engine.pool.acquire().await?;
    let before = store::connections::state(&mut db, id).await?;
    drop(db);
    if before.as_deref() == Some(ConnectionState::Disconnected.name()) {
        jobs::reset_connection(engine, message.envelope.organization, id).await?;
    }
    Ok(())
}
