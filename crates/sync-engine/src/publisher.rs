//! What leaves the room besides records, conflicts and writes: which records are wanted from vendors, and who
//! changed which mapping.

use std::collections::{BTreeMap, BTreeSet};

use bus::{Message, outbox, subject};
use model::{CaptureRequested, CaptureStopped, ConnectionId, MappingChanged, OrganizationId, kind};
use sqlx::PgConnection;

use crate::{
    Error,
    domain::{
        mapping::{Compiled, Mapping, MappingState},
        plan::PlanState,
    },
    engine::Engine,
    mappings, store,
    unit::SOURCE,
};

/// Says what is wanted of a vendor's object, over all mappings that read it. With `backfill`, all history is read.
pub(crate) async fn request_capture(
    engine: &Engine,
    tx: &mut PgConnection,
    mapping: &Mapping,
    backfill: bool,
) -> Result<(), Error> {
    let (organization, connection) = (mapping.organization, mapping.connection);
    let (mut fields, mut dated) = (BTreeSet::new(), BTreeSet::new());
    let (mut external_id, mut wanted, mut dated_history) = (false, false, false);
    for other in store::mappings::list(tx, organization, Some(connection)).await? {
        if other.vendor_object != mapping.vendor_object {
            continue;
        }
        let plan = store::plans::get(tx, other.id).await?.map(|plan| plan.state);
        let planned = matches!(plan, Some(PlanState::Reading | PlanState::Computing | PlanState::Ready));
        if other.state != MappingState::Active && !planned {
            continue;
        }
        wanted = true;
        // What is edited here from now on is newer than all history.
        dated_history |= store::records::may_be_older(tx, organization, other.object, connection).await?;
        if planned && other.draft.is_some() {
            let changed: Compiled = mappings::compile(tx, other.clone().with_changes()).await?;
            fields.extend(changed.vendor_fields());
            dated.extend(changed.dated_fields().map(str::to_owned));
        }
        if other.state != MappingState::Active && other.draft.is_some() {
            continue;
        }
        let compiled: Compiled = mappings::compile(tx, other).await?;
        external_id |= compiled.creates_there() && compiled.mapping.state == MappingState::Active;
        fields.extend(compiled.vendor_fields());
        dated.extend(compiled.dated_fields().map(str::to_owned));
    }
    let now = engine.clock.now();
    let message = if wanted {
        let body = CaptureRequested {
            connection,
            vendor_object: mapping.vendor_object.clone(),
            fields: fields.into_iter().collect(),
            dated_history: dated_history && !dated.is_empty(),
            dated: dated.into_iter().collect(),
            backfill,
            external_id,
        };
        let subject = subject::capture(&organization, "requested");
        Message::json(subject, kind::CAPTURE_REQUESTED, SOURCE, organization, now, &body)?
    } else {
        let body = CaptureStopped { connection, vendor_object: mapping.vendor_object.clone() };
        let subject = subject::capture(&organization, "stopped");
        Message::json(subject, kind::CAPTURE_STOPPED, SOURCE, organization, now, &body)?
    };
    outbox::enqueue(tx, &[message]).await?;
    Ok(())
}

/// Says again what is wanted of a connection that was authorized anew; with `backfill`, all of it is read again,
/// because nobody looked in between.
pub(crate) async fn request_captures(
    engine: &Engine,
    tx: &mut PgConnection,
    organization: OrganizationId,
    connection: ConnectionId,
    backfill: bool,
) -> Result<(), Error> {
    let mappings = store::mappings::list(tx, organization, Some(connection)).await?;
    let by_object: BTreeMap<String, Mapping> =
        mappings.into_iter().map(|mapping| (mapping.vendor_object.clone(), mapping)).collect();
    for mapping in by_object.values() {
        request_capture(engine, tx, mapping, backfill).await?;
    }
    Ok(())
}

/// Says who did what to a mapping.
pub(crate) async fn mapping_changed(
    engine: &Engine,
    tx: &mut PgConnection,
    mapping: &Mapping,
    actor: &str,
    action: &str,
    field: Option<&str>,
    settings: BTreeMap<String, (String, String)>,
) -> Result<(), Error> {
    let now = engine.clock.now();
    let body = MappingChanged {
        mapping: mapping.id,
        connection: mapping.connection,
        object: mapping.object,
        vendor_object: mapping.vendor_object.clone(),
        action: action.to_owned(),
        field: field.map(str::to_owned),
        settings,
        at: now,
    };
    let subject = subject::mapping(&mapping.organization, action);
    let message =
        Message::json(subject, kind::MAPPING_CHANGED, SOURCE, mapping.organization, now, &body)?.by(actor);
    outbox::enqueue(tx, &[message]).await?;
    Ok(())
}
