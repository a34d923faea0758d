//! What people decide about a vendor's record that matches several here. Nothing is guessed before.

use std::sync::Arc;

use model::{Caller, LinkId, RecordId};

use crate::{
    Error,
    domain::{
        mapping::{Compiled, MappingState},
        matching,
        sync::{Link, LinkState},
    },
    engine::Engine,
    error::Refusal,
    publisher::mapping_changed,
    store,
    unit::{Scope, Unit, Wanted},
};

/// Which record a vendor's record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settlement {
    /// This one.
    Link(RecordId),
    /// A new one.
    Create,
    /// None of ours.
    Ignore,
}

impl Settlement {
    const fn name(self) -> &'static str {
        match self {
            Self::Link(_) => "link",
            Self::Create => "create",
            Self::Ignore => "ignore",
        }
    }
}

impl Engine {
    /// Settles a decision; gives the record that the vendor's is linked to.
    pub(crate) async fn settle_decision(
        &self,
        caller: &Caller,
        id: LinkId,
        settlement: Settlement,
    ) -> Result<Option<RecordId>, Error> {
        loop {
            match self.try_settle(caller, id, settlement).await {
                Err(Error::Moved) => {}
                done => return done,
            }
        }
    }

    async fn try_settle(
        &self,
        caller: &Caller,
        id: LinkId,
        settlement: Settlement,
    ) -> Result<Option<RecordId>, Error> {
        let gone = || Error::not_found("decision");
        let mut tx = self.pool.begin().await?;
        let mappings = self.mappings.load(&mut tx, &[caller.organization]).await?;
        let link = store::links::get(&mut tx, id).await?.ok_or_else(gone)?;
        let mapping = mappings.get(link.mapping).cloned().ok_or_else(gone)?;
        let vendor_id = link.vendor_id.clone().ok_or_else(gone)?;
        let keys = link
            .staged
            .as_ref()
            .map(|staged| matching::keys_there(&mapping, &staged.fields))
            .unwrap_or_default();
        let wanted =
            Wanted { mapping: Arc::clone(&mapping), vendor_id: vendor_id.clone(), keys, external: None };
        let records = match settlement {
            Settlement::Link(record) => vec![record],
            Settlement::Create | Settlement::Ignore => Vec::new(),
        };
        let scope = Scope { vendor_records: vec![wanted], links: vec![id], records, ..Scope::default() };
        let mut unit = Unit::load(&mut tx, self.clock.now(), mappings, scope).await?;
        is_open(unit.link(id).ok_or_else(gone)?, &mapping)?;
        let cause = self.cause(caller);
        let settled = match settlement {
            Settlement::Link(record) => {
                is_candidate(&unit, &mapping, caller, record)?;
                unit.choose(&mapping, id, Some(record), &cause)
            }
            Settlement::Create if mapping.creates_here() => unit.choose(&mapping, id, None, &cause),
            Settlement::Create => {
                let message = "the mapping's direction is to the vendor only";
                return Err(Error::refused(Refusal::NotReady, "direction_outward", message));
            }
            Settlement::Ignore => {
                unit.ignore(id);
                None
            }
        };
        unit.flush(&mut tx).await?;
        let settings = [
            ("decision".to_owned(), (String::new(), settlement.name().to_owned())),
            ("vendor_id".to_owned(), (String::new(), vendor_id)),
        ];
        let actor = cause.actor.as_str();
        mapping_changed(self, &mut tx, &mapping.mapping, actor, "decision_settled", None, settings.into())
            .await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(settled)
    }
}

fn is_open(link: &Link, mapping: &Compiled) -> Result<(), Error> {
    if !matches!(link.state, LinkState::Ambiguous | LinkState::Ignored) {
        return Err(Error::refused(Refusal::NotReady, "decision_settled", "this was decided already"));
    }
    if mapping.mapping.state != MappingState::Active {
        let message = format!("the mapping is {}; resume or activate it first", mapping.mapping.state.name());
        return Err(Error::refused(Refusal::NotReady, "mapping_state", message));
    }
    Ok(())
}

fn is_candidate(unit: &Unit, mapping: &Compiled, caller: &Caller, id: RecordId) -> Result<(), Error> {
    let own = |record: &&crate::domain::cell::Record| {
        record.organization == caller.organization
            && record.object == mapping.mapping.object
            && !record.deleted
    };
    let record = unit.record(id).filter(own).ok_or_else(|| Error::not_found("record"))?;
    if record.archived_at.is_some() {
        return Err(Error::refused(Refusal::NotReady, "record_archived", "the record is archived"));
    }
    if unit.is_linked(mapping, id) {
        let message = "another record of the vendor is linked to this one";
        return Err(Error::refused(Refusal::NotReady, "record_linked", message));
    }
    Ok(())
}
