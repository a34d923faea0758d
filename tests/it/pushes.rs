//! Vendors tell at the public address that something is new: a mail or a meeting is there within seconds, though both are looked
//! for every five minutes only.

use std::time::Duration;

use jiff::SignedDuration;
use model::{Clock, SystemClock};
use sandbox::{google, microsoft};
use serde_json::{Value, json};
use testkit::eventually;
use tests::{House, Start};
use tokio::net::TcpListener;

/// Far less than the five minutes between two polls.
const SOON: Duration = Duration::from_secs(60);
const NORA: &str = "nora.field@harborline.example";
const DAY_MS: u64 = 86_400_000;

async fn company(house: &House, domain: &str) -> String {
    let new = json!({ "fields": { "name": "Lee Works", "domain": domain } });
    let company = house.ok("POST", "/api/v1/records/company", Some(new)).await;
    company["id"].as_str().expect("an id").to_owned()
}

/// Waits until the newest that a timeline has of a kind is this.
async fn wait_for_newest(house: &House, record: &str, kind: &str, subject: &str) -> usize {
    eventually(SOON, &format!("{subject} on the timeline"), || async {
        let path = format!("/api/v1/timeline?record_id={record}&kinds={kind}");
        let timeline = house.ok("GET", &path, None).await;
        let told = timeline["data"].as_array()?;
        told.iter().any(|one| one["subject"] == subject).then_some(told.len())
    })
    .await
}

/// How the news of a feed arrive.
async fn wait_for_arrival(house: &House, connection: &str, feed: &str, state: &str) -> Value {
    eventually(SOON, &format!("{feed} to be {state}"), || async {
        let progress = house.ok("GET", &format!("/api/v1/connections/{connection}/progress"), None).await;
        let feeds = progress["feeds"].as_array()?;
        let feed = feeds.iter().find(|found| found["feed"] == feed)?;
        (feed["arrival"]["state"] == state && feed["phase"] == "live").then(|| feed["arrival"].clone())
    })
    .await
}

/// Has Accord look at the vendor, and learn what time it is there, until this is so.
async fn look_around(house: &House, connection: &str, is_so: impl AsyncFn() -> bool) {
    eventually(SOON, "Accord to look at the vendor", || async {
        house.ok("POST", &format!("/api/v1/connections/{connection}/sync"), None).await;
        is_so().await.then_some(())
    })
    .await;
}

async fn disconnect(house: &House, connection: &str) {
    house.ok("POST", &format!("/api/v1/connections/{connection}/disconnect"), None).await;
}

/// Posts like a vendor; the status and the text of the answer.
async fn post(house: &House, address: &str, headers: &[(&str, &str)], body: Option<Value>) -> (u16, String) {
    let request = house.http().post(address);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let request = match body {
        Some(body) => request.json(&body),
        None => request,
    };
    let answer = request.send().await.expect("the gateway answers");
    (answer.status().as_u16(), answer.text().await.expect("the answer has an end"))
}

/// How many pushes had this outcome, as an operator sees it.
async fn counted(house: &House, vendor: &str, outcome: &str) -> u64 {
    let metrics = house.call_for_text("/metrics").await;
    let is_it = |line: &&str| {
        line.starts_with("accord_push_received_total")
            && line.contains(&format!("vendor=\"{vendor}\""))
            && line.contains(&format!("outcome=\"{outcome}\""))
    };
    metrics
        .lines()
        .find(is_it)
        .map_or(0, |line| line.rsplit(' ').next().unwrap_or("0").parse().expect("a count"))
}

/// The subscriptions of Nora's mailbox, as Graph lists them to their app.
async fn subscriptions(house: &House, sandbox: &microsoft::Handle) -> Vec<Value> {
    let url = format!("{}/v1.0/subscriptions", sandbox.url());
    let token = sandbox.access_token_of(NORA).expect("a token for outside tools");
    let answer = house.http().get(url).bearer_auth(token).send().await.expect("the sandbox answers");
    answer.json::<Value>().await.expect("JSON")["value"].as_array().expect("a list").clone()
}

/// The one of the inbox, once it fits.
async fn subscription(house: &House, sandbox: &microsoft::Handle, fits: impl Fn(&Value) -> bool) -> Value {
    eventually(SOON, "a subscription to the inbox", || async {
        let all = subscriptions(house, sandbox).await;
        let of_inbox =
            |one: &&Value| one["resource"].as_str().is_some_and(|resource| resource.contains("inbox"));
        let of_inbox: Vec<&Value> = all.iter().filter(of_inbox).collect();
        let [one] = of_inbox.as_slice() else { return None };
        fits(one).then(|| (*one).clone())
    })
    .await
}

async fn mailbox() -> (microsoft::Handle, House, String) {
    let settings = microsoft::Settings { rate_limits: false, ..microsoft::Settings::default() };
    let (id, secret) = (settings.client_id.clone(), settings.client_secret.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let sandbox = microsoft::start(settings, listener).await.expect("a sandbox without a file");
    let url = sandbox.url().to_owned();
    let settings = vec![
        ("ACCORD_M365_CLIENT_ID", id),
        ("ACCORD_M365_CLIENT_SECRET", secret),
        ("ACCORD_M365_LOGIN_URL", url.clone()),
        ("ACCORD_M365_GRAPH_URL", url),
    ];
    let house = House::start(Start { companies: 1, deals: 1, settings, ..Start::default() }).await;
    let connection = house.connect("m365", &[("decision", "accept"), ("user", NORA)]).await;
    for feed in ["inbox", "sent"] {
        let arrival = wait_for_arrival(&house, &connection, feed, "pushed").await;
        assert!(arrival["since"].is_string() && arrival["message"].is_null(), "{arrival}");
    }
    (sandbox, house, connection)
}

fn deliver(sandbox: &microsoft::Handle, subject: &str) {
    let mail = json!({ "from": "ann@lee-works.example", "subject": subject, "text": "Hello" });
    sandbox.deliver(mail).expect("a mail");
}

/// R36, R251: change notifications of Microsoft 365.
#[tokio::test]
async fn a_mail_is_on_the_timeline_seconds_after_it_arrived_and_nobody_else_can_say_so() {
    let (sandbox, house, connection) = mailbox().await;
    let company = company(&house, "lee-works.example").await;
    deliver(&sandbox, "Seconds ago");
    wait_for_newest(&house, &company, "email", "Seconds ago").await;

    let subscribed = subscription(&house, &sandbox, |_| true).await;
    let address = subscribed["notificationUrl"].as_str().expect("an address");
    assert_eq!(subscribed["lifecycleNotificationUrl"], address);
    assert_eq!(
        post(&house, &format!("{address}?validationToken=is%20this%20%26%20yours"), &[], None).await,
        (200, "is this & yours".to_owned())
    );
    let before = counted(&house, "m365", "secret_invalid").await;
    let item = |id: &Value, secret: &str| {
        json!({ "value": [{ "subscriptionId": id, "clientState": secret, "changeType": "created",
            "resource": "Users/x/Messages/y" }] })
    };
    let secret = subscribed["clientState"].as_str().expect("a secret");
    for forged in [
        item(&subscribed["id"], "guessed"),
        item(&subscribed["id"], ""),
        item(&json!("another"), secret),
        json!({ "value": [{ "subscriptionId": subscribed["id"], "lifecycleEvent": "subscriptionRemoved" }] }),
    ] {
        let (status, text) = post(&house, address, &[], Some(forged)).await;
        assert_eq!(status, 401, "{text}");
        assert!(text.contains("secret_invalid") && !text.contains(secret), "{text}");
    }
    let unknown =
        format!("{}/018f0000-0000-7000-8000-000000000000", address.rsplit_once('/').expect("a path").0);
    let genuine = item(&subscribed["id"], secret);
    assert_eq!(post(&house, &unknown, &[], Some(genuine.clone())).await.0, 404);
    assert_eq!(post(&house, &format!("{unknown}?validationToken=x"), &[], None).await.0, 404);
    assert_eq!(post(&house, address, &[], Some(json!({ "value": "none" }))).await.0, 400);
    assert_eq!(counted(&house, "m365", "secret_invalid").await, before + 4);
    // Repeats are accepted, and do nothing.
    for _ in 0..3 {
        assert_eq!(post(&house, address, &[], Some(genuine.clone())).await, (202, String::new()));
    }
    let log = house.log();
    assert!(!log.contains(secret), "the secret is in the log");

    disconnect(&house, &connection).await;
    assert_eq!(subscriptions(&house, &sandbox).await, Vec::<Value>::new());
    assert_eq!(post(&house, address, &[], Some(genuine)).await.0, 404, "what is late is of no use");
}

#[tokio::test]
async fn a_subscription_is_renewed_before_it_ends_and_made_anew_when_it_is_gone() {
    let (sandbox, house, connection) = mailbox().await;
    let company = company(&house, "lee-works.example").await;
    let first = subscription(&house, &sandbox, |_| true).await;
    // Its time is half over.
    sandbox.advance_clock(4 * DAY_MS);
    let end = |one: &Value| one["expirationDateTime"].as_str().expect("a time").to_owned();
    look_around(&house, &connection, async || {
        let all = subscriptions(&house, &sandbox).await;
        all.iter().all(|one| end(one) > end(&first))
    })
    .await;
    let renewed = subscription(&house, &sandbox, |one| end(one) > end(&first)).await;
    assert_eq!(renewed["id"], first["id"]);
    sandbox.advance_clock(60_000);
    deliver(&sandbox, "Renewed");
    wait_for_newest(&house, &company, "email", "Renewed").await;

    // Microsoft wants it authorized anew.
    let tell = |event: &str| {
        let told = sandbox.control("POST", "/_sandbox/lifecycle", json!({ "event": event })).expect("told");
        assert_eq!(told["told"], 2);
    };
    tell("reauthorizationRequired");
    let again = subscription(&house, &sandbox, |one| end(one) > end(&renewed)).await;
    assert_eq!(again["id"], first["id"]);

    // Notifications get lost, and Microsoft says so.
    sandbox.change_settings(json!({ "notifications": "lost" })).expect("a dial");
    deliver(&sandbox, "Missed");
    tell("missed");
    wait_for_newest(&house, &company, "email", "Missed").await;
    deliver(&sandbox, "Removed");
    tell("subscriptionRemoved");
    wait_for_newest(&house, &company, "email", "Removed").await;
    let new = subscription(&house, &sandbox, |one| one["id"] != first["id"]).await;
    assert_ne!(
        (&new["clientState"], &new["notificationUrl"]),
        (&first["clientState"], &first["notificationUrl"])
    );

    // It ended while nobody looked: a week and a day go by at once.
    sandbox.advance_clock(8 * DAY_MS);
    deliver(&sandbox, "A week later");
    look_around(&house, &connection, async || subscriptions(&house, &sandbox).await.len() == 2).await;
    subscription(&house, &sandbox, |one| one["id"] != new["id"]).await;
    sandbox.change_settings(json!({ "notifications": "twice" })).expect("a dial");
    deliver(&sandbox, "And on");
    wait_for_newest(&house, &company, "email", "And on").await;
    let mails = wait_for_newest(&house, &company, "email", "A week later").await;
    assert_eq!(mails, 5, "each once");
}

fn channels(sandbox: &google::Handle) -> Vec<Value> {
    let shown = sandbox.control("GET", "/_sandbox/channels", Value::Null).expect("a list");
    shown["channels"].as_array().expect("a list").clone()
}

/// The only channel of the calendar, once it fits.
async fn channel(sandbox: &google::Handle, fits: impl Fn(&Value) -> bool) -> Value {
    eventually(SOON, "one channel", || async {
        let [one] = <[Value; 1]>::try_from(channels(sandbox)).ok()?;
        fits(&one).then_some(one)
    })
    .await
}

/// R36: push channels of Google Calendar.
#[tokio::test]
async fn a_meeting_is_there_seconds_after_it_was_made_by_a_channel_that_is_renewed_and_stopped() {
    let settings = google::Settings { rate_limits: false, ..google::Settings::default() };
    let (id, secret) = (settings.client_id.clone(), settings.client_secret.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let sandbox = google::start(settings, listener).await.expect("a sandbox without a file");
    let settings = vec![
        ("ACCORD_GOOGLE_CLIENT_ID", id),
        ("ACCORD_GOOGLE_CLIENT_SECRET", secret),
        ("ACCORD_GOOGLE_URL", sandbox.url().to_owned()),
    ];
    let house = House::start(Start { companies: 1, deals: 1, settings, ..Start::default() }).await;
    let company = company(&house, "partner.example").await;
    let answers = [("decision", "allow"), ("account", sandbox.email())];
    let connection = house.connect("google-calendar", &answers).await;
    wait_for_arrival(&house, &connection, "calendar", "pushed").await;
    let meet = |summary: &str, day: i64| {
        let time = |hour| json!({ "dateTime": (SystemClock.now() + SignedDuration::from_hours(24 * day + hour)).to_string() });
        let event = json!({ "summary": summary, "start": time(0), "end": time(1),
            "attendees": [{ "email": "kim.lee@partner.example" }] });
        sandbox.meeting(event).expect("a meeting");
    };
    meet("Seconds ago", 1);
    wait_for_newest(&house, &company, "meeting", "Seconds ago").await;

    let first = channel(&sandbox, |_| true).await;
    let text = |of: &Value, name: &str| of[name].as_str().expect("a text").to_owned();
    let address = text(&first, "address");
    let headers = |token: &'static str| {
        let id = text(&first, "id");
        [
            ("x-goog-channel-id", id),
            ("x-goog-channel-token", token.to_owned()),
            ("x-goog-resource-state", "exists".to_owned()),
        ]
    };
    for token in ["guessed", ""] {
        let headers = headers(token);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(post(&house, &address, &headers, None).await.0, 401);
        assert_eq!(post(&house, &address, &headers[1..], None).await.0, 400);
    }
    assert_eq!(counted(&house, "google-calendar", "secret_invalid").await, 2);

    // The sync token is gone when Google tells: all is read again, and nothing is doubled.
    sandbox.expire_sync_tokens();
    meet("After a loss", 2);
    let meetings = wait_for_newest(&house, &company, "meeting", "After a loss").await;
    assert_eq!(meetings, 2, "each once");

    // Half of its time is over: another one takes its place.
    sandbox.advance_clock(4 * DAY_MS);
    look_around(
        &house,
        &connection,
        async || matches!(channels(&sandbox).as_slice(), [one] if one["id"] != first["id"]),
    )
    .await;
    let second = channel(&sandbox, |one| one["id"] != first["id"]).await;
    assert!(second["expires_ms"].as_i64() > first["expires_ms"].as_i64());
    meet("By another channel", 3);
    wait_for_newest(&house, &company, "meeting", "By another channel").await;
    // It is gone with its time, before anybody looks.
    sandbox.advance_clock(8 * DAY_MS);
    look_around(
        &house,
        &connection,
        async || matches!(channels(&sandbox).as_slice(), [one] if one["id"] != second["id"]),
    )
    .await;
    let third = channel(&sandbox, |one| one["id"] != second["id"]).await;
    meet("By a third", 4);
    wait_for_newest(&house, &company, "meeting", "By a third").await;

    disconnect(&house, &connection).await;
    assert_eq!(channels(&sandbox), Vec::<Value>::new(), "after {third}");
}
