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
    assert!(page.body.contains(&sample::id("conn", 4)) && !page.body.contains(&sample::id("conn", 6)));
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
        ("start", ""),
        ("zone", "Europe/Berlin"),
        ("hours", "_own"),
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
    let odd = browser.post(PATH, &soon).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(beside(&odd.body, "days-1").contains("whole number from 0 to 365"), "{}", odd.body);
    // A mailbox that was disconnected meanwhile costs nobody a text.
    browser.rooms.fail_next(Code::NotFound, "connection_not_found", "There is no such connection.");
    let gone = browser.post(PATH, &form).await;
    assert!(beside(&gone.body, "mailbox").contains("Choose another one.") && gone.body.contains("Again"));
}

/// What the page says is wrong with a field.
fn beside<'a>(page: &'a str, field: &str) -> &'a str {
    assert!(page.contains(&format!("aria-describedby=\"{field}-wrong\"")), "{field} is not marked in {page}");
    let (_, said) = page.split_once(&format!("id=\"{field}-wrong\"")).expect("the field is marked");
    said.split_once("</p>").unwrap().0
}

const EDIT: [(&str, &str); 9] = [
    ("_version", "3"),
    ("name", "Presses in <spring>"),
    ("mailbox", "conn_1"),
    ("subject", "Presses"),
    ("text", "Dear {{first_name}}"),
    ("start", "_own"),
    ("day", "2026-03-29"),
    ("time", "09:00"),
    ("zone", "Europe/Berlin"),
];

fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = EDIT.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    kept.chain(changes.iter().copied()).collect()
}

#[tokio::test]
async fn a_draft_is_changed_in_the_form_it_was_made_in_and_only_over_what_its_writer_saw() {
    let mut browser = Browser::of(Role::Member).await;
    let edit = format!("{}/edit", campaign(1));
    assert!(browser.get(&campaign(1)).await.body.contains(&format!("href=\"{edit}\"")));
    let page = browser.get(&edit).await;
    for shown in [
        "name=\"_version\" value=\"3\"",
        "value=\"Presses in &#60;spring&#62;\"",
        "\nDear {{first_name}},\n\nwe have &#60;ten&#62; presses.</textarea>",
        "\nDid you see it?</textarea>",
        "name=\"day\" type=\"date\" value=\"2026-03-17\"",
        "name=\"time\" type=\"time\" value=\"09:00\"",
        "value=\"Europe/Berlin\"",
    ] {
        assert!(page.body.contains(shown), "no {shown} in {}", page.body);
    }
    assert_eq!(browser.post(&edit, &EDIT).await.location(), campaign(1));
    // On the day on which the clocks of Berlin go forward.
    let saved = r#"draft Presses in <spring> +0 "Presses" "Dear {{first_name}}" None at 2026-03-29T07:00:00Z over Some(3)"#;
    assert_eq!(browser.rooms.asked(), [saved]);
    browser.rooms.fail_next(Code::Aborted, "version_changed", "It changed meanwhile.");
    let late = browser.post(&edit, &with(&[("_version", "2"), ("text", "By me <now>")])).await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    for shown in [
        "By me &#60;now&#62;",
        "Saved meanwhile",
        "Did you see it?",
        "name=\"_version\" value=\"3\"",
        "Save mine",
    ] {
        assert!(late.body.contains(shown), "no {shown} in {}", late.body);
    }
    browser.rooms.fail_next(Code::FailedPrecondition, "campaign_started", "It was started.");
    let started = browser.post(&edit, &with(&[("text", "Too late")])).await;
    assert!(started.body.contains("taken back") && started.body.contains("Too late"), "{}", started.body);
    // What runs has no form at all.
    assert_eq!(browser.get(&format!("{}/edit", campaign(2))).await.location(), campaign(2));
    assert!(browser.get(&campaign(2)).await.body.contains("its mails stay as they are"));
}

#[tokio::test]
async fn what_is_wrong_with_a_draft_stands_beside_its_field() {
    let mut browser = Browser::of(Role::Member).await;
    let edit = format!("{}/edit", campaign(1));
    for (changes, field, said) in [
        (vec![("day", "2026-03-12"), ("time", "08:00")], "day", "This time is over."),
        (vec![("day", "")], "day", "Choose the day"),
        (vec![("time", "soon")], "time", "Choose the time"),
        (vec![("zone", "Berlin")], "zone", "such as Europe/Berlin"),
        (vec![("hours", "_own"), ("from", "nine"), ("until", "17:00")], "from", "Write the time as 09:00."),
        (vec![("subject", ""), ("text", "")], "text-1", "Write at least one mail."),
    ] {
        let page = browser.post(&edit, &with(&changes)).await;
        assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(beside(&page.body, field).contains(said), "{field}: {}", page.body);
        assert!(page.body.contains("name=\"_version\" value=\"3\""));
    }
    assert!(browser.rooms.asked().is_empty());
    for (field, code, marked) in [
        ("name", "too_long", "name"),
        ("steps[0].text", "template_invalid", "text-1"),
        ("window", "window_invalid", "until"),
        ("window.time_zone", "time_zone_invalid", "zone"),
        ("starts_at", "time_invalid", "day"),
    ] {
        browser.rooms.refuse_field(field, code);
        let page = browser.post(&edit, &EDIT).await;
        assert!(!beside(&page.body, marked).is_empty() && page.body.contains(code), "{}", page.body);
    }
    // The second mail is blank: what the room calls the second stands in the third place.
    browser.rooms.refuse_field("steps[1].subject", "too_long");
    let mut form = EDIT.to_vec();
    form.extend([("subject", ""), ("text", " "), ("subject", "Long"), ("text", "Third")]);
    assert!(beside(&browser.post(&edit, &form).await.body, "subject-3").contains("Shorten it."));
}

#[tokio::test]
async fn a_campaign_says_when_it_starts_and_is_taken_back_before() {
    let mut browser = Browser::of(Role::Member).await;
    let at = "Tuesday, 17 March 2026 at 09:00 (Europe/Berlin)";
    assert!(browser.get(PATH).await.body.contains("Scheduled"));
    assert!(browser.get(PATH).await.body.matches(at).count() == 2, "the draft and the one that waits");
    let draft = browser.get(&campaign(1)).await;
    assert!(draft.body.contains("Planned for") && draft.body.contains(at), "{}", draft.body);
    let waits = browser.get(&campaign(5)).await;
    for shown in ["Starts on", at, "id=\"withdraw\"", "id=\"pause\"", "Scheduled"] {
        assert!(waits.body.contains(shown), "no {shown} in {}", waits.body);
    }
    assert!(!browser.get(&campaign(2)).await.body.contains("id=\"withdraw\""), "mails of it went out");
    browser.post(&campaign(5), &[("action", "withdraw")]).await;
    assert!(browser.get(&campaign(5)).await.body.contains("It is a draft again"));
    browser.post(&campaign(5), &[("action", "start"), ("version", "3")]).await;
    assert!(browser.get(&campaign(5)).await.body.contains("Scheduled for 3 recipients."));
    assert_eq!(browser.rooms.asked(), ["withdraw", "start Some(3)"]);
    browser.rooms.fail_next(Code::Aborted, "version_changed", "It changed meanwhile.");
    browser.post(&campaign(1), &[("action", "start"), ("version", "2")]).await;
    assert!(browser.get(&campaign(1)).await.body.contains("so it was not started"));
}

#[tokio::test]
async fn the_limits_of_a_mailbox_are_seen_and_set_by_whoever_may_send() {
    let mut browser = Browser::of(Role::Member).await;
    let path = "/campaigns/mailboxes";
    assert!(browser.get(PATH).await.body.contains(&format!("href=\"{path}\"")));
    let page = browser.get(path).await;
    for shown in
        ["12 of 2,000", "name=\"per_minute\"", "value=\"30\"", "value=\"2000\"", "Reconnect required"]
    {
        assert!(page.body.contains(shown), "no {shown} in {}", page.body);
    }
    let id = sample::id("conn", 4);
    let form = |minute, day| [("mailbox", id.as_str()), ("per_minute", minute), ("per_day", day)];
    assert_eq!(browser.post(path, &form("20", "1,500")).await.location(), path);
    assert!(browser.get(path).await.body.contains("at most 20 mails a minute and 1,500 a day"));
    assert_eq!(browser.rooms.asked(), [format!("limit {id} 20 1500")]);
    let odd = browser.post(path, &form("many", "-1")).await;
    assert_eq!(odd.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        beside(&odd.body, "per_minute-1").contains("from 1 to 1,000.") && odd.body.contains("value=\"many\"")
    );
    assert!(beside(&odd.body, "per_day-1").contains("from 1 to 100,000."), "{}", odd.body);
    // Groups of digits are read, a fraction is not ten times as much.
    let fraction = browser.post(path, &form("2.5", "10.0")).await;
    assert!(beside(&fraction.body, "per_minute-1").contains("from 1 to 1,000."), "{}", fraction.body);
    assert!(browser.rooms.asked().is_empty());
    browser.rooms.refuse_field("per_day", "limit_invalid");
    let refused = browser.post(path, &form("20", "900000")).await;
    assert!(
        beside(&refused.body, "per_day-1").contains("100,000.") && refused.body.contains("value=\"900000\"")
    );
    let mut viewer = Browser::of(Role::Viewer).await;
    let page = viewer.get(path).await;
    assert!(page.body.contains("12 of 2,000") && !page.body.contains("name=\"per_minute\""));
    assert_eq!(viewer.post(path, &form("20", "1500")).await.status, StatusCode::FORBIDDEN);
    assert!(viewer.rooms.asked().is_empty());
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
    assert_eq!(browser.rooms.asked(), ["start None", "pause", "resume", "stop rcpt_1"]);
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
        (format!("{}/edit", campaign(1)), [("name", "x"), ("text", "y")]),
        ("/campaigns/suppressions".to_owned(), [("action", "add"), ("emails", "a@x.example")]),
    ] {
        assert_eq!(browser.post(&path, &form).await.status, StatusCode::FORBIDDEN);
    }
    assert!(!browser.get(&campaign(1)).await.body.contains("/edit\""));
    assert_eq!(browser.get(&format!("{}/edit", campaign(1))).await.status, StatusCode::FORBIDDEN);
    assert_eq!(browser.get("/campaigns/new").await.status, StatusCode::FORBIDDEN);
    assert!(browser.rooms.asked().is_empty());
}
