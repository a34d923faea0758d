//! Pulling raw messages from a durable consumer, whatever happens to the server in between.

use std::{task::Poll, time::Duration};

use async_nats::{
    HeaderMap,
    jetstream::{
        self, AckKind,
        consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
        stream::ConsumerErrorKind,
    },
};
use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use tokio::sync::mpsc;

use crate::{Bus, ConsumerConfig, Error, ErrorKind};

const OPEN: &str = "open a consumer";
const HEARTBEAT: Duration = Duration::from_secs(5);
const EXPIRES: Duration = Duration::from_secs(30);
const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(2);

/// A delivered message, before its envelope is read.
pub(crate) struct Raw {
    pub(crate) subject: String,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) body: Bytes,
    pub(crate) settle: Settle,
}

/// The duty to answer a delivery: unanswered when it is dropped, it asks for redelivery.
pub(crate) struct Settle {
    reply: async_nats::Subject,
    client: async_nats::Client,
    dropped: mpsc::UnboundedSender<Dropped>,
    settled: bool,
    /// How often it was delivered, this time included.
    pub(crate) attempt: u64,
    /// Its place in the stream.
    pub(crate) sequence: u64,
    /// When the stream took it, in nanoseconds since 1970.
    pub(crate) published_ns: i128,
    redeliver_after: Duration,
}

struct Dropped {
    reply: async_nats::Subject,
    redeliver_after: Duration,
}

impl Settle {
    pub(crate) async fn answer(&mut self, answer: AckKind) -> Result<(), Error> {
        let sent = self.client.publish(self.reply.clone(), answer.into()).await;
        sent.map_err(|error| Error::caused(ErrorKind::Unreachable, "answer a delivery", error))?;
        self.settled = true;
        Ok(())
    }

    /// Tells the server that the work goes on: the time to acknowledge starts again.
    pub(crate) async fn in_progress(&self) -> Result<(), Error> {
        let sent = self.client.publish(self.reply.clone(), AckKind::Progress.into()).await;
        sent.map_err(|error| Error::caused(ErrorKind::Unreachable, "prolong a delivery", error))
    }

    /// How long a redelivery of this attempt waits.
    pub(crate) fn redeliver_after(&self) -> Duration {
        self.redeliver_after
    }
}

impl Drop for Settle {
    fn drop(&mut self) {
        if !self.settled {
            let dropped = Dropped { reply: self.reply.clone(), redeliver_after: self.redeliver_after };
            // Without a listener the process is ending; the server redelivers when the time to acknowledge is over.
            let _ended = self.dropped.send(dropped);
        }
    }
}

/// A durable pull consumer that is opened again after every failure.
pub(crate) struct Pull {
    bus: Bus,
    config: ConsumerConfig,
    stream: Option<pull::Stream>,
    retry_after: Duration,
    dropped: mpsc::UnboundedSender<Dropped>,
}

impl Pull {
    pub(crate) async fn open(bus: Bus, config: ConsumerConfig) -> Result<Self, Error> {
        let (dropped, queue) = mpsc::unbounded_channel();
        tokio::spawn(send_back(bus.client().clone(), queue));
        let mut pull = Self { bus, config, stream: None, retry_after: FIRST_RETRY, dropped };
        pull.stream = Some(pull.reopen().await?);
        Ok(pull)
    }

    pub(crate) fn bus(&self) -> &Bus {
        &self.bus
    }

    pub(crate) fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    /// Waits for a message, then takes every further one that is there already, at most `max_batch`. Empty when
    /// none came within `max_wait_ms`. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<Vec<Raw>, Error> {
        let wait = Duration::from_millis(self.config.max_wait_ms);
        let Ok(first) = tokio::time::timeout(wait, self.first()).await else { return Ok(Vec::new()) };
        let mut batch = vec![first?];
        let room = self.config.max_batch.saturating_sub(1);
        // tokio's cooperative budget would end the gathering after some 64 messages.
        let (more, failure) = tokio::task::unconstrained(self.ready(room)).await;
        batch.extend(more);
        if let Some(failure) = failure {
            self.lose(&failure);
        }
        Ok(batch)
    }

    async fn first(&mut self) -> Result<Raw, Error> {
        loop {
            let Some(stream) = &mut self.stream else {
                match self.reopen().await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(error) if error.is_transient() => {
                        tracing::debug!(consumer = self.config.durable, %error, "opening the consumer again");
                        tokio::time::sleep(self.retry_after).await;
                        self.retry_after = (self.retry_after * 2).min(LAST_RETRY);
                    }
                    Err(error) => return Err(error),
                }
                continue;
            };
            match stream.next().await {
                Some(Ok(message)) => {
                    self.retry_after = FIRST_RETRY;
                    if let Some(raw) = self.raw(message) {
                        return Ok(raw);
                    }
                }
                Some(Err(error)) => self.lose(&error.to_string()),
                None => self.lose("the subscription ended"),
            }
        }
    }

    /// What is there without waiting, and the failure that ended it, if one did.
    async fn ready(&mut self, room: usize) -> (Vec<Raw>, Option<String>) {
        let mut batch = Vec::new();
        while batch.len() < room {
            let Some(stream) = &mut self.stream else { break };
            match futures::poll!(stream.next()) {
                Poll::Ready(Some(Ok(message))) => batch.extend(self.raw(message)),
                Poll::Ready(Some(Err(error))) => return (batch, Some(error.to_string())),
                Poll::Ready(None) => return (batch, Some("the subscription ended".to_owned())),
                Poll::Pending => break,
            }
        }
        (batch, None)
    }

    fn raw(&self, message: jetstream::Message) -> Option<Raw> {
        let (attempt, sequence, published_ns) = match message.info() {
            Ok(info) => (
                u64::try_from(info.delivered).unwrap_or(1),
                info.stream_sequence,
                info.published.unix_timestamp_nanos(),
            ),
            Err(error) => {
                tracing::error!(%error, "got a delivery that nobody can answer");
                return None;
            }
        };
        let message = message.message;
        let settle = Settle {
            reply: message.reply?,
            client: self.bus.client().clone(),
            dropped: self.dropped.clone(),
            settled: false,
            attempt,
            sequence,
            published_ns,
            redeliver_after: self.config.redeliver_after(attempt),
        };
        Some(Raw {
            subject: message.subject.to_string(),
            headers: message.headers,
            body: message.payload,
            settle,
        })
    }

    /// Gives up the pull stream; what it holds goes back at once, the next call opens a new one.
    fn lose(&mut self, reason: &str) {
        tracing::debug!(consumer = self.config.durable, reason, "lost the pull stream");
        self.give_back();
    }

    /// Sends back what was pulled ahead and not handed out, or it would wait until its time to acknowledge ends.
    fn give_back(&mut self) {
        let Some(mut stream) = self.stream.take() else { return };
        // tokio's cooperative budget would leave all but the first 128 behind.
        let mut next = || tokio::task::unconstrained(stream.next()).now_or_never();
        while let Some(Some(Ok(message))) = next() {
            drop(self.raw(message));
        }
    }

    async fn reopen(&self) -> Result<pull::Stream, Error> {
        let create =
            self.bus.jetstream().create_consumer_on_stream(self.config.to_nats(), &self.config.stream);
        let consumer: Consumer<pull::Config> = create.await.map_err(|error| match error.kind() {
            ConsumerErrorKind::JetStream(answer) => Error::jetstream(OPEN, answer),
            ConsumerErrorKind::InvalidName | ConsumerErrorKind::InvalidConsumerType => {
                Error::caused(ErrorKind::Invalid, OPEN, error)
            }
            _ => Error::caused(ErrorKind::Unreachable, OPEN, error),
        })?;
        let stream = consumer.stream().max_messages_per_batch(self.config.max_batch * 2);
        let stream = stream.heartbeat(HEARTBEAT).expires(EXPIRES).messages().await;
        stream.map_err(|error| Error::caused(ErrorKind::Unreachable, OPEN, error))
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Asks for the redelivery of what was dropped unanswered.
async fn send_back(client: async_nats::Client, mut queue: mpsc::UnboundedReceiver<Dropped>) {
    while let Some(Dropped { reply, redeliver_after }) = queue.recv().await {
        if let Err(error) = client.publish(reply, AckKind::Nak(Some(redeliver_after)).into()).await {
            tracing::debug!(%error, "could not send back a delivery, the server redelivers it later");
        }
    }
}

impl ConsumerConfig {
    fn to_nats(&self) -> pull::Config {
        let (filter_subject, filter_subjects) = match self.filters.as_slice() {
            [] => (String::new(), Vec::new()),
            [one] => (one.clone(), Vec::new()),
            many => (String::new(), many.to_vec()),
        };
        pull::Config {
            durable_name: Some(self.durable.clone()),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.ack_wait,
            max_deliver: i64::try_from(self.max_deliver).unwrap_or(i64::MAX),
            filter_subject,
            filter_subjects,
            max_ack_pending: i64::try_from(self.max_ack_pending).unwrap_or(i64::MAX),
            ..pull::Config::default()
        }
    }
}
