//! Vendors are asked to post: once for each rule and event, and again where what a message shows is not so any more.

use bus::outbox;
use jiff::Timestamp;
use model::{DealRegistrationId, OrganizationId, PartnerId, PostContent, PostId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{
    Error,
    domain::telling,
    publisher,
    store::{self, posts::Post, registrations::Registration},
};

/// What is told.
pub(crate) struct Told {
    /// The name under which rules want it.
    pub(crate) event: &'static str,
    pub(crate) content: PostContent,
    /// The registration that it is of, and the status of it that is shown.
    pub(crate) registration: Option<(DealRegistrationId, &'static str)>,
}

/// Asks for one message for each rule that wants an event. The ids come from event and rule, so that a repeat asks for none.
pub(crate) async fn tell(
    tx: &mut PgConnection,
    organization: OrganizationId,
    cause: &str,
    told: &Told,
    now: Timestamp,
) -> Result<(), Error> {
    for rule in store::rules::wanting(&mut *tx, organization, told.event).await? {
        let post = Post {
            id: PostId::from_uuid(Uuid::new_v5(&rule.id.uuid(), cause.as_bytes())),
            organization,
            connection: rule.connection,
            vendor: rule.vendor,
            rule: rule.id,
            channel: rule.channel,
            registration: told.registration.map(|(id, _)| id),
            shown: told.registration.map(|(_, shown)| shown.to_owned()).unwrap_or_default(),
            replaces: None,
            message: None,
        };
        if store::posts::insert(&mut *tx, &post, now).await? {
            let message = publisher::post(&post, None, &told.content, cause, now)?;
            outbox::enqueue(&mut *tx, &[message]).await?;
        }
    }
    Ok(())
}

/// A registration as it is told in a channel.
pub(crate) async fn registration(tx: &mut PgConnection, it: &Registration) -> Result<Told, Error> {
    let by = match &it.standing.decided {
        Some(decided) => called(&mut *tx, it.organization, &decided.by).await?,
        None => String::new(),
    };
    let partner = partner(&mut *tx, it.organization, it.partner).await?;
    Ok(Told {
        event: telling::REGISTRATION_SUBMITTED,
        content: telling::registration(it, partner, &by),
        registration: Some((it.id, shown(it))),
    })
}

/// The status that a message shows. Somebody looking into a registration changes no message.
fn shown(it: &Registration) -> &'static str {
    let status = it.standing.status;
    if status.is_open() { "open" } else { status.name() }
}

/// Puts another message in the place of one that shows a registration as it was. Whoever calls holds the lock of the post.
/// Where the vendor has not told yet which message it is, the answer that tells it comes here again.
pub(crate) async fn refresh(
    tx: &mut PgConnection,
    post: &Post,
    cause: &str,
    now: Timestamp,
) -> Result<(), Error> {
    let (Some(id), Some(message)) = (post.registration, post.message.as_deref()) else { return Ok(()) };
    let Some(it) = store::registrations::find(&mut *tx, post.organization, id).await? else {
        return Ok(());
    };
    let shown = shown(&it);
    if shown == post.shown {
        return Ok(());
    }
    let told = registration(&mut *tx, &it).await?;
    let update = Post {
        id: PostId::from_uuid(Uuid::new_v5(&post.id.uuid(), shown.as_bytes())),
        shown: shown.to_owned(),
        replaces: Some(post.id),
        message: None,
        ..post.clone()
    };
    if store::posts::insert(&mut *tx, &update, now).await? {
        let message = publisher::post(&update, Some(message), &told.content, cause, now)?;
        outbox::enqueue(&mut *tx, &[message]).await?;
    }
    store::posts::show(tx, post.id, shown).await
}

/// What a partner is called; its id where that was not told.
pub(crate) async fn partner(
    db: &mut PgConnection,
    organization: OrganizationId,
    id: PartnerId,
) -> Result<String, Error> {
    let name = store::partners::name(db, organization, id).await?;
    Ok(name.filter(|name| !name.is_empty()).unwrap_or_else(|| id.to_string()))
}

/// What whoever did something is called.
pub(crate) async fn called(
    db: &mut PgConnection,
    organization: OrganizationId,
    actor: &str,
) -> Result<String, Error> {
    let (kind, id) = actor.split_once(':').unwrap_or((actor, ""));
    let name = match (kind, id.parse()) {
        ("user", Ok(person)) => store::people::name(db, organization, person).await?,
        ("api_key", _) => Some("an API key".to_owned()),
        ("integration_key", _) => Some("another product".to_owned()),
        _ => None,
    };
    Ok(name.unwrap_or_else(|| "somebody in Accord".to_owned()))
}
