use chassis::local::{Nats, Running, free_port};
use tokio::sync::Mutex;

use crate::TestDirectory;

/// A NATS server of one test, with JetStream and durable acks, to be killed and started at will.
#[derive(Debug)]
pub struct TestNats {
    server: Nats,
    url: String,
    // Before the directory, so that the server is gone when the directory goes.
    running: Mutex<Option<Running>>,
    directory: TestDirectory,
}

/// Starts a private NATS server.
///
/// # Panics
/// When it cannot be started.
pub async fn nats() -> TestNats {
    let directory = TestDirectory::create();
    let port = free_port().expect("a free port");
    let server = Nats { port: Some(port), supervise: false, ..Nats::default() };
    let running = server.start(directory.path()).await.unwrap_or_else(|error| panic!("failed to {error}"));
    let url = running.url().to_owned();
    TestNats { server, url, running: Mutex::new(Some(running)), directory }
}

impl TestNats {
    /// Its address with user and password; the same after each start.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills it without warning.
    pub async fn kill(&self) {
        if let Some(running) = self.running.lock().await.take() {
            running.kill().await;
        }
    }

    /// Starts it again on the same port and data, unless it runs.
    ///
    /// # Panics
    /// When it does not come up.
    pub async fn start(&self) {
        let mut running = self.running.lock().await;
        if running.is_none() {
            let started = self.server.start(self.directory.path()).await;
            *running = Some(started.unwrap_or_else(|error| panic!("failed to {error}")));
        }
    }

    /// Kills it and starts it again.
    pub async fn restart(&self) {
        self.kill().await;
        self.start().await;
    }
}
