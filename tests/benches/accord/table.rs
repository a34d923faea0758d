//! Numbers, and the table they are printed in.

use std::time::Duration;

/// One line of the table.
pub(crate) struct Row {
    pub(crate) what: &'static str,
    pub(crate) ours: String,
    /// What it is compared with.
    pub(crate) floor: String,
    pub(crate) ratio: String,
    pub(crate) goal: &'static str,
    /// The disk's fdatasync at the time, where it matters.
    pub(crate) disk: Option<Duration>,
}

pub(crate) fn print(rows: &[Row]) {
    println!(
        "\n{:<44} {:>22} {:>22} {:>8}  {:<22} {:>11}",
        "", "ours", "floor", "ratio", "goal", "fdatasync"
    );
    for row in rows {
        let disk = row.disk.map_or_else(String::new, ms);
        println!(
            "{:<44} {:>22} {:>22} {:>8}  {:<22} {:>11}",
            row.what, row.ours, row.floor, row.ratio, row.goal, disk
        );
    }
    println!();
}

/// What was measured by now, in one line for whoever waits.
pub(crate) fn note(text: &str) {
    eprintln!("   {text}");
}

pub(crate) fn ms(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1_000.0)
}

pub(crate) fn median(took: &mut [Duration]) -> Duration {
    percentile(took, 50)
}

pub(crate) fn percentile(took: &mut [Duration], percent: usize) -> Duration {
    took.sort_unstable();
    let index = (took.len() * percent / 100).min(took.len().saturating_sub(1));
    took.get(index).copied().unwrap_or_default()
}

pub(crate) fn per_second(count: usize, took: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    let count = count as f64;
    count / took.as_secs_f64()
}

pub(crate) fn ratio(ours: f64, floor: f64) -> String {
    format!("{:.0} %", 100.0 * ours / floor)
}

pub(crate) fn times(ours: Duration, floor: Duration) -> String {
    format!("{:.1} x", ours.as_secs_f64() / floor.as_secs_f64())
}
