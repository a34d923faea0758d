//! What vendors tell by a request to us: verified, known from its repeats, passed on, and then answered. What is to be done
//! about it comes after the answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ::http::{HeaderMap, HeaderName, HeaderValue};
use chassis::guard::status;
use jiff::Timestamp;
use model::{AnswerPrivately, ConnectionState, InteractionReceived, VendorUser, VendorUserTold};
use proto::connections as wire;
use tokio::time::timeout;
use tonic::{Code, Status};

use crate::{
    Error, ErrorKind, Incoming, MessageChannel, Question, Received, Refusal,
    core::{Core, Link},
    failure::Failure,
    publisher::Publisher,
    pushing, states,
    store::{Connection, Store},
};

/// The inbox's name for requests that were taken.
const INBOX: &str = "connector-received";
/// How long a person's name may take to look up, after the vendor has its answer.
const NAME_WITHIN: Duration = Duration::from_secs(30);
/// How long a person's name is believed.
const NAME_LASTS: Duration = Duration::from_secs(3600);
const NAMES_MOST: usize = 10_000;
/// A vendor allows a dialog for some seconds after the click.
const DIALOG_WITHIN: Duration = Duration::from_secs(3);
const NO_DIALOG: &str = "The dialog could not be opened in time. Please click again.";

/// People of a connection by the vendor's id, with when they were looked up.
pub(crate) type Names = HashMap<String, (Timestamp, VendorUser)>;

/// Why a request is not answered.
pub(crate) enum NotTaken {
    Refused(Refusal),
    NoSuchVendor,
    Failed(Failure),
}

impl<T: Into<Failure>> From<T> for NotTaken {
    fn from(failure: T) -> Self {
        Self::Failed(failure.into())
    }
}

/// Takes a vendor's request; gives what to answer.
pub(crate) async fn receive(core: &Arc<Core>, asked: &wire::ReceiveRequest) -> Result<String, NotTaken> {
    let connector = core.connectors.get(asked.vendor.as_str()).ok_or(NotTaken::NoSuchVendor)?;
    let headers = headers(&asked.headers);
    if !asked.watch.is_empty() {
        return pushing::receive(core, connector.as_ref(), &headers, asked).await;
    }
    let messenger = connector.messenger().ok_or(NotTaken::NoSuchVendor)?;
    let vendor = connector.vendor().name;
    let request = Incoming { headers: &headers, body: &asked.body, now: core.now() };
    match messenger.receive(&request).map_err(NotTaken::Refused)? {
        Received::Nothing => {}
        Received::Handshake(text) => return Ok(text),
        Received::Interaction { account, told } => interaction(core, vendor, &account, told).await?,
        Received::Question { account, id, question } => {
            self::question(core, vendor, &account, id, question).await?;
        }
        Received::Revoked { account, id, at, message } => {
            revoked(core, vendor, &account, &id, at, message).await?;
        }
    }
    Ok(String::new())
}

fn headers(given: &HashMap<String, String>) -> HeaderMap {
    let header = |(name, value): (&String, &String)| {
        Some((HeaderName::try_from(name).ok()?, HeaderValue::try_from(value).ok()?))
    };
    given.iter().filter_map(header).collect()
}

/// The connection that a message of ours names, if it is one to this account.
async fn named(
    core: &Core,
    vendor: &str,
    account: &str,
    id: model::ConnectionId,
) -> Result<Option<Connection>, Failure> {
    let found = core.store.connection(id).await?.filter(|connection| {
        connection.vendor == vendor
            && connection.account_id == account
            && connection.state != ConnectionState::Disconnected
    });
    if found.is_none() {
        tracing::warn!(vendor, "a request names no connection to its account; nothing is done");
    }
    Ok(found)
}

async fn interaction(
    core: &Arc<Core>,
    vendor: &'static str,
    account: &str,
    mut told: InteractionReceived,
) -> Result<(), Failure> {
    let Some(connection) = named(core, vendor, account, told.connection).await? else { return Ok(()) };
    let link = core.link(&connection).await?;
    let known = link.as_ref().and_then(|link| link.names().get(&told.user.id).cloned());
    let now = core.now();
    let is_recent = |at: Timestamp| now.duration_since(at).unsigned_abs() < NAME_LASTS;
    let wanted = match &known {
        Some((at, _)) if is_recent(*at) => None,
        _ => link.map(|link| (link, told.user.id.clone())),
    };
    if let Some((_, user)) = known {
        told.user = user;
    }
    let publisher = Publisher::new(connection.organization, vendor);
    let message = publisher.interaction(&told)?;
    let mut tx = core.store.pool.begin().await?;
    let is_fresh = !bus::inbox::fresh(&mut tx, INBOX, &[format!("{vendor}:{}", told.id)]).await?.is_empty();
    if is_fresh {
        bus::outbox::enqueue(&mut tx, &[message]).await?;
    }
    tx.commit().await?;
    core.waker.wake();
    if let Some((link, id)) = wanted.filter(|_| is_fresh) {
        let core = Arc::clone(core);
        tokio::spawn(async move {
            if let Err(failure) = look_up(&core, &link, &publisher, &id, &told.id).await {
                tracing::warn!(connection = %link.id, error = %failure, "could not tell who acted");
            }
        });
    }
    Ok(())
}

/// Looks up the name and address of whoever acted, and tells them once more than the click did.
async fn look_up(
    core: &Core,
    link: &Link,
    publisher: &Publisher,
    id: &str,
    interaction: &str,
) -> Result<(), Failure> {
    let Some(messenger) = link.connector.messenger() else { return Ok(()) };
    let late = || Error::new(ErrorKind::Unavailable, "look up who acted", "it took too long");
    let found = timeout(NAME_WITHIN, messenger.person(&link.session, id)).await;
    let user = found.unwrap_or_else(|_| Err(late()))?;
    let now = core.now();
    {
        let mut names = link.names();
        if names.len() >= NAMES_MOST {
            names.clear();
        }
        names.insert(id.to_owned(), (now, user.clone()));
    }
    let told = VendorUserTold { connection: link.id, user, at: now };
    let message = publisher.vendor_user(&told, interaction)?;
    let mut tx = core.store.pool.begin().await?;
    bus::outbox::enqueue(&mut tx, &[message]).await?;
    tx.commit().await?;
    core.waker.wake();
    Ok(())
}

/// The dialog is opened after the answer. Should it fail, the person is told to click again.
async fn question(
    core: &Arc<Core>,
    vendor: &'static str,
    account: &str,
    id: String,
    question: Question,
) -> Result<(), Failure> {
    let Some(connection) = named(core, vendor, account, question.connection).await? else { return Ok(()) };
    let Some(link) = core.link(&connection).await? else { return Ok(()) };
    let mut tx = core.store.pool.begin().await?;
    let is_fresh = !bus::inbox::fresh(&mut tx, INBOX, &[format!("{vendor}:{id}")]).await?.is_empty();
    tx.commit().await?;
    if is_fresh {
        tokio::spawn(async move {
            let Some(messenger) = link.connector.messenger() else { return };
            let asked = timeout(DIALOG_WITHIN, messenger.ask(&link.session, &question)).await;
            let late = || Error::new(ErrorKind::Unavailable, "open a dialog", "it took too long");
            let Err(error) = asked.unwrap_or_else(|_| Err(late())) else { return };
            tracing::warn!(connection = %link.id, %error, "could not open a dialog");
            let answer = AnswerPrivately {
                connection: question.connection,
                interaction: id,
                channel: question.channel,
                user: question.user,
                text: NO_DIALOG.to_owned(),
                reply: String::new(),
            };
            if let Err(error) = messenger.answer(&link.session, &answer).await {
                tracing::warn!(connection = %link.id, %error, "could not say that a dialog failed");
            }
        });
    }
    Ok(())
}

/// The account's connections end, whosever they are, unless they were authorized since.
async fn revoked(
    core: &Core,
    vendor: &'static str,
    account: &str,
    id: &str,
    at: Timestamp,
    message: &str,
) -> Result<(), Failure> {
    let mut tx = core.store.pool.begin().await?;
    if !bus::inbox::fresh(&mut tx, INBOX, &[format!("{vendor}:{id}")]).await?.is_empty() {
        let connections = Store::lock_connections_to(&mut tx, vendor, account).await?;
        for connection in connections.iter().filter(|it| it.connected_at.as_second() <= at.as_second()) {
            let publisher = Publisher::new(connection.organization, vendor);
            let (code, now) = (ErrorKind::AccessRevoked.code(), core.now());
            states::require_authorization(&mut tx, &publisher, connection.id, code, message, now).await?;
        }
    }
    tx.commit().await?;
    core.waker.wake();
    core.changed.notify_one();
    Ok(())
}

/// The channels that messages can be posted in.
pub(crate) async fn channels(core: &Core, link: &Link) -> Result<wire::ListChannelsResponse, Failure> {
    let Some(messenger) = link.connector.messenger() else {
        let message = format!("{} has no channels to post in", link.connector.vendor().label);
        return Err(Error::new(ErrorKind::Validation, "list channels", message).into());
    };
    let channels = match messenger.channels(&link.session).await {
        Err(error) if error.kind == ErrorKind::AccessRevoked => {
            core.part_failed(link, "list channels", &error).await?;
            return Err(error.into());
        }
        channels => channels?,
    };
    let to_wire = |channel: MessageChannel| wire::Channel {
        id: channel.id,
        name: channel.name,
        is_private: channel.is_private,
        is_member: channel.is_member,
    };
    Ok(wire::ListChannelsResponse { channels: channels.into_iter().map(to_wire).collect() })
}

/// The refusal of a request that is not taken.
pub(crate) fn refused(refusal: Refusal) -> Status {
    let code = match refusal.code {
        code if code == Refusal::UNREADABLE.code => Code::InvalidArgument,
        Refusal::WATCH_UNKNOWN => Code::NotFound,
        _ => Code::Unauthenticated,
    };
    status(code, refusal.code, refusal.message)
}
