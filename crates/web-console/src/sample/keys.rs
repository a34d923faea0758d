use proto::identity::Key;

use super::{before, id};

/// A key.
#[must_use]
pub fn key(n: u32, product: &str, revoked: bool) -> Key {
    Key {
        id: id(if product.is_empty() { "apikey" } else { "intkey" }, n),
        label: if product.is_empty() { "Reporting job".to_owned() } else { format!("Accord {product}") },
        prefix: format!("{}_{n}8fQ2", if product.is_empty() { "ak" } else { "ik" }),
        scopes: vec!["records:read".to_owned(), "audit:read".to_owned()],
        product: product.to_owned(),
        created_by: format!("user:{}", id("user", 1)),
        created_at: before(86_400 * 20),
        expires_at: None,
        last_used_at: before(180),
        revoked_at: if revoked { before(7200) } else { None },
    }
}

/// A key of a CRM integration, which sends events and does nothing else.
#[must_use]
pub fn crm_key(n: u32, revoked: bool) -> Key {
    Key {
        label: if revoked { "Zapier" } else { "HubSpot" }.to_owned(),
        scopes: vec!["events:write".to_owned()],
        ..key(n, "", revoked)
    }
}

/// A link to the form of the first partner.
#[must_use]
pub fn form_link(n: u32) -> Key {
    Key {
        label: "Link to a partner's form".to_owned(),
        scopes: vec!["partners:read".to_owned()],
        product: format!("form:{}", id("ptnr", 1)),
        ..key(n, "", false)
    }
}
