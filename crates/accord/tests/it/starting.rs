//! What a start refuses: a data directory that is another's, and settings that make no sense.

use std::{process::Stdio, time::Duration};

use testkit::{TestDirectory, eventually};
use tokio::process::{Child, Command};

#[tokio::test]
async fn a_second_start_by_mistake_is_refused_and_leaves_the_first_alone() {
    let (database, nats) = tokio::join!(testkit::database(), testkit::nats());
    let directory = TestDirectory::create();
    let ready_file = directory.path().join("ready.json");
    let up = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_accord"));
        command
            .args(["up", "--no-browser", "--ready-file"])
            .arg(&ready_file)
            .env("ACCORD_DATA_DIR", directory.path().join("data"))
            .envs([("DATABASE_URL", database.url()), ("NATS_URL", nats.url())])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    };
    let mut first: Child = up().stderr(Stdio::null()).spawn().unwrap();
    let ready = eventually(Duration::from_secs(60), "the first to be ready", || async {
        std::fs::read(&ready_file).ok()
    })
    .await;

    let second = tokio::time::timeout(Duration::from_secs(30), up().output()).await;
    let second = second.expect("the second ends by itself").unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && said.contains("another process already runs it in"), "{said}");
    assert_eq!(std::fs::read(&ready_file).unwrap(), ready, "the file of the one that runs");
    assert!(first.try_wait().unwrap().is_none(), "the first goes on");

    first.start_kill().unwrap();
    first.wait().await.unwrap();
    let third = up().stderr(Stdio::null()).spawn().unwrap();
    eventually(Duration::from_secs(60), "the next start to go on", || async {
        std::fs::read(&ready_file).ok().filter(|file| *file != ready)
    })
    .await;
    drop(third);
}

#[tokio::test]
async fn polling_without_a_pause_is_refused_in_words() {
    for arguments in [["up", "--no-browser"], ["serve", "connectors"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_accord"));
        command.args(arguments).args(["--poll-seconds", "0"]).stdin(Stdio::null()).kill_on_drop(true);
        let ended = tokio::time::timeout(Duration::from_secs(20), command.output()).await;
        let output = ended.expect("it ends by itself").unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{arguments:?} was started");
        assert!(said.contains("--poll-seconds") && said.contains("0 is not in 1..=86400"), "{said}");
    }
}
