//! Fields that change without moving their record's version: no listing of changes shows them, so they are looked at
//! now and then, behind live traffic.

use std::collections::BTreeMap;

use jiff::Timestamp;
use model::{ChangeKind, Lane, Value};
use uuid::Uuid;

use super::{Begun, Reader, wait_or_wake};
use crate::{Change, failure::Failure, store::Quiet};

pub(super) const QUIET: &str = "quiet_sweep";
/// Records that are looked at together.
const LOOKED_AT: i64 = 1_000;

impl Reader {
    /// Which of the wanted fields are quiet.
    pub(super) fn quiet(&self) -> Vec<String> {
        let quiet = self.link.connector.capabilities().quiet;
        self.fields.iter().filter(|name| quiet.contains(&name.as_str())).cloned().collect()
    }

    /// Notes what was published of quiet fields, and forgets what is gone.
    pub(super) async fn note_quiet(&self, noted: Noted, now: Timestamp) -> Result<(), Failure> {
        let (id, object) = (self.link.id, self.capture.object.as_str());
        self.core.store.note_quiet(id, object, &noted.shown, false, now).await?;
        Ok(self.core.store.forget_quiet(id, object, &noted.gone).await?)
    }

    /// Notes what a comparison saw of records that were published before anything was noted. What differs is published.
    pub(super) async fn note_new_quiet(&self, noted: Noted) -> Result<(), Failure> {
        let (id, object, now) = (self.link.id, self.capture.object.as_str(), self.core.now());
        Ok(self.core.store.note_quiet(id, object, &noted.shown, true, now).await?)
    }

    /// Looks at all records' quiet fields now and then.
    pub(super) async fn sweep_quiet(&self) {
        if self.quiet().is_empty() {
            return;
        }
        let interval = self.core.config.quiet_interval;
        let mut sync_now = self.link.sync_now.subscribe();
        let mut begun = Begun::new(QUIET, self.core.now());
        // What was looked at shortly before a restart is not looked at again.
        let mut before = self.core.now() - interval;
        loop {
            begun.go_on(QUIET, self.core.now());
            match self.look_at_quiet(&mut begun, before).await {
                Ok(()) => {}
                Err(Failure::LeaseLost) => return,
                Err(failure) => {
                    let wait = self.failed(QUIET, &mut begun, &failure).await;
                    wait_or_wake(wait, &mut sync_now).await;
                    continue;
                }
            }
            wait_or_wake(interval, &mut sync_now).await;
            before = self.core.now();
        }
    }

    /// Looks at what was not looked at since; what it published is a run of its own.
    async fn look_at_quiet(&self, begun: &mut Begun, before: Timestamp) -> Result<(), Failure> {
        let (id, object, quiet) = (self.link.id, self.capture.object.as_str(), self.quiet());
        let session = self.link.session.in_background();
        loop {
            let known = self.core.store.quiet(id, object, before, LOOKED_AT).await?;
            if known.is_empty() {
                break;
            }
            let now = self.core.now();
            let ids: Vec<String> = known.keys().cloned().collect();
            begun.run.read += ids.len() as u64;
            let connector = &self.link.connector;
            let mut moved =
                connector.fetch_moved(&session, &self.schema, &self.fields, &quiet, known).await?;
            if !moved.is_empty() {
                if begun.run.published == 0 {
                    // Polls go on beside the sweep: the run is no longer than what it published.
                    begun.at = now;
                }
                begun.run.published += moved.len() as u64;
                self.date(&mut moved, &session).await?;
                // A value that came back to what it was is news although the version says nothing.
                self.publish_as(&self.changes.again(Uuid::new_v4()), moved, Lane::Live, now).await?;
            }
            self.core.store.looked_at_quiet(id, object, &ids, now).await?;
        }
        self.core.part_succeeded(&self.link, &self.part(QUIET)).await?;
        if begun.run.published > 0 {
            self.report(begun, None).await?;
        }
        Ok(())
    }
}

/// What is to be remembered of quiet fields.
#[derive(Default)]
pub(super) struct Noted {
    shown: Vec<Quiet>,
    gone: Vec<String>,
}

impl Noted {
    /// Of what is about to be published.
    pub(super) fn of(changes: &[Change], quiet: &[String]) -> Self {
        let mut noted = Self::default();
        for change in changes.iter().filter(|_| !quiet.is_empty()) {
            if change.kind == ChangeKind::Deleted {
                noted.gone.push(change.id.clone());
                continue;
            }
            let shown =
                quiet.iter().filter_map(|name| Some((name.clone(), change.fields.get(name)?.clone())));
            let values: BTreeMap<String, Value> = shown.collect();
            noted.shown.push(Quiet { id: change.id.clone(), version: change.version, values });
        }
        noted
    }
}
