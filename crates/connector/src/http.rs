//! The one HTTP client of Accord: what talks to the outside goes through here.

mod outward;

use std::{sync::Once, time::Duration};

use ::http::{HeaderMap, Method};
use bytes::{Bytes, BytesMut};
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, de::DeserializeOwned};
use url::Url;

use self::outward::PublicNames;
pub use self::outward::{Reach, Refused, is_public};

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The server was not reached; it saw nothing.
    #[error("reach the server")]
    Unreachable(#[source] reqwest::Error),
    /// The request may have arrived, and no whole answer came.
    #[error("get a whole answer")]
    AnswerLost(#[source] reqwest::Error),
    /// The answer is larger than 64 MiB.
    #[error("read an answer: it is larger than 64 MiB")]
    TooLarge,
    /// The request cannot be built.
    #[error("build a request")]
    Request(#[source] reqwest::Error),
    /// The answer is not the JSON that was expected.
    #[error("read an answer as JSON")]
    Json(#[source] serde_json::Error),
}

/// An answer, whatever its status.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl HttpResponse {
    /// Whether the status is 2xx.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// [`HttpError::Json`].
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, HttpError> {
        serde_json::from_slice(&self.body).map_err(HttpError::Json)
    }
}

/// A plain client: follows no redirects, keeps cookies only where asked to, uses no proxy.
#[derive(Clone, Debug)]
pub struct Client {
    inner: reqwest::Client,
}

impl Client {
    /// A client whose calls may take this long, connecting included.
    ///
    /// # Errors
    /// [`HttpError::Request`] when TLS cannot be set up.
    pub fn try_new(timeout: Duration) -> Result<Self, HttpError> {
        Self::build(timeout, false, Reach::Anywhere)
    }

    /// The same, and cookies that answers set go back with later calls, as in a browser.
    ///
    /// # Errors
    /// [`HttpError::Request`] when TLS cannot be set up.
    pub fn try_with_cookies(timeout: Duration) -> Result<Self, HttpError> {
        Self::build(timeout, true, Reach::Anywhere)
    }

    /// A client for addresses that a customer names: it goes no further than it may.
    ///
    /// # Errors
    /// [`HttpError::Request`] when TLS cannot be set up.
    pub fn try_outward(timeout: Duration, reach: Reach) -> Result<Self, HttpError> {
        Self::build(timeout, false, reach)
    }

    fn build(timeout: Duration, cookies: bool, reach: Reach) -> Result<Self, HttpError> {
        static TLS: Once = Once::new();
        TLS.call_once(|| {
            // An error means that the process has chosen a provider already, which is as good.
            drop(rustls::crypto::ring::default_provider().install_default());
        });
        let client = reqwest::Client::builder()
            .user_agent(concat!("accord/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(timeout.min(Duration::from_secs(10)))
            .timeout(timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .tcp_nodelay(true)
            .cookie_store(cookies)
            .no_proxy();
        let client = match reach {
            Reach::Public => client.dns_resolver(PublicNames),
            Reach::Anywhere => client,
        };
        Ok(Self { inner: client.build().map_err(HttpError::Request)? })
    }

    /// `GET`, with an optional bearer token.
    ///
    /// # Errors
    /// See [`HttpError`]; an answer with any status is no error.
    pub async fn get(&self, url: &Url, bearer: Option<&SecretString>) -> Result<HttpResponse, HttpError> {
        finish(with_bearer(self.inner.get(url.clone()), bearer)).await
    }

    /// A JSON body, with an optional bearer token.
    ///
    /// # Errors
    /// See [`HttpError`]; an answer with any status is no error.
    pub async fn send_json<T: Serialize + ?Sized + Sync>(
        &self,
        method: Method,
        url: &Url,
        bearer: Option<&SecretString>,
        body: &T,
    ) -> Result<HttpResponse, HttpError> {
        finish(with_bearer(self.inner.request(method, url.clone()).json(body), bearer)).await
    }

    /// `POST` of form fields.
    ///
    /// # Errors
    /// See [`HttpError`]; an answer with any status is no error.
    pub async fn post_form(&self, url: &Url, fields: &[(&str, &str)]) -> Result<HttpResponse, HttpError> {
        finish(self.inner.post(url.clone()).form(fields)).await
    }

    /// A request of a vendor crate, below this base address.
    pub(crate) async fn vendor(
        &self,
        base: &Url,
        request: &crate::Request,
        bearer: Option<&SecretString>,
    ) -> Result<HttpResponse, HttpError> {
        let address = format!("{}{}", base.as_str().trim_end_matches('/'), request.path);
        let builder = with_bearer(self.inner.request(request.method.clone(), address), bearer);
        let builder =
            request.headers.iter().fold(builder, |builder, (name, value)| builder.header(*name, value));
        let builder = match &request.body {
            crate::Body::Empty => builder,
            crate::Body::Json(json) => {
                builder.header(::http::header::CONTENT_TYPE, "application/json").body(json.clone())
            }
            crate::Body::Form(fields) => {
                let exposed: Vec<_> =
                    fields.iter().map(|(name, secret)| (*name, secret.expose_secret())).collect();
                builder.form(&exposed)
            }
        };
        finish(builder).await
    }
}

fn with_bearer(builder: reqwest::RequestBuilder, bearer: Option<&SecretString>) -> reqwest::RequestBuilder {
    match bearer {
        Some(token) => builder.bearer_auth(token.expose_secret()),
        None => builder,
    }
}

async fn finish(builder: reqwest::RequestBuilder) -> Result<HttpResponse, HttpError> {
    let mut response = builder.send().await.map_err(|error| failed(error.without_url()))?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let mut body = BytesMut::new();
    while let Some(chunk) =
        response.chunk().await.map_err(|error| HttpError::AnswerLost(error.without_url()))?
    {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(HttpError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(HttpResponse { status, headers, body: body.freeze() })
}

fn failed(error: reqwest::Error) -> HttpError {
    if error.is_builder() {
        HttpError::Request(error)
    } else if error.is_connect() {
        HttpError::Unreachable(error)
    } else {
        HttpError::AnswerLost(error)
    }
}
