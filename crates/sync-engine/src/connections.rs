//! Facts about connections: their state and their schemas, from the connectors' events.

use std::sync::Arc;

use bus::{ConsumerConfig, Delivery, Message, subject};
use model::{ConnectionChanged, ConnectionState, SchemaRefreshed, kind};
use tokio_util::sync::CancellationToken;

use crate::{Error, consumer::Patience, drifts, engine::Engine, jobs, publisher, store};

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
    let config = ConsumerConfig::new(subject::EVENTS, CONSUMER).filtered(["connection.>", "schema.>"]);
    let mut consumer = engine.bus.consumer(config).await?;
    loop {
        let mut deliveries = consumer.next_batch().await?;
        deliveries.reverse();
        while let Some(delivery) = deliveries.pop() {
            let mut patience = Patience::new();
            let done = loop {
                match process(engine, &delivery.message, delivery.replayed).await {
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

async fn process(engine: &Engine, message: &Message, replayed: bool) -> Result<(), Error> {
    let (organization, now) = (message.envelope.organization, engine.clock.now());
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
            let SchemaRefreshed { connection, vendor, objects, at } = schema;
            let before = store::connections::get(&mut tx, connection).await?;
            let newest = store::connections::put_objects(
                &mut tx,
                organization,
                connection,
                &vendor,
                &objects,
                at,
                now,
            )
            .await?;
            let read = |before: &store::connections::Connection| {
                before.organization == organization && !before.objects.is_empty()
            };
            if let Some(before) = before.filter(read).filter(|_| newest) {
                drifts::take(engine, &mut tx, &before, &objects).await?;
            }
        }
        kind::CONNECTION_AUTHORIZED | kind::CONNECTION_CHANGED | kind::CONNECTION_DISCONNECTED => {
            let change: ConnectionChanged = message.decode()?;
            let (Some(id), Some(state)) = (change.connection, change.state) else { return Ok(()) };
            let before = store::connections::state(&mut tx, id).await?;
            let (vendor, at) = (change.vendor.as_str(), change.at);
            let newest =
                store::connections::put_state(&mut tx, organization, id, vendor, state, at, now).await?;
            if newest && message.envelope.kind == kind::CONNECTION_AUTHORIZED {
                let unwatched = before.as_deref() == Some(ConnectionState::Disconnected.name());
                publisher::request_captures(engine, &mut tx, organization, id, unwatched).await?;
            }
        }
        _ => {}
    }
    tx.commit().await?;
    engine.waker.wake();
    Ok(())
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
