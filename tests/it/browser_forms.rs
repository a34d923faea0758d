//! What people without an account do in a browser: a partner registers deals by the link to its form.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::eventually;
use tests::{Chrome, House, Start};

const WAIT: Duration = Duration::from_secs(60);

// R32
#[tokio::test]
async fn browser_registers_a_deal_by_the_link_to_a_form_until_the_link_and_the_partner_are_revoked() {
    let house = House::start(Start { companies: 2, deals: 1, ..Start::default() }).await;
    let (ada, bo) = (partner(&house, "Ada Writes").await, partner(&house, "Bo Sells").await);
    house.register(&deal(&bo)).await;
    let (admin, chrome) = (Chrome::start().await, Chrome::start().await);
    admin.open(house.ready("sign_in.owner")).await;
    admin.wait_for_url("/settings/integrations").await;
    let link = made(&house, &admin, &ada).await;
    admin.shoot("70-form-link").await;

    chrome.open(&link).await;
    chrome.wait_for_text("main", "Nothing so far.").await;
    registers(&chrome).await;
    let id = rejected(&house, &ada).await;
    chrome.open(&link).await;
    chrome.wait_for_text("#registered", "We know them.").await;
    chrome.wait_for_text("#registered", "Rejected").await;
    chrome.shoot("73-form-rejected").await;
    fits_a_phone(&chrome, &link).await;

    let secret = link.rsplit('/').next().expect("a link").to_owned();
    let of_link = |entry: &&Value| entry.to_string().contains(&format!("form:{ada}"));
    eventually(WAIT, "the audit log to tell of the link", || async {
        let minted = house.audit("action=identity.minted").await;
        (minted.iter().filter(of_link).count() == 1).then_some(())
    })
    .await;
    let submitted = house.wait_for_audit(&format!("action=deal_registration.submitted&target={id}")).await;
    assert!(submitted["actor"].as_str().is_some_and(|actor| actor.starts_with("api_key:")), "{submitted}");

    // The link is revoked, and then the partner.
    admin.open(&page(&house, &format!("/attribution/partners/{ada}"))).await;
    admin.click("#forms button.danger").await;
    admin.wait_for_text(".flash", "The link is revoked").await;
    shows(&chrome, &link, "This link does not work any more").await;
    chrome.shoot("74-form-closed").await;
    let link = made(&house, &admin, &ada).await;
    shows(&chrome, &link, "What you registered").await;
    house.ok("POST", &format!("/api/partners/{ada}/revoke"), Some(json!({}))).await;
    shows(&chrome, &link, "You cannot register deals here any more").await;
    for (what, text) in [("log", house.log()), ("audit", json!(house.audit("").await).to_string())] {
        assert!(!text.contains(&secret), "the {what} holds a link");
        assert!(!text.contains("carol@acme.example"), "the {what} holds an address");
    }
    assert!(!house.log().contains("panicked"), "something panicked: {}", house.log());
    admin.close().await;
    chrome.close().await;
}

async fn partner(house: &House, name: &str) -> String {
    let email = format!("{}@partner.example", name.to_lowercase().replace(' ', "."));
    let made = house.ok("POST", "/api/partners", Some(json!({ "name": name, "email": email }))).await;
    made["id"].as_str().expect("an id").to_owned()
}

fn deal(partner: &str) -> Value {
    json!({
        "partner_id": partner, "deal_name": "Nine presses", "company_name": "Acme", "company_domain": "acme.example",
        "contact_name": "Carol Wild", "contact_email": "carol@acme.example" })
}

fn page(house: &House, path: &str) -> String {
    format!("{}{path}", house.ready("console_url"))
}

/// The address of a new link to the partner's form, which the page shows once.
async fn made(house: &House, admin: &Chrome, partner: &str) -> String {
    admin.open(&page(house, &format!("/attribution/partners/{partner}"))).await;
    admin.click("#make-form").await;
    admin.find("#form-link").await;
    let link = admin.run("return document.getElementById('form-link').value").await;
    link.as_str().expect("an address").to_owned()
}

/// With a mistake first, which is marked beside its field.
async fn registers(chrome: &Chrome) {
    for (field, text) in [
        ("#deal_name", "Ten presses"),
        ("#company_name", "Acme"),
        ("#company_domain", "gmail.com"),
        ("#contact_name", "Carol Wild"),
        ("#contact_email", "carol@acme.example"),
        ("#amount", "45000.00"),
        ("#currency", "EUR"),
        ("#note", "They asked us."),
    ] {
        chrome.fill(field, text).await;
    }
    chrome.click("#register").await;
    chrome.wait_for_text("#company_domain-wrong", "Write the company\u{2019}s own").await;
    chrome.shoot("71-form-refused").await;
    chrome.fill("#company_domain", "https://www.acme.example/about").await;
    chrome.click("#register").await;
    chrome.wait_for_text(".flash", "Another partner has registered this company as well").await;
    chrome.wait_for_text("#registered", "45,000.00 EUR").await;
    chrome.shoot("72-form-registered").await;
    assert!(!chrome.text("body").await.contains("Bo Sells"), "who the other one is stays untold");
}

/// Somebody rejects what the partner registered; gives its id.
async fn rejected(house: &House, partner: &str) -> String {
    let listed = house.ok("GET", &format!("/api/v1/deal-registrations?partner_id={partner}"), None).await;
    let id = listed["data"][0]["id"].as_str().expect("an id").to_owned();
    let reject = format!("/api/v1/deal-registrations/{id}/reject");
    house.ok("POST", &reject, Some(json!({ "reason": "We know them." }))).await;
    id
}

/// What the link leads to says this, once the change is known there.
async fn shows(chrome: &Chrome, link: &str, words: &str) {
    eventually(WAIT, words, || async {
        chrome.open(link).await;
        chrome.text("main").await.contains(words).then_some(())
    })
    .await;
}

async fn fits_a_phone(chrome: &Chrome, link: &str) {
    chrome.resize(390, 844).await;
    chrome.open(link).await;
    chrome.find("h1").await;
    chrome.shoot("75-form-phone").await;
    let width = chrome.run("return document.documentElement.scrollWidth - window.innerWidth").await;
    assert!(width.as_i64() <= Some(0), "the form is wider than a phone by {width} pixels");
    chrome.resize(1280, 900).await;
}
