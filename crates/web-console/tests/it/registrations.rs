use axum::http::StatusCode;
use model::Role;
use tonic::Code;
use web_console::sample;

use crate::console::Browser;

const QUEUE: &str = "/attribution/registrations";

fn registration(n: u32) -> String {
    format!("{QUEUE}/{}", sample::id("dreg", n))
}

#[tokio::test]
async fn the_queue_shows_what_is_to_be_decided_first_and_other_lists_on_demand() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(QUEUE).await;
    for words in ["Ten presses, lot 1", "45,000.00 EUR", "3 conflicts", "Ada Writes", "Under review"] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    assert!(!page.body.contains("Ten presses, lot 3"), "approved ones are another list");
    assert!(page.body.contains("Acme &lt;Presses&gt;") || page.body.contains("Acme &#60;Presses&#62;"));
    assert!(page.body.contains(&format!("{QUEUE}?page=p2%2F%3D")), "{}", page.body);
    let page = browser.get(&format!("{QUEUE}?status=approved&partner={}", sample::id("ptnr", 1))).await;
    assert!(page.body.contains("Ten presses, lot 3") && page.body.contains("of Ada Writes"), "{}", page.body);
    browser.get(&format!("{QUEUE}?status=all&page=p2%2F%3D")).await;
    let partner = sample::id("ptnr", 1);
    let asked = [
        r#"registrations "open" "" """#.to_owned(),
        format!(r#"registrations "approved" "{partner}" """#),
        r#"registrations "" "" "p2/=""#.to_owned(),
    ];
    assert_eq!(browser.rooms.asked(), asked);
}

#[tokio::test]
async fn conflicts_say_whose_they_are_of_what_kind_and_how_they_stand_by_now() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(&registration(1)).await;
    for words in
        ["Channel conflict", "Bo &#38; Søn", "under review at that time", "Duplicate", "Ten presses, lot 3"]
    {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    assert!(page.body.contains("Its registration"), "one of them is not there any more");
    assert!(page.body.contains("&#60;b&#62;ten presses") && !page.body.contains("<b>ten"), "{}", page.body);
}

#[tokio::test]
async fn viewers_and_members_read_and_do_not_decide() {
    for role in [Role::Viewer, Role::Member] {
        let mut browser = Browser::of(role).await;
        let page = browser.get(&registration(1)).await;
        assert!(page.body.contains("An Owner or Admin decides.") && !page.body.contains("id=\"approve\""));
        let page = browser.post(&registration(1), &[("action", "approve")]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(browser.rooms.asked().is_empty());
    }
}

#[tokio::test]
async fn somebody_looks_into_it_approves_for_some_days_or_rejects_with_a_reason() {
    let mut browser = Browser::of(Role::Admin).await;
    let page = browser.post(&registration(1), &[("action", "review")]).await;
    assert_eq!(page.location(), registration(1));
    browser.post(&registration(1), &[("action", "approve"), ("days", " 120 ")]).await;
    assert!(browser.get(&registration(1)).await.body.contains("Approved. The deal Ten presses, lot 1"));
    browser.post(&registration(1), &[("action", "approve"), ("days", "")]).await;
    browser.post(&registration(1), &[("action", "reject"), ("reason", "we know them")]).await;
    let asked = ["review", "approve for 120", "approve for 0", "reject “we know them”"];
    assert_eq!(browser.rooms.asked(), asked);
    for days in ["0", "soon", "-3", "1e3"] {
        let page = browser.post(&registration(1), &[("action", "approve"), ("days", days)]).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY, "{days}");
    }
    assert_eq!(browser.post(&registration(1), &[("action", "burn")]).await.status, StatusCode::NOT_FOUND);
    assert!(browser.rooms.asked().is_empty());
}

#[tokio::test]
async fn who_comes_second_reads_who_decided_what_and_why() {
    let mut browser = Browser::of(Role::Admin).await;
    let told = "It is rejected already: user:user_1 decided at 2026-03-12T07:30:00Z.";
    browser.rooms.fail_next(Code::FailedPrecondition, "already_decided", told);
    let page = browser.post(&registration(4), &[("action", "approve")]).await;
    assert_eq!(page.location(), registration(4));
    let page = browser.get(&registration(4)).await;
    let words = "You rejected it 2 h ago: “We have talked to them since January.”. The first decision stands";
    assert!(page.body.contains(words) && !page.body.contains("user:user_1"), "{}", page.body);
    browser.rooms.fail_next(Code::FailedPrecondition, "registration_expired", "Its time is over.");
    browser.post(&registration(5), &[("action", "reject"), ("reason", "late")]).await;
    let page = browser.get(&registration(5)).await;
    assert!(page.body.contains("It expired before anybody decided"), "{}", page.body);
}

#[tokio::test]
async fn an_approved_one_leads_to_its_deal_and_says_until_when_it_is_protected() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(&registration(3)).await;
    assert!(page.body.contains(&format!("href=\"/records/deal/{}\"", sample::id("rec", 0))));
    for words in ["Protected until", "The protection ends", "approved it"] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    let page = browser.get(&format!("{QUEUE}/dreg_nothing")).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_deal_is_registered_for_a_partner_and_what_is_refused_comes_back_as_typed() {
    let mut browser = Browser::of(Role::Member).await;
    let partner = sample::id("ptnr", 1);
    let page = browser.get(&format!("{QUEUE}/new?partner={partner}")).await;
    assert!(page.body.contains(&format!("<option value=\"{partner}\" selected>Ada Writes")), "{}", page.body);
    let form = [
        ("partner", partner.as_str()),
        ("company_name", "Acme <1>"),
        ("company_domain", " acme.example "),
        ("contact_name", "Carol"),
        ("contact_email", "carol@acme.example"),
        ("deal_name", "Ten presses"),
        ("amount", "45000.00"),
        ("currency", "eur"),
    ];
    let page = browser.post(QUEUE, &form).await;
    assert_eq!(page.location(), registration(1));
    let asked = browser.rooms.asked().remove(0);
    for part in
        [&*format!("partner_id: {partner:?}"), "company_domain: \"acme.example\"", "currency: \"EUR\""]
    {
        assert!(asked.contains(part), "no {part} in {asked}");
    }
    assert!(browser.get(&registration(1)).await.body.contains("Other registrations of the company stand"));
    browser.rooms.fail_next(Code::InvalidArgument, "domain_invalid", "company_domain is no domain.");
    let page = browser.post(QUEUE, &form).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in ["Write it as acme.example.", "Acme &#60;1&#62;", "value=\"45000.00\""] {
        assert!(page.body.contains(part), "no {part} in {}", page.body);
    }
    browser.rooms.fail_next(Code::AlreadyExists, "deal_already_registered", "dreg_1");
    assert_eq!(browser.post(QUEUE, &form).await.status, StatusCode::CONFLICT);
    let mut viewer = Browser::of(Role::Viewer).await;
    assert_eq!(viewer.get(&format!("{QUEUE}/new")).await.status, StatusCode::FORBIDDEN);
    assert_eq!(viewer.post(QUEUE, &form).await.status, StatusCode::FORBIDDEN);
    assert!(viewer.rooms.asked().is_empty());
}

#[tokio::test]
async fn how_long_registrations_stand_is_set_and_what_is_refused_comes_back_as_typed() {
    const SETTINGS: &str = "/settings/registrations";
    let mut browser = Browser::of(Role::Admin).await;
    assert!(browser.get(SETTINGS).await.body.contains("post.example"));
    let form = |days| {
        [("protected_days", days), ("review_days", "7"), ("free_domains", "a.example\r\n b.example,\n")]
    };
    assert_eq!(browser.post(SETTINGS, &form("45")).await.location(), SETTINGS);
    let asked = browser.rooms.asked().remove(0);
    let set = "protected_days: 45, review_days: 7, free_domains: [\"a.example\", \"b.example\"]";
    assert!(asked.contains(set), "{asked}");
    let page = browser.post(SETTINGS, &form("long")).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.body.contains("value=\"long\"") && browser.rooms.asked().is_empty(), "{}", page.body);
    browser.rooms.fail_next(Code::InvalidArgument, "days_invalid", "protected_days is from 1 to 3650.");
    assert!(browser.post(SETTINGS, &form("9999")).await.body.contains("Days are from 1 to 3,650."));
    let mut member = Browser::of(Role::Member).await;
    assert!(member.get(SETTINGS).await.body.contains("An Owner or Admin changes them."));
    assert_eq!(member.post(SETTINGS, &form("45")).await.status, StatusCode::FORBIDDEN);
}
