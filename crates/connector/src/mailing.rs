//! Mails: a draft is made and then sent, each once, whatever dies in between. What is known of a mail is stored before the
//! vendor is asked for the next step, and a repeat looks for the mail before it does anything.

use std::time::Duration;

use jiff::Timestamp;
use model::{ConnectionId, IssueCategory, MAIL_WITHDRAWN, MailSent, MailState, SendMail};
use tokio::time::Instant;

use crate::{
    Activity, Error, ErrorKind, FoundMail, Mailer, Retry,
    core::Link,
    failure::Failure,
    posting::{Outcome, PUZZLED_TRIES, Poster, Tried, waits},
    store::{BegunMail, HandOver},
};

/// The part of a connection's work that this is.
const PART: &str = "send mail";
/// How long a mail rests whose draft was just taken away.
const DRAFT_LOST_PAUSE: Duration = Duration::from_secs(1);

/// What became of a mail.
pub(crate) struct Mailed {
    pub(crate) answer: MailSent,
    /// The mail that was sent, where the vendor showed it.
    pub(crate) activity: Option<Activity>,
}

/// Why a mail is not sent.
struct Why {
    state: MailState,
    code: String,
    message: String,
    retryable: bool,
}

impl Why {
    fn too_late() -> Self {
        let message = "the mail was not sent in the time that it was meant for";
        Self {
            state: MailState::Failed,
            code: "mail_too_late".to_owned(),
            message: message.to_owned(),
            retryable: false,
        }
    }

    fn withdrawn() -> Self {
        let message = "the mail was withdrawn before it was sent";
        let (code, message) = (MAIL_WITHDRAWN.to_owned(), message.to_owned());
        Self { state: MailState::Failed, code, message, retryable: false }
    }

    /// It was handed over, and nobody can say any more whether it left.
    fn unsure(message: &str) -> Self {
        let (code, message) = ("mail_unsure".to_owned(), message.to_owned());
        Self { state: MailState::Unsure, code, message, retryable: false }
    }

    fn disconnected() -> Self {
        let message = "the mailbox was disconnected before the mail was sent";
        let (code, message) = ("connection_disconnected".to_owned(), message.to_owned());
        Self { state: MailState::Failed, code, message, retryable: true }
    }

    /// The vendor refuses it; its permission is the connection's matter, everything else the mail's.
    fn refused(error: &Error) -> Self {
        Self {
            state: MailState::Failed,
            code: error.code.as_deref().unwrap_or_else(|| error.kind.code()).to_owned(),
            message: error.message.clone(),
            retryable: error.kind == ErrorKind::Permission,
        }
    }

    fn told(self, mail: &SendMail, at: Timestamp) -> Outcome {
        let answer = MailSent {
            connection: mail.connection,
            mail: mail.mail,
            state: self.state,
            external_id: None,
            thread: None,
            at,
            error: Some(self.code),
            message: Some(self.message),
            retryable: self.retryable,
        };
        Outcome::Mailed(Box::new(Mailed { answer, activity: None }))
    }
}

/// A mail on its way through one connection.
pub(crate) struct Sending<'a> {
    pub(crate) link: &'a Link,
    pub(crate) mailer: &'a dyn Mailer,
    pub(crate) mail: &'a SendMail,
    pub(crate) attempt: u64,
}

impl Poster {
    /// What becomes of a mail whose connection does not work or is another one by now; none while it is to wait.
    pub(crate) async fn mail_without_link(
        &self,
        mail: &SendMail,
        is_over: bool,
    ) -> Result<Option<Outcome>, Failure> {
        let now = self.core.now();
        let begun = self.core.store.begun_mail(mail).await?;
        let may_have_left = begun.as_ref().is_some_and(|begun| begun.was_handed_over);
        let is_late = now > mail.before;
        let why = match (is_over, may_have_left) {
            (true, true) => Why::unsure("the mailbox was disconnected while the mail was being sent"),
            (_, false) if (is_over || is_late) && begun.is_some_and(|begun| begun.is_withdrawn) => {
                Why::withdrawn()
            }
            (true, false) => Why::disconnected(),
            (false, false) if is_late => Why::too_late(),
            (false, _) => return Ok(None),
        };
        Ok(Some(why.told(mail, now)))
    }

    /// What becomes of a mail that was withdrawn before anything was done for it, whether its mailbox works or not.
    pub(crate) async fn withdrawn_unbegun(&self, mail: &SendMail) -> Result<Option<Outcome>, Failure> {
        let is_withdrawn = self.core.store.was_withdrawn_unbegun(mail).await?;
        Ok(is_withdrawn.then(|| Why::withdrawn().told(mail, self.core.now())))
    }

    /// One try to send a mail.
    pub(crate) async fn mail(&self, sending: Sending<'_>) -> Result<Tried, Failure> {
        let Sending { link, mail, attempt, .. } = sending;
        let rest = self.rest_of(link.id);
        // What is too late is decided all the same: a draft of it is to be removed.
        if !rest.is_zero() && self.core.now() <= mail.before {
            return Ok(Tried::Again(self.in_time(mail, rest)));
        }
        let begun = self.core.store.begin_mail(mail, self.core.now()).await?;
        match self.try_mail(&sending, begun).await? {
            Ok(tried) => Ok(tried),
            Err(error) if waits(&error) => {
                let again = self.again(link, &error, attempt, PART).await?;
                let Tried::Again(pause) = again else { return Ok(again) };
                if matches!(error.retry, Retry::After(_)) {
                    self.rest(link.id, pause);
                }
                Ok(Tried::Again(self.in_time(mail, pause)))
            }
            Err(error) if error.kind.category() == IssueCategory::Unavailable && attempt < PUZZLED_TRIES => {
                tracing::warn!(connection = %link.id, attempt, %error, "a mail waits");
                Ok(Tried::Again(self.core.config.held_write_pause))
            }
            Err(error) => {
                tracing::warn!(connection = %link.id, mail = %mail.mail, %error, "a mail cannot be sent");
                self.give_up(&sending, &error).await
            }
        }
    }

    async fn try_mail(
        &self,
        sending: &Sending<'_>,
        begun: Option<BegunMail>,
    ) -> Result<Result<Tried, Error>, Failure> {
        let Sending { link, mailer, mail, .. } = *sending;
        let session = &link.session;
        let found = match &begun {
            None => None,
            Some(begun) => match mailer.find(session, mail.mail, begun.draft.as_deref()).await {
                Ok(found) => found,
                Err(error) => return Ok(Err(error)),
            },
        };
        let may_have_left_before = begun.as_ref().is_some_and(|begun| begun.was_handed_over);
        let is_late = self.core.now() > mail.before;
        let never = match begun.is_some_and(|begun| begun.is_withdrawn) {
            true => Some(Why::withdrawn()),
            false => is_late.then(Why::too_late),
        };
        let draft = match (found, never) {
            (Some(FoundMail { id, is_sent: true }), _) => return Ok(Ok(self.was_sent(sending, &id).await?)),
            (Some(FoundMail { id, .. }), Some(why)) => {
                return Ok(mailer.discard(session, &id).await.map(|()| self.over(mail, why)));
            }
            (Some(FoundMail { id, .. }), None) => id,
            (None, _) if may_have_left_before => {
                let why = "the mail was handed over, and the mailbox does not have it any more: it may have been sent";
                return Ok(Ok(self.over(mail, Why::unsure(why))));
            }
            (None, Some(why)) => return Ok(Ok(self.over(mail, why))),
            (None, None) => match mailer.draft(session, mail).await {
                Ok(draft) => draft,
                Err(error) => return Ok(Err(error)),
            },
        };
        let instead = match self.core.store.hand_over(mail, &draft).await? {
            HandOver::Agreed => None,
            // Another process, which this one was too slow for, has sent its own.
            HandOver::Overtaken => Some(Tried::Again(DRAFT_LOST_PAUSE)),
            HandOver::Withdrawn => Some(self.over(mail, Why::withdrawn())),
        };
        if let Some(instead) = instead {
            return Ok(mailer.discard(session, &draft).await.map(|()| instead));
        }
        let Err(error) = mailer.send(session, &draft).await else {
            return Ok(Ok(self.was_sent(sending, &draft).await?));
        };
        // What an earlier try may have sent is not made anew, whatever this one was told.
        if !may_have_left_before && !may_have_left(&error) {
            self.core.store.take_back_mail(mail).await?;
        }
        if error.kind == ErrorKind::NotFound {
            // Somebody deleted the draft; it was not sent, so it is made anew.
            return Ok(Ok(Tried::Again(DRAFT_LOST_PAUSE)));
        }
        Ok(Err(error))
    }

    /// It left: it is told with what the vendor shows of it. The feed tells it as well, so it is enough to ask once.
    async fn was_sent(&self, sending: &Sending<'_>, draft: &str) -> Result<Tried, Failure> {
        let Sending { link, mailer, mail, .. } = *sending;
        self.core.part_succeeded(link, PART).await?;
        let activity = mailer.sent(&link.session, draft).await;
        if let Err(error) = &activity {
            tracing::warn!(connection = %link.id, mail = %mail.mail, %error, "a sent mail is told by its feed alone");
        }
        let activity = activity.ok();
        let thread = activity.as_ref().map(|sent| sent.thread.clone()).filter(|thread| !thread.is_empty());
        let answer = MailSent {
            connection: mail.connection,
            mail: mail.mail,
            state: MailState::Sent,
            external_id: Some(mailer.external_id(draft)),
            thread,
            at: self.core.now(),
            error: None,
            message: None,
            retryable: false,
        };
        Ok(Tried::Done(Outcome::Mailed(Box::new(Mailed { answer, activity }))))
    }

    /// The vendor refuses: nothing of the mail stays behind, unless it left all the same.
    async fn give_up(&self, sending: &Sending<'_>, error: &Error) -> Result<Tried, Failure> {
        let Sending { link, mailer, mail, attempt } = *sending;
        let begun = self.core.store.begun_mail(mail).await?;
        let draft = begun.as_ref().and_then(|begun| begun.draft.as_deref());
        let may_have_left = begun.as_ref().is_some_and(|begun| begun.was_handed_over);
        // A draft that was sent already is refused too. Who may not write in the mailbox has made no draft in it.
        let found = match error.kind {
            ErrorKind::Permission if draft.is_none() => Ok(None),
            _ => mailer.find(&link.session, mail.mail, draft).await,
        };
        match found {
            Ok(Some(FoundMail { id, is_sent: true })) => self.was_sent(sending, &id).await,
            Ok(Some(FoundMail { id, .. })) => {
                if let Err(error) = mailer.discard(&link.session, &id).await {
                    tracing::warn!(connection = %link.id, mail = %mail.mail, %error, "a draft stays behind");
                }
                Ok(self.over(mail, Why::refused(error)))
            }
            Err(unknown) if waits(&unknown) => self.again(link, &unknown, attempt, PART).await,
            Ok(None) | Err(_) if may_have_left => {
                let why = "the mail was handed over, and the mailbox does not say whether it was sent";
                Ok(self.over(mail, Why::unsure(why)))
            }
            Ok(None) | Err(_) => Ok(self.over(mail, Why::refused(error))),
        }
    }

    fn over(&self, mail: &SendMail, why: Why) -> Tried {
        Tried::Done(why.told(mail, self.core.now()))
    }

    /// A pause that ends soon after the mail is too late, so that this is told in time.
    fn in_time(&self, mail: &SendMail, pause: Duration) -> Duration {
        let left = Duration::try_from(mail.before.duration_since(self.core.now())).unwrap_or_default();
        if left.is_zero() { pause } else { pause.min(left + Duration::from_secs(1)) }
    }

    /// The vendor wants a pause: other mails of the mailbox do not ask before it is over.
    fn rest(&self, connection: ConnectionId, pause: Duration) {
        let mut rests = self.rests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        rests.insert(connection, Instant::now() + pause);
    }

    fn rest_of(&self, connection: ConnectionId) -> Duration {
        let mut rests = self.rests.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let now = Instant::now();
        rests.retain(|_, until| *until > now);
        rests.get(&connection).map_or(Duration::ZERO, |until| *until - now)
    }
}

/// Whether a mail may have been sent although the call for it failed.
fn may_have_left(error: &Error) -> bool {
    matches!(error.kind, ErrorKind::AnswerLost | ErrorKind::Protocol | ErrorKind::Unavailable)
}
