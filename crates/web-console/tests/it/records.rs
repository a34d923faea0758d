use axum::http::StatusCode;
use model::Role;
use web_console::sample;

use crate::console::Browser;

fn record() -> String {
    format!("/records/deal/{}", sample::id("rec", 0))
}

#[tokio::test]
async fn records_are_searched_and_paged_by_their_address() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get("/records/deals?q=freight+%26+co").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(browser.rooms.asked(), ["list deal “freight & co”"]);
    assert!(page.body.contains("804 records"));
    assert!(page.body.contains("/records/deal?q=freight+%26+co&#38;page=p2%2F%3D"), "{}", page.body);
    assert!(page.body.contains("Halvorsen Freight — renewal") && page.body.contains("12,500.00"));
}

#[tokio::test]
async fn a_record_shows_who_changed_what_when_and_why() {
    let mut browser = Browser::of(Role::Owner).await;
    let page = browser.get(&record()).await;
    for shown in ["contractsent", "changed in the CRM", "edited here", "first sync", "9188230400", "In sync"]
    {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
    browser.post(&format!("/records/conflicts/{}/restore", sample::id("conf", 1)), &[]).await;
    assert_eq!(browser.rooms.asked(), ["restore"]);
}

#[tokio::test]
async fn a_record_says_why_a_field_has_its_value() {
    let mut browser = Browser::of(Role::Viewer).await;
    let page = browser.get(&record()).await;
    assert!(page.body.contains("href=\"?why=amount#why\""), "each field leads to its story");
    let page = browser.get(&format!("{}?why=amount&version=6", record())).await;
    assert_eq!(browser.rooms.asked(), ["why amount v6"]);
    for shown in [
        "Why Deal Value is",
        "changed it here",
        "the mapping was changed since",
        "Both sides had changed it, and Accord won",
        "Accord asked HubSpot to write Amount",
        "HubSpot took it",
        "HubSpot refused it",
        "HubSpot shows it by itself",
        "?why=amount&amp;version=2#why",
    ] {
        assert!(page.body.contains(shown), "{shown} is not shown");
    }
}

#[tokio::test]
async fn an_edit_sends_the_changed_fields_alone_with_the_version_it_was_made_on() {
    let mut browser = Browser::of(Role::Member).await;
    let fields = [
        ("_version", "7"),
        ("f.name", "Halvorsen Freight — renewal"),
        ("f.amount", "13000"),
        ("f.currency", ""),
        ("f.product_interest", "core; plus"),
        ("f.probability", ""),
        ("f.no_such_field", "x"),
    ];
    let page = browser.post(&record(), &fields).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, &*record()));
    assert_eq!(
        browser.rooms.asked(),
        [concat!(
            "update vSome(7) amount=Some(Text(\"13000\")) currency=Some(Null(true)) ",
            "product_interest=Some(Options(Options { values: [\"core\", \"plus\"] }))"
        )]
    );
    assert!(browser.get(&record()).await.body.contains("3 fields saved."));
}

#[tokio::test]
async fn an_edit_that_changes_nothing_asks_for_nothing() {
    let mut browser = Browser::of(Role::Member).await;
    browser.post(&record(), &[("_version", "7"), ("f.currency", "EUR")]).await;
    assert!(browser.rooms.asked().is_empty());
}

#[tokio::test]
async fn line_breaks_of_a_text_survive_the_edit_of_another_field() {
    let mut browser = Browser::of(Role::Member).await;
    let page = browser.get(&format!("{}/edit", record())).await;
    let text = "Two depots, one contract.\nRenews in spring. ";
    assert!(page.body.contains(&format!(">\n{text}</textarea>")), "{}", page.body);
    assert!(page.body.contains(&format!("name=\"o.description\" value=\"{text}\"")));
    // As a browser sends them.
    let sent = text.replace('\n', "\r\n");
    let fields = [("_version", "7"), ("o.description", &*sent), ("f.description", &*sent)];
    let mut both = fields.to_vec();
    both.extend([("o.currency", "EUR"), ("f.currency", "USD")]);
    browser.post(&record(), &both).await;
    assert_eq!(browser.rooms.asked(), ["update vSome(7) currency=Some(Text(\"USD\"))"]);
    let longer = format!("{sent}\r\nOr in summer.");
    browser.post(&record(), &[fields[0], fields[1], ("f.description", &longer)]).await;
    let asked = browser.rooms.asked();
    assert!(asked[0].contains(r#"spring. \nOr in summer.""#) && !asked[0].contains(r"\r"), "{asked:?}");
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_not_sent_back() {
    let mut browser = Browser::of(Role::Member).await;
    // The form was opened when the currency was USD; now it is EUR.
    let fields = [
        ("_version", "6"),
        ("o.currency", "USD"),
        ("f.currency", "USD"),
        ("o.amount", "1"),
        ("f.amount", "13000"),
    ];
    browser.post(&record(), &fields).await;
    assert_eq!(browser.rooms.asked(), ["update vSome(6) amount=Some(Text(\"13000\"))"]);
}

#[tokio::test]
async fn what_was_typed_survives_a_change_by_somebody_else() {
    let mut browser = Browser::of(Role::Member).await;
    browser.rooms.fail_next(tonic::Code::Aborted, "version_changed", "the record was changed meanwhile");
    let fields = [
        ("_version", "6"),
        ("o.amount", "11000"),
        ("f.amount", "13000"),
        ("o.name", "Halvorsen Freight — renewal"),
        ("f.name", "Halvorsen, renewed"),
    ];
    let page = browser.post(&record(), &fields).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    for shown in [
        "The record was changed meanwhile.",
        r#"name="_version" value="7""#,
        r#"value="13000""#,
        r#"name="o.amount" value="12500.00""#,
        r#"value="Halvorsen, renewed""#,
    ] {
        assert!(page.body.contains(shown), "{shown} is not shown: {}", page.body);
    }
    assert!(page.body.contains("Changed in the meantime to: <q>12500.00</q>"));
    assert_eq!(page.body.matches("Changed in the meantime").count(), 1);
}

#[tokio::test]
async fn a_viewer_can_look_and_not_edit() {
    let mut browser = Browser::of(Role::Viewer).await;
    assert!(!browser.get(&record()).await.body.contains("/edit\""));
    assert_eq!(browser.get(&format!("{}/edit", record())).await.status, StatusCode::FORBIDDEN);
    let page = browser.post(&record(), &[("_version", "7"), ("f.currency", "USD")]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert!(browser.rooms.asked().is_empty());
}

#[tokio::test]
async fn a_new_record_begins_with_its_name() {
    let mut browser = Browser::of(Role::Member).await;
    let page = browser.post("/records/deal", &[("title", "New one")]).await;
    assert_eq!(page.location(), format!("/records/deal/{}/edit", sample::id("rec", 9)));
}
