//! The rules of a program, as JSON and as the room reads them.

use proto::attribution as room;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::super::{
    fields::{Faults, Fields, Length},
    wire::{number, text},
};

const FIELD: &str = "commissionRule";
const MOST_RULES: usize = 10;
const OPERATORS: [&str; 5] = ["equals", "not_equals", "exists", "at_least", "at_most"];

/// A rule by which an event pays.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct RuleView {
    /// `every`, `first` or `subsequent` event of the type, for each customer.
    trigger: String,
    /// `percent` or `fixed`.
    r#type: String,
    /// The percentage, or the amount in major units.
    #[schema(value_type = f64)]
    value: Option<Box<RawValue>>,
    /// Of a fixed amount.
    #[serde(skip_serializing_if = "Option::is_none")]
    currency: Option<String>,
    /// Which events; all without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recurring: Option<bool>,
    /// For how many months after the customer's first event.
    #[serde(skip_serializing_if = "Option::is_none")]
    recurring_months: Option<u32>,
    /// What the metadata must say; all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    conditions: Vec<ConditionView>,
    /// Other rewards from these volumes on, by the partner's volume of the calendar month.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tiers: Vec<TierView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partner_cap: Option<CapView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_cap: Option<CapView>,
}

/// A condition on the metadata of an event.
#[derive(Serialize, ToSchema)]
struct ConditionView {
    field: String,
    /// `equals`, `not_equals`, `exists`, `at_least` or `at_most`.
    operator: String,
    value: String,
}

/// The reward from a volume on.
#[derive(Serialize, ToSchema)]
struct TierView {
    volume: String,
    currency: String,
    reward: String,
}

/// The most that is paid.
#[derive(Serialize, ToSchema)]
struct CapView {
    amount: Option<String>,
    currency: Option<String>,
    count: Option<u32>,
}

impl From<room::Rule> for RuleView {
    fn from(rule: room::Rule) -> Self {
        let (kind, value) = match rule.reward {
            Some(room::rule::Reward::Percent(percent)) => ("percent", percent),
            Some(room::rule::Reward::Fixed(amount)) => ("fixed", amount),
            None => ("percent", String::new()),
        };
        let condition = |condition: room::Condition| ConditionView {
            field: condition.field,
            operator: condition.operator,
            value: condition.value,
        };
        let tier =
            |tier: room::Tier| TierView { volume: tier.volume, currency: tier.currency, reward: tier.reward };
        let cap = |cap: room::Cap| CapView {
            amount: text(cap.amount),
            currency: text(cap.currency),
            count: Some(cap.count).filter(|count| *count > 0),
        };
        Self {
            trigger: rule.trigger,
            r#type: kind.to_owned(),
            value: number(&value),
            currency: text(rule.currency),
            event_type: text(rule.event_type),
            recurring: (rule.months > 0).then_some(true),
            recurring_months: Some(rule.months).filter(|months| *months > 0),
            conditions: rule.conditions.into_iter().map(condition).collect(),
            tiers: rule.tiers.into_iter().map(tier).collect(),
            partner_cap: rule.partner_cap.map(cap),
            customer_cap: rule.customer_cap.map(cap),
        }
    }
}

/// The rules of a body: a list of them, or a single one of old, which pays for every event.
pub(super) fn read(fields: &mut Fields<'_>) -> Option<Vec<room::Rule>> {
    let raw = fields.raw(FIELD)?;
    if raw.get().starts_with('{') {
        return rule(fields, raw, true).map(|rule| vec![rule]);
    }
    let items = fields.list(FIELD)?;
    match items.len() {
        0 => fields.faults.add(FIELD, "Array must contain at least 1 element(s)"),
        count if count > MOST_RULES => {
            fields.faults.add(FIELD, format!("Array must contain at most {MOST_RULES} element(s)"));
        }
        _ => {}
    }
    items.into_iter().map(|item| rule(fields, item, false)).collect()
}

fn rule(outer: &mut Fields<'_>, raw: &RawValue, is_single: bool) -> Option<room::Rule> {
    let mut fields = inner(outer, raw)?;
    if !is_single {
        fields.require("trigger");
    }
    fields.require("type");
    fields.require("value");
    let trigger = fields.one_of("trigger", &["every", "first", "subsequent"]).unwrap_or("every");
    let kind = fields.one_of("type", &["percent", "fixed"]).unwrap_or("percent");
    let value = fields.amount("value").unwrap_or_default();
    if value.is_zero() && fields.faults.is_empty() {
        fields.faults.add("value", "Number must be greater than 0");
    }
    let event_type = fields.text("eventType", Length::between(1, 80)).unwrap_or_default();
    if trigger != "every" && event_type.is_empty() {
        fields.faults.add("eventType", format!("{trigger}-trigger sub-rules require an eventType"));
    }
    let recurring = fields.boolean("recurring");
    let months = fields.integer("recurringMonths", 1, 600);
    if months.is_some() && recurring != Some(true) {
        fields.faults.add("recurringMonths", "recurringMonths requires recurring: true");
    }
    let rule = room::Rule {
        trigger: trigger.to_owned(),
        event_type,
        reward: Some(match kind {
            "fixed" => room::rule::Reward::Fixed(value.to_string()),
            _ => room::rule::Reward::Percent(value.to_string()),
        }),
        currency: fields.text("currency", Length::exactly(3)).unwrap_or_default(),
        months: months.unwrap_or_default(),
        conditions: each(&mut fields, "conditions", condition),
        tiers: each(&mut fields, "tiers", tier),
        partner_cap: cap(&mut fields, "partnerCap"),
        customer_cap: cap(&mut fields, "customerCap"),
    };
    told(outer, FIELD, fields.faults);
    Some(rule)
}

fn inner<'b>(outer: &mut Fields<'_>, raw: &'b RawValue) -> Option<Fields<'b>> {
    match Fields::of_value(raw) {
        Ok(fields) => Some(fields),
        Err(faults) => {
            told(outer, FIELD, faults);
            None
        }
    }
}

/// Tells the faults of something inside of a field as faults of the field.
fn told(outer: &mut Fields<'_>, field: &'static str, faults: Faults) {
    for message in faults.into_messages() {
        outer.faults.add(field, message);
    }
}

fn each<T>(outer: &mut Fields<'_>, name: &'static str, read: impl Fn(&mut Fields<'_>) -> T) -> Vec<T> {
    let mut found = Vec::new();
    for item in outer.list(name).unwrap_or_default() {
        match Fields::of_value(item) {
            Ok(mut fields) => {
                found.push(read(&mut fields));
                told(outer, name, fields.faults);
            }
            Err(faults) => told(outer, name, faults),
        }
    }
    found
}

fn condition(fields: &mut Fields<'_>) -> room::Condition {
    fields.require("operator");
    let operator = fields.one_of("operator", &OPERATORS).unwrap_or_default().to_owned();
    // What it is compared with may be written as it is in the metadata.
    let value = match fields.raw("value").map(RawValue::get) {
        Some(json) if json.starts_with(['{', '[']) => {
            fields.faults.add("value", "Expected string");
            String::new()
        }
        Some(json) if !json.starts_with('"') => json.to_owned(),
        _ => fields.text("value", Length::ANY).unwrap_or_default(),
    };
    room::Condition { field: fields.required_text("field", Length::SOME), operator, value }
}

fn tier(fields: &mut Fields<'_>) -> room::Tier {
    fields.require("volume");
    fields.require("reward");
    let mut amount = |name| fields.amount(name).map(|amount| amount.to_string()).unwrap_or_default();
    let (volume, reward) = (amount("volume"), amount("reward"));
    room::Tier { volume, currency: fields.text("currency", Length::exactly(3)).unwrap_or_default(), reward }
}

fn cap(outer: &mut Fields<'_>, name: &'static str) -> Option<room::Cap> {
    outer.object(name)?;
    let mut fields = inner(outer, outer.raw(name)?)?;
    let cap = room::Cap {
        amount: fields.amount("amount").map(|amount| amount.to_string()).unwrap_or_default(),
        currency: fields.text("currency", Length::exactly(3)).unwrap_or_default(),
        count: fields.integer("count", 1, u32::MAX).unwrap_or_default(),
    };
    told(outer, name, fields.faults);
    Some(cap)
}
