/// Why the gateway cannot run. The text continues "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A room's address is no address.
    #[error("read the address of {room}: {source}")]
    RoomAddress {
        /// The room.
        room: &'static str,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The address to listen on is taken, or not ours.
    #[error("listen on {address}: {source}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The server ended by itself.
    #[error("serve the API: {0}")]
    Serve(#[source] std::io::Error),
}
