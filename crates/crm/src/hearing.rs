//! How messages are heard whose effect is stored once: each in a transaction of its own, with the inbox.

use std::{future::Future, time::Duration};

use bus::{Bus, ConsumerConfig, Delivery, Message};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Error;

/// How often one is tried that fails for good, before it becomes a dead letter.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_millis(200);

/// What is done with the messages of a durable consumer.
pub(crate) trait Hears: Sync {
    /// The stream.
    const STREAM: &'static str;
    /// The durable consumer's name.
    const DURABLE: &'static str;
    /// Which subjects.
    const FILTERS: &'static [&'static str];
    /// The reason of a dead letter.
    const FAILED: &'static str;
    /// A message that something is done with.
    type Heard: Send + Sync;

    /// The bus that it is heard from.
    fn bus(&self) -> &Bus;

    /// Reads a message; none where nothing is done with it.
    fn read(message: &Message) -> Result<Option<Self::Heard>, bus::Error>;

    /// Has its effect, which a repeat has not again.
    fn keep(&self, message: &Message, heard: &Self::Heard) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Consumes until shutdown. A bus that fails is opened again.
pub(crate) async fn run<H: Hears>(hears: H, shutdown: CancellationToken) {
    let work = async {
        loop {
            if let Err(error) = consume(&hears).await {
                tracing::error!(consumer = H::DURABLE, %error, "a consumer stopped and is opened again");
            }
            sleep(PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(work).await;
}

async fn consume<H: Hears>(hears: &H) -> Result<(), Error> {
    let config = ConsumerConfig::new(H::STREAM, H::DURABLE).filtered(H::FILTERS.iter().copied());
    let mut consumer = hears.bus().consumer(config).await?;
    loop {
        let mut passed = Vec::new();
        for delivery in consumer.next_batch().await? {
            match H::read(&delivery.message) {
                Ok(Some(heard)) => handle(hears, delivery, &heard).await?,
                Ok(None) => passed.push(delivery),
                Err(error) => delivery.dead_letter("event_undecodable", &error.to_string()).await?,
            }
        }
        bus::ack_all(passed).await?;
    }
}

async fn handle<H: Hears>(hears: &H, delivery: Delivery, heard: &H::Heard) -> Result<(), Error> {
    let mut tries = 0;
    while let Err(error) = hears.keep(&delivery.message, heard).await {
        let event = &delivery.message.envelope.id;
        tries += u32::from(!error.is_transient());
        if tries == TRIES {
            tracing::error!(%error, event, "an event failed");
            delivery.fail(H::FAILED).await?;
            return Ok(());
        }
        tracing::warn!(%error, event, "an event is tried again");
        sleep(PAUSE).await;
        delivery.in_progress().await?;
    }
    Ok(delivery.ack().await?)
}
