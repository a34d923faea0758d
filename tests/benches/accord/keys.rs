//! The check of an integration key over gRPC, beside a call that does nothing.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use identity::{FirstUser, NewKey};
use model::{Clock, Role, Scope, SystemClock};
use proto::identity::{CheckRequest, identity_client::IdentityClient};
use secrecy::ExposeSecret;
use tokio::time::Instant;
use tonic::transport::{Channel, Server, server::TcpIncoming};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    servers::Servers,
    stage::Started,
    sync::listen,
    table::{Row, note, per_second, ratio},
};

const CALLERS: usize = 64;
const FOR: Duration = Duration::from_secs(3);
const RUNS: usize = 3;

pub(crate) async fn measure() -> Result<Row> {
    let servers = Servers::start().await?;
    let started = Started::default();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let deps = identity::Deps {
        bus: servers.bus("identity").await?,
        guard: None,
        shutdown: started.shutdown.clone(),
        tasks: started.tasks.clone(),
    };
    let identity = identity::start(identity::Config::new(servers.postgres.url()), deps, clock).await?;
    let owner =
        FirstUser { email: "owner@example.org".to_owned(), name: "Owner".to_owned(), role: Role::Owner };
    let operator = identity.operator();
    let organization = operator.bootstrap("Bench", &[owner], Duration::from_secs(60)).await?.organization_id;
    let key = NewKey {
        label: "bench".to_owned(),
        product: "psa".to_owned(),
        scopes: [Scope::RecordsRead].into(),
        expires_at: None,
    };
    let key = operator.mint_integration_key(organization, key).await?.secret;
    let (listener, channel) = listen().await?;
    let (_, empty) = tonic_health::server::health_reporter();
    let serving = Server::builder().add_service(identity.grpc()).add_service(empty);
    let stopped = started.shutdown.clone().cancelled_owned();
    started.tasks.spawn(
        serving.serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), stopped),
    );
    let (mut ours, mut floor) = (0.0_f64, 0.0_f64);
    for run in 1..=RUNS {
        let nothing = rate(&channel, async |channel: Channel| {
            HealthClient::new(channel).check(HealthCheckRequest::default()).await.map(drop)
        })
        .await?;
        let check = rate(&channel, async |channel: Channel| {
            let request = CheckRequest { credential: key.expose_secret().to_owned(), passive: false };
            IdentityClient::new(channel).check(request).await.map(drop)
        })
        .await?;
        note(&format!("keys: run {run} of {RUNS}: {check:.0} checks/s, {nothing:.0} empty calls/s"));
        (ours, floor) = (ours.max(check), floor.max(nothing));
    }
    started.stop().await;
    servers.stop().await;
    Ok(Row {
        what: "Integration-key check over gRPC",
        ours: format!("{ours:.0}/s"),
        floor: format!("{floor:.0}/s"),
        ratio: ratio(ours, floor),
        goal: ">= 70 %",
        disk: None,
    })
}

/// Calls a second of many callers at once.
async fn rate(channel: &Channel, call: impl AsyncFn(Channel) -> Result<(), tonic::Status>) -> Result<f64> {
    call(channel.clone()).await?;
    let began = Instant::now();
    let callers = (0..CALLERS).map(|_| async {
        let mut calls = 0;
        while began.elapsed() < FOR {
            call(channel.clone()).await?;
            calls += 1;
        }
        Ok::<usize, tonic::Status>(calls)
    });
    let calls: usize = futures::future::try_join_all(callers).await?.into_iter().sum();
    Ok(per_second(calls, began.elapsed()))
}
