use axum::http::StatusCode;
use model::Role;
use tonic::Code;
use web_console::sample;

use crate::console::Browser;

fn record() -> String {
    format!("/records/deal/{}", sample::id("rec", 0))
}

fn timeline() -> String {
    format!("{}/timeline", record())
}

fn activity(n: u32) -> String {
    format!("{}/{}", timeline(), sample::id("act", n))
}

#[tokio::test]
async fn a_timeline_tells_what_happened_who_took_part_and_where_to_open_it() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(&timeline()).await;
    for words in [
        "Timeline of Halvorsen Freight — renewal",
        "E-mail received",
        "Meeting with its transcript",
        "Open in Microsoft 365",
        "https://meet.google.example/abc-defg-hij",
        "works@acme.example",
        "and 794 more",
        "qualified → contractsent",
        "told by the API",
    ] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    let partner = format!("/attribution/partners/{}/timeline", sample::id("ptnr", 1));
    assert!(browser.get(&partner).await.body.contains("Timeline of Ada Writes"));
    let asked = format!(r#"timeline {} [] "" """#, sample::id("rec", 0));
    assert_eq!(browser.rooms.asked()[0], asked);
}

#[tokio::test]
async fn nothing_that_came_from_outside_is_markup_or_leads_elsewhere_than_https() {
    let mut browser = Browser::of(Role::Viewer).await;
    for path in [timeline(), activity(1), activity(5), record()] {
        let page = browser.get(&path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert!(!page.body.contains("<script>alert") && !page.body.contains("javascript:"), "{}", page.body);
        assert!(!page.body.contains("<ten>"), "{}", page.body);
    }
}

#[tokio::test]
async fn kinds_words_and_pages_are_asked_for_by_the_address() {
    let mut browser = Browser::of(Role::Viewer).await;
    let id = sample::id("rec", 0);
    let page = browser.get(&format!("{}?kind=email&kind=call&q=ten+%26+%22presses%22", timeline())).await;
    let asked = format!(r#"timeline {id} ["email", "call"] "ten & \"presses\"" """#);
    assert_eq!(browser.rooms.asked(), [asked]);
    // A kind that is shown is left out by its chip, another one is added, and the words stay.
    for address in [
        "/timeline?kind=call&#38;q=ten+%26+%22presses%22\"",
        "/timeline?kind=email&#38;kind=call&#38;kind=note&#38;q=ten+%26+%22presses%22\"",
        "/timeline?kind=email&#38;kind=call&#38;q=ten+%26+%22presses%22&#38;page=p2%2F%3D\"",
        "<input type=\"hidden\" name=\"kind\" value=\"call\">",
    ] {
        assert!(page.body.contains(address), "no {address} in {}", page.body);
    }
    let page = browser.get(&format!("{}?page=p2%2F%3D", timeline())).await;
    assert_eq!(browser.rooms.asked(), [format!(r#"timeline {id} [] "" "p2/=""#)]);
    assert!(page.body.contains("Newest"), "{}", page.body);
    browser.rooms.fail_next(Code::InvalidArgument, "kind_invalid", "A kind is one of email, call.");
    let page = browser.get(&format!("{}?kind=fax", timeline())).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn a_long_text_is_read_whole_and_a_transcript_by_its_speakers() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(&activity(1)).await;
    assert!(page.body.contains("does/not/end</p>") && page.body.contains("Carol Wild"), "{}", page.body);
    let page = browser.get(&activity(2)).await;
    for words in ["<strong>Jonas Weber</strong>", "00:01:20", "Come in April.", "class=\"goes-on\""] {
        assert!(page.body.contains(words), "no {words} in {}", page.body);
    }
    assert!(!page.body.contains("[00:00:04]"), "{}", page.body);
    assert!(browser.get(&activity(4)).await.body.contains("Its source told no text."));
    // What does not concern the record is not on its timeline.
    assert_eq!(browser.get(&activity(6)).await.status, StatusCode::NOT_FOUND);
    let partner =
        |n| format!("/attribution/partners/{}/timeline/{}", sample::id("ptnr", n), sample::id("act", 1));
    assert_eq!(browser.get(&partner(1)).await.status, StatusCode::OK);
    assert_eq!(browser.get(&partner(2)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_record_shows_the_newest_of_its_timeline_and_does_without_it() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(&record()).await;
    assert!(page.body.contains("Presses: first talk") && page.body.contains(&timeline()), "{}", page.body);
    // The played room does not answer about this one.
    let page = browser.get(&format!("/records/deal/{}", sample::id("rec", 3))).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("The timeline cannot be read right now."), "{}", page.body);
}
