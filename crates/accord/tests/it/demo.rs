//! The demo and anybody's data.

use std::process::Stdio;

use testkit::{TestDatabase, TestDirectory};
use tokio::process::Command;

/// Runs the binary on this database, with these arguments, and gives whether it ended well and what it said.
async fn accord(database: &TestDatabase, arguments: &[&str]) -> (bool, String) {
    let directory = TestDirectory::create();
    let output = Command::new(env!("CARGO_BIN_EXE_accord"))
        .args(arguments)
        .env("DATABASE_URL", database.url())
        .env("NATS_URL", "nats://127.0.0.1:1")
        .env("ACCORD_DATA_DIR", directory.path())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), output).await;
    let output = ended.expect("it ends by itself").unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn organization(database: &TestDatabase, name: &str) {
    let console = ["--console-url", "http://127.0.0.1:1"];
    let create = ["organization", "create", name, "--owner", "owner@example.com"];
    let (done, said) = accord(database, &[&create[..], &console].concat()).await;
    assert!(done, "{said}");
}

#[tokio::test]
async fn the_demo_starts_in_nobodys_database() {
    let database = testkit::database().await;
    organization(&database, "Acme").await;
    let (done, said) = accord(&database, &["up", "--demo", "--no-browser"]).await;
    assert!(!done && said.contains("failed to start the demo in a database with somebody's data"), "{said}");
}

#[tokio::test]
async fn the_demos_people_never_live_outside_of_the_demo() {
    let database = testkit::database().await;
    organization(&database, "Northwind Partners").await;
    let (done, said) = accord(&database, &["up", "--no-browser"]).await;
    assert!(!done && said.contains("failed to start without --demo on the demo's data"), "{said}");
}
