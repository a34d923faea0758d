//! How often somebody may ask for a page that needs no account: counted in this process, by the minute.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

const MINUTE: SignedDuration = SignedDuration::from_mins(1);
/// Whoever fills in a form is far below it.
const MOST_IN_A_MINUTE: u32 = 60;
/// How many are remembered. When more come within a minute, all begin anew: the memory stays bounded.
const REMEMBERED: usize = 16_384;

/// Who asked since when how often. No link and no address is kept, only digests of them.
#[derive(Debug, Default)]
pub(crate) struct Pace(Mutex<HashMap<[u8; 32], (Timestamp, u32)>>);

impl Pace {
    /// Counts a request of this link or address, and says whether it may be answered.
    pub(crate) fn admits(&self, who: &str, now: Timestamp) -> bool {
        let is_over = |since: Timestamp| now.duration_since(since) >= MINUTE;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.retain(|_, (since, _)| !is_over(*since));
            if known.len() >= REMEMBERED {
                known.clear();
            }
        }
        let (since, count) = known.entry(Sha256::digest(who).into()).or_insert((now, 0));
        if is_over(*since) {
            (*since, *count) = (now, 0);
        }
        *count = count.saturating_add(1);
        *count <= MOST_IN_A_MINUTE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_sixty_in_a_minute_and_the_memory_stays_bounded() {
        let (pace, noon) = (Pace::default(), Timestamp::UNIX_EPOCH);
        let admitted = |who: &str, now| (0..100).filter(|_| pace.admits(who, now)).count();
        assert_eq!((admitted("ann", noon), admitted("bob", noon), admitted("ann", noon)), (60, 60, 0));
        assert_eq!(admitted("ann", noon + MINUTE), 60);
        for number in 0..3 * REMEMBERED {
            pace.admits(&number.to_string(), noon + MINUTE);
        }
        assert!(pace.0.lock().unwrap().len() <= REMEMBERED);
    }
}
