//! How a connection reads what people did, as people chose it: how often, and how much of it is kept.

use bus::outbox;
use chassis::guard::{at_field, status};
use model::{ConnectionId, ReadingChanged, ReadingSettings};
use proto::{connections as wire, to_wire_time};
use tonic::{Code, Status};

use crate::{
    Feed,
    core::{Core, Link},
    failure::Failure,
    publisher::Publisher,
    store::{Connection, Store},
};

/// The least: a mailbox answers 10,000 calls in ten minutes, and what has to be sooner is pushed.
const LEAST_MINUTES: u32 = 1;
/// The most: a vendor may forget a position that was not asked for in days.
const MOST_MINUTES: u32 = 1_440;

/// Reads how a connection reads, when its link is opened.
pub(crate) async fn load(core: &Core, link: &Link) -> Result<(), Failure> {
    let stored = core.store.readings(&[link.id]).await?.pop();
    take_over(link, stored.map(|stored| stored.settings).unwrap_or_default());
    Ok(())
}

/// Takes over what another process stored.
pub(crate) async fn look_after(core: &Core) -> Result<(), Failure> {
    let links = core.links();
    let ids: Vec<ConnectionId> = links.iter().map(|link| link.id).collect();
    let stored = core.store.readings(&ids).await?;
    for link in links {
        let stored = stored.iter().find(|stored| stored.connection == link.id);
        take_over(&link, stored.map(|stored| stored.settings).unwrap_or_default());
    }
    Ok(())
}

fn take_over(link: &Link, settings: ReadingSettings) {
    link.reading.send_if_modified(|known| std::mem::replace(known, settings) != settings);
}

/// The settings that somebody asks for.
pub(crate) fn asked(feeds: &[Feed], request: &wire::SetReadingRequest) -> Result<ReadingSettings, Status> {
    must_read(feeds)?;
    let invalid = |code, field: &'static str, message: &str| {
        Err(at_field(status(Code::InvalidArgument, code, message), field))
    };
    let minutes = request.interval_minutes;
    if minutes != 0 && !(LEAST_MINUTES..=MOST_MINUTES).contains(&minutes) {
        let message = format!(
            "It can be read every {LEAST_MINUTES} to {MOST_MINUTES} minutes; 0 is as often as is usual."
        );
        return invalid("interval_invalid", "interval_minutes", &message);
    }
    if request.bodies && !has_bodies(feeds) {
        let message = "Only of a vendor of mails can be chosen whether whole texts are kept.";
        return invalid("bodies_unsupported", "bodies", message);
    }
    Ok(ReadingSettings { interval_minutes: (minutes != 0).then_some(minutes), bodies: request.bodies })
}

fn must_read(feeds: &[Feed]) -> Result<(), Status> {
    let message = "This vendor tells of no mails, meetings or calls: there is nothing to choose.";
    if feeds.is_empty() { Err(status(Code::FailedPrecondition, "nothing_read", message)) } else { Ok(()) }
}

fn has_bodies(feeds: &[Feed]) -> bool {
    feeds.iter().any(|feed| feed.has_bodies)
}

/// Changes how a connection reads. What is as it was is no change.
pub(crate) async fn set(
    core: &Core,
    connection: &Connection,
    publisher: &Publisher,
    after: ReadingSettings,
    actor: &str,
) -> Result<(), Failure> {
    let (id, now) = (connection.id, core.now());
    let mut tx = core.store.pool.begin().await?;
    let before = Store::lock_reading(&mut tx, id).await?;
    if before == after {
        return Ok(());
    }
    Store::put_reading(&mut tx, id, after, actor, now).await?;
    let changed =
        ReadingChanged { connection: id, vendor: connection.vendor.clone(), before, after, at: now };
    outbox::enqueue(&mut tx, &[publisher.reading_changed(actor, &changed)?]).await?;
    tx.commit().await?;
    core.waker.wake();
    if let Some(link) = core.link_at_hand(id) {
        take_over(&link, after);
    }
    Ok(())
}

/// How a connection reads.
pub(crate) async fn show(
    core: &Core,
    connection: ConnectionId,
    feeds: &[Feed],
) -> Result<wire::Reading, Failure> {
    let stored = core.store.readings(&[connection]).await?.pop();
    let settings = stored.as_ref().map(|stored| stored.settings).unwrap_or_default();
    let usual = feeds.iter().map(|feed| feed.every.as_secs().div_ceil(60)).min().unwrap_or_default();
    Ok(wire::Reading {
        interval_minutes: settings.interval_minutes.unwrap_or_default(),
        usual_minutes: u32::try_from(usual).unwrap_or(u32::MAX),
        least_minutes: LEAST_MINUTES,
        most_minutes: MOST_MINUTES,
        bodies: settings.bodies,
        has_bodies: has_bodies(feeds),
        changed_at: stored.as_ref().map(|stored| to_wire_time(stored.changed_at)),
        changed_by: stored.map(|stored| stored.changed_by).unwrap_or_default(),
    })
}

/// How the feeds of a connection are read, of a vendor that tells something.
pub(crate) async fn shown(
    core: &Core,
    connection: &Connection,
) -> Result<Result<wire::Reading, Status>, Failure> {
    let feeds = core.feeds(connection);
    match must_read(feeds) {
        Ok(()) => Ok(Ok(show(core, connection.id, feeds).await?)),
        Err(refusal) => Ok(Err(refusal)),
    }
}
