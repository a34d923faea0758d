//! What leaves this room, through the outbox, in the transaction of what it tells.

use bus::{Message, subject};
use jiff::Timestamp;
use model::{
    AttributedRecord, AttributedTouch, AttributionChanged, AttributionSettingsChanged, CommissionChanged,
    CommissionId, DecisionTaken, OrganizationId, PartnerChanged, PayoutCreated, ReadRequested,
    WatchRequested, kind,
};
use serde::Serialize;

use crate::{
    Error,
    domain::{
        facts::{Conversion, is_email},
        outcome::{CommissionStatus as Status, Position},
        terms::Names,
    },
    store::{
        facts::{NewDecision, named},
        standing::{CommissionRow, Opened},
    },
    text,
};

const SOURCE: &str = "attribution";

fn message<T: Serialize>(
    organization: OrganizationId,
    kind: &'static str,
    at: Timestamp,
    body: &T,
) -> Result<Message, Error> {
    let (noun, rest) = kind.split_once('.').unwrap_or((kind, ""));
    let subject = subject::event(noun, &organization, rest);
    Ok(Message::json(subject, kind, SOURCE, organization, at, body)?)
}

/// An event is attributed for the first time, or otherwise than before.
pub(crate) fn attributed(
    set: &Opened,
    conversion: Option<&Conversion>,
    user: &str,
    names: &Names,
    at: Timestamp,
) -> Result<Message, Error> {
    let first = set.standing.generation == 1;
    let kind = if first { kind::ATTRIBUTION_CREATED } else { kind::ATTRIBUTION_REPLACED };
    let touches = set.standing.touches.iter().map(|touch| AttributedTouch {
        attribution: touch.id,
        click: touch.click.to_string(),
        partner: touch.partner,
        program: touch.program,
        weight: touch.weight.numerator,
        of: touch.weight.denominator,
        partner_name: names.partners.get(&touch.partner).cloned().unwrap_or_default(),
        program_name: names.programs.get(&touch.program).cloned().unwrap_or_default(),
    });
    let body = AttributionChanged {
        event: set.event,
        event_type: conversion.map_or_else(String::new, |conversion| conversion.kind.to_string()),
        status: set.standing.status.name().to_owned(),
        model: set.standing.model.map(|model| model.name().to_owned()),
        touches: touches.collect(),
        at,
        generation: set.standing.generation,
        occurred_at: Some(set.ts),
        user_id: user.to_owned(),
        source: conversion.and_then(|conversion| source(&conversion.metadata)),
        pii: if is_email(user) { vec!["user_id".to_owned()] } else { Vec::new() },
    };
    message(set.organization, kind, at, &body)
}

/// The vendor's record of which an event tells: conversion rules say it, and whoever sends an event can.
fn source(metadata: &serde_json::Value) -> Option<AttributedRecord> {
    let text = |name| metadata.get(name).and_then(serde_json::Value::as_str);
    Some(AttributedRecord {
        connection: text("connection")?.parse().ok()?,
        object: text("object")?.to_owned(),
        record: text("record_id")?.to_owned(),
    })
}

/// A commission stands otherwise; none where only what does not concern others changed.
pub(crate) fn commission(
    before: Option<Position>,
    row: &CommissionRow,
    at: Timestamp,
) -> Result<Option<Message>, Error> {
    let is = row.is.position;
    let was = before.filter(|before| before.status != Status::Reversed);
    let kind = match was {
        Some(was) if was.status == is.status && was.due == is.due => return Ok(None),
        Some(was) if was.status == is.status => kind::COMMISSION_ADJUSTED,
        _ => match is.status {
            Status::Accrued => kind::COMMISSION_ACCRUED,
            Status::Approved => kind::COMMISSION_APPROVED,
            Status::Paid => kind::COMMISSION_PAID,
            Status::Reversed => kind::COMMISSION_REVERSED,
        },
    };
    let body = CommissionChanged {
        commission: row.id,
        event: row.is.key.conversion,
        partner: row.is.partner,
        program: row.program,
        amount: text::amount(is.due, row.is.currency),
        before: was.map(|was| text::amount(was.due, row.is.currency)),
        currency: row.is.currency.code().to_owned(),
        status: is.status.name().to_owned(),
        reason: row.is.reason.name().to_owned(),
        at,
    };
    message(row.organization, kind, at, &body).map(Some)
}

/// Somebody, or a guard, decided about a commission or a click.
pub(crate) fn decided(new: &NewDecision, commission: Option<CommissionId>) -> Result<Message, Error> {
    let decision = &new.decision;
    let (name, click, event, _) = named(&decision.verdict);
    let body = DecisionTaken {
        decision: name.to_owned(),
        click: click.to_string(),
        commission,
        event,
        note: new.note.clone(),
        at: decision.at,
    };
    Ok(message(new.organization, kind::ATTRIBUTION_DECIDED, decision.at, &body)?.by(&new.actor))
}

/// Somebody changed what is believed, or who is told what happens.
pub(crate) fn settings(
    organization: OrganizationId,
    what: impl Into<String>,
    change: &str,
    actor: &str,
    at: Timestamp,
) -> Result<Message, Error> {
    let body = AttributionSettingsChanged { what: what.into(), change: change.to_owned(), at };
    Ok(message(organization, kind::ATTRIBUTION_SETTINGS_CHANGED, at, &body)?.by(actor))
}

/// A partner was created, activated or revoked.
pub(crate) fn partner(
    organization: OrganizationId,
    kind: &'static str,
    changed: &PartnerChanged,
    actor: &str,
) -> Result<Message, Error> {
    Ok(message(organization, kind, changed.at, changed)?.by(actor))
}

/// Conversion rules look at an object of a connection.
pub(crate) fn watch_requested(
    organization: OrganizationId,
    wish: &WatchRequested,
    actor: &str,
    at: Timestamp,
) -> Result<Message, Error> {
    Ok(message(organization, kind::WATCH_REQUESTED, at, wish)?.by(actor))
}

/// Records are wanted whole.
pub(crate) fn read_requested(
    organization: OrganizationId,
    wish: &ReadRequested,
    at: Timestamp,
) -> Result<Message, Error> {
    message(organization, kind::READ_REQUESTED, at, wish)
}

/// A payout was written down.
pub(crate) fn payout(
    organization: OrganizationId,
    created: &PayoutCreated,
    actor: &str,
) -> Result<Message, Error> {
    Ok(message(organization, kind::PAYOUT_CREATED, created.at, created)?.by(actor))
}
