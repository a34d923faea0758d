//! Suggestions for two objects of 250 fields each, and of 5,000.

use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};
use sync_engine::{Schema, predict};
use tokio::time::Instant;

use crate::table::{Row, median, ms};

const RUNS: usize = 21;
const GOAL: Duration = Duration::from_millis(200);

const THINGS: [&str; 10] = [
    "Billing",
    "Shipping",
    "Primary Contact",
    "Account",
    "Campaign",
    "Subscription",
    "Invoice",
    "Support",
    "Partner",
    "Renewal",
];
const FACTS: [&str; 25] = [
    "Name",
    "Phone Number",
    "Email Address",
    "City",
    "Postal Code",
    "Country",
    "Close Date",
    "Created At",
    "Owner",
    "Status",
    "Amount",
    "Currency",
    "Probability",
    "Source",
    "Description",
    "Website URL",
    "Score",
    "Last Activity",
    "Stage",
    "Type",
    "Street Address",
    "State/Region",
    "Lost Reason",
    "Number of Employees",
    "Annual Revenue",
];

pub(crate) fn measure() -> Result<Vec<Row>> {
    let small = took(250, RUNS)?;
    let large = took(5_000, 3)?;
    let row = |what, took, goal: &'static str, ratio| Row {
        what,
        ours: ms(took),
        floor: String::new(),
        ratio,
        goal,
        disk: None,
    };
    let part = format!("{:.0} %", 100.0 * small.as_secs_f64() / GOAL.as_secs_f64());
    Ok(vec![
        row("Suggestions for 250 x 250 fields", small, "<= 200 ms", part),
        row("Suggestions for 5,000 x 5,000 fields", large, "", String::new()),
    ])
}

/// The median of some runs; the schemas are read before.
fn took(fields: usize, runs: usize) -> Result<Duration> {
    let source = Schema::read("crm.deals", &schema(fields, |label| label.to_lowercase().replace(' ', "_")))?;
    let target =
        Schema::read("erp.opportunity", &schema(fields, |label| format!("{}__c", label.replace(' ', ""))))?;
    let mut all = Vec::new();
    for _ in 0..runs {
        let begun = Instant::now();
        let predictions = predict("crm.deals__erp.opportunity", &source, &target);
        all.push(begun.elapsed());
        anyhow::ensure!(!predictions.is_empty(), "predict something");
    }
    Ok(median(&mut all))
}

fn schema(fields: usize, name: impl Fn(&str) -> String) -> Vec<u8> {
    let field = |at: usize| -> Value {
        let (thing, fact) = (THINGS[at % THINGS.len()], FACTS[at / THINGS.len() % FACTS.len()]);
        let round = at / (THINGS.len() * FACTS.len());
        let label = if round == 0 { format!("{thing} {fact}") } else { format!("{thing} {fact} {round}") };
        json!({"name": name(&label), "label": label, "type": "string"})
    };
    Value::Array((0..fields).map(field).collect()).to_string().into_bytes()
}
