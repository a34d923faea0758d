use jiff::Timestamp;
use model::{Actor, SessionId};
use secrecy::SecretString;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    Service,
    check::{Checked, Holder},
};
use crate::{
    domain::{
        attempts::{self, OF_CLIENT, OF_EMAIL},
        password,
        secret::{Secret, SecretKind},
        text,
    },
    error::{Error, Refusal},
    publisher::Fact,
    store::{
        self, links, sessions,
        users::{self, User},
    },
};

/// The actor of what nobody has proved to be: a refused attempt.
const NOBODY: Actor = Actor::Service("identity");

/// A session that has just begun.
#[derive(Debug)]
pub(crate) struct SignedIn {
    pub(crate) token: SecretString,
    pub(crate) expires_at: Timestamp,
    pub(crate) user: User,
}

impl Service {
    /// Uses up a one-time link.
    pub(crate) async fn sign_in_with_link(&self, token: &SecretString) -> Result<SignedIn, Error> {
        if SecretKind::of(token) != Some(SecretKind::Link) {
            return Err(Refusal::unauthenticated("link_unknown", "This link is not known.").into());
        }
        let (hash, now) = (chassis::guard::digest(token), self.now());
        let mut tx = self.begin().await?;
        if let Some(user) = links::consume(&mut tx, &hash, now).await? {
            let (signed_in, fact) = self.begin_session(&mut tx, user, "link", now).await?;
            self.commit(tx, (&[fact], now), Vec::new()).await?;
            return Ok(signed_in);
        }
        let Some(spent) = links::spent(&mut tx, &hash).await? else {
            return Err(Refusal::unauthenticated("link_unknown", "This link is not known.").into());
        };
        let (code, message) = if spent.used {
            ("link_used", "This link has been used. Ask for a new one.")
        } else {
            ("link_expired", "This link has expired. Ask for a new one.")
        };
        let fact = Fact::user(spent.organization, NOBODY, spent.user, "sign_in_refused").with("reason", code);
        self.commit(tx, (&[fact], now), Vec::new()).await?;
        Err(Refusal::unauthenticated(code, message).into())
    }

    /// Signs in whoever knows the password. Attempts are limited per address and per client, and an unknown address
    /// costs as much work as a known one.
    pub(crate) async fn sign_in_with_password(
        &self,
        email: &str,
        password: SecretString,
        client: &str,
    ) -> Result<SignedIn, Error> {
        let now = self.now();
        let email = text::email(email).ok();
        let keys = AttemptKeys::of(email.as_deref().unwrap_or_default(), client);
        self.admit(&keys, now).await?;
        let candidates = match &email {
            Some(email) => users::candidates(&self.pool, email).await?,
            None => Vec::new(),
        };
        let first = candidates.first().map(|user| (user.organization, user.id));
        let Some(user) = self.verify(password, candidates).await? else {
            if let Some((organization, user)) = first {
                let fact = Fact::user(organization, NOBODY, user, "sign_in_refused");
                let fact = fact.with("reason", "wrong_password");
                self.commit(self.begin().await?, (&[fact], now), Vec::new()).await?;
            }
            let message = "The e-mail address or the password is wrong.";
            return Err(Refusal::unauthenticated("sign_in_refused", message).into());
        };
        let mut tx = self.begin().await?;
        store::attempts::take_back(&mut tx, &keys.client, now).await?;
        store::attempts::forget(&mut tx, &keys.email).await?;
        let (signed_in, fact) = self.begin_session(&mut tx, user.id.uuid(), "password", now).await?;
        self.commit(tx, (&[fact], now), Vec::new()).await?;
        Ok(signed_in)
    }

    /// Ends the session.
    pub(crate) async fn sign_out(&self, checked: &Checked) -> Result<(), Error> {
        let (session, now) = (session_of(checked)?, self.now());
        let caller = &checked.authorized.caller;
        let mut tx = self.begin().await?;
        let mut facts = Vec::new();
        if sessions::revoke(&mut tx, session, now).await? {
            let (organization, actor) = (caller.organization, caller.actor.clone());
            facts.push(Fact::session(organization, actor, session.to_string(), "signed_out"));
        }
        self.commit(tx, (&facts, now), vec![session.to_string()]).await
    }

    /// Ends the caller's other sessions and the links made for them. Says how many sessions that were.
    pub(crate) async fn end_other_sessions(&self, checked: &Checked) -> Result<usize, Error> {
        let (session, now) = (session_of(checked)?, self.now());
        let caller = &checked.authorized.caller;
        let Actor::User(id) = caller.actor else { return Err(session_required().into()) };
        let mut tx = self.begin().await?;
        let ended = sessions::revoke_others(&mut tx, id, Some(session), now).await?;
        links::end_all(&mut tx, id, now).await?;
        let fact = Fact::user(caller.organization, caller.actor.clone(), id, "other_sessions_ended");
        let fact = fact.with("sessions", ended.len().to_string());
        let forgotten = ended.iter().map(ToString::to_string).collect();
        self.commit(tx, (&[fact], now), forgotten).await?;
        Ok(ended.len())
    }

    /// Gives the caller a new password and ends every other session and link of theirs.
    pub(crate) async fn set_password(
        &self,
        checked: &Checked,
        current: SecretString,
        new: SecretString,
    ) -> Result<(), Error> {
        let (session, now) = (session_of(checked)?, self.now());
        let caller = &checked.authorized.caller;
        let Actor::User(id) = caller.actor else { return Err(session_required().into()) };
        password::check_new(&new)?;
        let mut connection = self.pool.acquire().await?;
        let user = users::get(&mut connection, caller.organization, id).await?;
        drop(connection);
        let user = user.ok_or(Error::Stored("session: its user is gone"))?;
        if user.password_hash.is_some() {
            self.prove(&user, current, now).await?;
        }
        let hash = self.hash(new).await?;
        let mut tx = self.begin().await?;
        users::set_password(&mut tx, id, &hash).await?;
        let ended = sessions::revoke_others(&mut tx, id, Some(session), now).await?;
        links::end_all(&mut tx, id, now).await?;
        let fact = Fact::user(caller.organization, caller.actor.clone(), id, "password_set");
        let ended = ended.iter().map(ToString::to_string).collect();
        self.commit(tx, (&[fact], now), ended).await
    }

    /// Has the user prove that they know their password, as limited as a sign-in.
    async fn prove(&self, user: &User, current: SecretString, now: Timestamp) -> Result<(), Error> {
        let keys = AttemptKeys::of(&user.email, &user.id.to_string());
        self.admit(&keys, now).await?;
        if self.verify(current, vec![user.clone()]).await?.is_none() {
            let message = "The current password is wrong.";
            return Err(Refusal::denied("password_wrong", message).at("current_password").into());
        }
        let mut tx = self.begin().await?;
        store::attempts::take_back(&mut tx, &keys.client, now).await?;
        store::attempts::forget(&mut tx, &keys.email).await?;
        Ok(tx.commit().await?)
    }

    /// Counts an attempt, or refuses it when there were too many.
    async fn admit(&self, keys: &AttemptKeys, now: Timestamp) -> Result<(), Error> {
        let mut tx = self.begin().await?;
        // Always in this order, so that two attempts cannot wait for each other.
        for (key, limit) in [(&keys.client, OF_CLIENT), (&keys.email, OF_EMAIL)] {
            let known = store::attempts::lock(&mut tx, key, now).await?;
            let known = attempts::decide(known, limit, now).map_err(|seconds| {
                let message = format!("Too many attempts to sign in. Try again in {seconds} seconds.");
                Refusal::exhausted("too_many_attempts", message)
            })?;
            store::attempts::store(&mut tx, key, known).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The first of the users whose password this is.
    async fn verify(&self, password: SecretString, users: Vec<User>) -> Result<Option<User>, Error> {
        self.hashing(move || {
            if users.is_empty() {
                password::verify(&password, None);
            }
            users.into_iter().find(|user| password::verify(&password, user.password_hash.as_deref()))
        })
        .await
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: SecretString) -> Result<String, Error> {
        let salt = rand::random();
        Ok(self.hashing(move || password::hash(&password, salt)).await??)
    }

    /// Runs slow work on a thread of its own, a few at a time.
    async fn hashing<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let permit =
            self.hashing.clone().acquire_owned().await.map_err(|error| Error::Hashing(Box::new(error)))?;
        let working = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        working.await.map_err(|error| Error::Hashing(Box::new(error)))
    }

    async fn begin_session(
        &self,
        tx: &mut PgConnection,
        user: Uuid,
        method: &str,
        now: Timestamp,
    ) -> Result<(SignedIn, Fact), Error> {
        let user = users::signed_in(tx, user, now).await?;
        let secret = Secret::from_bytes(SecretKind::Session, rand::random());
        let expires_at = self.session_end(now, now);
        let id = sessions::insert(tx, user.organization, user.id, &secret.hash, (now, expires_at)).await?;
        let fact = Fact::user(user.organization, Actor::User(user.id), user.id, "signed_in");
        let fact = fact.with("method", method).with("session", id.to_string());
        Ok((SignedIn { token: secret.text, expires_at, user }, fact))
    }
}

/// What attempts are counted by. Hashes, so that addresses are not kept.
struct AttemptKeys {
    email: [u8; 32],
    client: [u8; 32],
}

impl AttemptKeys {
    /// Clients that nobody knows are not counted as one: that would let anybody lock everybody out.
    fn of(email: &str, client: &str) -> Self {
        let hash = |text: String| chassis::guard::digest(&SecretString::from(text));
        let client =
            if client.is_empty() { format!("client of {email}") } else { format!("client {client}") };
        Self { email: hash(format!("email {email}")), client: hash(client) }
    }
}

fn session_of(checked: &Checked) -> Result<SessionId, Refusal> {
    match checked.holder {
        Holder::Session(id) => Ok(id),
        Holder::Key(_) => Err(session_required()),
    }
}

fn session_required() -> Refusal {
    Refusal::denied("session_required", "Only somebody who is signed in can do this, not a key.")
}
