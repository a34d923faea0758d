use std::fmt;

/// A query.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Soql<'a> {
    pub(crate) fields: &'a [&'a str],
    pub(crate) object: &'a str,
    pub(crate) condition: &'a str,
    pub(crate) order: &'a str,
    pub(crate) limit: Option<usize>,
}

impl fmt::Display for Soql<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fields, object, condition, order, limit } = self;
        write!(f, "SELECT {} FROM {object} WHERE {condition}", fields.join(","))?;
        if !order.is_empty() {
            write!(f, " ORDER BY {order}")?;
        }
        limit.map_or(Ok(()), |limit| write!(f, " LIMIT {limit}"))
    }
}

/// A text as a query spells it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}
