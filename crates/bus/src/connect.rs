use std::{sync::Arc, time::Duration};

use async_nats::{
    ConnectErrorKind, ServerAddr,
    jetstream::{self, response::Response},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::watch, time::Instant};
use tokio_util::task::TaskTracker;

use crate::{Error, ErrorKind, metrics::Metrics};

const OLDEST_SERVER: (u32, u32) = (2, 12);
const CONNECT: &str = "connect to NATS";
const RETRY_EVERY: Duration = Duration::from_millis(100);
/// How long one request to the server may take before it counts as unanswered.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How to connect and how patient to be.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// The name that the server shows for this connection: the service's.
    pub name: String,
    /// How long the first connection may take, while the server starts.
    pub connect_within: Duration,
    /// How long a publish is repeated, with the same ids, while the server does not answer.
    pub publish_within: Duration,
    /// How many servers of a cluster keep each stream.
    pub replicas: usize,
}

impl ConnectOptions {
    /// The usual options: ten seconds to connect, thirty to publish, one copy of each stream.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            connect_within: Duration::from_secs(10),
            publish_within: Duration::from_secs(30),
            replicas: 1,
        }
    }
}

/// The connection to the bus. Cheap to clone; reconnects by itself, forever.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

struct Inner {
    jetstream: jetstream::Context,
    client: async_nats::Client,
    connections: watch::Receiver<u64>,
    metrics: Metrics,
    options: ConnectOptions,
    /// The tasks that answer deliveries.
    answering: TaskTracker,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("name", &self.inner.options.name).finish_non_exhaustive()
    }
}

impl Bus {
    /// Connects to the servers of `url`, comma separated: `nats://user:password@host:4222`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: no such URL. [`ErrorKind::Unauthorized`]: wrong user or password.
    /// [`ErrorKind::ServerTooOld`]: before 2.12. [`ErrorKind::Unreachable`]: no answer in time.
    pub async fn connect(url: &str, options: ConnectOptions) -> Result<Self, Error> {
        let servers = url
            .split(',')
            .map(|server| server.trim().parse::<ServerAddr>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|_| {
                Error::new(ErrorKind::Invalid, CONNECT, "the URL is not of the form nats://host:port")
            })?;
        let (connected, mut connections) = watch::channel(0);
        let client = dial(&servers, &options, &connected).await?;
        // The client tells of its connection a moment later; it is not to be taken for another one then.
        let told = tokio::time::timeout(ANSWER_WITHIN, connections.wait_for(|count| *count > 0)).await;
        told.map_err(|error| Error::caused(ErrorKind::Unreachable, CONNECT, error))?.ok();
        check_version(&client.server_info().version)?;
        let jetstream = jetstream::ContextBuilder::new().timeout(ANSWER_WITHIN).build(client.clone());
        let answering = TaskTracker::new();
        let inner = Inner { jetstream, client, connections, metrics: Metrics::new(), options, answering };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Counts the connections made so far. When it grows, ephemeral messages may have been missed: a cache that
    /// they empty must be emptied whole.
    #[must_use]
    pub fn connections(&self) -> watch::Receiver<u64> {
        self.inner.connections.clone()
    }

    /// Whether the server is connected at this moment; for readiness checks.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.inner.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Waits until the consumers, which the caller has dropped, have handed back what they pulled ahead and the last
    /// answers are sent. A process that ends without it makes others wait for the time to acknowledge.
    pub async fn close(&self) {
        self.inner.answering.close();
        if tokio::time::timeout(ANSWER_WITHIN, self.inner.answering.wait()).await.is_err() {
            tracing::warn!("the last answers are not sent, the server redelivers what they were for");
        }
    }

    pub(crate) fn client(&self) -> &async_nats::Client {
        &self.inner.client
    }

    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        &self.inner.jetstream
    }

    pub(crate) fn answering(&self) -> &TaskTracker {
        &self.inner.answering
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    pub(crate) fn options(&self) -> &ConnectOptions {
        &self.inner.options
    }

    /// One call of the JetStream API.
    pub(crate) async fn api<Q, A>(&self, op: &'static str, subject: String, request: &Q) -> Result<A, Error>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        let answer = self.jetstream().request(subject, &request).await;
        match answer.map_err(|error| Error::caused(ErrorKind::Unreachable, op, error))? {
            Response::Ok(answer) => Ok(answer),
            Response::Err { error } => Err(Error::jetstream(op, error)),
        }
    }
}

async fn dial(
    servers: &[ServerAddr],
    options: &ConnectOptions,
    connected: &watch::Sender<u64>,
) -> Result<async_nats::Client, Error> {
    let deadline = Instant::now() + options.connect_within;
    loop {
        let error = match nats_options(servers, options, connected).connect(servers).await {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let kind = match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                ErrorKind::Unauthorized
            }
            ConnectErrorKind::ServerParse | ConnectErrorKind::Tls => ErrorKind::Invalid,
            _ => ErrorKind::Unreachable,
        };
        if kind != ErrorKind::Unreachable || Instant::now() + RETRY_EVERY >= deadline {
            return Err(Error::caused(kind, CONNECT, error));
        }
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

fn nats_options(
    servers: &[ServerAddr],
    options: &ConnectOptions,
    connected: &watch::Sender<u64>,
) -> async_nats::ConnectOptions {
    let connected = connected.clone();
    let nats = async_nats::ConnectOptions::new()
        .name(&options.name)
        .ping_interval(Duration::from_secs(10))
        .client_capacity(16_384)
        .reconnect_delay_callback(|attempts| {
            Duration::from_millis(50 << u32::try_from(attempts.min(6)).unwrap_or(6))
        })
        .event_callback(move |event| {
            match &event {
                async_nats::Event::Connected => connected.send_modify(|count| *count += 1),
                async_nats::Event::Disconnected => tracing::warn!("lost the connection to NATS"),
                async_nats::Event::Closed => tracing::debug!("the NATS connection is closed"),
                other => tracing::warn!(event = %other, "the NATS connection reports"),
            }
            std::future::ready(())
        });
    let login = servers.iter().find_map(|server| Some((server.username()?, server.password()?)));
    match login {
        Some((user, password)) => nats.user_and_password(user.to_owned(), password.to_owned()),
        None => nats,
    }
}

fn check_version(version: &str) -> Result<(), Error> {
    let mut numbers = version.split('.').map(|number| number.parse::<u32>().unwrap_or_default());
    let found = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if found >= OLDEST_SERVER {
        return Ok(());
    }
    let (major, minor) = OLDEST_SERVER;
    let detail = format!("the server is version {version}, and Accord needs {major}.{minor} or newer");
    Err(Error::new(ErrorKind::ServerTooOld, CONNECT, detail))
}
