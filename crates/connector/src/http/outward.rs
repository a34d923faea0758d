//! Calls to addresses that a customer names: never into the network that Accord itself stands in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ::http::{HeaderName, HeaderValue};
use bytes::Bytes;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::{Client, HttpError, failed};

/// Where a client may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// To public addresses over TLS alone.
    Public,
    /// Anywhere, as in a test or a network of one's own.
    Anywhere,
}

/// An address that is not gone to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no address of the web, or carries a name and a password.
    #[error("the address is no https address without a name and a password")]
    Address,
    /// It leads into a private network.
    #[error("the address leads into a private network")]
    Private,
}

impl Reach {
    /// Whether an address may be called as it is written; what its name stands for is checked at each call.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn check(self, url: &Url) -> Result<(), Refused> {
        let scheme = url.scheme() == "https" || self == Self::Anywhere && url.scheme() == "http";
        if !scheme || !url.username().is_empty() || url.password().is_some() {
            return Err(Refused::Address);
        }
        let public = match url.host() {
            Some(Host::Ipv4(address)) => is_public(address.into()),
            Some(Host::Ipv6(address)) => is_public(address.into()),
            Some(Host::Domain(name)) => {
                let name = name.trim_end_matches('.').to_ascii_lowercase();
                name.contains('.')
                    && ![".localhost", ".local", ".internal"].iter().any(|end| name.ends_with(end))
            }
            None => return Err(Refused::Address),
        };
        if public || self == Self::Anywhere { Ok(()) } else { Err(Refused::Private) }
    }
}

impl Client {
    /// Sends bytes to an address that was checked by [`Reach::check`], and gives the status of the answer, whose body is
    /// not read.
    ///
    /// # Errors
    /// See [`HttpError`]; an answer with any status is no error.
    pub async fn post(
        &self,
        url: &Url,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<u16, HttpError> {
        let request = self.inner.post(url.clone()).body(body);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let answer = request.send().await.map_err(|error| failed(error.without_url()))?;
        Ok(answer.status().as_u16())
    }
}

/// Finds the addresses of a name, but for those of private networks.
pub(super) struct PublicNames;

impl Resolve for PublicNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<SocketAddr> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(Refused::Private.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public internet, by the IANA registries of special-purpose addresses.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = a == 0
        || a >= 224
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113);
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, third, ..] = address.segments();
    // Global unicast, less what stands for an IPv4 address or for documents.
    let global = first & 0xe000 == 0x2000;
    let special = first == 0x2002
        || first == 0x2001 && second < 0x0200
        || first == 0x2001 && second == 0x0db8
        || first == 0x3fff && second < 0x1000;
    let translated = first == 0x0064 && second == 0xff9b && third == 0;
    global && !special && !translated
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_private_networks_are_no_public_ones_however_they_are_written() {
        for address in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "198.18.0.1",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "::ffff:10.0.0.1",
            "64:ff9b::a00:1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["1.1.1.1", "93.184.216.34", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn an_address_is_refused_by_what_it_says() {
        let check = |url: &str| Reach::Public.check(&url.parse().unwrap());
        assert_eq!(check("https://hooks.example/in?a=1"), Ok(()));
        for url in ["http://hooks.example", "https://ann:pw@hooks.example", "ftp://hooks.example"] {
            assert_eq!(check(url), Err(Refused::Address), "{url}");
        }
        for url in [
            "https://localhost",
            "https://a.localhost.",
            "https://db.internal",
            "https://printer.local",
            "https://127.1",
            "https://2130706433",
            "https://[::1]/",
            "https://0x7f.0.0.1",
            "https://postgres:5432/",
        ] {
            assert_eq!(check(url), Err(Refused::Private), "{url}");
        }
        assert_eq!(Reach::Anywhere.check(&"http://127.0.0.1:9/".parse().unwrap()), Ok(()));
    }

    #[tokio::test]
    async fn a_name_that_stands_for_a_private_address_is_not_called() {
        let client = Client::try_outward(std::time::Duration::from_secs(5), Reach::Public).unwrap();
        let refused =
            client.post(&"https://localhost:9/".parse().unwrap(), &[], Bytes::new()).await.unwrap_err();
        let told = std::iter::successors(Some(&refused as &dyn std::error::Error), |error| error.source());
        assert!(told.map(ToString::to_string).any(|text| text.contains("private network")), "{refused:?}");
    }
}
