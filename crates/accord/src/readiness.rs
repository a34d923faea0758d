//! Whether each room can work now, told to whoever asks over HTTP (`/health/ready`) and gRPC (`grpc.health.v1`).

use std::time::Duration;

use bus::Bus;
use chassis::{Health, Readiness};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Notes how a service is, and logs when that is news.
pub(crate) fn note(health: &Health, service: &'static str, readiness: Readiness) {
    if health.all().get(service) != Some(&readiness) {
        tracing::info!(service, ?readiness, "readiness changed");
    }
    health.set(service, readiness);
}

/// Where the readiness of a room is told, and the bus that it needs.
pub(crate) struct Watch {
    /// The room's name among the services of this process.
    pub(crate) name: &'static str,
    /// The name of its gRPC service.
    pub(crate) grpc: &'static str,
    pub(crate) bus: Bus,
    pub(crate) health: Health,
    pub(crate) reporter: HealthReporter,
}

impl Watch {
    /// Tells how the room is: ready when its bus is connected and `database` says so.
    pub(crate) async fn tell(&self, database: Readiness) {
        let readiness = if self.bus.is_connected() {
            database
        } else {
            Readiness::NotReady("the bus is not connected".to_owned())
        };
        let status = match readiness {
            Readiness::Ready => ServingStatus::Serving,
            Readiness::NotReady(_) => ServingStatus::NotServing,
        };
        self.reporter.set_service_status(self.grpc, status).await;
        note(&self.health, self.name, readiness);
    }

    /// Looks every two seconds until the shutdown.
    pub(crate) async fn run<F>(self, database: impl Fn() -> F, shutdown: CancellationToken)
    where
        F: Future<Output = Readiness>,
    {
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            self.tell(database().await).await;
        }
    }
}
