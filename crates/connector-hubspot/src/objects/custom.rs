use std::borrow::Cow;

use super::{MODIFIED, Object};
use crate::wire::CustomObject;

/// A custom object by its fully qualified name, `p123_car`: its portal, and the name that was given to it there.
pub(crate) fn named(name: &str) -> Option<Object> {
    let (portal, own) = name.strip_prefix('p')?.split_once('_')?;
    let is_one = !portal.is_empty() && portal.bytes().all(|byte| byte.is_ascii_digit()) && !own.is_empty();
    is_one.then(|| Object {
        name: Cow::Owned(name.to_owned()),
        label: Cow::Owned(own.to_owned()),
        group: Cow::Owned(format!("{own}_information")),
        modified: MODIFIED,
        company: None,
        hidden: None,
        refined: &[],
        pipelines: false,
    })
}

/// The object that a schema describes; none for one that was archived.
pub(crate) fn from_wire(schema: &CustomObject) -> Option<Object> {
    let object = named(&schema.fully_qualified_name).filter(|_| !schema.archived)?;
    let label = schema.labels.plural.clone().unwrap_or_else(|| schema.name.clone());
    Some(Object { label: Cow::Owned(label), ..object })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_custom_object_is_known_by_its_fully_qualified_name() {
        assert_eq!(named("p123_car").unwrap().group, "car_information");
        for other in ["products", "p_car", "p123", "p12x_car", "p123_", "tickets"] {
            assert!(named(other).is_none(), "{other}");
        }
    }
}
