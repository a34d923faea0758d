//! The attribution pages that are not on the way from a program to a payout, as an admin walks them in a browser.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{Chrome, House, Start};

use super::{
    guards::Receiver,
    native::{associate, create_in_hubspot},
    shop::Shop,
};

const WAIT: Duration = Duration::from_secs(60);
/// Where Pipedrive keeps what the sign-up calls the user.
const USER_PATH: &str = "data.custom_fields.9dc8.value";

struct Walk {
    house: House,
    shop: Shop,
    chrome: Chrome,
}

// R150, R156, B4
#[tokio::test]
async fn browser_walks_through_what_waits_for_a_person_and_who_is_told_of_it() {
    let walk = Walk::start(vec![("ACCORD_PRIVATE_WEBHOOKS", "true".to_owned())]).await;
    let receiver = Receiver::start().await;
    let webhook = walk.a_webhook_is_made_and_its_secret_is_seen_once(&receiver).await;
    walk.what_waits_is_cleared_and_rejected_with_a_note().await;
    walk.the_rejection_is_in_the_log_and_is_sent_again(&webhook, &receiver).await;
    walk.identifies_are_signed_with_a_secret_that_is_seen_once().await;
    walk.pages_fit_a_phone(&["/attribution/review", "/settings/guards", "/settings/webhooks", &webhook])
        .await;
    walk.end().await;
}

// R124, R126, R127, R173
#[tokio::test]
async fn browser_walks_from_what_a_crm_does_by_itself_to_an_event() {
    let walk = Walk::start(Vec::new()).await;
    let rule = walk.a_rule_is_made_after_a_wrong_one_was_refused().await;
    walk.a_won_deal_is_among_the_rules_records(&rule).await;
    walk.the_rule_is_disabled_and_enabled(&rule).await;
    let (ingest, address) = walk.an_address_is_made_for_pipedrive().await;
    walk.its_mapping_is_mended_with_the_last_body(&ingest, &address).await;
    walk.the_next_body_is_an_event(&ingest, &address).await;
    walk.pages_fit_a_phone(&["/settings/crm/rules", &rule, "/settings/crm/ingest", &ingest]).await;
    walk.end().await;
}

/// Where Pipedrive's webhook is pointed at, with the user and the password that it is given.
struct Address {
    url: String,
    user: String,
    password: String,
}

impl Walk {
    async fn start(settings: Vec<(&'static str, String)>) -> Self {
        let house = House::start(Start { companies: 2, deals: 1, settings, ..Start::default() }).await;
        let (shop, chrome) = (Shop::open(&house).await, Chrome::start().await);
        chrome.open(house.ready("sign_in.owner")).await;
        chrome.wait_for_url("/settings/integrations").await;
        Self { house, shop, chrome }
    }

    async fn end(self) {
        assert!(!self.house.log().contains("panicked"), "something panicked: {}", self.house.log());
        self.chrome.close().await;
    }

    async fn open(&self, path: &str) {
        self.chrome.open(&format!("{}{path}", self.house.ready("console_url"))).await;
    }

    /// Opens a page until it shows this.
    async fn open_until(&self, path: &str, css: &str, part: &str) {
        eventually(WAIT, &format!("{path} to show {part}"), || async {
            self.open(path).await;
            self.chrome.text(css).await.contains(part).then_some(())
        })
        .await;
    }

    /// The path of the page.
    async fn path(&self) -> String {
        let url = self.chrome.url().await;
        url.strip_prefix(self.house.ready("console_url")).expect("a page of ours").to_owned()
    }

    /// What an input holds.
    async fn value(&self, id: &str) -> String {
        self.chrome.find(&format!("#{id}")).await;
        let value = self.chrome.run(&format!("return document.getElementById('{id}').value")).await;
        value.as_str().expect("a text").to_owned()
    }

    async fn a_webhook_is_made_and_its_secret_is_seen_once(&self, receiver: &Receiver) -> String {
        let chrome = &self.chrome;
        self.open("/settings/webhooks").await;
        chrome.wait_for_text("main", "No webhook yet").await;
        chrome.shoot("50-webhooks-none").await;
        chrome.fill("#url", &receiver.url).await;
        chrome.fill("#label", "Our shop").await;
        chrome.click("#create-webhook").await;
        chrome.wait_for_text("main", "Choose at least one event").await;
        chrome.shoot("51-webhook-refused").await;
        assert_eq!(self.value("url").await, receiver.url, "what was typed stays");
        chrome.click("input[name=event][value='commission.reversed']").await;
        chrome.click("#create-webhook").await;
        assert!(self.value("secret").await.starts_with("whsec_"));
        chrome.shoot("52-webhook-made").await;
        self.open("/settings/webhooks").await;
        chrome.wait_for_text("main", "Our shop").await;
        assert!(!chrome.has("#secret").await, "the secret is shown once");
        chrome.click("tbody th a").await;
        chrome.wait_for_text("main", "Nothing was sent yet").await;
        chrome.click("#test-webhook").await;
        chrome.wait_for_text("main", "Delivered: it answered 200.").await;
        assert_eq!(receiver.heard()[0].1["event"], "webhook.test");
        self.path().await
    }

    async fn what_waits_is_cleared_and_rejected_with_a_note(&self) {
        let chrome = &self.chrome;
        self.open("/attribution/review").await;
        chrome.wait_for_text("main", "Nothing waits for you").await;
        for (user, value, id) in [("boss@blog.example", 100, "own-1"), ("ada@blog.example", 250, "own-2")] {
            self.shop.click(user).await;
            let event =
                json!({ "userId": user, "type": "opportunity_won", "value": value, "externalEventId": id });
            self.shop.ok("POST", "/attribution/events", Some(event)).await;
        }
        self.open("/attribution/review").await;
        chrome.wait_for_text(".events", "Partner is the customer").await;
        chrome.shoot("53-review").await;
        chrome.click("button[value=clear]").await;
        chrome.wait_for_text("main", "Choose at least one first").await;
        for (amount, decision, done) in [
            ("20.00 USD", "clear", "1 commission is cleared"),
            ("50.00 USD", "reject", "1 commission is rejected"),
        ] {
            chrome.click(&format!("input[aria-label='Choose {amount} of Ada']")).await;
            chrome.fill("input[name=note]", &format!("We asked them: {decision}")).await;
            chrome.click(&format!("button[value={decision}]")).await;
            chrome.wait_for_text("main", done).await;
        }
        chrome.wait_for_text("main", "Nothing waits for you").await;
        self.open("/attribution/review?state=accrued").await;
        let cleared = chrome.text(".events").await;
        assert!(cleared.contains("You cleared it") && cleared.contains("We asked them: clear"), "{cleared}");
        assert!(!cleared.contains("We asked them: reject"), "{cleared}");
        chrome.shoot("54-review-cleared").await;
    }

    async fn the_rejection_is_in_the_log_and_is_sent_again(&self, webhook: &str, receiver: &Receiver) {
        let chrome = &self.chrome;
        self.open_until(webhook, ".events li", "commission.reversed").await;
        self.open_until(webhook, ".events li", "Delivered").await;
        chrome.click(".events li summary").await;
        chrome.shoot("55-deliveries").await;
        chrome.click(".events li form button").await;
        chrome.wait_for_text("main", "Delivered: it answered 200.").await;
        let heard = receiver.heard();
        let told: Vec<&(String, Value)> =
            heard.iter().filter(|(_, body)| body["event"] == "commission.reversed").collect();
        let [first, again] = told[..] else { panic!("it was told {} times", told.len()) };
        assert_eq!(first.1, again.1);
        self.open("/settings/webhooks").await;
        chrome.wait_for_text("tbody", "Active").await;
        chrome.shoot("56-webhooks").await;
    }

    async fn identifies_are_signed_with_a_secret_that_is_seen_once(&self) {
        let chrome = &self.chrome;
        self.open("/settings/guards").await;
        chrome.wait_for_text("main", "There is none yet").await;
        chrome.shoot("57-guards").await;
        chrome.click("#signed-required").await;
        chrome.click("#save-guards").await;
        chrome.wait_for_text("main", "Make a secret to sign with first.").await;
        chrome.shoot("58-guards-refused").await;
        chrome.click("#rotate-secret").await;
        let secret = self.value("secret").await;
        assert!(secret.starts_with("idsec_"), "{secret}");
        chrome.shoot("59-guards-secret").await;
        chrome.click("#signed-required").await;
        chrome.fill("#users_per_click", "2").await;
        chrome.click("#save-guards").await;
        chrome.wait_for_text("main", "Saved").await;
        assert!(!chrome.has("#secret").await, "the secret is shown once");
        assert_eq!(self.value("users_per_click").await, "2");
        let click = self.shop.visit().await;
        let user = "new@else.example";
        let signature = self.signature(&secret, user).await;
        for (signature, status) in [(Value::Null, 403), (signature, 200)] {
            let body = json!({ "cref": click, "userId": user, "signature": signature });
            let (found, answer) = self.shop.call("POST", "/attribution/identify", Some(body)).await;
            assert_eq!(found, status, "{answer}");
        }
        chrome.click("#rotate-secret").await;
        assert_ne!(self.value("secret").await, secret);
    }

    /// As the merchant's server makes it.
    async fn signature(&self, secret: &str, user: &str) -> Value {
        let script = format!(
            "const bytes = (text) => new TextEncoder().encode(text);
             const by = {{ name: 'HMAC', hash: 'SHA-256' }};
             return crypto.subtle.importKey('raw', bytes('{secret}'), by, false, ['sign'])
                 .then((key) => crypto.subtle.sign('HMAC', key, bytes('{user}')))
                 .then((made) => Array.from(new Uint8Array(made), (b) => b.toString(16).padStart(2, '0')).join(''))"
        );
        self.chrome.run(&script).await
    }

    async fn a_rule_is_made_after_a_wrong_one_was_refused(&self) -> String {
        let chrome = &self.chrome;
        self.open("/settings/crm/rules").await;
        chrome.wait_for_text("main", "No rule yet").await;
        chrome.shoot("60-rules-none").await;
        chrome.click("#new-rule").await;
        for (field, text) in [
            ("#name", "Won deals"),
            ("#object", "deals"),
            ("#conditions", "dealstage closedwon"),
            ("#value_field", "amount"),
            ("#currency_field", "deal_currency_code"),
        ] {
            chrome.fill(field, text).await;
        }
        chrome.click("#save-rule").await;
        chrome.wait_for_text("main", "Write the condition “dealstage closedwon” as").await;
        chrome.shoot("61-rule-refused").await;
        chrome.fill("#conditions", "dealstage = closedwon").await;
        chrome.click("#save-rule").await;
        chrome.wait_for_text("main", "Saved. It counts what changes").await;
        let rule = self.path().await;
        self.open_until(&rule, ".title", "Active").await;
        chrome.wait_for_text("main", "deals where dealstage = closedwon becomes opportunity_won").await;
        chrome.shoot("62-rule").await;
        rule
    }

    async fn a_won_deal_is_among_the_rules_records(&self, rule: &str) {
        let (chrome, hubspot) = (&self.chrome, self.house.hubspot());
        let deal = json!({ "dealname": "A deal", "dealstage": "contractsent", "amount": "4500" });
        let deal = create_in_hubspot(&hubspot, "deals", deal).await;
        let contact = create_in_hubspot(&hubspot, "contacts", json!({ "email": "buyer@shop.example" })).await;
        associate(&hubspot, &deal, &contact).await;
        self.shop.click("buyer@shop.example").await;
        hubspot.edit("deals", &deal, "dealstage", "closedwon").await;
        self.open_until(rule, "main", "Recorded").await;
        self.open_until(rule, "[aria-labelledby=records-title]", "buyer@shop.example").await;
        chrome.shoot("63-rule-records").await;
        chrome.click("[aria-labelledby=records-title] li p a").await;
        chrome.wait_for_text(".events", "Attributed").await;
        chrome.wait_for_text(".events", "4,500.00 USD").await;
    }

    async fn the_rule_is_disabled_and_enabled(&self, rule: &str) {
        let chrome = &self.chrome;
        self.open(rule).await;
        chrome.click("#disable-rule").await;
        chrome.wait_for_text(".title", "Paused").await;
        chrome.click("#enable-rule").await;
        chrome.wait_for_text("main", "Enabled. It counts what changes from now on.").await;
        self.open_until(rule, ".title", "Active").await;
        self.open("/settings/crm/rules").await;
        chrome.wait_for_text("main", "1 event").await;
        chrome.shoot("64-rules").await;
    }

    async fn an_address_is_made_for_pipedrive(&self) -> (String, Address) {
        let chrome = &self.chrome;
        self.open("/settings/crm/ingest").await;
        chrome.wait_for_text("main", "No address yet").await;
        chrome.shoot("65-ingest-none").await;
        chrome.fill("#name", "Pipedrive deals").await;
        chrome.choose("#vendor", "pipedrive").await;
        chrome.click("#create-ingest").await;
        let address = Address {
            url: self.value("address").await,
            user: self.value("auth-user").await,
            password: self.value("secret").await,
        };
        chrome.shoot("66-ingest-made").await;
        self.open("/settings/crm/ingest").await;
        chrome.click("tbody th a").await;
        chrome.wait_for_text("main", "Pipedrive: Settings").await;
        assert!(!chrome.has("#secret").await, "the password is shown once");
        (self.path().await, address)
    }

    async fn its_mapping_is_mended_with_the_last_body(&self, ingest: &str, address: &Address) {
        let chrome = &self.chrome;
        assert_eq!(self.pipedrive(address, 7).await, "refused");
        self.open(ingest).await;
        chrome.wait_for_text(".events", "no user ID").await;
        chrome.click(".events summary").await;
        chrome.shoot("67-ingest-refused").await;
        chrome.fill("#user_id", USER_PATH).await;
        chrome.fill("#metadata", "stage").await;
        chrome.click("#preview-ingest").await;
        chrome.wait_for_text("main", "Write “stage” as").await;
        chrome.wait_for_text(".events", "no user ID").await;
        chrome.fill("#metadata", "stage = data.status").await;
        chrome.click("#preview-ingest").await;
        chrome.wait_for_text(".events", "buyer@shop.example").await;
        chrome.wait_for_text("main", "which is not saved").await;
        chrome.shoot("68-ingest-preview").await;
        chrome.click("#save-ingest").await;
        chrome.wait_for_text("main", "Saved. It holds for what comes from now on.").await;
        assert_eq!(self.value("user_id").await, USER_PATH);
    }

    async fn the_next_body_is_an_event(&self, ingest: &str, address: &Address) {
        let chrome = &self.chrome;
        assert_eq!(self.pipedrive(address, 8).await, "recorded");
        self.open(ingest).await;
        chrome.wait_for_text(".events li", "Recorded").await;
        chrome.shoot("69-ingest-recorded").await;
        chrome.click(".events li > a").await;
        chrome.wait_for_text(".events", "1,200.00 EUR").await;
        self.open("/settings/crm/ingest").await;
        chrome.wait_for_text("tbody", "Pipedrive deals").await;
        chrome.shoot("70-ingest").await;
    }

    /// Pipedrive tells of a deal that is won; gives the outcome.
    async fn pipedrive(&self, address: &Address, deal: u32) -> String {
        let body = json!({
            "meta": { "action": "change", "entity": "deal", "entity_id": deal.to_string(), "version": "2.0" },
            "data": { "id": deal, "value": 1200, "currency": "EUR", "status": "won",
                      "custom_fields": { "9dc8": { "type": "varchar", "value": "buyer@shop.example" } } },
            "previous": { "status": "open" },
        });
        let request = self.house.http().post(&address.url).json(&body);
        let request = request.basic_auth(&address.user, Some(&address.password));
        let answer = request.send().await.expect("the gateway answers");
        assert_eq!(answer.status().as_u16(), 200);
        let answer: Value = answer.json().await.expect("it is JSON");
        answer["outcome"].as_str().expect("an outcome").to_owned()
    }

    async fn pages_fit_a_phone(&self, paths: &[&str]) {
        self.chrome.resize(390, 844).await;
        for (number, path) in paths.iter().enumerate() {
            self.open(path).await;
            self.chrome.find("h1").await;
            let name = path.split('/').nth(2).unwrap_or_default();
            self.chrome.shoot(&format!("71-phone-{name}-{number}")).await;
            let width =
                self.chrome.run("return document.documentElement.scrollWidth - window.innerWidth").await;
            assert!(width.as_i64() <= Some(0), "{path} is wider than a phone by {width} pixels");
        }
        self.chrome.resize(1280, 900).await;
    }
}
