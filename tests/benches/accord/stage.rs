//! How a pipeline is measured, the floor and ours alike: a backlog to drain, then a live producer.

use std::time::{Duration, Instant};

use anyhow::Result;
use bus::Bus;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    load::{Load, Sink},
    servers::Servers,
    table::{note, per_second, percentile},
};

const BACKLOG: usize = 24_000;
const RUNS: usize = 3;

/// A pipeline that runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Started {
    pub(crate) shutdown: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Started {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// What was measured of a pipeline.
pub(crate) struct Measured {
    /// Changes a second while it drains a backlog; the best run.
    pub(crate) drained: f64,
    /// The same with everything that follows done too, the audit log above all; the best run.
    pub(crate) finished: f64,
    /// At 500 changes a second.
    pub(crate) calm: Latency,
    /// At 5,000 changes a second.
    pub(crate) busy: Latency,
    /// The disk's fdatasync.
    pub(crate) disk: Duration,
}

/// From when a change was due to be published until its record's change came out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
    /// Changes a second that came out, the last one included.
    pub(crate) rate: f64,
}

/// Measures a pipeline on these servers; `finish` waits until nothing is left to do.
pub(crate) async fn measure(
    name: &str,
    servers: &Servers,
    mut load: Load,
    start: impl AsyncFn(&Servers) -> Result<Started>,
    finish: impl AsyncFn(&Servers, &Bus) -> Result<()>,
) -> Result<Measured> {
    let bus = servers.bus("bench").await?;
    let sink = Sink::open(&bus).await?;
    let (mut drained, mut finished) = (0.0_f64, 0.0_f64);
    for run in 1..=RUNS {
        bus.publish_batch(&load.next(BACKLOG)?).await?;
        let before = sink.received();
        let started = start(servers).await?;
        let (began, used) = (Instant::now(), servers.cpu()?);
        sink.wait_for(before + BACKLOG).await?;
        let out = per_second(BACKLOG, began.elapsed());
        finish(servers, &bus).await?;
        let all = per_second(BACKLOG, began.elapsed());
        note(&format!("{name}: backlog {run} of {RUNS}: {out:.0}/s out, {all:.0}/s with all that follows"));
        note(&format!("{name}: {}", servers.cpu()?.per_change_since(&used, BACKLOG)));
        (drained, finished) = (drained.max(out), finished.max(all));
        started.stop().await;
    }
    let started = start(servers).await?;
    let calm = live(name, servers, &sink, &mut load, 500, 10).await?;
    let busy = live(name, servers, &sink, &mut load, 5_000, 15).await?;
    finish(servers, &bus).await?;
    started.stop().await;
    Ok(Measured { drained, finished, calm, busy, disk: servers.sync_p50()? })
}

async fn live(
    name: &str,
    servers: &Servers,
    sink: &Sink,
    load: &mut Load,
    rate: usize,
    seconds: u64,
) -> Result<Latency> {
    let bus = servers.bus("bench").await?;
    // The first second warms caches up and does not count.
    let warm = sink.received() + load.publish_live(&bus, sink, rate, 1).await?;
    sink.wait_for(warm).await?;
    sink.take_latencies();
    let (began, used) = (Instant::now(), servers.cpu()?);
    let published = load.publish_live(&bus, sink, rate, seconds).await?;
    sink.wait_for(warm + published).await?;
    let out = per_second(published, began.elapsed());
    let mut took = sink.take_latencies();
    let latency = Latency { p50: percentile(&mut took, 50), p99: percentile(&mut took, 99), rate: out };
    note(&format!(
        "{name}: {rate}/s wanted, {out:.0}/s came out, p50 {:?}, p99 {:?}",
        latency.p50, latency.p99
    ));
    note(&format!("{name}: {}", servers.cpu()?.per_change_since(&used, published)));
    Ok(latency)
}
