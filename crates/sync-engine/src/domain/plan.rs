//! What activating a mapping would do, record by record, without doing it.

use std::collections::BTreeMap;

use model::{ApplyWrite, FieldSchema, IssueCategory, LinkId, RecordId, WriteId, vendor_name};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    cell::Record,
    mapping::{Compiled, FieldPair, MappingState},
    sync::{self, Effect, Link, LinkState, Staged},
};

/// How many examples a plan shows of each category.
const SAMPLES: usize = 5;

/// The write that a plan does not make.
const NO_WRITE: WriteId = WriteId::from_uuid(Uuid::nil());

/// Why a record is left alone.
const INWARD_ONLY: &str = "the direction is from the vendor only";
const FILTERED: &str = "the filter leaves it out";

named! {
    /// How far a plan is.
    PlanState {
        /// The vendor's records are being read.
        Reading = "reading",
        /// All are read; the plan is being worked out.
        Computing = "computing",
        /// It can be looked at and applied.
        Ready = "ready",
        /// It is being applied.
        Applying = "applying",
        /// It was applied.
        Applied = "applied",
    }
}

named! {
    /// What would become of a record.
    Category {
        /// Both sides have it and agree.
        MatchedEqual = "matched_equal",
        /// Ours takes values from the vendor.
        UpdateHere = "update_here",
        /// The vendor's takes values from ours.
        UpdateThere = "update_there",
        /// It would be created here.
        CreateHere = "create_here",
        /// It would be created at the vendor.
        CreateThere = "create_there",
        /// Both sides have different values; the policy decides.
        Conflict = "conflict",
        /// It cannot be synced, and the note says why.
        Blocked = "blocked",
        /// The mapping's direction leaves it alone.
        Skipped = "skipped",
    }
}

impl Category {
    /// What people see.
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::MatchedEqual => "Already equal",
            Self::UpdateHere => "Updated here",
            Self::UpdateThere => "Updated at the vendor",
            Self::CreateHere => "Created here",
            Self::CreateThere => "Created at the vendor",
            Self::Conflict => "In conflict, settled by policy",
            Self::Blocked => "Blocked",
            Self::Skipped => "Left alone",
        }
    }
}

/// An example of a category.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) title: String,
    pub(crate) vendor_id: String,
    pub(crate) record_id: String,
    pub(crate) note: String,
}

/// One category of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) samples: Vec<Sample>,
}

/// A plan that was worked out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PlanResult {
    pub(crate) categories: BTreeMap<Category, Tally>,
    /// Calls to the vendor that applying it takes.
    pub(crate) vendor_calls: u64,
    /// The time they take at the vendor's limits.
    pub(crate) seconds: f64,
    /// A mark of everything that the plan rests upon; empty when none was taken.
    #[serde(default)]
    pub(crate) mark: String,
}

/// Works out a plan one record at a time, in the order of ids, so that the same state gives the same hash.
pub(crate) struct Planner<'a> {
    mapping: &'a Compiled,
    result: PlanResult,
    writes: u64,
    hash: Sha256,
}

/// A vendor's record as it was read.
pub(crate) struct There<'a> {
    pub(crate) vendor_id: &'a str,
    pub(crate) link: &'a Link,
    pub(crate) staged: &'a Staged,
}

/// How many canonical records a vendor's record matches.
pub(crate) enum Matched {
    /// None.
    None,
    /// This one.
    One(Box<Record>),
    /// Several; a person must decide.
    Several,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(mapping: &'a Compiled) -> Self {
        let mut hash = Sha256::new();
        hash.update(mapping.mapping.id.to_string());
        hash.update(mapping.mapping.revision.to_be_bytes());
        Self { mapping, result: PlanResult::default(), writes: 0, hash }
    }

    /// Plans a vendor's record.
    pub(crate) fn there(&mut self, there: &There<'_>, matched: Matched) {
        let title_field = self.mapping.mapping.object.title_field();
        let title = self
            .mapping
            .pairs
            .iter()
            .find(|pair| pair.canonical.name == title_field)
            .and_then(|pair| there.staged.fields.get(&pair.vendor.name))
            .map_or_else(|| there.vendor_id.to_owned(), ToString::to_string);
        let here = match &matched {
            Matched::One(record) => Some(record.as_ref()),
            Matched::None | Matched::Several => None,
        };
        let merged = self.merged(there, here);
        let is_out = self.mapping.passes(merged.as_ref().or(here), Some(&there.staged.fields)) == Some(false);
        let is_linked = there.link.record.is_some();
        let (category, record_id, note) = match matched {
            _ if is_out => (Category::Skipped, String::new(), FILTERED.to_owned()),
            Matched::Several => (Category::Blocked, String::new(), "several records match it".to_owned()),
            Matched::None if self.mapping.creates_here() => {
                let (category, note) = self.bring(there);
                (category, String::new(), note)
            }
            Matched::None => {
                (Category::Skipped, String::new(), "the direction is to the vendor only".to_owned())
            }
            Matched::One(record) => {
                let id = record.id.to_string();
                let (category, note) = self.meet(there, *record);
                (category, id, note)
            }
        };
        self.add(
            category,
            Sample { title, vendor_id: there.vendor_id.to_owned(), record_id, note },
            is_linked,
        );
    }

    /// What ours would hold with the vendor's record merged, where the filter asks for that.
    fn merged(&self, there: &There<'_>, here: Option<&Record>) -> Option<Record> {
        self.mapping.mapping.settings.filter.as_ref().filter(|filter| filter.asks_here())?;
        let mut record = here.cloned().unwrap_or_else(|| self.new_record(there));
        let mut link = there.link.clone();
        if there.staged.was_read() {
            sync::ask_again(self.mapping, &mut link, there.staged.seen());
            sync::observe(self.mapping, &mut link, &mut record, there.staged.seen());
        }
        Some(record)
    }

    fn new_record(&self, there: &There<'_>) -> Record {
        let mapping = &self.mapping.mapping;
        Record::new(RecordId::from_uuid(Uuid::nil()), mapping.organization, mapping.object, there.staged.at)
    }

    /// Plans a linked record of which nothing was read at the vendor lately: it may be on its way there.
    pub(crate) fn linked(&mut self, link: &Link, record: &Record) {
        if link.state == LinkState::Detached {
            return;
        }
        let (category, note) = if self.mapping.passes(Some(record), None) == Some(false) {
            (Category::Skipped, FILTERED.to_owned())
        } else if link.vendor_id.is_none() && !self.mapping.creates_there() {
            (Category::Skipped, INWARD_ONLY.to_owned())
        } else {
            // What is on its way there already is none of this plan's doing.
            let write = link.write.filter(|_| record.archived_at.is_some());
            let mut link = Link { state: LinkState::Linked, write, staged: None, ..link.clone() };
            let next = sync::next_write(self.mapping, &mut link, record, NO_WRITE);
            self.writes += u64::from(next.write.is_some());
            match (next.troubles.first(), next.write) {
                (Some(trouble), _) => (Category::Blocked, trouble.message.clone()),
                (None, Some(write)) if link.vendor_id.is_none() => self.create(&write),
                (None, Some(write)) => (Category::UpdateThere, written(&write)),
                (None, None) => (Category::MatchedEqual, String::new()),
            }
        };
        let vendor_id = link.vendor_id.clone().unwrap_or_default();
        let sample = Sample { title: record.title(), vendor_id, record_id: record.id.to_string(), note };
        self.add(category, sample, true);
    }

    /// Plans a record that exists only here.
    pub(crate) fn here(&mut self, record: &Record) {
        let (category, note) = if self.mapping.passes(Some(record), None) == Some(false) {
            (Category::Skipped, FILTERED.to_owned())
        } else if self.mapping.creates_there() {
            self.send(record)
        } else {
            (Category::Skipped, INWARD_ONLY.to_owned())
        };
        let sample = Sample {
            title: record.title(),
            vendor_id: String::new(),
            record_id: record.id.to_string(),
            note,
        };
        self.add(category, sample, false);
    }

    /// The plan and its hash. `per_call` writes go into one call of the vendor, `calls_per_second` are allowed.
    pub(crate) fn finish(mut self, per_call: u64, calls_per_second: f64) -> (PlanResult, String) {
        self.result.vendor_calls = 2 * self.writes.div_ceil(per_call);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let seconds = self.result.vendor_calls as f64 / calls_per_second;
        self.result.seconds = seconds;
        let hash = self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        (self.result, hash)
    }

    /// A vendor's record becomes one of ours.
    fn bring(&mut self, there: &There<'_>) -> (Category, String) {
        let mut record = self.new_record(there);
        let mut link = Link { state: LinkState::Linked, staged: None, ..there.link.clone() };
        let effect = sync::observe(self.mapping, &mut link, &mut record, there.staged.seen());
        let next = sync::next_write(self.mapping, &mut link, &record, NO_WRITE);
        self.writes += u64::from(next.write.is_some());
        match effect.troubles.first().or(next.troubles.first()) {
            Some(trouble) => (Category::Blocked, trouble.message.clone()),
            None => (Category::CreateHere, String::new()),
        }
    }

    /// One of our records is to be created at the vendor.
    fn send(&mut self, record: &Record) -> (Category, String) {
        let mut link = Link::new(LinkId::from_uuid(Uuid::nil()), self.mapping.mapping.id);
        link.record = Some(record.id);
        let next = sync::next_write(self.mapping, &mut link, record, NO_WRITE);
        self.writes += u64::from(next.write.is_some());
        match (next.troubles.first(), next.write) {
            (Some(trouble), _) => (Category::Blocked, trouble.message.clone()),
            (None, Some(write)) => self.create(&write),
            (None, None) => (Category::Skipped, "no field that is sent has a value".to_owned()),
        }
    }

    /// A record is created at the vendor, which takes none without the fields that it requires.
    fn create(&self, write: &ApplyWrite) -> (Category, String) {
        let vendor = vendor_name(&self.mapping.mapping.vendor);
        for FieldSchema { name, label, references, .. } in &self.mapping.required {
            let outward = |pair: &&FieldPair| pair.vendor.name == *name && pair.direction.outward();
            let reason = match self.mapping.pairs.iter().find(outward) {
                None => "nothing is sent to it: map a field to it".to_owned(),
                // It is known when the record that it names is there.
                Some(_) if references.is_some() => continue,
                Some(_) if write.fields.get(name).is_some_and(|value| !value.is_blank()) => continue,
                Some(pair) => format!("{} is blank here: fill it in", pair.canonical.label),
            };
            return (Category::Blocked, format!("{vendor} requires {label} ({name}), and {reason}"));
        }
        (Category::CreateThere, String::new())
    }

    fn meet(&mut self, there: &There<'_>, mut record: Record) -> (Category, String) {
        let state = match there.link.state {
            LinkState::Detached => LinkState::Detached,
            _ => LinkState::Linked,
        };
        let mut link = Link { state, write: None, staged: None, ..there.link.clone() };
        let mut effect = Effect::default();
        if let Some(gone) = there.staged.gone {
            sync::let_go(self.mapping, &mut link, &mut record, gone, &mut effect);
            if effect.archived {
                return (Category::UpdateHere, "archived: the vendor's was deleted there".to_owned());
            }
        }
        if there.staged.was_read() {
            sync::ask_again(self.mapping, &mut link, there.staged.seen());
            effect = sync::observe(self.mapping, &mut link, &mut record, there.staged.seen());
        }
        let next = sync::next_write(self.mapping, &mut link, &record, NO_WRITE);
        self.writes += u64::from(next.write.is_some());
        let names = |fields: Vec<&str>| fields.join(", ");
        let (held, troubles): (Vec<_>, Vec<_>) =
            effect.troubles.iter().partition(|trouble| trouble.category == IssueCategory::Conflict);
        if let Some(trouble) = troubles.first().copied().or(next.troubles.first()) {
            (Category::Blocked, trouble.message.clone())
        } else if !effect.conflicts.is_empty() || !held.is_empty() {
            let held = held.iter().map(|trouble| trouble.field.as_str());
            let fields = effect.conflicts.iter().map(|it| it.field.as_str()).chain(held).collect();
            (Category::Conflict, names(fields))
        } else if !effect.changes.is_empty() {
            let fields = effect.changes.iter().map(|change| change.field.as_str()).collect();
            (Category::UpdateHere, names(fields))
        } else if let Some(write) = next.write {
            (Category::UpdateThere, written(&write))
        } else {
            (Category::MatchedEqual, String::new())
        }
    }

    fn add(&mut self, category: Category, sample: Sample, is_linked: bool) {
        // The changes of a mapping do nothing to it: how many of these there are makes no other plan.
        let stays = is_linked
            && category == Category::MatchedEqual
            && self.mapping.mapping.state == MappingState::Active;
        let parts = [category.name(), &sample.vendor_id, &sample.record_id, &sample.note];
        for part in parts.into_iter().filter(|_| !stays) {
            self.hash.update(part);
            self.hash.update([0]);
        }
        let tally = self.result.categories.entry(category).or_default();
        tally.count += 1;
        if tally.samples.len() < SAMPLES {
            tally.samples.push(sample);
        }
    }
}

/// What a write would do to a record that exists at the vendor.
fn written(write: &ApplyWrite) -> String {
    if write.fields.is_empty() {
        return "archived: ours was archived here".to_owned();
    }
    write.fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::{CanonicalObject, ConnectionId, MappingId, ObjectSchema, OrganizationId, Value};

    use super::*;
    use crate::domain::{
        cell::Cell,
        mapping::{FieldMapping, FieldState, Mapping, Settings},
    };

    /// What a plan says of a record that only we have, when these pairs are mapped and the vendor requires both fields.
    fn planned(pairs: &[(&str, &str)], values: &[(&str, &str)]) -> (Category, String) {
        let nobody = Uuid::nil();
        let canonical = CanonicalObject::Company.schema();
        let mut there = ObjectSchema { name: "Account".into(), ..canonical.clone() };
        there.fields.retain(|field| ["name", "address_city"].contains(&&*field.name));
        for field in &mut there.fields {
            (field.required, field.label) = (true, field.name.to_uppercase());
        }
        let field = |theirs: &str| FieldMapping {
            vendor_field: Some(theirs.to_owned()),
            state: FieldState::Confirmed,
            ..FieldMapping::unmapped()
        };
        let fields = pairs.iter().map(|(ours, theirs)| ((*ours).to_owned(), field(theirs))).collect();
        let mapping = Mapping {
            id: MappingId::from_uuid(nobody),
            organization: OrganizationId::from_uuid(nobody),
            connection: ConnectionId::from_uuid(nobody),
            vendor: "salesforce".to_owned(),
            object: CanonicalObject::Company,
            vendor_object: "Account".to_owned(),
            state: MappingState::Draft,
            revision: 1,
            settings: Settings { fields, ..Settings::default() },
            draft: None,
            activated_at: None,
            activated_by: None,
        };
        let compiled = Compiled::new(mapping, &canonical, &there);
        let mut record = Record::new(
            RecordId::from_uuid(nobody),
            compiled.mapping.organization,
            CanonicalObject::Company,
            Timestamp::UNIX_EPOCH,
        );
        for (name, value) in values {
            let cell = Cell {
                value: Value::text(*value),
                at: Timestamp::UNIX_EPOCH,
                origin: "user".into(),
                version: 1,
            };
            record.cells.insert((*name).to_owned(), cell);
        }
        let mut planner = Planner::new(&compiled);
        planner.here(&record);
        let (result, _) = planner.finish(1, 1.0);
        let (category, tally) = result.categories.into_iter().next().unwrap();
        (category, tally.samples[0].note.clone())
    }

    #[test]
    fn a_create_without_what_the_vendor_requires_is_blocked_and_says_what_to_do() {
        let one = [("name", "One")];
        let both = [("name", "One"), ("address_city", "Bonn")];
        let mapped = [("name", "name"), ("address_city", "address_city")];
        let (category, note) = planned(&[("name", "name")], &both);
        assert_eq!(category, Category::Blocked);
        assert_eq!(
            note,
            "Salesforce requires ADDRESS_CITY (address_city), and nothing is sent to it: map a field to it"
        );
        let (category, note) = planned(&mapped, &one);
        assert_eq!(category, Category::Blocked);
        assert_eq!(
            note,
            "Salesforce requires ADDRESS_CITY (address_city), and City is blank here: fill it in"
        );
        let (category, note) = planned(&mapped, &both);
        assert_eq!((category, note.as_str()), (Category::CreateThere, ""));
    }
}
