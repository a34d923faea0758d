//! The review of mappings by people: create, suggest, confirm, choose, plan, activate, pause. Every change is audited
//! by its event, which leaves in the same transaction. What would move records of a mapping that was activated waits as a
//! change until its plan is applied.

use model::{Caller, CanonicalObject, ConnectionId, MappingId, ObjectSchema};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::{
        mapping::{FieldMapping, Mapping, MappingState, Settings},
        suggest,
    },
    engine::Engine,
    error::Refusal,
    mappings,
    publisher::mapping_changed,
    store::{self, connections::Connection},
};

mod applying;
mod attributing;
mod changes;
mod suggesting;
mod wish;

pub(crate) use attributing::{Telling, Told, map_attribution};
pub(crate) use changes::{Change, pending};
pub(crate) use suggesting::check_round_trips;
use wish::{
    Changed, apply_wish, check_choice, check_rules, describe, describe_settings, differences,
    drop_suggestions, object_gone, set,
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
            draft: None,
            activated_at: None,
            activated_by: None,
        };
        if !store::mappings::insert(&mut tx, &mapping, now).await? {
            return Err(Error::refused(Refusal::Exists, "mapping_exists", "this pair is mapped already"));
        }
        self.say(&mut tx, caller, &mapping, "created", None, Changed::new()).await?;
        if let Some(connection) = store::connections::get(&mut tx, mapping.connection).await? {
            map_attribution(self, &mut tx, &connection).await?;
        }
        let created = store::mappings::get(&mut tx, mapping.id).await?.unwrap_or(mapping);
        self.done(tx).await?;
        Ok(created)
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
        let mut edited = mapping.edited().clone();
        let known = edited.fields.get(name).and_then(|field| field.vendor_field.clone());
        let chosen = match wish.action.as_str() {
            "choose" => Some(wish.vendor_field.clone()),
            "confirm" => known.clone(),
            _ => None,
        };
        if let Some(chosen) = &chosen {
            check_choice(&edited, &vendor, name, chosen)?;
        }
        check_rules(
            &wish,
            &canonical,
            &vendor,
            name,
            chosen.as_ref().or(known.as_ref()).map(String::as_str),
        )?;
        let field = edited.fields.entry(name.to_owned()).or_insert_with(FieldMapping::unmapped);
        let said = describe(field);
        let action = apply_wish(field, &wish)?;
        let changed = differences(&said, &describe(field));
        if let Some(chosen) = &chosen {
            drop_suggestions(&mut edited, name, chosen);
        }
        self.change(&mut tx, &mut mapping, edited).await?;
        self.say(&mut tx, caller, &mapping, action, Some(name), changed).await?;
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
        let mut edited = mapping.edited().clone();
        let (canonical, vendor) = self.schemas(&mut tx, caller, &mapping).await?;
        let mut changed = set(&mut edited, mapping.object.match_keys(), &wish, &canonical, vendor.as_ref())?;
        if wish.confirm_all {
            let count = suggest::confirm(&mut edited, &canonical, &vendor.ok_or_else(object_gone)?);
            changed.insert("confirmed_fields".to_owned(), ("0".to_owned(), count.to_string()));
        }
        self.change(&mut tx, &mut mapping, edited).await?;
        let action = if wish.confirm_all { "fields_confirmed" } else { "settings_changed" };
        self.say(&mut tx, caller, &mapping, action, None, changed).await?;
        self.done(tx).await?;
        Ok(mapping)
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
