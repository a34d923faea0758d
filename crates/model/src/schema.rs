//! JSON Schemas of what is written by hand: ids and values. The rest derives its own.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        RefOr, Schema,
        schema::{Array, Object, ObjectBuilder, OneOfBuilder, SchemaType, Type},
    },
};

use crate::Value;

/// A text of this pattern.
pub(crate) fn text(pattern: &str) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build().into()
}

/// An object with nothing but a text under this key.
fn tagged(tag: &str, pattern: &str, what: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some(what))
        .property(tag, text(pattern))
        .required(tag)
        .build()
}

impl PartialSchema for Value {
    fn schema() -> RefOr<Schema> {
        let plain = |kind: Type, what: &str| {
            ObjectBuilder::new().schema_type(SchemaType::new(kind)).description(Some(what)).build()
        };
        let mut list = Array::new(Object::with_type(Type::String));
        list.description = Some("Several options of a picklist, sorted.".to_owned());
        let forms = OneOfBuilder::new()
            .item(plain(Type::Null, "No value."))
            .item(plain(Type::String, "Text, and the internal name of a picklist's option."))
            .item(plain(Type::Boolean, "Yes or no."))
            .item(list)
            .item(tagged("n", r"^-?[0-9]+(\.[0-9]+)?$", "An exact number."))
            .item(tagged("d", "^-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}$", "A calendar day."))
            .item(tagged("t", "^-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z$", "A moment."))
            .description(Some("The value of a field."));
        RefOr::T(Schema::OneOf(forms.build()))
    }
}

impl ToSchema for Value {}
