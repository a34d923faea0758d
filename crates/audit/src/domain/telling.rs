//! What is told in a vendor's channels and what people do with it there, and mails that went out.

use model::{
    CrmSettingsChanged, DecisionRefused, InteractionReceived, MailSent, MailState, MailingChanged,
    MessagePosted, VendorUserTold, kind, vendor_name,
};
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

/// By the vendor's id: what people are called is personal.
pub(crate) fn vendor_user(told: VendorUserTold) -> Facts {
    let VendorUserTold { connection, user, .. } = told;
    Facts {
        action: kind::VENDOR_USER.to_owned(),
        target: user.id.clone(),
        connection: Some(connection),
        outcome: Outcome::Ok,
        actor: None,
        summary: format!("it was looked up who {} is", user.id),
        details: json!({ "vendor_user": user.id }).into(),
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

/// Whom it was for and what it said stays where it is.
pub(crate) fn mailed(sent: MailSent) -> Facts {
    let MailSent { connection, mail, state, external_id, error, retryable, .. } = sent;
    let why = error.as_deref().unwrap_or("unknown");
    let summary = match state {
        MailState::Sent => "a mail was sent".to_owned(),
        MailState::Failed => format!("a mail was not sent: {why}"),
        MailState::Unsure => format!("a mail may have been sent, and is not sent again: {why}"),
    };
    Facts {
        action: kind::MAILED.to_owned(),
        target: mail.to_string(),
        connection: Some(connection),
        outcome: if state == MailState::Sent { Outcome::Ok } else { Outcome::Failed },
        actor: None,
        summary,
        details: json!({ "vendor_id": external_id, "error": error, "retryable": retryable }).into(),
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

/// Whom mails are sent to is personal: only how many they are is told.
pub(crate) fn mailing(changed: MailingChanged) -> Facts {
    let MailingChanged { subject, id, change, reason, count, .. } = changed;
    let what = change.replace('_', " ");
    let mut summary = format!("{subject} {id}: {what}").replace(" :", ":");
    if !reason.is_empty() {
        summary.push_str(&format!(" ({reason})"));
    }
    Facts {
        action: format!("{subject}.{change}"),
        target: id,
        connection: None,
        outcome: Outcome::Ok,
        actor: None,
        summary,
        details: json!({ "reason": reason, "count": count }).into(),
    }
}
