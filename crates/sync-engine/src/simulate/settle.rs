//! How a world comes to rest: everything is read, delivered and made, and then delivered once more.

use std::sync::Arc;

use super::{
    chance::Chance,
    plan::{End, WriteEnd},
    world::{A_WHILE, World, again},
};
use crate::{
    consumer::{Arrival, Fact},
    domain::sync::LinkState,
};

/// How many times everything is read, made and delivered before a run counts as one that never comes to rest.
const MOST_ROUNDS: usize = 40;

impl World {
    pub(super) fn read_all(&mut self, system: usize) {
        for record in self.systems[system].unread() {
            self.read(system, record, 0);
        }
        while self.platform.unread_of(self.systems[system].connection).next().is_some() {
            self.read(system, 1, 0);
        }
        self.sweep(system);
    }

    pub(super) fn deliver_all(&mut self, mut order: Option<&mut Chance>) {
        while !self.stream.is_empty() {
            let first = order.as_deref_mut().map_or(0, |chance| chance.below(64));
            let count = order.as_deref_mut().map_or(1, |chance| 1 + chance.below(3));
            self.consume(first, count, End::Done);
        }
    }

    /// Nobody edits any more, and everything is read, delivered and made, in an order of chance. How many writes were
    /// asked for meanwhile, or none when it never came to rest.
    pub(super) fn settle(&mut self, chance: &mut Chance) -> bool {
        self.tell(|_| "nobody edits any more".to_owned());
        for system in 0..self.systems.len() {
            self.activate(system);
        }
        for _ in 0..MOST_ROUNDS {
            self.now += A_WHILE;
            let mut order: Vec<usize> = (0..self.systems.len()).collect();
            chance.shuffle(&mut order);
            for system in order {
                while self.working[system] {
                    self.work(system);
                }
                self.read_all(system);
                while !self.systems[system].queue.is_empty() {
                    self.now += 1;
                    self.write(system, chance.below(64), WriteEnd::Done);
                }
                self.answer(system, false);
            }
            self.deliver_all(Some(chance));
            self.relay(false);
            if self.rests() {
                return true;
            }
        }
        false
    }

    fn rests(&self) -> bool {
        self.stream.is_empty()
            && self.platform.outbox.is_empty()
            && self.systems.iter().all(|system| {
                system.queue.is_empty()
                    && system.outbox.is_empty()
                    && system.unread().is_empty()
                    && self.platform.unread_of(system.connection).next().is_none()
            })
    }

    /// Delivers all that was ever published once more, past the inbox.
    pub(super) fn deliver_again(&mut self, chance: &mut Chance) {
        self.tell(|_| "everything is delivered once more".to_owned());
        // What waits for a person is asked again, and may find another answer by now.
        let settled = |arrival: &&Arc<Arrival>| match &arrival.fact {
            Fact::Change(change) => {
                let system = self.platform.system_at(change.connection).unwrap_or_default();
                let record = change.id.parse::<usize>().unwrap_or(1) - 1;
                self.platform.link_of(system, record).is_some_and(|link| {
                    matches!(link.state, LinkState::Linked | LinkState::Detached) && link.record.is_some()
                })
            }
            _ => true,
        };
        let mut all: Vec<Arc<Arrival>> = self.published.iter().filter(settled).map(again).collect();
        chance.shuffle(&mut all);
        for arrival in all {
            self.commit(&[arrival]);
        }
    }
}
