use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use testkit::{TestDirectory, eventually};

use crate::HubSpotPortal;

/// How long a start may take in a debug build beside other tests.
const START_WITHIN: Duration = Duration::from_secs(150);

/// How the house is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// Companies in the sandbox.
    pub companies: usize,
    /// Deals in the sandbox.
    pub deals: usize,
    /// Edits that the sandbox's portal users make in a minute.
    pub edits_per_minute: u32,
    /// Seconds between two polls.
    pub poll_seconds: u64,
}

impl Default for Start {
    fn default() -> Self {
        Self { companies: 40, deals: 40, edits_per_minute: 0, poll_seconds: 1 }
    }
}

/// `accord up --demo` as a child process. It is killed, with all its servers, when it is dropped.
pub struct House {
    child: Child,
    start: Start,
    directory: TestDirectory,
    ready: Value,
    http: reqwest::Client,
}

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body; null when there is none.
    pub body: Value,
}

impl Answer {
    /// The stable code of an error.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl House {
    /// Starts it and waits until it is ready.
    pub async fn start(start: Start) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = TestDirectory::create();
        let child = spawn(&directory, &start);
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(30))
            .build()
            .expect("an HTTP client needs nothing");
        let mut house = Self { child, start, directory, ready: Value::Null, http };
        house.wait_until_ready().await;
        house
    }

    /// Kills Accord without warning; its private servers die with it.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process is ours");
        self.child.wait().expect("the process is ours");
    }

    /// Starts it again on the same data.
    pub async fn start_again(&mut self) {
        let _ = std::fs::remove_file(self.ready_file());
        self.child = spawn(&self.directory, &self.start);
        self.wait_until_ready().await;
    }

    /// A field of the ready file, by its path: `sign_in.owner`.
    #[must_use]
    pub fn ready(&self, path: &str) -> &str {
        let value = path.split('.').fold(&self.ready, |value, name| &value[name]);
        value.as_str().unwrap_or_else(|| panic!("the ready file has no {path}"))
    }

    /// The whole ready file.
    #[must_use]
    pub const fn ready_file_content(&self) -> &Value {
        &self.ready
    }

    /// The process id of Accord.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The directory of its data.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// The HubSpot portal, as its own API shows it.
    #[must_use]
    pub fn hubspot(&self) -> HubSpotPortal {
        let token = self.ready("sandboxes.hubspot.access_token").to_owned();
        HubSpotPortal::new(self.http.clone(), self.ready("sandboxes.hubspot.url").to_owned(), token)
    }

    /// A call of the HTTP API with the ready file's key.
    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let key = format!("Bearer {}", self.ready("api_key"));
        self.call_as(&[("authorization", &key)], method, path, body).await
    }

    /// A call of the HTTP API with these headers.
    pub async fn call_as(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Answer {
        let method = method.parse().expect("a test names a method");
        let mut request = self.http.request(method, format!("{}{path}", self.ready("api_url")));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.expect("the API answers");
        let status = response.status().as_u16();
        let body = response.bytes().await.expect("the answer has an end");
        Answer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    /// A call that must succeed.
    pub async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.call(method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// The record that is linked to a HubSpot record.
    pub async fn linked(&self, object: &str, vendor_id: &str) -> Option<Value> {
        let found = self
            .ok("GET", &format!("/api/v1/records/{object}?vendor=hubspot&vendor_id={vendor_id}"), None)
            .await;
        found["data"].as_array().and_then(|records| records.first()).cloned()
    }

    /// Waits until the record that is linked to a HubSpot record has this value in a field.
    pub async fn wait_for_field(&self, object: &str, vendor_id: &str, field: &str, value: &str) -> Value {
        let what = format!("{object} {vendor_id} to have the {field} {value}");
        eventually(Duration::from_secs(60), &what, || async {
            self.linked(object, vendor_id).await.filter(|record| record["fields"][field] == value)
        })
        .await
    }

    /// The id of the HubSpot connection.
    pub async fn connection(&self) -> String {
        let connections = self.ok("GET", "/api/v1/connections", None).await;
        connections["data"][0]["id"].as_str().expect("the demo is connected").to_owned()
    }

    /// The id of the mapping of a canonical object.
    pub async fn mapping(&self, object: &str) -> String {
        let mappings = self.ok("GET", "/api/v1/mappings", None).await;
        let mappings = mappings["data"].as_array().expect("a list").clone();
        let found = mappings.iter().find(|mapping| mapping["object"] == object);
        found.and_then(|mapping| mapping["id"].as_str()).expect("the demo maps it").to_owned()
    }

    /// The HTTP client, for addresses other than the API's.
    #[must_use]
    pub const fn http(&self) -> &reqwest::Client {
        &self.http
    }

    fn ready_file(&self) -> PathBuf {
        self.directory.path().join("ready.json")
    }

    async fn wait_until_ready(&mut self) {
        let (path, started) = (self.ready_file(), Instant::now());
        loop {
            if let Ok(bytes) = std::fs::read(&path) {
                self.ready = serde_json::from_slice(&bytes).expect("the ready file is written whole");
                return;
            }
            if let Some(status) = self.child.try_wait().expect("the process is ours") {
                panic!("accord ended with {status}: {}", self.log());
            }
            assert!(started.elapsed() < START_WITHIN, "accord is not ready: {}", self.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What Accord said on its terminal.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("terminal")).unwrap_or_default()
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(directory: &TestDirectory, start: &Start) -> Child {
    let terminal = std::fs::File::options()
        .create(true)
        .append(true)
        .open(directory.path().join("terminal"))
        .expect("the directory is ours");
    Command::new(binary())
        .args(["up", "--demo", "--no-browser"])
        .args(["--demo-companies", &start.companies.to_string()])
        .args(["--demo-deals", &start.deals.to_string()])
        .args(["--edits-per-minute", &start.edits_per_minute.to_string()])
        .args(["--poll-seconds", &start.poll_seconds.to_string()])
        .arg("--data-dir")
        .arg(directory.path().join("data"))
        .arg("--ready-file")
        .arg(directory.path().join("ready.json"))
        .env_remove("DATABASE_URL")
        .env_remove("NATS_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(terminal)
        .spawn()
        .expect("the accord binary is built: cargo build -p accord")
}

/// The binary under test: `ACCORD_BIN`, else the one that was built beside this test.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ACCORD_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows where it is");
    let profile =
        test.parent().and_then(std::path::Path::parent).expect("tests live in target/<profile>/deps");
    profile.join("accord")
}
