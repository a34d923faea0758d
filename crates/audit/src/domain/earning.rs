//! What is earned, what partners register, and what people decide about it.

use model::{
    AttributedTouch, AttributionChanged, AttributionSettingsChanged, CommissionChanged, ConnectionId,
    DealRegistrationChanged, DecisionTaken, PartnerChanged, PayoutCreated, kind,
};
use serde_json::{Value, json};

use super::{describe::Facts, entry::Outcome};

fn facts(action: &str, target: String, summary: String, details: Value) -> Facts {
    Facts {
        action: action.to_owned(),
        target,
        connection: None,
        outcome: Outcome::Ok,
        actor: None,
        summary,
        details: details.into(),
    }
}

pub(crate) fn attribution(kind: &str, changed: &AttributionChanged) -> Facts {
    let (count, status) = (changed.touches.len(), &changed.status);
    let summary = format!("The event {} is {status}, to {count} clicks", changed.event_type);
    // By ids: what partners are called, and whose event it is, is personal.
    let touch = |touch: &AttributedTouch| {
        let AttributedTouch { attribution, click, partner, program, weight, of, .. } = touch;
        json!({
            "attribution": attribution, "click": click, "partner": partner, "program": program, "weight": weight, "of": of,
        })
    };
    let touches: Vec<Value> = changed.touches.iter().map(touch).collect();
    let details = json!({ "status": status, "model": changed.model, "touches": touches });
    facts(kind, changed.event.to_string(), summary, details)
}

pub(crate) fn commission(kind: &str, changed: &CommissionChanged) -> Facts {
    let CommissionChanged { amount, currency, status, reason, .. } = changed;
    let summary = format!("A commission is {status} at {amount} {currency}: {reason}");
    let details = json!({
        "event": changed.event, "partner": changed.partner, "program": changed.program, "amount": amount,
        "before": changed.before, "currency": currency, "status": status, "reason": reason,
    });
    facts(kind, changed.commission.to_string(), summary, details)
}

pub(crate) fn decision(taken: &DecisionTaken) -> Facts {
    let (target, about) = match taken.commission {
        Some(commission) => (commission.to_string(), "commission"),
        None => (taken.click.clone(), "click"),
    };
    let noted = if taken.note.is_empty() { String::new() } else { format!(": {}", taken.note) };
    let details =
        json!({ "decision": taken.decision, "click": taken.click, "event": taken.event, "note": taken.note });
    let summary = format!("Decision about a {about}, {}{noted}", taken.decision);
    facts(kind::ATTRIBUTION_DECIDED, target, summary, details)
}

pub(crate) fn settings(changed: &AttributionSettingsChanged) -> Facts {
    let AttributionSettingsChanged { what, change, .. } = changed;
    // Of a connection: whether its CRM is told.
    let connection: Option<ConnectionId> = what.parse().ok();
    let done = change.replace('_', " ");
    let summary = match connection {
        Some(_) => format!("Writing attribution to the CRM was {done}"),
        None => format!("{what} was {done}"),
    };
    let details = json!({ "change": change });
    Facts { connection, ..facts(kind::ATTRIBUTION_SETTINGS_CHANGED, what.clone(), summary, details) }
}

pub(crate) fn partner(kind: &str, changed: &PartnerChanged) -> Facts {
    let PartnerChanged { partner, status, note, .. } = changed;
    let noted = if note.is_empty() { String::new() } else { format!(": {note}") };
    facts(
        kind,
        partner.to_string(),
        format!("A partner is {status}{noted}"),
        json!({ "status": status, "note": note }),
    )
}

pub(crate) fn payout(created: &PayoutCreated) -> Facts {
    let PayoutCreated { payout, partner, amount, currency, commissions, .. } = created;
    let summary = format!("A payout of {amount} {currency} for {commissions} commissions was written down");
    let details =
        json!({ "partner": partner, "amount": amount, "currency": currency, "commissions": commissions });
    facts(kind::PAYOUT_CREATED, payout.to_string(), summary, details)
}

pub(crate) fn deal_registration(kind: &str, changed: &DealRegistrationChanged) -> Facts {
    let DealRegistrationChanged { status, reason, domain, .. } = changed;
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let conflicts: Vec<Value> = changed
        .conflicts
        .iter()
        .map(|conflict| json!({ "kind": conflict.kind, "registration": conflict.registration }))
        .collect();
    facts(
        kind,
        changed.registration.to_string(),
        format!("The registration of a deal with {domain} is {status}{because}"),
        json!({
            "partner": changed.partner, "domain": domain, "deal_name": changed.deal_name, "amount": changed.amount,
            "currency": changed.currency, "status": status, "reason": reason, "conflicts": conflicts,
            "deal": changed.deal, "expires_at": changed.expires_at,
        }),
    )
}
