//! Plans that people ask for and apply, and mappings that they pause and resume.

use std::sync::Arc;

use model::{Caller, MappingId};
use sqlx::PgConnection;

use super::{Changed, pending};
use crate::{
    Error,
    domain::{
        mapping::{Mapping, MappingState},
        plan::PlanState,
    },
    drifts,
    engine::Engine,
    error::Refusal,
    mappings, planning,
    publisher::request_capture,
    store::{self, plans::StoredPlan},
};

impl Engine {
    /// Asks for the vendor's records to be read, so that a plan can be worked out: of a draft's activation, or of what
    /// the changes of a mapping would do. Nothing moves.
    pub(crate) async fn request_plan(&self, caller: &Caller, id: MappingId) -> Result<StoredPlan, Error> {
        let mut tx = self.pool.begin().await?;
        let mapping = self.own_mapping(&mut tx, caller, id).await?;
        if mapping.state == MappingState::Active && mapping.draft.is_none() {
            let message = "the mapping is active, and no change of it waits to be applied";
            return Err(Error::refused(Refusal::NotReady, "mapping_active", message));
        }
        let known = store::plans::get(&mut tx, id).await?;
        if known.is_some_and(|plan| plan.state == PlanState::Applying) {
            let message = "the plan before is still being applied; ask again when that is done";
            return Err(Error::refused(Refusal::NotReady, "plan_applying", message));
        }
        let (_, vendor) = self.schemas(&mut tx, caller, &mapping).await?;
        drifts::check_changes(&mapping, vendor.as_ref())?;
        if mapping.edited().fields.values().all(|field| field.effective().is_none()) {
            let message = "no field is mapped yet; confirm or choose at least one";
            return Err(Error::refused(Refusal::NotReady, "nothing_mapped", message));
        }
        let plan = StoredPlan::new(id, mapping.revision, self.clock.now());
        store::plans::put(&mut tx, &plan).await?;
        if mapping.state == MappingState::Active {
            // All of it is read again: what is gone there meanwhile is not.
            store::beside::clear(&mut tx, id).await?;
        }
        request_capture(self, &mut tx, &mapping, true).await?;
        self.say(&mut tx, caller, &mapping, "plan_requested", None, Changed::new()).await?;
        self.done(tx).await?;
        Ok(plan)
    }

    /// Activates a mapping, or applies the changes of an active one, by the hash of a plan that is still true; what was read
    /// for it is merged from now on.
    pub(crate) async fn activate(
        &self,
        caller: &Caller,
        id: MappingId,
        hash: &str,
    ) -> Result<Mapping, Error> {
        let mut tx = self.pool.begin().await?;
        let mut mapping = self.own_mapping(&mut tx, caller, id).await?;
        let plan = store::plans::get(&mut tx, id).await?;
        let Some(mut plan) = plan.filter(|plan| plan.state == PlanState::Ready) else {
            let message = "there is no plan to apply; ask for one and wait until it is ready";
            return Err(Error::refused(Refusal::NotReady, "plan_missing", message));
        };
        let changes = mapping.draft.as_ref().map_or(0, |draft| pending(&mapping.settings, draft).len());
        let compiled = Arc::new(mappings::compile(&mut tx, mapping.clone().with_changes()).await?);
        let stale = |text| Err(Error::refused(Refusal::NotReady, "plan_stale", text));
        if plan.hash.as_deref() != Some(hash) || plan.revision != mapping.revision {
            return stale("the plan is no longer true; ask for a new one");
        }
        if !planning::holds(&mut tx, &compiled, &plan, self.config.check_plan_within).await? {
            // What was being read may still be on its way: that goes with its connection.
            drop(tx);
            self.plan_anew(id).await?;
            return stale(
                "records moved since the plan was made; it is worked out anew, look at it once more",
            );
        }
        let (_, vendor) = self.schemas(&mut tx, caller, &mapping).await?;
        drifts::check_changes(&mapping, vendor.as_ref())?;
        if mapping.state != MappingState::Active {
            store::beside::clear(&mut tx, id).await?;
        }
        mapping = mapping.with_changes();
        drifts::check_filter(&mut tx, &mapping, vendor.as_ref(), self.clock.now()).await?;
        drifts::forget_settled(&mut tx, &mapping, self.clock.now()).await?;
        mapping.state = MappingState::Active;
        mapping.activated_at = Some(self.clock.now());
        mapping.activated_by = Some(caller.actor.to_string());
        store::mappings::update(&mut tx, &mut mapping).await?;
        // What the filter left out while the mapping was another one is asked again.
        store::links::release(&mut tx, id).await?;
        (plan.state, plan.revision) = (PlanState::Applying, mapping.revision);
        plan.changed_at = self.clock.now();
        store::plans::put(&mut tx, &plan).await?;
        request_capture(self, &mut tx, &mapping, false).await?;
        let applied = ("applied_changes".to_owned(), ("0".to_owned(), changes.to_string()));
        let changed = Some(applied).filter(|_| changes > 0).into_iter().collect();
        self.say(&mut tx, caller, &mapping, "activated", None, changed).await?;
        self.done(tx).await?;
        self.jobs.notify_one();
        Ok(mapping)
    }

    /// Has a plan that was ready worked out again in the background, from what was read already.
    async fn plan_anew(&self, id: MappingId) -> Result<(), Error> {
        let mut tx = self.pool.begin().await?;
        let (from, to) = (PlanState::Ready, PlanState::Computing);
        store::plans::advance(&mut tx, id, from, to, self.clock.now()).await?;
        self.done(tx).await?;
        self.jobs.notify_one();
        Ok(())
    }

    /// Stops a mapping for now, or lets it go on by the settings that it had: what happened in between is merged then. Changes
    /// that wait still do.
    pub(crate) async fn pause_mapping(
        &self,
        caller: &Caller,
        id: MappingId,
        pause: bool,
    ) -> Result<Mapping, Error> {
        let (from, to, action) = if pause {
            (MappingState::Active, MappingState::Paused, "paused")
        } else {
            (MappingState::Paused, MappingState::Active, "resumed")
        };
        let mut tx = self.pool.begin().await?;
        let mut mapping = self.own_mapping(&mut tx, caller, id).await?;
        if mapping.state != from {
            let message = format!("the mapping is {}, not {}", mapping.state.name(), from.name());
            return Err(Error::refused(Refusal::NotReady, "mapping_state", message));
        }
        if !pause {
            let (_, vendor) = self.schemas(&mut tx, caller, &mapping).await?;
            drifts::check_filter(&mut tx, &mapping, vendor.as_ref(), self.clock.now()).await?;
        }
        mapping.state = to;
        store::mappings::update(&mut tx, &mut mapping).await?;
        if pause {
            // What was not merged yet waits for the resumption, too.
            let (applying, applied) = (PlanState::Applying, PlanState::Applied);
            store::plans::advance(&mut tx, id, applying, applied, self.clock.now()).await?;
            // What was read beside the sync for a plan of changes is not followed any more.
            store::plans::remove_unapplied(&mut tx, id).await?;
        } else {
            self.apply_again(&mut tx, &mapping).await?;
        }
        // Fields may have been read for a plan that is none any more.
        request_capture(self, &mut tx, &mapping, !pause).await?;
        self.say(&mut tx, caller, &mapping, action, None, Changed::new()).await?;
        self.done(tx).await?;
        self.jobs.notify_one();
        Ok(mapping)
    }

    /// Merges what waits, asks the filter again, and works out all writes anew.
    async fn apply_again(&self, tx: &mut PgConnection, mapping: &Mapping) -> Result<(), Error> {
        store::links::release(tx, mapping.id).await?;
        let known = store::plans::get(tx, mapping.id).await?;
        // A plan that was not applied is none of what happens now.
        let known = known.filter(|plan| matches!(plan.state, PlanState::Applying | PlanState::Applied));
        let now = self.clock.now();
        let plan = known.unwrap_or_else(|| StoredPlan::new(mapping.id, mapping.revision, now));
        let (state, revision) = (PlanState::Applying, mapping.revision);
        store::plans::put(tx, &StoredPlan { state, revision, changed_at: now, ..plan }).await?;
        self.jobs.notify_one();
        Ok(())
    }
}
