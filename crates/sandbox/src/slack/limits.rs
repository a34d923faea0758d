//! Rate limits: so many calls of a method a minute by its tier, and one message a second in a channel.

use std::collections::{HashMap, VecDeque};

use super::errors::Failure;
use super::routes::Tier;

const MINUTE_MS: i64 = 60_000;
const SECOND_MS: i64 = 1_000;

impl Tier {
    /// Calls a minute.
    fn most(self) -> usize {
        match self {
            Tier::None | Tier::Message => usize::MAX,
            Tier::Two => 20,
            Tier::Three => 50,
            Tier::Four => 100,
            Tier::Special => 600,
        }
    }
}

/// Calls and messages counted so far. Refused ones do not count.
#[derive(Debug, Default)]
pub(crate) struct Limits {
    methods: HashMap<(String, &'static str), VecDeque<i64>>,
    /// When the channel has taken all that it took, at its pace.
    channels: HashMap<String, i64>,
}

impl Limits {
    /// Counts a workspace's call of a method, or refuses it with the vendor's 429.
    pub(crate) fn admit(
        &mut self,
        team: &str,
        path: &'static str,
        tier: Tier,
        now_ms: i64,
    ) -> Result<(), Failure> {
        let window = self.methods.entry((team.to_owned(), path)).or_default();
        while window.front().is_some_and(|at| *at <= now_ms - MINUTE_MS) {
            window.pop_front();
        }
        match window.front() {
            Some(oldest) if window.len() >= tier.most() => {
                Err(Failure::ratelimited(seconds(oldest + MINUTE_MS - now_ms)))
            }
            _ => {
                if tier.most() < usize::MAX {
                    window.push_back(now_ms);
                }
                Ok(())
            }
        }
    }

    /// Counts a message of a channel, or refuses it.
    pub(crate) fn admit_message(&mut self, channel: &str, burst: u32, now_ms: i64) -> Result<(), Failure> {
        let done_ms = self.channels.entry(channel.to_owned()).or_insert(now_ms);
        let busy_ms = (*done_ms - now_ms).max(0);
        let room_ms = i64::from(burst.saturating_sub(1)) * SECOND_MS;
        if busy_ms > room_ms {
            return Err(Failure::ratelimited(seconds(busy_ms - room_ms)));
        }
        *done_ms = now_ms + busy_ms + SECOND_MS;
        Ok(())
    }
}

/// Whole seconds, at least one.
fn seconds(ms: i64) -> u64 {
    u64::try_from((ms + SECOND_MS - 1) / SECOND_MS).unwrap_or(0).max(1)
}
