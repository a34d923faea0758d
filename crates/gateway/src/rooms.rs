use std::{sync::Arc, time::Duration};

use proto::{
    LARGEST_ANSWER,
    attribution::{
        attribution_client::AttributionClient, conversion_rules_client::ConversionRulesClient,
        ingest_urls_client::IngestUrlsClient,
    },
    audit::audit_client::AuditClient,
    connections::connections_client::ConnectionsClient,
    crm::crm_client::CrmClient,
    identity::identity_client::IdentityClient,
    sync::sync_client::SyncClient,
};
use tonic::transport::{Channel, Endpoint};

use crate::{Config, Error};

/// The rooms behind the API and what the gateway was told. Clones share the connections, which are made when they are
/// first needed and made again when a room comes back.
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    identity: Channel,
    sync: Channel,
    audit: Channel,
    attribution: Channel,
    crm: Channel,
    connections: Channel,
    config: Arc<Config>,
}

impl Rooms {
    /// Nothing is contacted yet.
    pub(crate) fn try_new(config: Config) -> Result<Self, Error> {
        Ok(Self {
            identity: channel("identity", &config.identity_url)?,
            sync: channel("the sync-engine", &config.sync_url)?,
            audit: channel("audit", &config.audit_url)?,
            attribution: channel("attribution", &config.attribution_url)?,
            crm: channel("the crm room", &config.crm_url)?,
            connections: channel("the connector runtime", &config.connections_url)?,
            config: Arc::new(config),
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn identity(&self) -> IdentityClient<Channel> {
        IdentityClient::new(self.identity.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// The way to identity, for those who ask it about credentials.
    pub(crate) fn identity_channel(&self) -> Channel {
        self.identity.clone()
    }

    pub(crate) fn attribution(&self) -> AttributionClient<Channel> {
        AttributionClient::new(self.attribution.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn crm(&self) -> CrmClient<Channel> {
        CrmClient::new(self.crm.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn ingest_urls(&self) -> IngestUrlsClient<Channel> {
        IngestUrlsClient::new(self.attribution.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn conversion_rules(&self) -> ConversionRulesClient<Channel> {
        ConversionRulesClient::new(self.attribution.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn sync(&self) -> SyncClient<Channel> {
        SyncClient::new(self.sync.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn audit(&self) -> AuditClient<Channel> {
        AuditClient::new(self.audit.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn connections(&self) -> ConnectionsClient<Channel> {
        ConnectionsClient::new(self.connections.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }
}

fn channel(room: &'static str, url: &str) -> Result<Channel, Error> {
    Ok(Endpoint::from_shared(url.to_owned())
        .map_err(|source| Error::RoomAddress { room, source })?
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .connect_lazy())
}
