use std::{process::Stdio, time::Duration};

use connector::http::Client;
use proto::identity::{CheckRequest, identity_client::IdentityClient};
use testkit::{TestCluster, TestNats, eventually};
use tokio::process::{Child, Command};
use tonic::{Code, transport::Channel};
use tonic_health::{
    ServingStatus,
    pb::{HealthCheckRequest, health_client::HealthClient},
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

const SOON: Duration = Duration::from_secs(30);
const SERVICE: &str = "accord.identity.v1.Identity";

/// `accord serve identity`.
struct Served {
    child: Child,
    grpc: Channel,
    health: url::Url,
}

impl Served {
    async fn start(database: &TestCluster, nats: &TestNats) -> Self {
        let (grpc, health) = (testkit::free_port().unwrap(), testkit::free_port().unwrap());
        let child = Command::new(env!("CARGO_BIN_EXE_accord"))
            .args(["serve", "identity"])
            .env("DATABASE_URL", database.url())
            .env("NATS_URL", nats.url())
            .env("ACCORD_LISTEN", format!("127.0.0.1:{grpc}"))
            .env("ACCORD_HEALTH_LISTEN", format!("127.0.0.1:{health}"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let served = Self {
            child,
            grpc: Channel::from_shared(format!("http://127.0.0.1:{grpc}")).unwrap().connect_lazy(),
            health: format!("http://127.0.0.1:{health}/health/ready").parse().unwrap(),
        };
        served.becomes(true).await;
        served
    }

    /// Waits until both ways to ask say so.
    async fn becomes(&self, ready: bool) {
        let http = Client::try_new(Duration::from_secs(5)).unwrap();
        let (status, serving) =
            if ready { (200, ServingStatus::Serving) } else { (503, ServingStatus::NotServing) };
        eventually(SOON, &format!("identity says {status} and {serving:?}"), || async {
            let answered = http.get(&self.health, None).await.ok()?.status == status;
            let request = HealthCheckRequest { service: SERVICE.into() };
            let health = HealthClient::new(self.grpc.clone()).check(request).await.ok()?.into_inner();
            (answered && health.status == serving as i32).then_some(())
        })
        .await;
    }

    async fn services(&self) -> Vec<String> {
        let request = ServerReflectionRequest {
            host: String::new(),
            message_request: Some(MessageRequest::ListServices(String::new())),
        };
        let mut reflection = ServerReflectionClient::new(self.grpc.clone());
        let requests = futures::stream::iter([request]);
        let mut answers = reflection.server_reflection_info(requests).await.unwrap().into_inner();
        let answer = answers.message().await.unwrap().unwrap().message_response;
        let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
        list.service.into_iter().map(|service| service.name).collect()
    }
}

#[tokio::test]
async fn a_service_alone_answers_describes_itself_and_follows_its_servers() {
    let (database, nats) = tokio::join!(testkit::postgres_cluster(), testkit::nats());
    let mut served = Served::start(&database, &nats).await;

    let refused = IdentityClient::new(served.grpc.clone())
        .check(CheckRequest { credential: "x".into(), passive: false })
        .await
        .expect_err("a refusal");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(served.services().await.iter().any(|name| name == SERVICE));

    nats.kill().await;
    served.becomes(false).await;
    nats.start().await;
    served.becomes(true).await;
    database.kill().await;
    served.becomes(false).await;
    database.start().await;
    served.becomes(true).await;

    served.child.start_kill().unwrap();
    served.child.wait().await.unwrap();
}
