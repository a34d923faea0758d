//! Events over HTTP: posted to the public API with a CRM's key, on connections that are kept.

use std::{net::SocketAddr, ops::Range, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::{AUDITED, BATCH, BATCHES, CALLERS, EVENTS, Shop, TIERED};
use crate::table::{Row, ms, per_second, percentile, ratio};

/// The first user whose events come this way: those before have theirs.
const FIRST: usize = EVENTS + BATCHES * BATCH + TIERED + AUDITED;
const LARGEST_HEAD: usize = 4_096;

/// A connection of one caller.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    async fn open(gateway: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(gateway).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(LARGEST_HEAD) })
    }

    /// Posts a body and gives the answer's, which must be a success.
    async fn post(&mut self, key: &str, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(request.as_bytes()).await?;
        self.read.clear();
        let head = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            ensure!(self.read.len() < LARGEST_HEAD, "the answer's head has no end");
            self.more().await?;
        };
        let text = std::str::from_utf8(&self.read[..head]).context("read the answer's head")?.to_lowercase();
        ensure!(text.starts_with("http/1.1 200"), "the gateway refused: {text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("an answer without a length")?.trim().parse()?;
        while self.read.len() < head + length {
            self.more().await?;
        }
        Ok(serde_json::from_slice(&self.read[head..head + length])?)
    }

    async fn more(&mut self) -> Result<()> {
        ensure!(self.stream.read_buf(&mut self.read).await? > 0, "the gateway hung up");
        Ok(())
    }
}

fn event(number: usize) -> Value {
    json!({
        "userId": format!("user-{number}"), "type": "opportunity_won", "value": 4500.00, "currency": "USD",
        "metadata": { "deal_id": format!("D-{number}"), "stage": "Closed Won" },
    })
}

/// Whether an event was attributed and accrued something.
fn accrued(answer: &Value) -> Result<()> {
    let pays = answer["attribution"]["touches"][0]["commissionId"].is_string();
    ensure!(pays, "an event accrued nothing: {answer}");
    Ok(())
}

impl Shop {
    /// One by one beside the floor, and in batches.
    pub(super) async fn posted(
        &self,
        gateway: SocketAddr,
        floor: f64,
        disk: Option<Duration>,
    ) -> Result<Vec<Row>> {
        let (singles, batches) = (FIRST..FIRST + EVENTS, FIRST + EVENTS..FIRST + EVENTS + BATCHES * BATCH);
        self.identify(FIRST..batches.end).await?;
        let (rate, mut took) = self.post_singles(gateway, singles).await?;
        let in_batches = self.post_batches(gateway, batches.start).await?;
        let row =
            |what, ours, goal| Row { what, ours, floor: String::new(), ratio: String::new(), goal, disk };
        Ok(vec![
            Row {
                floor: format!("{floor:.0}/s"),
                ratio: ratio(rate, floor),
                ..row("Events posted over HTTP, 16 connections", format!("{rate:.0}/s"), ">= 4,000/s")
            },
            row("Their p99 over HTTP", ms(percentile(&mut took, 99)), "< 20 ms"),
            row("Batches of 1,000 posted, 16 connections", format!("{in_batches:.0}/s"), ">= 15,000/s"),
        ])
    }

    async fn post_singles(&self, gateway: SocketAddr, users: Range<usize>) -> Result<(f64, Vec<Duration>)> {
        let count = users.len();
        let began = Instant::now();
        let callers = (0..CALLERS).map(|caller| {
            let own = users.clone().skip(caller).step_by(CALLERS);
            async move {
                let mut connection = Connection::open(gateway).await?;
                let mut took = Vec::with_capacity(count / CALLERS);
                for number in own {
                    let at = Instant::now();
                    let answer =
                        connection.post(&self.crm_key, "/api/attribution/events", &event(number)).await?;
                    took.push(at.elapsed());
                    accrued(&answer)?;
                }
                Ok::<_, anyhow::Error>(took)
            }
        });
        let took = futures::future::try_join_all(callers).await?.concat();
        Ok((per_second(count, began.elapsed()), took))
    }

    async fn post_batches(&self, gateway: SocketAddr, first: usize) -> Result<f64> {
        let began = Instant::now();
        let callers = (0..CALLERS).map(|caller| async move {
            let mut connection = Connection::open(gateway).await?;
            for batch in (caller..BATCHES).step_by(CALLERS) {
                let first = first + batch * BATCH;
                let body = json!({ "events": (first..first + BATCH).map(event).collect::<Vec<Value>>() });
                let answer = connection.post(&self.crm_key, "/api/attribution/events/batch", &body).await?;
                let results = answer["results"].as_array().context("a list of answers")?;
                ensure!(results.len() == BATCH, "{} answers", results.len());
                results.iter().try_for_each(accrued)?;
            }
            Ok::<_, anyhow::Error>(())
        });
        futures::future::try_join_all(callers).await?;
        Ok(per_second(BATCHES * BATCH, began.elapsed()))
    }
}
