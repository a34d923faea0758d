use model::{Caller, ConnectionId};
use proto::{sync as wire, to_wire_time};

use super::{id, limit, uuid};
use crate::{
    Error,
    engine::Engine,
    reconcile::own,
    store::{
        self,
        reconciles::{Listed, Reconcile},
    },
};

/// How many differences are listed.
const LISTED: i64 = 500;

pub(super) async fn begin(
    engine: &Engine,
    caller: &Caller,
    request: wire::ReconcileRequest,
) -> Result<wire::ListReconcilesResponse, Error> {
    let connection: ConnectionId = id("connection", &request.connection_id)?;
    let begun = engine.reconcile(caller, connection).await?;
    Ok(wire::ListReconcilesResponse { reconciles: begun.into_iter().map(show).collect() })
}

pub(super) async fn list(
    engine: &Engine,
    caller: &Caller,
    request: wire::ListReconcilesRequest,
) -> Result<wire::ListReconcilesResponse, Error> {
    let connection: ConnectionId = id("connection", &request.connection_id)?;
    let mut db = engine.pool.acquire().await?;
    own(&mut db, caller, connection).await?;
    let limit = limit(request.limit, 50);
    let found = store::reconciles::list(&mut db, caller.organization, connection, limit).await?;
    Ok(wire::ListReconcilesResponse { reconciles: found.into_iter().map(show).collect() })
}

pub(super) async fn get(
    engine: &Engine,
    caller: &Caller,
    request: wire::GetReconcileRequest,
) -> Result<wire::Reconcile, Error> {
    let id = uuid("comparison", &request.id)?;
    let mut db = engine.pool.acquire().await?;
    let found = store::reconciles::get(&mut db, caller.organization, id).await?;
    let found = found.ok_or_else(|| Error::not_found("comparison"))?;
    let differences = store::reconciles::differences(&mut db, id, LISTED).await?;
    let difference = |it: Listed| wire::Difference {
        vendor_id: it.vendor_id.unwrap_or_default(),
        record_id: it.record.map(|id| id.to_string()).unwrap_or_default(),
        object: it.object.unwrap_or_default(),
        what: it.what,
        fields: it.fields,
        at: Some(to_wire_time(it.at)),
    };
    Ok(wire::Reconcile { differences: differences.into_iter().map(difference).collect(), ..show(found) })
}

fn show(it: Reconcile) -> wire::Reconcile {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    wire::Reconcile {
        id: it.id.to_string(),
        connection_id: it.connection.to_string(),
        vendor: it.vendor,
        vendor_object: it.vendor_object,
        verified_at: it.verified_at.filter(|_| it.state == "done").map(to_wire_time),
        state: it.state,
        actor: it.actor,
        started_at: Some(to_wire_time(it.started_at)),
        finished_at: it.finished_at.map(to_wire_time),
        read: count(it.read),
        buckets: model::digest::BUCKETS as u64,
        buckets_that_differed: count(it.buckets.unwrap_or_default()),
        repaired: count(it.repaired),
        total: count(it.total.unwrap_or_default()),
        held: count(it.held),
        differences: Vec::new(),
    }
}
