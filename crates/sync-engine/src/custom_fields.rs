//! Fields that an organization adds to a canonical object.

use std::collections::BTreeSet;

use bus::{Message, outbox, subject};
use model::{Caller, CanonicalObject, FieldAdded, FieldSchema, kind};

use crate::{
    Error,
    engine::Engine,
    error::Refusal,
    store::connections::{add_custom_field, count_custom_fields},
    unit::SOURCE,
};

/// The longest name, in bytes.
const MAX_NAME: usize = 60;
/// The longest label, option or option's label, in bytes.
const MAX_LABEL: usize = 200;
/// The longest description, in bytes.
const MAX_DESCRIPTION: usize = 1_000;
const MAX_OPTIONS: usize = 500;
/// Custom fields of one object.
const MAX_FIELDS: i64 = 500;

impl Engine {
    /// Adds a field to an object of the caller's organization.
    pub(crate) async fn add_custom_field(
        &self,
        caller: &Caller,
        object: CanonicalObject,
        field: &FieldSchema,
    ) -> Result<(), Error> {
        check(field)?;
        let mut tx = self.pool.begin().await?;
        if count_custom_fields(&mut tx, caller.organization, object.name()).await? >= MAX_FIELDS {
            let message = "an object has at most 500 fields of your own";
            return Err(Error::refused(Refusal::NotReady, "fields_too_many", message));
        }
        let taken = object.schema().field(&field.name).is_some();
        if taken || !add_custom_field(&mut tx, caller.organization, object.name(), field).await? {
            return Err(Error::refused(Refusal::Exists, "field_exists", "there is a field of that name"));
        }
        let now = self.clock.now();
        let body = FieldAdded {
            object,
            field: field.name.clone(),
            label: field.label.clone(),
            field_type: field.field_type,
            at: now,
        };
        let subject = subject::schema(&caller.organization, "field_added");
        let message = Message::json(subject, kind::FIELD_ADDED, SOURCE, caller.organization, now, &body)?;
        outbox::enqueue(&mut tx, &[message.by(caller.actor.to_string())]).await?;
        tx.commit().await?;
        self.waker.wake();
        Ok(())
    }
}

fn check(field: &FieldSchema) -> Result<(), Error> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let refuse = |code, at: &str, message: &str| Err(Error::invalid_field(code, at, message));
    if field.name.is_empty() || field.name.len() > MAX_NAME || !field.name.chars().all(fits) {
        let message = "expected 1 to 60 lower-case letters, digits and underscores";
        return refuse("name_invalid", "name", message);
    }
    if field.label.len() > MAX_LABEL {
        return refuse("label_too_long", "label", "a label has at most 200 bytes");
    }
    if field.description.len() > MAX_DESCRIPTION {
        return refuse("description_too_long", "description", "a description has at most 1,000 bytes");
    }
    if field.options.len() > MAX_OPTIONS {
        return refuse("options_too_many", "options", "a field has at most 500 options");
    }
    let mut values = BTreeSet::new();
    for option in &field.options {
        if option.value.trim().is_empty() || option.value.len() > MAX_LABEL || option.label.len() > MAX_LABEL
        {
            return refuse("option_invalid", "options", "an option and its label have 1 to 200 bytes");
        }
        if !values.insert(&option.value) {
            return refuse("option_doubled", "options", "two options have the same value");
        }
    }
    Ok(())
}
