//! The vendor's own Python SDK works against the sandbox.

use super::cloud;
use crate::python::{environment, run};

const SDK: &str = "msgraph-sdk==1.65.0";

#[tokio::test]
async fn the_vendors_python_sdk_works_against_the_sandbox() {
    let python = environment("msgraph-sdk", &[SDK]).await;
    let cloud = cloud().await;
    cloud.handle.seed(25, 30).expect("planted");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/microsoft/sdk.py");
    run(&python, &[script, cloud.handle.url(), cloud.handle.access_token()], "the SDK's script").await;
}
