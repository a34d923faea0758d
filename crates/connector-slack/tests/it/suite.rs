//! The suite that every connector passes, here against the simulator of Slack whose app rotates its tokens. A workspace has
//! neither records nor feeds; what a connector that posts must do beside is in `conformance`.

use std::sync::Arc;

use async_trait::async_trait;
use connector::{
    Connector,
    conformance::{self, Driver, Fault},
};
use connector_slack::Slack;
use sandbox::slack::{FaultKind, Handle, Settings};
use secrecy::SecretString;

use crate::slack::{connector, fault, install, simulator};

struct Workspace {
    simulator: Handle,
    slack: Slack,
}

#[async_trait]
impl Driver for Workspace {
    fn connector(&self) -> Arc<dyn Connector> {
        Arc::new(self.slack.clone())
    }

    fn account(&self) -> String {
        self.simulator.team_id().to_owned()
    }

    async fn grant(&self) -> (SecretString, SecretString) {
        let grant = install(&self.simulator, &self.slack).await;
        (grant.access_token, grant.refresh_token.unwrap())
    }

    async fn fault(&self, told: Fault) {
        let kind = match told {
            Fault::TooManyCalls => FaultKind::TooMany,
            Fault::OutOfOrder => FaultKind::Unavailable,
            Fault::CutAnswer | Fault::LostAnswer => FaultKind::CutMidBody,
        };
        fault(&self.simulator, "/api/auth.test", kind, 1);
    }

    async fn revoke(&self) {
        self.simulator.uninstall().await.unwrap();
    }
}

#[tokio::test]
async fn slack_passes_every_check() {
    conformance::run(|| async {
        let simulator = simulator(Settings { token_rotation: true, ..Settings::default() }).await;
        let slack = connector(&simulator);
        Workspace { simulator, slack }
    })
    .await;
}
