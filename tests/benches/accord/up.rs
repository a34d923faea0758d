//! The binary at rest: memory, and the time from a start on existing data until everything answers.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use testkit::TestDirectory;
use tokio::time::{Instant, sleep};

use crate::table::{Row, note};

const PATIENCE: Duration = Duration::from_secs(120);
/// How long a start has to come to rest before its memory counts.
const REST: Duration = Duration::from_secs(30);

pub(crate) async fn measure() -> Result<Vec<Row>> {
    let program = PathBuf::from(std::env::var("ACCORD_BIN").context("find accord: set ACCORD_BIN")?);
    let directory = TestDirectory::create();
    let first = start(&program, &directory).await?.0;
    stop(first).await?;
    let (mut child, ready) = start(&program, &directory).await?;
    note(&format!("up: ready after {ready:?}"));
    sleep(REST).await;
    ensure!(child.try_wait()?.is_none(), "accord ended by itself");
    let resident = resident_kib(child.id())?;
    stop(child).await?;
    let row =
        |what, ours, goal| Row { what, ours, floor: String::new(), ratio: String::new(), goal, disk: None };
    Ok(vec![
        row("accord up --demo at rest, resident", format!("{} MB", resident / 1_024), "< 150 MB"),
        row("accord up --demo on existing data, ready", format!("{:.1} s", ready.as_secs_f64()), "< 5 s"),
    ])
}

/// Starts the demo and returns when the ready file is there, with the time that it took.
async fn start(program: &PathBuf, directory: &TestDirectory) -> Result<(Child, Duration)> {
    let ready_file = directory.path().join("ready.json");
    if ready_file.exists() {
        std::fs::remove_file(&ready_file)?;
    }
    let began = Instant::now();
    let mut child = Command::new(program)
        .args(["up", "--demo", "--no-browser", "--data-dir"])
        .arg(directory.path().join("data"))
        .arg("--ready-file")
        .arg(&ready_file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("run {}", program.display()))?;
    while !ready_file.exists() {
        ensure!(child.try_wait()?.is_none(), "accord ended by itself");
        ensure!(began.elapsed() < PATIENCE, "accord does not become ready");
        sleep(Duration::from_millis(5)).await;
    }
    Ok((child, began.elapsed()))
}

/// Asks it to end, and waits.
async fn stop(mut child: Child) -> Result<()> {
    let asked = Command::new("kill").arg(child.id().to_string()).status()?;
    ensure!(asked.success(), "accord is gone already");
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        ensure!(Instant::now() < deadline, "accord does not end");
        sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

fn resident_kib(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("find VmRSS")?;
    let number = line.split_whitespace().nth(1).context("read VmRSS")?;
    Ok(number.parse()?)
}
