//! A portal (one customer's HubSpot account): its objects and everything that changes them.

use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::errors::Failure;
use super::object::Object;
use super::record::{Record, Source, Stamp};

/// What changed since the journal was last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Touched {
    Record(usize, u64),
    Gone { object: usize, id: u64, into: Option<u64> },
    Property(usize, Arc<str>),
    Schema(usize),
}

impl Touched {
    pub(crate) fn is_about(&self, position: usize) -> bool {
        match self {
            Touched::Record(object, _) | Touched::Property(object, _) | Touched::Schema(object) => {
                *object == position
            }
            Touched::Gone { object, .. } => *object == position,
        }
    }
}

/// A portal and all it holds.
#[derive(Debug)]
pub(crate) struct Portal {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) objects: Vec<Object>,
    pub(crate) touched: Vec<Touched>,
    pub(crate) next_id: u64,
    rng: StdRng,
}

/// Values to write, by property.
pub(crate) type Changes = Vec<(Arc<str>, String)>;

impl Portal {
    pub(crate) fn new(id: u64, name: &str, seed: u64) -> Self {
        let objects = vec![
            Object::standard("contacts", "contact", "0-1"),
            Object::standard("companies", "company", "0-2"),
            Object::standard("deals", "deal", "0-3"),
        ];
        let rng = StdRng::seed_from_u64(seed ^ id);
        Self { id, name: name.to_owned(), objects, touched: Vec::new(), next_id: 21_385_470_001, rng }
    }

    pub(crate) fn domain(&self) -> String {
        format!("portal-{}.example", self.id)
    }

    /// The object a path segment means.
    pub(crate) fn object_at(&self, wanted: &str) -> Result<usize, Failure> {
        self.objects
            .iter()
            .position(|object| object.is_called(wanted))
            .ok_or_else(|| Failure::validation(format!("Unable to infer object type from: {wanted}")))
    }

    /// The stamp of a write made now. Search shows it after half to all of the delay, so that
    /// writes become visible out of order, as they do at the vendor.
    pub(crate) fn stamp(&mut self, now_ms: i64, delay_ms: u64, source: Source) -> Stamp {
        let delay = i64::try_from(delay_ms).unwrap_or(i64::MAX / 4);
        let early = if delay > 1 { self.rng.random_range(0..=delay / 2) } else { 0 };
        Stamp { now_ms, visible_at: now_ms + delay - early, source }
    }

    pub(crate) fn create(&mut self, object: usize, changes: Changes, stamp: Stamp) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let mut record = Record::new(id, stamp);
        record.write(changes, stamp);
        self.objects[object].put(record, stamp.visible_at);
        self.touched.push(Touched::Record(object, id));
        id
    }

    pub(crate) fn update(&mut self, object: usize, id: u64, changes: Changes, stamp: Stamp) {
        let Some(record) = self.objects[object].records.get_mut(&id) else { return };
        record.write(changes, stamp);
        self.objects[object].written(id, stamp.visible_at);
        self.touched.push(Touched::Record(object, id));
    }

    pub(crate) fn archive(&mut self, object: usize, id: u64, now_ms: i64) {
        if self.objects[object].archive(id, now_ms) {
            self.touched.push(Touched::Record(object, id));
        }
    }

    pub(crate) fn restore(&mut self, object: usize, id: u64, stamp: Stamp) -> bool {
        let done = self.objects[object].restore(id, stamp);
        if done {
            self.touched.push(Touched::Record(object, id));
        }
        done
    }

    /// Deletes a record for good; its id never resolves again.
    pub(crate) fn purge(&mut self, object: usize, id: u64) -> bool {
        let Some(record) = self.objects[object].remove(id) else { return false };
        for link in &record.links {
            self.drop_link_side((link.object, link.id), (object, id), None);
        }
        self.touched.push(Touched::Gone { object, id, into: None });
        true
    }

    /// Merges `loser` into `primary`: the primary's values win, gaps are filled from the loser, links move.
    /// Returns the survivor's id, which is new where the vendor issues a new one.
    pub(crate) fn merge(
        &mut self,
        object: usize,
        primary: u64,
        loser: u64,
        stamp: Stamp,
        new_id: bool,
    ) -> Option<u64> {
        let mut survivor = self.objects[object].records.get(&primary)?.clone();
        let gone = self.objects[object].remove(loser)?;
        let filled: Changes = gone
            .cells
            .iter()
            .filter(|(name, _)| survivor.get(name).is_none())
            .map(|(name, cell)| (name.clone(), cell.current.value.to_string()))
            .collect();
        survivor.write(filled, Stamp { source: Source::Merge(loser), ..stamp });
        survivor.updated_by = stamp.source.user();
        survivor.merged_ids.push(loser);
        survivor.merged_ids.extend(&gone.merged_ids);
        let mut ended = vec![loser];
        if new_id {
            self.objects[object].remove(primary);
            survivor.merged_ids.push(primary);
            survivor.id = self.next_id;
            self.next_id += 1;
            ended.push(primary);
        }
        let id = survivor.id;
        let mut links = gone.links.clone();
        if new_id {
            links.append(&mut survivor.links);
        }
        self.objects[object].put(survivor, stamp.visible_at);
        for ended in ended {
            self.objects[object].merged.insert(ended, id);
            self.touched.push(Touched::Gone { object, id: ended, into: Some(id) });
            for link in &links {
                self.drop_link_side((link.object, link.id), (object, ended), None);
            }
        }
        for link in links {
            for type_id in link.types {
                self.link((object, id), (link.object, link.id), type_id);
            }
        }
        self.touched.push(Touched::Record(object, id));
        Some(id)
    }

    /// Links two records with a type seen from `from`, and its inverse seen from `to`.
    pub(crate) fn link(&mut self, from: (usize, u64), to: (usize, u64), type_id: u32) {
        if let Some(record) = self.objects[from.0].records.get_mut(&from.1) {
            record.link(to.0, to.1, type_id);
        }
        if let Some(record) = self.objects[to.0].records.get_mut(&to.1) {
            record.link(from.0, from.1, super::associations::inverse(type_id));
        }
        self.touched.push(Touched::Record(from.0, from.1));
        self.touched.push(Touched::Record(to.0, to.1));
    }

    /// Takes types off a link on both sides; without a list the link goes altogether.
    pub(crate) fn unlink(&mut self, from: (usize, u64), to: (usize, u64), types: Option<&[u32]>) {
        let inverse: Option<Vec<u32>> =
            types.map(|types| types.iter().map(|id| super::associations::inverse(*id)).collect());
        self.drop_link_side(from, to, types);
        self.drop_link_side(to, from, inverse.as_deref());
    }

    fn drop_link_side(&mut self, from: (usize, u64), to: (usize, u64), types: Option<&[u32]>) {
        if let Some(record) = self.objects[from.0].records.get_mut(&from.1) {
            record.unlink(to.0, to.1, types);
            self.touched.push(Touched::Record(from.0, from.1));
        }
    }
}
