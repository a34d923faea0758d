use std::{net::IpAddr, sync::Arc};

use axum::http::HeaderMap;
use hmac::{Hmac, KeyInit};
use jiff::Timestamp;
use model::Clock;
use secrecy::ExposeSecret;
use sha2::Sha256;
use url::{Host, Url};

use crate::{Config, Error, Rooms, pace::Pace};

/// What every handler may use. Clones share it.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    rooms: Rooms,
    clock: Arc<dyn Clock>,
    token_key: Hmac<Sha256>,
    public_url: Url,
    gateway_url: Url,
    trusted_proxy: bool,
    pace: Pace,
}

impl App {
    pub(crate) fn try_new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let secret = config.csrf_secret.expose_secret().as_bytes();
        if secret.len() < 16 {
            return Err(Error::ShortSecret);
        }
        Ok(Self(Arc::new(Inner {
            rooms: Rooms::try_new(config)?,
            clock,
            token_key: Hmac::new_from_slice(secret).map_err(|_| Error::ShortSecret)?,
            public_url: config.public_url.clone(),
            gateway_url: config.gateway_url.clone(),
            trusted_proxy: config.trusted_proxy,
            pace: Pace::default(),
        })))
    }

    pub(crate) fn rooms(&self) -> &Rooms {
        &self.0.rooms
    }

    /// How often the pages that need no account are asked for.
    pub(crate) fn pace(&self) -> &Pace {
        &self.0.pace
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Whether browsers reach us by https.
    pub(crate) fn is_secure(&self) -> bool {
        self.0.public_url.scheme() == "https"
    }

    /// Whether only browsers of this machine reach us.
    pub(crate) fn is_local(&self) -> bool {
        match self.0.public_url.host() {
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// The client that a request came from, where a proxy of ours says so: the last hop, because clients can write the
    /// others.
    pub(crate) fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let hops = headers.get_all("x-forwarded-for").iter().next_back().filter(|_| self.0.trusted_proxy)?;
        hops.to_str().ok()?.rsplit(',').next()?.trim().parse().ok()
    }

    pub(crate) fn public_url(&self) -> &Url {
        &self.0.public_url
    }

    pub(crate) fn gateway_url(&self) -> &Url {
        &self.0.gateway_url
    }

    /// A keyed digest begun, for the token of a session's forms.
    pub(crate) fn token_digest(&self) -> Hmac<Sha256> {
        self.0.token_key.clone()
    }
}
