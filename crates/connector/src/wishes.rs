//! What the sync-engine and conversion rules want read: events in.

use std::{sync::Arc, time::Duration};

use bus::{Consumer, ConsumerConfig, Delivery, Message, inbox, subject};
use model::{CaptureRequested, CaptureStopped, ReadRequested, VerifyRequested, WatchRequested, kind};
use tokio_util::sync::CancellationToken;

use crate::{core::Core, failure::Failure, store::Store};

const CONSUMER: &str = "connector-wishes";
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// Stores wishes until the shutdown.
pub(crate) async fn run(core: Arc<Core>, shutdown: CancellationToken) {
    let work = async {
        loop {
            if let Err(failure) = consume(&core).await {
                tracing::warn!(error = %failure, "could not take what is to be read");
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
        }
    };
    shutdown.run_until_cancelled(work).await;
}

async fn consume(core: &Core) -> Result<(), Failure> {
    let config = ConsumerConfig::new(subject::EVENTS, CONSUMER).filtered(["capture.>"]);
    let mut consumer: Consumer = core.bus.consumer(config).await?;
    loop {
        for delivery in consumer.next_batch().await? {
            take(core, delivery).await?;
        }
    }
}

enum Wish {
    Capture(CaptureRequested),
    Stop(CaptureStopped),
    Watch(WatchRequested),
    Verify(VerifyRequested),
    Read(ReadRequested),
}

/// The wish in a message; none when it has another one.
fn read(message: &Message) -> Result<Option<Wish>, bus::Error> {
    Ok(match message.envelope.kind.as_str() {
        kind::CAPTURE_REQUESTED => Some(Wish::Capture(message.decode()?)),
        kind::CAPTURE_STOPPED => Some(Wish::Stop(message.decode()?)),
        kind::WATCH_REQUESTED => Some(Wish::Watch(message.decode()?)),
        kind::VERIFY_REQUESTED => Some(Wish::Verify(message.decode()?)),
        kind::READ_REQUESTED => Some(Wish::Read(message.decode()?)),
        _ => None,
    })
}

async fn take(core: &Core, delivery: Delivery) -> Result<(), Failure> {
    let envelope = &delivery.message.envelope;
    let (organization, id, said_at) = (envelope.organization, envelope.id.clone(), envelope.time);
    let wish = match read(&delivery.message) {
        Ok(wish) => wish,
        Err(error) => return Ok(delivery.dead_letter("wish_undecodable", &error.to_string()).await?),
    };
    let mut tx = core.store.pool.begin().await?;
    if inbox::fresh(&mut tx, CONSUMER, std::slice::from_ref(&id)).await?.is_empty() {
        return Ok(delivery.ack().await?);
    }
    let is_known = match &wish {
        Some(Wish::Capture(wish)) => Store::put_capture(&mut tx, organization, wish, said_at).await?,
        Some(Wish::Watch(wish)) => Store::put_watch(&mut tx, organization, wish, said_at).await?,
        _ => true,
    };
    if !is_known {
        let detail = "no connection of this organization has this id";
        return Ok(delivery.dead_letter("connection_unknown", detail).await?);
    }
    match &wish {
        Some(Wish::Stop(wish)) => {
            let (connection, object) = (wish.connection, wish.vendor_object.as_str());
            Store::stop_capture(&mut tx, organization, connection, object, said_at).await?;
        }
        Some(Wish::Verify(wish)) => Store::put_verify(&mut tx, organization, wish).await?,
        Some(Wish::Read(wish)) => {
            let (connection, object) = (wish.connection, wish.vendor_object.as_str());
            Store::want(&mut tx, organization, connection, object, &wish.ids, said_at).await?;
        }
        Some(Wish::Capture(_) | Wish::Watch(_)) | None => {}
    }
    tx.commit().await?;
    delivery.ack().await?;
    match &wish {
        Some(Wish::Read(wish)) => {
            if let Some(link) = core.link_at_hand(wish.connection) {
                link.wanted.send_modify(|count| *count += 1);
            }
        }
        _ => core.changed.notify_one(),
    }
    Ok(())
}
