//! The tokens of one connection: one refresher at a time over all processes, announced before it calls the vendor.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bus::outbox::{self, Waker};
use jiff::Timestamp;
use model::{ConnectionChanged, ConnectionId, ConnectionState, kind};
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;
use vault::{Scope, Sealed, SecretString, Vault};

use crate::{
    Error, ErrorKind, Grant,
    failure::Failure,
    publisher::Publisher,
    session::{Access, Line, Tokens},
    states,
    store::{IntentAnswer, Store, TokenRow},
};

const REFRESH: &str = "refresh the access token";
/// The share of its life that a token is renewed ahead of its end.
const AHEAD: u32 = 10;
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// The pause between two tries to store a new token: short, so that it is there before anybody asks with the old one.
const STORE_AGAIN_AFTER: Duration = Duration::from_millis(300);

/// Seals and opens what belongs to one connection.
#[derive(Clone, Debug)]
pub(crate) struct Sealer {
    vault: Arc<Vault>,
    organization: String,
    connection: String,
}

impl Sealer {
    pub(crate) fn new(vault: Arc<Vault>, organization: String, connection: String) -> Self {
        Self { vault, organization, connection }
    }

    pub(crate) fn seal(&self, purpose: &str, secret: &SecretString) -> Result<Sealed, vault::Error> {
        self.vault.seal(&self.scope(purpose), secret)
    }

    pub(crate) fn open(&self, purpose: &str, sealed: &Sealed) -> Result<SecretString, vault::Error> {
        self.vault.open(&self.scope(purpose), sealed)
    }

    fn scope<'a>(&'a self, purpose: &'a str) -> Scope<'a> {
        Scope { organization: &self.organization, connection: &self.connection, purpose }
    }
}

/// The purposes that tokens are sealed for.
pub(crate) const ACCESS: &str = "access_token";
pub(crate) const REFRESH_TOKEN: &str = "refresh_token";

/// Hands out the access token of one connection and keeps it fresh.
pub(crate) struct TokenKeeper {
    pub(crate) refresher: Arc<Refresher>,
    pub(crate) patience: Duration,
    /// The lock lets one task of this process refresh at a time.
    pub(crate) current: tokio::sync::Mutex<Known>,
}

/// Asks the vendor for new tokens of one connection and stores them.
pub(crate) struct Refresher {
    pub(crate) id: ConnectionId,
    pub(crate) publisher: Publisher,
    pub(crate) sealer: Sealer,
    pub(crate) store: Store,
    pub(crate) waker: Waker,
    pub(crate) line: Arc<Line>,
    pub(crate) replica: Uuid,
}

/// What this process knows of the tokens.
#[derive(Default)]
pub(crate) struct Known {
    current: Option<Current>,
    /// The generation whose refresh the vendor rejected, and its words: it is not asked again.
    dead: Option<(i64, String)>,
}

#[derive(Clone)]
struct Current {
    access: Access,
    /// None when only a refused call tells.
    renew_at: Option<Timestamp>,
}

#[async_trait]
impl Tokens for TokenKeeper {
    async fn access(&self) -> Result<Access, Error> {
        let mut known = self.current.lock().await;
        let now = self.refresher.line.clock.now();
        if let Some(current) = known.current.as_ref().filter(|it| it.renew_at.is_none_or(|at| now < at)) {
            return Ok(current.access.clone());
        }
        let fresh = self.fresh(&mut known).await.map_err(|failure| failure.into_vendor(REFRESH))?;
        Ok(known.current.insert(fresh).access.clone())
    }

    async fn renew(&self, refused: &Access) -> Result<Access, Error> {
        let mut known = self.current.lock().await;
        let newer = async {
            let row = self.refresher.row().await?;
            if row.generation > refused.generation && self.is_fresh(&row) {
                return self.refresher.opened(&row);
            }
            self.refresh(row, &mut known).await
        };
        let newer = newer.await.map_err(|failure| failure.into_vendor(REFRESH))?;
        Ok(known.current.insert(newer).access.clone())
    }
}

impl TokenKeeper {
    async fn fresh(&self, known: &mut Known) -> Result<Current, Failure> {
        let row = self.refresher.row().await?;
        if self.is_fresh(&row) {
            return self.refresher.opened(&row);
        }
        let now = self.refresher.line.clock.now();
        let still_good = row.expires.is_none_or(|(ends, _)| ends > now);
        let present = self.refresher.opened(&row);
        match self.refresh(row, known).await {
            Err(Failure::Vendor(error)) if still_good && error.is_transient() => {
                tracing::warn!(connection = %self.refresher.id, kind = error.kind.code(), "could not refresh ahead of time");
                present
            }
            other => other,
        }
    }

    fn is_fresh(&self, row: &TokenRow) -> bool {
        renew_at(row).is_none_or(|at| self.refresher.line.clock.now() < at)
    }

    /// Refreshes, or waits for whoever is at it.
    async fn refresh(&self, mut row: TokenRow, known: &mut Known) -> Result<Current, Failure> {
        let (generation, own) = (row.generation, Arc::clone(&self.refresher));
        if let Some((_, words)) = known.dead.as_ref().filter(|(dead, _)| *dead == generation) {
            return Err(Error::new(ErrorKind::AccessRevoked, REFRESH, words.as_str()).into());
        }
        let deadline = Instant::now() + self.patience * 2;
        loop {
            let announced = own.store.announce_refresh(own.id, generation, own.replica, self.patience);
            if announced.await? == IntentAnswer::Granted {
                break;
            }
            if Instant::now() > deadline {
                let message = "another process has not finished refreshing the token";
                return Err(Error::new(ErrorKind::Unavailable, REFRESH, message).into());
            }
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
            row = own.row().await?;
            if row.generation > generation {
                return own.opened(&row);
            }
        }
        // A reader that is stopped meanwhile must not take the vendor's answer with it.
        let (refresher, asked) = (Arc::clone(&own), row.clone());
        let asking = tokio::spawn(async move {
            let grant = refresher.ask_vendor(&asked).await?;
            refresher.store_grant(&asked, grant).await
        });
        let broke_off =
            |error| Error::new(ErrorKind::AnswerLost, REFRESH, "the refresh broke off").with_source(error);
        match asking.await.unwrap_or_else(|error| Err(broke_off(error).into())) {
            Ok(current) => Ok(current),
            Err(Failure::Vendor(error)) if error.kind == ErrorKind::AccessRevoked => {
                let words = error.message.clone();
                let outcome = own.rejected(&row, error).await;
                if matches!(&outcome, Err(Failure::Vendor(_))) {
                    known.dead = Some((generation, words));
                }
                outcome
            }
            // The vendor may have done it, and a rotated refresh token may be lost: the announcement stays as the reason
            // to give should the next attempt be refused.
            Err(Failure::Vendor(error)) if error.kind == ErrorKind::AnswerLost => {
                own.store.interrupt_refresh(own.id, generation, own.replica).await?;
                Err(error.into())
            }
            Err(failure) => {
                let mut tx = own.store.pool.begin().await?;
                Store::withdraw_refresh(&mut tx, own.id, generation, own.replica).await?;
                tx.commit().await?;
                Err(failure)
            }
        }
    }
}

impl Refresher {
    async fn row(&self) -> Result<TokenRow, Failure> {
        let row = self.store.tokens(self.id).await?;
        let gone = || Error::new(ErrorKind::AccessRevoked, REFRESH, "the connection has no tokens");
        Ok(row.ok_or_else(gone)?)
    }

    fn opened(&self, row: &TokenRow) -> Result<Current, Failure> {
        let token = self.sealer.open(ACCESS, &row.access)?;
        if let Some(api_url) = row.api_url.as_deref().and_then(|address| Url::parse(address).ok()) {
            self.line.site.api.store(Arc::new(api_url));
        }
        Ok(Current { access: Access { token, generation: row.generation }, renew_at: renew_at(row) })
    }

    async fn ask_vendor(&self, row: &TokenRow) -> Result<Grant, Failure> {
        let refresh_token = self.sealer.open(REFRESH_TOKEN, &row.refresh)?;
        let request = self.line.connector.refresh_request(&refresh_token);
        let answer = self.line.call_unchecked(&request).await?;
        Ok(self.line.connector.read_grant(&answer)?)
    }

    /// The vendor may have rotated the refresh token: it is stored before anybody uses the new access token, however
    /// long the database is away.
    async fn store_grant(&self, row: &TokenRow, grant: Grant) -> Result<Current, Failure> {
        let refresh = match &grant.refresh_token {
            Some(token) => self.sealer.seal(REFRESH_TOKEN, token)?,
            None => row.refresh.clone(),
        };
        let now = self.line.clock.now();
        let next = TokenRow {
            generation: row.generation + 1,
            access: self.sealer.seal(ACCESS, &grant.access_token)?,
            refresh,
            expires: grant.expires_in.map(|lives| (now + lives, lives)),
            api_url: grant.api_url.map(String::from).or_else(|| row.api_url.clone()),
            intent: false,
        };
        loop {
            match self.try_store(&next).await {
                Ok(true) => break,
                Ok(false) => {
                    tracing::warn!(connection = %self.id, "a refreshed token was stored by somebody else first");
                    let row = self.row().await?;
                    return self.opened(&row);
                }
                Err(failure) => {
                    tracing::warn!(connection = %self.id, error = %failure, "storing a refreshed token again");
                    tokio::time::sleep(STORE_AGAIN_AFTER).await;
                }
            }
        }
        self.waker.wake();
        self.opened(&next)
    }

    async fn try_store(&self, next: &TokenRow) -> Result<bool, Failure> {
        let mut tx = self.store.pool.begin().await?;
        if !Store::replace_tokens(&mut tx, self.id, self.replica, next).await? {
            return Ok(false);
        }
        outbox::enqueue(&mut tx, &[self.event(kind::TOKEN_REFRESHED, None, None)?]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The grant is dead, unless somebody else stored a newer one meanwhile.
    async fn rejected(&self, row: &TokenRow, error: Error) -> Result<Current, Failure> {
        let mut tx = self.store.pool.begin().await?;
        if !Store::withdraw_refresh(&mut tx, self.id, row.generation, self.replica).await? {
            drop(tx);
            let row = self.row().await?;
            return self.opened(&row);
        }
        let reason = if row.intent { "refresh_interrupted" } else { "access_revoked" };
        let failed = self.event(kind::TOKEN_REFRESH_FAILED, Some(reason), Some(&error.message))?;
        outbox::enqueue(&mut tx, &[failed]).await?;
        let now = self.line.clock.now();
        states::require_authorization(&mut tx, &self.publisher, self.id, reason, &error.message, now).await?;
        tx.commit().await?;
        self.waker.wake();
        Err(error.into())
    }

    fn event(
        &self,
        kind: &'static str,
        reason: Option<&str>,
        message: Option<&str>,
    ) -> Result<bus::Message, bus::Error> {
        let fact = ConnectionChanged {
            connection: Some(self.id),
            vendor: self.publisher.vendor.to_owned(),
            state: (kind == kind::TOKEN_REFRESH_FAILED).then_some(ConnectionState::ReauthRequired),
            account: None,
            reason: reason.map(str::to_owned),
            message: message.map(str::to_owned),
            at: self.line.clock.now(),
        };
        self.publisher.connection(kind, states::SERVICE, &fact)
    }
}

/// When a token is to be renewed: a tenth of its life before its end.
fn renew_at(row: &TokenRow) -> Option<Timestamp> {
    row.expires.map(|(ends, lives)| ends - lives / AHEAD)
}
