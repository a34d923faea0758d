//! What putting back a run means for one record: each value that the run replaced comes back, where what stands now is
//! still the run's own.

use std::collections::BTreeMap;

use model::Value;

use super::cell::Record;

/// One change of the record by the run, in the order of versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) version: i64,
    /// Field, value before, value after; none when the record was archived.
    pub(crate) fields: Vec<(String, Value, Value)>,
}

/// One write that the run asked a vendor for, without changing the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrote {
    /// The record's version that it carried.
    pub(crate) version: i64,
    pub(crate) creates: bool,
    /// By canonical field: what was seen there before, in canonical form.
    pub(crate) before: BTreeMap<String, Value>,
}

named! {
    /// Why something stays as the run left it.
    Stays {
        /// Somebody changed it since.
        Changed = "changed_since",
        /// The record is archived.
        Archived = "archived",
        /// The field may not be blank, and was.
        Required = "required",
        /// The vendor's record was created by the run: nothing is deleted there.
        CreatedThere = "created_there",
    }
}

/// What becomes of one field, or with an empty name of the record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) field: String,
    pub(crate) now: Value,
    /// What comes back; blank for a record that is archived again.
    pub(crate) back: Value,
    /// Set when it stays.
    pub(crate) stays: Option<Stays>,
}

/// What putting the run back does to the record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inverse {
    /// Values that come back.
    pub(crate) fields: BTreeMap<String, Value>,
    /// The record was created by the run and nobody touched it since: it is archived.
    pub(crate) archive: bool,
    /// The record was archived by the run: it is active again.
    pub(crate) reopen: bool,
    pub(crate) items: Vec<Item>,
}

/// Works out the inverse of a run for one record.
pub(crate) fn inverse(record: &Record, steps: &[Step], wrote: &[Wrote], required: &[&str]) -> Inverse {
    let mut inverse = Inverse::default();
    let last = steps.last().map_or(0, |step| step.version);
    let archived_by_it = steps.iter().rev().find(|step| step.fields.is_empty()).map(|step| step.version);
    if record.archived_at.is_some() {
        if archived_by_it == Some(record.version) {
            inverse.reopen = true;
            inverse.note(String::new(), Value::Null, Value::Null, None);
        } else {
            inverse.note(String::new(), Value::Null, Value::Null, Some(Stays::Archived));
        }
        return inverse;
    }
    if steps.first().is_some_and(|step| step.version == 1) {
        inverse.archive = record.version == last;
        let stays = (!inverse.archive).then_some(Stays::Changed);
        inverse.note(String::new(), Value::Null, Value::Null, stays);
        return inverse;
    }
    for (field, before, version) in replaced(steps) {
        inverse.put_back(record, field, before, version, required);
    }
    for write in wrote {
        if write.creates {
            inverse.note(String::new(), Value::Null, Value::Null, Some(Stays::CreatedThere));
            continue;
        }
        for (field, before) in &write.before {
            if !inverse.items.iter().any(|item| item.field == *field) {
                let version = record.cells.get(field).map_or(0, |cell| cell.version).min(write.version);
                inverse.put_back(record, field, before, version, required);
            }
        }
    }
    inverse
}

/// Each field's value before the run, and the last version with which the run changed it.
fn replaced(steps: &[Step]) -> impl Iterator<Item = (&str, &Value, i64)> {
    let mut fields: BTreeMap<&str, (&Value, i64)> = BTreeMap::new();
    for step in steps {
        for (field, before, _) in &step.fields {
            fields.entry(field).or_insert((before, 0)).1 = step.version;
        }
    }
    fields.into_iter().map(|(field, (before, version))| (field, before, version))
}

impl Inverse {
    /// Whether anything comes back.
    pub(crate) fn acts(&self) -> bool {
        self.archive || self.reopen || !self.fields.is_empty()
    }

    fn put_back(&mut self, record: &Record, field: &str, before: &Value, version: i64, required: &[&str]) {
        let now = record.value(field);
        if now == before {
            return;
        }
        let own = record.cells.get(field).is_some_and(|cell| cell.version == version);
        let stays = if !own {
            Some(Stays::Changed)
        } else if before.is_blank() && required.contains(&field) {
            Some(Stays::Required)
        } else {
            None
        };
        if stays.is_none() {
            self.fields.insert(field.to_owned(), before.clone());
        }
        self.note(field.to_owned(), now.clone(), before.clone(), stays);
    }

    fn note(&mut self, field: String, now: Value, back: Value, stays: Option<Stays>) {
        self.items.push(Item { field, now, back, stays });
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use model::{CanonicalObject, OrganizationId, RecordId};
    use proptest::prelude::*;

    use super::*;
    use crate::domain::sync::{Reason, edit};

    const FIELDS: [&str; 3] = ["name", "phone", "description"];

    fn apply(record: &mut Record, field: usize, value: u8) -> Step {
        let fields = BTreeMap::from([(FIELDS[field].to_owned(), Value::text(value.to_string()))]);
        let changes = edit(record, fields, Timestamp::UNIX_EPOCH, "x", Reason::Edited);
        let fields: Vec<_> = changes.into_iter().map(|c| (c.field, c.before, c.after)).collect();
        if !fields.is_empty() {
            record.version += 1;
        }
        Step { version: record.version, fields }
    }

    fn record() -> Record {
        let (organization, id) =
            (OrganizationId::generate(Timestamp::UNIX_EPOCH), RecordId::generate(Timestamp::UNIX_EPOCH));
        let mut record = Record::new(id, organization, CanonicalObject::Company, Timestamp::UNIX_EPOCH);
        for (field, _) in FIELDS.iter().enumerate() {
            apply(&mut record, field, 100);
        }
        record
    }

    proptest! {
        #[test]
        fn what_the_run_replaced_comes_back_and_what_others_did_stays(
            edits in proptest::collection::vec((0..3_usize, 0..4_u8), 0..8),
            later in proptest::collection::vec((0..3_usize, 4..8_u8), 0..3),
        ) {
            let mut record = record();
            let before = record.clone();
            let steps: Vec<Step> = edits
                .iter()
                .map(|(field, value)| apply(&mut record, *field, *value))
                .filter(|step| !step.fields.is_empty())
                .collect();
            let touched: Vec<&str> =
                steps.iter().flat_map(|step| step.fields.iter().map(|(field, ..)| field.as_str())).collect();
            let mut since = Vec::new();
            for (field, value) in later {
                if !apply(&mut record, field, value).fields.is_empty() {
                    since.push(FIELDS[field]);
                }
            }
            let inverse = inverse(&record, &steps, &[], &[]);
            let stood = record.clone();
            edit(&mut record, inverse.fields.clone(), Timestamp::UNIX_EPOCH, "x", Reason::Undone);
            for field in FIELDS {
                let expected = if since.contains(&field) { stood.value(field) } else { before.value(field) };
                prop_assert_eq!(record.value(field), expected, "{} {:?}", field, touched);
            }
            let stays = inverse.items.iter().filter(|item| item.stays.is_some()).count();
            let of_others: std::collections::BTreeSet<&&str> =
                touched.iter().filter(|field| since.contains(field)).collect();
            prop_assert!(stays <= of_others.len());
        }
    }

    #[test]
    fn a_record_that_the_run_made_is_archived_unless_somebody_touched_it() {
        let mut record = record();
        let made = [Step { version: 1, fields: vec![("name".into(), Value::Null, Value::text("x"))] }];
        assert_eq!(inverse(&record, &made, &[], &[]).items[0].stays, Some(Stays::Changed));
        record.version = 1;
        assert!(inverse(&record, &made, &[], &[]).archive);
        record.archived_at = Some(Timestamp::UNIX_EPOCH);
        assert_eq!(inverse(&record, &made, &[], &[]).items[0].stays, Some(Stays::Archived));
        record.version = 2;
        assert!(inverse(&record, &[Step { version: 2, fields: Vec::new() }], &[], &[]).reopen);
    }

    #[test]
    fn what_a_vendor_held_before_comes_back_and_what_may_not_be_blank_stays() {
        let record = record();
        let before = [("phone".to_owned(), Value::text("theirs")), ("name".to_owned(), Value::Null)].into();
        let wrote = [
            Wrote { version: 3, creates: false, before },
            Wrote { version: 3, creates: true, before: BTreeMap::new() },
        ];
        let inverse = inverse(&record, &[], &wrote, &["name"]);
        assert_eq!(inverse.fields, BTreeMap::from([("phone".to_owned(), Value::text("theirs"))]));
        let stays: Vec<Option<Stays>> = inverse.items.iter().map(|item| item.stays).collect();
        assert_eq!(stays, [Some(Stays::Required), None, Some(Stays::CreatedThere)]);
    }
}
