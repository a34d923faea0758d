//! The vendor's own Python SDK works against the sandbox.

use sandbox::hubspot::Settings;

use crate::client::hub;
use crate::python::{environment, run};

const SDK: &str = "hubspot-api-client==12.0.0";
const BACK: &str = "http://127.0.0.1:9/callback";

#[tokio::test]
async fn the_vendors_python_sdk_works_against_the_sandbox() {
    let python = environment("hubspot-sdk", &[SDK]).await;
    let hub = hub().await;
    let settings = Settings::default();
    let portal = hub.handle.portal_id().to_string();
    let fields = [
        ("client_id", settings.client_id.as_str()),
        ("redirect_uri", BACK),
        ("scope", "oauth crm.objects.companies.read"),
        ("portal_id", &portal),
        ("decision", "connect"),
    ];
    let back = hub.form("/oauth/authorize", &fields).await;
    let code = back.header("location").and_then(|to| to.split_once("code=")).expect("a code").1.to_owned();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/sdk.py");
    let arguments = [
        script,
        hub.handle.url(),
        hub.handle.access_token(),
        &portal,
        &code,
        &settings.client_id,
        &settings.client_secret,
        BACK,
    ];
    run(&python, &arguments, "the SDK's script").await;
}
