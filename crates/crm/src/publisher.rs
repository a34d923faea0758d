//! What leaves this room, through the outbox, in the transaction of what it tells.

use bus::{Message, outbox, subject};
use jiff::Timestamp;
use model::{
    AnswerPrivately, CrmSettingsChanged, DealRegistrationChanged, DecisionRefused, MailingChanged,
    OrganizationId, PostContent, PostMessage, RecordId, SendMail, WithdrawMail, kind,
};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::registration::Status,
    store::{posts::Post, registrations::Registration},
};

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

/// A vendor is asked to post a message, or to put it in the place of another one.
pub(crate) fn post(
    post: &Post,
    replaces: Option<&str>,
    content: &PostContent,
    cause: &str,
    at: Timestamp,
) -> Result<Message, Error> {
    let partition = subject::partition(&post.connection);
    let subject = subject::post(&post.vendor, partition, &post.organization);
    let body = PostMessage {
        connection: post.connection,
        post: post.id,
        channel: post.channel.clone(),
        replaces: replaces.map(str::to_owned),
        content: content.clone(),
    };
    let message = Message::json(subject, kind::POST, SOURCE, post.organization, at, &body)?;
    Ok(message.with_id(post.id.to_string()).caused_by(cause))
}

/// A vendor is asked to tell one person something.
pub(crate) fn answer(
    organization: OrganizationId,
    vendor: &str,
    answer: &AnswerPrivately,
    cause: &str,
    at: Timestamp,
) -> Result<Message, Error> {
    let partition = subject::partition(&answer.connection);
    let subject = subject::answer(vendor, partition, &organization);
    let message = Message::json(subject, kind::ANSWER, SOURCE, organization, at, answer)?;
    Ok(message.caused_by(cause))
}

/// Somebody may not decide, or comes too late.
pub(crate) fn refused(
    organization: OrganizationId,
    refused: &DecisionRefused,
    actor: &str,
    cause: &str,
) -> Result<Message, Error> {
    let subject = subject::event("deal_registration", &organization, "decision_refused");
    let kind = kind::DEAL_REGISTRATION_REFUSED;
    let message = Message::json(subject, kind, SOURCE, organization, refused.at, refused)?;
    Ok(message.by(actor).caused_by(cause))
}

/// Somebody changed a rule, or who a vendor's user is.
pub(crate) fn settings(
    organization: OrganizationId,
    changed: &CrmSettingsChanged,
    actor: &str,
) -> Result<Message, Error> {
    let subject = subject::event("crm", &organization, "settings_changed");
    let message =
        Message::json(subject, kind::CRM_SETTINGS_CHANGED, SOURCE, organization, changed.at, changed)?;
    Ok(message.by(actor))
}

/// A mailbox is asked to send a mail.
pub(crate) fn mail(
    organization: OrganizationId,
    vendor: &str,
    mail: &SendMail,
    at: Timestamp,
) -> Result<Message, Error> {
    let partition = subject::partition(&mail.connection);
    let subject = subject::mail(vendor, partition, &organization);
    let message = Message::json(subject, kind::MAIL, SOURCE, organization, at, mail)?;
    Ok(message.with_id(mail.mail.to_string()))
}

/// Mailboxes are not to send these mails any more, of which each is given with its vendor.
pub(crate) async fn withdraw(
    tx: &mut PgConnection,
    organization: OrganizationId,
    mails: &[(String, WithdrawMail)],
    at: Timestamp,
) -> Result<(), Error> {
    let message = |(vendor, mail): &(String, WithdrawMail)| {
        let subject = subject::mail(vendor, subject::partition(&mail.connection), &organization);
        Message::json(subject, kind::MAIL_WITHDRAWAL, SOURCE, organization, at, mail)
    };
    let messages: Vec<Message> = mails.iter().map(message).collect::<Result<_, _>>()?;
    Ok(outbox::enqueue(tx, &messages).await?)
}

/// Something about campaigns changed, or about who gets no mail.
pub(crate) fn mailing(
    organization: OrganizationId,
    changed: &MailingChanged,
    actor: &str,
) -> Result<Message, Error> {
    let subject = subject::event("crm", &organization, "mailing_changed");
    let message =
        Message::json(subject, kind::CRM_MAILING_CHANGED, SOURCE, organization, changed.at, changed)?;
    Ok(message.by(actor))
}
