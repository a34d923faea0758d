//! How e-mail addresses and domains are compared, and which domains say nothing of a company.

use std::{collections::HashSet, sync::LazyLock};

/// The longest address or domain that is compared, in bytes.
const LONGEST: usize = 320;
/// The longest name of one level of a domain.
const LONGEST_LABEL: usize = 63;

static FREE: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("../../data/free-mail.txt").lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
});

/// Whether everybody can have an address there; `own`: besides those that are known.
pub(crate) fn is_free(domain: &str, own: &[String]) -> bool {
    FREE.contains(domain) || own.iter().any(|free| free == domain)
}

/// All free domains, with those of an organization's own.
pub(crate) fn all_free(own: &[String]) -> Vec<String> {
    FREE.iter().map(|free| (*free).to_owned()).chain(own.iter().cloned()).collect()
}

/// An e-mail address as it is compared; none where it is none.
pub(crate) fn email(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (local, host) = text.rsplit_once('@')?;
    let is_sound = !local.is_empty()
        && text.len() <= LONGEST
        && !local.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;\"@".contains(c));
    (is_sound && domain(host).as_deref() == Some(host)).then_some(text)
}

/// The domain of an address that is compared.
pub(crate) fn of_email(address: &str) -> &str {
    address.rsplit_once('@').map_or("", |(_, domain)| domain)
}

/// A domain as it is compared, from itself or from an address on the web; none where it is none.
pub(crate) fn domain(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let text = text.split_once("://").map_or(text.as_str(), |(_, rest)| rest);
    let host = text.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let host = host.strip_prefix("www.").unwrap_or(host).trim_end_matches('.');
    let labels = || host.split('.');
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= LONGEST_LABEL
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_alphanumeric() || c == '-')
    };
    let has_name = labels().next_back().is_some_and(|last| last.chars().any(char::is_alphabetic));
    let is_sound = host.len() <= 253 && labels().count() > 1 && labels().all(is_label) && has_name;
    is_sound.then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        assert_eq!(email(" Ann.Lee@ACME.example "), Some("ann.lee@acme.example".to_owned()));
        for none in [
            "",
            "@",
            "ann",
            "ann@",
            "@acme.example",
            "a b@acme.example",
            "ann@acme",
            "a@b@acme.example",
            "ann@www.x.example",
        ] {
            assert_eq!(email(none), None, "{none}");
        }
        assert_eq!(of_email("ann@acme.example"), "acme.example");
    }

    #[test]
    fn a_domain_is_taken_from_an_address_on_the_web() {
        for same in
            ["acme.example", "https://www.Acme.example/about?x#y", "acme.example:8080", "ACME.example."]
        {
            assert_eq!(domain(same), Some("acme.example".to_owned()), "{same}");
        }
        for none in
            ["", "acme", "10.0.0.1", "a..example", "-a.example", "acme.example ltd", "ann@acme.example"]
        {
            assert_eq!(domain(none), None, "{none}");
        }
    }

    #[test]
    fn free_domains_are_those_that_everybody_knows_and_those_of_the_organization() {
        for free in [
            "gmail.com",
            "googlemail.com",
            "yahoo.com",
            "hotmail.com",
            "outlook.com",
            "gmx.de",
            "icloud.com",
            "proton.me",
            "web.de",
        ] {
            assert!(is_free(free, &[]), "{free}");
        }
        assert!(!is_free("acme.example", &[]));
        assert!(is_free("acme.example", &["acme.example".to_owned()]));
        assert!(FREE.iter().all(|free| domain(free).as_deref() == Some(*free)));
    }

    proptest! {
        #[test]
        fn what_is_compared_is_compared_the_same_again(text in ".{0,40}", host in "[a-z.:/@ -]{0,30}") {
            for text in [text.clone(), host.clone(), format!("{text}@{host}")] {
                if let Some(address) = email(&text) {
                    prop_assert_eq!(email(&address), Some(address.clone()));
                    let of = of_email(&address);
                    prop_assert_eq!(domain(of), Some(of.to_owned()));
                }
                if let Some(found) = domain(&text) {
                    prop_assert_eq!(domain(&found), Some(found.clone()));
                }
            }
        }
    }
}
