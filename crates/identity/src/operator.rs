use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bus::Bus;
use jiff::Timestamp;
use model::{Actor, Caller, Clock, OrganizationId, Role, Scope, UserId};
use secrecy::SecretString;

use crate::{
    Config,
    domain::{
        key::{KeyKind, NewKey},
        password, text,
    },
    error::Error,
    publisher::Fact,
    service::{MintedKey, Service},
    store::{links, organizations, sessions, users},
};

/// What whoever runs Accord may do from the command line, as the actor `service:accord`. It needs no credential but
/// the database's, and leaves the same events behind as everything else; where no Accord runs, they are published when one
/// does.
#[derive(Clone)]
pub struct Operator(Arc<Service>);

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").finish_non_exhaustive()
    }
}

/// Somebody who is to be a user from the beginning.
#[derive(Clone, Debug)]
pub struct FirstUser {
    /// The e-mail address.
    pub email: String,
    /// The person's name.
    pub name: String,
    /// The role of a new user; one who is there already keeps theirs.
    pub role: Role,
}

/// The secret of a one-time link; the console appends it to its `/sign-in/link/` address.
#[derive(Clone, Debug)]
pub struct Link {
    /// The secret, `al_…`.
    pub token: SecretString,
    /// When it ends, used or not.
    pub expires_at: Timestamp,
}

/// A user of [`Operator::bootstrap`] and their link.
#[derive(Clone, Debug)]
pub struct FirstUserLink {
    /// The user.
    pub user: UserId,
    /// The e-mail address as it is stored.
    pub email: String,
    /// The role that the user has.
    pub role: Role,
    /// A link to sign in by.
    pub link: Link,
}

/// An organization that is ready to be used.
#[derive(Clone, Debug)]
pub struct Bootstrapped {
    /// The organization.
    pub organization_id: OrganizationId,
    /// Its first users, in the order they were named.
    pub users: Vec<FirstUserLink>,
}

/// A key, with its secret for the only time.
#[derive(Clone, Debug)]
pub struct Minted {
    /// The id, `apikey_…` or `intkey_…`.
    pub id: String,
    /// The secret, `ak_…` or `ik_…`.
    pub secret: SecretString,
}

impl Operator {
    /// Works on the database of a configuration, beside a running Accord or without one. Given the bus, what is
    /// revoked is forgotten everywhere at once.
    ///
    /// # Errors
    /// When the database cannot be reached or migrated.
    pub async fn connect(config: Config, bus: Option<Bus>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Ok(Self(Arc::new(Service::connect(config, clock).await?.with_bus(bus))))
    }

    pub(crate) const fn of(service: Arc<Service>) -> Self {
        Self(service)
    }

    /// The organization with this name and these users, made where they are missing, and a fresh link for each user.
    /// Running it again changes nothing but makes new links.
    ///
    /// # Errors
    /// For a name or an address that is malformed, and when the database refuses.
    pub async fn bootstrap(
        &self,
        organization_name: &str,
        first: &[FirstUser],
        link_lifetime: Duration,
    ) -> Result<Bootstrapped, Error> {
        let service = &self.0;
        let name = text::name("organization", organization_name)?;
        let now = service.now();
        let mut tx = service.pool().begin().await?;
        let organization_id = organizations::ensure(&mut tx, &name, &text::slug(&name), now).await?;
        let caller = operator(organization_id);
        let mut users = Vec::new();
        let mut facts = Vec::new();
        for FirstUser { email, name, role } in first {
            let (email, name) = (text::email(email)?, text::name("name", name)?);
            let user = service.ensure_user(&mut tx, organization_id, (&email, &name, *role)).await?;
            let (token, expires_at) = service.link(&mut tx, &caller, &user, link_lifetime).await?;
            let fact = Fact::user(organization_id, caller.actor.clone(), user.id, "invited");
            facts.push(fact.with_role(user.role));
            let link = Link { token, expires_at };
            users.push(FirstUserLink { user: user.id, email, role: user.role, link });
        }
        service.commit(tx, (&facts, now), Vec::new()).await?;
        Ok(Bootstrapped { organization_id, users })
    }

    /// Whether there is an organization of this name, and whether there is any other.
    ///
    /// # Errors
    /// [`Error::Refused`] where this cannot be a name; or when the database refuses.
    pub async fn knows(&self, organization_name: &str) -> Result<(bool, bool), Error> {
        let slug = text::slug(&text::name("organization", organization_name)?);
        let all = organizations::slugs(self.0.pool()).await?;
        Ok((all.contains(&slug), all.iter().any(|other| *other != slug)))
    }

    /// A one-time link for a user, however high their role.
    ///
    /// # Errors
    /// [`Error::Refused`] `user_not_found`; or when the database refuses.
    pub async fn create_link(
        &self,
        organization: OrganizationId,
        user: UserId,
        lifetime: Duration,
    ) -> Result<Link, Error> {
        let (service, caller) = (&self.0, operator(organization));
        let mut tx = service.pool().begin().await?;
        let user = users::get(&mut tx, organization, user).await?;
        let user = user.ok_or_else(crate::service::user_not_found)?;
        let (token, expires_at) = service.link(&mut tx, &caller, &user, lifetime).await?;
        let fact = Fact::user(organization, caller.actor, user.id, "invited").with_role(user.role);
        service.commit(tx, (&[fact], service.now()), Vec::new()).await?;
        Ok(Link { token, expires_at })
    }

    /// Gives a user this password and ends all their sessions and links.
    ///
    /// # Errors
    /// [`Error::Refused`] `user_not_found`, `password_too_short`, `password_too_long`; or when the database refuses.
    pub async fn set_password(
        &self,
        organization: OrganizationId,
        user: UserId,
        password: SecretString,
    ) -> Result<(), Error> {
        password::check_new(&password)?;
        let (service, caller) = (&self.0, operator(organization));
        let hash = service.hash(password).await?;
        let mut tx = service.pool().begin().await?;
        let user = users::get(&mut tx, organization, user).await?;
        let user = user.ok_or_else(crate::service::user_not_found)?;
        users::set_password(&mut tx, user.id, &hash).await?;
        let now = service.now();
        let ended = sessions::revoke_others(&mut tx, user.id, None, now).await?;
        links::end_all(&mut tx, user.id, now).await?;
        let fact = Fact::user(organization, caller.actor, user.id, "password_set");
        service.commit(tx, (&[fact], now), ended.iter().map(ToString::to_string).collect()).await
    }

    /// A new API key.
    ///
    /// # Errors
    /// [`Error::Refused`] for a malformed wish; or when the database refuses.
    pub async fn mint_api_key(&self, organization: OrganizationId, new: NewKey) -> Result<Minted, Error> {
        self.mint(organization, KeyKind::Api, new).await
    }

    /// A new integration key of the product that the wish names.
    ///
    /// # Errors
    /// [`Error::Refused`] for a malformed wish; or when the database refuses.
    pub async fn mint_integration_key(
        &self,
        organization: OrganizationId,
        new: NewKey,
    ) -> Result<Minted, Error> {
        self.mint(organization, KeyKind::Integration, new).await
    }

    /// Revokes the keys that the operator minted under this label, and says how many: before a start mints them anew.
    ///
    /// # Errors
    /// When the database refuses.
    pub async fn revoke_keys_labelled(
        &self,
        organization: OrganizationId,
        label: &str,
    ) -> Result<usize, Error> {
        self.0.revoke_keys_labelled(&operator(organization), label).await
    }

    async fn mint(&self, organization: OrganizationId, kind: KeyKind, new: NewKey) -> Result<Minted, Error> {
        let MintedKey { secret, key } = self.0.mint_key(&operator(organization), kind, new).await?;
        Ok(Minted { id: key.public_id(), secret })
    }
}

/// Whoever runs Accord stands above every role.
fn operator(organization: OrganizationId) -> Caller {
    let scopes = BTreeSet::from(Scope::ALL);
    Caller { organization, actor: Actor::Service("accord"), role: Some(Role::Owner), scopes }
}
