//! The way of a campaign: from its draft through a mailbox at Microsoft 365 to the timelines of its recipients, and what they do
//! with it (R246, R249, R250).

use std::{collections::BTreeMap, time::Duration};

use sandbox::microsoft::{self, Fault, FaultKind, FaultMatch, Handle, Settings};
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

/// What opens the opt-out link of a mail.
fn token(mail: &Value) -> String {
    let body = mail["body"]["content"].as_str().expect("a text");
    let (_, link) = body.split_once("/opt-out?t=").expect("an opt-out link");
    link.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

/// Nora's mailbox, once campaigns may send through it.
async fn connected(house: &House) -> String {
    let connection = house.connect("m365", &[("decision", "accept"), ("user", NORA)]).await;
    eventually(WAIT, "the mailbox to be known", || async {
        let mailboxes = house.ok("GET", "/api/v1/mailboxes", None).await;
        (mailboxes["data"][0]["state"] == "active").then_some(())
    })
    .await;
    connection
}

/// A campaign of one mail to these people that was started; its path.
async fn started(house: &House, connection: &str, subject: &str, people: &[String]) -> String {
    let steps = json!([{ "subject": subject, "text": "We have ten." }]);
    let draft = json!({ "name": subject, "connection_id": connection, "steps": steps });
    let made = house.ok("POST", "/api/v1/campaigns", Some(draft)).await;
    let path = format!("/api/v1/campaigns/{}", made["id"].as_str().expect("an id"));
    let recipients: Vec<Value> = people.iter().map(|email| json!({ "email": email })).collect();
    let recipients = json!({ "recipients": recipients });
    house.ok("POST", &format!("{path}/recipients"), Some(recipients)).await;
    house.ok("POST", &format!("{path}/start"), None).await;
    path
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
    let connection = connected(&house).await;
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
    let token = token(&of(PEOPLE[2]));
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

/// R249, R250: a mail that waits at a mailbox is withdrawn from whoever opts out meanwhile, and from nobody else.
#[tokio::test]
async fn who_opts_out_while_the_mailbox_is_down_gets_nothing_when_it_is_back() {
    let (sandbox, settings) = mailbox().await;
    let house = House::start(Start { companies: 3, deals: 3, settings, ..Start::default() }).await;
    let connection = connected(&house).await;
    let people = PEOPLE.map(str::to_owned);
    let first = Campaign { house: &house, path: started(&house, &connection, "First", &people).await };
    first.becomes(["finished"; 4]).await;
    let mails = sent(&sandbox);
    let is_to = |mail: &&Value| mail["toRecipients"][0]["emailAddress"]["address"] == PEOPLE[1];
    let token = token(mails.iter().find(is_to).expect("a mail"));
    let on = FaultMatch {
        method: Some("POST".into()),
        contains: Some("/me/messages".into()),
        ..FaultMatch::default()
    };
    let (kind, times) = (FaultKind::MailboxMoving, None);
    let down = Fault { on, kind, times, probability: None, delay_ms: None, retry_after_s: None, code: None };
    sandbox.add_fault(down);
    let second = Campaign { house: &house, path: started(&house, &connection, "Second", &people).await };
    second.becomes(["sending"; 4]).await;
    let out = house.call_as(&[], "POST", &format!("/opt-out?t={token}"), None).await;
    assert_eq!(out.status, 200);
    second.becomes(["sending", "suppressed", "sending", "sending"]).await;
    // The mailbox is still down when the withdrawal is answered.
    eventually(WAIT, "the withdrawal to be answered", || async {
        let answers = house.audit("action=mail.answered").await;
        answers.iter().any(|entry| entry.to_string().contains("mail_withdrawn")).then_some(())
    })
    .await;
    sandbox.clear_faults();
    second.becomes(["finished", "suppressed", "finished", "finished"]).await;
    first.becomes(["finished", "opted_out", "finished", "finished"]).await;
    let mut expected: Vec<(String, String)> =
        people.iter().map(|email| (email.clone(), "First".to_owned())).collect();
    expected.extend([0, 2, 3].map(|place| (people[place].clone(), "Second".to_owned())));
    expected.sort();
    assert_eq!(left(&sandbox), expected);
    let listed = house.ok("GET", &format!("{}/recipients", second.path), None).await;
    let of = |one: &&Value| one["email"] == PEOPLE[1];
    let told = listed["data"].as_array().expect("a list").iter().find(of).expect("a recipient");
    assert_eq!((&told["reason"], &told["mails_sent"]), (&json!("opted_out"), &json!(0)), "{told}");
    let campaign = house.ok("GET", &second.path, None).await;
    assert_eq!(campaign["state"], "finished", "{campaign}");
}

/// R249, R250: whatever the process was at when it was killed.
#[tokio::test]
async fn a_campaign_whose_process_is_killed_twice_on_the_way_mails_each_recipient_once() {
    /// What a dead process had taken is given out again after a minute.
    const LONG: Duration = Duration::from_secs(240);
    let (sandbox, settings) = mailbox().await;
    let mut house = House::start(Start { companies: 3, deals: 3, settings, ..Start::default() }).await;
    let connection = connected(&house).await;
    let people: Vec<String> = (10..24).map(|number| format!("p{number}@lee-works.example")).collect();
    // So that there is something in the middle of which to be killed.
    sandbox.change_settings(json!({ "latency_ms": 150 })).expect("a latency");
    let path = started(&house, &connection, "Presses", &people).await;
    for count in [2, 6] {
        let more = format!("{count} mails to leave");
        eventually(LONG, &more, || async { (left(&sandbox).len() >= count).then_some(()) }).await;
        house.kill();
        assert!(left(&sandbox).len() < people.len(), "it was over before the process was killed");
        house.start_again().await;
    }
    let campaign = Campaign { house: &house, path };
    eventually(LONG, "all to be finished", || async {
        let states = campaign.states().await;
        (states.len() == people.len() && states.values().all(|state| state == "finished")).then_some(())
    })
    .await;
    let expected: Vec<(String, String)> =
        people.iter().map(|email| (email.clone(), "Presses".to_owned())).collect();
    assert_eq!(left(&sandbox), expected);
    let state = sandbox.state(NORA).expect("a mailbox");
    let messages = state["messages"].as_array().expect("a list");
    assert!(messages.iter().all(|message| message["folder"] != "Drafts"), "a draft stays behind");
}
