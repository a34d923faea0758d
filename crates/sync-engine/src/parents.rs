//! Fields that waited for another record to be linked are offered again once it is.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use model::{Actor, LinkId, OrganizationId, Value};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    domain::{
        mapping::{Compiled, MappingState},
        reference,
        sync::Link,
    },
    engine::Engine,
    store,
    unit::{self, Cause, SOURCE, Scope, Unit},
};

/// How often to look for records that arrived.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Fields of one transaction.
const CHUNK: i64 = 500;

/// Works until shutdown.
pub(crate) async fn run(engine: Arc<Engine>, shutdown: CancellationToken) {
    loop {
        match step(&engine).await {
            Ok(true) | Err(Error::Moved) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(%error, "fields that wait for a record could not be tried again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Offers some fields again; false when none can be.
async fn step(engine: &Engine) -> Result<bool, Error> {
    let mut db = engine.pool.acquire().await?;
    let arrived = store::parents::arrived(&mut db, CHUNK).await?;
    drop(db);
    let mut by_organization: BTreeMap<OrganizationId, Vec<(LinkId, String)>> = BTreeMap::new();
    for (organization, link, field) in arrived {
        by_organization.entry(organization).or_default().push((link, field));
    }
    let any = !by_organization.is_empty();
    for (organization, fields) in by_organization {
        let mut tx = engine.pool.begin().await?;
        let mappings = engine.mappings.load(&mut tx, &[organization]).await?;
        let links = fields.iter().map(|(link, _)| *link).collect();
        let scope = Scope { links, ..Scope::default() };
        let mut unit = Unit::load(&mut tx, engine.clock.now(), mappings.clone(), scope).await?;
        let mut offers = Vec::new();
        for (link, field) in fields {
            let mapping = unit.link(link).and_then(|link| mappings.get(link.mapping));
            if let Some(mapping) = mapping.filter(|mapping| mapping.mapping.state == MappingState::Active) {
                offers.push(((link, field), Arc::clone(mapping)));
            }
        }
        // After the links are locked, as everybody does it.
        let fields: Vec<_> = offers.iter().map(|(field, _)| field.clone()).collect();
        store::parents::forget(&mut tx, &fields).await?;
        for ((link, field), mapping) in &offers {
            unit.retry(mapping, *link, field, &cause(mapping, engine.clock.now()));
        }
        unit.flush(&mut tx).await?;
        tx.commit().await?;
        engine.waker.wake();
    }
    Ok(any)
}

fn cause(mapping: &Compiled, at: jiff::Timestamp) -> Arc<Cause> {
    Arc::new(Cause {
        id: uuid::Uuid::now_v7().to_string(),
        actor: Actor::Service(SOURCE).to_string(),
        at,
        taken_at: at,
        lane: None,
        vendor: Some(mapping.mapping.vendor.clone()),
        connection: Some(mapping.mapping.connection),
        traceparent: None,
    })
}

/// Puts our ids in place of the vendor's into what was staged, for a plan. A record that is not linked yet is left out:
/// its field waits for it.
pub(crate) async fn into_staged(
    db: &mut PgConnection,
    mapping: &Compiled,
    links: &mut [Link],
) -> Result<(), Error> {
    let staged = links.iter().filter_map(|link| link.staged.as_ref());
    let wanted: Vec<_> = staged.flat_map(|staged| unit::names(mapping, &staged.fields)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let found: HashMap<_, _> = store::parents::here(db, &wanted).await?.into_iter().collect();
    for staged in links.iter_mut().filter_map(|link| link.staged.as_mut()) {
        for (pair, target) in reference::pairs(mapping) {
            let Some(id) = staged.fields.get(&pair.vendor.name).and_then(reference::vendor_id) else {
                continue;
            };
            match found.get(&unit::named(mapping, target, id)) {
                Some(record) => {
                    staged.fields.insert(pair.vendor.name.clone(), Value::Text(record.to_string()));
                }
                None => {
                    staged.fields.remove(&pair.vendor.name);
                }
            }
        }
    }
    Ok(())
}
