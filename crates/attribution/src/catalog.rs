//! Programs and partners of each organization, remembered as long as nobody changes them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use model::OrganizationId;
use sqlx::{PgConnection, PgPool};

use crate::{
    Error,
    domain::{guard::Guards, terms::Book},
    store,
};

/// What an organization's catalog was at one version: its programs, partners and guards.
#[derive(Debug)]
pub(crate) struct Catalog {
    pub(crate) version: i64,
    pub(crate) book: Book,
    pub(crate) guards: Guards,
    /// Whether anybody wants to be told what happens.
    pub(crate) has_webhooks: bool,
}

/// The catalogs that were read.
#[derive(Debug)]
pub(crate) struct Catalogs {
    pool: PgPool,
    known: Mutex<HashMap<OrganizationId, Arc<Catalog>>>,
}

impl Catalogs {
    pub(crate) fn new(pool: PgPool) -> Self {
        Self { pool, known: Mutex::default() }
    }

    /// The catalog as it stands.
    pub(crate) async fn current(&self, organization: OrganizationId) -> Result<Arc<Catalog>, Error> {
        let mut connection = self.pool.acquire().await?;
        let versions = store::catalog::versions(&mut connection, &[organization]).await?;
        let mut found = self.at(&mut connection, &[organization], &versions).await?;
        found.remove(&organization).ok_or_else(|| Error::Stored("a catalog is missing".to_owned()))
    }

    /// The catalogs of these organizations at the versions that the connection's transaction sees.
    pub(crate) async fn at(
        &self,
        connection: &mut PgConnection,
        organizations: &[OrganizationId],
        versions: &HashMap<OrganizationId, i64>,
    ) -> Result<HashMap<OrganizationId, Arc<Catalog>>, Error> {
        let mut found = HashMap::with_capacity(organizations.len());
        for &organization in organizations {
            let version = versions.get(&organization).copied().unwrap_or_default();
            let known = self.known().get(&organization).filter(|known| known.version == version).cloned();
            let catalog = match known {
                Some(known) => known,
                None => {
                    let book = store::catalog::book(connection, organization).await?;
                    let guards = store::guards::find(&mut *connection, organization).await?;
                    let guards = guards.map(|stored| stored.guards).unwrap_or_default();
                    let has_webhooks = store::webhooks::is_wanted(&mut *connection, organization).await?;
                    let catalog = Arc::new(Catalog { version, book, guards, has_webhooks });
                    self.known().insert(organization, Arc::clone(&catalog));
                    catalog
                }
            };
            found.insert(organization, catalog);
        }
        Ok(found)
    }

    /// Those of these organizations that have rules which reach over customers, by what was read last.
    pub(crate) fn reaching(&self, organizations: &[OrganizationId]) -> Vec<OrganizationId> {
        let known = self.known();
        let reaches = |organization: &OrganizationId| {
            known.get(organization).is_some_and(|catalog| catalog.book.reaches_over_customers())
        };
        organizations.iter().copied().filter(reaches).collect()
    }

    /// Whether any of these organizations has rules that read metadata, by what was read last.
    pub(crate) fn read_metadata(&self, organizations: &[OrganizationId]) -> bool {
        let known = self.known();
        let reads = |organization| {
            known.get(organization).is_some_and(|catalog: &Arc<Catalog>| catalog.book.reads_metadata())
        };
        organizations.iter().any(reads)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<OrganizationId, Arc<Catalog>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
