use model::{Caller, FieldSchema};
use proto::sync as wire;

use super::id;
use crate::{
    Error,
    engine::Engine,
    review::{Telling, Told},
};

pub(super) async fn get(
    engine: &Engine,
    caller: &Caller,
    request: wire::AttributionWritingRequest,
) -> Result<wire::AttributionWriting, Error> {
    let connection = id("connection", &request.connection_id)?;
    Ok(show(engine.attribution_writing(caller, connection).await?))
}

pub(super) async fn set(
    engine: &Engine,
    caller: &Caller,
    request: wire::SetAttributionWritingRequest,
) -> Result<wire::AttributionWriting, Error> {
    let connection = id("connection", &request.connection_id)?;
    Ok(show(engine.set_attribution_writing(caller, connection, request.enabled).await?))
}

fn show(telling: Telling) -> wire::AttributionWriting {
    let objects = telling.objects.into_iter().map(|(mapping, fields)| wire::AttributionObject {
        object: mapping.object.name().to_owned(),
        mapping_id: mapping.id.to_string(),
        vendor_object: mapping.vendor_object,
        mapping_state: mapping.state.name().to_owned(),
        fields: fields.into_iter().map(field).collect(),
    });
    wire::AttributionWriting { enabled: telling.enabled, objects: objects.collect() }
}

fn field((field, told): (FieldSchema, Told)) -> wire::AttributionField {
    let (state, vendor_field) = match told {
        Told::Missing => ("missing", String::new()),
        Told::Unmapped(theirs) => ("unmapped", theirs),
        Told::Waiting(theirs) => ("waiting", theirs),
        Told::Mapped(theirs) => ("mapped", theirs),
    };
    wire::AttributionField {
        name: field.name,
        label: field.label,
        r#type: field.field_type.name().to_owned(),
        state: state.to_owned(),
        vendor_field,
    }
}
