//! The merge by itself and the simulator that drives it: no database, no bus, only decisions.

use std::time::Instant;

use anyhow::{Result, bail};
use sync_engine::simulate;

use crate::table::{Row, note, per_second};

const FIELDS: usize = 5_000_000;
const SEEDS: u64 = 20_000;
const RUNS: usize = 3;

pub(crate) fn measure() -> Result<Vec<Row>> {
    let threads = std::thread::available_parallelism()?.get();
    let mut decided: f64 = 0.0;
    for _ in 0..RUNS {
        let began = Instant::now();
        if simulate::decide_fields(FIELDS) == 0 {
            bail!("nothing was decided");
        }
        decided = decided.max(per_second(FIELDS, began.elapsed()));
    }
    note(&format!("{decided:.0} field decisions a second on one core"));
    let began = Instant::now();
    if let Some(failure) = simulate::run(0, SEEDS, threads, None, &|_| {}) {
        bail!("seed {} violates {}", failure.seed, failure.violations.join(", "));
    }
    let a_minute = 60.0 * per_second(usize::try_from(SEEDS)?, began.elapsed());
    note(&format!("{a_minute:.0} seeds a minute on {threads} cores"));
    Ok(vec![
        row("Field decisions, one core", format!("{decided:.0}/s"), ">= 1,000,000/s"),
        row("Simulated seeds, all cores", format!("{a_minute:.0}/min"), ">= 20,000/min on two"),
    ])
}

const fn row(what: &'static str, ours: String, goal: &'static str) -> Row {
    Row { what, ours, floor: String::new(), ratio: String::new(), goal, disk: None }
}
