use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use ::http::{HeaderMap, header::DATE};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use model::{Clock, SystemClock};
use rand::Rng;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    Connector, Error, ErrorKind, Grant, Host, Request, Response, Retry,
    budget::Meter,
    http::{Client, HttpError},
    limiter::{Limiter, Priority},
    usage::{CallOutcome, Usage},
};

const CALL: &str = "call the vendor";
/// How often one call is tried before its failure is handed back.
const ATTEMPTS: u32 = 4;
/// A longer pause than this is not waited for here: the failure goes back with it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const LAST_BACKOFF: Duration = Duration::from_secs(5);

/// An access token and which of the connection's tokens it is.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) token: SecretString,
    pub(crate) generation: i64,
}

/// Where a session's access token comes from.
#[async_trait]
pub(crate) trait Tokens: Send + Sync + 'static {
    /// A token that should be good.
    async fn access(&self) -> Result<Access, Error>;

    /// A newer one than this, which the vendor refused.
    async fn renew(&self, refused: &Access) -> Result<Access, Error>;
}

/// A token that nobody renews.
pub(crate) struct FixedToken(pub(crate) SecretString);

#[async_trait]
impl Tokens for FixedToken {
    async fn access(&self) -> Result<Access, Error> {
        Ok(Access { token: self.0.clone(), generation: 0 })
    }

    async fn renew(&self, _: &Access) -> Result<Access, Error> {
        Err(Error::new(ErrorKind::TokenExpired, CALL, "the access token is not accepted"))
    }
}

/// The tokens of a grant that is kept nowhere.
struct GrantedTokens {
    line: Arc<Line>,
    grant: tokio::sync::Mutex<(Access, SecretString)>,
}

#[async_trait]
impl Tokens for GrantedTokens {
    async fn access(&self) -> Result<Access, Error> {
        Ok(self.grant.lock().await.0.clone())
    }

    async fn renew(&self, refused: &Access) -> Result<Access, Error> {
        let mut grant = self.grant.lock().await;
        if grant.0.generation == refused.generation {
            let answer = self.line.call_unchecked(&self.line.connector.refresh_request(&grant.1)).await?;
            let newer = self.line.connector.read_grant(&answer)?;
            newer.api_url.into_iter().for_each(|api_url| self.line.site.api.store(Arc::new(api_url)));
            let access = Access { token: newer.access_token, generation: grant.0.generation + 1 };
            *grant = (access, newer.refresh_token.unwrap_or_else(|| grant.1.clone()));
        }
        Ok(grant.0.clone())
    }
}

/// Whose account a line is of, and where.
pub(crate) struct Site {
    /// Where people sign in, and tokens come from.
    pub(crate) login: Url,
    /// The API; tokens may come with another address than the last ones.
    pub(crate) api: ArcSwap<Url>,
    /// The vendor's id of the account; empty before it is known.
    pub(crate) account: String,
}

impl Site {
    /// The site of this name, for the account with this id.
    pub(crate) fn new(connector: &dyn Connector, name: &str, account: &str) -> Result<Self, Error> {
        let login = connector.login_url(name)?;
        let api = ArcSwap::from_pointee(connector.base_url().clone());
        Ok(Self { login, api, account: account.to_owned() })
    }
}

/// What calls of one connection share, whoever makes them.
pub(crate) struct Line {
    pub(crate) connector: Arc<dyn Connector>,
    pub(crate) http: Client,
    pub(crate) limiter: Limiter,
    pub(crate) budget: Meter,
    pub(crate) usage: Usage,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) site: Site,
    /// How far the vendor's clock is ahead of ours, in seconds, by the `Date` of its last answer.
    ahead_s: AtomicI64,
}

impl Line {
    pub(crate) fn new(
        connector: Arc<dyn Connector>,
        http: Client,
        clock: Arc<dyn Clock>,
        site: Site,
    ) -> Arc<Self> {
        let limiter = Limiter::new(connector.capabilities().rates);
        Arc::new(Self {
            connector,
            http,
            limiter,
            budget: Meter::default(),
            usage: Usage::default(),
            clock,
            site,
            ahead_s: AtomicI64::new(0),
        })
    }

    /// The present moment by the vendor's clock.
    pub(crate) fn vendor_now(&self) -> Timestamp {
        self.clock.now() + SignedDuration::from_secs(self.ahead_s.load(Ordering::Relaxed))
    }

    fn compare_clocks(&self, headers: &HeaderMap) {
        let date = headers.get(DATE).and_then(|date| date.to_str().ok());
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok());
        if let Some(date) = date {
            let ahead = date.timestamp().as_second() - self.clock.now().as_second();
            self.ahead_s.store(ahead, Ordering::Relaxed);
        }
    }

    /// One call, counted, limited and within the budget, without a retry. An answer that the vendor crate calls a failure is an error.
    pub(crate) async fn call(
        &self,
        request: &Request,
        bearer: Option<&SecretString>,
        priority: Priority,
    ) -> Result<Response, Error> {
        self.limiter.pass(request.class, priority).await;
        let now = self.clock.now();
        self.budget.spend(now, priority).map_err(budget_spent)?;
        let answer = self.exchange(request, bearer).await;
        let checked = answer.and_then(|answer| self.connector.check(&answer).map(|()| answer));
        let outcome = match &checked {
            Ok(_) => CallOutcome::Ok,
            Err(error) if error.kind == ErrorKind::RateLimit => {
                let pause = match error.retry {
                    Retry::After(pause) => pause,
                    _ => Duration::from_secs(1),
                };
                // A longer pause is for whoever asked: a call that waits for hours tells nobody.
                self.limiter.block(request.class, pause.min(LONGEST_PAUSE));
                CallOutcome::RateLimited
            }
            Err(_) => CallOutcome::Failed,
        };
        self.usage.call(now, request.class, outcome);
        checked
    }

    /// One call whose answer is handed out whatever its status: for answers that [`Connector::read_grant`] reads. It
    /// counts against the budget, but is made in any case: without a token nobody can go on in the next window.
    pub(crate) async fn call_unchecked(&self, request: &Request) -> Result<Response, Error> {
        self.limiter.pass(request.class, Priority::Live).await;
        let now = self.clock.now();
        self.budget.note(now);
        let answer = self.exchange(request, None).await;
        let failed = answer.as_ref().map_or(true, |answer| answer.status >= 400);
        let outcome = if failed { CallOutcome::Failed } else { CallOutcome::Ok };
        self.usage.call(now, request.class, outcome);
        answer
    }

    async fn exchange(&self, request: &Request, bearer: Option<&SecretString>) -> Result<Response, Error> {
        let api = self.site.api.load();
        let base = match request.host {
            Host::Api => &**api,
            Host::Login => &self.site.login,
            Host::Other => self.connector.other_url(),
        };
        let answer = self.http.vendor(base, request, bearer).await.map_err(no_answer)?;
        self.compare_clocks(&answer.headers);
        if let Some(hint) = self.connector.limit_hint(request.class, &answer.headers) {
            self.limiter.learn(request.class, hint);
            if let Some((calls, left)) = hint.daily.filter(|(calls, _)| *calls > 0) {
                self.budget.hear(calls.into(), left.into(), self.clock.now());
            }
        }
        Ok(Response { status: answer.status, headers: answer.headers, body: answer.body })
    }
}

fn budget_spent(wait: Duration) -> Error {
    let message =
        "the connection's API budget is used up; it goes on in the next window, or when the budget is raised";
    Error::new(ErrorKind::BudgetSpent, CALL, message).with_retry(Retry::After(wait))
}

fn no_answer(error: HttpError) -> Error {
    let (kind, message) = match &error {
        HttpError::Unreachable(_) => (ErrorKind::Unavailable, "the vendor cannot be reached"),
        HttpError::AnswerLost(_) => (ErrorKind::AnswerLost, "no whole answer came"),
        HttpError::TooLarge => (ErrorKind::Protocol, "the answer is too large"),
        HttpError::Request(_) | HttpError::Json(_) => (ErrorKind::Protocol, "the call cannot be made"),
    };
    Error::new(kind, CALL, message).with_source(error)
}

/// How a vendor crate calls its vendor, on behalf of one connection. Cheap to clone.
#[derive(Clone)]
pub struct Session {
    line: Arc<Line>,
    tokens: Arc<dyn Tokens>,
    priority: Priority,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let vendor = self.line.connector.vendor().name;
        f.debug_struct("Session").field("vendor", &vendor).field("priority", &self.priority).finish()
    }
}

impl Session {
    pub(crate) fn new(line: Arc<Line>, tokens: Arc<dyn Tokens>) -> Self {
        Self { line, tokens, priority: Priority::Live }
    }

    /// A session of an account with a token that nobody renews, for tests of a vendor crate against its sandbox.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn for_tests(
        connector: Arc<dyn Connector>,
        account: &str,
        token: SecretString,
    ) -> Result<Self, Error> {
        let http = Client::try_new(Duration::from_secs(30)).map_err(no_answer)?;
        let site = Site::new(connector.as_ref(), "", account)?;
        let line = Line::new(connector, http, Arc::new(SystemClock), site);
        Ok(Self::new(line, Arc::new(FixedToken(token))))
    }

    /// The same with a grant, whose tokens are renewed when they expire.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn of_grant_for_tests(
        connector: Arc<dyn Connector>,
        account: &str,
        grant: &Grant,
    ) -> Result<Self, Error> {
        let session = Self::for_tests(connector, account, SecretString::default())?;
        let access = Access { token: grant.access_token.clone(), generation: 0 };
        let refresh_token = grant.refresh_token.clone().unwrap_or_default();
        let line = Arc::clone(&session.line);
        let grant = tokio::sync::Mutex::new((access, refresh_token));
        Ok(Self::new(Arc::clone(&line), Arc::new(GrantedTokens { line, grant })))
    }

    /// The same session, whose calls wait behind live ones.
    #[must_use]
    pub fn in_background(&self) -> Self {
        Self { priority: Priority::Backfill, ..self.clone() }
    }

    /// The same session, which leaves the last calls of the vendor's day to writes.
    #[must_use]
    pub fn polling(&self) -> Self {
        Self { priority: Priority::Polling, ..self.clone() }
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.line.clock.now()
    }

    /// The base address of the account's API.
    #[must_use]
    pub fn api_url(&self) -> Url {
        Url::clone(&self.line.site.api.load())
    }

    /// The vendor's id of the account; empty while [`Connector::account`] finds it out.
    #[must_use]
    pub fn account_id(&self) -> &str {
        &self.line.site.account
    }

    /// The present moment by the vendor's clock, to the second, as its last answer told it.
    #[must_use]
    pub fn vendor_now(&self) -> Timestamp {
        self.line.vendor_now()
    }

    /// A newer access token, for whoever was told elsewhere than in an answer to [`Session::send`] that this one expired.
    ///
    /// # Errors
    /// See [`Session::access_token`].
    pub async fn renewed_access_token(&self, refused: &SecretString) -> Result<SecretString, Error> {
        let access = self.tokens.access().await?;
        if access.token.expose_secret() != refused.expose_secret() {
            return Ok(access.token);
        }
        Ok(self.tokens.renew(&access).await?.token)
    }

    /// Waits, for a vendor that works on something and is to be asked again.
    pub async fn pause(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }

    /// The access token, for the few calls that carry it elsewhere than in the `Authorization` header. Never log it.
    ///
    /// # Errors
    /// [`ErrorKind::AccessRevoked`] when the vendor accepts no token any more; a transient failure of a refresh.
    pub async fn access_token(&self) -> Result<SecretString, Error> {
        Ok(self.tokens.access().await?.token)
    }

    /// Makes a call: waits for the rate limit, adds the access token and renews it when the vendor says that it
    /// expired, and tries again what may be tried again.
    ///
    /// # Errors
    /// What [`Connector::check`] makes of the answer, or that there was none; after the retries.
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let mut access = self.tokens.access().await?;
        let mut renewed = false;
        let mut attempt = 1;
        loop {
            let error = match self.line.call(&request, Some(&access.token), self.priority).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            if error.kind == ErrorKind::BudgetSpent {
                return Err(error);
            }
            if error.kind == ErrorKind::TokenExpired && !renewed {
                access = self.tokens.renew(&access).await?;
                renewed = true;
                continue;
            }
            let may_repeat = request.idempotent || error.kind == ErrorKind::RateLimit;
            let pause = match error.retry {
                Retry::Never => return Err(error),
                // The limiter holds the next attempt back for as long as the vendor wants.
                Retry::After(pause) if error.kind == ErrorKind::RateLimit && pause <= LONGEST_PAUSE => {
                    Duration::ZERO
                }
                Retry::After(pause) => pause,
                Retry::Backoff => backoff(attempt, rand::rng().random()),
            };
            if !may_repeat || attempt >= ATTEMPTS || pause > LONGEST_PAUSE {
                return Err(error);
            }
            tracing::debug!(kind = error.kind.code(), attempt, "calling the vendor again");
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }
}

/// A pause with full jitter after this attempt (1 is the first); `chance` is from 0 to 1.
pub(crate) fn backoff(attempt: u32, chance: f64) -> Duration {
    let ceiling = FIRST_BACKOFF * 2_u32.saturating_pow(attempt.saturating_sub(1).min(10));
    ceiling.min(LAST_BACKOFF).mul_f64(chance.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_grows_to_its_ceiling_and_takes_any_share_of_it() {
        assert_eq!(backoff(1, 1.0), Duration::from_millis(200));
        assert_eq!(backoff(3, 1.0), Duration::from_millis(800));
        assert_eq!(backoff(60, 1.0), Duration::from_secs(5));
        assert_eq!(backoff(3, 0.0), Duration::ZERO);
    }
}
