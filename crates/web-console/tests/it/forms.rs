use axum::http::{Method, StatusCode};
use model::Role;

use crate::console::{Browser, ORIGIN, connection};

#[tokio::test]
async fn a_form_without_the_sessions_token_is_not_done() {
    let mut browser = Browser::of(Role::Owner).await;
    let path = format!("{}/sync", connection());
    for body in ["", "_token=", "_token=guessed"] {
        let page = browser.send(Method::POST, &path, &[("origin", ORIGIN)], body.to_owned()).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{body}");
        assert!(page.body.contains("form_token_wrong"));
    }
    let mut other = Browser::of(Role::Admin).await;
    let token = other.get("/settings/account").await.token();
    let page = browser.send(Method::POST, &path, &[("origin", ORIGIN)], format!("_token={token}")).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "another session's token was taken");
    assert!(browser.rooms.asked().is_empty());
}

#[tokio::test]
async fn a_form_of_another_site_is_not_done_even_with_the_token() {
    let mut browser = Browser::of(Role::Owner).await;
    let token = browser.get("/settings/account").await.token();
    let path = format!("{}/sync", connection());
    for headers in [("origin", "https://evil.test"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        let page = browser.send(Method::POST, &path, &[headers], format!("_token={token}")).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{headers:?}");
    }
    assert!(browser.rooms.asked().is_empty());
}

#[tokio::test]
async fn a_member_is_refused_by_the_room_and_told_decently() {
    let mut browser = Browser::of(Role::Member).await;
    for path in ["sync", "pause", "disconnect", "refresh-schema"] {
        let page = browser.post(&format!("{}/{path}", connection()), &[]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
        assert!(page.body.contains("Your role does not allow this"));
        assert!(page.body.contains("Integration Health"), "the navigation is gone");
    }
    assert!(browser.rooms.asked().is_empty());
}

#[tokio::test]
async fn what_happened_is_said_once_on_the_next_page() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.post(&format!("{}/sync", connection()), &[]).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, &*connection()));
    assert_eq!(browser.rooms.asked(), ["sync_now"]);
    assert!(browser.get(&connection()).await.body.contains("Syncing companies and deals now."));
    assert!(!browser.get(&connection()).await.body.contains("Syncing companies and deals now."));
}

#[tokio::test]
async fn malformed_forms_and_addresses_are_told_apart_from_our_faults() {
    let mut browser = Browser::of(Role::Owner).await;
    for (path, fields) in [
        (format!("{}/pairs", connection()), vec![]),
        ("/settings/users".to_owned(), vec![("email", "x")]),
        ("/settings/keys/api".to_owned(), vec![("label", "x"), ("days", "soon")]),
        ("/settings/keys/nonsense/key_1/revoke".to_owned(), vec![]),
    ] {
        let page = browser.post(&path, &fields).await;
        assert!(page.status.is_client_error(), "{path}: {}", page.status);
    }
    for path in
        ["/settings/audit?before=soon", "/settings/audit?from=yesterday", "/records/nothing", "/nowhere"]
    {
        let page = browser.get(path).await;
        assert!(page.status.is_client_error(), "{path}: {}", page.status);
    }
    let page = browser.send(Method::PUT, "/settings/integrations", &[], String::new()).await;
    assert_eq!(page.status, StatusCode::METHOD_NOT_ALLOWED);
    assert!(browser.rooms.asked().is_empty());
}
