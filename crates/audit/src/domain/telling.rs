//! What is told in a vendor's channels, and what people do with it there.

use model::{CrmSettingsChanged, DecisionRefused, InteractionReceived, MessagePosted, kind, vendor_name};
use serde_json::json;

use super::{describe::Facts, entry::Outcome};

/// By the vendor's id of the person: what people are called is personal, and so is what they enter.
pub(crate) fn interaction(received: InteractionReceived) -> Facts {
    let InteractionReceived { connection, user, action, value, channel, message, .. } = received;
    Facts {
        action: kind::INTERACTION.to_owned(),
        target: value,
        connection: Some(connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("{} clicked {action}", user.id),
        details: json!({
            "action": action, "vendor_user": user.id, "channel": channel, "message": message,
        })
        .into(),
    }
}

pub(crate) fn posted(posted: MessagePosted) -> Facts {
    let MessagePosted { connection, post, channel, message, error } = posted;
    let summary = match &error {
        None => format!("a message was posted in {channel}"),
        Some(why) => format!("a message could not be posted in {channel}: {why}"),
    };
    Facts {
        action: kind::POSTED.to_owned(),
        target: post.to_string(),
        connection: Some(connection),
        outcome: if error.is_some() { Outcome::Failed } else { Outcome::Ok },
        actor: None,
        summary,
        details: json!({ "channel": channel, "message": message, "error": error }).into(),
    }
}

pub(crate) fn decision_refused(refused: DecisionRefused) -> Facts {
    let DecisionRefused { registration, decision, vendor, connection, vendor_user, user, reason, .. } =
        refused;
    Facts {
        action: kind::DEAL_REGISTRATION_REFUSED.to_owned(),
        target: registration.map_or_else(String::new, |id| id.to_string()),
        connection: Some(connection),
        outcome: Outcome::Refused,
        actor: None,
        summary: format!(
            "{vendor_user} of {} may not {decision} a deal registration: {reason}",
            vendor_name(&vendor)
        ),
        details: json!({
            "decision": decision, "vendor": vendor, "vendor_user": vendor_user, "user": user, "reason": reason,
        })
        .into(),
    }
}

pub(crate) fn settings(changed: CrmSettingsChanged) -> Facts {
    let CrmSettingsChanged { subject, id, change, connection, user, events, .. } = changed;
    let what = subject.replace('_', " ");
    Facts {
        action: format!("{subject}.{change}"),
        target: id.clone(),
        connection: Some(connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("{what} {id}: {change}"),
        details: json!({ "user": user, "events": events }).into(),
    }
}
