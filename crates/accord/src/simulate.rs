//! `accord simulate`: the rules of synchronization in simulated worlds.

use std::{process::ExitCode, time::Instant};

use indicatif::{ProgressBar, ProgressStyle};
use sync_engine::simulate::{self, Bounds, Failure, Stage, Walked};

use crate::cli::{Simulate, WalkBounds};

pub(crate) fn run(command: &Simulate) -> ExitCode {
    let vendor = command.vendor_profile.as_deref();
    if let Some(seed) = command.replay {
        return tell(&simulate::replay(seed, vendor));
    }
    let threads =
        command.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from)).unwrap_or(1);
    if command.walk {
        return walk(&stages(&command.bounds, vendor), threads);
    }
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

/// What is to be walked.
fn stages(bounds: &WalkBounds, vendor: Option<&str>) -> Vec<Stage> {
    let Some(edits) = bounds.edits else { return simulate::stages(vendor) };
    let kinds = simulate::profiles().into_iter().filter(|kind| vendor.is_none_or(|vendor| vendor == *kind));
    let bounds = Bounds {
        systems: bounds.vendors.into(),
        fields: bounds.fields.into(),
        refused: bounds.refused,
        here: edits,
        there: edits,
        ties: bounds.ties,
        again: bounds.repeated,
        lost: bounds.lost_answers,
        crashes: bounds.crashes,
    };
    vec![Stage { bounds, vendors: kinds.collect() }]
}

fn walk(stages: &[Stage], threads: usize) -> ExitCode {
    let (mut all, began) = ((0, 0), Instant::now());
    for stage in stages {
        print(&format!("{} ({})", stage.bounds, stage.vendors.join(", ")));
        let bar = ProgressBar::new_spinner();
        let began = Instant::now();
        let walked = simulate::walk(stage, threads, &|states| {
            bar.set_message(format!("{states} states, {:.0} s", began.elapsed().as_secs_f64()));
            bar.tick();
        });
        bar.finish_and_clear();
        let Walked { worlds, states, transitions, rests, depth, violations, story } = walked;
        if !violations.is_empty() {
            story.iter().for_each(|line| print(line));
            violations.iter().for_each(|line| print(&format!("VIOLATED  {line}")));
            print("one of the shortest ways there is told above");
            return ExitCode::FAILURE;
        }
        print(&format!(
            "    {worlds} worlds, {states} states, {transitions} transitions, {rests} states at rest, up to {depth} \
             steps, {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        all = (all.0 + states, all.1 + transitions);
    }
    let seconds = began.elapsed().as_secs_f64();
    let (states, transitions) = all;
    print(&format!(
        "walked whole: {states} states, {transitions} transitions, no violation, {seconds:.1} s on {threads} threads"
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
