//! What a vendor signs through whose mailboxes mail is sent.

use async_trait::async_trait;
use model::{MailId, SendMail};

use crate::{Activity, Error, Session};

/// A vendor that sends mail, see [`crate::Connector::mailer`]: a draft is made first and then sent, so that it is known by its
/// id before it leaves.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Makes a draft that carries the mail's id with it, by which [`Mailer::find`] knows it; gives the vendor's id of it, which
    /// it keeps when it is sent.
    ///
    /// # Errors
    /// The vendor's failure; [`Error::code`] is stable, and the message says what to do, without personal data. After
    /// [`crate::ErrorKind::AnswerLost`] the draft may be there.
    async fn draft(&self, session: &Session, mail: &SendMail) -> Result<String, Error>;

    /// Looks for a mail of which a draft may have been made: by the vendor's id of it, or where that is not known by the id
    /// that it carries. What was begun and is no whole draft is removed.
    ///
    /// # Errors
    /// The vendor's failure; nothing is known of the mail then.
    async fn find(
        &self,
        session: &Session,
        mail: MailId,
        draft: Option<&str>,
    ) -> Result<Option<FoundMail>, Error>;

    /// Sends a draft.
    ///
    /// # Errors
    /// The vendor's failure, as of [`Mailer::draft`]. After [`crate::ErrorKind::AnswerLost`], and where the vendor is out of
    /// order, it may have been sent.
    async fn send(&self, session: &Session, draft: &str) -> Result<(), Error>;

    /// The id that the feed of what is sent tells a sent mail by.
    fn external_id(&self, draft: &str) -> String;

    /// A mail that was just sent, as that feed tells it.
    ///
    /// # Errors
    /// The vendor's failure.
    async fn sent(&self, session: &Session, draft: &str) -> Result<Activity, Error>;

    /// Throws a draft away that is not to be sent.
    ///
    /// # Errors
    /// The vendor's failure. That it is not there is none.
    async fn discard(&self, session: &Session, draft: &str) -> Result<(), Error>;
}

/// A mail that a vendor has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundMail {
    /// The vendor's id of it.
    pub id: String,
    /// Whether it was sent; else it is a draft still.
    pub is_sent: bool,
}
