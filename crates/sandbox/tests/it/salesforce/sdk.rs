//! The most used Python client of Salesforce works against the sandbox.

use sandbox::salesforce::Settings;
use serde_json::json;

use super::force_with;
use crate::python::{environment, run};

const SDK: &str = "simple-salesforce==1.12.10";

#[tokio::test]
async fn simple_salesforce_works_against_the_sandbox() {
    let python = environment("simple-salesforce", &[SDK]).await;
    let force = force_with(Settings { bulk_delay_ms: 500, ..Settings::default() }).await;
    force.control("seed", json!({"object": "Lead", "count": 4_500, "spread_days": 10}));
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/salesforce/sdk.py");
    let arguments = [script, force.handle.url(), force.handle.access_token(), force.handle.organization_id()];
    run(&python, &arguments, "the SDK's script").await;
}
