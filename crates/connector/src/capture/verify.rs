//! Comparing the vendor's records with what the sync-engine knows of them: sums of digests by bucket first, and what is in
//! buckets that differ is handed out again. All calls wait behind live ones.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::{SignedDuration, Timestamp};
use model::{Digests, Lane, VerifiedBucket, VerifyFinished, VerifyProgressed, digest};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Begun, Reader, lane::READ_AHEAD, quiet::Noted, sweep::SWEEP, wait_or_wake};
use crate::{Change, Cursor, Session, failure::Failure, store::Checkpoint};

const VERIFY: &str = "verify";
/// How often to say how far the reading is.
const SAY_EVERY: SignedDuration = SignedDuration::from_secs(10);

/// What a look through all records found.
#[derive(Default)]
struct Look {
    read: u64,
    /// How many the vendor counted at the start.
    total: Option<u64>,
    digests: Digests,
    /// Per wanted bucket, the ids of its records.
    ids: BTreeMap<usize, BTreeSet<String>>,
    /// What was handed out, each version once.
    sent: HashSet<(String, i64)>,
}

impl Reader {
    /// Compares, when somebody wants it.
    pub(super) async fn verify(&self) {
        let Some(run) = self.capture.verify else { return };
        let mut sync_now = self.link.sync_now.subscribe();
        loop {
            let started = self.core.now();
            let failure = match self.try_verify(run, started).await {
                Ok(()) | Err(Failure::LeaseLost) => return,
                Err(failure) => failure,
            };
            let wait = self.failed(VERIFY, &mut Begun::new(VERIFY, started), &failure).await;
            wait_or_wake(wait, &mut sync_now).await;
        }
    }

    async fn try_verify(&self, run: Uuid, started_at: Timestamp) -> Result<(), Failure> {
        let (id, object) = (self.link.id, self.capture.object.as_str());
        let Some(known) = self.core.store.verify(id, object, run).await? else { return Ok(()) };
        // What is deleted there and was not told yet is no difference.
        self.sweep_and_tell(&mut Begun::new(SWEEP, started_at)).await?;
        let session = self.link.session.in_background();
        let first = self.look(&session, run, &BTreeSet::new()).await?;
        let differing: BTreeSet<usize> = known.differing(&first.digests).into_iter().collect();
        let again =
            if differing.is_empty() { Look::default() } else { self.look(&session, run, &differing).await? };
        for bucket in &differing {
            let ids = again.ids.get(bucket).into_iter().flatten().cloned().collect();
            let fact = VerifiedBucket {
                run,
                connection: id,
                vendor_object: object.to_owned(),
                bucket: u32::try_from(*bucket).unwrap_or(u32::MAX),
                ids,
            };
            self.core.bus.publish(&self.link.publisher.verified_bucket(&fact, self.core.now())?).await?;
        }
        let fact = VerifyFinished {
            run,
            connection: id,
            vendor_object: object.to_owned(),
            read: first.read,
            sent: again.sent.len() as u64,
            buckets: differing.len() as u64,
            started_at,
            at: self.core.now(),
        };
        self.core.bus.publish(&self.link.publisher.verify_finished(&fact)?).await?;
        self.core.store.end_verify(id, object, run).await?;
        self.core.part_succeeded(&self.link, &self.part(VERIFY)).await?;
        Ok(())
    }

    /// Looks through all records, and hands those of the wanted buckets out again.
    async fn look(&self, session: &Session, run: Uuid, wanted: &BTreeSet<usize>) -> Result<Look, Failure> {
        let whole = Checkpoint {
            lane: VERIFY.to_owned(),
            position: Cursor::at(Timestamp::UNIX_EPOCH),
            until: None,
            finished: false,
            read: 0,
            total: 0,
            since: self.core.now(),
            since_read: 0,
        };
        let (pages, mut received) = mpsc::channel(READ_AHEAD);
        let reading = self.read_pages(whole, session, pages);
        let quiet = self.quiet();
        let looking = async {
            let (mut look, mut said) = (Look::default(), None);
            while let Some(page) = received.recv().await {
                look.total = look.total.or(page.total);
                if wanted.is_empty() {
                    self.note_new_quiet(Noted::of(&page.changes, &quiet)).await?;
                }
                let mut again = look.take(page.changes, wanted);
                if wanted.is_empty() {
                    self.say_progress(&look, run, &mut said).await?;
                }
                self.date(&mut again, session).await?;
                self.publish_as(&self.changes.again(run), again, Lane::Verify, self.core.now()).await?;
            }
            Ok::<Look, Failure>(look)
        };
        let (read, look) = tokio::join!(reading, looking);
        let look = look?;
        read?;
        Ok(look)
    }

    /// Says how far the reading is, after the first page and then now and then.
    async fn say_progress(
        &self,
        look: &Look,
        run: Uuid,
        said: &mut Option<Timestamp>,
    ) -> Result<(), Failure> {
        let at = self.core.now();
        if said.is_some_and(|said| at.duration_since(said) < SAY_EVERY) {
            return Ok(());
        }
        *said = Some(at);
        let fact = VerifyProgressed {
            run,
            connection: self.link.id,
            vendor_object: self.capture.object.clone(),
            read: look.read,
            total: look.total,
            at,
        };
        self.core.bus.publish(&self.link.publisher.verify_progressed(&fact)?).await?;
        Ok(())
    }
}

impl Look {
    /// Counts a page; gives what of it is to be handed out.
    fn take(&mut self, changes: Vec<Change>, wanted: &BTreeSet<usize>) -> Vec<Change> {
        self.read += changes.len() as u64;
        let mut again = Vec::new();
        for change in changes {
            self.digests.add(&change.id, digest::digest(&change.id, &change.fields));
            let bucket = digest::bucket(&change.id);
            if wanted.contains(&bucket) {
                self.ids.entry(bucket).or_default().insert(change.id.clone());
                if self.sent.insert((change.id.clone(), change.version)) {
                    again.push(change);
                }
            }
        }
        again
    }
}
