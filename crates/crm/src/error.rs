use chassis::guard;
use tonic::{Code, Status};

/// Why the crm room could not do something. The text continues "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached or migrated.
    #[error("{0}")]
    Connect(#[from] chassis::DatabaseError),
    /// A statement failed.
    #[error("query the crm room: {0}")]
    Database(#[from] sqlx::Error),
    /// The bus does not answer or refuses.
    #[error("{0}")]
    Bus(#[from] bus::Error),
    /// What is asked cannot be done.
    #[error("do what was asked: {0}")]
    Refused(#[from] Refusal),
    /// What is stored does not make sense to this version.
    #[error("read what is stored: {0}")]
    Stored(String),
}

/// A request that is refused. Its text holds nothing of what people wrote.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind of refusal.
    pub(crate) kind: Code,
    /// Its stable name for programs.
    pub(crate) code: &'static str,
    /// The field of the request; empty where it is about none.
    pub(crate) field: String,
    /// A sentence for people.
    pub(crate) message: String,
}

impl Refusal {
    /// What was sent in this field cannot be taken.
    pub(crate) fn invalid(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::InvalidArgument, code, field: field.into(), message: message.into() }
    }

    /// There is no such thing.
    pub(crate) fn missing(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::NotFound, code, field: String::new(), message: message.into() }
    }

    /// Somebody has it already.
    pub(crate) fn taken(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::AlreadyExists, code, field: String::new(), message: message.into() }
    }

    /// Somebody changed it meanwhile.
    pub(crate) fn outdated(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::Aborted, code, field: String::new(), message: message.into() }
    }

    /// Not so often.
    pub(crate) fn exhausted(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::ResourceExhausted, code, field: String::new(), message: message.into() }
    }

    /// Not as things stand.
    pub(crate) fn conflict(code: &'static str, message: impl Into<String>) -> Self {
        Self { kind: Code::FailedPrecondition, code, field: String::new(), message: message.into() }
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let status = guard::status(refusal.kind, refusal.code, refusal.message);
        if refusal.field.is_empty() { status } else { guard::at_field(status, &refusal.field) }
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
            ) => true,
            Self::Bus(error) => error.is_transient(),
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
