use model::Lane;

use super::{Reader, Run, wait_or_wake};
use crate::{Change, failure::Failure};

const SWEEP: &str = "archive_sweep";

impl Reader {
    /// Lists the vendor's deleted records now and then, where deletions do not show among the changes.
    pub(super) async fn sweep_deleted(&self) {
        let mut sync_now = self.link.sync_now.subscribe();
        loop {
            let started = self.core.now();
            match self.sweep_and_prune().await {
                Ok(run) if run.published > 0 => {
                    if let Err(failure) = self.report(SWEEP, run, started, None).await {
                        self.pause_after_own_failure(&failure).await;
                    }
                }
                Ok(_) => {}
                Err(Failure::LeaseLost) => return,
                Err(failure) => {
                    let wait = self.failed(SWEEP, SWEEP, &failure, started).await;
                    wait_or_wake(wait, &mut sync_now).await;
                    continue;
                }
            }
            wait_or_wake(self.core.config.sweep_interval, &mut sync_now).await;
        }
    }

    pub(super) async fn sweep_and_prune(&self) -> Result<Run, Failure> {
        let before = self.link.line.vendor_now() - self.rescanned_for();
        self.core.store.prune_delivered(self.link.id, &self.capture.object, before).await?;
        if !self.link.connector.capabilities().sweeps_deleted {
            return Ok(Run::default());
        }
        let (id, object, sweep) = (self.link.id, self.capture.object.as_str(), self.core.now());
        let session = self.link.session.in_background();
        let mut run = Run::default();
        let mut page: Option<String> = None;
        loop {
            let (changes, next) =
                self.link.connector.fetch_deleted(&session, object, page.as_deref()).await?;
            run.read += changes.len() as u64;
            let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
            let seen = self.core.store.seen_deleted(id, object, &ids, sweep).await?;
            let new: Vec<Change> =
                changes.into_iter().filter(|change| seen.get(&change.id) != Some(&change.version)).collect();
            if !new.is_empty() {
                run.published += new.len() as u64;
                self.publish(new.clone(), Lane::Live, self.core.now()).await?;
                self.core.store.note_deleted(id, object, &new, sweep).await?;
            }
            match next {
                Some(next) if Some(&next) != page.as_ref() => page = Some(next),
                _ => break,
            }
        }
        self.core.store.forget_undeleted(id, object, sweep).await?;
        self.core.part_succeeded(&self.link, &self.part(SWEEP)).await?;
        Ok(run)
    }
}
