//! Attribution for the CRM of a connection: the fields here, and their mapping to those of the vendor, outward only. The mapping
//! is changed as any is: once it was activated, the change waits for its plan.

use model::{
    AttributionSettingsChanged, Caller, CanonicalObject, ConnectionId, FieldAdded, FieldSchema, ObjectSchema,
    OrganizationId, attribution_fields, kind,
};
use sqlx::PgConnection;

use super::{describe, differences};
use crate::{
    Error,
    domain::mapping::{Direction, FieldMapping, FieldState, Mapping, Settings},
    engine::Engine,
    mappings,
    publisher::mapping_changed,
    store::{self, connections::Connection},
    unit::SOURCE,
};

/// The objects whose records are told of their attribution.
const OBJECTS: [CanonicalObject; 2] = [CanonicalObject::Contact, CanonicalObject::Deal];

/// How the CRM of a connection is told.
#[derive(Clone, Debug)]
pub(crate) struct Telling {
    pub(crate) enabled: bool,
    /// A mapping of contacts or deals, with the state of each field.
    pub(crate) objects: Vec<(Mapping, Vec<(FieldSchema, Told)>)>,
}

/// How a field gets to the vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The vendor has no field for it.
    Missing,
    /// It is not mapped to this field of the vendor's.
    Unmapped(String),
    /// Its mapping to this field waits until somebody applies the mapping's plan.
    Waiting(String),
    /// It is mapped to this field.
    Mapped(String),
}

impl Engine {
    /// Has the CRM of a connection told of attributions, or told no more.
    pub(crate) async fn set_attribution_writing(
        &self,
        caller: &Caller,
        id: ConnectionId,
        enabled: bool,
    ) -> Result<Telling, Error> {
        let mut tx = self.pool.begin().await?;
        // Locked, so that a schema which is read meanwhile is seen here, or sees that it is wanted.
        let connection = store::connections::lock(&mut tx, id)
            .await?
            .filter(|connection| connection.organization == caller.organization)
            .ok_or_else(|| Error::not_found("connection"))?;
        let (organization, actor) = (caller.organization, caller.actor.to_string());
        let is_news = if enabled {
            for object in OBJECTS {
                self.add_fields(&mut tx, organization, object, &actor).await?;
            }
            let now = self.clock.now();
            let begun = store::attributed::begin(&mut tx, organization, id, &actor, now).await?;
            map_attribution(self, &mut tx, &connection).await?;
            store::attributed::sweep(&mut tx, organization).await?;
            begun
        } else {
            let ended = store::attributed::end(&mut tx, id).await?;
            self.unmap_attribution(&mut tx, &connection, &actor).await?;
            ended
        };
        if is_news {
            self.say_switched(&mut tx, organization, id, enabled, &actor).await?;
        }
        let telling = telling(&mut tx, &connection).await?;
        self.done(tx).await?;
        Ok(telling)
    }

    /// How the CRM of a connection is told.
    pub(crate) async fn attribution_writing(
        &self,
        caller: &Caller,
        id: ConnectionId,
    ) -> Result<Telling, Error> {
        let mut db = self.pool.acquire().await?;
        let connection = self.connection(&mut db, caller, id).await?;
        telling(&mut db, &connection).await
    }

    async fn say_switched(
        &self,
        tx: &mut PgConnection,
        organization: OrganizationId,
        connection: ConnectionId,
        enabled: bool,
        actor: &str,
    ) -> Result<(), Error> {
        let now = self.clock.now();
        let body = AttributionSettingsChanged {
            what: connection.to_string(),
            change: if enabled { "switched_on" } else { "switched_off" }.to_owned(),
            at: now,
        };
        let subject = bus::subject::event("attribution", &organization, "settings_changed");
        let kind = kind::ATTRIBUTION_SETTINGS_CHANGED;
        let message = bus::Message::json(subject, kind, SOURCE, organization, now, &body)?;
        bus::outbox::enqueue(tx, &[message.by(actor)]).await?;
        Ok(())
    }

    /// Adds those of the fields that an object of the organization has not.
    async fn add_fields(
        &self,
        tx: &mut PgConnection,
        organization: OrganizationId,
        object: CanonicalObject,
        actor: &str,
    ) -> Result<(), Error> {
        let schema = mappings::canonical_schema(tx, organization, object).await?;
        for field in attribution_fields().into_iter().filter(|field| schema.field(&field.name).is_none()) {
            store::connections::add_custom_field(tx, organization, object.name(), &field).await?;
            let now = self.clock.now();
            let body = FieldAdded {
                object,
                field: field.name,
                label: field.label,
                field_type: field.field_type,
                at: now,
            };
            let subject = bus::subject::schema(&organization, "field_added");
            let message = bus::Message::json(subject, kind::FIELD_ADDED, SOURCE, organization, now, &body)?;
            bus::outbox::enqueue(tx, &[message.by(actor)]).await?;
        }
        Ok(())
    }

    async fn unmap_attribution(
        &self,
        tx: &mut PgConnection,
        connection: &Connection,
        actor: &str,
    ) -> Result<(), Error> {
        for mut mapping in mappings_of(tx, connection).await? {
            let mut edited = mapping.edited().clone();
            let mut names = Vec::new();
            for field in attribution_fields() {
                if let Some(known) = edited.fields.get_mut(&field.name).filter(|it| it.effective().is_some())
                {
                    *known = FieldMapping { pii: known.pii, ..FieldMapping::unmapped() };
                    names.push(field.name);
                }
            }
            self.change_fields(tx, &mut mapping, edited, &names, "field_unmapped", actor).await?;
        }
        Ok(())
    }

    async fn change_fields(
        &self,
        tx: &mut PgConnection,
        mapping: &mut Mapping,
        edited: Settings,
        names: &[String],
        action: &str,
        actor: &str,
    ) -> Result<(), Error> {
        if names.is_empty() {
            return Ok(());
        }
        let none = FieldMapping::unmapped();
        let of = |settings: &Settings, name: &str| describe(settings.fields.get(name).unwrap_or(&none));
        let before = mapping.edited().clone();
        let changes: Vec<_> =
            names.iter().map(|name| (name, differences(&of(&before, name), &of(&edited, name)))).collect();
        self.change(tx, mapping, edited).await?;
        for (name, changed) in changes {
            mapping_changed(self, tx, mapping, actor, action, Some(name), changed).await?;
        }
        Ok(())
    }
}

/// Maps the fields of a connection whose CRM is told to those that the vendor has for them, where nobody decided about them.
pub(crate) async fn map_attribution(
    engine: &Engine,
    tx: &mut PgConnection,
    connection: &Connection,
) -> Result<(), Error> {
    let Some(actor) = store::attributed::wanted_by(tx, connection.id).await? else { return Ok(()) };
    for mut mapping in mappings_of(tx, connection).await? {
        let Some(vendor) = connection.object(&mapping.vendor_object) else { continue };
        let mut edited = mapping.edited().clone();
        let mut names = Vec::new();
        for field in attribution_fields() {
            let Some(theirs) = there(vendor, &field) else { continue };
            let taken = edited.fields.values().any(|known| known.effective() == Some(theirs.name.as_str()));
            let known = edited.fields.entry(field.name.clone()).or_insert_with(FieldMapping::unmapped);
            if taken || known.effective().is_some() || known.state == FieldState::Ignored {
                continue;
            }
            known.vendor_field = Some(theirs.name.clone());
            known.state = FieldState::Confirmed;
            known.direction = Some(Direction::ToVendor);
            known.confidence = 1.0;
            known.evidence = vec!["attribution is written to the CRM".to_owned()];
            names.push(field.name);
        }
        engine.change_fields(tx, &mut mapping, edited, &names, "field_chosen", &actor).await?;
    }
    Ok(())
}

/// The mappings of contacts and deals, locked, in one order.
async fn mappings_of(tx: &mut PgConnection, connection: &Connection) -> Result<Vec<Mapping>, Error> {
    let listed = store::mappings::list(tx, connection.organization, Some(connection.id)).await?;
    let mut found = Vec::new();
    for mapping in listed.into_iter().filter(|mapping| OBJECTS.contains(&mapping.object)) {
        found.extend(store::mappings::lock_any(tx, mapping.id).await?);
    }
    Ok(found)
}

/// The vendor's field for one of ours: the same name, as the vendor spells names of its own.
fn there<'a>(vendor: &'a ObjectSchema, field: &FieldSchema) -> Option<&'a FieldSchema> {
    let is_it = |theirs: &&FieldSchema| {
        let name = theirs.name.to_ascii_lowercase();
        name.strip_suffix("__c").unwrap_or(&name) == field.name && !theirs.read_only
    };
    vendor.fields.iter().find(is_it)
}

async fn telling(db: &mut PgConnection, connection: &Connection) -> Result<Telling, Error> {
    let enabled = store::attributed::wanted_by(db, connection.id).await?.is_some();
    let listed = store::mappings::list(db, connection.organization, Some(connection.id)).await?;
    let of = |mapping: Mapping| {
        let vendor = connection.object(&mapping.vendor_object);
        let state = |field: FieldSchema| {
            let mapped = |settings: &Settings| {
                settings.fields.get(&field.name).and_then(|known| known.effective()).map(str::to_owned)
            };
            let theirs = vendor.and_then(|vendor| there(vendor, &field));
            let told = match (mapped(mapping.edited()), mapped(&mapping.settings), theirs) {
                (Some(chosen), Some(active), _) if chosen == active => Told::Mapped(chosen),
                (Some(chosen), _, _) => Told::Waiting(chosen),
                (None, _, Some(theirs)) => Told::Unmapped(theirs.name.clone()),
                (None, _, None) => Told::Missing,
            };
            (field, told)
        };
        let fields = attribution_fields().into_iter().map(state).collect();
        (mapping, fields)
    };
    let objects = listed.into_iter().filter(|mapping| OBJECTS.contains(&mapping.object)).map(of).collect();
    Ok(Telling { enabled, objects })
}
