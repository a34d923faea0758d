use std::time::Duration;

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

/// How long may take what grows with all that there is: walking the chain of the audit log, deriving a ledger again.
pub(crate) const VERIFIED_WITHIN: Duration = Duration::from_secs(600);

/// The services behind the pages. Clones share the connections, which are made when they are first needed and made
/// again when a service comes back.
#[derive(Debug, Clone)]
pub struct Rooms {
    identity: Channel,
    connections: Channel,
    sync: Channel,
    audit: Channel,
    verifier: Channel,
    attribution: Channel,
    deriver: Channel,
    crm: Channel,
}

impl Rooms {
    /// The services at the configured addresses. Nothing is contacted yet.
    ///
    /// # Errors
    /// An address is no address.
    pub fn try_new(config: &Config) -> Result<Self, Error> {
        let soon = config.answered_within;
        Ok(Self {
            identity: channel("identity", &config.identity_url, soon)?,
            connections: channel("the connector runtime", &config.connections_url, soon)?,
            sync: channel("the sync-engine", &config.sync_url, soon)?,
            audit: channel("audit", &config.audit_url, soon)?,
            verifier: channel("audit", &config.audit_url, VERIFIED_WITHIN)?,
            attribution: channel("attribution", &config.attribution_url, soon)?,
            deriver: channel("attribution", &config.attribution_url, VERIFIED_WITHIN)?,
            crm: channel("crm", &config.crm_url, soon)?,
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

    /// The audit room for whoever has the patience to have its chain walked.
    pub(crate) fn verifier(&self) -> AuditClient<Channel> {
        AuditClient::new(self.verifier.clone())
    }

    pub(crate) fn attribution(&self) -> AttributionClient<Channel> {
        AttributionClient::new(self.attribution.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn conversion_rules(&self) -> ConversionRulesClient<Channel> {
        ConversionRulesClient::new(self.attribution.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn ingest_urls(&self) -> IngestUrlsClient<Channel> {
        IngestUrlsClient::new(self.attribution.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    pub(crate) fn crm(&self) -> CrmClient<Channel> {
        CrmClient::new(self.crm.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }

    /// The attribution room for whoever has the patience to have everything derived again.
    pub(crate) fn deriver(&self) -> AttributionClient<Channel> {
        AttributionClient::new(self.deriver.clone()).max_decoding_message_size(LARGEST_ANSWER)
    }
}

fn channel(room: &'static str, url: &str, answer_within: Duration) -> Result<Channel, Error> {
    Ok(Endpoint::from_shared(url.to_owned())
        .map_err(|source| Error::RoomAddress { room, source })?
        .connect_timeout(Duration::from_secs(2))
        .timeout(answer_within)
        .tcp_nodelay(true)
        .connect_lazy())
}
