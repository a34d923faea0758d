//! What is said to a vendor and what it answers, as a connector sees it.

use ::http::{HeaderMap, Method};
use bytes::Bytes;
use secrecy::SecretString;

#[cfg(doc)]
use crate::{Capabilities, Connector};

/// Which of a vendor's servers a request is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// The API of the account.
    #[default]
    Api,
    /// Where people sign in and tokens are given.
    Login,
    /// Another server of the API, see [`Connector::other_url`].
    Other,
}

/// The body of a request.
#[derive(Clone, Debug, Default)]
pub enum Body {
    /// None.
    #[default]
    Empty,
    /// JSON text.
    Json(Bytes),
    /// Form fields; may hold secrets.
    Form(Vec<(&'static str, SecretString)>),
}

/// A call to the vendor.
#[derive(Clone, Debug)]
pub struct Request {
    /// The server.
    pub host: Host,
    /// Which limit it counts against, see [`Capabilities::rates`].
    pub class: &'static str,
    /// The verb.
    pub method: Method,
    /// The path below the server's base address, with its query.
    pub path: String,
    /// Headers beside those of the body and the access token; no secret.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
    /// Whether making it twice does the same as making it once; only such calls are retried after a lost answer.
    pub idempotent: bool,
}

/// A vendor's answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}
