//! Mails to many are drafted, looked at, started and paused in the console (R249, R250).

use axum::http::StatusCode;
use model::Role;
use tonic::Code;
use web_console::sample;

use crate::console::Browser;

const PATH: &str = "/campaigns";

fn campaign(n: u32) -> String {
    format!("{PATH}/{}", sample::id("camp", n))
}

#[tokio::test]
async fn the_list_says_what_came_of_each_campaign() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(PATH).await;
    for words in ["Presses in autumn", "sequence of 2 mails", "1,237", "Running", "Paused", "Finished"] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    assert!(!page.body.contains("Presses in <spring>") && !page.body.contains("id=\"new\""));
    assert!(page.body.contains("page=p2%2F%3D"));
}

#[tokio::test]
async fn a_campaign_is_drafted_with_its_mails_and_hours_and_what_is_refused_comes_back() {
    let mut browser = Browser::of(Role::Member).await;
    let page = browser.get("/campaigns/new").await;
    assert!(page.body.contains(&sample::id("conn", 5)) && !page.body.contains(&sample::id("conn", 6)));
    let form = [
        ("name", "Autumn"),
        ("mailbox", "conn_1"),
        ("days", ""),
        ("subject", "A word"),
        ("text", "Dear {{first_name}},\r\nhello."),
        ("days", "3"),
        ("subject", ""),
        ("text", "Again"),
        ("days", ""),
        ("subject", ""),
        ("text", ""),
        ("zone", "Europe/Berlin"),
        ("from", "09:30"),
        ("until", "17:00"),
        ("weekdays", "yes"),
    ];
    let made = browser.post(PATH, &form).await;
    assert_eq!(made.location(), campaign(1));
    let drafted =
        r#"draft Autumn +0 "A word" "Dear {{first_name}},\nhello." +3 "" "Again" Some((570, 1020, true))"#;
    assert_eq!(browser.rooms.asked(), [drafted]);
    let told = "A field is of the form {{first_name}}: something is not closed or not opened.";
    browser.rooms.fail_next(Code::InvalidArgument, "template_invalid", told);
    let refused = browser.post(PATH, &form).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.body.contains("template_invalid") && refused.body.contains("Again"));
    let soon: Vec<_> =
        form.iter().map(|(name, it)| (*name, if *name == "days" { "soon" } else { *it })).collect();
    assert_eq!(browser.post(PATH, &soon).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn nothing_starts_while_a_field_is_missing_and_what_paused_by_itself_says_why() {
    let mut browser = Browser::of(Role::Member).await;
    let page = browser.get(&campaign(1)).await;
    assert!(page.body.contains("1 recipient has no company.") && !page.body.contains("id=\"start\""));
    assert!(page.body.contains("we have &#60;ten&#62; presses."), "{}", page.body);
    let page = browser.get(&campaign(3)).await;
    assert!(page.body.contains("connect it again") && page.body.contains("id=\"resume\""));
    for action in ["start", "pause", "resume"] {
        assert_eq!(browser.post(&campaign(2), &[("action", action)]).await.location(), campaign(2));
    }
    let stopped = [("action", "stop"), ("recipient", "rcpt_1")];
    browser.post(&campaign(2), &stopped).await;
    assert_eq!(browser.rooms.asked(), ["start", "pause", "resume", "stop rcpt_1"]);
    browser.rooms.fail_next(
        Code::FailedPrecondition,
        "connection_not_active",
        "The mailbox is not connected.",
    );
    browser.post(&campaign(3), &[("action", "resume")]).await;
    assert!(browser.get(&campaign(3)).await.body.contains("connection_not_active"));
    let page = browser.get(&format!("{}?state=bounced", campaign(2))).await;
    assert!(
        page.body.contains("person3@") && !page.body.contains("id=\"rcpt_019ce11a2b3c7d4e8f90a1b200000001\"")
    );
}

#[tokio::test]
async fn recipients_are_added_as_lines_and_each_bad_one_is_named() {
    let mut browser = Browser::of(Role::Member).await;
    let lines = "email, First Name\nann@x.example, Ann\nnobody, Bob";
    browser.post(&campaign(1), &[("action", "enrol"), ("recipients", lines)]).await;
    assert_eq!(browser.rooms.asked(), [r#"enrol ann@x.example Some("Ann") nobody Some("Bob")"#]);
    let page = browser.get(&campaign(1)).await;
    assert!(
        page.body.contains("1 added, 0 known. 1 not added: recipient 2: address invalid."),
        "{}",
        page.body
    );
}

#[tokio::test]
async fn the_list_of_who_gets_no_mail_is_searched_and_changed() {
    let mut browser = Browser::of(Role::Member).await;
    let page = browser.get("/campaigns/suppressions?query=halvorsen").await;
    assert!(page.body.contains("person1@halvorsen.example") && page.body.contains("Opted out"));
    let add = [("action", "add"), ("emails", "a@x.example, b@x.example\r\nc@x.example")];
    browser.post("/campaigns/suppressions", &add).await;
    let remove = [("action", "remove"), ("emails", "a@x.example")];
    browser.post("/campaigns/suppressions", &remove).await;
    let asked = [
        r#"suppressions "halvorsen""#,
        "suppress a@x.example b@x.example c@x.example",
        "unsuppress a@x.example",
    ];
    assert_eq!(browser.rooms.asked(), asked);
}

#[tokio::test]
async fn viewers_read_and_send_nothing() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(&campaign(2)).await;
    assert!(page.body.contains("person0@") && !page.body.contains("id=\"pause\""));
    for (path, form) in [
        (campaign(2), [("action", "start"), ("emails", "")]),
        (PATH.to_owned(), [("name", "x"), ("text", "y")]),
        ("/campaigns/suppressions".to_owned(), [("action", "add"), ("emails", "a@x.example")]),
    ] {
        assert_eq!(browser.post(&path, &form).await.status, StatusCode::FORBIDDEN);
    }
    assert_eq!(browser.get("/campaigns/new").await.status, StatusCode::FORBIDDEN);
    assert!(browser.rooms.asked().is_empty());
}
