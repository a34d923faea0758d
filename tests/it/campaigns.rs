//! The way of a campaign: from its draft through a mailbox at Microsoft 365 to the timelines of its recipients, and what they do
//! with it (R246, R249, R250).

use std::{collections::BTreeMap, time::Duration};

use sandbox::microsoft::{self, Handle, Settings};
use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};
use tokio::net::TcpListener;

const WAIT: Duration = Duration::from_secs(90);
const NORA: &str = "nora.field@harborline.example";
const PEOPLE: [&str; 4] =
    ["ann@lee-works.example", "bo@lee-works.example", "cy@lee-works.example", "di@lee-works.example"];

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

/// What left the mailbox: to whom, and which subject.
fn left(sandbox: &Handle) -> Vec<(String, String)> {
    let sent = sent(sandbox);
    let mut left: Vec<_> = sent
        .iter()
        .map(|mail| {
            let to = mail["toRecipients"][0]["emailAddress"]["address"].as_str().unwrap_or_default();
            (to.to_owned(), mail["subject"].as_str().unwrap_or_default().to_owned())
        })
        .collect();
    left.sort();
    left
}

/// The mails in Sent Items.
fn sent(sandbox: &Handle) -> Vec<Value> {
    let state = sandbox.state(NORA).expect("a mailbox");
    let mut messages = state["messages"].as_array().expect("a list").clone();
    messages.retain(|mail| mail["folder"] == "Sent Items");
    messages
}

struct Campaign<'h> {
    house: &'h House,
    path: String,
}

impl Campaign<'_> {
    async fn act(&self, action: &str) {
        self.house.ok("POST", &format!("{}/{action}", self.path), None).await;
    }

    async fn states(&self) -> BTreeMap<String, String> {
        let listed = self.house.ok("GET", &format!("{}/recipients", self.path), None).await;
        let text = |one: &Value, name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let all = listed["data"].as_array().expect("a list").clone();
        all.iter().map(|one| (text(one, "email"), text(one, "state"))).collect()
    }

    async fn becomes(&self, states: [&str; 4]) {
        let wanted: BTreeMap<String, String> =
            PEOPLE.iter().zip(states).map(|(email, state)| ((*email).to_owned(), state.to_owned())).collect();
        eventually(WAIT, &format!("the recipients to be {states:?}"), || async {
            (self.states().await == wanted).then_some(())
        })
        .await;
    }
}

async fn set_limit(house: &House, connection: &str, per_minute: u32) {
    let limits = json!({ "per_minute": per_minute, "per_day": 1_000 });
    house.ok("PUT", &format!("/api/v1/mailboxes/{connection}"), Some(limits)).await;
}

#[tokio::test]
async fn a_sequence_goes_out_once_and_a_reply_a_bounce_and_an_opt_out_each_stop_it() {
    let (sandbox, settings) = mailbox().await;
    let house = House::start(Start { companies: 3, deals: 3, settings, ..Start::default() }).await;
    let new = json!({ "fields": { "name": "Lee Works", "domain": "lee-works.example" } });
    let company = house.ok("POST", "/api/v1/records/company", Some(new)).await;
    let company = company["id"].as_str().expect("an id").to_owned();
    let connection = house.connect("m365", &[("decision", "accept"), ("user", NORA)]).await;
    eventually(WAIT, "the mailbox to be known", || async {
        let mailboxes = house.ok("GET", "/api/v1/mailboxes", None).await;
        (mailboxes["data"][0]["state"] == "active").then_some(())
    })
    .await;
    // As many as the first mails in a minute, so that no second one goes out before the first were answered.
    set_limit(&house, &connection, 4).await;
    let draft = json!({
        "name": "Presses", "connection_id": connection,
        "steps": [
            { "subject": "Presses for {{first_name}}", "text": "Dear {{first_name}},\n\nwe have ten." },
            { "text": "Did you see it?" },
        ],
    });
    let made = house.ok("POST", "/api/v1/campaigns", Some(draft)).await;
    let path = format!("/api/v1/campaigns/{}", made["id"].as_str().expect("an id"));
    let campaign = Campaign { house: &house, path };
    let person =
        |email: &&str| json!({ "email": email, "fields": { "first_name": email.split('@').next() } });
    let recipients: Vec<Value> = PEOPLE.iter().map(person).collect();
    let recipients = json!({ "recipients": recipients });
    let told = house.ok("POST", &format!("{}/recipients", campaign.path), Some(recipients)).await;
    assert_eq!((&told["enrolled"], &told["refused"]), (&json!(4), &json!([])));
    campaign.act("start").await;
    campaign.becomes(["sent"; 4]).await;
    campaign.act("pause").await;
    let first = |who: &str| (format!("{who}@lee-works.example"), format!("Presses for {who}"));
    assert_eq!(left(&sandbox), ["ann", "bo", "cy", "di"].map(first));

    // One answers, the mail to one comes back, one opts out by the link.
    let mails = sent(&sandbox);
    let of = |to: &str| {
        let is_it = |mail: &&Value| mail["toRecipients"][0]["emailAddress"]["address"] == to;
        mails.iter().find(is_it).expect("a mail").clone()
    };
    let id = |to: &str| of(to)["id"].as_str().expect("an id").to_owned();
    let reply = json!({
        "from": PEOPLE[0], "subject": "RE: Presses for ann", "text": "Thank you.", "in_reply_to": id(PEOPLE[0]) });
    sandbox.deliver(reply).expect("a reply");
    sandbox.control("POST", "/_sandbox/bounce", json!({ "id": id(PEOPLE[1]) })).expect("a report");
    let away = json!({
        "from": PEOPLE[3], "subject": "Automatic reply: away", "text": "I am away.", "in_reply_to": id(PEOPLE[3]),
        "headers": [{ "name": "Auto-Submitted", "value": "auto-replied" },
                    { "name": "X-Auto-Response-Suppress", "value": "All" }] });
    sandbox.deliver(away).expect("a note of absence");
    let body = of(PEOPLE[2])["body"]["content"].as_str().expect("a text").to_owned();
    let (_, link) = body.split_once("/opt-out?t=").expect("an opt-out link");
    let token: String = link.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    let out = house.call_as(&[], "POST", &format!("/opt-out?t={token}"), None).await;
    assert_eq!(out.status, 200);
    house.ok("POST", &format!("/api/v1/connections/{connection}/sync"), None).await;
    campaign.becomes(["replied", "bounced", "opted_out", "sent"]).await;
    let suppressed = house.ok("GET", "/api/v1/suppressions", None).await;
    assert_eq!(suppressed["data"].as_array().map(Vec::len), Some(2), "{suppressed}");

    set_limit(&house, &connection, 30).await;
    campaign.act("resume").await;
    campaign.becomes(["replied", "bounced", "opted_out", "finished"]).await;
    let second = ("di@lee-works.example".to_owned(), "RE: Presses for di".to_owned());
    let mut expected: Vec<_> = ["ann", "bo", "cy", "di"].map(first).into();
    expected.push(second);
    let lowered = |all: Vec<(String, String)>| -> Vec<(String, String)> {
        all.into_iter().map(|(to, subject)| (to, subject.to_lowercase())).collect()
    };
    assert_eq!(lowered(left(&sandbox)), lowered(expected));
    // Each is on the timeline once: as it was sent, and when the mailbox is read.
    house.ok("POST", &format!("/api/v1/connections/{connection}/sync"), None).await;
    eventually(WAIT, "the timeline to have them all", || async {
        let path = format!("/api/v1/timeline?record_id={company}&kinds=email");
        let timeline = house.ok("GET", &path, None).await;
        let mails = timeline["data"].as_array().expect("a list");
        let sent = mails.iter().filter(|mail| mail["direction"] == "outbound").count();
        assert!(sent <= 5, "{timeline}");
        let came = mails.len() - sent;
        (sent == 5 && came >= 2).then_some(())
    })
    .await;
}
