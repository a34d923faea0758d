//! How the records of a CRM become events: rules on a connection, and addresses for the webhooks of others.

use proto::attribution::{
    ConversionRecord, ConversionRule, ConversionRuleSpec, IngestMapping, IngestUrl, IngestedBody,
    RecordCondition, WaitingRecord, conversion_rule_spec::User,
};

use super::{before, id};

fn condition(field: &str, value: &str) -> RecordCondition {
    RecordCondition { field: field.to_owned(), operator: "one_of".to_owned(), values: vec![value.to_owned()] }
}

/// Rules: one that works, one that is disabled.
#[must_use]
pub fn conversion_rules() -> Vec<ConversionRule> {
    let rule = |n: u32, name: &str, enabled| ConversionRule {
        id: id("rule", n),
        spec: Some(ConversionRuleSpec {
            name: name.to_owned(),
            connection_id: id("conn", 1),
            vendor_object: "deals".to_owned(),
            conditions: vec![condition("dealstage", "closedwon")],
            event_type: "opportunity_won".to_owned(),
            user: Some(if n == 1 { User::ContactEmail(true) } else { User::UserField("user_id".to_owned()) }),
            value_field: "amount".to_owned(),
            currency_field: "deal_currency_code".to_owned(),
            currency: "USD".to_owned(),
            when_left: if n == 1 { "void" } else { "keep" }.to_owned(),
        }),
        enabled,
        since: before(86_400 * 4),
        read_at: before(86_400 * 4),
        created_at: before(86_400 * 4),
        created_by: format!("user:{}", id("user", 1)),
        recorded: 41,
        last_recorded_at: before(1200),
        waiting: u64::from(n) - 1,
    };
    vec![rule(1, "Won deals", true), rule(2, "Renewals", false)]
}

/// What came of the records that met a rule.
#[must_use]
pub fn conversion_records() -> Vec<ConversionRecord> {
    let record = |n: u32, status: &str, reason: &str| ConversionRecord {
        record_id: format!("{}", 7000 + n),
        status: status.to_owned(),
        reason: reason.to_owned(),
        event_id: if status == "waiting" { String::new() } else { id("evt", n) },
        user_id: if status == "waiting" { "" } else { "buyer@example.com" }.to_owned(),
        value: "4500.00".to_owned(),
        currency: "USD".to_owned(),
        changed_at: before(i64::from(n) * 900),
    };
    vec![record(1, "recorded", ""), record(2, "waiting", "no_user"), record(3, "voided", "condition_left")]
}

/// Won deals that never became an event.
#[must_use]
pub fn waiting_records() -> Vec<WaitingRecord> {
    let record = |n: u32, value: &str, reason: &str, message: &str, repair: &str| WaitingRecord {
        rule_id: id("rule", 2),
        rule_name: "Renewals".to_owned(),
        event_type: "opportunity_won".to_owned(),
        connection_id: id("conn", 1),
        vendor_object: "deals".to_owned(),
        record_id: format!("{}", 7100 + n),
        value: value.to_owned(),
        currency: "USD".to_owned(),
        changed_at: before(i64::from(n) * 900),
        reason: reason.to_owned(),
        message: message.to_owned(),
        repair: repair.to_owned(),
    };
    let (nobody, amount) =
        ("Its field user_id is empty.", "Its field amount holds “a lot”, which is no amount.");
    vec![
        record(
            1,
            "4500.00",
            "no_user",
            nobody,
            "Fill in user_id in the CRM. The event is recorded by itself then.",
        ),
        record(2, "", "value_invalid", amount, "Correct amount in the CRM."),
    ]
}

/// Addresses: one that works, one that is revoked.
#[must_use]
pub fn ingest_urls() -> Vec<IngestUrl> {
    let url = |n: u32, name: &str, vendor: &str| IngestUrl {
        id: id("ing", n),
        name: name.to_owned(),
        vendor: vendor.to_owned(),
        mapping: Some(IngestMapping {
            user_id: vec!["data.person.email".to_owned(), "data.user".to_owned()],
            event_type: "opportunity_won".to_owned(),
            value: vec!["data.value".to_owned()],
            value_in_minor_units: false,
            currency: vec!["data.currency".to_owned()],
            default_currency: "EUR".to_owned(),
            external_event_id: vec!["data.id".to_owned()],
            ts: vec!["data.won_time".to_owned()],
            metadata: [("deal_id".to_owned(), "data.id".to_owned())].into(),
            conditions: vec![condition("data.status", "won")],
            follow_records: true,
        }),
        path: format!("/ingest/{}", id("ing", n)),
        created_at: before(86_400 * 6),
        revoked_at: if n == 1 { None } else { before(3600) },
        last_received_at: before(240),
        received: 318,
        recorded: 41,
        refused: 2,
    };
    vec![url(1, "Pipedrive deals", "pipedrive"), url(2, "Close", "close")]
}

/// What came, and what a mapping makes of it.
#[must_use]
pub fn ingested() -> Vec<IngestedBody> {
    let body = |n: i64, outcome: &str| IngestedBody {
        received_at: before(n * 240),
        body_json: r#"{"data":{"id":7001,"status":"won","value":4500,"currency":"EUR"}}"#.to_owned(),
        outcome: outcome.to_owned(),
        event_type: "opportunity_won".to_owned(),
        value: "4500.00".to_owned(),
        currency: "EUR".to_owned(),
        external_event_id: "7001".to_owned(),
        meets_conditions: true,
        ..IngestedBody::default()
    };
    vec![
        IngestedBody {
            user_id: "buyer@example.com".to_owned(),
            event_id: id("evt", 1),
            ..body(1, "recorded")
        },
        IngestedBody {
            meets_conditions: false,
            user_id: "buyer@example.com".to_owned(),
            ..body(2, "skipped")
        },
        IngestedBody {
            message: "the body has no user ID".to_owned(),
            problems: vec!["user_id: nothing at data.person.email or data.user".to_owned()],
            ..body(3, "refused")
        },
    ]
}
