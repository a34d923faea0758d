//! What people do with records in the console, as an admin walks it in a browser: deals that partners register, and the
//! timelines of companies.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{Chrome, House, Start};

struct Walk {
    house: House,
    chrome: Chrome,
}

// R32, R33
#[tokio::test]
async fn browser_walks_from_a_registered_deal_to_the_created_one() {
    let walk = Walk::start().await;
    walk.settings_are_kept().await;
    walk.two_partners_register_the_same_company().await;
    walk.the_first_is_approved_and_leads_to_its_deal().await;
    walk.the_second_is_rejected_while_somebody_else_looks_at_it().await;
    walk.fits_a_phone(&["/attribution/registrations?status=all", "/settings/registrations"]).await;
    walk.end().await;
}

// R36, R247, R248
#[tokio::test]
async fn browser_reads_the_timeline_of_a_company_and_a_transcript() {
    let walk = Walk::start().await;
    let company = walk.company().await;
    let timeline = format!("/records/company/{company}/timeline");
    walk.open(&timeline).await;
    walk.chrome.wait_for_text("main", "Nothing happened here yet").await;
    walk.chrome.shoot("55-timeline-none").await;
    walk.what_happened_is_told(&company).await;
    walk.open(&timeline).await;
    walk.chrome.shoot("56-timeline").await;
    let all = walk.chrome.text("main").await;
    for words in ["Offer for <ten> presses", "First talk", "E-mail received", "Open in Microsoft 365"] {
        assert!(all.contains(words), "no “{words}” in {all}");
    }
    assert!(!walk.chrome.has("main script").await, "what a mail holds is text");
    walk.words_and_kinds_narrow_it(&timeline).await;
    walk.a_transcript_and_a_long_text_are_read(&timeline).await;
    walk.pages_lead_through_all(&timeline).await;
    walk.a_deal_shows_what_was_said_with_its_company(&company).await;
    walk.fits_a_phone(&[&timeline, &format!("/records/company/{company}")]).await;
    walk.end().await;
}

impl Walk {
    async fn start() -> Self {
        let house = House::start(Start { companies: 2, deals: 1, ..Start::default() }).await;
        let chrome = Chrome::start().await;
        chrome.open(house.ready("sign_in.owner")).await;
        chrome.wait_for_url("/settings/integrations").await;
        Self { house, chrome }
    }

    async fn end(self) {
        assert!(!self.house.log().contains("panicked"), "something panicked: {}", self.house.log());
        self.chrome.close().await;
    }

    async fn open(&self, path: &str) {
        self.chrome.open(&format!("{}{path}", self.house.ready("console_url"))).await;
    }

    async fn settings_are_kept(&self) {
        let chrome = &self.chrome;
        self.open("/attribution/registrations").await;
        chrome.wait_for_text("main", "Nothing waits for a decision").await;
        chrome.shoot("50-registrations-none").await;
        chrome.click("#settings").await;
        chrome.fill("#protected_days", "45").await;
        chrome.run("document.getElementById('free_domains').value = 'everybody.example'").await;
        chrome.click("#save").await;
        chrome.wait_for_text("main", "Saved.").await;
    }

    async fn two_partners_register_the_same_company(&self) {
        let chrome = &self.chrome;
        for (name, email) in [("Ada Writes", "ada@blog.example"), ("Bo Sells", "bo@shop.example")] {
            self.open("/attribution/partners").await;
            chrome.fill("#name", name).await;
            chrome.fill("#email", email).await;
            chrome.click("#create-partner").await;
            chrome.wait_for_text("main", "is a partner now").await;
            chrome.click("#registrations").await;
            chrome.click("#new").await;
            for (field, text) in [
                ("#deal_name", "Ten presses"),
                ("#company_name", "Acme"),
                ("#company_domain", "everybody.example"),
                ("#contact_name", "Carol Wild"),
                ("#contact_email", "carol@acme.example"),
                ("#amount", "45000.00"),
                ("#currency", "EUR"),
            ] {
                chrome.fill(field, text).await;
            }
            chrome.click("#register").await;
            chrome.wait_for_text(".flash", "Write the company's own").await;
            chrome.fill("#company_domain", "https://www.acme.example/about").await;
            chrome.shoot("51-register").await;
            chrome.click("#register").await;
            chrome.wait_for_text(".flash", "Registered.").await;
        }
        chrome.wait_for_text("#conflicts", "Channel conflict").await;
        chrome.wait_for_text("#conflicts", "Ada Writes").await;
        chrome.shoot("52-registration").await;
    }

    async fn the_first_is_approved_and_leads_to_its_deal(&self) {
        let chrome = &self.chrome;
        chrome.click("#conflicts li p:last-child a").await;
        chrome.wait_for_text("#conflicts", "Nobody else had registered the company").await;
        chrome.click("#review").await;
        chrome.wait_for_text("#reviewer", "You look into it.").await;
        assert!(!chrome.has("#review").await, "it is the visitor's already");
        chrome.click("#approve").await;
        chrome.wait_for_text(".flash", "Approved.").await;
        chrome.wait_for_text("#decide", "Protected until").await;
        let id = chrome.url().await.rsplit('/').next().unwrap_or_default().to_owned();
        let deal = eventually(Duration::from_secs(30), "the deal to be there", || async {
            let known = self.house.ok("GET", &format!("/api/v1/deal-registrations/{id}"), None).await;
            let path = format!("/api/v1/records/deal/{}", known["deal_id"].as_str()?);
            (self.house.call("GET", &path, None).await.status == 200).then_some(path)
        });
        deal.await;
        self.open(&format!("/attribution/registrations/{id}")).await;
        chrome.shoot("53-approved").await;
        chrome.click("#deal").await;
        chrome.wait_for_text("h1", "Ten presses").await;
    }

    async fn the_second_is_rejected_while_somebody_else_looks_at_it(&self) {
        let chrome = &self.chrome;
        self.open("/attribution/registrations").await;
        chrome.click(".registrations a.strong").await;
        chrome.wait_for_text("#conflicts", "Approved").await;
        let id = chrome.url().await.rsplit('/').next().unwrap_or_default().to_owned();
        let reject = format!("/api/v1/deal-registrations/{id}/reject");
        self.house.ok("POST", &reject, Some(json!({ "reason": "We know them." }))).await;
        // The page of before still offers both.
        chrome.fill("#reason", "No.").await;
        chrome.click("#reject").await;
        chrome
            .wait_for_text(".flash", "rejected it just now: “We know them.”. The first decision stands")
            .await;
        chrome.shoot("54-second").await;
        assert!(!chrome.has("#approve").await, "it is decided");
    }

    async fn company(&self) -> String {
        let fields = json!({ "fields": { "name": "Acme", "domain": "acme.example" } });
        let made = self.house.ok("POST", "/api/v1/records/company", Some(fields)).await;
        made["id"].as_str().expect("an id").to_owned()
    }

    async fn what_happened_is_told(&self, company: &str) {
        let who = |role: &str, name: &str, email: &str| json!({ "role": role, "name": name, "email": email });
        let mail = json!({
            "source": "m365", "external_id": "m1", "kind": "email", "direction": "inbound",
            "at": "2026-02-03T09:00:00Z", "subject": "Offer for <ten> presses", "url": "https://mail.example/m1",
            "body": format!("Dear all. <script>alert(1)</script>{} The end of it.", " We would take ten.".repeat(60)),
            "participants": [who("from", "Carol Wild", "carol@acme.example"), who("to", "", "mara@northwind.example")],
            "record_ids": [company],
        });
        let talk = json!({
            "source": "google-calendar", "external_id": "t1", "kind": "meeting", "at": "2026-02-02T09:00:00Z",
            "subject": "First talk",
            "body": "[00:00:04] Carol Wild: Good morning.\n[00:00:09] Mara: Hello, Carol.\n[00:01:00] Mara: Shall we?",
            "participants": [who("speaker", "Carol Wild", "carol@acme.example"), who("speaker", "Mara", "")],
            "record_ids": [company],
        });
        let told = json!({ "activities": [mail, talk] });
        self.house.ok("POST", "/api/v1/activities", Some(told)).await;
        let notes: Vec<Value> = (0..60).map(|number| json!({
            "source": "api", "external_id": format!("n{number}"), "kind": "note", "record_ids": [company],
            "at": format!("2026-01-01T10:{number:02}:00Z"), "subject": format!("Note {number}"),
        })).collect();
        self.house.ok("POST", "/api/v1/activities", Some(json!({ "activities": notes }))).await;
    }

    async fn a_deal_shows_what_was_said_with_its_company(&self, company: &str) {
        let fields = json!({ "fields": { "name": "Ten presses", "company_id": company } });
        let made = self.house.ok("POST", "/api/v1/records/deal", Some(fields)).await;
        let deal = made["id"].as_str().expect("an id");
        let said = eventually(Duration::from_secs(60), "the timeline of the deal", || async {
            let path = format!("/api/v1/timeline?record_id={deal}");
            let data = self.house.ok("GET", &path, None).await["data"].clone();
            data.as_array().is_some_and(|rows| rows.len() >= 2).then_some(data)
        })
        .await;
        let subjects: Vec<&Value> =
            said.as_array().expect("a list").iter().map(|row| &row["subject"]).collect();
        assert_eq!(
            subjects,
            ["Offer for <ten> presses", "First talk"],
            "what was said, and no note of the company"
        );
        self.open(&format!("/records/deal/{deal}/timeline")).await;
        self.chrome.wait_for_text(".timeline", "First talk").await;
        self.chrome.shoot("58-timeline-of-a-deal").await;
    }

    async fn words_and_kinds_narrow_it(&self, timeline: &str) {
        let chrome = &self.chrome;
        chrome.fill("#q", "\"take ten\" -morning").await;
        chrome.click("#search").await;
        chrome.wait_for_url("q=").await;
        chrome.wait_for_text(".timeline", "Offer for <ten> presses").await;
        let found = chrome.text(".timeline").await;
        assert!(!found.contains("First talk") && !found.contains("Note"), "{found}");
        self.open(&format!("{timeline}?kind=meeting&q=hello")).await;
        chrome.wait_for_text(".timeline", "First talk").await;
        self.open(&format!("{timeline}?kind=call")).await;
        chrome.wait_for_text("main", "There is no activity of these kinds.").await;
    }

    async fn a_transcript_and_a_long_text_are_read(&self, timeline: &str) {
        let chrome = &self.chrome;
        self.open(&format!("{timeline}?kind=meeting")).await;
        chrome.click(".timeline a.strong").await;
        chrome.wait_for_text(".transcript", "Hello, Carol.").await;
        let text = chrome.text(".transcript").await;
        assert!(text.contains("00:00:09") && text.contains("Carol Wild"), "{text}");
        chrome.shoot("57-transcript").await;
        self.open(&format!("{timeline}?kind=email")).await;
        chrome.click(".timeline a.strong").await;
        chrome.wait_for_text("#text", "<script>alert(1)</script>").await;
        chrome.wait_for_text("#text", "The end of it.").await;
    }

    async fn pages_lead_through_all(&self, timeline: &str) {
        self.open(&format!("{timeline}?kind=note")).await;
        self.chrome.wait_for_text(".timeline", "Note 59").await;
        assert!(!self.chrome.text(".timeline").await.contains("Note 9\n"), "that is on the next page");
        self.chrome.click("#older").await;
        self.chrome.wait_for_url("page=").await;
        self.chrome.wait_for_text(".timeline", "Note 0").await;
        assert!(!self.chrome.has("#older").await, "it is the last page");
    }

    async fn fits_a_phone(&self, paths: &[&str]) {
        self.chrome.resize(390, 844).await;
        for (number, path) in paths.iter().enumerate() {
            self.open(path).await;
            self.chrome.find("h1").await;
            let name = path.trim_start_matches('/').split(['/', '?']).next_back().unwrap_or_default();
            self.chrome.shoot(&format!("58-phone-{number}-{name}")).await;
            let wider = "return document.documentElement.scrollWidth - window.innerWidth";
            let width = self.chrome.run(wider).await;
            assert!(width.as_i64() <= Some(0), "{path} is wider than a phone by {width} pixels");
        }
    }
}
