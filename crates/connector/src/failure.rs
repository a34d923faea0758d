use crate::Error;

/// Why a piece of the runtime's work did not get done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The vendor failed.
    #[error(transparent)]
    Vendor(#[from] Error),
    /// Postgres failed.
    #[error("use the database: {0}")]
    Store(#[from] sqlx::Error),
    /// NATS failed, or a message is not one that the bus carries.
    #[error(transparent)]
    Bus(#[from] bus::Error),
    /// A sealed secret cannot be opened.
    #[error(transparent)]
    Vault(#[from] vault::Error),
    /// Another process owns the partition now.
    #[error("go on: another process owns the partition now")]
    LeaseLost,
}

impl Failure {
    /// Its stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Vendor(error) => error.kind.code(),
            Self::Store(_) => "database_unavailable",
            Self::Bus(error) => error.code(),
            Self::Vault(_) => "secret_unreadable",
            Self::LeaseLost => "lease_lost",
        }
    }

    /// The same as a vendor's failure, for those who only know these.
    pub(crate) fn into_vendor(self, operation: &'static str) -> Error {
        match self {
            Self::Vendor(error) => error,
            Self::Vault(error) => {
                Error::new(crate::ErrorKind::Protocol, operation, "a stored secret cannot be read")
                    .with_source(error)
            }
            other => Error::new(crate::ErrorKind::Unavailable, operation, "Accord's own storage failed")
                .with_source(other),
        }
    }
}
