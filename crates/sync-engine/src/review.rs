//! The review of mappings by people: create, suggest, confirm, choose, plan, activate, pause. Every change is audited
//! by its event, which leaves in the same transaction.

use model::{Caller, CanonicalObject, ConnectionId, MappingId, ObjectSchema};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::{
        mapping::{FieldMapping, Mapping, MappingState, Settings},
        plan::PlanState,
        suggest,
    },
    drifts,
    engine::Engine,
    error::Refusal,
    mappings, planning,
    publisher::{mapping_changed, request_capture},
    store::{self, connections::Connection, plans::StoredPlan},
};

mod suggesting;
mod wish;

pub(crate) use suggesting::check_round_trips;
use wish::{
    Changed, apply_wish, check_choice, check_rules, dated, describe, differences, drop_suggestions, flows,
    object_gone, set,
};
pub(crate) use wish::{FieldWish, MappingWish};

impl Engine {
    /// Pairs a canonical object with a vendor object, as a draft.
    pub(crate) async fn create_mapping(
        &self,
        caller: &Caller,
        connection: ConnectionId,
        object: CanonicalObject,
        vendor_object: &str,
    ) -> Result<Mapping, Error> {
        let mut tx = self.pool.begin().await?;
        let connection = self.connection(&mut tx, caller, connection).await?;
        if connection.object(vendor_object).is_none() {
            let message = "the vendor has no such object; refresh the schema if it is new";
            return Err(Error::invalid_field("vendor_object_unknown", "vendor_object", message));
        }
        let schema = mappings::canonical_schema(&mut tx, caller.organization, object).await?;
        let now = self.clock.now();
        let mapping = Mapping {
            id: MappingId::generate(now),
            organization: caller.organization,
            connection: connection.id,
            vendor: connection.vendor,
            object,
            vendor_object: vendor_object.to_owned(),
            state: MappingState::Draft,
            revision: 1,
            settings: Settings {
                match_keys: object.default_match_keys().iter().map(|key| (*key).to_owned()).collect(),
                fields: schema
                    .fields
                    .iter()
                    .map(|field| (field.name.clone(), FieldMapping::unmapped()))
                    .collect(),
                ..Settings::default()
            },
            activated_at: None,
            activated_by: None,
        };
        if !store::mappings::insert(&mut tx, &mapping, now).await? {
            return Err(Error::refused(Refusal::Exists, "mapping_exists", "this pair is mapped already"));
        }
        self.say(&mut tx, caller, &mapping, "created", None, Changed::new()).await?;
        self.done(tx).await?;
        Ok(mapping)
    }

    /// Confirms, chooses, ignores or unmaps a field, or changes its settings.
    pub(crate) async fn set_field(
        &self,
        caller: &Caller,
        id: MappingId,
        name: &str,
        wish: FieldWish,
    ) -> Result<Mapping, Error> {
        let mut tx = self.pool.begin().await?;
        let mut mapping = self.own_mapping(&mut tx, caller, id).await?;
        let (canonical, vendor) = self.schemas(&mut tx, caller, &mapping).await?;
        if canonical.field(name).is_none() {
            return Err(Error::invalid_field("field_unknown", "field", "there is no such field"));
        }
        let vendor = vendor.ok_or_else(object_gone)?;
        let before = mapping.settings.clone();
        let chosen = match wish.action.as_str() {
            "choose" => Some(wish.vendor_field.clone()),
            "confirm" => before.fields.get(name).and_then(|field| field.vendor_field.clone()),
            _ => None,
        };
        if let Some(chosen) = &chosen {
            check_choice(&mapping.settings, &vendor, name, chosen)?;
        }
        let theirs = chosen.clone().or_else(|| before.fields.get(name)?.vendor_field.clone());
        check_rules(&wish, &canonical, &vendor, name, theirs.as_deref())?;
        let field = mapping.settings.fields.entry(name.to_owned()).or_insert_with(FieldMapping::unmapped);
        let said = describe(field);
        let action = apply_wish(field, &wish)?;
        let changed = differences(&said, &describe(field));
        if let Some(chosen) = &chosen {
            drop_suggestions(&mut mapping.settings, name, chosen);
        }
        drifts::forget_settled(&mut tx, &mapping, self.clock.now()).await?;
        store::mappings::update(&mut tx, &mut mapping).await?;
        self.say(&mut tx, caller, &mapping, action, Some(name), changed).await?;
        self.recapture(&mut tx, &before, &mapping).await?;
        self.done(tx).await?;
        Ok(mapping)
    }

    /// Changes the settings of an object mapping.
    pub(crate) async fn set_mapping(
        &self,
        caller: &Caller,
        id: MappingId,
        wish: MappingWish,
    ) -> Result<Mapping, Error> {
        let mut tx = self.pool.begin().await?;
        let mut mapping = self.own_mapping(&mut tx, caller, id).await?;
        let before = mapping.settings.clone();
        let (canonical, vendor) = self.schemas(&mut tx, caller, &mapping).await?;
        let mut changed =
            set(&mut mapping.settings, mapping.object.match_keys(), &wish, &canonical, vendor.as_ref())?;
        if wish.confirm_all {
            let count = suggest::confirm(&mut mapping.settings, &canonical, &vendor.ok_or_else(object_gone)?);
            changed.insert("confirmed_fields".to_owned(), ("0".to_owned(), count.to_string()));
        }
        drifts::forget_settled(&mut tx, &mapping, self.clock.now()).await?;
        store::mappings::update(&mut tx, &mut mapping).await?;
        if mapping.state == MappingState::Active && before.filter != mapping.settings.filter {
            self.apply_again(&mut tx, id).await?;
        }
        let action = if wish.confirm_all { "fields_confirmed" } else { "settings_changed" };
        self.say(&mut tx, caller, &mapping, action, None, changed).await?;
        self.recapture(&mut tx, &before, &mapping).await?;
        self.done(tx).await?;
        Ok(mapping)
    }

    /// Asks for the vendor's records to be read, so that a plan can be worked out: of a draft's activation, or of what
    /// the changes of a paused mapping would do. Nothing moves.
    pub(crate) async fn request_plan(&self, caller: &Caller, id: MappingId) -> Result<StoredPlan, Error> {
        let mut tx = self.pool.begin().await?;
        let mapping = self.own_mapping(&mut tx, caller, id).await?;
        if mapping.state == MappingState::Active {
            let message = "the mapping is active; pause it, change it, and ask for a plan of what that does";
            return Err(Error::refused(Refusal::NotReady, "mapping_active", message));
        }
        if mapping.settings.fields.values().all(|field| field.effective().is_none()) {
            let message = "no field is mapped yet; confirm or choose at least one";
            return Err(Error::refused(Refusal::NotReady, "nothing_mapped", message));
        }
        let plan = StoredPlan::new(id, mapping.revision, self.clock.now());
        store::plans::put(&mut tx, &plan).await?;
        request_capture(self, &mut tx, &mapping, true).await?;
        self.say(&mut tx, caller, &mapping, "plan_requested", None, Changed::new()).await?;
        self.done(tx).await?;
        Ok(plan)
    }

    /// Activates a mapping by the hash of a plan that is still true; its staged records are merged from now on.
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
        let compiled = std::sync::Arc::new(mappings::compile(&mut tx, mapping.clone()).await?);
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
        drifts::check_filter(&mut tx, &mapping, vendor.as_ref(), self.clock.now()).await?;
        mapping.state = MappingState::Active;
        mapping.activated_at = Some(self.clock.now());
        mapping.activated_by = Some(caller.actor.to_string());
        store::mappings::update(&mut tx, &mut mapping).await?;
        // What the filter left out while the mapping was another one is asked again.
        store::links::release(&mut tx, id).await?;
        plan.state = PlanState::Applying;
        plan.changed_at = self.clock.now();
        store::plans::put(&mut tx, &plan).await?;
        request_capture(self, &mut tx, &mapping, false).await?;
        self.say(&mut tx, caller, &mapping, "activated", None, Changed::new()).await?;
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

    /// Stops a mapping for now, or lets it go on: what happened in between is merged then.
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
        }
        if !pause {
            self.apply_again(&mut tx, id).await?;
        }
        // Pairs may have been changed while nobody read them.
        request_capture(self, &mut tx, &mapping, !pause).await?;
        self.say(&mut tx, caller, &mapping, action, None, Changed::new()).await?;
        self.done(tx).await?;
        self.jobs.notify_one();
        Ok(mapping)
    }

    /// Merges what waits, asks the filter again, and works out all writes anew.
    async fn apply_again(&self, tx: &mut PgConnection, id: MappingId) -> Result<(), Error> {
        store::links::release(tx, id).await?;
        if let Some(plan) = store::plans::get(tx, id).await? {
            let plan = StoredPlan { state: PlanState::Applying, changed_at: self.clock.now(), ..plan };
            store::plans::put(tx, &plan).await?;
        }
        self.jobs.notify_one();
        Ok(())
    }

    /// A connection of the caller's organization.
    pub(crate) async fn connection(
        &self,
        db: &mut PgConnection,
        caller: &Caller,
        id: ConnectionId,
    ) -> Result<Connection, Error> {
        store::connections::get(db, id)
            .await?
            .filter(|connection| connection.organization == caller.organization)
            .ok_or_else(|| Error::not_found("connection"))
    }

    async fn own_mapping(
        &self,
        tx: &mut PgConnection,
        caller: &Caller,
        id: MappingId,
    ) -> Result<Mapping, Error> {
        store::mappings::lock(tx, caller.organization, id).await?.ok_or_else(|| Error::not_found("mapping"))
    }

    /// The schemas of both sides of a mapping; the vendor's is none when it no longer has the object.
    pub(crate) async fn schemas(
        &self,
        db: &mut PgConnection,
        caller: &Caller,
        mapping: &Mapping,
    ) -> Result<(ObjectSchema, Option<ObjectSchema>), Error> {
        let canonical = mappings::canonical_schema(db, caller.organization, mapping.object).await?;
        let connection = self.connection(db, caller, mapping.connection).await?;
        Ok((canonical, connection.object(&mapping.vendor_object).cloned()))
    }

    /// An active mapping whose pairs, directions or policies changed asks for the fields that it needs now; where one
    /// flows that did not before, with their history.
    async fn recapture(&self, tx: &mut PgConnection, before: &Settings, now: &Mapping) -> Result<(), Error> {
        let is_dated = dated(before) != dated(&now.settings);
        let (before, after) = (flows(before), flows(&now.settings));
        if now.state == MappingState::Active && (before != after || is_dated) {
            request_capture(self, tx, now, !after.is_subset(&before)).await?;
        }
        Ok(())
    }

    async fn say(
        &self,
        tx: &mut PgConnection,
        caller: &Caller,
        mapping: &Mapping,
        action: &str,
        field: Option<&str>,
        changed: Changed,
    ) -> Result<(), Error> {
        mapping_changed(self, tx, mapping, &caller.actor.to_string(), action, field, changed).await
    }

    async fn done(&self, tx: sqlx::Transaction<'_, sqlx::Postgres>) -> Result<(), Error> {
        tx.commit().await?;
        self.waker.wake();
        Ok(())
    }
}
