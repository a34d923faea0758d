//! What the world does to the mailboxes, and what the sandbox remembers.

use sandbox::microsoft::Settings;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{Cloud, JONAS, NORA, cloud, cloud_with, text, texts};
use crate::client::{eventually, http};

fn get(cloud: &Cloud, path: &str) -> Value {
    cloud.handle.control("GET", &format!("/_sandbox/{path}"), Value::Null).expect("the control call is taken")
}

#[tokio::test]
async fn planted_mail_looks_real_and_is_the_same_for_the_same_seed() {
    let (one, other) = (cloud().await, cloud().await);
    for cloud in [&one, &other] {
        cloud.control("seed", json!({"count": 60, "seed": 7, "spread_days": 30}));
    }
    let messages = |cloud: &Cloud| {
        cloud.handle.state(NORA).expect("the state")["messages"].as_array().expect("rows").clone()
    };
    let (ones, others) = (messages(&one), messages(&other));
    assert_eq!(texts(&ones, "subject"), texts(&others, "subject"));
    let folders = texts(&ones, "folder");
    assert!(folders.iter().any(|name| name == "Inbox") && folders.iter().any(|name| name == "Sent Items"));
    assert!(texts(&ones, "subject").iter().any(|subject| subject.starts_with("RE: ")));
    assert_eq!(get(&one, "health")["messages"][NORA], 60);
    one.control(
        "seed",
        json!({"mailbox": JONAS, "count": 3, "folder": "inbox", "correspondents": ["a@b.example"]}),
    );
    assert_eq!(get(&one, "health")["messages"][JONAS], 3);
    for wrong in [
        json!({"count": 9_000_000}),
        json!({"count": 1, "mailbox": "nobody"}),
        json!({"count": 1, "colour": 1}),
    ] {
        one.handle.control("POST", "/_sandbox/seed", wrong).expect_err("refused");
    }
}

#[tokio::test]
async fn mail_arrives_and_is_read_moved_and_deleted_by_its_owner() {
    let cloud = cloud().await;
    let mail = cloud
        .handle
        .deliver(json!({"mailbox": JONAS, "from": "a@b.example", "subject": "x", "text": "y",
        "internet_message_id": "<1@b.example>"}))
        .expect("a mail arrives");
    let at = |id: Value| json!({"mailbox": JONAS, "id": id});
    let with = |key: &str, value: Value| {
        let mut target = at(json!("<1@b.example>"));
        target[key] = value;
        target
    };
    cloud.control("edit", with("is_read", json!(true)));
    assert_eq!(cloud.control("move", with("folder", json!("junkemail")))["folder"], "Junk Email");
    assert_eq!(cloud.control("delete", at(mail["id"].clone()))["folder"], "Deleted Items");
    cloud.control("delete", with("for_good", json!(true)));
    assert_eq!(cloud.handle.state(JONAS).expect("the state")["total"], 0);
    cloud.handle.control("POST", "/_sandbox/delete", at(mail["id"].clone())).expect_err("it is gone");
    let sent = json!({"from": NORA, "to": ["c@d.example"], "folder": "sentitems", "text": "sent elsewhere"});
    assert_eq!(cloud.handle.deliver(sent).expect("a mail")["folder"], "Sent Items");
    cloud.handle.deliver(json!({"subject": "from nobody"})).expect_err("refused");
    cloud.handle.control("POST", "/_sandbox/bounce", json!({"id": "nonsense"})).expect_err("refused");
}

#[tokio::test]
async fn settings_and_the_clock_are_turned_by_name() {
    let cloud = cloud().await;
    let all = cloud.control(
        "settings",
        json!({"latency_ms": 1, "delta_token_minutes": 5, "scopes_granted": ["User.Read"]}),
    );
    assert_eq!((&all["latency_ms"], &all["delta_token_minutes"]), (&json!(1), &json!(5)));
    let all = cloud.control("settings", json!({"delta_token_minutes": null, "scopes_granted": "all"}));
    assert_eq!(
        (&all["delta_token_minutes"], &all["scopes_granted"], &all["latency_ms"]),
        (&Value::Null, &Value::Null, &json!(1))
    );
    for wrong in [json!({"colour": 1}), json!({"access_token_s": -1}), json!({"notifications": "thrice"})] {
        cloud.handle.change_settings(wrong).expect_err("refused");
    }
    let before = get(&cloud, "health")["now_ms"].as_i64().expect("a time");
    cloud.control("clock", json!({"advance_ms": 3_600_000}));
    assert!(get(&cloud, "health")["now_ms"].as_i64().expect("a time") >= before + 3_600_000);
    cloud.handle.control("POST", "/_sandbox/clock", json!({"advance_ms": -1})).expect_err("refused");
}

#[tokio::test]
async fn calls_are_counted_by_route_and_user_and_remembered() {
    let cloud = cloud().await;
    cloud.get("me").await.ok();
    cloud.get("me/messages/nonsense").await;
    let calls = get(&cloud, "calls?last=1");
    assert_eq!((&calls["total"], &calls["classes"]["graph"]), (&json!(2), &json!(2)));
    assert_eq!(calls["last"][0]["user"], NORA);
    assert_eq!(calls["routes"]["GET /v1.0/me/messages/{id}"]["by_status"]["400"], 1);
    cloud.handle.control("DELETE", "/_sandbox/calls", Value::Null).expect("cleared");
    cloud.control("faults", json!({"kind": "500"}));
    cloud.handle.control("DELETE", "/_sandbox/faults", Value::Null).expect("cleared");
    assert_eq!(get(&cloud, "calls")["total"], 0);
    cloud.get("me").await.ok();
}

#[tokio::test]
async fn a_living_tenant_gets_mail_by_itself() {
    let cloud = cloud_with(Settings { living_edits_per_minute: 6_000, ..Settings::default() }).await;
    eventually("mail comes", || get(&cloud, "health")["messages"][NORA].as_u64() >= Some(3)).await;
}

async fn kept(path: &std::path::Path) -> Cloud {
    let settings = Settings { state_file: Some(path.to_owned()), rate_limits: false, ..Settings::default() };
    cloud_with(settings).await
}

#[tokio::test]
async fn a_restart_resumes_with_everything() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state");
    let cloud = kept(&path).await;
    let ids: Vec<Value> = (0..4).map(|n| cloud.arrives("a@b.example", &format!("{n}"))).collect();
    let made = cloud.post("me/mailFolders", json!({"displayName": "Partners"})).await.ok();
    let inbox = "me/mailFolders/inbox/messages/delta";
    let (_, link) = cloud.drain(inbox, &[]).await;
    cloud.control("delete", json!({"id": ids[0]["id"], "for_good": true}));
    cloud.control("move", json!({"id": ids[1]["id"], "folder": text(&made, "id")}));
    cloud.control("edit", json!({"id": ids[2]["id"], "is_read": true}));
    cloud.control("clock", json!({"advance_ms": 5_000_000}));
    let (before, state) = (cloud.drain(&link, &[]).await.0, cloud.handle.state(NORA).expect("the state"));
    assert_eq!(before.len(), 3);
    let (token, tail) =
        (cloud.handle.access_token().to_owned(), link.split("/v1.0/").nth(1).expect("a path").to_owned());
    // The process ends without a word; and once more, with one.
    let again = kept(&path).await;
    assert_eq!(again.handle.state(NORA).expect("the state"), state);
    again.handle.shutdown().await;
    let again = kept(&path).await;
    assert_eq!(again.handle.state(NORA).expect("the state"), state);
    assert_eq!(again.handle.access_token(), token);
    let rows = again.drain(&tail, &[]).await.0;
    assert_eq!(texts(&rows, "id"), texts(&before, "id"), "links of before still lead on");
    assert_eq!(texts(&rows, "isRead"), texts(&before, "isRead"));
}

#[tokio::test]
async fn without_tokens_for_tools_there_are_none() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let settings = Settings { dev_access_token: false, ..Settings::default() };
    let handle = sandbox::microsoft::start(settings, listener).await.expect("the sandbox starts");
    let cloud = Cloud { handle, http: http() };
    assert_eq!((cloud.handle.access_token(), cloud.get("me").await.status), ("", 401));
}
