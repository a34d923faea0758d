//! What sibling products are told about the public events.

use serde_json::{Value, json};
use tests::described;

#[test]
fn every_public_event_is_explained_with_an_example_that_fits_its_schema() {
    let all = described();
    assert!(!all.is_empty());
    for (kind, described) in all {
        assert_eq!(described.faults(&described.example), Vec::<String>::new(), "{kind}");
        let noun = described.subject.split('.').next().unwrap_or_default();
        assert!(bus::subject::EVENT_NOUNS.contains(&noun), "{kind}: {}", described.subject);
    }
}

#[test]
fn what_does_not_fit_a_schema_is_seen() {
    let all = described();
    let record = &all["record.changed"];
    let edit = |path: &str, value: Value| {
        let mut body = record.example.clone();
        *body.pointer_mut(path).expect("the example has it") = value;
        body
    };
    for (wrong, fault) in [
        (edit("/record", json!("conn_0192f0c1a2b37c4d8e5f60718293a4b5")), "/record does not fit"),
        (edit("/object", json!("moon")), "/object is none of"),
        (edit("/version", json!("3")), "/version is no"),
        (edit("/fields", json!({ "amount": { "n": "twelve" } })), "/fields/amount fits 0"),
        (edit("/pii", json!([1])), "/pii/0 is no"),
        (json!({}), " lacks record"),
    ] {
        let faults = record.faults(&wrong);
        assert!(faults.iter().any(|found| found.starts_with(fault)), "{fault}: {faults:?}");
    }
    let mut more = record.example.clone();
    more["colour"] = json!("red");
    assert_eq!(record.faults(&more), ["/colour is not described"]);
    assert!(record.has_subject("record.org_1.deal") && !record.has_subject("record.org_1.deal.x"));
    assert!(!all["mapping.changed"].has_subject("record.org_1.deal"));
}
