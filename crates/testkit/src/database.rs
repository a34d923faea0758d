use std::sync::{Arc, Weak};

use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool, postgres::PgConnectOptions};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{TestCluster, fast_cluster};

/// The private cluster of this process, while some test uses it.
static CLUSTER: Mutex<Weak<TestCluster>> = Mutex::const_new(Weak::new());

/// A database of one test, empty at first, dropped when this value is.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    admin_url: String,
    cluster: Option<Arc<TestCluster>>,
}

/// Makes an empty database in the cluster of `ACCORD_TEST_DATABASE_URL`, else in a private cluster of this process.
///
/// # Panics
/// When the cluster cannot be started or refuses.
pub async fn database() -> TestDatabase {
    let (admin_url, cluster) = match std::env::var("ACCORD_TEST_DATABASE_URL") {
        Ok(url) => (url, None),
        Err(_) => {
            let mut shared = CLUSTER.lock().await;
            let cluster = match shared.upgrade() {
                Some(cluster) => cluster,
                None => Arc::new(fast_cluster().await),
            };
            *shared = Arc::downgrade(&cluster);
            (cluster.url().to_owned(), Some(cluster))
        }
    };
    let name = format!("test_{}", Uuid::new_v4().simple());
    let mut admin = PgConnection::connect(&admin_url).await.expect("a connection to the test cluster");
    // template0 is never connected to, so that tests that begin at the same time do not refuse each other.
    let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
    sqlx::query(create).execute(&mut admin).await.expect("a database for the test");
    admin.close().await.expect("the end of the connection");
    let url = with_database(&admin_url, &name);
    TestDatabase { name, url, admin_url, cluster }
}

impl TestDatabase {
    /// Its address, with a superuser's name and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A pool of 10 connections whose `search_path` is this schema; the schema itself is made by the migration.
    ///
    /// # Panics
    /// When the cluster refuses.
    pub async fn pool(&self, schema: &'static str) -> PgPool {
        chassis::pool(&self.url, schema, 10).await.unwrap_or_else(|error| panic!("failed to {error}"))
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // A private cluster goes as a whole.
        if self.cluster.is_some() {
            return;
        }
        let (name, url) = (self.name.clone(), self.admin_url.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let mut admin = PgConnection::connect(&url).await.ok()?;
                let drop = AssertSqlSafe(format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
                sqlx::query(drop).execute(&mut admin).await.ok()
            })
        });
        // What could not be dropped goes with the cluster at the end of the run.
        let _ = dropping.join();
    }
}

/// The same address with another database.
fn with_database(url: &str, name: &str) -> String {
    let options: PgConnectOptions = url.parse().expect("ACCORD_TEST_DATABASE_URL is a Postgres address");
    let (address, query) = url.split_once('?').map_or((url, None), |(address, query)| (address, Some(query)));
    let base = match options.get_database() {
        Some(database) => address.strip_suffix(database).unwrap_or(address),
        None => address,
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}/{name}{query}", base.trim_end_matches('/'))
}
