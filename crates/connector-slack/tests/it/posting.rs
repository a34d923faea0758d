//! Messages from the bus to a channel, once each.

use model::{AnswerPrivately, PostMessage};
use sandbox::slack::{FaultKind, Settings};
use serde_json::json;
use testkit::eventually;

use crate::{
    slack::{channel, content, fault, message, messages, user},
    world::{SOON, World},
};

#[tokio::test]
async fn a_message_appears_once_though_its_answer_was_lost_and_it_is_asked_for_again() {
    let world = World::new(Settings::default()).await;
    let id = world.connect().await;
    let channel = channel(&world.slack, "stories", false).await;
    let wanted = message(id, &channel, "Fabrikam registered a deal");
    fault(&world.slack, "/api/chat.postMessage", FaultKind::CutMidBody, 1);
    world.post(&wanted).await;
    let posted = world.posted(&wanted).await;
    assert_eq!((posted.error, &posted.channel), (None, &channel));
    let there = messages(&world.slack, &channel).await;
    assert_eq!(there.len(), 1, "{there:?}");
    assert_eq!(there[0]["ts"].as_str(), posted.message.as_deref());
    // The same command, and then another one, whose answer comes behind it.
    world.post(&wanted).await;
    let next = message(id, &channel, "Next");
    world.post(&next).await;
    world.posted(&next).await;
    assert_eq!(messages(&world.slack, &channel).await.len(), 2);
}

#[tokio::test]
async fn a_message_is_replaced_and_one_person_is_told_once() {
    let world = World::new(Settings::default()).await;
    let id = world.connect().await;
    let channel = channel(&world.slack, "stories", false).await;
    let first = message(id, &channel, "Fabrikam registered a deal");
    world.post(&first).await;
    let ts = world.posted(&first).await.message.unwrap();
    let next = message(id, &channel, "Approved by Olivia");
    let next = PostMessage { replaces: Some(ts.clone()), content: content("Approved by Olivia"), ..next };
    world.post(&next).await;
    assert_eq!(world.posted(&next).await.message, Some(ts));
    let mia = user(&world.slack, "mia").await;
    let answer = AnswerPrivately {
        connection: id,
        interaction: "13345224609.738474920.8088930838d88f008e0".to_owned(),
        channel: channel.clone(),
        user: mia.clone(),
        text: "Olivia was faster.".to_owned(),
        reply: String::new(),
    };
    world.answer(&answer).await;
    world.answer(&answer).await;
    let last = message(id, &channel, "Last");
    world.post(&last).await;
    world.posted(&last).await;
    let there = messages(&world.slack, &channel).await;
    let texts: Vec<&str> = there.iter().map(|message| message["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["Approved by Olivia", "Olivia was faster.", "Last"]);
    assert_eq!(there[1]["only_for"], json!(mia));
}

#[tokio::test]
async fn what_cannot_be_posted_is_answered_and_what_is_beyond_the_limit_arrives_later() {
    let world = World::new(Settings::default()).await;
    let id = world.connect().await;
    let (one, other) =
        (channel(&world.slack, "one", false).await, channel(&world.slack, "other", false).await);
    let nowhere = message(id, "C0NOWHERE", "x");
    world.post(&nowhere).await;
    assert_eq!(world.posted(&nowhere).await.error.as_deref(), Some("channel_not_found"));
    // A second message in a second is one too many for Slack.
    let wanted =
        [message(id, &one, "1"), message(id, &one, "2"), message(id, &one, "3"), message(id, &other, "4")];
    for message in &wanted {
        world.post(message).await;
    }
    for message in &wanted {
        assert_eq!(world.posted(message).await.error, None);
    }
    assert_eq!(
        (messages(&world.slack, &one).await.len(), messages(&world.slack, &other).await.len()),
        (3, 1)
    );
    assert!(
        world.slack.calls().to_string().contains("\"429\""),
        "the limit was met: {}",
        world.slack.calls()
    );
    world.wait_for_state(id, "active").await;
}

#[tokio::test]
async fn after_a_disconnection_nothing_is_posted() {
    let world = World::new(Settings::default()).await;
    let id = world.connect().await;
    let channel = channel(&world.slack, "stories", false).await;
    world.api.clone().disconnect(crate::world::about(id)).await.unwrap();
    let wanted = message(id, &channel, "Too late");
    world.post(&wanted).await;
    assert_eq!(world.posted(&wanted).await.error.as_deref(), Some("connection_disconnected"));
    let seen =
        eventually(SOON, "the channel", || async { Some(messages(&world.slack, &channel).await) }).await;
    assert!(seen.is_empty());
}
