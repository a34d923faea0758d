//! Mailboxes and their limits, and who gets no mail.

use std::{collections::BTreeSet, ops::RangeInclusive};

use bus::outbox;
use chassis::guard::digest;
use jiff::Timestamp;
use model::{Actor, ConnectionId, MailingChanged};
use proto::crm as wire;
use secrecy::SecretString;

use super::{Asker, Service, campaigning::VENDORS, limit, no_such_page};
use crate::{
    Error,
    domain::{
        address,
        campaign::{Limits, spans},
    },
    error::Refusal,
    publisher,
    store::{self, mailboxes::Mailbox, suppressions::Suppression},
    suppressing::{self, Why},
    text::{self, LONGEST_NAME},
};

/// The most addresses of one request.
const MOST_ADDRESSES: usize = 10_000;
const PER_MINUTE: RangeInclusive<u32> = 1..=1_000;
const PER_DAY: RangeInclusive<u32> = 1..=100_000;

impl Service {
    pub(super) async fn list_mailboxes(
        &self,
        asker: &Asker,
        _: wire::ListMailboxesRequest,
    ) -> Result<wire::ListMailboxesResponse, Error> {
        Ok(wire::ListMailboxesResponse { mailboxes: self.mailboxes(asker).await? })
    }

    pub(super) async fn set_mailbox(
        &self,
        asker: &Asker,
        request: wire::SetMailboxRequest,
    ) -> Result<wire::Mailbox, Error> {
        let missing = || Refusal::missing("connection_not_found", "There is no such mailbox.");
        let connection: ConnectionId =
            text::id("connection_not_found", "connection", &request.connection_id)?;
        for (field, range, asked) in
            [("per_minute", PER_MINUTE, request.per_minute), ("per_day", PER_DAY, request.per_day)]
        {
            if !range.contains(&asked) {
                let message = format!("{field} is from {} to {}.", range.start(), range.end());
                return Err(Refusal::invalid(field, "limit_invalid", message).into());
            }
        }
        let mut tx = self.pool.begin().await?;
        let found = store::connections::find(&mut tx, asker.organization, connection).await?;
        found.filter(|(vendor, _)| VENDORS.contains(&vendor.as_str())).ok_or_else(missing)?;
        store::mailboxes::know(&mut tx, asker.organization, connection).await?;
        let limits = Limits { per_minute: request.per_minute, per_day: request.per_day };
        store::mailboxes::limit(&mut tx, connection, limits).await?;
        let changed = MailingChanged {
            subject: "mailbox".to_owned(),
            id: connection.to_string(),
            change: "changed".to_owned(),
            reason: String::new(),
            count: 0,
            at: self.now(),
        };
        let message = publisher::mailing(asker.organization, &changed, &asker.actor)?;
        outbox::enqueue(&mut tx, &[message]).await?;
        tx.commit().await?;
        self.waker.wake();
        let all = self.mailboxes(asker).await?;
        let set = all.into_iter().find(|it| it.connection_id == request.connection_id);
        Ok(set.ok_or_else(missing)?)
    }

    async fn mailboxes(&self, asker: &Asker) -> Result<Vec<wire::Mailbox>, Error> {
        let mut db = self.pool.acquire().await?;
        let mut mailboxes = Vec::new();
        for it in store::mailboxes::list(&mut db, asker.organization, &VENDORS).await? {
            let spans = spans(self.now());
            let (_, asked_today) = store::mailboxes::asked_since(&mut db, it.connection, spans).await?;
            let Mailbox { connection, vendor, state, limits } = it;
            mailboxes.push(wire::Mailbox {
                connection_id: connection.to_string(),
                vendor,
                state,
                per_minute: limits.per_minute,
                per_day: limits.per_day,
                asked_today,
            });
        }
        Ok(mailboxes)
    }

    pub(super) async fn list_suppressions(
        &self,
        asker: &Asker,
        request: wire::ListSuppressionsRequest,
    ) -> Result<wire::ListSuppressionsResponse, Error> {
        let limit = limit(request.limit)?;
        let query = text::optional("query", &request.query, LONGEST_NAME)?.to_lowercase();
        let below = read_page(&request.page)?;
        let most = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let mut db = self.pool.acquire().await?;
        let organization = asker.organization;
        let mut found = store::suppressions::page(&mut db, organization, &query, below, most).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        // Not its address: the page is part of a URL.
        let page = |last: &Suppression| format!("{}.{}", last.at.as_microsecond(), last.number);
        let next_page = found.last().filter(|_| more).map(page).unwrap_or_default();
        Ok(wire::ListSuppressionsResponse {
            suppressions: found.into_iter().map(to_wire).collect(),
            next_page,
        })
    }

    pub(super) async fn add_suppressions(
        &self,
        asker: &Asker,
        request: wire::AddSuppressionsRequest,
    ) -> Result<wire::AddSuppressionsResponse, Error> {
        if !(1..=MOST_ADDRESSES).contains(&request.emails.len()) {
            let message = format!("emails are from 1 to {MOST_ADDRESSES}.");
            return Err(Refusal::invalid("emails", "emails_invalid", message).into());
        }
        let (mut addresses, mut refused) = (BTreeSet::new(), Vec::new());
        let mut known = 0_u32;
        for (index, told) in (0_u32..).zip(&request.emails) {
            match address::email(told) {
                Some(address) => known += u32::from(!addresses.insert(address)),
                None => refused.push(wire::RecipientRefused {
                    index,
                    code: "address_invalid".to_owned(),
                    field: String::new(),
                }),
            }
        }
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        let mut tx = self.pool.begin().await?;
        let why = Why { reason: "manual", campaign: None, recipients: &[], actor: &asker.actor };
        let added = suppressing::suppress(&mut tx, asker.organization, &addresses, &why, self.now()).await?;
        tx.commit().await?;
        self.waker.wake();
        known += u32::try_from(addresses.len()).unwrap_or(u32::MAX).saturating_sub(added);
        Ok(wire::AddSuppressionsResponse { added, known, refused })
    }

    pub(super) async fn remove_suppression(
        &self,
        asker: &Asker,
        request: wire::RemoveSuppressionRequest,
    ) -> Result<wire::RemoveSuppressionResponse, Error> {
        let missing =
            || Refusal::missing("suppression_not_found", "The address is not on the suppression list.");
        let address = address::email(&request.email).ok_or_else(missing)?;
        let mut tx = self.pool.begin().await?;
        if !store::suppressions::remove(&mut tx, asker.organization, &address).await? {
            return Err(missing().into());
        }
        suppressing::tell(&mut tx, asker.organization, ("removed", 1), &asker.actor, self.now()).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(wire::RemoveSuppressionResponse {})
    }

    /// Whoever has the link may do this; nothing of the mail or the person is told.
    pub(super) async fn opt_out(&self, request: wire::OptOutRequest) -> Result<wire::OptOutResponse, Error> {
        let missing = || Refusal::missing("link_not_found", "There is no such link.");
        let token = Some(request.token).filter(|token| (1..=LONGEST_NAME).contains(&token.len()));
        let hash = digest(&SecretString::from(token.ok_or_else(missing)?));
        let mut tx = self.pool.begin().await?;
        let mail = store::mails::of_token(&mut tx, hash).await?.ok_or_else(missing)?;
        let recipient = store::recipients::find(&mut tx, mail.campaign, mail.recipient).await?;
        let recipient = recipient.ok_or_else(missing)?;
        let actor = Actor::Service("crm").to_string();
        let why = Why {
            reason: "opted_out",
            campaign: Some(mail.campaign),
            recipients: &[mail.recipient],
            actor: &actor,
        };
        let addresses = [recipient.address.as_str()];
        suppressing::suppress(&mut tx, mail.organization, &addresses, &why, self.now()).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(wire::OptOutResponse {})
    }
}

/// `microseconds.number`: where the last page ended.
fn read_page(page: &str) -> Result<(Timestamp, i64), Refusal> {
    if page.is_empty() {
        // Above everything that can be stored.
        let at = Timestamp::from_second(32_503_680_000).unwrap_or(Timestamp::MAX);
        return Ok((at, 0));
    }
    let found = page.split_once('.').and_then(|(at, number)| {
        let at = Timestamp::from_microsecond(at.parse().ok()?).ok()?;
        let is_stored = (-2_208_988_800..=32_503_679_999).contains(&at.as_second());
        Some((at, number.parse().ok()?)).filter(|_| is_stored)
    });
    found.ok_or_else(no_such_page)
}

fn to_wire(it: Suppression) -> wire::Suppression {
    wire::Suppression {
        email: it.address,
        reason: it.reason,
        campaign_id: it.campaign.map(|id| id.to_string()).unwrap_or_default(),
        at: Some(proto::to_wire_time(it.at)),
    }
}
