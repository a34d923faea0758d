use axum::http::StatusCode;
use model::Role;
use tonic::Code;
use web_console::sample;

use crate::console::Browser;

const QUEUE: &str = "/attribution/review";

#[tokio::test]
async fn the_queue_tells_why_something_waits_since_when_and_what_is_at_stake() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(&format!("{QUEUE}?reason=self_referral")).await;
    assert_eq!(browser.rooms.asked(), ["reviews \"\" \"self_referral\""]);
    for words in [
        "The customer&#39;s address is the partner&#39;s.",
        "Partner is the customer",
        "12 · 10,800.00 USD",
        "asking the customer",
    ] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    let page = browser.post(QUEUE, &[("commission", "comm_1"), ("action", "clear")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(browser.rooms.asked().is_empty());
}

#[tokio::test]
async fn many_are_cleared_or_rejected_at_once_with_a_note_and_their_clicks() {
    let mut browser = Browser::of(Role::Owner).await;
    let chosen = [("commission", "comm_1"), ("commission", "comm_2"), ("note", "asked them")];
    let page =
        browser.post(QUEUE, &[&chosen[..], &[("action", "reject"), ("with_click", "yes")]].concat()).await;
    assert_eq!(page.location(), QUEUE);
    browser.post(QUEUE, &[&chosen[..1], &[("action", "clear")]].concat()).await;
    browser.post(QUEUE, &[&chosen[..1], &[("action", "approve")]].concat()).await;
    assert_eq!(
        browser.rooms.asked(),
        [
            "reject [\"comm_1\", \"comm_2\"] click true “asked them”",
            "clear [\"comm_1\"] click false “”",
            "approve 1 “”",
        ]
    );
    assert!(browser.get(QUEUE).await.body.contains("1 commission is approved."));
}

#[tokio::test]
async fn what_is_held_back_is_set_and_a_secret_is_shown_once() {
    let mut browser = Browser::of(Role::Admin).await;
    let form = [("signed_identify", "required"), ("users_per_click", "5"), ("one_stitch_per_day", "yes")];
    browser.post("/settings/guards", &form).await;
    let asked = browser.rooms.asked().remove(0);
    assert!(
        asked.contains("signed_identify: \"required\"") && asked.contains("users_per_click: 5"),
        "{asked}"
    );
    assert!(asked.contains("one_stitch_per_day: true, known_customers_wait: false"), "{asked}");
    let page = browser.post("/settings/guards/secret", &[]).await;
    assert!(page.body.contains("value=\"is_fresh\"") && page.header("cache-control") == "no-store");
    assert!(!browser.get("/settings/guards").await.body.contains("is_fresh"));
    let page = browser.post("/settings/guards", &[("users_per_click", "many")]).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    browser.rooms.asked();
    let odd = [&form[..1], &[("users_per_click", "many"), ("known_customers_wait", "yes")]].concat();
    let page = browser.post("/settings/guards", &odd).await;
    assert_eq!((page.status, browser.rooms.asked().len()), (StatusCode::UNPROCESSABLE_ENTITY, 0));
    browser.rooms.fail_next(Code::FailedPrecondition, "secret_missing", "there is no secret to sign with");
    let refused = browser.post("/settings/guards", &odd[..1]).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("There is no secret to sign with."), "{}", refused.body);
    for words in [
        "Write limits as whole numbers",
        "value=\"required\" checked",
        "name=\"users_per_click\" inputmode=\"numeric\" pattern=\"[0-9]*\" value=\"many\"",
        "name=\"known_customers_wait\" value=\"yes\" checked",
    ] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    assert!(!page.body.contains("name=\"one_stitch_per_day\" value=\"yes\" checked"), "{}", page.body);
    assert!(page.body.contains("Make another"), "the secret is still there: {}", page.body);
    assert_eq!(Browser::of(Role::Member).await.get("/settings/guards").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_webhook_that_is_told_of_nothing_is_not_made_and_what_was_typed_stays() {
    let mut browser = Browser::of(Role::Owner).await;
    let typed = [("url", "https://hooks.example/accord"), ("label", "Books")];
    let page = browser.post("/settings/webhooks", &typed).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    for part in ["Choose at least one event", "value=\"https://hooks.example/accord\"", "value=\"Books\""] {
        assert!(page.body.contains(part), "no {part} in {}", page.body);
    }
    let path = format!("/settings/webhooks/{}", sample::id("wh", 1));
    let page = browser.post(&path, &[("label", "Books")]).await;
    assert!(page.body.contains("Choose at least one event"), "{}", page.body);
    assert_eq!(browser.rooms.asked(), Vec::<String>::new());
    browser.rooms.fail_next(Code::InvalidArgument, "address_refused", "url: it is no public address.");
    let page = browser.post("/settings/webhooks", &[("url", "https://10.0.0.1/"), ("event", "*")]).await;
    assert!(
        page.body.contains("no public address") && page.body.contains("https://10.0.0.1/"),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn a_webhook_is_added_tried_sent_again_paused_and_deleted() {
    let mut browser = Browser::of(Role::Owner).await;
    let url = "https://hooks.example/accord";
    let page = browser
        .post(
            "/settings/webhooks",
            &[("url", url), ("event", "commission.paid"), ("event", "payout.created")],
        )
        .await;
    assert!(page.body.contains("value=\"whsec_fresh\""));
    assert!(!browser.get("/settings/webhooks").await.body.contains("whsec_fresh"));
    let path = format!("/settings/webhooks/{}", sample::id("wh", 1));
    browser.post(&format!("{path}/test"), &[]).await;
    assert!(browser.get(&path).await.body.contains("Delivered: it answered 200."));
    browser.post(&format!("{path}/deliveries/whd_3/retry"), &[]).await;
    assert!(browser.get(&path).await.body.contains("Not delivered. Nobody answered within 10 seconds."));
    browser.post(&path, &[("action", "pause")]).await;
    browser.post(&path, &[("label", "Books"), ("event", "*")]).await;
    let page = browser.get(&path).await;
    let shown = ["<dt>Event ID</dt><dd><code>evn_", &format!("href=\"{path}/delete\"")];
    assert!(shown.iter().all(|part| page.body.contains(part)), "{}", page.body);
    let page = browser.get(&format!("{path}/delete")).await;
    assert!(page.body.contains("Its secret is gone.") && page.body.contains("Keep it"), "{}", page.body);
    browser.post(&format!("{path}/delete"), &[]).await;
    assert_eq!(
        browser.rooms.asked(),
        [
            "webhook https://hooks.example/accord [\"commission.paid\", \"payout.created\"]",
            "test webhook",
            "retry whd_3",
            "update webhook [] None Some(false)",
            "update webhook [\"*\"] Some(\"Books\") None",
            "delete webhook, hard true",
        ]
    );
}
