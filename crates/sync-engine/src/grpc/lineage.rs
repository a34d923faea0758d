use model::Caller;
use proto::{sync as wire, to_wire_time};

use super::id;
use crate::{
    Error,
    domain::lineage::{Kind, Step},
    engine::Engine,
    mappings::Mappings,
};

pub(super) async fn get(
    engine: &Engine,
    caller: &Caller,
    request: wire::GetLineageRequest,
) -> Result<wire::Lineage, Error> {
    let version = (request.version > 0).then_some(request.version);
    let story = engine.lineage(caller, id("record", &request.record_id)?, &request.field, version).await?;
    Ok(wire::Lineage {
        record_id: story.record.id.to_string(),
        object: story.record.object.name().to_owned(),
        field: story.field,
        field_label: story.label,
        value: Some((&story.value).into()),
        pii: story.pii,
        version: story.version,
        previous_version: story.previous,
        steps: story.steps.iter().map(|step| show(step, &story.mappings)).collect(),
    })
}

fn show(step: &Step, mappings: &Mappings) -> wire::LineageStep {
    let via = step.via.and_then(|(id, _)| mappings.get(id));
    let pair =
        via.and_then(|mapping| mapping.pairs.iter().find(|pair| pair.vendor.name == step.vendor_field));
    let mapping = via.map(|mapping| &mapping.mapping);
    wire::LineageStep {
        kind: step.kind.name().to_owned(),
        at: step.at.map(to_wire_time),
        id: step.id.clone(),
        actor: step.actor.clone(),
        mapping_id: step.via.map(|(id, _)| id.to_string()).unwrap_or_default(),
        mapping_revision: step.via.map_or(0, |(_, revision)| revision),
        mapping_changed_since: mapping.zip(step.via).is_some_and(|(mapping, (_, revision))| {
            step.kind == Kind::Mapping && mapping.revision != revision
        }),
        connection_id: mapping.map(|mapping| mapping.connection.to_string()).unwrap_or_default(),
        vendor: mapping.map(|mapping| mapping.vendor.clone()).unwrap_or_default(),
        vendor_object: mapping.map(|mapping| mapping.vendor_object.clone()).unwrap_or_default(),
        vendor_field: step.vendor_field.clone(),
        vendor_field_label: pair.map(|pair| pair.vendor.label.clone()).unwrap_or_default(),
        value: Some((&step.value).into()),
        other: Some((&step.other).into()),
        note: step.note.clone(),
        detail: step.detail.clone(),
    }
}
