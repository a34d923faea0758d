//! A vendor's schema as it enters, and the parts in which it is told: one of thousands of fields fits no single message.

use model::{FieldSchema, ObjectSchema};
use serde::Serialize;

use crate::words::storable;

/// The longest description of a field that is kept, in characters. It is a hint for suggestions, and HubSpot takes 65,536.
const LONGEST_DESCRIPTION: usize = 300;

/// The schema without U+0000, which the database takes in no text, and with descriptions of a bounded length. What has it in
/// the name by which the vendor knows it is left out.
pub(crate) fn bounded(mut objects: Vec<ObjectSchema>) -> Vec<ObjectSchema> {
    objects.retain(|object| is_storable(&object.name));
    for object in &mut objects {
        storable(&mut object.label);
        object.fields.retain(|field| is_storable(&field.name));
        for field in &mut object.fields {
            storable(&mut field.label);
            storable(&mut field.description);
            if let Some((end, _)) = field.description.char_indices().nth(LONGEST_DESCRIPTION) {
                field.description.truncate(end);
            }
            field.options.retain(|option| is_storable(&option.value));
            for option in &mut field.options {
                storable(&mut option.label);
            }
        }
    }
    objects
}

/// A field, or an object without its fields, is larger than a part may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartTooLarge {
    /// The object.
    pub(crate) object: String,
    /// Its field, where it is one.
    pub(crate) field: Option<String>,
}

/// Divides a schema into parts of at most this many bytes of JSON, in its order. An object that does not fit one goes
/// on in the next, with the rest of its fields. There is at least one part.
///
/// # Errors
/// A field fits no part.
pub(crate) fn divide(objects: &[ObjectSchema], limit: usize) -> Result<Vec<Vec<ObjectSchema>>, PartTooLarge> {
    let mut parts = vec![Vec::new()];
    let mut free = limit;
    for object in objects {
        let bare = ObjectSchema { fields: Vec::new(), ..object.clone() };
        let head = bytes(&bare);
        // Where the object goes on in a part: none as long as the last part has nothing of it.
        let mut begun = false;
        let fields = object.fields.iter().map(Some);
        for field in fields.chain(object.fields.is_empty().then_some(None)) {
            let wanted = field.map_or(0, bytes::<FieldSchema>);
            if head + wanted > limit {
                let field = field.map(|field| field.name.clone());
                return Err(PartTooLarge { object: object.name.clone(), field });
            }
            if wanted + if begun { 0 } else { head } > free {
                parts.push(Vec::new());
                (free, begun) = (limit, false);
            }
            let Some(part) = parts.last_mut() else { continue };
            if !begun {
                part.push(bare.clone());
                free -= head;
                begun = true;
            }
            if let (Some(object), Some(field)) = (part.last_mut(), field) {
                object.fields.push(field.clone());
                free -= wanted;
            }
        }
    }
    Ok(parts)
}

/// The length in JSON, with what parts it from the next.
fn bytes<T: Serialize>(part: &T) -> usize {
    // Nothing in it can fail to be spelled.
    serde_json::to_string(part).map_or(usize::MAX / 4, |text| text.len() + 1)
}

fn is_storable(name: &str) -> bool {
    !name.contains('\0')
}

#[cfg(test)]
mod tests {
    use model::{FieldType, PicklistOption, SchemaPart};
    use proptest::prelude::*;

    use super::*;

    fn schema(texts: &[String]) -> ObjectSchema {
        let text = |at: usize| texts[at % texts.len()].clone();
        let option = |at| PicklistOption { value: text(at), label: text(at + 1) };
        let field = |at| FieldSchema {
            name: text(at),
            label: text(at + 1),
            field_type: FieldType::Picklist,
            description: text(at + 2).repeat(200),
            options: (0..3).map(option).collect(),
            read_only: false,
            required: false,
            unique: false,
            custom: false,
            references: None,
        };
        ObjectSchema {
            name: "deals".to_owned(),
            label: text(3),
            fields: (0..texts.len()).map(field).collect(),
        }
    }

    fn object(name: &str, descriptions: &[String]) -> ObjectSchema {
        let mut object = schema(&["f".to_owned()]);
        let field = object.fields.remove(0);
        let field = |description: &String| FieldSchema {
            name: format!("f{}", description.len()),
            description: description.clone(),
            ..field.clone()
        };
        ObjectSchema { name: name.into(), fields: descriptions.iter().map(field).collect(), ..object }
    }

    #[test]
    fn a_field_that_fits_no_part_is_named() {
        let objects = [object("deals", &[]), object("companies", &["x".repeat(50), "x".repeat(5_000)])];
        let refused = PartTooLarge { object: "companies".to_owned(), field: Some("f5000".to_owned()) };
        assert_eq!(divide(&objects, 1_000), Err(refused));
        assert_eq!(divide(&[], 1_000), Ok(vec![Vec::new()]));
    }

    proptest! {
        #[test]
        fn a_schema_can_always_be_stored(texts in prop::collection::vec("[a-c\0ä]{0,6}", 1..6)) {
            let whole = schema(&texts);
            let kept = bounded(vec![whole.clone()]);
            let text = serde_json::to_string(&kept).unwrap();
            prop_assert!(!text.contains("\\u0000"), "{}", text);
            let fields = &kept[0].fields;
            prop_assert!(fields.iter().all(|field| field.description.chars().count() <= LONGEST_DESCRIPTION));
            prop_assert_eq!(fields.len(), whole.fields.iter().filter(|field| !field.name.contains('\0')).count());
        }

        #[test]
        fn a_divided_schema_is_joined_again(
            objects in prop::collection::vec(prop::collection::vec(".{0,120}", 0..12), 0..6),
            limit in 1_500_usize..4_000,
        ) {
            let objects: Vec<ObjectSchema> =
                objects.iter().enumerate().map(|(at, fields)| object(&format!("object{at}"), fields)).collect();
            let parts = divide(&objects, limit).unwrap();
            for part in &parts {
                prop_assert!(serde_json::to_string(part).unwrap().len() <= limit + 2);
            }
            prop_assert!(parts.len() <= 1 || parts.iter().all(|part| !part.is_empty()));
            prop_assert_eq!(SchemaPart::join(parts), objects);
        }
    }
}
