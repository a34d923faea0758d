//! The listener of the event stream, plain or with TLS.

use std::io;

use futures::stream;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::net::TcpListener;
use tonic::transport::server::Connected;
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tower::util::MapResponseLayer;

use super::reset::Resettable;
use super::service::Service;
use super::wire::pub_sub_server::PubSubServer;
use crate::salesforce::server::Shared;
use crate::wiretap::{Scissors, Wire, Wires};

/// Streams that one connection may have.
const STREAMS: u32 = 100;
/// Names that the certificate is good for.
const NAMES: [&str; 2] = ["localhost", "127.0.0.1"];

/// Where change events are served.
#[derive(Debug, Clone)]
pub struct EventService {
    /// The endpoint for gRPC clients, `http://` or `https://`.
    pub url: String,
    /// The certificate to trust, in PEM; none without TLS.
    pub certificate: Option<String>,
}

impl Connected for Wire {
    type ConnectInfo = Scissors;

    fn connect_info(&self) -> Scissors {
        self.scissors()
    }
}

/// Serves the event stream on a listener until the simulator stops.
///
/// # Errors
/// When a setting is wrong, the listener has no address, or no certificate can be made.
pub(crate) fn serve(shared: Shared, listener: TcpListener) -> io::Result<EventService> {
    let settings = shared.lock().events.settings.clone();
    settings.check().map_err(|wrong| io::Error::new(io::ErrorKind::InvalidInput, wrong))?;
    let port = listener.local_addr()?.port();
    // One stream's window must not hold back the other streams of a connection.
    let mut server =
        Server::builder().max_concurrent_streams(STREAMS).initial_connection_window_size(1 << 20);
    let mut address = EventService { url: format!("http://127.0.0.1:{port}"), certificate: None };
    if settings.tls {
        let made = generate_simple_self_signed(NAMES.map(str::to_owned)).map_err(io::Error::other)?;
        let CertifiedKey { cert, signing_key } = made;
        let identity = Identity::from_pem(cert.pem(), signing_key.serialize_pem());
        server = server.tls_config(ServerTlsConfig::new().identity(identity)).map_err(io::Error::other)?;
        address = EventService { url: format!("https://localhost:{port}"), certificate: Some(cert.pem()) };
    }
    let stop = shared.stop.clone();
    let service = PubSubServer::new(Service(shared));
    let connections = stream::unfold(Wires(listener), |mut wires| async move {
        let (wire, _) = axum::serve::Listener::accept(&mut wires).await;
        Some((Ok::<_, io::Error>(wire), wires))
    });
    tokio::spawn(async move {
        let serving = server
            .layer(MapResponseLayer::new(|answer: http::Response<_>| answer.map(Resettable)))
            .add_service(service)
            .serve_with_incoming_shutdown(connections, async move { stop.cancelled().await });
        if let Err(error) = serving.await {
            tracing::error!(%error, "the Salesforce sandbox stopped serving events");
        }
    });
    Ok(address)
}
