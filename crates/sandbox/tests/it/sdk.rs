//! The vendor's own Python SDK works against the sandbox.

use std::path::{Path, PathBuf};

use sandbox::hubspot::Settings;
use tokio::process::Command;

use crate::client::hub;

const SDK: &str = "hubspot-api-client==12.0.0";
const BACK: &str = "http://127.0.0.1:9/callback";

pub(crate) async fn run(program: &Path, arguments: &[&str], purpose: &str) {
    let output = Command::new(program).args(arguments).output().await;
    let output =
        output.unwrap_or_else(|error| panic!("{purpose}: {} cannot be run: {error}", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{purpose} failed\n{}\n{}", text(&output.stdout), text(&output.stderr));
}

/// A Python with a package (`name==version`), made once and kept in the target directory.
pub(crate) async fn python(package: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package.replace("==", "-"));
    let (python, ready) = (home.join("bin/python"), home.join("ready"));
    if !ready.exists() {
        let folder = home.to_str().expect("a path in UTF-8");
        run(
            Path::new("python3"),
            &["-m", "venv", "--clear", folder],
            "this story needs python3 with venv: making an environment",
        )
        .await;
        run(
            &python,
            &["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package],
            "installing the SDK",
        )
        .await;
        std::fs::write(&ready, package).expect("a marker");
    }
    python
}

#[tokio::test]
async fn the_vendors_python_sdk_works_against_the_sandbox() {
    let python = python(SDK).await;
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
