use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The wish to end everything in good order. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// One that nobody has asked for yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks everybody who holds a clone to end.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Waits until it is asked for.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// A part that can be ended alone, and ends with the whole.
    #[must_use]
    pub fn child(&self) -> Self {
        Self(self.0.child_token())
    }

    /// The same wish in tokio's form.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.0.clone()
    }
}

/// Waits for Ctrl-C or SIGTERM and then requests the shutdown; ends without a signal when it was requested otherwise.
///
/// # Errors
/// When the system refuses to tell us about signals.
pub async fn signalled(shutdown: &Shutdown) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => shutdown.request(),
        _ = terminate.recv() => shutdown.request(),
        () = shutdown.requested() => {}
    }
    Ok(())
}
