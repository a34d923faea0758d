//! What a vendor signs that tells at an address of ours that there is something to read.

use async_trait::async_trait;
use http::HeaderMap;
use jiff::Timestamp;
use secrecy::SecretString;
use url::Url;
use uuid::Uuid;

use crate::{Error, Refusal, Session};

/// A vendor that tells by a request to us that a feed has something new, see [`crate::Connector::pusher`]. What it tells is
/// never believed: the feed is read.
#[async_trait]
pub trait Pusher: Send + Sync {
    /// The feeds that it tells of, by [`crate::Feed::name`].
    fn feeds(&self) -> &'static [&'static str];

    /// Asks to be told of a feed. The vendor may call the address before it answers.
    ///
    /// # Errors
    /// The vendor's failure; its message says what an administrator can do, in words for people. After
    /// [`crate::ErrorKind::AnswerLost`] the vendor may tell all the same.
    async fn watch(&self, session: &Session, wish: &WatchWish<'_>) -> Result<Watch, Error>;

    /// Asks to be told for longer; none where the vendor prolongs no watch, so that another one takes its place.
    ///
    /// # Errors
    /// [`crate::ErrorKind::NotFound`] when the vendor does not have it any more; else its failure.
    async fn renew(&self, session: &Session, watch: &Watch, now: Timestamp) -> Result<Option<Watch>, Error>;

    /// Asks not to be told any more. A watch that the vendor does not have is as good.
    ///
    /// # Errors
    /// The vendor's failure.
    async fn unwatch(&self, session: &Session, watch: &Watch) -> Result<(), Error>;

    /// What a request says. Pure; the runtime compares the secrets, and nothing else of it is used.
    ///
    /// # Errors
    /// It is no request as the vendor sends them.
    fn receive(&self, push: &Push<'_>) -> Result<Pushed, Refusal>;
}

/// What the vendor is asked to tell, and where.
#[derive(Clone, Copy, Debug)]
pub struct WatchWish<'a> {
    /// The feed.
    pub feed: &'a str,
    /// Our own id of the watch.
    pub id: Uuid,
    /// Where to tell it; nothing else is told there.
    pub address: &'a Url,
    /// What the vendor has to say each time, 43 letters, digits, `-` and `_`.
    pub secret: &'a SecretString,
    /// The vendor's time.
    pub now: Timestamp,
}

/// What the vendor agreed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The id by which the vendor names it.
    pub id: String,
    /// What else the vendor wants to hear when it is to end; may be empty.
    pub resource: String,
    /// When it ends, unless it is renewed.
    pub ends_at: Timestamp,
    /// Whether the vendor has called the address, and was answered as it likes.
    pub is_proven: bool,
}

/// A vendor's request to the address of a watch, as it arrived.
#[derive(Clone, Copy, Debug)]
pub struct Push<'a> {
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its query, as it is spelled.
    pub query: &'a str,
    /// Its raw body.
    pub body: &'a [u8],
}

/// What a push says. Nobody knows yet whether it is the vendor's.
#[derive(Clone, Debug)]
pub enum Pushed {
    /// The vendor asks whether this address is ours; the text is the answer.
    Handshake(String),
    /// Things that are to be told, each of a watch.
    Told(Vec<Notice>),
}

/// One thing that is told.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The watch, by the vendor's name of it.
    pub watch: String,
    /// What it says as the secret.
    pub secret: SecretString,
    /// What is told.
    pub heard: Heard,
}

/// What a vendor tells of a watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// That it begins: nothing is new.
    Begun,
    /// Something is new, or the vendor left out to say what: the feed is to be read.
    Changed,
    /// It ends unless it is renewed now.
    Ending,
    /// The vendor ended it.
    Ended,
}
