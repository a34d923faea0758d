//! Mails out: what is due is asked of the mailboxes, each mail once, in the transaction that marks its step.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bus::{
    Message,
    outbox::{self, Waker},
};
use chassis::guard::digest;
use jiff::{SignedDuration, Timestamp};
use model::{Clock, ConnectionId, MailAddress, MailId, RecipientId, SendMail};
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::{PgConnection, PgPool};
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    domain::{
        campaign::{Fact, allowance, decide, spans},
        template::{Malformed, Template, Unwritable, Written, write},
    },
    publisher,
    store::{
        self,
        campaigns::{Campaign, Step},
        mails::Mail,
        recipients::Recipient,
    },
    text,
};

/// How many are asked for in one transaction.
const CHUNK: u32 = 200;
/// A mailbox that could not send for so long sends no more of what it was asked for.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// What sends.
pub(crate) struct Sender {
    pub(crate) pool: PgPool,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: Waker,
    /// What an opt-out link begins with.
    pub(crate) opt_out: Arc<str>,
}

/// What the opt-out links behind this gateway begin with. What opens it stands in the query, which no log has.
pub(crate) fn opt_out_address(public_api_url: &str) -> String {
    format!("{}/opt-out?t=", public_api_url.trim_end_matches('/'))
}

/// What opens an opt-out link, from random bytes.
fn token(random: [u8; 32]) -> SecretString {
    SecretString::from(BASE64_URL_SAFE_NO_PAD.encode(random))
}

/// The texts of a step, ready to be filled in.
#[derive(Debug)]
pub(crate) struct Texts {
    pub(crate) subject: Template,
    pub(crate) text: Template,
    /// Whether it answers the mail before.
    pub(crate) answers: bool,
}

/// The texts of all steps. One that answers the mail before has that one's subject.
pub(crate) fn texts(steps: &[Step]) -> Result<Vec<Texts>, Malformed> {
    let mut subject = "";
    let mut texts = Vec::with_capacity(steps.len());
    for step in steps {
        let answers = step.subject.is_empty();
        if !answers {
            subject = &step.subject;
        }
        let subject = Template::parse(subject)?;
        texts.push(Texts { subject, text: Template::parse(&step.text)?, answers });
    }
    Ok(texts)
}

impl Texts {
    /// The mail of this step to a recipient.
    pub(crate) fn write(&self, recipient: &Recipient, link: &str) -> Result<Written, Unwritable> {
        let mut written = write(&self.subject, &self.text, &recipient.fields, link)?;
        if self.answers {
            written.subject = format!("Re: {}", written.subject);
        }
        Ok(written)
    }
}

/// Looks until the shutdown.
pub(crate) async fn run(sender: Sender, seconds: u64, shutdown: CancellationToken) {
    let mut tick = interval_at(Instant::now(), Duration::from_secs(seconds.max(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        if let Some(Err(error)) = shutdown.run_until_cancelled(sender.send_due()).await {
            tracing::warn!(%error, "mails that are due could not be asked for, it is tried again");
        }
    }
}

impl Sender {
    async fn send_due(&self) -> Result<(), Error> {
        let now = text::micros(self.clock.now());
        for connection in store::mailboxes::with_work(&self.pool, now).await? {
            if let Err(error) = self.send_all(connection).await {
                // The others go on.
                tracing::warn!(%connection, %error, "mails that are due could not be asked for, it is tried again");
            }
        }
        Ok(())
    }

    async fn send_all(&self, connection: ConnectionId) -> Result<(), Error> {
        while self.send(connection).await? {}
        Ok(())
    }

    /// Asks a mailbox for some of what is due, as far as its limits go; whether there may be more.
    async fn send(&self, connection: ConnectionId) -> Result<bool, Error> {
        let mut tx = self.pool.begin().await?;
        let Some(limits) = store::mailboxes::lock(&mut tx, connection).await? else { return Ok(false) };
        // Told while nobody else sends through it.
        let now = text::micros(self.clock.now());
        let (minute, day) = store::mailboxes::asked_since(&mut tx, connection, spans(now)).await?;
        let mut left = allowance(limits, minute, day).min(CHUNK);
        let mut handled = 0;
        for campaign in store::campaigns::running(&mut tx, connection).await? {
            if left == 0 || campaign.window.as_ref().is_some_and(|window| !window.is_open(now)) {
                continue;
            }
            let due = store::recipients::lock_due(&mut tx, campaign.id, now, i64::from(left)).await?;
            handled += due.len();
            left = left.saturating_sub(self.ask(&mut tx, &campaign, due, now).await?);
        }
        tx.commit().await?;
        self.waker.wake();
        Ok(handled > 0)
    }

    /// Asks for the next mails of these recipients, but for those who get none any more; how many.
    async fn ask(
        &self,
        tx: &mut PgConnection,
        campaign: &Campaign,
        due: Vec<Recipient>,
        now: Timestamp,
    ) -> Result<u32, Error> {
        let malformed = |_| Error::Stored(format!("the texts of {}", campaign.id));
        let (texts, delays) = (texts(&campaign.steps).map_err(malformed)?, campaign.delays());
        let addresses: Vec<&str> = due.iter().map(|it| it.address.as_str()).collect();
        let suppressed = store::suppressions::of(&mut *tx, campaign.organization, &addresses).await?;
        let before = before(&mut *tx, &due).await?;
        let (mut mails, mut messages) = (Vec::new(), Vec::new());
        for recipient in due {
            let fact = if let Some(reason) = suppressed.get(&recipient.address) {
                Fact::Suppressed(reason.clone())
            } else {
                let place = recipient.standing.step;
                let answers = before.get(&(recipient.id, place.wrapping_sub(1))).cloned();
                match self.compose(campaign, texts.get(place), &recipient, answers, now)? {
                    Ok((mail, message)) => {
                        mails.push(mail);
                        messages.push(message);
                        Fact::Asked
                    }
                    Err(reason) => Fact::Failed(reason.to_owned()),
                }
            };
            if let Some(standing) = decide(&recipient.standing, &fact, &delays) {
                store::recipients::update(&mut *tx, recipient.id, &standing, now).await?;
            }
        }
        store::mails::insert(&mut *tx, &mails).await?;
        outbox::enqueue(tx, &messages).await?;
        Ok(u32::try_from(mails.len()).unwrap_or(u32::MAX))
    }

    /// The next mail to a recipient with what asks for it, or why there is none.
    fn compose(
        &self,
        campaign: &Campaign,
        texts: Option<&Texts>,
        recipient: &Recipient,
        answers: Option<String>,
        now: Timestamp,
    ) -> Result<Result<(Mail, Message), &'static str>, Error> {
        let Some(texts) = texts else { return Ok(Err("step_missing")) };
        let token = token(rand::random());
        let link = format!("{}{}", self.opt_out, token.expose_secret());
        let written = match texts.write(recipient, &link) {
            Ok(written) => written,
            Err(Unwritable::Missing(_)) => return Ok(Err("field_missing")),
            Err(Unwritable::TooLong) => return Ok(Err("too_long")),
        };
        let mail = Mail {
            id: MailId::generate(now),
            organization: campaign.organization,
            connection: campaign.connection,
            campaign: campaign.id,
            recipient: recipient.id,
            step: recipient.standing.step,
            token_hash: digest(&token),
            asked_at: now,
            state: "asked".to_owned(),
        };
        let asked = SendMail {
            connection: campaign.connection,
            mail: mail.id,
            to: MailAddress { name: recipient.name.clone(), address: recipient.email.clone() },
            subject: written.subject,
            text: written.text,
            answers: answers.filter(|_| texts.answers),
            before: now.checked_add(PATIENCE).unwrap_or(Timestamp::MAX),
        };
        let message = publisher::mail(campaign.organization, &campaign.vendor, &asked, now)?;
        Ok(Ok((mail, message)))
    }
}

/// The vendor's ids of the mails that these recipients got, by step.
async fn before(
    tx: &mut PgConnection,
    due: &[Recipient],
) -> Result<BTreeMap<(RecipientId, usize), String>, Error> {
    let later: Vec<RecipientId> = due.iter().filter(|it| it.standing.step > 0).map(|it| it.id).collect();
    if later.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = store::mails::external_ids(tx, &later).await?;
    Ok(found.into_iter().map(|(recipient, step, id)| ((recipient, step), id)).collect())
}
