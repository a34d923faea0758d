use axum::http::{Method, StatusCode, header};
use model::Role;

use crate::console::{Browser, ORIGIN};

#[tokio::test]
async fn a_stranger_is_sent_to_sign_in_and_then_where_they_wanted_to_go() {
    let mut browser = Browser::new().await;
    let page = browser.get("/settings/audit?action=sync.*").await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert_eq!(page.location(), "/sign-in?next=%2Fsettings%2Faudit%3Faction%3Dsync.*");
    let form = browser.get(page.location()).await;
    assert!(form.body.contains(r#"name="next" value="/settings/audit?action=sync.*""#), "{}", form.body);
    let body = "email=mara%40northwind.example&password=correct+horse&next=%2Fsettings%2Faudit";
    let page = browser.send(Method::POST, "/sign-in", &[("origin", ORIGIN)], body.to_owned()).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/settings/audit"));
    assert_eq!(browser.get("/settings/audit").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_session_cookie_is_out_of_reach_of_scripts_and_other_sites() {
    let mut browser = Browser::new().await;
    let page =
        browser.send(Method::POST, "/sign-in/link/al_good", &[("origin", ORIGIN)], String::new()).await;
    let cookie = page.header(header::SET_COOKIE);
    for part in ["accord_session=as_owner", "HttpOnly", "SameSite=Lax", "Secure", "Path=/"] {
        assert!(cookie.contains(part), "{cookie} lacks {part}");
    }
    assert_eq!(page.location(), "/settings/integrations");
}

#[tokio::test]
async fn a_used_link_says_what_to_do_next() {
    let mut browser = Browser::new().await;
    let page =
        browser.send(Method::POST, "/sign-in/link/al_used", &[("origin", ORIGIN)], String::new()).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
    assert!(page.body.contains("Ask for a new one"), "{}", page.body);
    assert!(browser.cookie("accord_session").is_none());
}

#[tokio::test]
async fn a_link_is_spent_by_its_button_and_not_by_looking_or_from_another_site() {
    let mut browser = Browser::new().await;
    for headers in [vec![], vec![("sec-fetch-site", "none")], vec![("sec-fetch-site", "cross-site")]] {
        let page = browser.get_with("/sign-in/link/al_good", &headers).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains(r#"method="post" action="/sign-in/link/al_good""#), "{}", page.body);
        assert!(!page.body.contains("data-goes-on"), "only on this machine");
    }
    let headers = [("origin", "https://evil.test")];
    let page = browser.send(Method::POST, "/sign-in/link/al_good", &headers, String::new()).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(browser.cookie("accord_session").is_none());
    assert!(browser.rooms.asked().is_empty(), "the link was spent");
    browser.send(Method::POST, "/sign-in/link/al_good", &[("origin", ORIGIN)], String::new()).await;
    assert_eq!(browser.rooms.asked(), ["link"]);
    assert!(browser.cookie("accord_session").is_some());
}

#[tokio::test]
async fn on_this_machine_a_link_from_a_terminal_goes_on_by_itself() {
    let mut browser = Browser::at("http://127.0.0.1:7000").await;
    let goes_on = async |browser: &mut Browser, site: &str| {
        let page = browser.get_with("/sign-in/link/al_good", &[("sec-fetch-site", site)]).await;
        page.body.contains("data-goes-on")
    };
    assert!(goes_on(&mut browser, "none").await);
    for site in ["cross-site", "same-site", ""] {
        assert!(!goes_on(&mut browser, site).await, "whoever links here would choose who signs in: {site}");
    }
}

#[tokio::test]
async fn wrong_passwords_and_too_many_of_them_are_told_in_words() {
    let mut browser = Browser::new().await;
    for (email, status, words) in [
        ("mara%40northwind.example", StatusCode::UNAUTHORIZED, "The email or the password is wrong."),
        ("locked%40northwind.example", StatusCode::TOO_MANY_REQUESTS, "Too many attempts; wait 30 seconds."),
    ] {
        let body = format!("email={email}&password=guess");
        let page = browser.send(Method::POST, "/sign-in", &[("origin", ORIGIN)], body).await;
        assert_eq!(page.status, status);
        assert!(page.body.contains(words), "{}", page.body);
        assert!(!page.body.contains("guess"));
    }
}

#[tokio::test]
async fn nobody_is_signed_in_from_another_site() {
    let mut browser = Browser::new().await;
    let body = "email=mara%40northwind.example&password=correct+horse".to_owned();
    let headers = [("origin", "https://evil.test")];
    let page = browser.send(Method::POST, "/sign-in", &headers, body).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(browser.cookie("accord_session").is_none());
}

#[tokio::test]
async fn signing_in_never_leads_to_another_site() {
    let mut browser = Browser::new().await;
    for next in ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)"] {
        let query = serde_urlencoded::to_string([("next", next)]).unwrap();
        let page = browser.get(&format!("/sign-in?{query}")).await;
        assert!(page.body.contains(r#"name="next" value="/settings/integrations""#), "{next}");
    }
}

#[tokio::test]
async fn signing_out_ends_the_session_there_and_here() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.post("/sign-out", &[]).await;
    assert_eq!(page.location(), "/sign-in");
    assert_eq!(browser.rooms.asked(), ["sign_out"]);
    assert!(browser.cookie("accord_session").is_none());
    assert!(browser.get("/sign-in").await.body.contains("You are signed out."));
}

#[tokio::test]
async fn a_session_that_ended_elsewhere_leads_back_to_sign_in() {
    let mut browser = Browser::new().await;
    browser.set_cookie("accord_session", "as_revoked");
    let page = browser.get("/records/deal").await;
    assert_eq!(page.location(), "/sign-in?next=%2Frecords%2Fdeal");
    let page = browser.get_with("/settings/integrations/live", &[("x-accord-script", "1")]).await;
    assert_eq!(page.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_client_of_a_sign_in_is_the_one_that_our_proxy_names() {
    let mut browser = Browser::new().await;
    let body = "email=mara%40northwind.example&password=guess";
    for (hops, client) in [
        ("203.0.113.9", "203.0.113.9"),
        ("192.0.2.1, 203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, unknown", ""),
        ("", ""),
    ] {
        let headers = [("origin", ORIGIN), ("x-forwarded-for", hops)];
        browser.send(Method::POST, "/sign-in", &headers, body.to_owned()).await;
        assert_eq!(browser.rooms.asked(), [format!("sign in from {client:?}")]);
    }
}
