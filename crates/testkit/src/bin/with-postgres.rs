//! Runs a command with a private Postgres cluster for tests, named by `ACCORD_TEST_DATABASE_URL`, and ends with the
//! command's own exit code: `with-postgres cargo nextest run --workspace`.

use std::process::ExitCode;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    process::Command,
    signal::unix::{SignalKind, signal},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        return complain("usage: with-postgres <command> [argument…]");
    };
    // A Ctrl-C in the terminal reaches the command too; we outlive it to clean up.
    let mut interrupt = signal(SignalKind::interrupt()).expect("a signal handler");
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
    let cluster = testkit::fast_cluster().await;
    let mut command = Command::new(&program);
    command.args(arguments).env("ACCORD_TEST_DATABASE_URL", cluster.url()).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return complain(&format!("failed to run {}: {error}", program.display())),
    };
    loop {
        tokio::select! {
            status = child.wait() => {
                let code = status.ok().and_then(|status| status.code()).unwrap_or(1);
                return ExitCode::from(u8::try_from(code).unwrap_or(1));
            }
            _ = interrupt.recv() => {}
            _ = terminate.recv() => pass_on(child.id()),
        }
    }
}

/// Asks the command to end, as we were asked.
fn pass_on(pid: Option<u32>) {
    if let Some(pid) = pid.and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended in the meantime.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

#[expect(clippy::print_stderr, reason = "a command-line tool speaks on standard error")]
fn complain(text: &str) -> ExitCode {
    eprintln!("{text}");
    ExitCode::from(2)
}
