use std::time::Duration;

use proto::{
    LARGEST_ANSWER, audit::audit_client::AuditClient, connections::connections_client::ConnectionsClient,
    identity::identity_client::IdentityClient, sync::sync_client::SyncClient,
};
use tonic::transport::{Channel, Endpoint};

use crate::{Config, Error};

/// How long an answer may take to begin. Reading a vendor's schema anew is the slowest.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The services behind the pages. Clones share the connections, which are made when they are first needed and made
/// again when a service comes back.
#[derive(Debug, Clone)]
pub struct Rooms {
    identity: Channel,
    connections: Channel,
    sync: Channel,
    audit: Channel,
}

impl Rooms {
    /// The services at the configured addresses. Nothing is contacted yet.
    ///
    /// # Errors
    /// An address is no address.
    pub fn try_new(config: &Config) -> Result<Self, Error> {
        Ok(Self {
            identity: channel("identity", &config.identity_url)?,
            connections: channel("the connector runtime", &config.connections_url)?,
            sync: channel("the sync-engine", &config.sync_url)?,
            audit: channel("audit", &config.audit_url)?,
        })
    }

    pub(crate) fn identity(&self) -> IdentityClient<Channel> {
        IdentityClient::new(self.identity.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn connections(&self) -> ConnectionsClient<Channel> {
        ConnectionsClient::new(self.connections.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn sync(&self) -> SyncClient<Channel> {
        SyncClient::new(self.sync.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn audit(&self) -> AuditClient<Channel> {
        AuditClient::new(self.audit.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }
}

fn channel(room: &'static str, url: &str) -> Result<Channel, Error> {
    Ok(Endpoint::from_shared(url.to_owned())
        .map_err(|source| Error::RoomAddress { room, source })?
        .connect_timeout(Duration::from_secs(2))
        .timeout(ANSWER_WITHIN)
        .tcp_nodelay(true)
        .connect_lazy())
}
