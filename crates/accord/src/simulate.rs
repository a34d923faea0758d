//! `accord simulate`: the rules of synchronization in simulated worlds.

use std::{process::ExitCode, time::Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sync_engine::simulate::{self, Failure};

use crate::cli::Simulate;

pub(crate) fn run(command: &Simulate) -> ExitCode {
    let vendor = command.vendor_profile.as_deref();
    if let Some(seed) = command.replay {
        return tell(&simulate::replay(seed, vendor));
    }
    let threads =
        command.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let bar = bar(command.seeds);
    let began = Instant::now();
    let failure =
        simulate::run(command.first, command.seeds, threads, vendor, &|done| bar.set_position(done));
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    if let Some(failure) = failure {
        tell(&failure);
        let of = vendor.map(|vendor| format!(" --vendor-profile {vendor}")).unwrap_or_default();
        print(&format!("seed {} fails; the whole run: accord simulate --replay {0}{of}", failure.seed));
        return ExitCode::FAILURE;
    }
    let (seeds, a_minute) = (command.seeds, command.seeds as f64 / seconds * 60.0);
    print(&format!(
        "{seeds} seeds, no violation, {seconds:.1} s on {threads} threads, {a_minute:.0} a minute"
    ));
    ExitCode::SUCCESS
}

fn bar(length: u64) -> ProgressBar {
    let bar = ProgressBar::new(length);
    match ProgressStyle::with_template("{bar:30} {pos} of {len}, {per_sec}, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn tell(failure: &Failure) -> ExitCode {
    failure.story.iter().for_each(|line| print(line));
    failure.violations.iter().for_each(|line| print(&format!("VIOLATED  {line}")));
    if failure.violations.is_empty() {
        print("nothing is violated");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}

#[expect(clippy::print_stdout, reason = "the command's answer")]
fn print(text: &str) {
    println!("{text}");
}
