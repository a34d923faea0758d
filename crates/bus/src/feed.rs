//! The subscription behind a pull consumer: asks the server for messages before it runs out of them, and hands back what is
//! under way when it leaves, up to [`MARKERS`] messages of it; of more, the rest comes again when its time to acknowledge is
//! over. The protocol is that of NATS' ADR-37, "JetStream simplification".

use std::{pin::pin, task::Poll, time::Duration};

use async_nats::{Client, HeaderMap, Message, StatusCode, Subject, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use serde::Serialize;
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

const HEARTBEAT: Duration = Duration::from_secs(5);
const EXPIRES: Duration = Duration::from_secs(30);
/// Where messages were pouring in, none for so long means that none are under way.
const QUIET: Duration = Duration::from_millis(50);
/// How long the end of a subscription may take.
const END_WITHIN: Duration = Duration::from_secs(1);
/// So many messages may be under way to a subscription that ends, and none is lost.
const MARKERS: u64 = 64;
/// How many messages an ended request still had open.
const OPEN: &str = "Nats-Pending-Messages";

/// A pull consumer's subscription.
pub(crate) struct Feed {
    client: Client,
    subscriber: Subscriber,
    inbox: Subject,
    /// Where more messages are asked for.
    next: String,
    /// The most messages asked for at once.
    window: usize,
    /// Messages asked for that have not come.
    asked: usize,
    /// All that came, the server's reports included.
    came: u64,
    heard: Instant,
    connections: watch::Receiver<u64>,
    /// The connection over which it was opened.
    connection: u64,
}

#[derive(Serialize)]
struct Request {
    batch: usize,
    /// Nanoseconds.
    expires: u128,
    /// Nanoseconds.
    idle_heartbeat: u128,
}

impl Feed {
    /// Of this consumer; asks for nothing yet. `connections` counts the connections of the client: what was asked for
    /// over an earlier one is forgotten.
    pub(crate) async fn open(
        client: Client,
        mut connections: watch::Receiver<u64>,
        stream: &str,
        durable: &str,
        window: usize,
    ) -> Result<Self, async_nats::SubscribeError> {
        let connection = *connections.borrow_and_update();
        let inbox = Subject::from(client.new_inbox());
        let subscriber = client.subscribe(inbox.clone()).await?;
        let next = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}");
        Ok(Self {
            client,
            subscriber,
            inbox,
            next,
            window,
            asked: 0,
            came: 0,
            heard: Instant::now(),
            connections,
            connection,
        })
    }

    /// Waits for the next message. An error says why there will be none: open another. Safe to cancel.
    pub(crate) async fn next(&mut self) -> Result<Message, String> {
        loop {
            self.ask().await?;
            let came = tokio::select! {
                biased;
                came = timeout_at(self.heard + 2 * HEARTBEAT, self.subscriber.next()) => came,
                _ = self.connections.changed() => return Err("the connection is another one".to_owned()),
            };
            let came = came.map_err(|_| "its heartbeats are missing".to_owned())?;
            if let Some(message) = self.sort(came)? {
                return Ok(message);
            }
        }
    }

    /// The next message if it is here already.
    pub(crate) async fn ready(&mut self) -> Result<Option<Message>, String> {
        loop {
            self.ask().await?;
            let Poll::Ready(came) = futures::poll!(pin!(self.subscriber.next())) else { return Ok(None) };
            if let Some(message) = self.sort(came)? {
                return Ok(Some(message));
            }
        }
    }

    /// Ends it and hands out what the server had sent already. Where messages are pouring in, what was asked for is
    /// taken to its end first. Then the server is told to end the subscription after so many further messages, and we
    /// send as many to ourselves: whatever it sent before it read this is among those that still come.
    pub(crate) async fn leave(mut self) -> Vec<Message> {
        let mut late = Vec::new();
        let is_over = *self.connections.borrow() != self.connection;
        // What is here already comes at once; what was asked for over an earlier connection may have been sent by the next.
        let mut wait = if is_over { QUIET } else { Duration::ZERO };
        while self.asked > 0 {
            let Ok(came) = timeout(wait, self.subscriber.next()).await else { break };
            match self.sort(came) {
                Ok(Some(message)) => {
                    late.push(message);
                    wait = QUIET;
                }
                Ok(None) => {}
                Err(_) => return late,
            }
        }
        // The server counts anew over another connection.
        if is_over || self.subscriber.unsubscribe_after(self.came + MARKERS).await.is_err() {
            return late;
        }
        for _ in 0..MARKERS {
            if self.client.publish(self.inbox.clone(), Bytes::new()).await.is_err() {
                return late;
            }
        }
        while let Ok(Some(message)) = timeout(END_WITHIN, self.subscriber.next()).await {
            late.extend(self.sort(Some(message)).ok().flatten().filter(|message| message.reply.is_some()));
        }
        late
    }

    async fn ask(&mut self) -> Result<(), String> {
        if self.asked > self.window / 2 {
            return Ok(());
        }
        let batch = self.window - self.asked;
        let request = Request { batch, expires: EXPIRES.as_nanos(), idle_heartbeat: HEARTBEAT.as_nanos() };
        let request = serde_json::to_vec(&request).map_err(|error| error.to_string())?;
        let sent =
            self.client.publish_with_reply(self.next.clone(), self.inbox.clone(), request.into()).await;
        sent.map_err(|error| error.to_string())?;
        if self.asked == 0 {
            self.heard = Instant::now();
        }
        self.asked = self.window;
        Ok(())
    }

    /// A message, none where the server only reports, or why there will be no more.
    fn sort(&mut self, came: Option<Message>) -> Result<Option<Message>, String> {
        let message = came.ok_or_else(|| "the subscription ended".to_owned())?;
        self.heard = Instant::now();
        self.came += 1;
        match message.status {
            None | Some(StatusCode::OK) => {
                self.asked = self.asked.saturating_sub(1);
                Ok(Some(message))
            }
            Some(StatusCode::IDLE_HEARTBEAT) => Ok(None),
            Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => {
                self.asked = self.asked.saturating_sub(open(message.headers.as_ref()).unwrap_or(self.asked));
                Ok(None)
            }
            Some(status) => Err(format!("{status} {}", message.description.unwrap_or_default())),
        }
    }
}

fn open(headers: Option<&HeaderMap>) -> Option<usize> {
    headers?.get(OPEN)?.as_str().parse().ok()
}
