//! Suggestions for a mapping: what the matcher says, what a language model says of the fields that the matcher is unsure
//! of where the operator named one, and what becomes of stored values on the way there and back.

use model::{Caller, MappingId};
use sqlx::PgConnection;

use super::{Changed, object_gone};
use crate::{
    Error,
    domain::{
        mapping::{Mapping, MappingState},
        plan::PlanState,
        suggest::{self, Advice, Stored},
    },
    engine::Engine,
    mappings,
    publisher::mapping_changed,
    store::{self, links::Which},
    unit::SOURCE,
};

/// How many of the stored records of each side are looked at.
const LOOKED_AT: i64 = 200;

impl Engine {
    /// Fills what nobody decided yet with suggestions.
    pub(crate) async fn suggest_mappings(&self, caller: &Caller, id: MappingId) -> Result<Mapping, Error> {
        let advice = self.advice(caller, id).await?;
        let mut tx = self.pool.begin().await?;
        let mut mapping = self.own_mapping(&mut tx, caller, id).await?;
        let (canonical, vendor) = self.schemas(&mut tx, caller, &mapping).await?;
        let vendor = vendor.ok_or_else(object_gone)?;
        let mut edited = mapping.clone().with_changes();
        let draft = mapping.state == MappingState::Draft;
        suggest::fill(&mut edited.settings, &canonical, &vendor, draft, &advice);
        let stored = stored(&mut tx, &mapping).await?;
        suggest::check(&mut edited, &canonical, &vendor, &stored);
        self.change(&mut tx, &mut mapping, edited.settings).await?;
        self.say(&mut tx, caller, &mapping, "suggested", None, Changed::new()).await?;
        self.done(tx).await?;
        Ok(mapping)
    }

    /// Asks the language model, while nothing is locked.
    async fn advice(&self, caller: &Caller, id: MappingId) -> Result<Advice, Error> {
        let Some(reranker) = &self.reranker else { return Ok(Advice::NotAsked) };
        let mut db = self.pool.acquire().await?;
        let mapping = store::mappings::get(&mut db, id).await?;
        let mapping = mapping
            .filter(|mapping| mapping.organization == caller.organization)
            .ok_or_else(|| Error::not_found("mapping"))?;
        let (canonical, vendor) = self.schemas(&mut db, caller, &mapping).await?;
        drop(db);
        let vendor = vendor.ok_or_else(object_gone)?;
        let draft = mapping.state == MappingState::Draft;
        let unsure = suggest::unsure(mapping.edited(), &canonical, &vendor, draft);
        Ok(if unsure.is_empty() { Advice::NotAsked } else { reranker.ask(&unsure).await })
    }
}

/// Before a draft's plan is worked out: what was mapped by itself stays so only if the values that were read for the plan
/// come back unchanged.
pub(crate) async fn check_round_trips(engine: &Engine) -> Result<(), Error> {
    let mut tx = engine.pool.begin().await?;
    // The mapping is locked before its plan, as by everybody who changes it.
    let Some(id) = store::plans::next_computing(&mut tx).await? else { return Ok(()) };
    let Some(mut mapping) = store::mappings::lock_any(&mut tx, id).await? else { return Ok(()) };
    let plan = store::plans::get(&mut tx, id).await?.map(|plan| plan.state);
    if mapping.state != MappingState::Draft || plan != Some(PlanState::Computing) {
        return Ok(());
    }
    let canonical = mappings::canonical_schema(&mut tx, mapping.organization, mapping.object).await?;
    let connection = store::connections::get(&mut tx, mapping.connection).await?;
    let vendor = connection.as_ref().and_then(|connection| connection.object(&mapping.vendor_object));
    let Some(vendor) = vendor else { return Ok(()) };
    let before = mapping.settings.clone();
    let stored = stored(&mut tx, &mapping).await?;
    let given_up = suggest::check(&mut mapping, &canonical, vendor, &stored);
    if mapping.settings == before {
        return Ok(());
    }
    store::mappings::update(&mut tx, &mut mapping).await?;
    let actor = model::Actor::Service(SOURCE).to_string();
    for field in given_up {
        let changed = ("auto_mapped".to_owned(), "suggested".to_owned());
        let changed = Changed::from([("state".to_owned(), changed)]);
        mapping_changed(engine, &mut tx, &mapping, &actor, "field_suggested", Some(&field), changed).await?;
    }
    tx.commit().await?;
    engine.waker.wake();
    Ok(())
}

/// The newest of our records, and some of the vendor's that were read and wait.
async fn stored(db: &mut PgConnection, mapping: &Mapping) -> Result<Stored, Error> {
    let records = store::records::newest(db, mapping.organization, mapping.object, LOOKED_AT).await?;
    let links = store::links::page(db, mapping.id, None, Which::Planned, LOOKED_AT).await?;
    Ok(Stored {
        here: records.into_iter().map(|record| record.cells).collect(),
        there: links.into_iter().filter_map(|link| link.staged).collect(),
    })
}
