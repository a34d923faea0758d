//! What became of writes, for the story of a value: what was asked for, what the vendor answered, and which listing
//! showed it. Each is one row of its own or one change of it, stored with the rest of the unit.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use model::{ApplyWrite, Value, WriteId, WriteKind, WriteOutcome};
use sqlx::PgConnection;

use super::{Cause, Unit};
use crate::{
    Error,
    domain::{
        mapping::Compiled,
        sync::{Link, Trouble},
        words,
    },
    error::category_name,
    store::{
        self,
        writes::{Answer, Asked, AskedField, Shown},
    },
};

/// See the module.
#[derive(Default)]
pub(super) struct Trace {
    asked: Vec<Asked>,
    answered: BTreeMap<WriteId, Answer>,
    shown: BTreeMap<WriteId, Shown>,
}

impl Trace {
    /// A vendor is asked for a write.
    pub(super) fn asked(
        &mut self,
        mapping: &Compiled,
        link: Option<&Link>,
        version: i64,
        write: &ApplyWrite,
        cause: &Arc<Cause>,
        now: Timestamp,
    ) {
        let fields = mapping.pairs.iter().filter_map(|pair| {
            let asked = write.fields.get(&pair.vendor.name)?.clone();
            let state = link.and_then(|link| link.fields.get(&pair.canonical.name));
            let before = state.and_then(|state| state.seen.clone()).unwrap_or(Value::Null);
            Some((
                pair.canonical.name.clone(),
                AskedField { vendor_field: pair.vendor.name.clone(), asked, before },
            ))
        });
        self.asked.push(Asked {
            id: write.id,
            record: write.record,
            link: write.link,
            mapping: mapping.mapping.id,
            mapping_revision: mapping.mapping.revision,
            version,
            cause: cause.id.clone(),
            lane: cause.lane,
            taken_at: cause.taken_at,
            asked_at: now,
            creates: matches!(write.write, WriteKind::Create { .. }),
            fields: fields.collect(),
        });
    }

    /// The vendor answered the write in flight.
    pub(super) fn answered(
        &mut self,
        link: &mut Link,
        write: WriteId,
        outcome: &WriteOutcome,
        cause: &Arc<Cause>,
    ) {
        let (event, at) = (cause.id.clone(), cause.at);
        let answer = match outcome {
            WriteOutcome::Applied { version, fields, .. } => {
                link.written = Some((write, *version));
                Answer {
                    event,
                    at,
                    fields: fields.clone(),
                    vendor_version: Some(*version),
                    category: None,
                    message: None,
                }
            }
            WriteOutcome::Rejected { category, message, .. } => Answer {
                event,
                at,
                fields: BTreeMap::new(),
                vendor_version: None,
                category: Some(category_name(*category).to_owned()),
                message: Some(message.clone()),
            },
        };
        self.answered.insert(write, answer);
    }

    /// A listing showed what a write had put there.
    pub(super) fn shown(&mut self, write: WriteId, cause: &Arc<Cause>) {
        self.shown.insert(write, Shown { event: cause.id.clone(), at: cause.taken_at });
    }

    pub(super) async fn store(&self, tx: &mut PgConnection) -> Result<(), Error> {
        store::writes::ask(tx, &self.asked).await?;
        store::writes::answer(tx, &self.answered).await?;
        store::writes::show(tx, &self.shown).await
    }
}

impl Unit {
    /// The words of a trouble, without what is marked as personal data.
    pub(super) fn words(&self, mapping: &Compiled, link: model::LinkId, trouble: &Trouble) -> String {
        let mut personal = Vec::new();
        let held = self.links.get(&link).map(|held| &held.link);
        let record = held.and_then(|link| self.records.get(&link.record?)).map(|held| &held.record);
        for pair in mapping.pairs.iter().filter(|pair| pair.pii) {
            let name = &pair.canonical.name;
            let state = held.and_then(|link| link.fields.get(name));
            personal.extend(record.map(|record| record.value(name).to_string()));
            let known = state.into_iter().flat_map(|state| [&state.seen, &state.refused, &state.pending]);
            personal.extend(known.flatten().map(ToString::to_string));
        }
        let about_it = mapping.pairs.iter().any(|pair| pair.pii && pair.canonical.name == trouble.field);
        words::without(&trouble.message, &personal, about_it)
    }
}
