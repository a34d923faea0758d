//! Mails that go out through a connected mailbox. Private: none of it is a public event.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{ConnectionId, MailId};

/// A vendor is asked to send a mail to one person. Subject `mail.{vendor}.{partition}.{org}`; repeating it with the same id
/// sends nothing more. Its text form shows nothing of the person or of what is written.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendMail {
    /// The connection whose mailbox sends it.
    pub connection: ConnectionId,
    /// Its id; the answer carries it back.
    pub mail: MailId,
    /// Whom it is for.
    pub to: MailAddress,
    /// Its subject. Where it answers another mail and this is empty, the subject is made from that one's.
    pub subject: String,
    /// What it says: plain text, and all of it.
    pub text: String,
    /// The vendor's id of the mail that it answers, so that it stays in that conversation.
    pub answers: Option<String>,
    /// It is not sent any more after this.
    pub before: Timestamp,
}

/// Whom a mail is for. Its text form shows nothing of the person.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailAddress {
    /// The name; may be empty.
    pub name: String,
    /// The e-mail address.
    pub address: String,
}

/// A mail is not to be sent any more, on the same subject as the [`SendMail`] that it is about, which it may overtake. What the
/// vendor was asked to send already is sent; else the answer is a failure with the code [`MAIL_WITHDRAWN`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WithdrawMail {
    /// The connection whose mailbox was to send it.
    pub connection: ConnectionId,
    /// The mail.
    pub mail: MailId,
}

/// Why a mail was not sent that a [`WithdrawMail`] came in time for.
pub const MAIL_WITHDRAWN: &str = "mail_withdrawn";

/// The answer to a [`SendMail`], told once and for good. Subject `mailed.{org}.{vendor}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailSent {
    /// The connection it went through.
    pub connection: ConnectionId,
    /// The mail that it answers.
    pub mail: MailId,
    /// What became of it.
    pub state: MailState,
    /// The vendor's id of the mail, the very one that its activity has; none where it was not sent.
    pub external_id: Option<String>,
    /// The vendor's id of its conversation.
    pub thread: Option<String>,
    /// When that was known.
    pub at: Timestamp,
    /// Why it was not sent: a stable code, `mail_too_late`, `mail_withdrawn`, `scope_missing`, `recipient_refused`.
    pub error: Option<String>,
    /// The same in words for people, without personal data.
    pub message: Option<String>,
    /// Whether the connection is at fault and not the mail: nothing left, and once the connection is put in order it may be
    /// sent under a new id.
    #[serde(default)]
    pub retryable: bool,
}

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MailState {
    /// The vendor took it to deliver.
    Sent,
    /// It was not sent and will not be.
    Failed,
    /// It was handed over, and the vendor cannot say what became of it: it is not sent again.
    Unsure,
}

impl fmt::Debug for SendMail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connection, mail, before, .. } = self;
        let mut shown = f.debug_struct("SendMail");
        shown.field("connection", connection).field("mail", mail).field("before", before);
        shown.finish_non_exhaustive()
    }
}

impl fmt::Debug for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailAddress").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_mail_reads_back_from_the_bus_and_its_text_form_tells_nothing_of_the_person() {
        let connection = ConnectionId::generate(Timestamp::UNIX_EPOCH);
        let mail = SendMail {
            connection,
            mail: MailId::generate(Timestamp::UNIX_EPOCH),
            to: MailAddress { name: "Ada Lovelace".to_owned(), address: "ada@engine.example".to_owned() },
            subject: "About engines".to_owned(),
            text: "Dear Ada".to_owned(),
            answers: Some("AAMk".to_owned()),
            before: Timestamp::UNIX_EPOCH,
        };
        let bytes = serde_json::to_vec(&mail).unwrap_or_default();
        assert_eq!(serde_json::from_slice::<SendMail>(&bytes).ok().as_ref(), Some(&mail));
        let shown = format!("{mail:?} {:?}", mail.to);
        assert!(["Ada", "engine", "Dear", "AAMk"].iter().all(|word| !shown.contains(word)), "{shown}");
    }

    #[test]
    fn an_answer_reads_back_from_the_bus() {
        let (now, mail) = (Timestamp::UNIX_EPOCH, MailId::generate(Timestamp::UNIX_EPOCH));
        let sent = MailSent {
            connection: ConnectionId::generate(now),
            mail,
            state: MailState::Sent,
            external_id: Some("AAMk".to_owned()),
            thread: Some("AAQk".to_owned()),
            at: now,
            error: None,
            message: None,
            retryable: false,
        };
        let written = serde_json::to_value(&sent).unwrap_or_default();
        assert_eq!(written["state"], json!("sent"));
        assert_eq!(serde_json::from_value::<MailSent>(written).ok(), Some(sent));
        let failed = json!({"connection": ConnectionId::generate(now), "mail": mail, "state": "failed", "at": now,
            "error": "mail_too_late", "retryable": true});
        let failed = serde_json::from_value::<MailSent>(failed).ok();
        assert!(failed.is_some_and(|failed| failed.state == MailState::Failed && failed.retryable));
    }
}
