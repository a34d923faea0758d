/// Why the console cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A service's address is no address.
    #[error("read the address of {room}: {source}")]
    RoomAddress {
        /// The service.
        room: &'static str,
        /// Why.
        source: tonic::transport::Error,
    },
    /// The secret for form tokens is too short to be one.
    #[error("use the secret of the form tokens: it must have 16 bytes or more")]
    ShortSecret,
}
