//! The vendor's own Python SDK works against the sandbox.

use sandbox::google::Settings;
use serde_json::json;

use super::google_with;
use crate::python::{environment, run};

const SDK: [&str; 2] = ["google-api-python-client==2.202.0", "google-auth-oauthlib==1.2.2"];

#[tokio::test]
async fn the_vendors_python_sdk_works_against_the_sandbox() {
    let python = environment("google-sdk", &SDK).await;
    let google = google_with(Settings { rate_limits: false, ..Settings::default() }).await;
    let settings = Settings::default();
    for at in 0..5 {
        google.meeting(&format!("Planned {at}"), at + 1);
    }
    let held = google.meeting("Held", -2);
    let line = |at: usize| json!({"speaker": "Mia Novak", "text": format!("Line {at}")});
    let lines: Vec<_> = (0..25).map(line).collect();
    google.handle.hold(json!({"id": held["id"], "lines": lines})).expect("held");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/google/sdk.py");
    let code = held["conferenceData"]["conferenceId"].as_str().expect("a code");
    let arguments = [
        script,
        google.handle.url(),
        google.handle.email(),
        &settings.client_id,
        &settings.client_secret,
        code,
    ];
    run(&python, &arguments, "the SDK's script").await;
}
