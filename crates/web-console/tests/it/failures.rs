use axum::http::StatusCode;
use model::Role;
use tonic::Code;

use crate::console::{Browser, ORIGIN, connection, mapping};

#[tokio::test]
async fn a_room_that_is_away_gives_a_page_that_says_so_and_tries_again() {
    let mut browser = Browser::without_rooms();
    let page = browser.get("/settings/integrations").await;
    assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.header("retry-after"), "5");
    assert!(page.body.contains("data-retry") && page.body.contains("does not answer"), "{}", page.body);
    assert!(!page.body.contains("127.0.0.1"), "an inner address is shown");
    assert!(browser.cookie("accord_session").is_some(), "the session was thrown away");
}

#[tokio::test]
async fn what_another_organization_has_is_not_there() {
    let mut browser = Browser::of(Role::Owner).await;
    for path in [
        "/settings/integrations/hubspot/conn_0".to_owned(),
        "/records/deal/rec_0".to_owned(),
        connection().replace("hubspot", "salesforce"),
        mapping().replace("/conn_", "/conn_other_"),
    ] {
        let page = browser.get(&path).await;
        assert_eq!(page.status, StatusCode::NOT_FOUND, "{path}");
        assert!(page.body.contains("not_found"));
    }
}

#[tokio::test]
async fn a_refused_form_leads_back_to_it_with_the_reason_and_the_stable_code() {
    let mut browser = Browser::of(Role::Owner).await;
    browser.rooms.fail_next(
        Code::FailedPrecondition,
        "plan_stale",
        "the plan is no longer true; make a new one",
    );
    let path = format!("{}/activate", mapping());
    let from = format!("{ORIGIN}{}/plan", mapping());
    let page = browser.post_with(&path, &[("referer", &from)], &[("plan_hash", "b9d1")]).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, &*format!("{}/plan", mapping())));
    let page = browser.get(page.location()).await;
    assert!(page.body.contains("The plan is no longer true; make a new one."));
    assert!(page.body.contains("<code class=\"code\">plan_stale</code>"));
}

#[tokio::test]
async fn a_fault_of_a_room_is_not_shown_in_its_own_words() {
    let mut browser = Browser::of(Role::Owner).await;
    browser.rooms.fail_next(Code::Internal, "internal", "SELECT secret FROM tokens failed");
    let page = browser.post(&format!("{}/sync", connection()), &[]).await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!page.body.contains("SELECT"));
}

#[tokio::test]
async fn long_answers_are_shown_and_too_long_ones_are_no_fault_of_the_visitors() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.get("/settings/audit?action=long.5000000").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.len() > 5_000_000);
    let page = browser.get("/settings/audit?action=long.40000000").await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(page.body.contains("on our side") && !page.body.contains("decoded message"), "{}", page.body);
}

#[tokio::test]
async fn every_answer_carries_the_strict_policy() {
    let mut browser = Browser::of(Role::Owner).await;
    for path in
        ["/settings/integrations", "/sign-in", "/nowhere", "/settings/integrations/live", "/assets/none"]
    {
        let page = browser.get(path).await;
        let policy = page.header("content-security-policy");
        for part in [
            "default-src 'none'",
            "script-src 'self';",
            "style-src 'self';",
            "form-action 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        assert!(page.header("strict-transport-security").starts_with("max-age="), "{path}");
    }
}

#[tokio::test]
async fn assets_are_kept_for_a_year_under_the_hash_of_their_content() {
    let mut browser = Browser::new().await;
    for (path, content) in web_console::asset_files() {
        let page = browser.get(path).await;
        assert_eq!(page.body, content);
        assert_eq!(page.header("cache-control"), "public, max-age=31536000, immutable");
        let packed = browser.get_with(path, &[("accept-encoding", "gzip")]).await;
        assert_eq!(packed.header("content-encoding"), "gzip", "{path}");
    }
    assert_eq!(browser.get("/assets/console-000000000000.css").await.status, StatusCode::NOT_FOUND);
}
