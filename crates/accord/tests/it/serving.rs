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
        Self::start_at(database, nats, testkit::free_port().unwrap()).await
    }

    async fn start_at(database: &TestCluster, nats: &TestNats, grpc: u16) -> Self {
        let health = testkit::free_port().unwrap();
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

#[tokio::test]
async fn the_doors_are_ready_when_their_rooms_are_and_name_those_that_are_not() {
    let (database, nats) = tokio::join!(testkit::postgres_cluster(), testkit::nats());
    let (identity, nobody) = (testkit::free_port().unwrap(), testkit::free_port().unwrap());
    let doors = ["gateway", "web-console"].map(|service| Door::start(service, identity, nobody));
    let others = ["sync-engine", "audit", "connectors"];
    for door in &doors {
        let reason = door.reason_with("identity does not answer").await;
        for room in others {
            assert!(reason.contains(&format!("{room} does not answer")), "{reason}");
        }
    }
    let mut served = Served::start_at(&database, &nats, identity).await;
    for door in &doors {
        let reason = door.reason_without("identity").await;
        assert!(others.iter().all(|room| reason.contains(room)), "{reason}");
    }
    nats.kill().await;
    for door in &doors {
        door.reason_with("identity is not ready").await;
    }
    served.child.start_kill().unwrap();
    served.child.wait().await.unwrap();
    for door in &doors {
        door.reason_with("identity does not answer").await;
    }
}

/// `accord serve gateway` or `web-console`.
struct Door {
    _child: Child,
    health: url::Url,
}

impl Door {
    /// One whose identity is on one port and whose other rooms are on another.
    fn start(service: &str, identity: u16, others: u16) -> Self {
        let (listen, health) = (testkit::free_port().unwrap(), testkit::free_port().unwrap());
        let others = format!("http://127.0.0.1:{others}");
        let child = Command::new(env!("CARGO_BIN_EXE_accord"))
            .args(["serve", service])
            .env("ACCORD_LISTEN", format!("127.0.0.1:{listen}"))
            .env("ACCORD_HEALTH_LISTEN", format!("127.0.0.1:{health}"))
            .env("ACCORD_IDENTITY_URL", format!("http://127.0.0.1:{identity}"))
            .env("ACCORD_SYNC_URL", &others)
            .env("ACCORD_AUDIT_URL", &others)
            .env("ACCORD_CONNECTOR_URL", &others)
            .env("ACCORD_CSRF_SECRET", "a secret of this story, long enough to be one")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { _child: child, health: format!("http://127.0.0.1:{health}/health/ready").parse().unwrap() }
    }

    async fn reason_with(&self, words: &str) -> String {
        self.reason(&format!("the reason to have “{words}”"), |reason| reason.contains(words)).await
    }

    async fn reason_without(&self, words: &str) -> String {
        self.reason(&format!("the reason not to have “{words}”"), |reason| !reason.contains(words)).await
    }

    /// Waits for a reason of not being ready that fits.
    async fn reason(&self, what: &str, fits: impl Fn(&str) -> bool) -> String {
        let http = Client::try_new(Duration::from_secs(5)).unwrap();
        eventually(SOON, what, || async {
            let answer = http.get(&self.health, None).await.ok()?;
            let reason = String::from_utf8_lossy(&answer.body).into_owned();
            assert_ne!(answer.status, 200, "ready without its rooms: {reason}");
            fits(&reason).then_some(reason)
        })
        .await
    }
}

#[tokio::test]
async fn a_sandbox_alone_needs_nothing_and_answers_as_its_vendor_does() {
    let answers = [
        ("slack", "/api/auth.test", 200, "not_authed"),
        ("google", "/calendar/v3/users/me/calendarList", 401, "Login Required"),
        ("microsoft", "/v1.0/me", 401, "InvalidAuthenticationToken"),
    ];
    let http = Client::try_new(Duration::from_secs(5)).unwrap();
    for (vendor, path, status, words) in answers {
        let (listen, health) = (testkit::free_port().unwrap(), testkit::free_port().unwrap());
        let mut child = Command::new(env!("CARGO_BIN_EXE_accord"))
            .args(["serve", &format!("sandbox-{vendor}")])
            .env("ACCORD_LISTEN", format!("127.0.0.1:{listen}"))
            .env("ACCORD_HEALTH_LISTEN", format!("127.0.0.1:{health}"))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let ready = format!("http://127.0.0.1:{health}/health/ready").parse().unwrap();
        eventually(SOON, &format!("the {vendor} sandbox to be ready"), || async {
            (http.get(&ready, None).await.ok()?.status == 200).then_some(())
        })
        .await;
        let url = format!("http://127.0.0.1:{listen}{path}").parse().unwrap();
        let answer = http.get(&url, None).await.unwrap();
        let said = String::from_utf8_lossy(&answer.body);
        assert!(answer.status == status && said.contains(words), "{vendor}: {} {said}", answer.status);
        child.start_kill().unwrap();
        child.wait().await.unwrap();
    }
}
