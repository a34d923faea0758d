//! A clock that is set back. Positions are times of the vendor's clock; once that is set back they lie ahead of its present,
//! and what is changed from then on is stamped behind them: it would be passed over until the clock is where it was. So
//! that stretch is read a second time, up to where the positions are, by a lane that ends there.

use std::time::Duration;

use jiff::SignedDuration;
use tokio::time::Instant;

use super::{Polling, Reader, Rescan, SEAM};
use crate::{Cursor, failure::Failure, store::Checkpoint};

/// The lane that reads what is stamped behind the positions.
pub(super) const BEHIND: &str = "rescan_0";
/// By how much stamps and answers of one vendor differ although its clocks are right.
const TOLERATED: SignedDuration = SignedDuration::from_secs(10);
/// The most that is read again, besides the seam: nobody polls again after a longer time without a whole comparison.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

impl Reader {
    /// Goes back where the positions are ahead of the vendor's clock. It was set back after the last poll, which was at
    /// `polling.at` by our own; a clock of ours that was set back with it makes that no earlier than the seam.
    pub(super) async fn turn_back(&self, polling: &mut Polling) -> Result<(), Failure> {
        let now = self.link.line.vendor_now();
        // Where a clock was set back before, the lane alone follows it.
        let behind = polling.rescans.iter().find(|rescan| rescan.checkpoint.lane == BEHIND);
        let (read, is_behind) = match behind {
            Some(behind) => (behind.checkpoint.position.time, true),
            None => (polling.live.position.time, false),
        };
        if read <= now + TOLERATED {
            return Ok(());
        }
        let unread = self.core.now().duration_since(polling.at).clamp(SignedDuration::ZERO, LONGEST);
        let from = now - SEAM - unread;
        let (object, ahead_s) = (self.capture.object.as_str(), read.duration_since(now).as_secs());
        tracing::warn!(connection = %self.link.id, object, ahead_s, "the vendor's clock was set back: reading again");
        for rescan in &mut polling.rescans {
            let back = from - rescan.behind;
            if rescan.checkpoint.position.time > back {
                rescan.checkpoint.position = Cursor::at(back);
            }
        }
        if !is_behind {
            let checkpoint = self.lane(BEHIND, from, None);
            polling.rescans.push(Rescan { behind: Duration::ZERO, checkpoint, due: Instant::now() });
        }
        let mut tx = self.core.store.pool.begin().await?;
        for rescan in &polling.rescans {
            self.store(&mut tx, &rescan.checkpoint).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Ends the lane once it is where the positions are.
    pub(super) async fn caught_up(&self, polling: &mut Polling) -> Result<(), Failure> {
        let until = polling.live.position.time;
        let has_caught_up = |rescan: &Rescan| {
            rescan.checkpoint.lane == BEHIND && rescan.checkpoint.until.is_some_and(|read| read >= until)
        };
        let Some(place) = polling.rescans.iter().position(has_caught_up) else { return Ok(()) };
        let mut behind = polling.rescans.remove(place).checkpoint;
        behind.finished = true;
        let mut tx = self.core.store.pool.begin().await?;
        self.store(&mut tx, &behind).await?;
        tx.commit().await?;
        Ok(())
    }
}

impl Rescan {
    /// The lane, where it was not at its end yet.
    pub(super) fn behind(stored: &[Checkpoint]) -> Option<Self> {
        let known = stored.iter().find(|checkpoint| checkpoint.lane == BEHIND && !checkpoint.finished);
        known.map(|known| Self { behind: Duration::ZERO, checkpoint: known.clone(), due: Instant::now() })
    }
}
