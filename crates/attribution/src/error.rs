use chassis::guard;
use tonic::{Code, Status};

/// Why the attribution room could not do something. The text continues "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached or migrated.
    #[error("{0}")]
    Connect(#[from] chassis::DatabaseError),
    /// A statement failed.
    #[error("query the attribution room: {0}")]
    Database(#[from] sqlx::Error),
    /// The bus does not answer or refuses.
    #[error("{0}")]
    Bus(#[from] bus::Error),
    /// What calls webhooks cannot be set up.
    #[error("set up the client of webhooks: {0}")]
    Client(#[from] connector::http::HttpError),
    /// What is asked cannot be done.
    #[error("do what was asked: {0}")]
    Refused(Refusal),
    /// What is stored does not make sense to this version.
    #[error("read what is stored: {0}")]
    Stored(String),
    /// Another transaction moved meanwhile what this one had read.
    #[error("move what another transaction moved meanwhile")]
    Contended,
    /// The database did not answer; whoever asks again may succeed.
    #[error("write it now: the database does not answer")]
    Unavailable,
    /// The room ends.
    #[error("take more work: the room ends")]
    Ending,
}

/// A request that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind of refusal.
    pub(crate) kind: Code,
    /// Its stable name for programs.
    pub(crate) code: &'static str,
    /// The field of the request; empty where it is about none.
    pub(crate) field: &'static str,
    /// A sentence for people.
    pub(crate) message: String,
}

impl Refusal {
    /// What was sent in this field cannot be taken.
    pub(crate) fn invalid(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::InvalidArgument, code, field, message: message.into() }
    }

    /// There is no such thing.
    pub(crate) fn missing(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::NotFound, code, field: "", message: message.into() }
    }

    /// Somebody has it already.
    pub(crate) fn taken(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::AlreadyExists, code, field: "", message: message.into() }
    }

    /// Not as things stand.
    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::FailedPrecondition, code, field: "", message: message.into() }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let status = guard::status(refusal.kind, refusal.code, refusal.message);
        if refusal.field.is_empty() { status } else { guard::at_field(status, refusal.field) }
    }
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
            )
            | Self::Contended
            | Self::Unavailable
            | Self::Ending => true,
            Self::Bus(error) => error.is_transient(),
            _ => false,
        }
    }

    /// Whether this unique index of the database refused a row.
    pub(crate) fn is_conflict(&self, constraint: &str) -> bool {
        let Self::Database(sqlx::Error::Database(answer)) = self else { return false };
        answer.constraint() == Some(constraint)
    }

    /// Whether another transaction was in the way, so that the same one may succeed at once.
    pub(crate) fn is_contention(&self) -> bool {
        match self {
            Self::Contended => true,
            Self::Database(sqlx::Error::Database(answer)) => {
                answer.code().unwrap_or_default().starts_with("40")
                    || answer.constraint() == Some("events_key")
            }
            _ => false,
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if let Error::Refused(refusal) = error {
            return refusal.into();
        }
        tracing::error!(%error, "a request failed");
        if error.is_transient() {
            let message = "The database does not answer. Try again soon.";
            return guard::status(Code::Unavailable, "database_unavailable", message);
        }
        guard::status(Code::Internal, "internal", "Something went wrong here. It was logged.")
    }
}
