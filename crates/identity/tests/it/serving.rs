use std::net::SocketAddr;

use identity::{Config, ServeConfig};
use proto::identity::{CheckRequest, identity_client::IdentityClient};
use testkit::eventually;
use tokio_util::sync::CancellationToken;
use tonic::{Code, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

use crate::house::{SOON, house, refused};

#[tokio::test]
async fn alone_it_serves_with_health_and_reflection_and_ends_in_good_order() {
    let (database, nats) = tokio::join!(testkit::database(), testkit::nats());
    let listen = SocketAddr::from(([127, 0, 0, 1], testkit::free_port().unwrap()));
    let room = Config::new(database.url());
    let config = ServeConfig { room, nats_url: nats.url().to_owned(), listen };
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(identity::serve(config, shutdown.clone()));
    let channel = eventually(SOON, "identity accepts connections", || async {
        Channel::from_shared(format!("http://{listen}")).unwrap().connect().await.ok()
    })
    .await;

    let answer = IdentityClient::new(channel.clone()).check(CheckRequest { credential: "x".into() }).await;
    assert_eq!(refused(answer), (Code::Unauthenticated, "credential_malformed".to_owned()));
    let request = HealthCheckRequest { service: "accord.identity.v1.Identity".into() };
    let health = HealthClient::new(channel.clone()).check(request).await.unwrap().into_inner();
    assert_eq!(health.status, 1);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut reflection = ServerReflectionClient::new(channel);
    let mut answers =
        reflection.server_reflection_info(tokio_stream::once(request)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response;
    let Some(MessageResponse::ListServicesResponse(services)) = answer else { panic!("{answer:?}") };
    assert!(services.service.iter().any(|service| service.name == "accord.identity.v1.Identity"));
    drop((answers, reflection));

    shutdown.cancel();
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn without_the_bus_it_is_not_ready_until_the_bus_is_back() {
    let house = house().await;
    assert!(house.health.is_ready());
    house.nats.kill().await;
    eventually(SOON, "identity is not ready", || async { (!house.health.is_ready()).then_some(()) }).await;
    house.nats.start().await;
    eventually(SOON, "identity is ready", || async { house.health.is_ready().then_some(()) }).await;
}
