//! Pulling raw messages from a durable consumer, whatever happens to the server in between.

use std::time::Duration;

use async_nats::{
    HeaderMap,
    jetstream::{
        AckKind,
        consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
        stream::ConsumerErrorKind,
    },
};
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::{Bus, ConsumerConfig, Error, ErrorKind, feed::Feed};

const OPEN: &str = "open a consumer";
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
    back: mpsc::UnboundedSender<Back>,
    settled: bool,
    /// How often it was delivered, this time included.
    pub(crate) attempt: u64,
    /// Its place in the stream.
    pub(crate) sequence: u64,
    /// When the stream took it, in nanoseconds since 1970.
    pub(crate) published_ns: i128,
    redeliver_after: Duration,
}

/// What a consumer took and will not use.
enum Back {
    /// A delivery that was dropped unanswered.
    Delivery { reply: async_nats::Subject, redeliver_after: Duration },
    /// What it pulled ahead.
    Feed(Box<Feed>),
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
            let (reply, redeliver_after) = (self.reply.clone(), self.redeliver_after);
            // Without a listener the process is ending; the server redelivers when the time to acknowledge is over.
            let _ended = self.back.send(Back::Delivery { reply, redeliver_after });
        }
    }
}

/// A durable pull consumer that is opened again after every failure.
pub(crate) struct Pull {
    bus: Bus,
    config: ConsumerConfig,
    feed: Option<Feed>,
    retry_after: Duration,
    back: mpsc::UnboundedSender<Back>,
}

impl Pull {
    pub(crate) async fn open(bus: Bus, config: ConsumerConfig) -> Result<Self, Error> {
        let (back, queue) = mpsc::unbounded_channel();
        bus.answering().spawn(send_back(bus.client().clone(), config.clone(), queue));
        let mut pull = Self { bus, config, feed: None, retry_after: FIRST_RETRY, back };
        pull.feed = Some(pull.reopen().await?);
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
        // tokio's cooperative budget would end the gathering after some 64 messages.
        tokio::task::unconstrained(self.gather(&mut batch)).await;
        Ok(batch)
    }

    async fn first(&mut self) -> Result<Raw, Error> {
        loop {
            let Some(feed) = &mut self.feed else {
                tokio::time::sleep(self.retry_after).await;
                self.retry_after = (self.retry_after * 2).min(LAST_RETRY);
                match self.reopen().await {
                    Ok(feed) => self.feed = Some(feed),
                    Err(error) if error.is_transient() => {
                        tracing::debug!(consumer = self.config.durable, %error, "opening the consumer again");
                    }
                    Err(error) => return Err(error),
                }
                continue;
            };
            match feed.next().await {
                Ok(message) => {
                    self.retry_after = FIRST_RETRY;
                    if let Some(raw) = self.raw(message) {
                        return Ok(raw);
                    }
                }
                Err(reason) => self.lose(&reason),
            }
        }
    }

    /// Adds what is there without waiting.
    async fn gather(&mut self, batch: &mut Vec<Raw>) {
        while batch.len() < self.config.max_batch {
            let Some(feed) = &mut self.feed else { return };
            match feed.ready().await {
                Ok(Some(message)) => batch.extend(self.raw(message)),
                Ok(None) => return,
                Err(reason) => return self.lose(&reason),
            }
        }
    }

    fn raw(&self, message: async_nats::Message) -> Option<Raw> {
        let Some((reply, place)) = answerable(&message) else {
            tracing::error!(consumer = self.config.durable, "got a delivery that nobody can answer");
            return None;
        };
        let settle = Settle {
            reply,
            client: self.bus.client().clone(),
            back: self.back.clone(),
            settled: false,
            attempt: place.attempt,
            sequence: place.sequence,
            published_ns: place.published_ns,
            redeliver_after: self.config.redeliver_after(place.attempt),
        };
        Some(Raw {
            subject: message.subject.to_string(),
            headers: message.headers,
            body: message.payload,
            settle,
        })
    }

    /// Gives up the feed; what it holds goes back at once, the next call opens a new one.
    fn lose(&mut self, reason: &str) {
        tracing::debug!(consumer = self.config.durable, reason, "lost the feed");
        self.give_back();
    }

    /// Sends back what was pulled ahead and not handed out, or it would wait until its time to acknowledge ends.
    fn give_back(&mut self) {
        if let Some(feed) = self.feed.take() {
            // Without a listener the process is ending.
            let _ended = self.back.send(Back::Feed(Box::new(feed)));
        }
    }

    async fn reopen(&self) -> Result<Feed, Error> {
        let create =
            self.bus.jetstream().create_consumer_on_stream(self.config.to_nats(), &self.config.stream);
        let _consumer: Consumer<pull::Config> = create.await.map_err(|error| match error.kind() {
            ConsumerErrorKind::JetStream(answer) => Error::jetstream(OPEN, answer),
            ConsumerErrorKind::InvalidName | ConsumerErrorKind::InvalidConsumerType => {
                Error::caused(ErrorKind::Invalid, OPEN, error)
            }
            _ => Error::caused(ErrorKind::Unreachable, OPEN, error),
        })?;
        let ConsumerConfig { stream, durable, max_batch, .. } = &self.config;
        let (client, connections) = (self.bus.client().clone(), self.bus.connections());
        let feed = Feed::open(client, connections, stream, durable, max_batch * 2).await;
        feed.map_err(|error| Error::caused(ErrorKind::Unreachable, OPEN, error))
    }
}

impl Drop for Pull {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Asks for the redelivery of what was dropped unanswered, until the consumer is gone and its last delivery answered.
/// Then it sees the answers off: a client without owners goes without sending what it still holds.
async fn send_back(
    client: async_nats::Client,
    config: ConsumerConfig,
    mut queue: mpsc::UnboundedReceiver<Back>,
) {
    let nak = async |reply: async_nats::Subject, after: Duration| {
        if let Err(error) = client.publish(reply, AckKind::Nak(Some(after)).into()).await {
            tracing::debug!(%error, "could not send back a delivery, the server redelivers it later");
        }
    };
    while let Some(back) = queue.recv().await {
        match back {
            Back::Delivery { reply, redeliver_after } => nak(reply, redeliver_after).await,
            Back::Feed(feed) => {
                for message in feed.leave().await {
                    if let Some((reply, place)) = answerable(&message) {
                        nak(reply, config.redeliver_after(place.attempt)).await;
                    }
                }
            }
        }
    }
    if let Err(error) = client.flush().await {
        tracing::debug!(%error, "could not send the last answers, the server redelivers what they were for");
    }
}

/// Where a delivery is answered, and what that address says about it.
fn answerable(message: &async_nats::Message) -> Option<(async_nats::Subject, Place)> {
    let reply = message.reply.clone()?;
    let place = Place::read(&reply)?;
    Some((reply, place))
}

/// What the address for the answer says about a delivery.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    attempt: u64,
    sequence: u64,
    published_ns: i128,
}

impl Place {
    /// From `$JS.ACK.<stream>.<consumer>.<attempt>.<sequence>.<its number>.<nanoseconds>.<pending>`, where newer servers
    /// put `<domain>.<account>` before the stream and may add more at the end (NATS' ADR-15).
    fn read(reply: &str) -> Option<Self> {
        let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let tokens = if tokens.len() > 7 { tokens.get(4..)? } else { tokens.get(2..)? };
        let &[attempt, sequence, _, published, ..] = tokens else { return None };
        Some(Self {
            attempt: attempt.parse().ok()?,
            sequence: sequence.parse().ok()?,
            published_ns: published.parse().ok()?,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_an_answer_is_read_in_both_forms() {
        let place = Some(Place { attempt: 3, sequence: 41, published_ns: 1_700_000_000_000_000_000 });
        let rest = "CHANGES.reader.3.41.7.1700000000000000000.12";
        assert_eq!(Place::read(&format!("$JS.ACK.{rest}")), place);
        assert_eq!(Place::read(&format!("$JS.ACK._.HASH.{rest}")), place);
        assert_eq!(Place::read(&format!("$JS.ACK.hub.HASH.{rest}.token")), place);
        for broken in
            ["_INBOX.x", "$JS.ACK.", "$JS.ACK.CHANGES.reader.3.41", "$JS.ACK.CHANGES.reader.x.41.7.17.12"]
        {
            assert_eq!(Place::read(broken), None);
        }
    }
}
