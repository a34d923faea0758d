//! What mailboxes answered to the mails that they were asked to send.

use std::sync::Arc;

use bus::{
    Bus, Message,
    outbox::{self, Waker},
    subject,
};
use jiff::Timestamp;
use model::{Actor, Clock, MAIL_WITHDRAWN, MailSent, MailState, MailingChanged, kind};
use sqlx::{PgConnection, PgPool};

use crate::{
    Error,
    domain::campaign::{Fact, decide},
    hearing::Hears,
    publisher,
    store::{self, campaigns::Campaign},
    text::{self, LONGEST_NAME},
};

/// The mailbox could not send for so long that the mail was given up.
const TOO_LATE: &str = "mail_too_late";

/// Hears what became of mails.
pub(crate) struct Answers {
    pub(crate) pool: PgPool,
    pub(crate) bus: Bus,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: Waker,
}

impl Hears for Answers {
    const STREAM: &'static str = subject::CHANGES;
    const DURABLE: &'static str = "crm-mails";
    const FILTERS: &'static [&'static str] = &[subject::ALL_MAILED];
    const FAILED: &'static str = "crm_mail_failed";
    type Heard = MailSent;

    fn bus(&self) -> &Bus {
        &self.bus
    }

    fn read(message: &Message) -> Result<Option<MailSent>, bus::Error> {
        match message.envelope.kind.as_str() {
            kind::MAILED => Ok(Some(message.decode()?)),
            _ => Ok(None),
        }
    }

    /// Needs no inbox: the first answer to a mail stands.
    async fn keep(&self, message: &Message, heard: &MailSent) -> Result<(), Error> {
        let organization = message.envelope.organization;
        let mut tx = self.pool.begin().await?;
        let found = store::mails::find(&mut tx, organization, heard.connection, heard.mail).await?;
        let Some(mail) = found else { return Ok(()) };
        let campaign = store::campaigns::find(&mut tx, organization, mail.campaign).await?;
        let recipient = store::recipients::lock(&mut tx, organization, mail.recipient).await?;
        let (Some(campaign), Some(recipient)) = (campaign, recipient) else { return Ok(()) };
        let now = text::micros(self.clock.now());
        let error: String = heard.error.as_deref().unwrap_or("failed").chars().take(LONGEST_NAME).collect();
        // It was the mailbox, and not this mail: it did not send at all, or not in time.
        let at_fault = heard.state == MailState::Failed && (heard.retryable || error == TOO_LATE);
        let (answer, fact) = match heard.state {
            // What was handed over is sent once at most, whatever the vendor can say of it.
            MailState::Sent | MailState::Unsure => (("sent", ""), Fact::Sent(text::micros(heard.at))),
            // Of whoever is still to get it, a mail is withdrawn while the campaign is paused.
            MailState::Failed if at_fault || error == MAIL_WITHDRAWN => {
                (("failed", error.as_str()), Fact::Returned(now))
            }
            MailState::Failed => (("failed", error.as_str()), Fact::Failed(error.clone())),
        };
        let ids = (heard.external_id.as_deref(), heard.thread.as_deref());
        if !store::mails::answered(&mut tx, mail.id, answer, ids, now).await? {
            return Ok(());
        }
        if let Some(standing) = decide(&recipient.standing, &fact, &campaign.delays()) {
            store::recipients::update(&mut tx, recipient.id, &standing, now).await?;
        }
        if at_fault {
            pause(&mut tx, &campaign, &error, now).await?;
        }
        tx.commit().await?;
        self.waker.wake();
        Ok(())
    }
}

/// The mailbox is at fault: the campaign waits until somebody put it in order.
async fn pause(tx: &mut PgConnection, campaign: &Campaign, error: &str, now: Timestamp) -> Result<(), Error> {
    if !store::campaigns::pause(&mut *tx, campaign.id, error).await? {
        return Ok(());
    }
    let changed = MailingChanged {
        subject: "campaign".to_owned(),
        id: campaign.id.to_string(),
        change: "paused".to_owned(),
        reason: error.to_owned(),
        count: 0,
        at: now,
    };
    let actor = Actor::Service("crm").to_string();
    let message = publisher::mailing(campaign.organization, &changed, &actor)?;
    Ok(outbox::enqueue(tx, &[message]).await?)
}
