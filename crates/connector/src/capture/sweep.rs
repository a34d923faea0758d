use model::Lane;

use super::{Begun, Reader, wait_or_wake};
use crate::{Change, failure::Failure};

pub(super) const SWEEP: &str = "archive_sweep";

impl Reader {
    /// Lists the vendor's deleted records now and then, where deletions do not show among the changes.
    pub(super) async fn sweep_deleted(&self) {
        let mut sync_now = self.link.sync_now.subscribe();
        let mut begun = Begun::new(SWEEP, self.core.now());
        loop {
            begun.go_on(SWEEP, self.core.now());
            match self.sweep_and_tell(&mut begun).await {
                Ok(()) => {}
                Err(Failure::LeaseLost) => return,
                Err(failure) => {
                    let wait = self.failed(SWEEP, &mut begun, &failure).await;
                    wait_or_wake(wait, &mut sync_now).await;
                    continue;
                }
            }
            wait_or_wake(self.core.config.sweep_interval, &mut sync_now).await;
        }
    }

    /// Sweeps; what it published is a run of its own.
    pub(super) async fn sweep_and_tell(&self, begun: &mut Begun) -> Result<(), Failure> {
        self.sweep_and_prune(begun).await?;
        if begun.run.published > 0 {
            self.report(begun, None).await?;
        }
        Ok(())
    }

    async fn sweep_and_prune(&self, begun: &mut Begun) -> Result<(), Failure> {
        let before = self.link.line.vendor_now() - self.rescanned_for();
        self.core.store.prune_delivered(self.link.id, &self.capture.object, before).await?;
        if !self.link.connector.capabilities().sweeps_deleted {
            return Ok(());
        }
        let (id, object, sweep) = (self.link.id, self.capture.object.as_str(), self.core.now());
        let session = self.link.session.in_background();
        let mut page: Option<String> = None;
        loop {
            let (changes, next) =
                self.link.connector.fetch_deleted(&session, object, page.as_deref()).await?;
            begun.run.read += changes.len() as u64;
            let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
            let seen = self.core.store.seen_deleted(id, object, &ids, sweep).await?;
            let new: Vec<Change> =
                changes.into_iter().filter(|change| seen.get(&change.id) != Some(&change.version)).collect();
            if !new.is_empty() {
                let now = self.core.now();
                if begun.run.published == 0 {
                    // Polls go on beside the sweep: the run is no longer than what it published.
                    begun.at = now;
                }
                begun.run.published += new.len() as u64;
                self.publish(new.clone(), Lane::Live, now).await?;
                self.core.store.note_deleted(id, object, &new, sweep).await?;
            }
            match next {
                Some(next) if Some(&next) != page.as_ref() => page = Some(next),
                _ => break,
            }
        }
        self.core.store.forget_undeleted(id, object, sweep).await?;
        self.core.part_succeeded(&self.link, &self.part(SWEEP)).await
    }
}
