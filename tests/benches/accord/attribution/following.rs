//! Visitors who follow links over HTTP: the public address of the gateway, on connections that are kept.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use axum::serve::ListenerExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::{CALLERS, Shop};
use crate::{stage::Started, table::per_second};

pub(super) const CLICKS: usize = 40_000;
const LARGEST_ANSWER: usize = 4_096;

/// Serves the public API of the rooms that answer at this address.
pub(super) async fn serve(rooms: SocketAddr, started: &Started) -> Result<SocketAddr> {
    let rooms = format!("http://{rooms}");
    let config = gateway::Config {
        identity_url: rooms.clone(),
        sync_url: rooms.clone(),
        audit_url: rooms.clone(),
        attribution_url: rooms.clone(),
        crm_url: rooms.clone(),
        connections_url: rooms,
        public_api_url: "http://127.0.0.1:1/".parse()?,
        public_console_url: "http://127.0.0.1:1/".parse()?,
        cookie_domain: None,
        // What is measured is how fast events are taken, not the budget that holds a key back.
        key_budget: gateway::Budget { requests: u32::MAX, ..gateway::Budget::OF_A_KEY },
        identify_budget: gateway::Budget::OF_AN_ADDRESS,
        trusted_proxy: false,
        visitor_secret: "bench".into(),
    };
    let app = gateway::app(config)?.into_make_service_with_connect_info::<SocketAddr>();
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|connection| {
        // As the house does it.
        let _ = connection.set_nodelay(true);
    });
    let stopped = started.shutdown.clone().cancelled_owned();
    let served = axum::serve(listener, app).with_graceful_shutdown(stopped);
    started.tasks.spawn(async move { served.await });
    Ok(address)
}

impl Shop {
    /// Clicks a second.
    pub(super) async fn follow(&self, gateway: SocketAddr) -> Result<f64> {
        let began = Instant::now();
        let visitors = (0..CALLERS).map(|visitor| self.visit(gateway, visitor));
        futures::future::try_join_all(visitors).await?;
        Ok(per_second(CLICKS, began.elapsed()))
    }

    async fn visit(&self, gateway: SocketAddr, visitor: usize) -> Result<()> {
        let mut connection = TcpStream::connect(gateway).await?;
        connection.set_nodelay(true)?;
        let mut answer = Vec::with_capacity(LARGEST_ANSWER);
        for number in (visitor..CLICKS).step_by(CALLERS) {
            let link = &self.links[number % self.links.len()];
            let request = format!(
                "GET /r/{link} HTTP/1.1\r\nHost: go.example\r\nUser-Agent: bench\r\nReferer: https://blog.example/\r\n\r\n"
            );
            connection.write_all(request.as_bytes()).await?;
            answer.clear();
            // A redirect has no body: it ends with its head.
            while !answer.ends_with(b"\r\n\r\n") {
                ensure!(answer.len() < LARGEST_ANSWER, "the answer has no end");
                ensure!(connection.read_buf(&mut answer).await? > 0, "the gateway hung up");
            }
            let head = std::str::from_utf8(&answer).context("read the answer")?;
            let is_sent_on = head.starts_with("HTTP/1.1 302") && head.contains("cref=");
            ensure!(is_sent_on, "a click was not sent on: {head}");
        }
        Ok(())
    }
}
