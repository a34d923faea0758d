//! Benchmarks: ours, the floor, and the ratio, in one table. Run by `tests/bench`; arguments choose parts by name.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its table")]

mod attribution;
mod capture;
mod decisions;
mod floor;
mod keys;
mod lineage;
mod load;
mod plan;
mod salesforce;
mod servers;
mod size;
mod stage;
mod suggest;
mod sync;
mod table;
mod timeline;
mod up;
mod vendor;

use std::process::ExitCode;

use anyhow::Result;
use jiff::Timestamp;
use load::Load;
use model::{ConnectionId, OrganizationId};
use servers::Servers;
use table::{Row, ms, ratio, times};

/// The allocator of the `accord` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let mut report = Report { wanted, rows: Vec::new(), failed: false };
    report.add("sync", async { pipeline().await }).await;
    report.add("suggest", async { suggest::measure() }).await;
    report.add("decisions", async { decisions::measure() }).await;
    report.add("keys", async { Ok(vec![keys::measure().await?]) }).await;
    report.add("lineage", async { Ok(vec![lineage::measure().await?]) }).await;
    report.add("plan", async { Ok(vec![plan::measure().await?]) }).await;
    report.add("backfill", async { Ok(vec![up::backfill().await?]) }).await;
    report.add("capture", async { Ok(vec![capture::measure().await?]) }).await;
    report.add("salesforce", async { salesforce::measure().await }).await;
    report.add("mail", async { timeline::mail().await }).await;
    report.add("timeline", async { timeline::page().await }).await;
    report.add("clicks", async { timeline::clicks().await }).await;
    report.add("attribution", async { attribution::measure().await }).await;
    report.add("model", async { attribution::measure_again().await }).await;
    report.add("size", async { size::measure().await }).await;
    report.add("up", async { up::measure().await }).await;
    table::print(&report.rows);
    Ok(if report.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// What the chosen parts measured.
struct Report {
    wanted: Vec<String>,
    rows: Vec<Row>,
    failed: bool,
}

impl Report {
    /// Adds a part if it was chosen. One that fails is a line of the table too, and the others go on.
    async fn add(&mut self, name: &'static str, part: impl Future<Output = Result<Vec<Row>>>) {
        if !self.wanted.is_empty() && !self.wanted.iter().any(|part| name.contains(part.as_str())) {
            return;
        }
        match part.await {
            Ok(rows) => self.rows.extend(rows),
            Err(error) => {
                table::note(&format!("{name} failed: {error:#}"));
                self.failed = true;
                self.rows.push(Row {
                    what: name,
                    ours: "failed".to_owned(),
                    floor: String::new(),
                    ratio: String::new(),
                    goal: "see above",
                    disk: None,
                });
            }
        }
    }
}

async fn pipeline() -> Result<Vec<Row>> {
    let servers = Servers::start().await?;
    let at = Timestamp::UNIX_EPOCH;
    let load = Load::new(OrganizationId::generate(at), ConnectionId::generate(at));
    let floor =
        stage::measure("floor", &servers, load, floor::start, async |_: &Servers, _: &bus::Bus| Ok(()))
            .await?;
    servers.stop().await;
    let servers = Servers::start().await?;
    let load = sync::seed(&servers).await?;
    let ours = stage::measure("ours", &servers, load, sync::start, sync::finish).await?;
    servers.stop().await;
    let disk = Some(ours.disk);
    let rate = |number: f64| format!("{number:.0}/s");
    Ok(vec![
        Row {
            what: "Sync pipeline, backlog, audit included",
            ours: rate(ours.finished),
            floor: rate(floor.finished),
            ratio: ratio(ours.finished, floor.finished),
            goal: ">= 50 %",
            disk,
        },
        Row {
            what: "Sync pipeline, backlog, to the event out",
            ours: rate(ours.drained),
            floor: rate(floor.drained),
            ratio: ratio(ours.drained, floor.drained),
            goal: "",
            disk,
        },
        latency("p50 at 500 changes/s", ours.calm.p50, floor.calm.p50, "", disk),
        latency("p99 at 500 changes/s", ours.calm.p99, floor.calm.p99, "<= 3 x", disk),
        Row {
            what: "Sustained at 5,000 changes/s",
            ours: rate(ours.busy.rate),
            floor: rate(floor.busy.rate),
            ratio: ratio(ours.busy.rate, floor.busy.rate),
            goal: ">= 5,000/s",
            disk,
        },
        latency("p99 at 5,000 changes/s", ours.busy.p99, floor.busy.p99, "< 150 ms", disk),
    ])
}

fn latency(
    what: &'static str,
    ours: std::time::Duration,
    floor: std::time::Duration,
    goal: &'static str,
    disk: Option<std::time::Duration>,
) -> Row {
    Row { what, ours: ms(ours), floor: ms(floor), ratio: times(ours, floor), goal, disk }
}
