use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use proto::identity::{SignInWithLinkRequest, identity_client::IdentityClient};
use serde_json::{Value, json};
use testkit::{TestDirectory, eventually};

use crate::{Answer, Api, Browser, HubSpotPortal, Landed, SalesforceOrg};

/// How long a start may take in a debug build beside other tests.
const START_WITHIN: Duration = Duration::from_secs(150);

/// How long Ctrl-C may take.
const STOP_WITHIN: Duration = Duration::from_secs(40);

/// How the house is started.
#[derive(Clone, Debug)]
pub struct Start {
    /// Companies in the sandbox.
    pub companies: usize,
    /// Deals in the sandbox.
    pub deals: usize,
    /// Contacts of the sandbox; none, unless a story is about them.
    pub contacts: usize,
    /// Accounts, contacts, opportunities and leads of a Salesforce; with none, there is no Salesforce.
    pub accounts: usize,
    /// Whether Slack, Google Calendar and Microsoft 365 are connected, and a partner registered a deal.
    pub conversations: bool,
    /// Edits that the sandbox's portal users make in a minute.
    pub edits_per_minute: u32,
    /// Seconds between two polls.
    pub poll_seconds: u64,
    /// Seconds between two looks at associations.
    pub association_seconds: u64,
    /// Settings by their environment variables, for a vendor's simulator that is not the demo's.
    pub settings: Vec<(&'static str, String)>,
    /// How many requests a key may make of the attribution API in five minutes.
    pub key_requests: u32,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            companies: 40,
            deals: 40,
            contacts: 0,
            accounts: 0,
            conversations: false,
            edits_per_minute: 0,
            poll_seconds: 1,
            association_seconds: 300,
            settings: Vec::new(),
            key_requests: 100_000,
        }
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

    /// Presses Ctrl-C and waits for the end; gives the exit code and how long it took.
    pub async fn interrupt(&mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        let pid = i32::try_from(self.child.id()).expect("process ids are positive");
        kill(Pid::from_raw(pid), Signal::SIGINT).expect("the process is ours");
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is ours") {
                return (status.code(), started.elapsed());
            }
            assert!(started.elapsed() < STOP_WITHIN, "accord does not stop: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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

    /// The Salesforce org, as its own API shows it; there is one where the start asked for accounts.
    #[must_use]
    pub fn salesforce(&self) -> SalesforceOrg {
        let token = self.ready("sandboxes.salesforce.access_token").to_owned();
        SalesforceOrg::new(self.http.clone(), self.ready("sandboxes.salesforce.url").to_owned(), token)
    }

    /// The HTTP API with the ready file's key, for calls that may go unanswered. A start gives a new key.
    #[must_use]
    pub fn api(&self) -> Api {
        let text = |path: &str| self.ready(path).to_owned();
        Api { http: self.http.clone(), url: text("api_url"), key: text("api_key") }
    }

    /// The private servers that Accord started, by the name of their program: `postgres`, `nats-server`.
    #[must_use]
    pub fn servers(&self, program: &str) -> Vec<Pid> {
        children(self.pid()).into_iter().filter(|(_, name)| name == program).map(|(pid, _)| pid).collect()
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
        Answer::of(request).await.expect("the API answers")
    }

    /// The answer of a page or an export as text.
    pub async fn call_for_text(&self, path: &str) -> String {
        let request =
            self.http.get(format!("{}{path}", self.ready("api_url"))).bearer_auth(self.ready("api_key"));
        let response = request.send().await.expect("the API answers");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        response.text().await.expect("the answer has an end")
    }

    /// A call of the HTTP API with the ready file's key and any bytes as its body.
    pub async fn call_with_bytes(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let method = method.parse().expect("a test names a method");
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.ready("api_url")))
            .bearer_auth(self.ready("api_key"))
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request).await.expect("the API answers")
    }

    /// Signs in by the one-time link of a role; gives the headers of the session.
    pub async fn sign_in(&self, role: &str) -> String {
        self.sign_in_by(self.ready(&format!("sign_in.{role}"))).await
    }

    /// Signs in by a one-time link; gives the `authorization` header of the session.
    pub async fn sign_in_by(&self, link: &str) -> String {
        let token = link.rsplit('/').next().expect("a link has a last part").to_owned();
        let mut identity =
            IdentityClient::connect(self.ready("grpc_url").to_owned()).await.expect("identity answers");
        let session = identity.sign_in_with_link(SignInWithLinkRequest { token }).await;
        format!("Bearer {}", session.expect("the link signs in").into_inner().token)
    }

    /// Runs a command of the operator on this house; gives what it printed.
    pub fn operator(&self, arguments: &[&str]) -> String {
        let output = Command::new(binary())
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data_dir())
            .env_remove("DATABASE_URL")
            .env_remove("NATS_URL")
            .output()
            .expect("the accord binary is built");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {text}{}", String::from_utf8_lossy(&output.stderr));
        text
    }

    /// A call that must succeed.
    pub async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let answer = self.call(method, path, body).await;
        assert!(answer.status < 300, "{method} {path}: {} {}", answer.status, answer.body);
        answer.body
    }

    /// Registers a deal, once its partner is known to who keeps them.
    pub async fn register(&self, deal: &Value) -> Value {
        eventually(Duration::from_secs(30), "the partner to be known", || async {
            let answer = self.call("POST", "/api/v1/deal-registrations", Some(deal.clone())).await;
            assert!(answer.status < 300 || answer.status == 404, "{deal}: {} {}", answer.status, answer.body);
            (answer.status < 300).then_some(answer.body)
        })
        .await
    }

    /// Confirms the consent of a browser that came back, with the ready file's key.
    pub async fn confirm(&self, landed: &Landed) -> Answer {
        let token = landed.query("confirm").unwrap_or_else(|| panic!("no consent at {}", landed.url));
        self.call("POST", "/api/v1/connections/confirm", Some(json!({ "token": token }))).await
    }

    /// Connects a vendor by its consent page, which gets these answers; gives the connection's id.
    pub async fn connect(&self, vendor: &str, answers: &[(&str, &str)]) -> String {
        let begin = json!({ "vendor": vendor });
        let begun = self.ok("POST", "/api/v1/connections/authorize", Some(begin)).await;
        let start = begun["start_url"].as_str().expect("an address");
        let confirmed = self.confirm(&Browser::open().agree(start, answers).await).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.body);
        self.connection_to(vendor).await
    }

    /// The record that is linked to a HubSpot record.
    pub async fn linked(&self, object: &str, vendor_id: &str) -> Option<Value> {
        let found = self
            .ok("GET", &format!("/api/v1/records/{object}?vendor=hubspot&vendor_id={vendor_id}"), None)
            .await;
        found["data"].as_array().and_then(|records| records.first()).cloned()
    }

    /// Changes fields of a record; gives the record.
    pub async fn edit(&self, object: &str, id: &str, fields: Value) -> Value {
        self.ok("PATCH", &format!("/api/v1/records/{object}/{id}"), Some(json!({ "fields": fields }))).await
    }

    /// Entries of the audit log that fit, newest first: `action=write.applied&target=rec_…`.
    pub async fn audit(&self, filter: &str) -> Vec<Value> {
        let found = self.ok("GET", &format!("/api/v1/audit?limit=200&{filter}"), None).await;
        found["data"].as_array().cloned().expect("a list")
    }

    /// Waits for the newest entry of the audit log that fits.
    pub async fn wait_for_audit(&self, filter: &str) -> Value {
        let what = format!("the audit log to have an entry with {filter}");
        eventually(Duration::from_secs(30), &what, || async { self.audit(filter).await.into_iter().next() })
            .await
    }

    /// Waits until the HubSpot connection is in this state.
    pub async fn wait_for_state(&self, state: &str) -> Value {
        let what = format!("the connection to be {state}");
        eventually(Duration::from_secs(60), &what, || async {
            let list = self.ok("GET", "/api/v1/connections", None).await;
            Some(list["data"][0].clone()).filter(|connection| connection["state"] == state)
        })
        .await
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
        self.connection_to("hubspot").await
    }

    /// The id of the connection to a vendor.
    pub async fn connection_to(&self, vendor: &str) -> String {
        let connections = self.ok("GET", "/api/v1/connections", None).await;
        let connections = connections["data"].as_array().expect("a list");
        let found = connections.iter().find(|connection| connection["vendor"] == vendor);
        found.and_then(|connection| connection["id"].as_str()).expect("the demo is connected").to_owned()
    }

    /// How an object's stream of changes is: `following`, `interrupted`, `lost`.
    pub async fn stream_state(&self, connection: &str, object: &str) -> Option<String> {
        let progress = self.ok("GET", &format!("/api/v1/connections/{connection}/progress"), None).await;
        let objects = progress["objects"].as_array().expect("a list");
        let found = objects.iter().find(|one| one["vendor_object"] == object)?;
        found["stream"]["state"].as_str().map(str::to_owned)
    }

    /// Waits until the streams of these objects are followed.
    pub async fn wait_for_streams(&self, connection: &str, objects: &[&str]) {
        for object in objects {
            eventually(
                Duration::from_secs(60),
                &format!("the stream of {object} to be followed"),
                || async { (self.stream_state(connection, object).await? == "following").then_some(()) },
            )
            .await;
        }
    }

    /// The id of the mapping of a canonical object.
    pub async fn mapping(&self, object: &str) -> String {
        let mappings = self.ok("GET", "/api/v1/mappings", None).await;
        let mappings = mappings["data"].as_array().expect("a list").clone();
        let found = mappings.iter().find(|mapping| mapping["object"] == object);
        found.and_then(|mapping| mapping["id"].as_str()).expect("the demo maps it").to_owned()
    }

    /// Plans the changes of a mapping that wait, if any do, and applies the plan.
    pub async fn apply_changes(&self, mapping: &str) {
        let path = format!("/api/v1/mappings/{mapping}");
        if self.ok("GET", &path, None).await["pending_changes"] == json!([]) {
            return;
        }
        self.ok("POST", &format!("{path}/plan"), None).await;
        eventually(Duration::from_secs(60), "the changes to be applied as planned", || async {
            let plan = self.ok("GET", &format!("{path}/plan"), None).await;
            let accepted = json!({ "plan_hash": plan["hash"] });
            // One whose records moved is worked out anew.
            let is_ready = plan["state"] == "ready";
            let applied = is_ready
                && self.call("POST", &format!("{path}/activate"), Some(accepted)).await.status == 200;
            applied.then_some(())
        })
        .await;
        eventually(Duration::from_secs(60), "all of the plan to be applied", || async {
            let plan = self.ok("GET", &format!("{path}/plan"), None).await;
            (plan["state"] == "applied").then_some(())
        })
        .await;
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

/// The living children of a process and their names.
fn children(parent: u32) -> Vec<(Pid, String)> {
    let entries = std::fs::read_dir("/proc").expect("the stories run on Linux").flatten();
    let parent = parent.to_string();
    entries
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
            let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            (field("PPid:") == Some(parent.as_str()) && !field("State:")?.starts_with('Z'))
                .then(|| Some((Pid::from_raw(pid), field("Name:")?.to_owned())))?
        })
        .collect()
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
        .args(["--demo-accounts", &start.accounts.to_string()])
        .args(["--demo-contacts", &start.contacts.to_string()])
        .args(["--demo-conversations", &start.conversations.to_string()])
        .args(["--edits-per-minute", &start.edits_per_minute.to_string()])
        .args(["--poll-seconds", &start.poll_seconds.to_string()])
        .args(["--association-seconds", &start.association_seconds.to_string()])
        .args(["--key-requests", &start.key_requests.to_string()])
        .arg("--data-dir")
        .arg(directory.path().join("data"))
        .arg("--ready-file")
        .arg(directory.path().join("ready.json"))
        .env_remove("DATABASE_URL")
        .env_remove("NATS_URL")
        .envs(start.settings.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(terminal)
        .spawn()
        .expect("the accord binary is built: cargo build -p accord")
}

/// A command of the binary under test, on servers of nobody yet.
#[must_use]
pub fn accord() -> Command {
    let mut command = Command::new(binary());
    command.env_remove("DATABASE_URL").env_remove("NATS_URL");
    command
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
