use chassis::guard;
use tonic::{Code, Status};

/// Why the audit room could not do something. The text continues "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached or migrated.
    #[error("{0}")]
    Connect(#[from] chassis::DatabaseError),
    /// A statement failed.
    #[error("query the audit log: {0}")]
    Database(#[from] sqlx::Error),
    /// The bus does not answer or refuses.
    #[error("{0}")]
    Bus(#[from] bus::Error),
    /// An export could not be read.
    #[error("read the export: {0}")]
    Read(#[from] std::io::Error),
}

impl Error {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(answer)) => {
                // Lost connection, serialization or deadlock, resources, operator intervention.
                let code = answer.code().unwrap_or_default();
                ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
            }
            Self::Database(
                sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed,
            ) => true,
            Self::Bus(error) => error.is_transient(),
            _ => false,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        tracing::error!(%error, "a request failed");
        if error.is_transient() {
            let message = "The database does not answer. Try again soon.";
            return guard::status(Code::Unavailable, "database_unavailable", message);
        }
        guard::status(Code::Internal, "internal", "Something went wrong here. It was logged.")
    }
}
