//! What leaves this room, through the outbox, in the transaction of what it tells.

use bus::{Message, subject};
use jiff::Timestamp;
use model::{DealRegistrationChanged, RecordId, kind};

use crate::{Error, domain::registration::Status, store::registrations::Registration};

const SOURCE: &str = "crm";

/// A deal was registered, decided about, or its time is over; none where somebody only looks into it.
pub(crate) fn registration(
    now_is: &Registration,
    company_record: Option<RecordId>,
    actor: &str,
    at: Timestamp,
) -> Result<Option<Message>, Error> {
    let standing = &now_is.standing;
    let kind = match standing.status {
        Status::Submitted => kind::DEAL_REGISTRATION_SUBMITTED,
        Status::Approved => kind::DEAL_REGISTRATION_APPROVED,
        Status::Rejected => kind::DEAL_REGISTRATION_REJECTED,
        Status::Expired => kind::DEAL_REGISTRATION_EXPIRED,
        Status::UnderReview => return Ok(None),
    };
    let is_protected = standing.deal.is_some();
    let body = DealRegistrationChanged {
        registration: now_is.id,
        partner: now_is.partner,
        partner_record: now_is.partner_record,
        company: now_is.company_name.clone(),
        domain: now_is.domain.clone(),
        company_record,
        deal_name: now_is.deal_name.clone(),
        amount: now_is.amount.map(|amount| amount.to_string()),
        currency: now_is.currency.clone(),
        expected_close: now_is.expected_close,
        status: standing.status.name().to_owned(),
        reason: standing.reason.clone(),
        conflicts: now_is.conflicts.clone(),
        deal: standing.deal,
        expires_at: is_protected.then_some(standing.expires_at),
        submitted_at: now_is.submitted_at,
        at,
    };
    let (noun, rest) = kind.split_once('.').unwrap_or((kind, ""));
    let subject = subject::event(noun, &now_is.organization, rest);
    Ok(Some(Message::json(subject, kind, SOURCE, now_is.organization, at, &body)?.by(actor)))
}
