use std::{net::SocketAddr, sync::Arc};

use axum::{Router, serve::ListenerExt};
use chassis::{Health, Readiness, Shutdown};
use model::Clock;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{Config, Error, app::App, router as routes};

/// The name of this service in health answers.
const SERVICE: &str = "web-console";

/// What the console shares with the rest of its process.
#[derive(Clone)]
pub struct Deps {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Where it says that it is ready.
    pub health: Health,
    /// The wish to end.
    pub shutdown: Shutdown,
}

/// A console that answers.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    server: JoinHandle<Result<(), Error>>,
}

impl Running {
    /// The address that it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the shutdown was requested and the last request is answered.
    ///
    /// # Errors
    /// The server ended by itself.
    pub async fn join(self) -> Result<(), Error> {
        self.server.await.map_err(|error| Error::Serve(std::io::Error::other(error)))?
    }
}

/// All pages of the console, for a server that exists already.
///
/// # Errors
/// The configuration does not hold together.
pub fn router(config: &Config, clock: Arc<dyn Clock>) -> Result<Router, Error> {
    Ok(routes::router(App::try_new(config, clock)?))
}

/// Listens, and answers in the background until the shutdown is requested.
///
/// # Errors
/// The configuration does not hold together, or the address cannot be listened on.
pub async fn start(config: Config, deps: Deps) -> Result<Running, Error> {
    let Deps { clock, health, shutdown } = deps;
    health.set(SERVICE, Readiness::NotReady("starting".to_owned()));
    let pages = router(&config, clock)?.into_make_service_with_connect_info::<SocketAddr>();
    let listen = |source| Error::Listen { address: config.listen, source };
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    health.set(SERVICE, Readiness::Ready);
    let listener = listener.tap_io(|stream| {
        // Without it a page waits 40 ms for an acknowledgement; a socket that refuses is served all the same.
        let _ = stream.set_nodelay(true);
    });
    let server = tokio::spawn(async move {
        let ended = axum::serve(listener, pages)
            .with_graceful_shutdown(async move { shutdown.requested().await })
            .await
            .map_err(Error::Serve);
        health.set(SERVICE, Readiness::NotReady("ended".to_owned()));
        ended
    });
    Ok(Running { address, server })
}

/// Answers until the shutdown is requested.
///
/// # Errors
/// As [`start`] and [`Running::join`].
pub async fn serve(config: Config, deps: Deps) -> Result<(), Error> {
    start(config, deps).await?.join().await
}
