//! Made-up data of a partner programme: for the preview of all pages and for tests.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use model::{CanonicalObject, Role};
use proto::{
    audit::Entry,
    connections::{Connection, ObjectProgress, UsagePoint, Vendor},
    identity::{User, WhoAmIResponse},
    sync::{
        Conflict, FieldChange, FieldMapping, Filter, HealthPoint, Issue, Mapping, Pair, PendingChange, Plan,
        PlanCategory, PlanSample, Record, RecordLink, Revision, ValuePair,
    },
    to_wire_time,
    v1::{Field, ObjectSchema, Value, value::Kind},
};

pub use self::{mailing::*, registering::*};
pub use acting::{activities, activity_text};
pub use attribution::*;
pub use budget::{budget, limits, object_health};
pub use decision::{decision, reasons};
pub use guards::{deliveries, guards, review_totals, reviews, webhooks};
pub use ingest::{conversion_records, conversion_rules, ingest_urls, ingested, waiting_records};
pub use keys::{crm_key, form_link, key};
pub use review::{issue_counts, issues, lineage, reconciles, runs, undo_preview};
pub use salesforce::{salesforce, salesforce_connection, streamed};
pub use tools::*;
pub use writing::attribution_writing;

mod acting;
mod attribution;
mod budget;
mod decision;
mod guards;
mod ingest;
mod keys;
mod mailing;
mod registering;
mod review;
mod salesforce;
mod tools;
mod writing;

/// The moment at which the samples are looked at: 2026-03-12T09:30:00Z.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_second(1_773_307_800).unwrap_or_default()
}

fn before(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(to_wire_time(now().checked_sub(SignedDuration::from_secs(seconds)).unwrap_or_default()))
}

/// An id with this prefix that ends in these digits.
#[must_use]
pub fn id(prefix: &str, n: u32) -> String {
    format!("{prefix}_019ce11a2b3c7d4e8f90a1b2{n:08x}")
}

/// Somebody with this role.
#[must_use]
pub fn user(role: Role) -> User {
    let (n, name) = match role {
        Role::Owner => (1, "Mara Lindqvist"),
        Role::Admin => (2, "Jonas Weber"),
        Role::Member => (3, "Aiko Tanaka"),
        Role::Viewer => (4, "Priya Raman"),
    };
    User {
        id: id("user", n),
        email: format!("{}@northwind.example", name.split(' ').next().unwrap_or_default().to_lowercase()),
        name: name.to_owned(),
        role: role.name().to_owned(),
        last_signed_in_at: before(i64::from(n) * 7000),
    }
}

/// What identity says about the holder of a session with this role.
#[must_use]
pub fn who_am_i(role: Role) -> WhoAmIResponse {
    WhoAmIResponse {
        user: Some(user(role)),
        organization_id: id("org", 1),
        organization_name: "Northwind Partners".to_owned(),
        organization_slug: "northwind-partners".to_owned(),
        scopes: role.scopes().into_iter().map(|scope| scope.name().to_owned()).collect(),
    }
}

/// The vendor that works.
#[must_use]
pub fn hubspot() -> Vendor {
    Vendor {
        name: "hubspot".to_owned(),
        label: "HubSpot".to_owned(),
        summary: "Companies and deals, both ways, with reviewed field mappings.".to_owned(),
        objects: vec!["companies".to_owned(), "deals".to_owned()],
        logins: Vec::new(),
        own_login: String::new(),
        posts: false,
    }
}

/// A connection in this state.
#[must_use]
pub fn connection(state: &str) -> Connection {
    let (reason, message, next_step) = match state {
        "reauth_required" => (
            "access_revoked",
            "HubSpot no longer accepts the authorization: access was revoked in Connected Apps.",
            "Connect HubSpot again to go on where it stopped.",
        ),
        "paused" => {
            ("paused_by_user", "Somebody paused this connection.", "Resume it to read and write again.")
        }
        _ => ("", "", ""),
    };
    Connection {
        id: id("conn", 1),
        vendor: "hubspot".to_owned(),
        state: state.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        next_step: next_step.to_owned(),
        account_id: "48120037".to_owned(),
        account_name: "Northwind Sales".to_owned(),
        tier: "Professional".to_owned(),
        scopes: vec!["crm.objects.companies.read".to_owned(), "crm.objects.deals.write".to_owned()],
        connected_by: format!("user:{}", id("user", 1)),
        connected_at: before(86_400 * 9),
        last_sync_at: before(21),
        schema_refreshed_at: before(5400),
        poll_interval_seconds: 30,
        notices: vec!["This portal has no custom objects: they need the Enterprise tier.".to_owned()],
    }
}

/// How far reading is: one object in its backfill, one live.
#[must_use]
pub fn progress() -> Vec<ObjectProgress> {
    let object = |name: &str, phase: &str, read, total| ObjectProgress {
        vendor_object: name.to_owned(),
        phase: phase.to_owned(),
        read,
        total,
        watermark: before(40),
        last_poll_at: before(21),
        last_error: String::new(),
        stream: None,
    };
    vec![object("companies", "live", 512, 512), object("deals", "backfill", 318, 804)]
}

/// The pairs that can be mapped; the first two have a mapping.
#[must_use]
pub fn pairs() -> Vec<Pair> {
    let pair = |n, object: CanonicalObject, there: &str, label: &str, mapped: bool| Pair {
        object: object.name().to_owned(),
        object_label: object.label().to_owned(),
        vendor_object: there.to_owned(),
        vendor_object_label: label.to_owned(),
        mapping_id: if mapped { id("map", n) } else { String::new() },
        recommended: mapped,
    };
    vec![
        pair(1, CanonicalObject::Company, "companies", "Companies", true),
        pair(2, CanonicalObject::Deal, "deals", "Deals", true),
        pair(3, CanonicalObject::Partner, "companies", "Companies", false),
    ]
}

fn field_mapping(
    field: &str,
    label: &str,
    there: &str,
    state: &str,
    confidence: f64,
    evidence: &[&str],
) -> FieldMapping {
    FieldMapping {
        field: field.to_owned(),
        field_label: label.to_owned(),
        field_type: if field == "amount" { "currency" } else { "text" }.to_owned(),
        vendor_field: there.to_owned(),
        vendor_field_label: label.to_owned(),
        vendor_field_type: "text".to_owned(),
        state: state.to_owned(),
        confidence,
        evidence: evidence.iter().map(|&line| line.to_owned()).collect(),
        direction: String::new(),
        policy: "newest_wins".to_owned(),
        pii: field == "phone",
        vendor_read_only: field == "probability",
        drift: if field == "probability" { "removed" } else { "" }.to_owned(),
        drift_message: "hs_probability is gone".to_owned(),
        drift_returned: true,
        blank_rule: if field == "amount" { "never_overwrites" } else { "wins" }.to_owned(),
        transforms: if field == "amount" { vec!["currency EUR".to_owned()] } else { Vec::new() },
        values: Vec::new(),
        suggested_values: if field == "stage" {
            vec![ValuePair { ours: "Won".to_owned(), theirs: "closedwon".to_owned() }]
        } else {
            Vec::new()
        },
        options: Vec::new(),
        vendor_options: Vec::new(),
    }
}

fn field_mappings() -> Vec<FieldMapping> {
    vec![
        field_mapping(
            "name",
            "Deal Name",
            "dealname",
            "auto_mapped",
            0.97,
            &["same words in the name", "same type"],
        ),
        field_mapping(
            "amount",
            "Deal Value",
            "amount",
            "confirmed",
            0.91,
            &["same type: number", "label is close"],
        ),
        field_mapping(
            "expected_close_date",
            "Expected Close Date",
            "closedate",
            "suggested",
            0.68,
            &["“closedate” holds “close date”", "both hold dates"],
        ),
        field_mapping(
            "stage",
            "Stage",
            "dealstage",
            "suggested",
            0.61,
            &["name ends in “stage”", "both are picklists"],
        ),
        field_mapping(
            "probability",
            "Win Probability",
            "hs_deal_stage_probability",
            "confirmed",
            0.74,
            &["label holds “probability”"],
        ),
        field_mapping("phone", "Phone", "", "unmapped", 0.0, &[]),
        field_mapping("lost_reason", "Lost Reason", "", "unmapped", 0.0, &[]),
        field_mapping("commission_rate", "Commission Rate", "", "ignored", 0.0, &[]),
    ]
}

/// A mapping in this state, with fields in every state.
#[must_use]
pub fn mapping(n: u32, state: &str) -> Mapping {
    let deal = n == 2;
    let (object, there) =
        if deal { (CanonicalObject::Deal, "deals") } else { (CanonicalObject::Company, "companies") };
    let vendor_field = |name: &str, label: &str, of: &str| Field {
        name: name.to_owned(),
        label: label.to_owned(),
        r#type: of.to_owned(),
        ..Field::default()
    };
    Mapping {
        id: id("map", n),
        connection_id: id("conn", 1),
        vendor: "hubspot".to_owned(),
        object: object.name().to_owned(),
        object_label: object.label().to_owned(),
        vendor_object: there.to_owned(),
        vendor_object_label: if deal { "Deals" } else { "Companies" }.to_owned(),
        state: state.to_owned(),
        direction: "bidirectional".to_owned(),
        match_keys: vec!["external_id".to_owned()],
        revision: 14,
        fields: field_mappings(),
        vendor_fields: vec![
            vendor_field("dealname", "Deal Name", "text"),
            vendor_field("amount", "Amount", "number"),
            vendor_field("closedate", "Close Date", "date"),
            vendor_field("dealstage", "Deal Stage", "picklist"),
            vendor_field("closed_lost_reason", "Closed Lost Reason", "text"),
        ],
        activated_at: if state == "draft" { None } else { before(86_400 * 8) },
        activated_by: if state == "draft" { String::new() } else { format!("user:{}", id("user", 1)) },
        linked_records: if state == "draft" { 0 } else { 804 },
        default_policy: "newest_wins".to_owned(),
        delete_policy: "detach".to_owned(),
        filter: Some(Filter { any: false, conditions: vec!["there amount above 1000".to_owned()] }),
        time_zone: "Europe/Berlin".to_owned(),
        pending_changes: if state == "draft" { Vec::new() } else { pending_changes() },
    }
}

/// Changes of a mapping that wait for their plan.
fn pending_changes() -> Vec<PendingChange> {
    let change = |field: &str, label: &str, setting: &str, before: &str, after: &str| PendingChange {
        field: field.to_owned(),
        field_label: label.to_owned(),
        setting: setting.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
    };
    vec![
        change("", "", "direction", "from_vendor", "bidirectional"),
        change("amount", "Amount", "policy", "newest_wins", "crm_wins"),
        change("close_reason", "Close reason", "vendor_field", "", "closed_lost_reason"),
    ]
}

/// A plan in this state.
#[must_use]
pub fn plan(state: &str) -> Plan {
    let category = |name: &str, label: &str, count, titles: &[(&str, &str)]| PlanCategory {
        name: name.to_owned(),
        label: label.to_owned(),
        count,
        samples: titles
            .iter()
            .map(|&(title, note)| PlanSample {
                title: title.to_owned(),
                vendor_id: "9188230417".to_owned(),
                record_id: String::new(),
                note: note.to_owned(),
            })
            .collect(),
    };
    Plan {
        mapping_id: id("map", 2),
        state: state.to_owned(),
        hash: "b9d1f6c2a7".to_owned(),
        mapping_revision: 14,
        made_at: before(75),
        read: if state == "reading" { 412 } else { 804 },
        total: 804,
        categories: if state == "reading" {
            Vec::new()
        } else {
            vec![
                category(
                    "create_here",
                    "Create in Accord",
                    761,
                    &[("Halvorsen Freight — renewal", ""), ("Cobalt Dental rollout", "")],
                ),
                category("matched_equal", "Already equal", 12, &[("Pinegrove expansion", "")]),
                category(
                    "update_here",
                    "Update in Accord",
                    21,
                    &[("Ostrava Steel pilot", "Stage and Expected Close Date")],
                ),
                category(
                    "conflict",
                    "Differs on both sides",
                    6,
                    &[("Kestrel Labs 2026", "Deal Value: newest wins")],
                ),
                category(
                    "blocked",
                    "Cannot be linked",
                    4,
                    &[("Untitled deal", "Deal Name is blank in HubSpot")],
                ),
            ]
        },
        vendor_calls: 9,
        seconds: 4.6,
        applied: if state == "applying" { 466 } else { 0 },
        to_apply: if state == "reading" { 0 } else { 800 },
    }
}

/// A value of this kind.
#[must_use]
pub fn value(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn text(text: &str) -> Value {
    value(Kind::Text(text.to_owned()))
}

/// A deal that is linked to HubSpot.
#[must_use]
pub fn record(n: u32) -> Record {
    let titles = [
        "Halvorsen Freight — renewal",
        "Cobalt Dental rollout",
        "Ostrava Steel pilot",
        "Pinegrove expansion",
    ];
    let title = titles[n as usize % titles.len()];
    let fields = [
        ("name", text(title)),
        ("amount", value(Kind::Number(format!("{}500.00", 12 + n * 7)))),
        ("currency", text("EUR")),
        ("stage", text("contractsent")),
        ("expected_close_date", value(Kind::Date("2026-04-30".to_owned()))),
        ("is_closed", value(Kind::Boolean(false))),
        ("description", text("Two depots, one contract.\nRenews in spring. ")),
    ];
    Record {
        id: id("rec", n),
        object: "deal".to_owned(),
        version: 7,
        fields: fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<HashMap<_, _>>(),
        links: vec![RecordLink {
            id: id("link", n),
            connection_id: id("conn", 1),
            vendor: "hubspot".to_owned(),
            vendor_object: "deals".to_owned(),
            vendor_id: format!("91882304{n:02}"),
            state: "in_sync".to_owned(),
            seen_at: before(21),
            mapping_id: id("map", 2),
        }],
        created_at: before(86_400 * 8),
        updated_at: before(i64::from(n) * 340 + 21),
        archived_at: None,
        title: title.to_owned(),
    }
}

/// What happened to it.
#[must_use]
pub fn history() -> Vec<Revision> {
    let revision =
        |version, ago, actor: &str, vendor: &str, field: &str, from: Value, to: Value, reason: &str| {
            Revision {
                version,
                at: before(ago),
                actor: actor.to_owned(),
                cause: id("evt", 5),
                vendor: vendor.to_owned(),
                changes: vec![FieldChange {
                    field: field.to_owned(),
                    before: Some(from),
                    after: Some(to),
                    reason: reason.to_owned(),
                }],
            }
        };
    let (mara, hubspot) = (format!("user:{}", id("user", 1)), format!("connection:{}", id("conn", 1)));
    vec![
        revision(
            7,
            21,
            &hubspot,
            "hubspot",
            "stage",
            text("presentationscheduled"),
            text("contractsent"),
            "vendor_moved",
        ),
        revision(
            6,
            3400,
            &mara,
            "",
            "amount",
            value(Kind::Number("11000".to_owned())),
            value(Kind::Number("12500.00".to_owned())),
            "edited",
        ),
        revision(
            1,
            86_400 * 8,
            &hubspot,
            "hubspot",
            "name",
            value(Kind::Null(true)),
            text("Halvorsen Freight — renewal"),
            "first_sync",
        ),
    ]
}

/// A conflict that a policy settled.
#[must_use]
pub fn conflict() -> Conflict {
    Conflict {
        id: id("conf", 1),
        record_id: id("rec", 0),
        record_title: "Halvorsen Freight — renewal".to_owned(),
        object: "deal".to_owned(),
        field: "amount".to_owned(),
        field_label: "Deal Value".to_owned(),
        connection_id: id("conn", 1),
        policy: "newest_wins".to_owned(),
        winner: "platform".to_owned(),
        kept: Some(value(Kind::Number("12500.00".to_owned()))),
        lost: Some(value(Kind::Number("11800.00".to_owned()))),
        pii: false,
        within_clock_skew: false,
        at: before(3400),
        restored_at: None,
    }
}

/// Something that did not work, and what to do.
#[must_use]
pub fn issue() -> Issue {
    Issue {
        id: id("issue", 1),
        connection_id: id("conn", 1),
        record_id: id("rec", 3),
        record_title: "Pinegrove expansion".to_owned(),
        vendor_id: "9188230403".to_owned(),
        field: "stage".to_owned(),
        category: "validation".to_owned(),
        category_label: "Refused value".to_owned(),
        object: "deal".to_owned(),
        message: "HubSpot does not know the stage “in review” in this pipeline.".to_owned(),
        suggestion: "Choose one of the pipeline's stages, then retry.".to_owned(),
        state: "open".to_owned(),
        at: before(900),
        here: None,
        there: None,
    }
}

/// The last entries of the audit log.
#[must_use]
pub fn entries() -> Vec<Entry> {
    let entry = |sequence, ago, action: &str, actor: &str, outcome: &str, summary: &str| Entry {
        sequence,
        event_id: id("evt", 9),
        action: action.to_owned(),
        actor: actor.to_owned(),
        target: id("conn", 1),
        connection_id: id("conn", 1),
        outcome: outcome.to_owned(),
        occurred_at: before(ago),
        recorded_at: before(ago),
        cause: String::new(),
        summary: summary.to_owned(),
        details_json: r#"{"object":"deals","read":4,"published":4}"#.to_owned(),
        hash: "7d1f0c".repeat(10),
        previous_hash: "a90e44".repeat(10),
    };
    let mara = format!("user:{}", id("user", 1));
    vec![
        entry(4182, 21, "sync.run_finished", "service:connector", "ok", "Read 4 deals from HubSpot"),
        entry(4181, 300, "write.applied", "service:connector", "ok", "Wrote amount of a deal to HubSpot"),
        entry(
            4180,
            900,
            "write.rejected",
            "service:connector",
            "failed",
            "HubSpot refused the stage of a deal",
        ),
        entry(4179, 3400, "mapping.field_confirmed", &mara, "ok", "Confirmed Deal Value = amount"),
        entry(4178, 5400, "schema.refreshed", &mara, "ok", "Read 2 objects and 418 fields"),
    ]
}

/// An hour of API calls.
#[must_use]
pub fn usage() -> Vec<UsagePoint> {
    (0..60_u64)
        .map(|minute| UsagePoint {
            minute: before(i64::try_from(60 - minute).unwrap_or_default() * 60),
            calls: 4 + (minute * 7 % 11) + if (20..26).contains(&minute) { 30 } else { 0 },
            failed: u64::from(minute == 23) * 5,
            rate_limited: u64::from(minute == 24) * 3,
            records_read: minute * 13 % 40,
            records_written: minute * 5 % 9,
        })
        .collect()
}

/// The same hour of applied changes.
#[must_use]
pub fn health() -> Vec<HealthPoint> {
    (0..60_u64)
        .map(|minute| HealthPoint {
            minute: before(i64::try_from(60 - minute).unwrap_or_default() * 60),
            applied: 6 + minute * 13 % 17,
            failed: u64::from(minute == 23) * 2,
            lag_p50_ms: 9000 + minute * 811 % 7000,
            lag_max_ms: 21_000 + minute * 1777 % 16_000,
        })
        .collect()
}

/// The canonical objects.
#[must_use]
pub fn objects() -> Vec<ObjectSchema> {
    CanonicalObject::ALL.into_iter().map(|object| (&object.schema()).into()).collect()
}
