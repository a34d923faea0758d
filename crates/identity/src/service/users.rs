use std::{collections::BTreeSet, time::Duration};

use jiff::Timestamp;
use model::{Actor, Caller, OrganizationId, Role, Scope, UserId};
use secrecy::SecretString;
use sqlx::PgConnection;

use super::Service;
use crate::{
    domain::{
        key::{Demoted, demote},
        role,
        secret::{Secret, SecretKind},
        session::after,
        text,
    },
    error::{Error, Refusal},
    publisher::{Fact, scopes_text},
    store::{
        keys, links, organizations, sessions,
        users::{self, User},
    },
};

/// Somebody who was invited, and the secret of their link.
#[derive(Debug)]
pub(crate) struct Invitation {
    pub(crate) user: User,
    pub(crate) token: SecretString,
    pub(crate) expires_at: Timestamp,
}

/// Who is calling, for people.
#[derive(Debug)]
pub(crate) struct WhoAmI {
    pub(crate) user: Option<User>,
    pub(crate) organization_name: String,
    pub(crate) organization_slug: String,
}

impl Service {
    pub(crate) async fn who_am_i(&self, caller: &Caller) -> Result<WhoAmI, Error> {
        let user = match caller.actor {
            Actor::User(id) => {
                let mut connection = self.pool.acquire().await?;
                users::get(&mut connection, caller.organization, id).await?
            }
            _ => None,
        };
        let names = organizations::names(&self.pool, caller.organization).await?;
        let (organization_name, organization_slug) =
            names.ok_or(Error::Stored("organization: it is gone"))?;
        Ok(WhoAmI { user, organization_name, organization_slug })
    }

    pub(crate) async fn list_users(&self, caller: &Caller) -> Result<Vec<User>, Error> {
        users::list(&self.pool, caller.organization).await
    }

    /// Makes the user where the organization has none with this address, and a link to sign in by.
    pub(crate) async fn invite(
        &self,
        caller: &Caller,
        email: &str,
        name: &str,
        role: Role,
    ) -> Result<Invitation, Error> {
        let (email, name, now) = (text::email(email)?, text::name("name", name)?, self.now());
        let mut tx = self.begin().await?;
        let user = match users::by_email(&mut tx, caller.organization, &email).await? {
            Some(user) if user.role != role => {
                let message =
                    format!("This person is here already, as {}. Change the role instead.", user.role);
                return Err(Refusal::precondition("user_has_another_role", message).at("role").into());
            }
            Some(user) => {
                role::may_link(caller, user.role)?;
                user
            }
            None => {
                role::may_invite(caller, role)?;
                self.ensure_user(&mut tx, caller.organization, (&email, &name, role)).await?
            }
        };
        let lifetime = self.config.link_lifetime;
        let (token, expires_at) = self.link(&mut tx, caller, &user, lifetime).await?;
        let fact = Fact::user(caller.organization, caller.actor.clone(), user.id, "invited");
        self.commit(tx, (&[fact.with_role(role)], now), Vec::new()).await?;
        Ok(Invitation { user, token, expires_at })
    }

    /// The user with this address, made where there is none.
    pub(crate) async fn ensure_user(
        &self,
        tx: &mut PgConnection,
        organization: OrganizationId,
        (email, name, role): (&str, &str, Role),
    ) -> Result<User, Error> {
        users::insert(tx, organization, (email, name, role), self.now()).await?;
        let user = users::by_email(tx, organization, email).await?;
        user.ok_or(Error::Stored("user: it is gone"))
    }

    /// A new one-time link for the user.
    pub(crate) async fn link(
        &self,
        tx: &mut PgConnection,
        caller: &Caller,
        user: &User,
        lifetime: Duration,
    ) -> Result<(SecretString, Timestamp), Error> {
        let now = self.now();
        let expires_at = after(now, lifetime);
        let secret = Secret::from_bytes(SecretKind::Link, rand::random());
        links::insert(tx, user, &secret.hash, &caller.actor.to_string(), (now, expires_at)).await?;
        Ok((secret.text, expires_at))
    }

    /// Gives a user another role; their sessions have it at once.
    pub(crate) async fn set_role(&self, caller: &Caller, id: UserId, role: Role) -> Result<User, Error> {
        let now = self.now();
        let mut tx = self.begin().await?;
        organizations::lock(&mut tx, caller.organization).await?;
        let user = users::get(&mut tx, caller.organization, id).await?;
        let user = user.ok_or_else(user_not_found)?;
        let owners = users::owners(&mut tx, caller.organization).await?;
        role::may_set(caller, user.role, role, owners)?;
        if user.role == role {
            return Ok(user);
        }
        users::set_role(&mut tx, id, role).await?;
        let sessions = sessions::of_user(&mut tx, id, now).await?;
        let fact = Fact::user(caller.organization, caller.actor.clone(), id, "role_set");
        let mut facts = vec![fact.with_role(role).with("previous_role", user.role.name())];
        let mut forgotten: Vec<String> = sessions.iter().map(ToString::to_string).collect();
        if !user.role.scopes().is_subset(&role.scopes()) {
            let (fewer, keys) = demote_keys(&mut tx, caller, id, (&role.scopes(), now)).await?;
            facts.extend(fewer);
            forgotten.extend(keys);
        }
        self.commit(tx, (&facts, now), forgotten).await?;
        Ok(User { role, ..user })
    }

    /// Takes a person out of the organization: their sessions, links and keys end at once. Says how many keys that were.
    pub(crate) async fn remove_user(&self, caller: &Caller, id: UserId) -> Result<usize, Error> {
        let now = self.now();
        let mut tx = self.begin().await?;
        organizations::lock(&mut tx, caller.organization).await?;
        let user = users::get(&mut tx, caller.organization, id).await?.ok_or_else(user_not_found)?;
        let owners = users::owners(&mut tx, caller.organization).await?;
        role::may_remove(caller, id, user.role, owners)?;
        let sessions = sessions::of_user(&mut tx, id, now).await?;
        users::delete(&mut tx, id).await?;
        let (mut facts, keys) = demote_keys(&mut tx, caller, id, (&BTreeSet::new(), now)).await?;
        let revoked = keys.len();
        let fact = Fact::user(caller.organization, caller.actor.clone(), id, "removed");
        facts.push(fact.with("previous_role", user.role.name()));
        let forgotten = sessions.iter().map(ToString::to_string).chain(keys).collect();
        self.commit(tx, (&facts, now), forgotten).await?;
        Ok(revoked)
    }
}

/// Keeps everything that a person could act by, besides their sessions, within these scopes: keys that they made, also by
/// way of other keys, are narrowed or revoked, and unused links that they made for others end. The facts, and the
/// ids of the keys.
async fn demote_keys(
    tx: &mut PgConnection,
    caller: &Caller,
    maker: UserId,
    (scopes, now): (&BTreeSet<Scope>, Timestamp),
) -> Result<(Vec<Fact>, Vec<String>), Error> {
    let made_by = Actor::User(maker).to_string();
    links::end_made_by(tx, caller.organization, &made_by, now).await?;
    let (mut facts, mut ids) = (Vec::new(), Vec::new());
    for key in keys::lock_made_by(tx, caller.organization, &made_by).await? {
        let (changed, action) = match demote(&key.scopes, scopes) {
            Demoted::Untouched => continue,
            Demoted::Narrowed(kept) if !key.is_of_partner() => {
                (keys::narrow(tx, key.id, &kept).await?, "narrowed")
            }
            Demoted::Narrowed(_) | Demoted::Revoked => (keys::revoke(tx, key.id, now).await?, "revoked"),
        };
        let fact = Fact::key(caller.actor.clone(), &changed, action).with("maker", maker.to_string());
        facts.push(fact.with("previous_scopes", scopes_text(&key.scopes)));
        ids.push(key.public_id());
    }
    Ok((facts, ids))
}

pub(crate) fn user_not_found() -> Refusal {
    Refusal::not_found("user_not_found", "There is no such user in your organization.")
}
