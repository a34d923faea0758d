//! The client of the Pub/Sub API.

use std::time::Duration;

use bytes::Bytes;
use connector::{Error, Session};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::{
    Request, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use self::wire::{
    FetchRequest, FetchResponse, ReplayPreset, SchemaRequest, TopicRequest, pub_sub_client::PubSubClient,
};
use super::failure::{misconfigured, of_status, unavailable};
use crate::config::Config;

#[expect(unreachable_pub, clippy::pedantic, reason = "generated")]
pub(super) mod wire {
    tonic::include_proto!("eventbus.v1");
}

const CONNECT: Duration = Duration::from_secs(10);
/// How long a call other than a subscription may take.
const CALL: Duration = Duration::from_secs(30);
/// Pings that find a connection whose other end is gone.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Events that may be under way.
pub(super) const MOST_REQUESTED: i32 = 100;
/// An event has a megabyte at most, says Salesforce, so this holds as many as may come at once.
const LONGEST_ANSWER: usize = 101 * 1024 * 1024;

/// The Pub/Sub API on behalf of one connection. Every call says who makes it by the newest token, and by the address that
/// came with it: both may have been renewed since the last call, here or elsewhere.
#[derive(Clone, Debug)]
pub(super) struct PubSub {
    client: PubSubClient<Channel>,
    session: Session,
    object: String,
}

/// A subscription: how more is asked for, and what comes.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) more: mpsc::UnboundedSender<FetchRequest>,
    pub(super) incoming: Streaming<FetchResponse>,
}

impl PubSub {
    pub(super) async fn connect(config: &Config, session: &Session, object: &str) -> Result<Self, Error> {
        let wrong =
            |_| misconfigured("the address or the certificate of Salesforce's Pub/Sub API cannot be used");
        let mut endpoint = Endpoint::from_shared(config.pubsub_url.to_string())
            .map_err(wrong)?
            .connect_timeout(CONNECT)
            .http2_keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_TIMEOUT)
            .keep_alive_while_idle(true);
        if config.pubsub_url.scheme() == "https" {
            let mut tls = ClientTlsConfig::new().with_native_roots();
            if let Some(authority) = &config.pubsub_authority {
                tls = tls.ca_certificate(Certificate::from_pem(authority));
            }
            endpoint = endpoint.tls_config(tls).map_err(wrong)?;
        }
        let channel = endpoint.connect().await.map_err(|source| unavailable().with_source(source))?;
        let client = PubSubClient::new(channel).max_decoding_message_size(LONGEST_ANSWER);
        Ok(Self { client, session: session.clone(), object: object.to_owned() })
    }

    async fn request<T>(&self, message: T) -> Result<Request<T>, Error> {
        let session = &self.session;
        let mut request = Request::new(message);
        let metadata = request.metadata_mut();
        metadata.insert("accesstoken", secret(&session.access_token().await?)?);
        // The address is the one that came with the token, or with a newer one.
        metadata.insert("instanceurl", plain(session.api_url().as_str().trim_end_matches('/'))?);
        metadata.insert("tenantid", plain(session.account_id())?);
        Ok(request)
    }

    /// Whether this connection may subscribe to a topic.
    pub(super) async fn may_subscribe(&mut self, topic: &str) -> Result<bool, Error> {
        let mut request = self.request(TopicRequest { topic_name: topic.to_owned() }).await?;
        request.set_timeout(CALL);
        let answer = self.client.get_topic(request).await;
        Ok(answer.map_err(|status| of_status(&status, &self.object))?.into_inner().can_subscribe)
    }

    /// The Avro schema with this id, which never changes.
    pub(super) async fn schema(&mut self, id: &str) -> Result<String, Error> {
        let mut request = self.request(SchemaRequest { schema_id: id.to_owned() }).await?;
        request.set_timeout(CALL);
        let answer = self.client.get_schema(request).await;
        Ok(answer.map_err(|status| of_status(&status, &self.object))?.into_inner().schema_json)
    }

    /// Opens a topic's stream behind a position, or for what comes from now on.
    pub(super) async fn subscribe(&mut self, topic: &str, behind: Option<Vec<u8>>) -> Result<Flow, Error> {
        let preset = if behind.is_some() { ReplayPreset::Custom } else { ReplayPreset::Latest };
        let first = FetchRequest {
            topic_name: topic.to_owned(),
            replay_preset: preset.into(),
            replay_id: Bytes::from(behind.unwrap_or_default()),
            num_requested: MOST_REQUESTED,
        };
        let (more, requests) = mpsc::unbounded_channel();
        more.send(first).map_err(|_| unavailable())?;
        let request = self.request(UnboundedReceiverStream::new(requests)).await?;
        let answer = self.client.subscribe(request).await;
        let incoming = answer.map_err(|status| of_status(&status, &self.object))?.into_inner();
        Ok(Flow { more, incoming })
    }
}

fn plain(text: &str) -> Result<MetadataValue<Ascii>, Error> {
    text.parse().map_err(|_| misconfigured("what identifies the organization is no text"))
}

fn secret(token: &SecretString) -> Result<MetadataValue<Ascii>, Error> {
    let value: Result<MetadataValue<Ascii>, _> = token.expose_secret().parse();
    let mut value = value.map_err(|_| misconfigured("the access token is no text"))?;
    value.set_sensitive(true);
    Ok(value)
}
