use std::time::Duration;

use axum::http::StatusCode;
use model::Role;
use testkit::eventually;
use web_console::sample;

use crate::console::{Browser, ORIGIN};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_audit_log_is_filtered_by_its_address_and_exported_as_lines() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get("/settings/audit?action=mapping.*&outcome=ok&from=2026-03-01T00%3A00").await;
    assert_eq!(browser.rooms.asked(), ["entries mapping.* ok Some(1772323200)"]);
    assert!(page.body.contains(
        "/settings/audit?action=mapping.*&#38;outcome=ok&#38;from=2026-03-01T00%3A00&#38;before=4178"
    ));
    let export = browser.get("/settings/audit/export?action=mapping.*").await;
    assert_eq!(export.header("content-type"), "application/x-ndjson");
    let lines: Vec<serde_json::Value> =
        export.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 5);
    assert_eq!(
        lines[0]["details_json"],
        sample::entries()[0].details_json,
        "the text that the hash covers, letter by letter"
    );
}

/// A long chain takes longer to walk than any page may take.
#[tokio::test]
async fn verifying_the_chain_is_waited_for_longer_than_any_page() {
    let mut browser = Browser::impatient(Role::Viewer, Duration::from_millis(500)).await;
    let verify = "/settings/audit/verify?action=mapping.*";
    let page = browser.get("/settings/audit?action=mapping.*").await;
    assert!(page.body.contains(&format!("href=\"{verify}\"")), "{}", page.body);
    browser.rooms.asked();
    browser.rooms.hold_audit();
    let mut patient = browser.clone();
    let verified = tokio::spawn(async move { patient.get(verify).await });
    eventually(SOON, "the walk to begin", || async { (browser.rooms.asked() == ["verify"]).then_some(()) })
        .await;
    // It outlives two other pages, one after the other.
    for _ in 0..2 {
        let page = browser.get("/settings/audit").await;
        assert_eq!(page.status, StatusCode::SERVICE_UNAVAILABLE, "{}", page.body);
    }
    assert!(!verified.is_finished());
    browser.rooms.release_audit();
    let page = verified.await.unwrap();
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert!(page.body.contains("The chain is whole."));
}

#[tokio::test]
async fn a_new_key_is_shown_once() {
    let mut browser = Browser::of(Role::Owner).await;
    let fields = [("label", "Job"), ("scope", "records:read"), ("scope", "audit:read"), ("days", "30")];
    let page = browser.post("/settings/keys/api", &fields).await;
    assert_eq!(page.header("cache-control"), "no-store");
    assert!(page.body.contains("value=\"ak_fresh\""));
    assert_eq!(browser.rooms.asked(), ["mint_api Job records:read+audit:read"]);
    assert!(!browser.get("/settings/keys").await.body.contains("ak_fresh"));
    let page = browser.post("/settings/keys/integration", &[("product", "psa"), ("label", "PSA")]).await;
    assert!(page.body.contains("value=\"ik_fresh\""));
    let page = browser.post("/settings/keys/integration/intkey_1/rotate", &[]).await;
    assert!(page.body.contains("value=\"ik_rotated\""));
    browser.post("/settings/keys/api/apikey_1/revoke", &[]).await;
    browser.post("/settings/keys/integration/intkey_1/revoke", &[]).await;
    assert_eq!(browser.rooms.asked(), ["mint_integration", "rotate", "revoke_api", "revoke_integration"]);
}

#[tokio::test]
async fn an_invitation_shows_its_link_and_a_role_is_changed() {
    let mut browser = Browser::of(Role::Owner).await;
    let page =
        browser.post("/settings/users", &[("email", "noor@northwind.example"), ("role", "viewer")]).await;
    assert!(page.body.contains(&format!("value=\"{ORIGIN}/sign-in/link/al_new\"")), "{}", page.body);
    browser.post("/settings/users/user_3/role", &[("role", "member")]).await;
    assert_eq!(browser.rooms.asked(), ["invite noor@northwind.example viewer", "role member"]);
}

#[tokio::test]
async fn somebody_is_removed_after_a_page_that_says_what_that_means() {
    let mut browser = Browser::of(Role::Owner).await;
    let member = sample::user(Role::Member).id;
    let people = browser.get("/settings/users").await;
    let remove = format!("/settings/users/{member}/remove");
    assert!(people.body.contains(&format!("href=\"{remove}\"")), "{}", people.body);
    let own = sample::user(Role::Owner).id;
    assert!(!people.body.contains(&format!("/settings/users/{own}/remove")), "nobody removes themselves");
    let page = browser.get(&remove).await;
    assert!(
        page.body.contains("Sessions end at once") && page.body.contains("Keys that they made are revoked")
    );
    assert!(browser.rooms.asked().is_empty(), "looking removed somebody");
    let page = browser.post(&remove, &[]).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/settings/users"));
    assert_eq!(browser.rooms.asked(), ["remove"]);
    assert!(browser.get("/settings/users").await.body.contains("2 keys that they made are revoked"));
    assert_eq!(browser.get("/settings/users/user_none/remove").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn everybody_ends_their_own_other_sessions() {
    let mut browser = Browser::of(Role::Viewer).await;
    assert!(browser.get("/settings/account").await.body.contains("End all other sessions"));
    let page = browser.post("/settings/account/end-other-sessions", &[]).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/settings/account"));
    assert_eq!(browser.rooms.asked(), ["end_other_sessions"]);
    assert!(browser.get("/settings/account").await.body.contains("1 other session has ended."));
}

#[tokio::test]
async fn keys_and_people_are_for_those_who_manage_them() {
    for role in [Role::Member, Role::Viewer] {
        let mut browser = Browser::of(role).await;
        for path in ["/settings/keys", "/settings/users"] {
            let page = browser.get(path).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
            assert!(page.body.contains("Only an Owner or Admin"));
        }
        assert_eq!(browser.get("/settings/account").await.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn the_root_leads_to_the_integrations() {
    let mut browser = Browser::of(Role::Owner).await;
    assert_eq!(browser.get("/").await.location(), "/settings/integrations");
    assert_eq!(browser.get("/records").await.location(), "/records/company");
}
