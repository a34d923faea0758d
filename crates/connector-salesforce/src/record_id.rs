//! The unique field for our record id, which makes creating idempotent.

use connector::{Error, ErrorKind};

use crate::{
    client::Client,
    fields,
    objects::RECORD_ID,
    read::Lacking,
    wire::{Describe, FieldMetadata, NewField},
};

const OPERATION: &str = "prepare a Salesforce object for Accord's record ids";

/// How a field is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// It can be upserted by.
    Ready,
    /// It is not there, or the user who connected does not see it.
    Not,
    /// There is another one of its name.
    Other,
}

/// Makes sure that an object has the field, and that the user who connected may write it.
pub(crate) async fn prepare(client: Client<'_>, lacking: &Lacking, object: &str) -> Result<(), Error> {
    lacking.forget(client, object);
    if found(client, lacking, object).await? == Found::Ready {
        return Ok(());
    }
    match client.create_field(&field(object)).await {
        Ok(_) => {}
        // It is there, hidden by field-level security; or another process made it at the same time.
        Err(error) if error.code.as_deref() == Some("DUPLICATE_DEVELOPER_NAME") => {}
        Err(error) if fields::is_for_later(&error) => return Err(error),
        Err(error) => return Err(refused(object, &error.message)),
    }
    // A new field is hidden from everybody until somebody opens it.
    if found(client, lacking, object).await? == Found::Not {
        permit(client, object).await?;
    }
    match found(client, lacking, object).await? {
        Found::Ready => Ok(()),
        Found::Not => Err(refused(object, "the field is hidden from the user who connected")),
        Found::Other => Err(refused(object, "the field of this name is no external id")),
    }
}

async fn found(client: Client<'_>, lacking: &Lacking, object: &str) -> Result<Found, Error> {
    let describe: Describe = client.describe(object).await?.read()?;
    lacking.learn(client, &describe);
    let field = describe.fields.iter().find(|field| field.name == RECORD_ID);
    Ok(match field {
        Some(field) if field.external_id && field.createable => Found::Ready,
        Some(field) if field.external_id => Found::Not,
        Some(_) => Found::Other,
        None => Found::Not,
    })
}

/// Opens the field for the profile of the user who connected.
async fn permit(client: Client<'_>, object: &str) -> Result<(), Error> {
    let told = |error: Error| {
        if fields::is_for_later(&error) { error } else { refused(object, &error.message) }
    };
    let set = fields::permission_set(client).await.map_err(told)?;
    fields::permit(client, &set, object, RECORD_ID).await.map_err(told)
}

fn field(object: &str) -> NewField<'static> {
    NewField {
        full_name: format!("{object}.{RECORD_ID}"),
        metadata: FieldMetadata {
            label: "Accord ID",
            description: "The id of this record in Accord. Accord sets it and finds the record by it.",
            kind: "Text",
            length: Some(64),
            external_id: true,
            unique: true,
            case_sensitive: true,
            ..FieldMetadata::default()
        },
    }
}

fn refused(object: &str, why: &str) -> Error {
    let message = format!(
        "Accord cannot add its id field to {object} ({why}); until then it creates no records there. Give the user who \
         connected the permission \"Customize Application\", or let an administrator add a text field {RECORD_ID} of length \
         64, external id and unique, and let the user edit it"
    );
    Error::new(ErrorKind::Permission, OPERATION, message)
}
