//! Salesforce's way through the console, as a person walks it in a browser: from no connection to a living one, and
//! back to it once the access is gone.

use std::time::Duration;

use sandbox::salesforce::{Environment, Handle, Settings, start};
use serde_json::{Value, json};
use testkit::eventually;
use tests::{Chrome, House, SalesforceOrg, Start};
use tokio::net::TcpListener;

const WAIT: Duration = Duration::from_secs(60);

/// Nobody has connected this Salesforce yet: it is not the demo's own.
struct Vendor {
    sandbox: Handle,
    events_url: String,
}

impl Vendor {
    async fn start() -> Self {
        let settings = Settings { environment: Environment::Sandbox, ..Settings::default() };
        let sandbox = start(settings, free().await).await.expect("the sandbox starts");
        for (object, count) in [("Account", 8), ("Contact", 3), ("Opportunity", 3)] {
            sandbox.seed(object, count).expect("the object is there");
        }
        let events_url = sandbox.serve_events(free().await).expect("its events are served").url;
        Self { sandbox, events_url }
    }

    /// What makes an installation the app that this Salesforce knows.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let app = Settings::default();
        vec![
            ("ACCORD_SALESFORCE_CLIENT_ID", app.client_id),
            ("ACCORD_SALESFORCE_CLIENT_SECRET", app.client_secret),
            ("ACCORD_SALESFORCE_LOGIN_URL", self.sandbox.url().to_owned()),
            ("ACCORD_SALESFORCE_PUBSUB_URL", self.events_url.clone()),
        ]
    }
}

/// A house beside this Salesforce, and the browser of its owner.
struct Walk {
    vendor: Vendor,
    house: House,
    org: SalesforceOrg,
    chrome: Chrome,
    /// An account of the org, which the walk edits.
    account: String,
}

// R4-R6, R11-R13, R18, R19, R37, R112, R118
#[tokio::test]
async fn browser_walks_salesforce_from_the_choice_of_a_login_to_live_changes_and_back_after_a_revoked_grant()
{
    let vendor = Vendor::start().await;
    let start = Start { companies: 2, deals: 1, settings: vendor.settings(), ..Start::default() };
    let house = House::start(start).await;
    let (url, token) = (vendor.sandbox.url().to_owned(), vendor.sandbox.access_token().to_owned());
    let org = SalesforceOrg::new(house.http().clone(), url, token);
    let account = org.query("SELECT Id FROM Account ORDER BY Id").await[0]["Id"].clone();
    let account = account.as_str().expect("an id").to_owned();
    let walk = Walk { vendor, house, org, chrome: Chrome::start().await, account };
    walk.chrome.open(walk.house.ready("sign_in.owner")).await;
    walk.chrome.wait_for_url("/settings/integrations").await;
    walk.a_login_is_chosen_and_the_consent_given().await;
    walk.accounts_are_mapped().await;
    walk.an_edit_in_salesforce_shows_with_its_lag().await;
    walk.its_health_shows().await;
    walk.a_revoked_grant_says_what_to_do().await;
    walk.it_is_connected_again_and_nothing_was_missed().await;
    walk.its_page_fits_a_phone().await;
    walk.chrome.close().await;
}

impl Walk {
    async fn a_login_is_chosen_and_the_consent_given(&self) {
        let Self { chrome, vendor, .. } = self;
        chrome.wait_for_text("#card-salesforce", "Not connected").await;
        chrome.shoot("30-salesforce-not-connected").await;
        chrome.click("#connect-salesforce").await;
        chrome.wait_for_text("main", "whole organization").await;
        let choices = chrome.text(".choices").await;
        for words in ["Where do you sign in to Salesforce?", "Production", "Sandbox", "My Domain"] {
            assert!(choices.contains(words), "no “{words}” in {choices}");
        }
        chrome.shoot("31-salesforce-connect").await;
        chrome.click("input[name=site][value=_own]").await;
        chrome.click("#go").await;
        chrome.wait_for_text("#own_site-error", "Enter where you sign in").await;
        chrome.shoot("32-salesforce-no-domain").await;

        chrome.click("input[name=site][value=sandbox]").await;
        chrome.click("#go").await;
        chrome.wait_for_text("main", "You are").await;
        assert!(chrome.url().await.starts_with(vendor.sandbox.url()), "the consent page is Salesforce's");
        chrome.wait_for_text("main", "TEST.SALESFORCE.COM").await;
        chrome.shoot("33-salesforce-consent").await;
        chrome.click("#allow").await;
        chrome.wait_for_url("/settings/integrations").await;
        chrome.wait_for_text("main", "Salesforce is connected").await;
        chrome.wait_for_text("#card-salesforce", "Active").await;
        chrome.wait_for_text("#card-salesforce", vendor.sandbox.organization_id()).await;
        chrome.shoot("34-salesforce-connected").await;
    }

    async fn accounts_are_mapped(&self) {
        let Self { chrome, vendor, .. } = self;
        chrome.click("#open-salesforce").await;
        assert_eq!(chrome.text("#account-id").await, vendor.sandbox.organization_id());
        chrome.wait_for_text("#connection", "This is a sandbox").await;
        chrome.find("#map-company-Account").await;
        chrome.shoot("35-salesforce-unmapped").await;
        chrome.click("#map-company-Account").await;
        chrome.click("#suggest").await;
        chrome.wait_for_text("#row-name", "Auto-mapped").await;
        chrome.click("#confirm-all").await;
        chrome.wait_for_text("#row-name", "Confirmed").await;
        chrome.click("#review-plan").await;
        chrome.click("#make-plan").await;
        chrome.click("#activate").await;
        chrome.wait_for_text("#plan", "The plan is applied").await;
        chrome.click("#to-connection").await;
        chrome.wait_for_text("#stream-Account", "Live").await;
        chrome.wait_for_text("#stream-Account", "/data/AccountChangeEvent").await;
    }

    async fn an_edit_in_salesforce_shows_with_its_lag(&self) {
        let Self { chrome, org, account, .. } = self;
        let before = self.stream().await;
        org.edit("Account", account, json!({ "Phone": "+41 31 000 00 07" })).await;
        eventually(WAIT, "the page to tell of the event", || async {
            let (now, shown) = (self.stream().await, chrome.text("#stream-Account").await);
            let moved = now["changed_at"] != before["changed_at"] && now["position"] != before["position"];
            let position = now["position"].as_str().unwrap_or("none");
            (moved && shown.contains(position) && shown.contains("here after")).then_some(())
        })
        .await;
        chrome.shoot("36-salesforce-live").await;
        chrome.open(&self.page(&self.record().await)).await;
        chrome.wait_for_text("main", "+41 31 000 00 07").await;
        chrome.wait_for_text(".history", "Salesforce").await;
        chrome.shoot("37-salesforce-record").await;
    }

    async fn its_health_shows(&self) {
        let Self { chrome, .. } = self;
        let path = format!("/settings/integrations/health?connection={}", self.connection().await["id"]);
        chrome.open(&self.page(&path.replace('"', ""))).await;
        chrome.wait_for_text("main", "Account").await;
        chrome.find("svg").await;
        // What Salesforce says is left of its calls of the day.
        chrome.wait_for_text("#api-calls", "of 100,000 left of the day").await;
        chrome.shoot("38-salesforce-health").await;
    }

    async fn a_revoked_grant_says_what_to_do(&self) {
        let Self { chrome, org, account, vendor, .. } = self;
        chrome.open(&self.page("/settings/integrations")).await;
        assert!(vendor.sandbox.revoke() > 0, "there was a grant");
        chrome.wait_for_text("#card-salesforce", "Reconnect required").await;
        chrome.wait_for_text("#card-salesforce", "the access was revoked").await;
        chrome.shoot("39-salesforce-revoked").await;
        chrome.click("#open-salesforce").await;
        chrome.wait_for_text("#connection", "Reconnect required").await;
        chrome.wait_for_text("#connection", "Connect Salesforce again: reading and writing then go on").await;
        chrome.wait_for_text("#stream-Account", "Stopped").await;
        chrome.shoot("40-salesforce-reconnect").await;
        org.edit("Account", account, json!({ "Phone": "+41 31 000 00 08" })).await;
    }

    async fn it_is_connected_again_and_nothing_was_missed(&self) {
        let Self { chrome, vendor, .. } = self;
        let before = self.connection().await;
        chrome.click("#reconnect").await;
        chrome.wait_for_text("main", "It has to be the same one").await;
        chrome.wait_for_text("main", vendor.sandbox.organization_id()).await;
        assert!(!chrome.has(".choices").await, "where to sign in is known");
        chrome.shoot("41-salesforce-connect-again").await;
        chrome.click("#go").await;
        chrome.click("#allow").await;
        chrome.wait_for_text("#card-salesforce", "Active").await;
        chrome.wait_for_text("#card-salesforce", vendor.sandbox.organization_id()).await;
        assert_eq!(self.connection().await["id"], before["id"], "the same connection, with its mappings");
        chrome.click("#open-salesforce").await;
        chrome.wait_for_text("#stream-Account", "Live").await;
        chrome.shoot("42-salesforce-live-again").await;
        let record = self.record().await;
        eventually(WAIT, "the edit that was made meanwhile", || async {
            let record = self.house.ok("GET", &format!("/api/v1{record}"), None).await;
            (record["fields"]["phone"] == "+41 31 000 00 08").then_some(())
        })
        .await;
        chrome.open(&self.page(&record)).await;
        chrome.wait_for_text("main", "+41 31 000 00 08").await;
    }

    async fn its_page_fits_a_phone(&self) {
        let Self { chrome, .. } = self;
        chrome.resize(390, 844).await;
        chrome.open(&self.page("/settings/integrations")).await;
        chrome.click("#open-salesforce").await;
        chrome.wait_for_text("#stream-Account", "Live").await;
        chrome.run("document.querySelector('#streams').scrollIntoView({ behavior: 'instant' })").await;
        chrome.shoot("43-salesforce-phone").await;
        let width = chrome.run("return document.documentElement.scrollWidth - window.innerWidth").await;
        assert!(width.as_i64() <= Some(0), "the page is wider than a phone by {width} pixels");
    }

    /// The connection, as the API tells it.
    async fn connection(&self) -> Value {
        let list = self.house.ok("GET", "/api/v1/connections", None).await;
        let connections = list["data"].as_array().expect("a list");
        let found = connections.iter().find(|connection| connection["vendor"] == "salesforce");
        found.cloned().expect("it is connected")
    }

    /// How the changes of accounts arrive, as the API tells it.
    async fn stream(&self) -> Value {
        let connection = self.connection().await;
        let id = connection["id"].as_str().expect("an id");
        let progress = self.house.ok("GET", &format!("/api/v1/connections/{id}/progress"), None).await;
        let objects = progress["objects"].as_array().expect("a list");
        let found = objects.iter().find(|object| object["vendor_object"] == "Account");
        found.map_or(Value::Null, |object| object["stream"].clone())
    }

    /// The path of the account's record, in the console and in the API.
    async fn record(&self) -> String {
        let path = format!("/api/v1/records/company?vendor=salesforce&vendor_id={}", self.account);
        let found = self.house.ok("GET", &path, None).await;
        format!("/records/company/{}", found["data"][0]["id"].as_str().expect("it is linked"))
    }

    fn page(&self, path: &str) -> String {
        format!("{}{path}", self.house.ready("console_url"))
    }
}

async fn free() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port")
}
