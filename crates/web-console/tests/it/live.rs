use axum::http::StatusCode;
use model::Role;

use crate::console::{Browser, connection, mapping};

#[tokio::test]
async fn a_live_part_that_has_not_changed_costs_no_body() {
    let mut browser = Browser::of(Role::Viewer).await;
    for path in [
        "/settings/integrations/live".to_owned(),
        format!("{}/live", connection()),
        "/settings/integrations/health/live".to_owned(),
        format!("{}/plan/live", mapping()),
    ] {
        let fresh = browser.get(&path).await;
        assert_eq!(fresh.status, StatusCode::OK, "{path}");
        assert!(fresh.body.contains("data-swap"), "{path}");
        let tag = fresh.header("etag").to_owned();
        assert!(tag.starts_with("W/\""), "{path}: {tag}");
        let again = browser.get_with(&path, &[("if-none-match", &tag)]).await;
        assert_eq!((again.status, &*again.body), (StatusCode::NOT_MODIFIED, ""), "{path}");
    }
}

#[tokio::test]
async fn what_the_script_reads_by_itself_is_no_act_of_the_visitor() {
    let mut browser = Browser::of(Role::Owner).await;
    let script = [("x-accord-script", "1")];
    for path in ["/settings/integrations/live".to_owned(), format!("{}/live", connection())] {
        browser.get_with(&path, &script).await;
        assert!(browser.rooms.were_passive(), "{path}");
    }
    browser.get("/settings/integrations").await;
    assert!(!browser.rooms.were_passive(), "somebody opened a page");
    browser.post_with(&format!("{}/sync", connection()), &script, &[]).await;
    assert!(!browser.rooms.were_passive(), "somebody pressed a button");
}

#[tokio::test]
async fn the_page_holds_the_same_part_that_the_script_asks_for() {
    let mut browser = Browser::of(Role::Owner).await;
    for (page, part) in [
        ("/settings/integrations".to_owned(), "/settings/integrations/live".to_owned()),
        (connection(), format!("{}/live", connection())),
    ] {
        let page = browser.get(&page).await;
        let part = browser.get(&part).await;
        assert!(page.body.contains(part.body.trim()));
    }
}

#[tokio::test]
async fn a_live_part_does_not_swallow_the_message_of_the_next_page() {
    let mut browser = Browser::of(Role::Owner).await;
    browser.post(&format!("{}/sync", connection()), &[]).await;
    browser.get(&format!("{}/live", connection())).await;
    assert!(browser.get(&connection()).await.body.contains("Syncing companies and deals now."));
}
