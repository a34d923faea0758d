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
}
