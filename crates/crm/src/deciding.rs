//! The one way in which a registration is decided, wherever somebody does.

use bus::outbox;
use model::{Clock, DealRegistrationId, OrganizationId};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::registration::{Fact, Refused, decide},
    publisher,
    store::{self, registrations::Registration, settings::Settings},
    text,
};

/// What became of a decision.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    /// The organization has no such registration.
    Unknown,
    /// It cannot be taken. The registration is as it was.
    Refused(Refused, Box<Registration>),
    /// The same person took it before.
    Same(Box<Registration>),
    /// It is taken, once this is committed; the bus is told.
    Taken(Box<Registration>),
}

/// Decides, while nobody else does.
pub(crate) async fn decide_registration(
    tx: &mut PgConnection,
    clock: &dyn Clock,
    (organization, id): (OrganizationId, DealRegistrationId),
    actor: &str,
    fact: impl FnOnce(&Settings) -> Fact,
) -> Result<Outcome, Error> {
    let Some(mut registration) = store::registrations::lock(&mut *tx, organization, id).await? else {
        return Ok(Outcome::Unknown);
    };
    let settings = store::settings::find(&mut *tx, organization).await?;
    // Told while nobody else decides, so that a decision is never earlier than the one before.
    let now = text::micros(clock.now());
    let standing = match decide(&registration.standing, &fact(&settings), now) {
        Err(refused) => return Ok(Outcome::Refused(refused, Box::new(registration))),
        Ok(None) => return Ok(Outcome::Same(Box::new(registration))),
        Ok(Some(standing)) => standing,
    };
    store::registrations::update(&mut *tx, registration.id, &standing).await?;
    registration.standing = standing;
    let company = store::directory::company(&mut *tx, organization, &registration.domain).await?;
    let message = publisher::registration(&registration, company, actor, now)?;
    outbox::enqueue(tx, message.as_slice()).await?;
    Ok(Outcome::Taken(Box::new(registration)))
}
