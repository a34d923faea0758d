use axum::http::{Method, StatusCode, header};
use model::Role;
use tonic::Code;
use web_console::sample;

use crate::console::{Browser, ORIGIN, Page};

const FORM: &str = "/deals/ak_form";

fn deal() -> Vec<(&'static str, &'static str)> {
    vec![
        ("deal_name", "Ten <presses>"),
        ("company_name", "Acme"),
        ("company_domain", "acme.example"),
        ("contact_name", "Carol Wild"),
        ("contact_email", "carol@acme.example"),
        ("amount", "45000"),
        ("currency", "eur"),
    ]
}

/// Sends the form as the page has it.
async fn send(browser: &mut Browser, token: &str, origin: &str) -> Page {
    let mut fields = deal();
    fields.push(("_token", token));
    let body = serde_urlencoded::to_string(fields).unwrap();
    browser.send(Method::POST, FORM, &[("origin", origin)], body).await
}

// R32
#[tokio::test]
async fn a_partner_sees_without_an_account_what_became_of_its_deals_and_not_who_else_has_the_company() {
    let mut browser = Browser::new().await;
    let page = browser.get(FORM).await;
    assert_eq!(page.status, StatusCode::OK);
    for words in [
        "Ada Writes",
        "Ten presses, lot 1",
        "We have talked to them since January.",
        "Another partner has",
        "Expired",
    ] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    for words in ["Bo &#38; S", &sample::id("ptnr", 2), "user_", "/settings/"] {
        assert!(!page.body.contains(words), "{words} is in {}", page.body);
    }
    assert!(page.body.contains("content=\"noindex\""));
    assert_eq!(page.header(header::CACHE_CONTROL), "no-store");
    assert!(page.header(header::CONTENT_SECURITY_POLICY).starts_with("default-src 'none'"));
    assert!(page.header(header::SET_COOKIE).is_empty());
    browser.get(&format!("{FORM}?page=p2%2F%3D")).await;
    assert_eq!(browser.rooms.asked(), [r#"registrations "" "" """#, r#"registrations "" "" "p2/=""#]);
}

#[tokio::test]
async fn a_deal_is_registered_by_the_form_of_the_link_and_by_no_other() {
    let mut browser = Browser::new().await;
    let token = browser.get(FORM).await.token();
    browser.rooms.asked();
    for (token, origin) in [("", ORIGIN), ("of another link", ORIGIN), (&token, "https://elsewhere.example")]
    {
        assert_eq!(send(&mut browser, token, origin).await.status, StatusCode::FORBIDDEN);
    }
    assert!(browser.rooms.asked().is_empty());
    let page = send(&mut browser, &token, ORIGIN).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, FORM));
    let asked = browser.rooms.asked();
    assert!(
        asked[0].contains(r#"deal_name: "Ten <presses>""#) && asked[0].contains(r#"currency: "EUR""#),
        "{asked:?}"
    );
    let page = browser.get(FORM).await;
    assert!(page.body.contains("Another partner has registered this company as well, which is looked"));
    assert!(!browser.get(FORM).await.body.contains("which is looked"), "it is said once");
}

#[tokio::test]
async fn what_is_refused_is_said_beside_its_field_and_stays_as_it_was_typed() {
    let mut browser = Browser::new().await;
    let token = browser.get(FORM).await.token();
    browser.rooms.refuse_field("company_domain", "domain_of_free_mail");
    let page = send(&mut browser, &token, ORIGIN).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    let (_, beside) = page.body.split_once("id=\"company_domain-wrong\"").expect("the field is marked");
    assert!(beside.split_once("</p>").unwrap().0.contains("Write the company\u{2019}s own."), "{beside}");
    assert_eq!(page.body.matches("aria-invalid").count(), 1);
    assert!(page.body.contains("value=\"Ten &#60;presses&#62;\""), "{}", page.body);
    for (code, stable, words) in [
        (Code::AlreadyExists, "deal_already_registered", "this deal of this company before"),
        (Code::ResourceExhausted, "too_many_registrations", "many deals within an hour"),
    ] {
        browser.rooms.fail_next(code, stable, "No.");
        let page = send(&mut browser, &token, ORIGIN).await;
        assert!(page.body.contains(words) && page.body.contains("Ten &#60;presses"), "{}", page.body);
    }
}

#[tokio::test]
async fn a_link_that_leads_nowhere_and_one_that_is_asked_too_often_are_told_so() {
    let mut browser = Browser::new().await;
    for link in ["ak_gone", "nothing", "%20", "a%0Ab"] {
        let page = browser.get(&format!("/deals/{link}")).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{link}");
        assert!(page.body.contains("This link does not work any more"), "{}", page.body);
    }
    for _ in 0..60 {
        assert_eq!(browser.get(FORM).await.status, StatusCode::OK);
    }
    let page = browser.get(FORM).await;
    assert_eq!(page.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(!page.body.contains("/settings/"), "whoever has no account is sent nowhere");
}

#[tokio::test]
async fn an_admin_makes_a_link_that_is_shown_once_and_revokes_it() {
    let partner = format!("/attribution/partners/{}", sample::id("ptnr", 1));
    let mut browser = Browser::of(Role::Admin).await;
    let page = browser.post(&format!("{partner}/forms"), &[]).await;
    assert!(page.body.contains("value=\"https://console.accord.test/deals/ak_fresh\""), "{}", page.body);
    assert_eq!(page.header(header::CACHE_CONTROL), "no-store");
    assert!(!browser.get(&partner).await.body.contains("ak_fresh"));
    let revoke = |n| format!("{partner}/forms/{}/revoke", sample::id("apikey", n));
    assert_eq!(browser.post(&revoke(5), &[]).await.location(), partner);
    assert_eq!(browser.post(&revoke(1), &[]).await.status, StatusCode::NOT_FOUND, "a key that is no link");
    let label = format!("mint_api Link to a partner's form form:{}", sample::id("ptnr", 1));
    let changes = |asked: Vec<String>| -> Vec<String> {
        asked.into_iter().filter(|call| call.starts_with("mint") || call.starts_with("revoke")).collect()
    };
    assert_eq!(changes(browser.rooms.asked()), [label.as_str(), "revoke_api"]);
    let mut member = Browser::of(Role::Member).await;
    assert!(!member.get(&partner).await.body.contains("make-form"));
    for path in [format!("{partner}/forms"), revoke(5)] {
        assert_eq!(member.post(&path, &[]).await.status, StatusCode::FORBIDDEN);
    }
    assert!(changes(member.rooms.asked()).is_empty());
}
