use std::sync::Arc;

use chassis::Readiness;
use identity::{Config, Deps};
use testkit::{ManualClock, eventually};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::house::{SOON, connect};

#[tokio::test]
async fn without_its_database_it_is_not_ready_until_the_database_is_back() {
    let (cluster, nats) = tokio::join!(testkit::postgres_cluster(), testkit::nats());
    let bus = connect(&nats).await;
    bus.ensure_streams().await.unwrap();
    let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());
    let deps = Deps { bus, guard: None, shutdown: shutdown.clone(), tasks: tasks.clone() };
    let clock = Arc::new(ManualClock::default());
    let identity = identity::start(Config::new(cluster.url()), deps, clock).await.unwrap();
    assert_eq!(identity.readiness().await, Readiness::Ready);
    cluster.kill().await;
    assert_ne!(identity.readiness().await, Readiness::Ready);
    cluster.start().await;
    eventually(SOON, "identity is ready", || async {
        (identity.readiness().await == Readiness::Ready).then_some(())
    })
    .await;
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
}
