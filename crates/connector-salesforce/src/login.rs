//! Where people sign in, and where an organization's API is. Both are told from outside, so nothing but Salesforce's own
//! hosts is believed.

use connector::{Error, ErrorKind};
use url::Url;

const LOGIN: &str = "https://login.salesforce.com";
const SANDBOX_LOGIN: &str = "https://test.salesforce.com";
/// The site of [`SANDBOX_LOGIN`].
pub(crate) const SANDBOX: &str = "sandbox";
/// Every My Domain is below it.
const MY_DOMAIN: &str = ".my.salesforce.com";
/// What people see in their browser, of the same name as the My Domain.
const LIGHTNING: &str = ".lightning.force.com";
/// Every instance is below it.
const SALESFORCE: &str = ".salesforce.com";

/// The login of a site: none for production, `sandbox`, or a My Domain by its name, its host or an address on it. An
/// emulator takes the place of them all.
pub(crate) fn login_url(emulator: Option<&Url>, site: &str) -> Result<Url, Error> {
    let site = site.trim();
    let address = match (emulator, site) {
        (Some(emulator), _) => return Ok(emulator.clone()),
        (None, "") => LOGIN.to_owned(),
        (None, SANDBOX) => SANDBOX_LOGIN.to_owned(),
        (None, site) => format!("https://{}", my_domain(site).ok_or_else(unknown)?),
    };
    address.parse().map_err(|_| unknown())
}

fn my_domain(site: &str) -> Option<String> {
    let host = site.strip_prefix("https://").unwrap_or(site);
    let host = host.split('/').next()?.to_ascii_lowercase();
    let name = host.strip_suffix(MY_DOMAIN).or_else(|| host.strip_suffix(LIGHTNING)).unwrap_or(&host);
    // `acme`, `acme--test.sandbox`, `acme-dev-ed.develop`
    let labels: Vec<&str> = name.split('.').collect();
    let is_label = |label: &&str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    (labels.len() <= 2 && labels.iter().all(is_label)).then(|| format!("{name}{MY_DOMAIN}"))
}

fn unknown() -> Error {
    let message = "this is no Salesforce login: leave it empty for production, choose the sandbox login, or give your My \
                   Domain as it is in your browser, like acme.my.salesforce.com";
    Error::new(ErrorKind::Validation, "find the Salesforce login", message)
}

/// The address of an organization's API, as a token came with it.
pub(crate) fn api_url(emulator: Option<&Url>, instance_url: &str) -> Result<Url, Error> {
    let refused = || {
        let message = "Salesforce's token came with an address that is none of Salesforce's";
        Error::new(ErrorKind::Protocol, "get tokens from Salesforce", message)
    };
    let url: Url = instance_url.parse().map_err(|_| refused())?;
    let of_salesforce = url.scheme() == "https"
        && url.host_str().is_some_and(|host| host.ends_with(SALESFORCE))
        && url.port().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    let of_emulator = emulator.is_some_and(|emulator| emulator.origin() == url.origin());
    if of_salesforce && emulator.is_none() || of_emulator { Ok(url) } else { Err(refused()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_is_production_the_sandbox_or_a_my_domain() {
        let rows = [
            ("", "https://login.salesforce.com/"),
            ("sandbox", "https://test.salesforce.com/"),
            ("acme", "https://acme.my.salesforce.com/"),
            ("acme.my.salesforce.com", "https://acme.my.salesforce.com/"),
            ("https://Acme.my.salesforce.com/home", "https://acme.my.salesforce.com/"),
            ("https://acme.lightning.force.com/lightning/page/home", "https://acme.my.salesforce.com/"),
            ("acme--uat.sandbox.my.salesforce.com", "https://acme--uat.sandbox.my.salesforce.com/"),
            ("acme-dev-ed.develop", "https://acme-dev-ed.develop.my.salesforce.com/"),
        ];
        for (site, expected) in rows {
            assert_eq!(login_url(None, site).unwrap().as_str(), expected, "{site}");
        }
    }

    #[test]
    fn nothing_outside_salesforce_is_a_site() {
        let rows = [
            "http://acme.my.salesforce.com",
            "evil.example.com",
            "localhost:8080",
            "169.254.169.254",
            "acme.my.salesforce.com@evil.example",
            "evil.example#.my.salesforce.com",
            "evil.example\\.my.salesforce.com",
            "evil.example?.my.salesforce.com",
            "user:pw@acme.my.salesforce.com",
            "acme.my.salesforce.com:8443",
            ".my.salesforce.com",
            "a b",
            "ācme",
        ];
        for site in rows {
            let refused = login_url(None, site).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::Validation, "{site}");
        }
        let emulator: Url = "http://127.0.0.1:9".parse().unwrap();
        assert_eq!(login_url(Some(&emulator), "evil.example.com").unwrap(), emulator);
    }

    #[test]
    fn an_instance_is_below_salesforce_or_the_emulator() {
        let emulator: Url = "http://127.0.0.1:9/login".parse().unwrap();
        assert!(api_url(None, "https://acme.my.salesforce.com").is_ok());
        assert!(api_url(None, "https://na1.salesforce.com").is_ok());
        assert!(api_url(Some(&emulator), "http://127.0.0.1:9").is_ok());
        for other in [
            "https://salesforce.com.evil.example",
            "https://evilsalesforce.com",
            "http://acme.my.salesforce.com",
            "https://u:p@acme.my.salesforce.com",
            "https://acme.my.salesforce.com:8443",
            "http://127.0.0.1:9",
            "none",
        ] {
            assert!(api_url(None, other).is_err(), "{other}");
        }
        assert!(api_url(Some(&emulator), "https://acme.my.salesforce.com").is_err());
        assert!(api_url(Some(&emulator), "http://127.0.0.1:10").is_err());
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_written_leads_to_a_my_domain_or_nowhere(site in ".*") {
            if let Ok(url) = login_url(None, &site) {
                let host = url.host_str().unwrap();
                proptest::prop_assert!(host.ends_with(".salesforce.com"), "{site} leads to {url}");
                proptest::prop_assert!(url.scheme() == "https" && url.port().is_none());
            }
        }
    }
}
