//! Fields of an organization's own, and who may see them: a new one is hidden from everybody until somebody opens it.

use connector::{Error, ErrorKind};
use model::{FieldSchema, FieldType};

use crate::{
    client::Client,
    read::Lacking,
    soql::{Soql, literal},
    wire::{Describe, FieldMetadata, FieldPermission, IdRow, NewField, Rows, UserInfo, UserRow},
};

const OPERATION: &str = "add fields in Salesforce";
/// Digits of a number behind the point, and in all.
const SCALE: u32 = 4;
const PRECISION: u32 = 9;

/// Makes sure that an object has these fields, and that the user who connected may write them.
pub(crate) async fn create(
    client: Client<'_>,
    lacking: &Lacking,
    object: &str,
    fields: &[FieldSchema],
) -> Result<(), Error> {
    let refused = |why: &str| refused(object, fields, why);
    let mut missing = unwritable(client, object, fields).await?;
    if missing.is_empty() {
        return Ok(());
    }
    lacking.forget(client, object);
    for field in &missing {
        match client.create_field(&new(object, field)).await {
            Ok(_) => {}
            // It is there, hidden by field-level security; or another process made it at the same time.
            Err(error) if error.code.as_deref() == Some("DUPLICATE_DEVELOPER_NAME") => {}
            Err(error) if is_for_later(&error) => return Err(error),
            Err(error) => return Err(refused(&error.message)),
        }
    }
    missing = unwritable(client, object, fields).await?;
    if !missing.is_empty() {
        let told = |error: Error| if is_for_later(&error) { error } else { refused(&error.message) };
        let set = permission_set(client).await.map_err(told)?;
        for field in &missing {
            permit(client, &set, object, &name(field)).await.map_err(told)?;
        }
        missing = unwritable(client, object, fields).await?;
    }
    if missing.is_empty() {
        return Ok(());
    }
    Err(refused("they are hidden from the user who connected, or cannot be written"))
}

/// Those of the fields that are not there, not seen, or not to be written.
async fn unwritable<'f>(
    client: Client<'_>,
    object: &str,
    fields: &'f [FieldSchema],
) -> Result<Vec<&'f FieldSchema>, Error> {
    let describe: Describe = client.describe(object).await?.read()?;
    let is_writable = |field: &FieldSchema| {
        let name = name(field);
        describe.fields.iter().any(|known| known.name.eq_ignore_ascii_case(&name) && known.updateable)
    };
    Ok(fields.iter().filter(|field| !is_writable(field)).collect())
}

/// The permission set of the profile of the user who connected.
pub(crate) async fn permission_set(client: Client<'_>) -> Result<String, Error> {
    let nobody = || {
        let message = "the profile of the user who connected cannot be read";
        Error::new(ErrorKind::Permission, OPERATION, message)
    };
    let user: UserInfo = client.user_info().await?.read()?;
    let condition = format!("Id = {}", literal(&user.user_id));
    let soql = Soql { fields: &["ProfileId"], object: "User", condition: &condition, order: "", limit: None };
    let users: Rows<UserRow> = client.query(&soql.to_string(), false).await?.read()?;
    let profile = users.records.into_iter().next().ok_or_else(nobody)?.profile_id;
    let condition = format!("IsOwnedByProfile = true AND ProfileId = {}", literal(&profile));
    let soql =
        Soql { fields: &["Id"], object: "PermissionSet", condition: &condition, order: "", limit: None };
    let sets: Rows<IdRow> = client.query(&soql.to_string(), false).await?.read()?;
    Ok(sets.records.into_iter().next().ok_or_else(nobody)?.id)
}

/// Opens a field for a permission set.
pub(crate) async fn permit(client: Client<'_>, set: &str, object: &str, field: &str) -> Result<(), Error> {
    let permission = FieldPermission {
        parent_id: set,
        sobject_type: object,
        field: format!("{object}.{field}"),
        permissions_read: true,
        permissions_edit: true,
    };
    client.permit_field(&permission).await.map(drop)
}

pub(crate) fn is_for_later(error: &Error) -> bool {
    error.is_transient() || error.kind == ErrorKind::TokenExpired
}

/// `attributed_partner` is `Attributed_Partner__c`.
fn name(field: &FieldSchema) -> String {
    let word = |word: &str| {
        let (head, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", head.to_ascii_uppercase())
    };
    let words: Vec<String> = field.name.split('_').map(word).collect();
    format!("{}__c", words.join("_"))
}

fn new<'f>(object: &str, field: &'f FieldSchema) -> NewField<'f> {
    let metadata =
        FieldMetadata { label: &field.label, description: &field.description, ..FieldMetadata::default() };
    let metadata = match field.field_type {
        FieldType::Number => {
            FieldMetadata { kind: "Number", precision: Some(PRECISION), scale: Some(SCALE), ..metadata }
        }
        _ => FieldMetadata { kind: "Text", length: Some(255), ..metadata },
    };
    NewField { full_name: format!("{object}.{}", name(field)), metadata }
}

fn refused(object: &str, fields: &[FieldSchema], why: &str) -> Error {
    let described = |field: &FieldSchema| match field.field_type {
        FieldType::Number => format!("{} (number, {SCALE} decimal places)", name(field)),
        _ => format!("{} (text, 255)", name(field)),
    };
    let wanted: Vec<String> = fields.iter().map(described).collect();
    let message = format!(
        "Accord cannot add fields to {object} ({why}). Give the user who connected the permission \"Customize \
         Application\", or let an administrator add {} and let the user edit them",
        wanted.join(", ")
    );
    Error::new(ErrorKind::Permission, OPERATION, message)
}
