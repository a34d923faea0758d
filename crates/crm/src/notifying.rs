//! Events in: what the rules want to be told, and what the room must know of connections and people to tell it.

use std::sync::Arc;

use bus::{Bus, Message, inbox, outbox::Waker, subject};
use jiff::Timestamp;
use model::{
    AccessChanged, AccessSubject, CanonicalObject, Clock, CommissionChanged, ConnectionChanged,
    ConnectionState, DealRegistrationChanged, OrganizationId, PartnerChanged, PayoutCreated, RecordChanged,
    UserId, Value, kind,
};
use sqlx::{PgConnection, PgPool};

use crate::{
    Error,
    domain::telling::{self as words, Deal},
    hearing::Hears,
    store,
    telling::{self, Told},
    text,
};

/// Tells in channels what happened.
pub(crate) struct Notifier {
    pub(crate) pool: PgPool,
    pub(crate) bus: Bus,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) waker: Waker,
}

/// What something is done with.
pub(crate) enum Heard {
    Partner(PartnerChanged),
    Record(Box<RecordChanged>),
    Commission(CommissionChanged),
    Payout(PayoutCreated),
    Connection(ConnectionChanged),
    Registration(Box<DealRegistrationChanged>),
    /// The role that somebody has from now on; empty of whoever was removed.
    Person(UserId, String, Timestamp),
}

impl Hears for Notifier {
    const STREAM: &'static str = subject::EVENTS;
    const DURABLE: &'static str = "crm-notifications";
    const FILTERS: &'static [&'static str] = &[
        "record.*.deal",
        "record.*.partner",
        "partner.>",
        "commission.>",
        "payout.>",
        "connection.>",
        "identity.>",
        "deal_registration.>",
    ];
    const FAILED: &'static str = "crm_notification_failed";
    type Heard = Heard;

    fn bus(&self) -> &Bus {
        &self.bus
    }

    fn read(message: &Message) -> Result<Option<Heard>, bus::Error> {
        Ok(match message.envelope.kind.as_str() {
            kind::PARTNER_CREATED => Some(Heard::Partner(message.decode()?)),
            kind::RECORD_CHANGED => {
                let changed: RecordChanged = message.decode()?;
                is_news(&changed).then(|| Heard::Record(Box::new(changed)))
            }
            kind::COMMISSION_ACCRUED => Some(Heard::Commission(message.decode()?)),
            kind::PAYOUT_CREATED => Some(Heard::Payout(message.decode()?)),
            kind::CONNECTION_AUTHORIZED | kind::CONNECTION_CHANGED | kind::CONNECTION_DISCONNECTED => {
                Some(Heard::Connection(message.decode()?))
            }
            kind::ACCESS_CHANGED => person(&message.decode()?),
            kind::DEAL_REGISTRATION_SUBMITTED
            | kind::DEAL_REGISTRATION_APPROVED
            | kind::DEAL_REGISTRATION_REJECTED
            | kind::DEAL_REGISTRATION_EXPIRED => Some(Heard::Registration(Box::new(message.decode()?))),
            _ => None,
        })
    }

    async fn keep(&self, message: &Message, heard: &Heard) -> Result<(), Error> {
        let (organization, event) = (message.envelope.organization, &message.envelope.id);
        let now = text::micros(self.clock.now());
        let mut tx = self.pool.begin().await?;
        if inbox::fresh(&mut tx, Self::DURABLE, std::slice::from_ref(event)).await?.is_empty() {
            return Ok(());
        }
        let told = match heard {
            Heard::Registration(changed) => {
                let is_new = message.envelope.kind == kind::DEAL_REGISTRATION_SUBMITTED;
                registration(&mut tx, organization, changed, (is_new, event), now).await?
            }
            Heard::Person(person, role, at) => {
                store::people::change(&mut tx, organization, *person, role, *at).await?;
                None
            }
            other => news(&mut tx, organization, other).await?,
        };
        if let Some(told) = &told {
            telling::tell(&mut tx, organization, event, told, now).await?;
        }
        tx.commit().await?;
        self.waker.wake();
        Ok(())
    }
}

/// Whether a change of a record is told anywhere.
fn is_news(changed: &RecordChanged) -> bool {
    match changed.object {
        _ if changed.truncated => false,
        CanonicalObject::Deal => words::closed(changed).is_some(),
        CanonicalObject::Partner => words::tiers(changed).is_some(),
        _ => false,
    }
}

fn person(changed: &AccessChanged) -> Option<Heard> {
    if changed.subject != AccessSubject::User {
        return None;
    }
    let role = match changed.action.as_str() {
        "invited" | "role_set" => changed.facts.get("role")?.clone(),
        "removed" => String::new(),
        _ => return None,
    };
    Some(Heard::Person(changed.id.parse().ok()?, role, changed.at))
}

/// Tells of a new registration; of one that is not as it was, the messages that told of it.
async fn registration(
    tx: &mut PgConnection,
    organization: OrganizationId,
    changed: &DealRegistrationChanged,
    (is_new, event): (bool, &str),
    now: Timestamp,
) -> Result<Option<Told>, Error> {
    if is_new {
        let found = store::registrations::find(&mut *tx, organization, changed.registration).await?;
        let Some(found) = found else { return Ok(None) };
        return Ok(Some(telling::registration(tx, &found).await?));
    }
    for post in store::posts::lock_of(&mut *tx, organization, changed.registration).await? {
        telling::refresh(&mut *tx, &post, event, now).await?;
    }
    Ok(None)
}

async fn news(
    tx: &mut PgConnection,
    organization: OrganizationId,
    heard: &Heard,
) -> Result<Option<Told>, Error> {
    let told = |event, content| Ok(Some(Told { event, content, registration: None }));
    match heard {
        Heard::Partner(created) => {
            let name =
                if created.name.is_empty() { created.partner.to_string() } else { created.name.clone() };
            told(words::PARTNER_CREATED, words::partner_created(name))
        }
        Heard::Commission(changed) => {
            let partner = telling::partner(tx, organization, changed.partner).await?;
            told(words::COMMISSION_ACCRUED, words::commission_accrued(partner, changed))
        }
        Heard::Payout(created) => {
            let partner = telling::partner(tx, organization, created.partner).await?;
            told(words::PAYOUT_CREATED, words::payout_created(partner, created))
        }
        Heard::Record(changed) => record(tx, organization, changed).await,
        Heard::Connection(changed) => connection(tx, organization, changed).await,
        Heard::Registration(_) | Heard::Person(..) => Ok(None),
    }
}

async fn record(
    tx: &mut PgConnection,
    organization: OrganizationId,
    changed: &RecordChanged,
) -> Result<Option<Told>, Error> {
    let known = store::directory::told(&mut *tx, organization, changed.record).await?;
    let text = |field: &str| {
        let now = changed.fields.get(field).map(Value::to_string);
        now.or_else(|| known.get(field).cloned()).unwrap_or_default()
    };
    let told = |event, content| Ok(Some(Told { event, content, registration: None }));
    if let Some((before, after)) =
        words::tiers(changed).filter(|_| changed.object == CanonicalObject::Partner)
    {
        return told(words::TIER_CHANGED, words::tier_changed(text("name"), before, after));
    }
    let Some(is_won) = words::closed(changed) else { return Ok(None) };
    let deal = Deal {
        name: text("name"),
        amount: text("amount"),
        currency: text("currency"),
        partner: known.get("partner_name").cloned().unwrap_or_default(),
    };
    let event = if is_won { words::DEAL_WON } else { words::DEAL_LOST };
    told(event, words::deal_closed(is_won, deal))
}

/// Keeps how a connection stands, and tells of one that came to stand badly.
async fn connection(
    tx: &mut PgConnection,
    organization: OrganizationId,
    changed: &ConnectionChanged,
) -> Result<Option<Told>, Error> {
    let (Some(id), Some(state)) = (changed.connection, changed.state) else { return Ok(None) };
    let before = store::connections::find(&mut *tx, organization, id).await?;
    store::connections::put(tx, organization, id, (&changed.vendor, state.name()), changed.at).await?;
    let is_trouble = matches!(state, ConnectionState::Error | ConnectionState::ReauthRequired);
    if !is_trouble || before.is_some_and(|(_, before)| before == state.name()) {
        return Ok(None);
    }
    let needs_person = state == ConnectionState::ReauthRequired;
    let content = words::trouble(changed, needs_person);
    Ok(Some(Told { event: words::SYNC_TROUBLE, content, registration: None }))
}
