//! The org: its objects, its users, and the transactions that change them.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::derive::derive;
use super::id::Id;
use super::journal::{Changed, Fields, Journal, Kind};
use super::object::Object;
use super::record::Record;
use super::schema::Schema;

/// Seconds a deleted record stays in the recycle bin.
pub(crate) const RECYCLE_S: i64 = 15 * 86_400;
const PURGE_EVERY_S: i64 = 3_600;
/// First name, last name and title of the org's users; the first one is the administrator who connects apps.
const PEOPLE: [(&str, &str, &str); 6] = [
    ("Avery", "Lindqvist", "Salesforce Administrator"),
    ("Priya", "Raman", "Account Executive"),
    ("Marcus", "Oyelaran", "Account Executive"),
    ("Helena", "Vogt", "Sales Manager"),
    ("Tomás", "Figueroa", "Channel Manager"),
    ("Grace", "Whitfield", "Sales Operations"),
];
pub(crate) const HOUSEHOLD: &str = "01254000001upcKAAQ";

/// Which of a record's times a write moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touch {
    /// A user's write: all of them.
    User,
    /// Background processing: SystemModstamp alone.
    System,
    /// Nobody is told: none, and no change event.
    None,
}

/// Writes that become visible together, or not at all.
#[derive(Debug)]
pub(crate) struct Transaction {
    pub(crate) user: Id,
    pub(crate) origin: String,
    pub(crate) now_s: i64,
    /// Records as they were before, in the order in which they were first written.
    before: Vec<(usize, Id, Option<Record>)>,
    seen: HashSet<(usize, Id)>,
    /// No change events.
    pub(crate) silent: bool,
}

impl Transaction {
    pub(crate) fn new(user: Id, origin: &str, now_s: i64) -> Self {
        let (before, seen) = Default::default();
        Self { user, origin: origin.to_owned(), now_s, before, seen, silent: false }
    }
}

/// A transaction that was stamped and is not visible yet.
#[derive(Debug)]
struct Held {
    transaction: Transaction,
    after: Vec<(usize, Id, Option<Record>)>,
    commit_at_s: i64,
}

/// One customer's org.
#[derive(Debug)]
pub(crate) struct Org {
    pub(crate) id: Id,
    pub(crate) name: String,
    pub(crate) objects: Vec<Object>,
    pub(crate) users: Vec<Id>,
    pub(crate) journal: Journal,
    held: Vec<Held>,
    /// Transactions that wait for each other: all become visible together, or none.
    together: Option<Vec<Transaction>>,
    purged_s: i64,
    /// Records the state file does not have yet.
    pub(crate) touched: BTreeSet<(usize, Id)>,
    /// Custom fields the state file does not have yet: object and field name.
    pub(crate) touched_fields: Vec<(usize, String)>,
}

impl Org {
    pub(crate) fn new(number: u64, sandbox: bool, edition: &str, now_s: i64) -> Self {
        let mut org = Self {
            id: Id::new("00D", number),
            name: "Harborline Systems".to_owned(),
            objects: Schema::recorded().into_iter().map(Object::new).collect(),
            users: Vec::new(),
            journal: Journal::default(),
            held: Vec::new(),
            together: None,
            purged_s: now_s,
            touched: BTreeSet::new(),
            touched_fields: Vec::new(),
        };
        org.people(now_s);
        let record = Record::new(org.id, now_s, org.users[0]);
        let facts = json!({"Name": org.name, "DefaultLocaleSidKey": "en_US", "LanguageLocaleKey": "en_US",
            "TimeZoneSidKey": "America/New_York"});
        org.plant("Organization", record, &facts);
        org.environment(sandbox, edition);
        let facts = json!({"Name": "X00ehs0profile", "Label": "System Administrator", "IsOwnedByProfile": true,
            "ProfileId": Id::new("00e", 1)});
        org.plant("PermissionSet", Record::new(Id::new("0PS", 1), now_s, org.users[0]), &facts);
        if let Some(id) = Id::parse(HOUSEHOLD) {
            let facts = json!({"Name": "Household", "DeveloperName": "Household", "SobjectType": "Account",
                "IsActive": true});
            org.plant("RecordType", Record::new(id, now_s, org.users[0]), &facts);
        }
        org
    }

    /// Says anew what kind of org it is.
    pub(crate) fn environment(&mut self, sandbox: bool, edition: &str) {
        let Some(at) = self.find("Organization") else { return };
        let Some(record) = self.objects[at].get(self.id).cloned() else { return };
        let instance = if sandbox { "CS40" } else { "EU42" };
        let facts = json!({"OrganizationType": edition, "IsSandbox": sandbox, "InstanceName": instance});
        self.plant("Organization", record, &facts);
        self.touched.insert((at, self.id));
    }

    /// Forgets what a state file would still need.
    pub(crate) fn forget(&mut self) {
        self.touched.clear();
        self.touched_fields.clear();
        self.journal.unsaved.clear();
    }

    fn people(&mut self, now_s: i64) {
        let first = Id::new("005", 1);
        for (number, (given, family, title)) in (1_u64..).zip(PEOPLE) {
            let handle = format!("{given}.{family}").to_lowercase().replace('á', "a");
            let facts = json!({"FirstName": given, "LastName": family, "Name": format!("{given} {family}"),
                "Title": title, "Username": format!("{handle}@harborline.example"),
                "Email": format!("{handle}@harborline.example"), "Alias": given.to_lowercase(), "IsActive": true,
                "UserType": "Standard", "ProfileId": Id::new("00e", 1), "TimeZoneSidKey": "America/New_York",
                "LocaleSidKey": "en_US",
                "LanguageLocaleKey": "en_US"});
            let id = Id::new("005", number);
            self.plant("User", Record::new(id, now_s, first), &facts);
            self.users.push(id);
        }
    }

    fn plant(&mut self, object: &str, mut record: Record, facts: &Value) {
        let Some(at) = self.find(object) else { return };
        for (name, value) in facts.as_object().into_iter().flatten() {
            if let Some(field) = self.objects[at].schema.field(name) {
                record.cells.set(field.at, value.clone());
            }
        }
        self.objects[at].put(record);
    }

    /// The position of an object by its name in any case.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.objects.iter().position(|object| object.schema.name.eq_ignore_ascii_case(name))
    }

    /// The object whose ids begin like this one.
    pub(crate) fn object_of(&self, id: Id) -> Option<usize> {
        self.objects.iter().position(|object| object.schema.prefix == id.prefix())
    }

    /// Whether a transaction that is not visible yet holds the record.
    pub(crate) fn is_locked(&self, at: usize, id: Id) -> bool {
        self.held.iter().any(|held| held.transaction.seen.contains(&(at, id)))
    }

    fn note(&mut self, transaction: &mut Transaction, at: usize, id: Id) {
        if transaction.seen.insert((at, id)) {
            transaction.before.push((at, id, self.objects[at].get(id).cloned()));
        }
    }

    /// Adds a record.
    pub(crate) fn insert(&mut self, to: &mut Transaction, at: usize, values: Vec<(u16, Value)>) -> Id {
        let id = self.objects[at].next_id();
        self.note(to, at, id);
        let record = Record::new(id, to.now_s, to.user);
        self.store(to, at, record, values);
        id
    }

    fn store(&mut self, to: &Transaction, at: usize, mut record: Record, values: Vec<(u16, Value)>) {
        let schema = &self.objects[at].schema;
        let changed: Vec<u16> = values.iter().map(|(field, _)| *field).collect();
        let fresh = !self.objects[at].get(record.id).is_some_and(Record::is_live);
        if fresh {
            for field in schema.live_fields().filter(|field| !changed.contains(&field.at)) {
                let choice = field.choices.iter().find(|choice| choice.default && choice.active);
                if let Some(choice) = choice.filter(|_| field.defaulted) {
                    record.cells.set(field.at, choice.value.clone().into());
                }
            }
            if let Some(owner) = schema.field("OwnerId").filter(|field| !changed.contains(&field.at)) {
                record.cells.set(owner.at, to.user.to_string().into());
            }
        }
        for (field, value) in values {
            record.cells.set(field, value);
        }
        derive(schema, &mut record, &changed, fresh);
        self.objects[at].put(record);
    }

    /// Changes a record.
    pub(crate) fn update(
        &mut self,
        to: &mut Transaction,
        at: usize,
        id: Id,
        values: Vec<(u16, Value)>,
        touch: Touch,
    ) {
        self.note(to, at, id);
        let Some(mut record) = self.objects[at].get(id).cloned() else { return };
        if touch != Touch::None {
            record.stamp_s = to.now_s;
        }
        if touch == Touch::User {
            record.modified_s = to.now_s;
            record.modified_by = to.user;
        }
        self.store(to, at, record, values);
    }

    /// Puts a record and the children that go with it into the recycle bin.
    pub(crate) fn delete(&mut self, to: &mut Transaction, at: usize, id: Id) {
        self.bin(to, at, id, None, None);
    }

    fn bin(&mut self, to: &mut Transaction, at: usize, id: Id, with: Option<Id>, master: Option<Id>) {
        self.note(to, at, id);
        let Some(mut record) = self.objects[at].get(id).filter(|record| record.is_live()).cloned() else {
            return;
        };
        record.deleted_s = Some(to.now_s);
        record.deleted_with = with;
        record.master = master;
        record.stamp_s = to.now_s;
        self.objects[at].put(record);
        let root = with.unwrap_or(id);
        let children = if master.is_none() { self.children(at, id) } else { Vec::new() };
        for (child, ids) in children {
            for id in ids {
                self.bin(to, child, id, Some(root), None);
            }
        }
    }

    /// Live children, by object, that the deletion of a record takes along.
    fn children(&self, at: usize, id: Id) -> Vec<(usize, Vec<Id>)> {
        let children = self.objects[at].schema.children.iter().filter(|(_, _, takes)| *takes);
        children
            .filter_map(|(object, field, _)| {
                let child = self.find(object)?;
                Some((child, self.referring(child, field, id)))
            })
            .collect()
    }

    /// Live records whose reference points to `id`.
    pub(crate) fn referring(&self, at: usize, field: &str, id: Id) -> Vec<Id> {
        let Some(field) = self.objects[at].schema.field(field) else { return Vec::new() };
        let wanted = id.to_string();
        let live = self.objects[at].live();
        live.filter(|record| record.cells.text(field.at) == Some(&wanted)).map(|record| record.id).collect()
    }

    /// Takes a record, and those that were deleted along with it, out of the recycle bin.
    pub(crate) fn undelete(&mut self, to: &mut Transaction, at: usize, id: Id) -> bool {
        let Some(record) = self.objects[at].get(id) else { return false };
        let Some(deleted_s) = record.deleted_s.filter(|_| record.master.is_none()) else { return false };
        let mut back = vec![(at, id)];
        for (position, object) in self.objects.iter().enumerate() {
            let along =
                object.all().filter(|one| one.deleted_with == Some(id) && one.deleted_s == Some(deleted_s));
            back.extend(along.map(|one| (position, one.id)));
        }
        for (at, id) in back {
            self.note(to, at, id);
            let Some(mut record) = self.objects[at].take(id) else { continue };
            record.deleted_s = None;
            record.deleted_with = None;
            record.stamp_s = to.now_s;
            record.modified_s = to.now_s;
            record.modified_by = to.user;
            self.objects[at].put(record);
        }
        true
    }

    /// Merges `loser` into `winner`: the winner's values stay, gaps are filled, children move.
    pub(crate) fn merge(&mut self, to: &mut Transaction, at: usize, winner: Id, loser: Id) {
        let object = &self.objects[at];
        let (Some(kept), Some(lost)) = (object.get(winner), object.get(loser)) else { return };
        let gaps = lost.cells.iter().filter(|(field, _)| kept.cells.get(*field).is_none());
        let gaps = gaps.map(|(field, value)| (field, value.clone())).collect();
        let children: Vec<(usize, u16, Vec<Id>)> = self.objects[at]
            .schema
            .children
            .iter()
            .filter_map(|(object, field, _)| {
                let child = self.find(object)?;
                let position = self.objects[child].schema.field(field)?.at;
                Some((child, position, self.referring(child, field, loser)))
            })
            .collect();
        self.bin(to, at, loser, None, Some(winner));
        for (child, field, ids) in children {
            for id in ids {
                self.update(to, child, id, vec![(field, winner.to_string().into())], Touch::User);
            }
        }
        self.update(to, at, winner, gaps, Touch::User);
    }

    /// From now on transactions wait for [`Org::end_together`].
    pub(crate) fn begin_together(&mut self) {
        self.together = Some(Vec::new());
    }

    /// Commits the waiting transactions as one, or undoes them all.
    pub(crate) fn end_together(&mut self, keep: bool, now_ms: i64) {
        let mut waiting = self.together.take().unwrap_or_default().into_iter();
        if !keep {
            waiting.rev().for_each(|one| self.rollback(one));
            return;
        }
        let Some(mut first) = waiting.next() else { return };
        for later in waiting {
            for (at, id, before) in later.before {
                if first.seen.insert((at, id)) {
                    first.before.push((at, id, before));
                }
            }
        }
        self.commit(first, now_ms);
    }

    /// Makes the writes visible and tells the journal.
    pub(crate) fn commit(&mut self, transaction: Transaction, now_ms: i64) {
        if let Some(waiting) = &mut self.together {
            waiting.push(transaction);
            return;
        }
        let mut changes = Vec::new();
        for (at, id, before) in &transaction.before {
            self.touched.insert((*at, *id));
            if !transaction.silent {
                changes.extend(self.change(*at, *id, before.as_ref()));
            }
        }
        if !changes.is_empty() {
            let at = Timestamp::from_millisecond(now_ms).unwrap_or_default();
            self.journal.append(at, transaction.user.to_string(), transaction.origin, changes);
        }
    }

    fn change(&self, at: usize, id: Id, before: Option<&Record>) -> Option<Changed> {
        let object = &self.objects[at];
        let after = object.get(id);
        let live = |record: Option<&Record>| record.is_some_and(Record::is_live);
        let kind = match (before.is_some(), live(before), live(after)) {
            (false, _, true) => Kind::Create,
            (true, true, true) => Kind::Update,
            (true, true, false) => Kind::Delete,
            (true, false, true) => Kind::Undelete,
            (_, false, false) | (false, true, false) => return None,
        };
        let fields = |record: Option<&Record>| record.map(|record| object.fields(record)).unwrap_or_default();
        let (before, after) = match kind {
            Kind::Create => (Fields::new(), fields(after)),
            Kind::Delete => (fields(before), Fields::new()),
            Kind::Update | Kind::Undelete => (fields(before), fields(after)),
        };
        Some(Changed { object: object.schema.name.clone(), ids: vec![id.to_string()], kind, before, after })
    }

    /// Puts everything back as it was.
    pub(crate) fn rollback(&mut self, transaction: Transaction) {
        self.restore(transaction.before);
    }

    fn restore(&mut self, records: Vec<(usize, Id, Option<Record>)>) {
        for (at, id, record) in records {
            match record {
                Some(record) => self.objects[at].put(record),
                None => drop(self.objects[at].take(id)),
            }
        }
    }

    /// Hides the writes until `commit_at_s`. They keep their stamps, and their records stay locked.
    pub(crate) fn hold(&mut self, mut transaction: Transaction, commit_at_s: i64) {
        let touched = transaction.before.iter();
        let after = touched.map(|(at, id, _)| (*at, *id, self.objects[*at].get(*id).cloned())).collect();
        self.restore(std::mem::take(&mut transaction.before));
        self.held.push(Held { transaction, after, commit_at_s });
    }

    /// What time alone does: late transactions commit, the recycle bin forgets.
    pub(crate) fn tick(&mut self, now_ms: i64) {
        let now_s = now_ms.div_euclid(1_000);
        while let Some(at) = self.held.iter().position(|held| held.commit_at_s <= now_s) {
            let Held { mut transaction, after, .. } = self.held.remove(at);
            transaction.seen.clear();
            for (at, id, _) in &after {
                self.note(&mut transaction, *at, *id);
            }
            self.restore(after);
            self.commit(transaction, now_ms);
        }
        if now_s - self.purged_s >= PURGE_EVERY_S {
            self.purged_s = now_s;
            self.purge(|record| record.deleted_s.is_some_and(|deleted| deleted + RECYCLE_S < now_s));
        }
    }

    /// Takes records out of the recycle bin for good; no change event tells of it.
    pub(crate) fn purge(&mut self, which: impl Fn(&Record) -> bool) -> usize {
        let mut count = 0;
        for (at, object) in self.objects.iter_mut().enumerate() {
            let gone: Vec<Id> =
                object.all().filter(|one| !one.is_live() && which(one)).map(|one| one.id).collect();
            count += gone.len();
            for id in gone {
                object.take(id);
                self.touched.insert((at, id));
            }
        }
        count
    }
}
