//! The one binary of Accord: `accord up` runs everything on this machine, `accord serve` one service, and the rest
//! are the operator's commands.

mod cli;
mod demo;
mod doors;
mod files;
mod house;
mod operator;
mod readiness;
mod ready;
mod sandboxes;
mod serve;
mod simulate;
mod suggest;
mod up;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    // Fails only when somebody installed one before, which nobody can have.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.into()),
    };
    match runtime.block_on(run(cli)) {
        Ok(code) => code,
        Err(error) => fail(&error),
    }
}

async fn run(cli: cli::Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        cli::Command::Up(up) => up::run(*up).await,
        cli::Command::Serve(serve) => serve::run(*serve).await,
        cli::Command::Audit(command) => operator::audit(command).await,
        cli::Command::Ledger(command) => operator::ledger(command).await,
        cli::Command::Dead(command) => operator::dead(command).await,
        cli::Command::Organization(command) => operator::organization(command).await,
        cli::Command::Keys(command) => operator::keys(&command),
        cli::Command::Simulate(command) => Ok(simulate::run(&command)),
        cli::Command::Suggest(command) => suggest::run(&command),
    }
}

#[expect(clippy::print_stderr, reason = "the end of the program speaks to the person at the terminal")]
fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("accord: failed to {error:#}");
    ExitCode::FAILURE
}
