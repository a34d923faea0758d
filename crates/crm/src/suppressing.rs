//! People come to get no mail any more: the list is kept, and whoever waits for a mail is taken out, in one transaction.

use bus::outbox;
use jiff::Timestamp;
use model::{CampaignId, MailingChanged, OrganizationId, RecipientId};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::campaign::{Fact, State, decide},
    publisher,
    store::{self, recipients::Recipient},
};

/// Why addresses get no mail any more.
pub(crate) struct Why<'a> {
    /// `opted_out`, `bounced` or `manual`.
    pub(crate) reason: &'static str,
    /// The campaign whose mail it was, and those of its recipients to whom it happened.
    pub(crate) campaign: Option<CampaignId>,
    pub(crate) recipients: &'a [RecipientId],
    pub(crate) actor: &'a str,
}

/// Puts addresses on the list; how many are new there.
pub(crate) async fn suppress(
    tx: &mut PgConnection,
    organization: OrganizationId,
    addresses: &[&str],
    why: &Why<'_>,
    now: Timestamp,
) -> Result<u32, Error> {
    let new =
        store::suppressions::put(&mut *tx, organization, addresses, (why.reason, why.campaign), now).await?;
    for recipient in store::recipients::lock_addresses(&mut *tx, organization, addresses).await? {
        let fact = match why.reason {
            "opted_out" if why.recipients.contains(&recipient.id) => Fact::OptedOut,
            "bounced" if why.recipients.contains(&recipient.id) => Fact::Bounced,
            reason => Fact::Suppressed(reason.to_owned()),
        };
        settle(&mut *tx, &recipient, &fact, now).await?;
    }
    if new > 0 {
        let change = if why.reason == "manual" { "added" } else { why.reason };
        tell(tx, organization, (change, new), why.actor, now).await?;
    }
    Ok(new)
}

/// What ends a recipient's turn happened; nothing where it ended before.
pub(crate) async fn settle(
    tx: &mut PgConnection,
    recipient: &Recipient,
    fact: &Fact,
    now: Timestamp,
) -> Result<(), Error> {
    // No such fact asks when a next step is due.
    let Some(standing) = decide(&recipient.standing, fact, &[]) else { return Ok(()) };
    if recipient.standing.state == State::Sending {
        // It answers what became of it.
        let asked = store::mails::asked(&mut *tx, recipient.id).await?;
        publisher::withdraw(&mut *tx, recipient.organization, &asked, now).await?;
    }
    store::recipients::update(tx, recipient.id, &standing, now).await
}

/// The audit hears how many they are, and not who.
pub(crate) async fn tell(
    tx: &mut PgConnection,
    organization: OrganizationId,
    (change, count): (&str, u32),
    actor: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let changed = MailingChanged {
        subject: "suppression".to_owned(),
        id: String::new(),
        change: change.to_owned(),
        reason: String::new(),
        count,
        at: now,
    };
    Ok(outbox::enqueue(tx, &[publisher::mailing(organization, &changed, actor)?]).await?)
}
