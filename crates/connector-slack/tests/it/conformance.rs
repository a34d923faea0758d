//! What every connector that posts messages must do, against the simulator.

use connector::{Connector, ErrorKind, Messenger, Retry};
use model::{AnswerPrivately, Clock, ConnectionId, PostMessage, SystemClock};
use proptest::{
    collection::vec,
    prelude::{Strategy, any},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use sandbox::slack::{FaultKind, Settings};
use serde_json::json;
use std::time::Duration;

use crate::slack::{
    channel, connector, content, fault, limited, message, messages, session, simulator, user,
};

fn connection() -> ConnectionId {
    ConnectionId::generate(SystemClock.now())
}

#[tokio::test]
async fn a_message_is_posted_and_updated_in_its_place() {
    let slack = simulator(Settings::default()).await;
    let connector = connector(&slack);
    let session = session(&slack, &connector).await;
    let channel = channel(&slack, "stories", false).await;
    let first = message(connection(), &channel, "Fabrikam registered a deal");
    let ts = connector.post(&session, &first, None).await.unwrap();
    let next = PostMessage { replaces: Some(ts.clone()), content: content("Approved by Olivia"), ..first };
    assert_eq!(connector.post(&session, &next, None).await.unwrap(), ts);
    let there = messages(&slack, &channel).await;
    assert_eq!(there.len(), 1);
    assert_eq!(there[0]["text"], "Approved by Olivia");
    assert!(there[0]["blocks"].to_string().contains("Tailspin &lt;!channel&gt; &amp; Toys"));
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_is_found_and_not_posted_again() {
    let slack = simulator(Settings { rate_limits: false, ..Settings::default() }).await;
    let connector = connector(&slack);
    let session = session(&slack, &connector).await;
    let channel = channel(&slack, "stories", true).await;
    let wanted = message(connection(), &channel, "Lost");
    let begun = SystemClock.now();
    fault(&slack, "/api/chat.postMessage", FaultKind::TimeoutAfterApply, 1);
    let lost = connector.post(&session, &wanted, None).await.unwrap_err();
    assert_eq!(lost.kind, ErrorKind::AnswerLost);
    // It lies further back than a page of the channel.
    for at in 0..120 {
        let later = message(connection(), &channel, &format!("Later {at}"));
        connector.post(&session, &later, None).await.unwrap();
    }
    let found = connector.post(&session, &wanted, Some(begun)).await.unwrap();
    let there = messages(&slack, &channel).await;
    let lost: Vec<_> = there.iter().filter(|message| message["text"] == "Lost").collect();
    assert_eq!(lost.len(), 1);
    assert_eq!(lost[0]["ts"], found.as_str());
    // What did not arrive is posted, though it was looked for.
    let other = message(connection(), &channel, "Other");
    fault(&slack, "/api/chat.postMessage", FaultKind::DropConnection, 1);
    connector.post(&session, &other, None).await.unwrap_err();
    connector.post(&session, &other, Some(begun)).await.unwrap();
    let there = messages(&slack, &channel).await;
    assert_eq!(there.iter().filter(|message| message["text"] == "Other").count(), 1);
}

#[tokio::test]
async fn a_channel_that_cannot_be_posted_in_is_refused_with_what_to_do() {
    let slack = simulator(Settings::default()).await;
    let connector = connector(&slack);
    let session = session(&slack, &connector).await;
    let workspace = slack.control("GET", "/_sandbox/workspace", serde_json::Value::Null).await.unwrap();
    let id = |name: &str| {
        let channels = workspace["channels"].as_array().unwrap();
        let found = channels.iter().find(|channel| channel["name"] == name).unwrap();
        found["id"].as_str().unwrap().to_owned()
    };
    let cases = [
        (id("partners"), "not_in_channel", "/invite @Accord"),
        (id("leadership"), "channel_not_found", "/invite @Accord"),
        (id("old-launch"), "is_archived", "choose another one"),
        ("C0NOWHERE".to_owned(), "channel_not_found", "choose another one"),
    ];
    for (channel, code, advice) in cases {
        let error = connector.post(&session, &message(connection(), &channel, "x"), None).await.unwrap_err();
        assert_eq!((error.code.as_deref(), error.retry), (Some(code), Retry::Never));
        assert!(error.message.contains(advice), "{error}");
    }
}

#[tokio::test]
async fn a_limit_is_waited_for_and_a_dead_grant_is_told() {
    let slack = simulator(Settings::default()).await;
    let connector = limited(&slack);
    let session = session(&slack, &connector).await;
    let channel = channel(&slack, "stories", false).await;
    fault(&slack, "/api/chat.postMessage", FaultKind::TooMany, 1);
    let begun = std::time::Instant::now();
    connector.post(&session, &message(connection(), &channel, "Late"), None).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(messages(&slack, &channel).await.len(), 1);
    slack.uninstall().await.unwrap();
    let error = connector.account(&session).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::AccessRevoked);
}

#[tokio::test]
async fn every_channel_is_listed_though_pages_are_short_or_empty() {
    let slack = simulator(Settings { rate_limits: false, ..Settings::default() }).await;
    let connector = connector(&slack);
    let session = session(&slack, &connector).await;
    // Private ones that the app is not in leave pages without a row.
    for at in 0..450 {
        let hidden = json!({"name": format!("hidden-{at}"), "private": true});
        slack.control("POST", "/_sandbox/channel", hidden).await.unwrap();
    }
    let last = channel(&slack, "zz-last", true).await;
    let channels = connector.channels(&session).await.unwrap();
    let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
    assert_eq!(names, ["deal-registrations", "general", "partners", "zz-last"]);
    let found = channels.last().unwrap();
    assert!(found.id == last && found.is_private && found.is_member && !channels[0].is_member);
}

#[tokio::test]
async fn one_person_is_told_in_the_channel_or_else_directly() {
    let slack = simulator(Settings::default()).await;
    let connector = connector(&slack);
    let session = session(&slack, &connector).await;
    let channel = channel(&slack, "stories", false).await;
    let (mia, gina) = (user(&slack, "mia").await, user(&slack, "gina").await);
    let kicked = json!({"channel": channel, "user": gina});
    slack.control("POST", "/_sandbox/kick", kicked).await.unwrap();
    for person in [&mia, &gina] {
        let answer = AnswerPrivately {
            connection: connection(),
            interaction: "1".to_owned(),
            channel: channel.clone(),
            user: person.clone(),
            text: "You may not <decide> this.".to_owned(),
            reply: String::new(),
        };
        connector.answer(&session, &answer).await.unwrap();
    }
    let there = messages(&slack, &channel).await;
    assert_eq!(there.len(), 1);
    assert_eq!(
        (&there[0]["only_for"], &there[0]["text"]),
        (&json!(mia), &json!("You may not &lt;decide&gt; this."))
    );
    let person = connector.person(&session, &mia).await.unwrap();
    assert_eq!(
        (person.name.as_str(), person.email.as_deref()),
        ("Mia Member", Some("mia@northwind.example"))
    );
}

#[tokio::test]
async fn slack_takes_whatever_a_message_says() {
    let slack = simulator(Settings { rate_limits: false, ..Settings::default() }).await;
    let connector = connector(&slack);
    let session = session(&slack, &connector).await;
    let channel = channel(&slack, "stories", false).await;
    let mut runner = TestRunner::deterministic();
    let said = (
        any::<String>(),
        vec((any::<String>(), ".{0,3000}"), 0..60),
        "[<>&\\PC]{0,5000}",
        vec(".{0,300}", 0..30),
    );
    for _ in 0..40 {
        let (title, lines, text, labels) = said.new_tree(&mut runner).unwrap().current();
        let mut wanted = message(connection(), &channel, &format!("x{title}"));
        let button = wanted.content.buttons[0].clone();
        wanted.content.lines = lines;
        wanted.content.text = text;
        let buttons = labels.into_iter().map(|label| model::PostButton {
            action: label.clone(),
            label,
            ..button.clone()
        });
        wanted.content.buttons = buttons.collect();
        connector.post(&session, &wanted, None).await.unwrap();
    }
}
