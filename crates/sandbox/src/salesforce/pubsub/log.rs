//! The events that can still be delivered, and the positions that clients may resume from.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::wire::ConsumerEvent;

/// How long events and replay ids are good for: 72 hours.
pub(crate) const RETENTION_MS: i64 = 72 * 3_600_000;
/// Room for the events of one commit, and for keepalives after it.
const COMMIT_BITS: u32 = 20;
/// Keepalives closer together than this repeat their replay id.
const MARK_EVERY_MS: i64 = 1_000;

/// A place in the stream of all events.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position(u64);

impl Position {
    /// As it was seen in recordings: eight bytes, the highest first, and two that are zero.
    pub(crate) fn replay_id(self) -> Bytes {
        let mut bytes = [0; 10];
        bytes[..8].copy_from_slice(&self.0.to_be_bytes());
        Bytes::copy_from_slice(&bytes)
    }

    /// Reads a replay id, with or without the two last bytes.
    fn read(replay_id: &[u8]) -> Option<Self> {
        let counter = match replay_id {
            [counter @ .., 0, 0] if counter.len() == 8 => counter,
            counter => counter,
        };
        counter.try_into().ok().map(|bytes| Position(u64::from_be_bytes(bytes)))
    }
}

/// An event in the stream.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) position: Position,
    /// The object that it is about.
    pub(crate) entity: Arc<str>,
    at_ms: i64,
    pub(crate) event: ConsumerEvent,
}

/// The stream of an org.
///
/// An event's position follows from its commit alone, so that a restart gives each event the replay id it had.
#[derive(Debug, Default)]
pub(crate) struct Log {
    events: VecDeque<Arc<Stored>>,
    /// Positions that keepalives told, and when.
    marks: BTreeMap<Position, i64>,
    last: Position,
}

impl Log {
    /// The position of the newest event or keepalive.
    pub(crate) fn last(&self) -> Position {
        self.last
    }

    /// Adds the event of a commit with this number in its transaction.
    pub(crate) fn append(
        &mut self,
        commit: i64,
        sequence: u64,
        entity: &Arc<str>,
        at_ms: i64,
        event: impl FnOnce(Bytes) -> ConsumerEvent,
    ) {
        let place = (commit.cast_unsigned() << COMMIT_BITS) + sequence;
        let position = Position(place.max(self.last.0 + 1));
        self.last = position;
        let event = event(position.replay_id());
        self.events.push_back(Arc::new(Stored { position, entity: entity.clone(), at_ms, event }));
    }

    /// Forgets what is older than the retention.
    pub(crate) fn expire(&mut self, now_ms: i64) {
        let oldest = now_ms - RETENTION_MS;
        while self.events.front().is_some_and(|event| event.at_ms < oldest) {
            self.events.pop_front();
        }
        while self.marks.first_entry().is_some_and(|mark| *mark.get() < oldest) {
            self.marks.pop_first();
        }
    }

    /// The position before the oldest event.
    pub(crate) fn start(&self) -> Position {
        self.events.front().map_or(self.last, |event| Position(event.position.0 - 1))
    }

    /// The position that a replay id names; none when it was never given out or is older than the retention.
    pub(crate) fn find(&self, replay_id: &[u8]) -> Option<Position> {
        let wanted = Position::read(replay_id)?;
        let known = self.events.binary_search_by_key(&wanted, |event| event.position).is_ok();
        (known || self.marks.contains_key(&wanted)).then_some(wanted)
    }

    /// Events after a position, in order.
    pub(crate) fn after(&self, position: Position) -> impl Iterator<Item = &Arc<Stored>> {
        let from = self.events.partition_point(|event| event.position <= position);
        self.events.range(from..)
    }

    /// A position after everything so far, for a keepalive: it is as fresh as an event of this moment.
    pub(crate) fn mark(&mut self, now_ms: i64) -> Position {
        match self.marks.last_key_value() {
            Some((mark, at_ms)) if *mark == self.last && now_ms - at_ms < MARK_EVERY_MS => *mark,
            _ => {
                self.last.0 += 1;
                self.marks.insert(self.last, now_ms);
                self.last
            }
        }
    }

    /// The org moves: no event is left, no replay id of before is known.
    pub(crate) fn migrate(&mut self) {
        self.events.clear();
        self.marks.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn log(events: i64) -> Log {
        let mut log = Log::default();
        for at_ms in 0..events {
            let event = |replay_id| ConsumerEvent { event: None, replay_id };
            log.append(10_640_117_000_001 + at_ms, 1, &"Account".into(), at_ms, event);
        }
        log
    }

    #[test]
    fn a_replay_id_looks_like_a_recorded_one() {
        let recorded = [0, 0, 0, 0, 0, 0x17, 0x90, 0x29, 0, 0];
        assert_eq!(Position(0x0017_9029).replay_id()[..], recorded);
        assert_eq!(Position::read(&recorded), Some(Position(0x0017_9029)));
        assert_eq!(Position::read(&recorded[..8]), Some(Position(0x0017_9029)));
    }

    #[test]
    fn positions_are_good_until_the_retention_is_over() {
        let mut log = log(3);
        let ids: Vec<Bytes> = log.after(log.start()).map(|event| event.event.replay_id.clone()).collect();
        let mark = log.mark(1_000).replay_id();
        assert!(ids.iter().chain([&mark]).all(|id| log.find(id).is_some()));
        assert_eq!(log.find(&ids[1]).map(|at| log.after(at).count()), Some(1));
        log.expire(RETENTION_MS + 2);
        assert_eq!(log.find(&ids[1]), None, "its event is older than the retention");
        assert!(log.find(&ids[2]).is_some() && log.find(&mark).is_some());
        log.migrate();
        assert!(ids.iter().chain([&mark]).all(|id| log.find(id).is_none()));
    }

    proptest! {
        #[test]
        fn no_replay_id_makes_the_reader_panic(id in proptest::collection::vec(any::<u8>(), 0..14)) {
            let log = log(2);
            prop_assert_eq!(log.find(&id), None);
        }
    }
}
