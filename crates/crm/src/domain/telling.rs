//! What is told in a channel, in plain words.

use jiff::Timestamp;
use model::{
    CommissionChanged, ConnectionChanged, PayoutCreated, PostButton, PostContent, RecordChanged, Value,
    vendor_name,
};

use crate::{domain::registration::Status, store::registrations::Registration};

/// A partner was created.
pub(crate) const PARTNER_CREATED: &str = "partner_created";
/// A partner came to another tier.
pub(crate) const TIER_CHANGED: &str = "partner_tier_changed";
/// A deal was won.
pub(crate) const DEAL_WON: &str = "deal_won";
/// A deal was lost.
pub(crate) const DEAL_LOST: &str = "deal_lost";
/// A partner earned a commission.
pub(crate) const COMMISSION_ACCRUED: &str = "commission_accrued";
/// A payout was written down.
pub(crate) const PAYOUT_CREATED: &str = "payout_created";
/// A connection does not work any more.
pub(crate) const SYNC_TROUBLE: &str = "sync_trouble";
/// A partner registered a deal.
pub(crate) const REGISTRATION_SUBMITTED: &str = "registration_submitted";

/// The events that a rule may want.
pub(crate) const EVENTS: [&str; 8] = [
    PARTNER_CREATED,
    TIER_CHANGED,
    DEAL_WON,
    DEAL_LOST,
    COMMISSION_ACCRUED,
    PAYOUT_CREATED,
    SYNC_TROUBLE,
    REGISTRATION_SUBMITTED,
];

/// Whoever clicks it approves the registration.
pub(crate) const APPROVE: &str = "registration:approve";
/// Whoever clicks it is asked why, and then rejects the registration.
pub(crate) const REJECT: &str = "registration:reject:ask";

/// Lines of what is known.
fn lines<const N: usize>(lines: [(&str, String); N]) -> Vec<(String, String)> {
    let known = lines.into_iter().filter(|(_, value)| !value.is_empty());
    known.map(|(label, value)| (label.to_owned(), value)).collect()
}

/// `45000.00 EUR`; empty without an amount.
fn money(amount: &str, currency: &str) -> String {
    if amount.is_empty() { String::new() } else { format!("{amount} {currency}").trim_end().to_owned() }
}

/// A moment as people read it.
pub(crate) fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d at %H:%M UTC").to_string()
}

/// A new partner.
pub(crate) fn partner_created(partner: String) -> PostContent {
    PostContent {
        title: "New partner".to_owned(),
        lines: lines([("Partner", partner)]),
        ..PostContent::default()
    }
}

/// A partner came from one tier to another.
pub(crate) fn tier_changed(partner: String, before: &Value, after: &Value) -> PostContent {
    let lines = lines([("Partner", partner), ("Before", before.to_string()), ("Now", after.to_string())]);
    PostContent { title: "A partner is in another tier".to_owned(), lines, ..PostContent::default() }
}

/// What is known of a deal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deal {
    pub(crate) name: String,
    pub(crate) amount: String,
    pub(crate) currency: String,
    pub(crate) partner: String,
}

/// A deal was won or lost.
pub(crate) fn deal_closed(is_won: bool, deal: Deal) -> PostContent {
    let title = if is_won { "Deal won" } else { "Deal lost" };
    let amount = money(&deal.amount, &deal.currency);
    let lines = lines([("Deal", deal.name), ("Partner", deal.partner), ("Amount", amount)]);
    PostContent { title: title.to_owned(), lines, ..PostContent::default() }
}

/// A partner earned a commission.
pub(crate) fn commission_accrued(partner: String, changed: &CommissionChanged) -> PostContent {
    let lines = lines([
        ("Partner", partner),
        ("Amount", money(&changed.amount, &changed.currency)),
        ("Because", changed.reason.replace('_', " ")),
    ]);
    PostContent { title: "Commission accrued".to_owned(), lines, ..PostContent::default() }
}

/// A payout was written down.
pub(crate) fn payout_created(partner: String, created: &PayoutCreated) -> PostContent {
    let lines = lines([
        ("Partner", partner),
        ("Amount", money(&created.amount, &created.currency)),
        ("Commissions", created.commissions.to_string()),
    ]);
    let text = "Its money has not moved yet.".to_owned();
    PostContent { title: "Payout written down".to_owned(), lines, text, ..PostContent::default() }
}

/// A connection does not work any more.
pub(crate) fn trouble(changed: &ConnectionChanged, needs_person: bool) -> PostContent {
    let vendor = vendor_name(&changed.vendor);
    let why = changed.message.clone().or_else(|| changed.reason.as_ref().map(|code| code.replace('_', " ")));
    let text = if needs_person {
        "Somebody must connect it again: Settings > Integrations."
    } else {
        "It is tried again by itself."
    };
    PostContent {
        title: format!("{vendor} does not sync"),
        lines: lines([
            ("Account", changed.account.clone().unwrap_or_default()),
            ("Why", why.unwrap_or_default()),
        ]),
        text: text.to_owned(),
        ..PostContent::default()
    }
}

/// A deal registration as it stands, with two buttons while somebody is to decide. Whom to talk to at the company, and what
/// the partner noted, is not told here.
pub(crate) fn registration(it: &Registration, partner: String, decided_by: &str) -> PostContent {
    let others = it.conflicts.iter().filter(|conflict| conflict.kind == "channel").count();
    let same = it.conflicts.len() - others;
    let mut known = Vec::new();
    if others > 0 {
        known.push("another partner registered this company before".to_owned());
    }
    if same > 0 {
        known.push("the partner registered another deal with it before".to_owned());
    }
    let amount = it.amount.map(|amount| amount.to_string()).unwrap_or_default();
    let lines = lines([
        ("Partner", partner),
        ("Company", format!("{} ({})", it.company_name, it.domain)),
        ("Amount", money(&amount, &it.currency)),
        ("Expected close", it.expected_close.map(|day| day.to_string()).unwrap_or_default()),
        ("Note", known.join("; ")),
    ]);
    let (text, buttons) = match it.standing.status {
        Status::Submitted | Status::UnderReview => (String::new(), buttons(it)),
        _ => (decision(it, decided_by), Vec::new()),
    };
    PostContent { title: format!("Deal registration: {}", it.deal_name), lines, text, buttons, link: None }
}

fn buttons(it: &Registration) -> Vec<PostButton> {
    let button = |action: &str, label: &str, style: &str| PostButton {
        action: action.to_owned(),
        label: label.to_owned(),
        value: it.id.to_string(),
        style: style.to_owned(),
    };
    vec![button(APPROVE, "Approve", "primary"), button(REJECT, "Reject", "danger")]
}

/// What became of a registration, and by whom.
pub(crate) fn decision(it: &Registration, by: &str) -> String {
    let standing = &it.standing;
    let when = standing.decided.as_ref().map(|decided| moment(decided.at)).unwrap_or_default();
    match (standing.status, &standing.decided) {
        (Status::Approved, _) => format!("Approved by {by} on {when}."),
        (Status::Rejected, _) => format!("Rejected by {by} on {when}: {}", standing.reason),
        (Status::Expired, Some(_)) => {
            format!("Approved by {by} on {when}. Its protection ended on {}.", moment(standing.expires_at))
        }
        (Status::Expired, None) => {
            format!("Expired on {}: nobody decided in time.", moment(standing.expires_at))
        }
        (Status::Submitted | Status::UnderReview, _) => "Nobody has decided yet.".to_owned(),
    }
}

/// Whether a change of a deal says that it was won, or lost. One that was there already is not told.
pub(crate) fn closed(changed: &RecordChanged) -> Option<bool> {
    let told = |field: &str| {
        let now = outcome(changed.fields.get(field)?)?;
        (changed.before.get(field).and_then(outcome) != Some(now)).then_some(now)
    };
    // The stage says the same in other words, where the deal has no status.
    if changed.fields.contains_key("status") { told("status") } else { told("stage") }
}

fn outcome(value: &Value) -> Option<bool> {
    let Value::Text(text) = value else { return None };
    let word: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
    match word.to_lowercase().as_str() {
        "won" | "closedwon" => Some(true),
        "lost" | "closedlost" => Some(false),
        _ => None,
    }
}

/// The tiers that a change of a partner tells, before and now.
pub(crate) fn tiers(changed: &RecordChanged) -> Option<(&Value, &Value)> {
    let (before, after) = (changed.before.get("tier")?, changed.fields.get("tier")?);
    (before != after && !after.is_blank()).then_some((before, after))
}

/// Why a message could not be posted, in words.
pub(crate) fn why_not(vendor: &str, code: &str) -> String {
    let vendor = vendor_name(vendor);
    match code {
        "" => String::new(),
        "channel_not_found" => {
            format!("{vendor} has no such channel, or Accord is not in it. Invite it there.")
        }
        "not_in_channel" => "Accord is not in the channel. Invite it there.".to_owned(),
        "is_archived" => "The channel is archived.".to_owned(),
        "message_not_found" => "The message is not there any more.".to_owned(),
        "restricted_action" => "The channel does not let Accord post.".to_owned(),
        "token_revoked" | "token_expired" | "account_inactive" | "invalid_auth" | "reauth_required" => {
            format!("{vendor} does not accept the connection any more. Connect it again.")
        }
        "connection_gone" | "disconnected" => format!("{vendor} was disconnected."),
        other => format!("{vendor} refused the message: {}.", other.replace('_', " ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use model::{CanonicalObject, RecordId};

    use super::*;

    fn changed(before: &[(&str, &str)], now: &[(&str, &str)]) -> RecordChanged {
        let map = |fields: &[(&str, &str)]| {
            let one = |(name, text): &(&str, &str)| ((*name).to_owned(), Value::text(*text));
            fields.iter().map(one).collect::<BTreeMap<_, _>>()
        };
        RecordChanged {
            record: RecordId::generate(Timestamp::UNIX_EPOCH),
            object: CanonicalObject::Deal,
            version: 2,
            fields: map(now),
            before: map(before),
            truncated: false,
            pii: Vec::new(),
            actor: String::new(),
            at: Timestamp::UNIX_EPOCH,
            connection: None,
        }
    }

    #[test]
    fn a_deal_is_told_once_when_it_comes_to_be_won_or_lost() {
        let of = |before: &[_], now: &[_]| closed(&changed(before, now));
        assert_eq!(of(&[("status", "open")], &[("status", "won")]), Some(true));
        assert_eq!(of(&[("stage", "Proposal")], &[("stage", "Closed Lost")]), Some(false));
        assert_eq!(of(&[("stage", "closedwon")], &[("stage", "Closed Won")]), None);
        assert_eq!(of(&[("status", "won")], &[("status", "open")]), None);
        assert_eq!(of(&[("status", "won"), ("stage", "x")], &[("status", "won"), ("stage", "won")]), None);
        assert_eq!(of(&[("name", "won")], &[("name", "won")]), None);
    }

    #[test]
    fn a_tier_is_told_when_it_is_another_one() {
        let of = |before: &[_], now: &[_]| tiers(&changed(before, now)).is_some();
        assert!(of(&[("tier", "Silver")], &[("tier", "Gold")]));
        assert!(!of(&[("tier", "Gold")], &[("tier", "Gold")]));
        assert!(!of(&[("tier", "Gold")], &[("tier", "")]));
        assert!(!of(&[], &[("tier", "Gold")]));
    }
}
