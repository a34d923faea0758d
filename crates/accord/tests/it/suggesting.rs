//! `accord suggest`: predictions for two schemas in files.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use testkit::TestDirectory;

fn suggest(folder: &Path, source: &str, target: &str) -> Output {
    fs::write(folder.join("crm.deals.json"), source).unwrap();
    fs::write(folder.join("erp.opportunity.json"), target).unwrap();
    Command::new(env!("CARGO_BIN_EXE_accord"))
        .current_dir(folder)
        .args(["suggest", "--source", "crm.deals.json", "--target", "erp.opportunity.json"])
        .output()
        .unwrap()
}

#[test]
fn a_pair_of_schemas_gets_its_predictions_as_json_lines() {
    let folder = TestDirectory::create();
    let source = r#"[{"name": "cf_close_date", "label": "Close Date", "type": "date"}]"#;
    let target = r#"[{"name": "ExpectedClose__c", "label": "Expected close date", "type": "Date"},
        {"name": "CreatedOn", "label": "Created On", "type": "DateTime"}]"#;
    let answer = suggest(folder.path(), source, target);
    assert!(answer.status.success(), "{answer:?}");
    let text = String::from_utf8(answer.stdout).unwrap();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(first["pair"], "crm.deals__erp.opportunity");
    assert_eq!((&first["source"], &first["target"]), (&"cf_close_date".into(), &"ExpectedClose__c".into()));
    assert_eq!(first["selected"], true);
    assert!(first["confidence"].as_f64().unwrap() > 0.8, "{first}");
}

#[test]
fn a_schema_that_cannot_be_read_ends_with_a_code() {
    let folder = TestDirectory::create();
    let answer = suggest(folder.path(), r#"[{"name": "a"}, {"name": "a"}]"#, "[]");
    assert!(!answer.status.success());
    let said = String::from_utf8(answer.stderr).unwrap();
    assert!(said.contains("field_repeated") && said.contains("crm.deals.json"), "{said}");
}
