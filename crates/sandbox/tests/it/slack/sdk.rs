//! The vendor's own Python SDK works against the sandbox.

use sandbox::slack::Settings;

use super::{BACK, SCOPES, slack};
use crate::python::{environment, run};

const SDK: &str = "slack_sdk==3.47.0";

#[tokio::test]
async fn the_vendors_python_sdk_works_against_the_sandbox() {
    let python = environment("slack-sdk", &[SDK]).await;
    let slack = slack().await;
    let code = slack.consent(SCOPES).await;
    let Settings { client_id, client_secret, signing_secret, .. } = Settings::default();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/slack/sdk.py");
    let arguments = [script, slack.handle.url(), &code, &client_id, &client_secret, BACK, &signing_secret];
    run(&python, &arguments, "the SDK's script").await;
}
