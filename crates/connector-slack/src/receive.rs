//! What Slack tells: verified first, then read. Pure.

use std::collections::BTreeMap;

use connector::{Incoming, Question, Received, Refusal};
use jiff::Timestamp;
use model::{ConnectionId, InteractionReceived, VendorUser};
use secrecy::SecretString;

use crate::{
    dialog::{About, BLOCK, CALLBACK, FIELD},
    signature,
    wire::{Actor, Clicked, Envelope, Event, Payload, Submitted},
};

/// What the actions end in for which a reason is asked.
const ASKS: &str = ":ask";

/// # Errors
/// The request is not Slack's, not of the last minutes, or cannot be read.
pub(crate) fn receive(secret: &SecretString, request: &Incoming<'_>) -> Result<Received, Refusal> {
    signature::verify(secret, request.headers, request.body, request.now)?;
    if request.body.trim_ascii_start().first() == Some(&b'{') {
        return event(request.body);
    }
    let form: BTreeMap<String, String> =
        serde_urlencoded::from_bytes(request.body).map_err(|_| Refusal::UNREADABLE)?;
    let Some(payload) = form.get("payload") else {
        // Slack looks now and then whether the certificate is good.
        return if form.contains_key("ssl_check") { Ok(Received::Nothing) } else { Err(Refusal::UNREADABLE) };
    };
    match serde_json::from_str(payload).map_err(|_| Refusal::UNREADABLE)? {
        Payload::BlockActions(clicked) => Ok(click(clicked, request.now).unwrap_or(Received::Nothing)),
        Payload::ViewSubmission(submitted) => {
            Ok(submission(submitted, request.now).unwrap_or(Received::Nothing))
        }
        Payload::Other => Ok(Received::Nothing),
    }
}

/// A click on a button of ours, which carries its connection; none of any other.
fn click(clicked: Clicked, now: Timestamp) -> Option<Received> {
    let action = clicked.actions.into_iter().next()?;
    let connection: ConnectionId = action.block_id.parse().ok()?;
    let (account, container) = (clicked.team?.id, clicked.container);
    if action.action_id.ends_with(ASKS) {
        let question = Question {
            connection,
            trigger: clicked.trigger_id.clone(),
            user: clicked.user.id,
            action: action.action_id,
            label: action.text.text,
            value: action.value,
            channel: container.channel_id,
            message: container.message_ts,
        };
        return Some(Received::Question { account, id: clicked.trigger_id, question });
    }
    let told = InteractionReceived {
        connection,
        id: clicked.trigger_id,
        kind: "button".to_owned(),
        user: person(clicked.user),
        action: action.action_id,
        value: action.value,
        channel: container.channel_id,
        message: container.message_ts,
        reply: String::new(),
        fields: BTreeMap::new(),
        at: now,
    };
    Some(Received::Interaction { account, told })
}

/// A reason that was entered in a dialog of ours.
fn submission(submitted: Submitted, now: Timestamp) -> Option<Received> {
    let mut view = submitted.view;
    if view.callback_id != CALLBACK {
        return None;
    }
    let about: About = serde_json::from_str(&view.private_metadata).ok()?;
    let entered = view.state.values.get_mut(BLOCK).and_then(|block| block.remove(FIELD)?.value);
    let told = InteractionReceived {
        connection: about.connection,
        id: submitted.trigger_id,
        kind: "dialog".to_owned(),
        user: person(submitted.user),
        action: about.action,
        value: about.value,
        channel: about.channel,
        message: about.message,
        reply: String::new(),
        fields: entered.map(|reason| (FIELD.to_owned(), reason)).into_iter().collect(),
        at: now,
    };
    Some(Received::Interaction { account: submitted.team?.id, told })
}

fn person(actor: Actor) -> VendorUser {
    VendorUser { id: actor.id, name: actor.name, email: None }
}

fn event(body: &[u8]) -> Result<Received, Refusal> {
    let revoked = |account, id, at, message| {
        let at = Timestamp::from_second(at).map_err(|_| Refusal::UNREADABLE)?;
        Ok(Received::Revoked { account, id, at, message })
    };
    match serde_json::from_slice(body).map_err(|_| Refusal::UNREADABLE)? {
        Envelope::UrlVerification { challenge } => Ok(Received::Handshake(challenge)),
        Envelope::EventCallback { event_id, team_id, event_time, event } => match event {
            Event::AppUninstalled => {
                revoked(team_id, event_id, event_time, "Accord was removed from the Slack workspace.")
            }
            // Those of people are not ours.
            Event::TokensRevoked { tokens } if !tokens.bot.is_empty() => {
                revoked(team_id, event_id, event_time, "Accord's access to the Slack workspace was revoked.")
            }
            Event::TokensRevoked { .. } | Event::Other => Ok(Received::Nothing),
        },
        Envelope::Other => Ok(Received::Nothing),
    }
}
