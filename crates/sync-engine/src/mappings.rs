//! Mappings in the form that the merge reads, kept in memory for as long as their revision holds.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use model::{CanonicalObject, ConnectionId, MappingId, ObjectSchema, OrganizationId, PicklistOption};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::mapping::{Compiled, Mapping},
    store,
};

/// Compiled mappings by id.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<HashMap<MappingId, Arc<Compiled>>>);

/// The mappings of some organizations, as of one moment: in the order of the organizations, so that those of one are
/// found among those of many.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mappings {
    all: Arc<[Arc<Compiled>]>,
    by_id: Arc<HashMap<MappingId, usize>>,
}

impl Cache {
    /// The mappings of these organizations. Only those whose revision moved are read again.
    pub(crate) async fn load(
        &self,
        db: &mut PgConnection,
        organizations: &[OrganizationId],
    ) -> Result<Mappings, Error> {
        let mut mappings = Vec::new();
        for head in store::mappings::heads(db, organizations).await? {
            let cached = self.lock().get(&head.id).filter(|m| m.mapping.revision == head.revision).cloned();
            let compiled = match cached {
                Some(compiled) => compiled,
                None => {
                    let Some(mapping) = store::mappings::get(db, head.id).await? else { continue };
                    let compiled = Arc::new(compile(db, mapping).await?);
                    self.lock().insert(head.id, Arc::clone(&compiled));
                    compiled
                }
            };
            mappings.push(compiled);
        }
        Ok(Mappings::of(mappings))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<MappingId, Arc<Compiled>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mappings {
    /// These.
    pub(crate) fn of(mut all: Vec<Arc<Compiled>>) -> Self {
        all.sort_by_key(|compiled| compiled.mapping.organization);
        let by_id = all.iter().enumerate().map(|(place, compiled)| (compiled.mapping.id, place)).collect();
        Self { all: all.into(), by_id: Arc::new(by_id) }
    }

    fn of_organization(&self, organization: OrganizationId) -> &[Arc<Compiled>] {
        let place = |compiled: &Arc<Compiled>| compiled.mapping.organization.cmp(&organization);
        let first = self.all.partition_point(|compiled| place(compiled).is_lt());
        let own = self.all[first..].partition_point(|compiled| place(compiled).is_eq());
        &self.all[first..first + own]
    }

    /// Those that read this object of this connection.
    pub(crate) fn of_vendor_object<'a>(
        &'a self,
        organization: OrganizationId,
        connection: ConnectionId,
        vendor_object: &'a str,
    ) -> impl Iterator<Item = &'a Arc<Compiled>> {
        self.of_organization(organization).iter().filter(move |compiled| {
            let mapping = &compiled.mapping;
            mapping.connection == connection && mapping.vendor_object == vendor_object
        })
    }

    /// Those of a canonical object.
    pub(crate) fn of_object(
        &self,
        organization: OrganizationId,
        object: CanonicalObject,
    ) -> impl Iterator<Item = &Arc<Compiled>> {
        self.of_organization(organization).iter().filter(move |compiled| compiled.mapping.object == object)
    }

    /// What each was as it was loaded.
    pub(crate) fn heads(&self) -> Vec<store::mappings::Head> {
        let head = |mapping: &Mapping| store::mappings::Head { id: mapping.id, revision: mapping.revision };
        self.all.iter().map(|compiled| head(&compiled.mapping)).collect()
    }

    /// The one with this id.
    pub(crate) fn get(&self, id: MappingId) -> Option<&Arc<Compiled>> {
        self.by_id.get(&id).map(|place| &self.all[*place])
    }

    /// What a vendor calls the options of a canonical picklist that has none of its own: its values come from there, where
    /// nothing rewrites them on their way.
    pub(crate) fn options(
        &self,
        organization: OrganizationId,
        object: CanonicalObject,
        field: &str,
    ) -> Option<&[PicklistOption]> {
        self.of_object(organization, object)
            .flat_map(|compiled| &compiled.pairs)
            .filter(|pair| {
                pair.canonical.name == field && pair.values.is_empty() && pair.transforms.is_empty()
            })
            .map(|pair| pair.vendor.options.as_slice())
            .find(|options| !options.is_empty())
    }

    /// The canonical fields that any mapping marks as personal data.
    pub(crate) fn pii(&self, organization: OrganizationId, object: CanonicalObject) -> BTreeSet<&str> {
        self.of_object(organization, object).flat_map(|compiled| compiled.pii()).collect()
    }
}

/// Joins a mapping with the schemas of both sides as they are now.
pub(crate) async fn compile(db: &mut PgConnection, mapping: Mapping) -> Result<Compiled, Error> {
    let canonical = canonical_schema(db, mapping.organization, mapping.object).await?;
    let connection = store::connections::get(db, mapping.connection).await?;
    let none = ObjectSchema { name: mapping.vendor_object.clone(), label: String::new(), fields: Vec::new() };
    let vendor =
        connection.as_ref().and_then(|connection| connection.object(&mapping.vendor_object)).unwrap_or(&none);
    let paused = store::drifts::of(db, mapping.id).await?;
    let mut compiled = Compiled::new(mapping, &canonical, vendor);
    compiled.pairs.retain(|pair| {
        let is_it = |drift: &store::drifts::StoredDrift| {
            drift.field == pair.canonical.name
                && pair.vendor_fields().any(|field| field == drift.vendor_field)
        };
        !paused.iter().any(is_it)
    });
    Ok(compiled)
}

/// A canonical object with the fields that the organization added.
pub(crate) async fn canonical_schema(
    db: &mut PgConnection,
    organization: OrganizationId,
    object: CanonicalObject,
) -> Result<ObjectSchema, Error> {
    let mut schema = object.schema();
    schema.fields.extend(store::connections::custom_fields(db, organization, object.name()).await?);
    Ok(schema)
}
