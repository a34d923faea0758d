//! Names and addresses that people type.

use crate::error::Refusal;

const LONGEST_EMAIL: usize = 254;
const LONGEST_NAME: usize = 200;
const LONGEST_PRODUCT: usize = 32;

/// An e-mail address as it is stored and compared: without spaces around it, in lower case.
pub(crate) fn email(text: &str) -> Result<String, Refusal> {
    let email = text.trim().to_lowercase();
    let sound = email.len() <= LONGEST_EMAIL
        && !email.chars().any(|character| character.is_whitespace() || character.is_control())
        && email.split_once('@').is_some_and(|(name, host)| !name.is_empty() && is_host(host));
    if sound {
        return Ok(email);
    }
    Err(Refusal::invalid("email_invalid", "This is no e-mail address.").at("email"))
}

fn is_host(host: &str) -> bool {
    !host.contains('@')
        && !host.starts_with('.')
        && !host.ends_with('.')
        && !host.contains("..")
        && !host.is_empty()
}

/// The name of a person, a key or an organization, without spaces around it.
pub(crate) fn name(field: &'static str, text: &str) -> Result<String, Refusal> {
    let name = text.trim();
    let sound =
        !name.is_empty() && name.chars().count() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if sound {
        return Ok(name.to_owned());
    }
    let message = format!("The {field} must have 1 to {LONGEST_NAME} characters and no control characters.");
    Err(Refusal::invalid("text_invalid", message).at(field))
}

/// The name of a sibling product.
pub(crate) fn product(text: &str) -> Result<String, Refusal> {
    let sound = text.len() <= LONGEST_PRODUCT
        && text.starts_with(|first: char| first.is_ascii_lowercase())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte));
    if sound {
        return Ok(text.to_owned());
    }
    let message =
        "A product is one lower-case word of at most 32 characters: psa, books, hub, voice, portal.";
    Err(Refusal::invalid("product_invalid", message).at("product"))
}

/// The stable short form of an organization's name: `Northwind Traders, Inc.` is `northwind-traders-inc`.
pub(crate) fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_are_compared_in_lower_case() {
        assert_eq!(email("  Ada@Example.COM ").unwrap(), "ada@example.com");
        for bad in ["", "ada", "@example.com", "ada@", "ada@@example.com", "a da@example.com", "ada@x\0.com"]
        {
            assert!(email(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_slug_is_stable_and_short() {
        assert_eq!(slug(" Northwind Traders, Inc. "), "northwind-traders-inc");
    }

    proptest! {
        #[test]
        fn what_passes_can_be_stored(text in any::<String>()) {
            for stored in [email(&text), name("name", &text), product(&text)].into_iter().flatten() {
                prop_assert!(!stored.contains('\0') && !stored.is_empty());
            }
        }
    }
}
