//! What a bot says, and where it may.

use serde_json::{Value, json};

use super::{good, refused, registration, slack};

#[tokio::test]
async fn a_message_is_posted_updated_found_and_deleted() {
    let slack = slack().await;
    let token = slack.install().await;
    let channel = slack.channel("partners").await;
    good(slack.call("conversations.join", &token, json!({"channel": channel})).await);
    let order = json!({"channel": channel, "text": "A deal", "blocks": registration(),
        "metadata": {"event_type": "deal", "event_payload": {"id": "dreg_1"}}});
    let posted = good(slack.call("chat.postMessage", &token, order).await);
    let ts = posted["ts"].as_str().expect("a timestamp");
    assert!(ts.len() == 17 && ts.contains('.'), "{ts}");
    assert_eq!(posted["message"]["blocks"][1]["elements"][0]["text"]["emoji"], true);
    // The other way to send blocks: as text.
    let text = registration().to_string();
    let form = [("channel", channel.as_str()), ("blocks", text.as_str()), ("text", "Another")];
    let other = good(slack.form("chat.postMessage", &token, &form).await);
    assert_ne!(other["ts"], posted["ts"]);
    let updated =
        good(slack.call("chat.update", &token, json!({"channel": channel, "ts": ts, "text": "Done"})).await);
    assert_eq!((&updated["ts"], &updated["message"]["blocks"]), (&posted["ts"], &Value::Null));
    let fields = [
        ("channel", channel.as_str()),
        ("include_all_metadata", "true"),
        ("limit", "1"),
        ("latest", ts),
        ("inclusive", "1"),
    ];
    let history = good(slack.form("conversations.history", &token, &fields).await);
    assert_eq!(history["messages"][0]["metadata"]["event_payload"]["id"], "dreg_1");
    assert!(history["messages"][0]["edited"].is_object());
    let link = [("channel", channel.as_str()), ("message_ts", ts)];
    let link = good(slack.form("chat.getPermalink", &token, &link).await);
    assert!(link["permalink"].as_str().is_some_and(|link| link.contains(&channel)), "{link}");
    good(slack.call("chat.delete", &token, json!({"channel": channel, "ts": ts})).await);
    refused(
        slack.call("chat.update", &token, json!({"channel": channel, "ts": ts, "text": "x"})).await,
        "message_not_found",
    );
    let said = slack.control("post", json!({"channel": channel, "user": "mia", "text": "Mine"})).await;
    let theirs = json!({"channel": channel, "ts": said["ts"], "text": "x"});
    refused(slack.call("chat.update", &token, theirs).await, "cant_update_message");
}

#[tokio::test]
async fn a_bot_posts_only_where_it_may() {
    let slack = slack().await;
    let code = slack.consent("chat:write,channels:join,channels:read,im:write").await;
    let body = slack.token(&[("code", &code), ("redirect_uri", super::BACK)]).await;
    let token = body["access_token"].as_str().expect("a token").to_owned();
    let post = async |channel: &str| {
        slack.call("chat.postMessage", &token, json!({"channel": channel, "text": "x"})).await
    };
    let channel = slack.channel("partners").await;
    refused(post(&channel).await, "not_in_channel");
    good(slack.call("conversations.join", &token, json!({"channel": channel})).await);
    let again = good(slack.call("conversations.join", &token, json!({"channel": channel})).await);
    assert_eq!(again["warning"], "already_in_channel");
    good(post(&channel).await);
    good(post("#partners").await);
    refused(post(&slack.channel("leadership").await).await, "channel_not_found");
    refused(post(&slack.channel("old-launch").await).await, "is_archived");
    refused(post("C1").await, "channel_not_found");
    let user = slack.user("mia").await;
    let opened = good(slack.call("conversations.open", &token, json!({"users": user})).await);
    let direct = good(post(&user).await);
    assert_eq!(direct["channel"], opened["channel"]["id"]);
    refused(slack.call("chat.postMessage", &token, json!({"channel": channel})).await, "no_text");
    let wide = slack.install().await;
    good(slack.call("chat.postMessage", &wide, json!({"channel": "deal-registrations", "text": "x"})).await);
}

#[tokio::test]
async fn blocks_that_do_not_hold_are_refused_with_their_place() {
    let slack = slack().await;
    let token = slack.install().await;
    let told = async |blocks: Value| {
        let order = json!({"channel": "partners", "text": "x", "blocks": blocks});
        let body = refused(slack.call("chat.postMessage", &token, order).await, "invalid_blocks");
        body["response_metadata"]["messages"].to_string()
    };
    let button = |text: &str, id: &str| json!({"type": "button", "action_id": id, "text": {"type": "plain_text", "text": text}});
    let long = button(&"x".repeat(76), "a");
    let place = told(json!([{"type": "actions", "elements": [long]}])).await;
    assert!(
        place.contains("must be less than 76 characters [json-pointer:/blocks/0/elements/0/text/text]"),
        "{place}"
    );
    let twice = told(json!([{"type": "actions", "elements": [button("a", "x"), button("b", "x")]}])).await;
    assert!(twice.contains("action_id already exists: x"), "{twice}");
    assert!(
        told(json!([{"type": "poem"}]))
            .await
            .contains("unsupported type: poem [json-pointer:/blocks/0/type]")
    );
    assert!(told(json!([{"type": "section"}])).await.contains("missing required field: text"));
    assert!(
        told(json!([{"type": "header", "text": {"type": "mrkdwn", "text": "x"}}]))
            .await
            .contains("/blocks/0/text/type")
    );
    assert!(
        told(json!(vec![json!({"type": "divider"}); 51])).await.contains("no more than 50 items allowed")
    );
    let same = json!({"type": "divider", "block_id": "b"});
    assert!(told(json!([same, same])).await.contains("block_id already exists: b"));
    let form = [("channel", "partners"), ("blocks", "{not json")];
    refused(slack.form("chat.postMessage", &token, &form).await, "invalid_blocks_format");
}

#[tokio::test]
async fn a_private_message_is_seen_by_one_person_and_found_by_nobody() {
    let slack = slack().await;
    let token = slack.install().await;
    let (channel, mia) = (slack.channel("partners").await, slack.user("mia").await);
    let order = json!({"channel": channel, "user": mia, "text": "Only for you"});
    let sent = good(slack.call("chat.postEphemeral", &token, order).await);
    let seen = slack.see(&format!("messages?only_for={mia}")).await;
    assert_eq!(
        (&seen["messages"][0]["ts"], &seen["messages"][0]["text"]),
        (&sent["message_ts"], &json!("Only for you"))
    );
    let order = json!({"channel": channel, "ts": sent["message_ts"], "text": "x"});
    refused(slack.call("chat.update", &token, order).await, "message_not_found");
    let (private, stranger) = (slack.channel("leadership").await, json!({"channel": "leadership"}));
    slack.control("invite", stranger).await;
    let order = json!({"channel": private, "user": mia, "text": "x"});
    refused(slack.call("chat.postEphemeral", &token, order).await, "user_not_in_channel");
    good(slack.call("conversations.join", &token, json!({"channel": channel})).await);
    let history = good(slack.form("conversations.history", &token, &[("channel", &channel)]).await);
    assert_eq!(history["messages"], json!([]));
}
