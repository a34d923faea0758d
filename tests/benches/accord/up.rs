//! The binary: its memory at rest, the time from a start on existing data until everything answers, and how fast it
//! reads HubSpot's history under HubSpot's limits.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use bus::{Bus, ConnectOptions, ConsumerConfig, subject};
use model::{SyncRunFinished, kind};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::TestDirectory;
use tokio::time::{Instant, sleep};

use crate::table::{Row, note, ratio};

const PATIENCE: Duration = Duration::from_secs(120);
/// How long a start has to come to rest before its memory counts.
const REST: Duration = Duration::from_secs(30);
/// Companies of the backfill.
const COMPANIES: u32 = 20_000;
/// What 5 searches a second of 200 records allow.
const ALLOWED_PER_SECOND: f64 = 1_000.0;

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let program = program()?;
    let directory = TestDirectory::create();
    let (first, _) = Demo::start(&program, &directory, &[]).await?;
    first.stop().await?;
    let (mut demo, ready) = Demo::start(&program, &directory, &[]).await?;
    note(&format!("up: ready after {ready:?}"));
    sleep(REST).await;
    ensure!(demo.0.try_wait()?.is_none(), "accord ended by itself");
    let resident = resident_kib(demo.0.id())?;
    demo.stop().await?;
    let row =
        |what, ours, goal| Row { what, ours, floor: String::new(), ratio: String::new(), goal, disk: None };
    Ok(vec![
        row("accord up --demo at rest, resident", format!("{} MB", resident / 1_024), "< 150 MB"),
        row("accord up --demo on existing data, ready", format!("{:.1} s", ready.as_secs_f64()), "< 5 s"),
    ])
}

/// Reads a portal's companies for the first time, with the sandbox's limits on.
pub(crate) async fn backfill() -> Result<Row> {
    let directory = TestDirectory::create();
    let count = COMPANIES.to_string();
    let arguments = [
        "--demo-companies",
        &count,
        "--demo-deals",
        "1",
        "--demo-contacts",
        "0",
        "--demo-accounts",
        "0",
        "--edits-per-minute",
        "0",
    ];
    let (demo, _) = Demo::start(&program()?, &directory, &arguments).await?;
    let ready: serde_json::Value =
        serde_json::from_slice(&std::fs::read(directory.path().join("ready.json"))?)?;
    let nats = ready["nats_url"].as_str().context("find nats_url in the ready file")?;
    let bus = Bus::connect(nats, ConnectOptions::named("bench")).await?;
    let run =
        tokio::time::timeout(PATIENCE, first_backfill(&bus)).await.context("wait for the backfill")??;
    demo.stop().await?;
    let took = (run.finished_at - run.started_at).total(jiff::Unit::Second)?;
    let rate = f64::from(u32::try_from(run.read)?) / took;
    note(&format!("backfill: {} companies in {took:.1} s", run.read));
    Ok(Row {
        what: "HubSpot backfill under its limits, records",
        ours: format!("{rate:.0}/s"),
        floor: format!("{ALLOWED_PER_SECOND:.0}/s"),
        ratio: ratio(rate, ALLOWED_PER_SECOND),
        goal: ">= 95 %",
        disk: None,
    })
}

/// The run that read all companies.
pub(crate) async fn first_backfill(bus: &Bus) -> Result<SyncRunFinished> {
    let config = ConsumerConfig::new(subject::EVENTS, "bench").filtered(["sync.>"]);
    let mut consumer = bus.consumer(config).await?;
    loop {
        for delivery in consumer.next_batch().await? {
            if delivery.message.envelope.kind == kind::SYNC_RUN_FINISHED {
                let run: SyncRunFinished = delivery.message.decode()?;
                if run.run == "backfill" && run.vendor_object == "companies" {
                    return Ok(run);
                }
            }
            delivery.ack().await?;
        }
    }
}

pub(crate) fn program() -> Result<PathBuf> {
    Ok(PathBuf::from(std::env::var("ACCORD_BIN").context("find accord: set ACCORD_BIN")?))
}

/// A demo that runs. It is killed where nobody stops it, and its servers with it.
struct Demo(Child);

impl Demo {
    /// Starts it and returns when the ready file is there, with the time that it took.
    async fn start(
        program: &PathBuf,
        directory: &TestDirectory,
        arguments: &[&str],
    ) -> Result<(Self, Duration)> {
        let ready_file = directory.path().join("ready.json");
        if ready_file.exists() {
            std::fs::remove_file(&ready_file)?;
        }
        let began = Instant::now();
        let child = Command::new(program)
            .args(["up", "--demo", "--no-browser", "--data-dir"])
            .arg(directory.path().join("data"))
            .arg("--ready-file")
            .arg(&ready_file)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("run {}", program.display()))?;
        let mut demo = Self(child);
        while !ready_file.exists() {
            ensure!(demo.0.try_wait()?.is_none(), "accord ended by itself");
            ensure!(began.elapsed() < PATIENCE, "accord does not become ready");
            sleep(Duration::from_millis(5)).await;
        }
        Ok((demo, began.elapsed()))
    }

    /// Asks it to end, and waits.
    async fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(self.0.id().try_into()?), Signal::SIGTERM).context("ask accord to end")?;
        let deadline = Instant::now() + PATIENCE;
        while self.0.try_wait()?.is_none() {
            ensure!(Instant::now() < deadline, "accord does not end");
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

fn resident_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("find VmRSS")?;
    let number = line.split_whitespace().nth(1).context("read VmRSS")?;
    Ok(number.parse()?)
}
