use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::ObjectSchema;

/// Which part of a reading of a schema an event tells: one of thousands of fields fits no single event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SchemaPart {
    /// The reading; its parts have the same.
    pub reading: Uuid,
    /// The part's place, from 1.
    pub number: u32,
    /// How many parts the reading has.
    pub of: u32,
}

impl SchemaPart {
    /// The schema again, of all its parts in their order. An object may go on in the next part with the rest of its fields.
    #[must_use]
    pub fn join(parts: impl IntoIterator<Item = Vec<ObjectSchema>>) -> Vec<ObjectSchema> {
        let mut whole: Vec<ObjectSchema> = Vec::new();
        for object in parts.into_iter().flatten() {
            match whole.last_mut().filter(|last| last.name == object.name) {
                Some(last) => last.fields.extend(object.fields),
                None => whole.push(object),
            }
        }
        whole
    }
}
