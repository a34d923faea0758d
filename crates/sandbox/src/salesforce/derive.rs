//! Values that the vendor works out of other values when a record is written.

use serde_json::{Value, json};

use super::record::{Cells, Record};
use super::schema::Schema;
use super::time::parse_date;

/// Probability and forecast category of the standard sales process.
const STAGES: [(&str, f64, &str); 10] = [
    ("Prospecting", 10.0, "Pipeline"),
    ("Qualification", 10.0, "Pipeline"),
    ("Needs Analysis", 20.0, "Pipeline"),
    ("Value Proposition", 50.0, "Pipeline"),
    ("Id. Decision Makers", 60.0, "Pipeline"),
    ("Perception Analysis", 70.0, "Pipeline"),
    ("Proposal/Price Quote", 75.0, "Pipeline"),
    ("Negotiation/Review", 90.0, "Pipeline"),
    ("Closed Won", 100.0, "Closed"),
    ("Closed Lost", 0.0, "Omitted"),
];

/// Works out what depends on the values just written. `changed` are the positions of the fields
/// that the write named; `fresh` says that the record is new.
pub(crate) fn derive(schema: &Schema, record: &mut Record, changed: &[u16], fresh: bool) {
    match schema.name.as_str() {
        "Contact" | "Lead" => name(schema, &mut record.cells),
        "Opportunity" => opportunity(schema, record, changed, fresh),
        "Custom__c" if fresh && cell(schema, &record.cells, "Name").is_none() => {
            let name = record.id.short();
            set(schema, &mut record.cells, "Name", name.into());
        }
        _ => {}
    }
}

fn cell<'a>(schema: &Schema, cells: &'a Cells, field: &str) -> Option<&'a Value> {
    cells.get(schema.field(field)?.at)
}

fn set(schema: &Schema, cells: &mut Cells, field: &str, value: Value) {
    if let Some(field) = schema.field(field) {
        cells.set(field.at, value);
    }
}

fn name(schema: &Schema, cells: &mut Cells) {
    let part = |field| cell(schema, cells, field).and_then(Value::as_str);
    let parts: Vec<&str> = [part("FirstName"), part("LastName")].into_iter().flatten().collect();
    let name = parts.join(" ");
    set(schema, cells, "Name", name.into());
}

fn opportunity(schema: &Schema, record: &mut Record, changed: &[u16], fresh: bool) {
    let named = |field: &str| schema.field(field).is_some_and(|field| changed.contains(&field.at));
    let stage = cell(schema, &record.cells, "StageName").and_then(Value::as_str).unwrap_or_default();
    let known = STAGES.iter().find(|(name, ..)| *name == stage);
    let (_, probability, forecast) = *known.unwrap_or(&("", 0.0, "Pipeline"));
    let (closed, won) = (stage.starts_with("Closed"), stage == "Closed Won");
    let moved = fresh || named("StageName");
    let cells = &mut record.cells;
    if moved && !named("Probability") {
        set(schema, cells, "Probability", json!(probability));
    }
    if moved && !named("ForecastCategoryName") {
        set(schema, cells, "ForecastCategoryName", forecast.into());
    }
    let category = cell(schema, cells, "ForecastCategoryName").cloned().unwrap_or_default();
    let category = if category == "Best Case" { json!("BestCase") } else { category };
    set(schema, cells, "ForecastCategory", category);
    set(schema, cells, "IsClosed", closed.into());
    set(schema, cells, "IsWon", won.into());
    let number = |field: &str| cell(schema, cells, field).and_then(Value::as_f64);
    let expected = number("Amount").zip(number("Probability"));
    let expected = expected.map(|(amount, chance)| (amount * chance).round() / 100.0);
    set(schema, cells, "ExpectedRevenue", json!(expected));
    if let Some(close) = cell(schema, cells, "CloseDate").and_then(Value::as_str).and_then(parse_date) {
        let quarter = (close.month() + 2) / 3;
        set(schema, cells, "FiscalYear", json!(close.year()));
        set(schema, cells, "FiscalQuarter", json!(quarter));
        set(schema, cells, "Fiscal", format!("{} {quarter}", close.year()).into());
    }
}
