use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use connector::http::{Client, HttpError, Reach};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue, header};
use jiff::{SignedDuration, Timestamp};
use model::{Clock, WebhookDeliveryId, WebhookId};
use sha2::Sha256;
use sqlx::PgPool;
use url::Url;
use vault::{ExposeSecret, Scope, Sealed, SecretString, Vault};

use crate::{
    Error,
    store::webhooks::{self, Attempt, Claimed},
    text,
};

/// How long an endpoint may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// After which a delivery whose sender was killed is sent by another.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// How long the next attempt waits after the first, second … failed one, in seconds. After the last of them it is over.
const BACKOFF: [i64; 9] = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200];

/// Sends deliveries and notes what became of them. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    client: Client,
    reach: Reach,
    vault: Arc<Vault>,
}

/// Where the secret of an endpoint belongs.
pub(crate) fn secret_scope<'a>(organization: &'a str, webhook: &'a str) -> Scope<'a> {
    Scope { organization, connection: webhook, purpose: "webhook_secret" }
}

impl Sender {
    pub(crate) fn try_new(reach: Reach, vault: Arc<Vault>) -> Result<Self, HttpError> {
        Ok(Self { client: Client::try_outward(ANSWER_WITHIN, reach)?, reach, vault })
    }

    /// Where endpoints may be.
    pub(crate) const fn reach(&self) -> Reach {
        self.reach
    }

    /// Sends the next due delivery of an endpoint, or the one that is named. None: there is none; false: it failed.
    pub(crate) async fn attempt(
        &self,
        pool: &PgPool,
        clock: &dyn Clock,
        webhook: WebhookId,
        named: Option<WebhookDeliveryId>,
    ) -> Result<Option<bool>, Error> {
        let now = text::micros(clock.now());
        let until = now.checked_add(LEASE).unwrap_or(now);
        let Some(claimed) = webhooks::claim(pool, webhook, named, now, until).await? else { return Ok(None) };
        let sent = self.send(&claimed, now).await;
        let now = text::micros(clock.now());
        let attempt = match sent {
            Ok(status) if (200..300).contains(&status) => {
                Attempt { http_status: Some(status), error: String::new(), again_at: None }
            }
            Ok(status) => failed(&claimed, Some(status), format!("HTTP {status}"), now),
            Err(error) => failed(&claimed, None, error, now),
        };
        webhooks::settle(pool, &claimed, &attempt, now).await?;
        Ok(Some(attempt.error.is_empty()))
    }

    async fn send(&self, claimed: &Claimed, now: Timestamp) -> Result<u16, String> {
        let url: Url = claimed.url.parse().map_err(|_| "the address cannot be read".to_owned())?;
        self.reach.check(&url).map_err(|refused| refused.to_string())?;
        let (organization, webhook) = (claimed.organization.to_string(), claimed.webhook.to_string());
        let sealed = Sealed::from_bytes(claimed.secret.clone());
        let secret = self.vault.open(&secret_scope(&organization, &webhook), &sealed);
        let secret = secret.map_err(|error| format!("the secret cannot be opened: {error}"))?;
        let headers = headers(claimed, &secret, now).ok_or("the event has no name for a header")?;
        let sent = self.client.post(&url, &headers, Bytes::from(claimed.payload.clone())).await;
        sent.map_err(|error| told(&error))
    }
}

/// An error with why, without addresses.
fn told(error: &HttpError) -> String {
    let chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let texts: Vec<String> = chain.map(ToString::to_string).collect();
    let text: String = texts.join(": ").chars().filter(|c| !c.is_control()).take(300).collect();
    format!("failed to {text}")
}

fn failed(claimed: &Claimed, http_status: Option<u16>, error: String, now: Timestamp) -> Attempt {
    let wait = usize::try_from(claimed.attempts).ok().and_then(|attempts| BACKOFF.get(attempts));
    let again_at = wait.and_then(|seconds| now.checked_add(SignedDuration::from_secs(*seconds)).ok());
    Attempt { http_status, error, again_at }
}

/// The names that receivers of such webhooks know. Signed is the time in seconds, a dot, and the body.
fn headers(
    claimed: &Claimed,
    secret: &SecretString,
    now: Timestamp,
) -> Option<[(HeaderName, HeaderValue); 5]> {
    let timestamp = now.as_second().to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(claimed.payload.as_bytes());
    let signature = text::hex(&mac.finalize().into_bytes());
    let value = |text: &str| HeaderValue::from_str(text).ok();
    Some([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (HeaderName::from_static("x-openpartner-event"), value(&claimed.event)?),
        (HeaderName::from_static("x-openpartner-delivery"), value(&claimed.event_id)?),
        (HeaderName::from_static("x-openpartner-timestamp"), value(&timestamp)?),
        (HeaderName::from_static("x-openpartner-signature"), value(&signature)?),
    ])
}
