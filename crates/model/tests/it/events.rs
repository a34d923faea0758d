//! The JSON Schemas of the public events, committed under `proto/events`.

use std::{collections::BTreeMap, fs, path::PathBuf};

use model::{
    AccessChanged, AttributionChanged, AttributionSettingsChanged, BudgetChanged, BudgetReached,
    CaptureRequested, CaptureStopped, CommissionChanged, ConflictRecorded, ConnectionChanged,
    CrmSettingsChanged, DealRegistrationChanged, DecisionRefused, DecisionTaken, FieldAdded, MailingChanged,
    MappingChanged, PartnerChanged, PayoutCreated, ReadRequested, ReadingChanged, RecordChanged,
    SchemaDriftDetected, SchemaRefreshed, SyncRunFinished, VerifyRequested, WatchRequested, kind,
};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

/// The schema of one kind of event, with the schemas of all that is in it.
fn described<T: ToSchema>(kind: &str) -> (String, Value) {
    let mut parts = Vec::new();
    T::schemas(&mut parts);
    let parts: BTreeMap<String, Value> =
        parts.into_iter().map(|(name, part)| (name, serde_json::to_value(part).unwrap())).collect();
    let mut schema = Map::from_iter([
        ("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema")),
        ("$id".to_owned(), json!(format!("{kind}.json"))),
        ("title".to_owned(), json!(kind)),
    ]);
    let Value::Object(body) = serde_json::to_value(<T as PartialSchema>::schema()).unwrap() else {
        panic!("{kind} is no object")
    };
    schema.extend(body);
    if !parts.is_empty() {
        schema.insert("$defs".to_owned(), json!(parts));
    }
    let text = serde_json::to_string(&schema).unwrap().replace("#/components/schemas/", "#/$defs/");
    (kind.to_owned(), serde_json::from_str(&text).unwrap())
}

/// Every kind of event in the stream EVENTS.
fn all() -> BTreeMap<String, Value> {
    BTreeMap::from([
        described::<RecordChanged>(kind::RECORD_CREATED),
        described::<RecordChanged>(kind::RECORD_CHANGED),
        described::<RecordChanged>(kind::RECORD_ARCHIVED),
        described::<ConflictRecorded>(kind::CONFLICT_RECORDED),
        described::<ConnectionChanged>(kind::CONNECTION_AUTHORIZED),
        described::<ConnectionChanged>(kind::CONNECTION_CHANGED),
        described::<ConnectionChanged>(kind::CONNECTION_DISCONNECTED),
        described::<ConnectionChanged>(kind::CONNECTION_REFUSED),
        described::<BudgetChanged>(kind::BUDGET_CHANGED),
        described::<BudgetReached>(kind::BUDGET_REACHED),
        described::<ReadingChanged>(kind::READING_CHANGED),
        described::<ConnectionChanged>(kind::TOKEN_REFRESHED),
        described::<ConnectionChanged>(kind::TOKEN_REFRESH_FAILED),
        described::<SchemaRefreshed>(kind::SCHEMA_REFRESHED),
        described::<SchemaDriftDetected>(kind::SCHEMA_DRIFT_DETECTED),
        described::<FieldAdded>(kind::FIELD_ADDED),
        described::<MappingChanged>(kind::MAPPING_CHANGED),
        described::<CaptureRequested>(kind::CAPTURE_REQUESTED),
        described::<CaptureStopped>(kind::CAPTURE_STOPPED),
        described::<ReadRequested>(kind::READ_REQUESTED),
        described::<WatchRequested>(kind::WATCH_REQUESTED),
        described::<VerifyRequested>(kind::VERIFY_REQUESTED),
        described::<SyncRunFinished>(kind::SYNC_RUN_FINISHED),
        described::<AccessChanged>(kind::ACCESS_CHANGED),
        described::<AttributionChanged>(kind::ATTRIBUTION_CREATED),
        described::<AttributionChanged>(kind::ATTRIBUTION_REPLACED),
        described::<CommissionChanged>(kind::COMMISSION_ACCRUED),
        described::<CommissionChanged>(kind::COMMISSION_APPROVED),
        described::<CommissionChanged>(kind::COMMISSION_PAID),
        described::<CommissionChanged>(kind::COMMISSION_REVERSED),
        described::<CommissionChanged>(kind::COMMISSION_ADJUSTED),
        described::<PartnerChanged>(kind::PARTNER_CREATED),
        described::<PartnerChanged>(kind::PARTNER_ACTIVATED),
        described::<PartnerChanged>(kind::PARTNER_REVOKED),
        described::<PayoutCreated>(kind::PAYOUT_CREATED),
        described::<DealRegistrationChanged>(kind::DEAL_REGISTRATION_SUBMITTED),
        described::<DealRegistrationChanged>(kind::DEAL_REGISTRATION_APPROVED),
        described::<DealRegistrationChanged>(kind::DEAL_REGISTRATION_REJECTED),
        described::<DealRegistrationChanged>(kind::DEAL_REGISTRATION_EXPIRED),
        described::<DecisionRefused>(kind::DEAL_REGISTRATION_REFUSED),
        described::<CrmSettingsChanged>(kind::CRM_SETTINGS_CHANGED),
        described::<MailingChanged>(kind::CRM_MAILING_CHANGED),
        described::<DecisionTaken>(kind::ATTRIBUTION_DECIDED),
        described::<AttributionSettingsChanged>(kind::ATTRIBUTION_SETTINGS_CHANGED),
    ])
}

#[test]
fn the_committed_event_schemas_are_those_of_the_types() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../proto/events"));
    let written: BTreeMap<String, String> = all()
        .into_iter()
        .map(|(kind, schema)| (format!("{kind}.json"), serde_json::to_string_pretty(&schema).unwrap() + "\n"))
        .collect();
    if std::env::var_os("UPDATE").is_some() {
        for (name, text) in &written {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let mut committed = BTreeMap::new();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            committed.insert(name, fs::read_to_string(path).unwrap());
        }
    }
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&committed), names(&written));
    for (name, text) in written {
        assert!(
            committed[&name] == text,
            "proto/events/{name} differs from its type; write it anew with UPDATE=1"
        );
    }
}
