//! Objects and fields as they are handed to the matcher.

/// A field of either side, in its own system's words.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) label: String,
    /// The vendor's word for its type.
    pub(crate) kind: String,
    pub(crate) description: String,
    /// The options of a picklist, as people see them or as they are stored.
    pub(crate) options: Vec<String>,
    /// Some of its values, as text.
    pub(crate) samples: Vec<String>,
}

/// An object: what it is called, and its fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Object {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
}
