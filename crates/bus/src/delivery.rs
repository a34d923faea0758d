use std::time::Duration;

use async_nats::{HeaderMap, jetstream::AckKind};

use crate::{Bus, ConsumerConfig, Error, Message, dead, envelope::header, pull::Settle};

/// One delivery of a message to a consumer. Dropped without an answer, it is redelivered after the backoff.
pub struct Delivery {
    /// The message.
    pub message: Message,
    /// How often it was delivered to this consumer, this time included.
    pub attempt: u64,
    /// Its place in the stream.
    pub stream_sequence: u64,
    /// Whether an operator replayed it from the dead letters.
    pub replayed: bool,
    bus: Bus,
    stream: String,
    consumer: String,
    max_deliver: u64,
    headers: Option<HeaderMap>,
    settle: Settle,
}

/// What became of a delivery that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It will be delivered again.
    Retried,
    /// It was the last attempt: it is a dead letter now.
    DeadLettered,
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("id", &self.message.envelope.id)
            .field("subject", &self.message.subject)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

impl Delivery {
    pub(crate) fn new(
        bus: Bus,
        config: &ConsumerConfig,
        message: Message,
        headers: Option<HeaderMap>,
        settle: Settle,
    ) -> Self {
        Self {
            message,
            attempt: settle.attempt,
            stream_sequence: settle.sequence,
            replayed: headers.as_ref().is_some_and(|headers| headers.get(header::REPLAY.clone()).is_some()),
            bus,
            stream: config.stream.clone(),
            consumer: config.durable.clone(),
            max_deliver: config.max_deliver,
            headers,
            settle,
        }
    }

    /// The dead letter that this is, where it was delivered from the stream of dead letters.
    #[must_use]
    pub fn as_dead_letter(&self) -> Option<dead::DeadLetter> {
        let headers = self.headers.as_ref()?;
        let body = self.message.body.clone();
        dead::delivered(self.stream_sequence, self.settle.published_ns, headers, body)
    }

    /// The message is done. Call it after the effect is committed, never before: an acknowledgement that gets
    /// lost means one more delivery, which the inbox recognizes.
    ///
    /// # Errors
    /// The connection is closed for good.
    pub async fn ack(mut self) -> Result<(), Error> {
        self.settle.answer(AckKind::Ack).await
    }

    /// Asks for redelivery after this delay.
    ///
    /// # Errors
    /// The connection is closed for good.
    pub async fn nak(mut self, delay: Duration) -> Result<(), Error> {
        self.settle.answer(AckKind::Nak(Some(delay))).await
    }

    /// The work goes on: the time to acknowledge starts again.
    ///
    /// # Errors
    /// The connection is closed for good.
    pub async fn in_progress(&self) -> Result<(), Error> {
        self.settle.in_progress().await
    }

    /// The work failed: try again after the backoff, or, after the last attempt, keep it as a dead letter with
    /// this reason, a stable `lowercase_snake` code.
    ///
    /// # Errors
    /// The dead letter could not be stored; the message stays. Stop consuming.
    pub async fn fail(mut self, reason: &str) -> Result<Outcome, Error> {
        if self.attempt < self.max_deliver {
            let delay = self.settle.redeliver_after();
            self.settle.answer(AckKind::Nak(Some(delay))).await?;
            return Ok(Outcome::Retried);
        }
        let detail = format!("gave up after {} attempts", self.attempt);
        self.dead_letter(reason, &detail).await?;
        Ok(Outcome::DeadLettered)
    }

    /// Trying again cannot help: keeps the message as a dead letter with this reason, a stable `lowercase_snake`
    /// code, and a sentence for the operator without personal data; then acknowledges it.
    ///
    /// # Errors
    /// The dead letter could not be stored; the message stays. Stop consuming.
    pub async fn dead_letter(mut self, reason: &str, detail: &str) -> Result<(), Error> {
        let burial = dead::Burial {
            stream: &self.stream,
            consumer: &self.consumer,
            sequence: self.stream_sequence,
            attempts: self.attempt,
            reason,
            detail,
            subject: &self.message.subject,
            headers: self.headers.as_ref(),
            body: self.message.body.clone(),
        };
        burial.publish(&self.bus).await?;
        self.settle.answer(AckKind::Ack).await
    }
}

/// Acknowledges a whole batch, after its effect is committed.
///
/// # Errors
/// The connection is closed for good; what is not acknowledged is redelivered.
pub async fn ack_all(deliveries: impl IntoIterator<Item = Delivery>) -> Result<(), Error> {
    for delivery in deliveries {
        delivery.ack().await?;
    }
    Ok(())
}
