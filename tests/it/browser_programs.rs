//! A partner program in the console, as an admin walks it in a browser: from no program to a commission that is paid.

use std::{path::PathBuf, process::Command};

use serde_json::{Value, json};
use testkit::TestDirectory;
use tests::{Chrome, House, Start};

struct Walk {
    house: House,
    chrome: Chrome,
}

// R124, R129-R133, R142, R143, R150, R161-R168, R180, R181, R188, B4
#[tokio::test]
async fn browser_walks_from_a_new_program_to_a_paid_commission() {
    let house = House::start(Start { companies: 2, deals: 1, ..Start::default() }).await;
    let chrome = Chrome::start().await;
    chrome.open(house.ready("sign_in.owner")).await;
    chrome.wait_for_url("/settings/integrations").await;
    let walk = Walk { house, chrome };
    walk.a_program_with_two_rules_is_made().await;
    let partner = walk.a_partner_gets_a_link().await;
    walk.the_recipe_of_hubspot_sends_a_won_deal().await;
    walk.an_event_of_nobody_says_why_it_pays_nobody().await;
    walk.a_test_event_is_seen_in_the_review_queue_and_the_ledger_and_is_voided().await;
    walk.the_commission_is_approved_and_paid(&partner).await;
    walk.another_model_is_looked_at().await;
    walk.every_page_fits_a_phone(&partner).await;
    walk.a_viewer_changes_nothing(&partner).await;
    assert!(!walk.house.log().contains("panicked"), "something panicked: {}", walk.house.log());
    walk.chrome.close().await;
}

impl Walk {
    async fn open(&self, path: &str) {
        self.chrome.open(&format!("{}{path}", self.house.ready("console_url"))).await;
    }

    async fn post(&self, path: &str, key: Option<&str>, body: Value) -> Value {
        let mut request =
            self.house.http().post(format!("{}/api{path}", self.house.ready("api_url"))).json(&body);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        let answer = request.send().await.expect("the API answers");
        assert_eq!(answer.status().as_u16(), 200, "{path} {body}");
        answer.json().await.expect("it is JSON")
    }

    async fn a_program_with_two_rules_is_made(&self) {
        let chrome = &self.chrome;
        self.open("/attribution/programs").await;
        chrome.wait_for_text("main", "No program yet").await;
        chrome.shoot("30-programs-none").await;
        chrome.click("#new-program").await;
        for (field, text) in [
            ("#name", "Referrals"),
            ("#destination_url", "https://shop.example/?plan=pro"),
            ("#hold_days", "0"),
            ("#r0-reward", "20"),
            ("#r0-event", "opportunity_won"),
        ] {
            chrome.fill(field, text).await;
        }
        chrome.click("#add-rule").await;
        chrome.find("#r1-reward").await;
        chrome.choose("#r1-kind", "fixed").await;
        chrome.choose("#r1-trigger", "first").await;
        chrome.fill("#r1-reward", "50").await;
        chrome.fill("#r1-event", "trial_converted").await;
        chrome.shoot("31-program-form").await;
        chrome.click("#save").await;
        chrome.wait_for_text("main", "The program is there").await;
        let rules = chrome.text("#rules").await;
        for words in ["20% of each opportunity_won", "50 USD for a customer's first trial_converted"] {
            assert!(rules.contains(words), "no “{words}” in {rules}");
        }
        chrome.shoot("32-program").await;
    }

    /// Gives the path of the partner's page.
    async fn a_partner_gets_a_link(&self) -> String {
        let chrome = &self.chrome;
        self.open("/attribution/partners").await;
        chrome.fill("#name", "Ada Writes").await;
        chrome.fill("#email", "ada@blog.example").await;
        chrome.click("#create-partner").await;
        chrome.wait_for_text("main", "Ada Writes is a partner now").await;
        chrome.fill("#key", "ada-2026").await;
        chrome.click("#create-link").await;
        chrome.wait_for_text("main", "The link ada-2026 works at once").await;
        let url = chrome.url().await;
        url.strip_prefix(self.house.ready("console_url")).expect("a page of ours").to_owned()
    }

    async fn the_recipe_of_hubspot_sends_a_won_deal(&self) {
        let chrome = &self.chrome;
        self.open("/settings/crm").await;
        chrome.fill("#label", "HubSpot").await;
        chrome.click("#mint").await;
        chrome.find("#secret").await;
        chrome.shoot("33-crm-minted").await;
        let recipe = self.recipe("hubspot").await;
        let others = (self.recipe("zapier").await, self.recipe("apex").await, self.recipe("curl").await);
        let http = self.house.http();
        let answer = http.get(format!("{}/r/ada-2026", self.house.ready("api_url"))).send().await;
        let answer = answer.expect("the link answers");
        let landed = answer.headers()["location"].to_str().expect("an address");
        let click = landed.rsplit_once("cref=").expect("a click").1;
        let identify = json!({ "cref": click, "userId": "buyer@example.com" });
        self.post("/attribution/identify", None, identify).await;
        let deal = json!({
            "contact_email": "buyer@example.com", "amount": "4500.00", "deal_currency_code": "USD",
            "hs_object_id": "7001", "dealstage": "closedwon",
        });
        for _ in 0..2 {
            assert_eq!(run_action(&recipe, &deal), json!({ "outputFields": { "status": 200 } }));
        }
        let no_amount =
            json!({ "contact_email": "buyer@example.com", "hs_object_id": "7002", "dealstage": "closedwon" });
        assert_eq!(run_action(&recipe, &no_amount), json!({ "outputFields": { "status": 200 } }));
        self.open("/attribution/events?id=7001").await;
        chrome.wait_for_text(".events", "Attributed").await;
        let events = chrome.text(".events").await;
        assert_eq!(events.matches("buyer@example.com").count(), 1, "a repeat is the same event: {events}");
        for words in ["4,500.00 USD", "Ada Writes 100% by Last click"] {
            assert!(events.contains(words), "no “{words}” in {events}");
        }
        self.the_other_recipes_are_taken(&others.0, &others.1, &others.2).await;
        self.open("/settings/crm").await;
        assert!(!chrome.has("#secret").await, "the key is shown once");
        chrome.wait_for_text("[aria-labelledby=keys-title]", "HubSpot").await;
    }

    async fn recipe(&self, name: &str) -> String {
        let text = self.chrome.run(&format!("return document.getElementById('{name}').value")).await;
        text.as_str().expect("a text").to_owned()
    }

    // R169-R172, R178: each as it is pasted, with the key and the address that are in it.
    async fn the_other_recipes_are_taken(&self, zapier: &str, apex: &str, curl: &str) {
        let output = Command::new("sh").args(["-c", curl]).output().expect("there is a shell");
        let answer: Value = serde_json::from_slice(&output.stdout).expect("curl prints the answer");
        assert_eq!(answer["attribution"]["status"], "attributed", "{answer}");
        let sample = answer["eventId"].clone();

        let after = |name: &str| {
            let line = zapier.lines().find(|line| line.trim_start().starts_with(name)).expect("a line of it");
            line.trim_start().trim_start_matches(name).trim().to_owned()
        };
        let key = after("Authorization").trim_start_matches("Bearer ").to_owned();
        let mut mapped = json!({ "metadata": {} });
        let (_, data) = zapier.split_once("Data\n").expect("the mapped data");
        for line in data.lines() {
            let name = line.split_whitespace().next().expect("a name");
            let value = match name {
                "userId" => json!("buyer@example.com"),
                "type" => json!(after("type")),
                "value" => json!("250.00"),
                "currency" => json!("EUR"),
                other => json!(format!("zap {other}")),
            };
            // This is how Zapier spells a field of a field.
            match name.split_once("__") {
                Some((outer, inner)) => mapped[outer][inner] = value,
                None => mapped[name] = value,
            }
        }
        let answer = self.taken(&after("URL"), &key, &mapped).await;
        assert_eq!(answer["attribution"]["status"], "attributed", "{answer}");
        let mapped = answer["eventId"].clone();

        let url = apex.split("post('").nth(1).and_then(|rest| rest.split('\'').next()).expect("an address");
        let event = apex_map(apex, "events.add(new Map<String, Object>{");
        let answer = self.taken(url, &key, &json!({ "events": [event] })).await;
        let result = &answer["results"][0];
        assert_eq!(
            (&answer["ok"], &result["attribution"]["status"]),
            (&json!(true), &json!("attributed")),
            "{answer}"
        );
        let url = url.replace("/events/batch", "/corrections");
        assert!(apex.contains(&format!("post('{url}'")), "{apex}");
        for (what, becomes) in [("restore", json!(true)), ("value", json!("12.50")), ("void", json!(true))] {
            let mut correction = apex_map(apex, &format!("post('{url}', new Map<String, Object>{{"));
            correction[what] = becomes;
            correction["idempotencyKey"] = json!(format!("006/1/{what}"));
            self.taken(&url, &key, &correction).await;
        }
        for event in [sample, mapped] {
            let correction = json!({ "eventId": event, "void": true, "idempotencyKey": "tried" });
            self.taken(&url, &key, &correction).await;
        }
    }

    async fn taken(&self, url: &str, key: &str, body: &Value) -> Value {
        let answer =
            self.house.http().post(url).bearer_auth(key).json(body).send().await.expect("it answers");
        let status = answer.status().as_u16();
        let answer: Value = answer.json().await.expect("it is JSON");
        assert_eq!(status, 200, "{answer}");
        answer
    }

    async fn an_event_of_nobody_says_why_it_pays_nobody(&self) {
        let body = json!({ "userId": "stranger@example.com", "type": "opportunity_won", "value": 10 });
        self.post("/attribution/events", Some(self.house.ready("api_key")), body).await;
        self.open("/attribution/events").await;
        self.chrome.click("#lost-deals").await;
        self.chrome.wait_for_text("h1", "Unattributed won deals").await;
        let deals = self.chrome.text(".events").await;
        for words in
            ["stranger@example.com", "No identity: nobody said which click", "Call identify with exactly"]
        {
            assert!(deals.contains(words), "no “{words}” in {deals}");
        }
        assert!(!deals.contains("buyer@example.com"), "{deals}");
        self.chrome.shoot("34-unattributed").await;
    }

    async fn a_test_event_is_seen_in_the_review_queue_and_the_ledger_and_is_voided(&self) {
        let chrome = &self.chrome;
        // Also where nobody is believed without a signature.
        self.open("/settings/guards").await;
        chrome.click("#rotate-secret").await;
        chrome.wait_for_text("main", "Copy it now").await;
        chrome.click("#signed-required").await;
        chrome.click("#save-guards").await;
        chrome.wait_for_text("main", "It holds for what comes from now on").await;
        self.open("/settings/crm").await;
        chrome.click("#send-test").await;
        chrome.wait_for_text("#tested", "Attributed").await;
        chrome.shoot("35-test-event").await;
        let tested = chrome.url().await;
        chrome.click("#see-ledger").await;
        chrome.wait_for_text("main", "Accrual").await;
        chrome.wait_for_text("main", "20.00 USD").await;
        chrome.open(&tested).await;
        chrome.click("#see-review").await;
        chrome.wait_for_text("main", "20.00 USD").await;
        chrome.shoot("36-review").await;
        chrome.open(&tested).await;
        chrome.click("#void-test").await;
        chrome.wait_for_text("main", "The event pays nothing now").await;
        chrome.wait_for_text(".events", "Void").await;
    }

    async fn the_commission_is_approved_and_paid(&self, partner: &str) {
        let chrome = &self.chrome;
        self.open("/attribution/review?state=accrued").await;
        let choose = "input[aria-label='Choose 900.00 USD of Ada Writes']";
        chrome.click(choose).await;
        chrome.click("button[value=approve]").await;
        chrome.wait_for_text("main", "1 commission is approved").await;
        self.open("/attribution/payouts").await;
        chrome.click("#run-payouts").await;
        chrome.wait_for_text("main", "1 payout made: 900.00 USD").await;
        chrome.shoot("37-payout").await;
        chrome.fill("input[name=reference]", "SEPA 17").await;
        chrome.click("button[value=paid]").await;
        chrome.wait_for_text("main", "900.00 USD is paid").await;
        self.open("/attribution/commissions?status=paid").await;
        chrome.wait_for_text("main", "a payout took it").await;
        chrome.shoot("38-commission-paid").await;
        self.open(partner).await;
        let stats = chrome.text("#stats").await;
        assert!(stats.contains("900.00 USD"), "{stats}");
        chrome.wait_for_text(".charts", "Earnings in USD").await;
        chrome.shoot("39-partner").await;
        self.open("/attribution/ledger").await;
        chrome.click("#verify").await;
        chrome.wait_for_text("#verified", "The ledger is whole").await;
        chrome.shoot("40-ledger").await;
    }

    async fn another_model_is_looked_at(&self) {
        let chrome = &self.chrome;
        self.open("/attribution/programs").await;
        chrome.click("tbody th a").await;
        chrome.click("#change-model").await;
        chrome.click("#model-linear").await;
        chrome.click("#show-difference").await;
        chrome.wait_for_text("#difference", "Linear instead of Last click").await;
        chrome.wait_for_text("#difference", "Nobody gains or loses").await;
        chrome.click("#apply-model").await;
        chrome.wait_for_text("main", "The model is Linear now").await;
        chrome.wait_for_text("#model", "Linear").await;
    }

    async fn every_page_fits_a_phone(&self, partner: &str) {
        self.chrome.resize(390, 844).await;
        for (name, path) in [
            ("programs", "/attribution/programs"),
            ("program-new", "/attribution/programs/new"),
            ("partner", partner),
            ("events", "/attribution/events"),
            ("commissions", "/attribution/commissions"),
            ("ledger", "/attribution/ledger"),
            ("payouts", "/attribution/payouts"),
            ("crm", "/settings/crm"),
        ] {
            self.open(path).await;
            self.chrome.find("h1").await;
            self.chrome.shoot(&format!("41-phone-{name}")).await;
            let width =
                self.chrome.run("return document.documentElement.scrollWidth - window.innerWidth").await;
            assert!(width.as_i64() <= Some(0), "{path} is wider than a phone by {width} pixels");
        }
        self.chrome.resize(1280, 900).await;
    }

    async fn a_viewer_changes_nothing(&self, partner: &str) {
        let chrome = &self.chrome;
        chrome.forget().await;
        chrome.open(self.house.ready("sign_in.viewer")).await;
        chrome.wait_for_url("/settings/integrations").await;
        for path in ["/attribution/programs", partner, "/attribution/commissions", "/attribution/payouts"] {
            self.open(path).await;
            chrome.find("h1").await;
            let forms = chrome.run("return document.querySelectorAll('main form[method=post]').length").await;
            assert_eq!(forms, json!(0), "a viewer may change something at {path}");
        }
        self.open("/settings/crm").await;
        chrome.wait_for_text("main", "Your role does not allow this").await;
    }
}

/// A map of the Apex recipe as the JSON that it becomes for a deal with two contacts, of whom the second was identified.
fn apex_map(apex: &str, from: &str) -> Value {
    let (_, map) = apex.split_once(from).expect("the recipe has this map");
    let (map, _) = map.split_once(");").expect("it ends");
    let mut json = json!({});
    for line in map.lines() {
        let Some((name, value)) = line.trim().trim_end_matches(',').split_once(" => ") else { continue };
        let Some(name) = name.strip_prefix('\'').and_then(|name| name.strip_suffix('\'')) else { continue };
        json[name] = match value {
            "emails[0]" => json!("chief@example.com"),
            "emails" => json!(["chief@example.com", "buyer@example.com"]),
            "change.amount" => json!(4500.5),
            "change.currencyCode" => json!("EUR"),
            "change.id" => json!("006000000000001AAA-EUR"),
            // A moment ago: the server's own time is as good.
            "change.at" => Value::Null,
            text if text.starts_with('\'') => json!(text.trim_matches('\'')),
            _ if name == "metadata" => json!({ "deal_id": "006000000000001AAA", "stage": "Closed Won" }),
            _ if name == "idempotencyKey" => json!("006/1"),
            other => panic!("nobody knows what {other} is"),
        };
    }
    json
}

/// Runs the action as a HubSpot workflow does, with these input fields; gives what it calls back.
fn run_action(recipe: &str, fields: &Value) -> Value {
    let directory = TestDirectory::create();
    let action: PathBuf = directory.path().join("action.cjs");
    std::fs::write(&action, recipe).expect("the directory is ours");
    let run = "require(process.argv[1]).main({ inputFields: JSON.parse(process.argv[2]) }, (answer) => console.log(JSON.stringify(answer)));";
    let output = Command::new("node").args(["-e", run]).arg(&action).arg(fields.to_string()).output();
    let output = output.expect("Node.js is installed: tests/run brings it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("no JSON: {said}"))
}
