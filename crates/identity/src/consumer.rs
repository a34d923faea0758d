//! Revocations, from this and other processes, to whoever remembers an answer.

use bus::{Bus, Subscription, subject};
use chassis::guard::Guard;
use futures::StreamExt;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// The revocations that identity publishes, for a process that has a [`Guard`].
#[derive(Debug)]
pub struct Revocations {
    subscription: Subscription,
    connections: watch::Receiver<u64>,
}

impl Revocations {
    /// Listens from now on.
    ///
    /// # Errors
    /// When the bus cannot be reached.
    pub async fn subscribe(bus: &Bus) -> Result<Self, Error> {
        let mut connections = bus.connections();
        connections.mark_unchanged();
        let subscription = bus.subscribe_ephemeral(subject::CACHE_IDENTITY_REVOKED).await?;
        Ok(Self { subscription, connections })
    }

    /// The id of the next session or key that was revoked; `*` for all, where revocations may have been missed while
    /// the bus was away. None when the bus has closed for good.
    pub async fn next(&mut self) -> Option<String> {
        tokio::select! {
            message = self.subscription.next() => {
                message.map(|message| String::from_utf8_lossy(&message.body).into_owned())
            }
            Ok(()) = self.connections.changed() => Some("*".to_owned()),
        }
    }

    /// Tells the guard of each revocation until `shutdown`.
    pub async fn tell(mut self, guard: Guard, shutdown: CancellationToken) {
        while let Some(Some(id)) = shutdown.run_until_cancelled(self.next()).await {
            guard.invalidate(&id).await;
        }
    }
}
