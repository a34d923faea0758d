use std::collections::HashMap;

use jiff::Timestamp;
use model::{ChangeKind, Lane};
use tokio::sync::mpsc;
use tracing::Instrument;

use super::{Begun, Reader, Run, SEAM, quiet::Noted};
use crate::{
    Change, Error, ErrorKind, Fetch, Page, Session,
    failure::Failure,
    publisher::{ChangePublisher, LeftOut},
    store::{Checkpoint, Delivered, Store},
};

const READ: &str = "read changes";
/// Pages that are read ahead of the one being published.
pub(super) const READ_AHEAD: usize = 1;

impl Reader {
    /// Reads a lane up to its end, or up to now, and counts what it did, however it ends. The next page is read while one
    /// is published; the checkpoint follows the bus's acknowledgement.
    pub(super) async fn read_lane(
        &self,
        checkpoint: &mut Checkpoint,
        lane: Lane,
        session: &Session,
        run: &mut Run,
    ) -> Result<(), Failure> {
        let (pages, received) = mpsc::channel(READ_AHEAD);
        let reading = self.read_pages(checkpoint.clone(), session, pages);
        let publishing = async {
            // A failure drops the receiver, and reading ends by itself.
            let mut received = received;
            while let Some(page) = received.recv().await {
                self.take_page(page, checkpoint, (lane, session), run).await?;
            }
            Ok::<(), Failure>(())
        };
        let span = tracing::info_span!("read_lane", connection = %self.link.id, object = self.capture.object);
        let (read, published) = async { tokio::join!(reading, publishing) }.instrument(span).await;
        published.and(read)
    }

    /// Reads pages from where the checkpoint stands.
    pub(super) async fn read_pages(
        &self,
        checkpoint: Checkpoint,
        session: &Session,
        pages: mpsc::Sender<Page>,
    ) -> Result<(), Failure> {
        let mut from = checkpoint.position;
        loop {
            let fetch = Fetch {
                object: &self.capture.object,
                schema: &self.schema,
                fields: &self.fields,
                from: &from,
                until: checkpoint.until,
            };
            let page = self.link.connector.fetch_changes(session, &fetch).await?;
            self.link.line.usage.read(self.core.now(), page.changes.len());
            let (more, next) = (page.more, page.next.clone());
            if more && next == from {
                let message = "the vendor's listing does not advance";
                return Err(Error::new(ErrorKind::Protocol, READ, message).into());
            }
            if pages.send(page).await.is_err() || !more {
                return Ok(());
            }
            from = next;
        }
    }

    /// Publishes a page and then stores that it was read.
    async fn take_page(
        &self,
        page: Page,
        checkpoint: &mut Checkpoint,
        (lane, session): (Lane, &Session),
        run: &mut Run,
    ) -> Result<(), Failure> {
        let now = self.core.now();
        let count = page.changes.len();
        if checkpoint.read == 0
            && let Some(total) = page.total
        {
            checkpoint.total = i64::try_from(total).unwrap_or(i64::MAX);
        }
        if count == 0 && page.next == checkpoint.position {
            return Ok(());
        }
        let mut changes = if checkpoint.lane.starts_with("rescan") {
            self.late_ones(page.changes).await?
        } else {
            page.changes
        };
        if lane != Lane::Backfill || self.capture.dated_history {
            self.date(&mut changes, session).await?;
        }
        let recent: Vec<Delivered> =
            changes.iter().filter(|change| self.is_recent(change)).map(Delivered::of).collect();
        run.read += count as u64;
        run.published += changes.len() as u64;
        self.publish(changes, lane, now).await?;
        checkpoint.position = page.next;
        checkpoint.read += i64::try_from(count).unwrap_or_default();
        let mut tx = self.core.store.pool.begin().await?;
        Store::note_delivered(&mut tx, self.link.id, &self.capture.object, &recent).await?;
        self.store(&mut tx, checkpoint).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Asks when the fields were set of which somebody wants to know. Until that is known nothing is published.
    pub(super) async fn date(&self, changes: &mut [Change], session: &Session) -> Result<(), Failure> {
        if self.dated.is_empty() || changes.is_empty() {
            return Ok(());
        }
        Ok(self.link.connector.date_fields(session, &self.schema, &self.dated, changes).await?)
    }

    /// Publishes changes and waits until the bus has stored them. A record that no message can hold goes without its
    /// largest fields, and a failed run says so: it must not hold its neighbours up.
    pub(super) async fn publish(
        &self,
        changes: Vec<Change>,
        lane: Lane,
        now: Timestamp,
    ) -> Result<(), Failure> {
        self.publish_as(&self.changes, changes, lane, now).await
    }

    pub(super) async fn publish_as(
        &self,
        publisher: &ChangePublisher,
        changes: Vec<Change>,
        lane: Lane,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let noted = Noted::of(&changes, &self.quiet());
        let mut people = self.people(&changes, lane).await?;
        let mut messages = Vec::with_capacity(changes.len());
        for change in changes {
            let told = people.as_mut().map(|people| people.remove(&change.id).unwrap_or_default());
            let (message_of_change, left_out) = publisher.message(change, told, lane, now)?;
            if let Some(LeftOut { id, fields }) = left_out {
                let (object, fields) = (self.capture.object.as_str(), fields.join(", "));
                let message = format!("{object} {id} is too large; not read of it: {fields}");
                tracing::warn!(connection = %self.link.id, object, "a record is too large for the bus");
                let mut run = Begun::new("too_large", now);
                self.report(&mut run, Some(("record_too_large", message))).await?;
            }
            messages.push(message_of_change);
        }
        self.core.bus.publish_batch(&messages).await?;
        self.note_quiet(noted, now).await
    }

    /// The people of records that changed, where somebody wants to know them; nobody asks for those of history.
    async fn people(
        &self,
        changes: &[Change],
        lane: Lane,
    ) -> Result<Option<HashMap<String, Vec<String>>>, Failure> {
        let upserted = changes.iter().filter(|change| change.kind == ChangeKind::Upserted);
        let ids: Vec<String> = upserted.map(|change| change.id.clone()).collect();
        if !self.capture.people || lane == Lane::Backfill || ids.is_empty() {
            return Ok(None);
        }
        let (connector, session) = (&self.link.connector, &self.link.session);
        Ok(connector.people(session, &self.capture.object, &ids).await?)
    }

    /// Those that were not handed out like this or in a newer version.
    async fn late_ones(&self, mut changes: Vec<Change>) -> Result<Vec<Change>, Failure> {
        let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
        let known = self.core.store.delivered(self.link.id, &self.capture.object, &ids).await?;
        changes.retain(|change| known.get(&change.id).is_none_or(|known| known.is_surpassed_by(change)));
        Ok(changes)
    }

    /// Whether a re-scan will come across this change again.
    fn is_recent(&self, change: &Change) -> bool {
        change.changed_at >= self.link.line.vendor_now() - self.rescanned_for()
    }

    /// How far back re-scans look, with a margin.
    pub(super) fn rescanned_for(&self) -> std::time::Duration {
        self.last_rung() * 2 + SEAM * 2
    }

    /// How long after its stamp a change may show.
    pub(super) fn last_rung(&self) -> std::time::Duration {
        self.link.connector.capabilities().late_index.iter().max().copied().unwrap_or_default()
    }
}
