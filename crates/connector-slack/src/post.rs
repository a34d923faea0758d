//! Messages: posted once, updated, and answers to one person.

use std::time::Duration;

use connector::{Error, ErrorKind};
use jiff::Timestamp;
use model::{AnswerPrivately, PostId, PostMessage};
use serde_json::{Value, json};

use crate::{
    client::{Client, next_page},
    render,
    wire::{Message, Metadata},
};

/// What our messages carry, by which they are known again.
const EVENT_TYPE: &str = "accord_post";
const POST: &str = "post";
/// How far Slack's clock may be behind ours.
const CLOCKS_DIFFER: Duration = Duration::from_secs(600);
const ANSWER_MOST: usize = 3_000;

/// Posts a message, unless it is there since a try that began then; gives its timestamp, which is its id.
pub(crate) async fn post(
    client: Client<'_>,
    message: &PostMessage,
    since: Option<Timestamp>,
) -> Result<String, Error> {
    let mut body = json!({
        "channel": message.channel,
        "text": render::summary(&message.content),
        "blocks": render::blocks(&message.content, message.connection),
        "metadata": {"event_type": EVENT_TYPE, "event_payload": {POST: message.post.to_string()}},
        "unfurl_links": false,
        "unfurl_media": false,
    });
    if let Some(ts) = &message.replaces {
        body["ts"] = json!(ts);
        return Ok(client.update(&body).await?.ts);
    }
    if let Some(since) = since
        && let Some(ts) = find(client, &message.channel, message.post, since).await?
    {
        return Ok(ts);
    }
    Ok(client.post_message(&body).await?.ts)
}

/// The message of this post that a channel has.
async fn find(
    client: Client<'_>,
    channel: &str,
    post: PostId,
    since: Timestamp,
) -> Result<Option<String>, Error> {
    let oldest = format!("{}.000000", (since - CLOCKS_DIFFER).as_second());
    let (post, mut cursor) = (post.to_string(), String::new());
    loop {
        let page = client.history(channel, &oldest, &cursor).await?;
        let carries = |message: &Message| message.metadata.as_ref().is_some_and(|it| is_of(it, &post));
        if let Some(message) = page.messages.into_iter().find(carries) {
            return Ok(Some(message.ts));
        }
        match next_page("read a Slack channel", &cursor, page.response_metadata.next_cursor)? {
            Some(next) => cursor = next,
            None => return Ok(None),
        }
    }
}

fn is_of(metadata: &Metadata, post: &str) -> bool {
    let carried = metadata.event_payload.get(POST).and_then(Value::as_str);
    metadata.event_type == EVENT_TYPE && carried == Some(post)
}

/// Tells one person something in the channel or, who is not in it, in a direct message.
pub(crate) async fn answer(client: Client<'_>, answer: &AnswerPrivately) -> Result<(), Error> {
    let text = render::escaped(&answer.text, ANSWER_MOST);
    let body = json!({"channel": answer.channel, "user": answer.user, "text": text});
    match client.post_ephemeral(&body).await {
        Err(error)
            if error.kind == ErrorKind::NotFound && error.code.as_deref() == Some("user_not_in_channel") =>
        {
            client.post_message(&json!({"channel": answer.user, "text": text})).await?;
            Ok(())
        }
        told => told,
    }
}
