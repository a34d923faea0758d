use std::{
    pin::Pin,
    task::{Context, Poll},
};

use async_nats::client::RequestErrorKind;
use bytes::Bytes;
use futures::{Stream, StreamExt};

use crate::{Bus, Error, ErrorKind};

/// A message that no stream keeps: whoever is not connected at this moment misses it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ephemeral {
    /// Where it came.
    pub subject: String,
    /// What it says.
    pub body: Bytes,
}

/// The ephemeral messages of one subject from now on; outlives reconnections.
#[derive(Debug)]
pub struct Subscription {
    inner: async_nats::Subscriber,
}

impl Stream for Subscription {
    type Item = Ephemeral;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Ephemeral>> {
        self.inner.poll_next_unpin(context).map(|message| {
            message.map(|message| Ephemeral { subject: message.subject.to_string(), body: message.payload })
        })
    }
}

impl Bus {
    /// Tells everyone who listens now; nothing is stored and nobody acknowledges. For hints that are safe to
    /// miss: emptying a cache that expires anyway, refreshing a page.
    ///
    /// # Errors
    /// The subject or the size is not allowed, or the connection is closed for good.
    pub async fn publish_ephemeral(&self, subject: &str, body: impl Into<Bytes>) -> Result<(), Error> {
        const OP: &str = "publish an ephemeral message";
        let published = self.client().publish(subject.to_owned(), body.into()).await;
        published.map_err(|error| Error::caused(ErrorKind::Refused, OP, error))?;
        self.client().flush().await.map_err(|error| Error::caused(ErrorKind::Unreachable, OP, error))
    }

    /// Listens to a subject, wildcards allowed: whatever is published once this has returned comes. What is
    /// published while the connection is lost is missed: watch [`Bus::connections`] where that matters.
    ///
    /// # Errors
    /// The subject is not allowed, or the server does not answer.
    pub async fn subscribe_ephemeral(&self, subject: &str) -> Result<Subscription, Error> {
        const OP: &str = "subscribe to ephemeral messages";
        let inner = self.client().subscribe(subject.to_owned()).await;
        let inner = inner.map_err(|error| Error::caused(ErrorKind::Refused, OP, error))?;
        // A server reads a connection in order: what answers a question asked later knows of the subscription.
        // That nobody listens there is the answer.
        let question = self.client().request(self.client().new_inbox(), Bytes::new()).await;
        match question {
            Err(error) if error.kind() != RequestErrorKind::NoResponders => {
                Err(Error::caused(ErrorKind::Unreachable, OP, error))
            }
            _ => Ok(Subscription { inner }),
        }
    }
}
