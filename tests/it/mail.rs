//! The way of a mail: from a mailbox at Microsoft 365 to the timeline of the company that it is with.

use std::time::Duration;

use sandbox::microsoft::{self, Handle, Settings};
use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};
use tokio::net::TcpListener;

const WAIT: Duration = Duration::from_secs(60);
const NORA: &str = "nora.field@harborline.example";

async fn mailbox() -> (Handle, Vec<(&'static str, String)>) {
    let settings = Settings::default();
    let (id, secret) = (settings.client_id.clone(), settings.client_secret.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let sandbox = microsoft::start(settings, listener).await.expect("a sandbox without a file");
    let url = sandbox.url().to_owned();
    let app = vec![
        ("ACCORD_M365_CLIENT_ID", id),
        ("ACCORD_M365_CLIENT_SECRET", secret),
        ("ACCORD_M365_LOGIN_URL", url.clone()),
        ("ACCORD_M365_GRAPH_URL", url),
    ];
    (sandbox, app)
}

async fn sync_now(house: &House, connection: &str) {
    house.ok("POST", &format!("/api/v1/connections/{connection}/sync"), None).await;
}

/// The subjects on a record's timeline that come from the mailbox, newest first.
async fn mails(house: &House, record: &str) -> Vec<Value> {
    let timeline = house.ok("GET", &format!("/api/v1/timeline?record_id={record}&kinds=email"), None).await;
    timeline["data"].as_array().expect("a list").clone()
}

async fn wait_for_mails(house: &House, record: &str, subjects: &[&str]) -> Vec<Value> {
    eventually(WAIT, &format!("the timeline to have {subjects:?}"), || async {
        let mails = mails(house, record).await;
        let told: Vec<&str> = mails.iter().filter_map(|mail| mail["subject"].as_str()).collect();
        (told == subjects).then_some(mails)
    })
    .await
}

/// R247, R248, R252, R253, R254: mail of both folders is on the timeline of the company that it is with, followed when it is
/// deleted, and not doubled when Microsoft forgets where we were.
#[tokio::test]
async fn mail_of_a_connected_mailbox_is_on_the_timeline_of_the_company_it_is_with() {
    let (sandbox, settings) = mailbox().await;
    let house = House::start(Start { companies: 3, deals: 3, settings, ..Start::default() }).await;
    let new = json!({ "fields": { "name": "Lee Works", "domain": "lee-works.example" } });
    let company = house.ok("POST", "/api/v1/records/company", Some(new)).await;
    let company = company["id"].as_str().expect("an id").to_owned();
    let deliver = |subject: &str, more: Value| -> String {
        let mut mail = json!({ "from": "ann@lee-works.example", "subject": subject, "text": "Hello" });
        for (name, value) in more.as_object().expect("fields") {
            mail[name] = value.clone();
        }
        let made = sandbox.deliver(mail).expect("a mail");
        made["immutableId"].as_str().expect("an id").to_owned()
    };
    let html = "<script>alert(1)</script><p>Dear Nora &lt;b&gt;</p>";
    let asked = deliver("Question", json!({ "html": html, "received": "2026-01-05T10:00:00Z" }));
    let sent = json!({
        "from": NORA, "to": ["ann@lee-works.example"], "folder": "sentitems", "received": "2026-01-05T11:00:00Z" });
    deliver("RE: Question", sent);
    deliver("Of others", json!({ "from": "bo@gmail.com" }));

    let answers = [("decision", "accept"), ("user", NORA)];
    let connection = house.connect("m365", &answers).await;
    let mails = wait_for_mails(&house, &company, &["RE: Question", "Question"]).await;
    assert_eq!((&mails[0]["direction"], &mails[1]["direction"]), (&json!("outbound"), &json!("inbound")));
    assert_eq!(mails[1]["preview"], "Dear Nora <b>", "plain text, however it looks");
    assert_eq!(mails[1]["source"], "m365");
    assert_eq!(mails[1]["participants"][0]["email"], "ann@lee-works.example");

    // What is new comes by the link of the last reading, and what is deleted goes.
    deliver("News", json!({ "received": "2026-01-06T10:00:00Z" }));
    sandbox.control("POST", "/_sandbox/delete", json!({ "id": asked, "for_good": true })).expect("deleted");
    sync_now(&house, &connection).await;
    wait_for_mails(&house, &company, &["News", "RE: Question"]).await;

    // Of a text its beginning is kept, until somebody chooses the whole: then it is shown and found, and what is there stays.
    let long = |word: &str| format!("<b>Long</b> {}<script>evil</script> {word}", "line ".repeat(80));
    deliver("Cut", json!({ "html": long("albatross"), "received": "2026-01-06T11:00:00Z" }));
    sync_now(&house, &connection).await;
    wait_for_mails(&house, &company, &["Cut", "News", "RE: Question"]).await;
    let reading = format!("/api/v1/connections/{connection}/reading");
    let wish = json!({ "interval_minutes": 15, "bodies": true });
    let set = house.ok("PUT", &reading, Some(wish)).await;
    assert_eq!((&set["interval_minutes"], &set["usual_minutes"]), (&json!(15), &json!(5)), "{set}");
    deliver("Whole", json!({ "html": long("pelican"), "received": "2026-01-06T12:00:00Z" }));
    sync_now(&house, &connection).await;
    let mails = wait_for_mails(&house, &company, &["Whole", "Cut", "News", "RE: Question"]).await;
    let body = |mail: &Value| mail["preview"].as_str().expect("a text").to_owned();
    assert!(body(&mails[0]).ends_with("pelican") && !body(&mails[0]).contains("evil"), "{}", mails[0]);
    assert!(body(&mails[1]).ends_with('…') && body(&mails[1]).chars().count() <= 256, "{}", mails[1]);
    for (word, found) in [("pelican", 1), ("albatross", 0)] {
        let search = format!("/api/v1/timeline?record_id={company}&query={word}");
        let found_now = house.ok("GET", &search, None).await["data"].as_array().expect("a list").len();
        assert_eq!(found_now, found, "{word}");
    }
    let entry = house.wait_for_audit("action=connection.reading_changed").await;
    let entry = entry.to_string();
    assert!(entry.contains("every 15 min, whole texts") && !entry.contains("pelican"), "{entry}");
    house.ok("PUT", &reading, Some(json!({ "interval_minutes": null, "bodies": false }))).await;

    // Microsoft forgets every link: all is read again, and nothing is doubled.
    let reset = json!({ "sync_reset": true });
    sandbox.control("POST", "/_sandbox/user", reset).expect("reset");
    deliver("After", json!({ "received": "2026-01-07T10:00:00Z" }));
    sync_now(&house, &connection).await;
    wait_for_mails(&house, &company, &["After", "Whole", "Cut", "News", "RE: Question"]).await;
    let state = house.ok("GET", &format!("/api/v1/connections/{connection}"), None).await;
    assert_eq!(state["state"], "active", "{state}");
}
