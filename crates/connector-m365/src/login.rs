//! Where people sign in. A tenant is told from outside, so it can only ever become a part of the path.

use connector::{Error, ErrorKind};
use url::Url;

/// Work, school and personal accounts of any tenant.
const ANY: &str = "common";

/// The login of a site: none for accounts of any tenant, or a tenant by its id or one of its domains.
pub(crate) fn login_url(base: &Url, site: &str) -> Result<Url, Error> {
    let site = site.trim().to_ascii_lowercase();
    let tenant = match site.as_str() {
        "" => ANY,
        site if is_tenant(site) => site,
        _ => return Err(unknown()),
    };
    let mut url = base.clone();
    url.path_segments_mut().map_err(|()| unknown())?.pop_if_empty().push(tenant);
    Ok(url)
}

/// A GUID, or a domain.
fn is_tenant(site: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let is_guid = site.len() == 36 && site.bytes().filter(|b| *b == b'-').count() == 4 && is_label(site);
    is_guid || site.len() <= 253 && site.contains('.') && site.split('.').all(is_label)
}

fn unknown() -> Error {
    let message = "this is no Microsoft 365 tenant: leave it empty for accounts of any tenant, or give your tenant's id or \
                   domain, like contoso.onmicrosoft.com";
    Error::new(ErrorKind::Validation, "find the Microsoft login", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Url {
        crate::LOGIN_URL.parse().unwrap()
    }

    #[test]
    fn a_site_is_any_tenant_or_one_by_its_id_or_domain() {
        let rows = [
            ("", "https://login.microsoftonline.com/common"),
            (" Contoso.onmicrosoft.com ", "https://login.microsoftonline.com/contoso.onmicrosoft.com"),
            (
                "7C0A4F5E-2f6b-4d0c-9a41-5b1f2c8e7d30",
                "https://login.microsoftonline.com/7c0a4f5e-2f6b-4d0c-9a41-5b1f2c8e7d30",
            ),
        ];
        for (site, expected) in rows {
            assert_eq!(login_url(&base(), site).unwrap().as_str(), expected, "{site}");
        }
        let below = login_url(&"http://127.0.0.1:9/entra/".parse().unwrap(), "").unwrap();
        assert_eq!(below.as_str(), "http://127.0.0.1:9/entra/common");
    }

    #[test]
    fn nothing_else_is_a_site() {
        for site in [
            "contoso",
            "https://evil.example",
            "a/b.example",
            "..",
            "a b.example",
            "a.example?x",
            "ā.example",
        ] {
            assert_eq!(login_url(&base(), site).unwrap_err().kind, ErrorKind::Validation, "{site}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_written_stays_at_the_login(site in ".*") {
            if let Ok(url) = login_url(&base(), &site) {
                proptest::prop_assert_eq!(url.origin(), base().origin());
                proptest::prop_assert_eq!(url.path_segments().map(Iterator::count), Some(1));
                proptest::prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
