//! What a vendor signs in whose channels people are told things, and answer.

use async_trait::async_trait;
use http::HeaderMap;
use jiff::Timestamp;
use model::{AnswerPrivately, ConnectionId, InteractionReceived, PostMessage, VendorUser};

use crate::{Error, Session};

/// A vendor that posts messages and tells what people do with them, see [`crate::Connector::messenger`].
#[async_trait]
pub trait Messenger: Send + Sync {
    /// Posts a message, or puts it in the place of the one that it replaces; gives the vendor's id of it. `since` is when
    /// a try began after which the message may be there already: it is looked for from then on before it is posted.
    ///
    /// # Errors
    /// The vendor's failure; [`Error::code`] is stable, and the message says what to do. After
    /// [`crate::ErrorKind::AnswerLost`] the message may be there.
    async fn post(
        &self,
        session: &Session,
        message: &PostMessage,
        since: Option<Timestamp>,
    ) -> Result<String, Error>;

    /// Tells one person something that nobody else sees.
    ///
    /// # Errors
    /// The vendor's failure. After [`crate::ErrorKind::AnswerLost`] the person may have been told.
    async fn answer(&self, session: &Session, answer: &AnswerPrivately) -> Result<(), Error>;

    /// The channels that can be posted in, by name.
    ///
    /// # Errors
    /// The vendor's failure.
    async fn channels(&self, session: &Session) -> Result<Vec<MessageChannel>, Error>;

    /// Who somebody is, by the vendor's id.
    ///
    /// # Errors
    /// The vendor's failure.
    async fn person(&self, session: &Session, id: &str) -> Result<VendorUser, Error>;

    /// Asks a person for the reason of what they want, in a dialog. The vendor allows it for some seconds only.
    ///
    /// # Errors
    /// The vendor's failure.
    async fn ask(&self, session: &Session, question: &Question) -> Result<(), Error>;

    /// Whether a request comes from the vendor, and what it says. Pure: verified first, on the raw body, then read.
    ///
    /// # Errors
    /// It does not, or not lately; or what it says cannot be read.
    fn receive(&self, request: &Incoming<'_>) -> Result<Received, Refusal>;
}

/// A channel that a vendor has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageChannel {
    /// The vendor's id of it.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// Whether only its members see it.
    pub is_private: bool,
    /// Whether Accord is in it, without which it cannot post there.
    pub is_member: bool,
}

/// A vendor's request to us, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Incoming<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its raw body.
    pub body: &'a [u8],
    /// When it arrived.
    pub now: Timestamp,
}

/// What a vendor's request says. Ids are the vendor's and tell a request from its repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// Nothing that anybody waits for.
    Nothing,
    /// The vendor asks whether this address is ours; the text is the answer.
    Handshake(String),
    /// Somebody did something with a message of ours, in the account with this id.
    Interaction {
        /// The vendor's id of the account.
        account: String,
        /// What was done; its connection is what the message says.
        told: InteractionReceived,
    },
    /// Somebody wants something for which a reason is to be asked.
    Question {
        /// The vendor's id of the account.
        account: String,
        /// The vendor's id of the request.
        id: String,
        /// What is to be asked.
        question: Question,
    },
    /// The account took its grant back.
    Revoked {
        /// The vendor's id of the account.
        account: String,
        /// The vendor's id of the request.
        id: String,
        /// When, by the vendor's clock.
        at: Timestamp,
        /// Why, in words for people.
        message: &'static str,
    },
}

/// A reason that is to be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The connection whose message was used.
    pub connection: ConnectionId,
    /// By what the vendor allows a dialog; of use for some seconds, once.
    pub trigger: String,
    /// The vendor's id of who is asked.
    pub user: String,
    /// The button's action.
    pub action: String,
    /// The button's label.
    pub label: String,
    /// The button's value.
    pub value: String,
    /// The vendor's id of the channel.
    pub channel: String,
    /// The vendor's id of the message.
    pub message: String,
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// A stable code: `signature_missing`, `signature_stale`, `signature_invalid`; of pushes `watch_unknown` and
    /// `secret_invalid`; or `body_invalid`, of a request that is the vendor's.
    pub code: &'static str,
    /// In words for people.
    pub message: &'static str,
}

impl Refusal {
    /// A request that is the vendor's and cannot be read.
    pub const UNREADABLE: Self =
        Self { code: "body_invalid", message: "The body does not read as the vendor documents it." };

    /// The code of requests to an address at which nothing is to be told.
    pub(crate) const WATCH_UNKNOWN: &'static str = "watch_unknown";
}
