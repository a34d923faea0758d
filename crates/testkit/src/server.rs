use chassis::local::{Postgres, Running, free_port};
use tokio::sync::Mutex;

use crate::TestDirectory;

/// A Postgres cluster of one test, to be killed and started at will.
#[derive(Debug)]
pub struct TestCluster {
    server: Postgres,
    url: String,
    // Before the directory, so that the server is gone when the directory goes.
    running: Mutex<Option<Running>>,
    directory: TestDirectory,
}

/// A private, durable Postgres cluster for a test that wants to kill it. Most tests want [`crate::database`].
///
/// # Panics
/// When it cannot be started.
pub async fn postgres_cluster() -> TestCluster {
    TestCluster::start_with(Postgres { durable: true, ..for_tests() }).await
}

/// A private cluster that forgets its data when the machine fails, for any number of databases of tests.
///
/// # Panics
/// When it cannot be started.
pub async fn fast_cluster() -> TestCluster {
    TestCluster::start_with(for_tests()).await
}

/// The settings of a cluster for tests: fast, and dead when killed.
fn for_tests() -> Postgres {
    Postgres { port: None, durable: false, shared_buffers_mb: 64, max_connections: 300, supervise: false }
}

impl TestCluster {
    async fn start_with(server: Postgres) -> Self {
        let directory = TestDirectory::create();
        let port = free_port().expect("a free port");
        let server = Postgres { port: Some(port), ..server };
        let running =
            server.start(directory.path()).await.unwrap_or_else(|error| panic!("failed to {error}"));
        let url = running.url().to_owned();
        Self { server, url, running: Mutex::new(Some(running)), directory }
    }

    /// The address of its database `accord`, with a superuser's name and password; the same after each start.
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
