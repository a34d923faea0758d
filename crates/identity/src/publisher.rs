//! What leaves this room: every change of access, through the outbox, without secrets and without personal data.

use std::collections::{BTreeMap, BTreeSet};

use bus::{Message, subject};
use jiff::Timestamp;
use model::{AccessChanged, AccessSubject, Actor, OrganizationId, Role, Scope, UserId, kind};
use sqlx::PgConnection;

use crate::{domain::key::KeyKind, error::Error, store::keys::Key};

/// Something that happened to somebody's access.
#[derive(Clone, Debug)]
pub(crate) struct Fact {
    organization: OrganizationId,
    actor: Actor,
    subject: AccessSubject,
    id: String,
    action: &'static str,
    facts: BTreeMap<String, String>,
}

impl Fact {
    /// Something that happened to a user.
    pub(crate) fn user(
        organization: OrganizationId,
        actor: Actor,
        user: UserId,
        action: &'static str,
    ) -> Self {
        let (subject, id) = (AccessSubject::User, user.to_string());
        Self { organization, actor, subject, id, action, facts: BTreeMap::new() }
    }

    /// Something that happened to a session.
    pub(crate) fn session(
        organization: OrganizationId,
        actor: Actor,
        session: String,
        action: &'static str,
    ) -> Self {
        let subject = AccessSubject::Session;
        Self { organization, actor, subject, id: session, action, facts: BTreeMap::new() }
    }

    /// Something that happened to a key.
    pub(crate) fn key(actor: Actor, key: &Key, action: &'static str) -> Self {
        let subject = match key.kind {
            KeyKind::Api => AccessSubject::ApiKey,
            KeyKind::Integration => AccessSubject::IntegrationKey,
        };
        let fact = Self {
            organization: key.organization,
            actor,
            subject,
            id: key.public_id(),
            action,
            facts: BTreeMap::new(),
        };
        let fact = fact.with("prefix", &key.prefix).with("scopes", scopes_text(&key.scopes));
        if key.product.is_empty() { fact } else { fact.with("product", &key.product) }
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.facts.insert(name.to_owned(), value.into());
        self
    }

    pub(crate) fn with_role(self, role: Role) -> Self {
        self.with("role", role.name())
    }
}

/// Scopes as a fact has them.
pub(crate) fn scopes_text(scopes: &BTreeSet<Scope>) -> String {
    scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" ")
}

/// Stores the facts in the outbox, in the transaction of the change.
pub(crate) async fn enqueue(tx: &mut PgConnection, facts: &[Fact], now: Timestamp) -> Result<(), Error> {
    let messages = facts.iter().map(|fact| {
        let body = AccessChanged {
            subject: fact.subject,
            id: fact.id.clone(),
            action: fact.action.to_owned(),
            facts: fact.facts.clone(),
            at: now,
        };
        let subject = subject::identity(&fact.organization, "access_changed");
        let message =
            Message::json(subject, kind::ACCESS_CHANGED, "identity", fact.organization, now, &body)?;
        Ok(message.by(fact.actor.to_string()))
    });
    let messages = messages.collect::<Result<Vec<_>, bus::Error>>()?;
    Ok(bus::outbox::enqueue(tx, &messages).await?)
}
