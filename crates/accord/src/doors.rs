//! Whether the gateway and the console can work now: they have no power of their own, so it is whether their rooms can.

use std::time::Duration;

use anyhow::Context;
use chassis::{Health, Readiness};
use futures::future::join_all;
use proto::{
    attribution::attribution_server, audit::audit_server, connections::connections_server, crm::crm_server,
    identity::identity_server, sync::sync_server,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};

use crate::{
    cli::ServiceName,
    house::Plan,
    readiness::{LOOK_EVERY, note},
};

/// How long a room may take to say how it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// A room behind the doors.
struct Room {
    name: &'static str,
    /// The name of its gRPC service.
    grpc: &'static str,
    channel: Channel,
}

impl Room {
    /// What keeps it from working; none when nothing does.
    async fn fault(&self) -> Option<String> {
        let request = HealthCheckRequest { service: self.grpc.to_owned() };
        let mut client = HealthClient::new(self.channel.clone());
        match tokio::time::timeout(ANSWER_WITHIN, client.check(request)).await {
            Ok(Ok(answer)) if answer.get_ref().status == ServingStatus::Serving as i32 => None,
            Ok(Ok(_)) => Some(format!("{} is not ready", self.name)),
            Ok(Err(_)) | Err(_) => Some(format!("{} does not answer", self.name)),
        }
    }
}

/// The rooms behind the doors of this process.
pub(crate) struct Doors {
    rooms: [Room; 6],
    /// The doors' names among the services of this process.
    names: Vec<&'static str>,
    health: Health,
}

impl Doors {
    pub(crate) fn try_new(plan: &Plan, names: Vec<&'static str>, health: Health) -> anyhow::Result<Self> {
        let room = |name: ServiceName, grpc, url: &str| -> anyhow::Result<Room> {
            let endpoint = Endpoint::from_shared(url.to_owned());
            let endpoint = endpoint.with_context(|| format!("read the address of {}", name.name()))?;
            Ok(Room {
                name: name.name(),
                grpc,
                channel: endpoint.connect_timeout(ANSWER_WITHIN).connect_lazy(),
            })
        };
        let rooms = [
            room(ServiceName::Identity, identity_server::SERVICE_NAME, &plan.identity_url)?,
            room(ServiceName::SyncEngine, sync_server::SERVICE_NAME, &plan.sync_url)?,
            room(ServiceName::Audit, audit_server::SERVICE_NAME, &plan.audit_url)?,
            room(ServiceName::Attribution, attribution_server::SERVICE_NAME, &plan.attribution_url)?,
            room(ServiceName::Crm, crm_server::SERVICE_NAME, &plan.crm_url)?,
            room(ServiceName::Connectors, connections_server::SERVICE_NAME, &plan.connector_url)?,
        ];
        Ok(Self { rooms, names, health })
    }

    /// Asks all rooms and tells how the doors are: ready when each of them is, else with those that are not.
    pub(crate) async fn tell(&self) {
        let faults: Vec<String> =
            join_all(self.rooms.iter().map(Room::fault)).await.into_iter().flatten().collect();
        let readiness =
            if faults.is_empty() { Readiness::Ready } else { Readiness::NotReady(faults.join(", ")) };
        for name in &self.names {
            note(&self.health, name, readiness.clone());
        }
    }

    /// Asks every two seconds until the shutdown.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        while shutdown.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_some() {
            self.tell().await;
        }
    }
}
