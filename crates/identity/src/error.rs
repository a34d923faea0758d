use chassis::guard;
use tonic::{Code, Status};

/// Why identity could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was refused, and the caller can know why.
    #[error("{}", .0.message)]
    Refused(#[from] Refusal),
    /// The database cannot be reached or migrated.
    #[error("{0}")]
    Connect(#[from] chassis::DatabaseError),
    /// A statement failed.
    #[error("query the database: {0}")]
    Database(#[from] sqlx::Error),
    /// What is stored cannot be understood.
    #[error("understand the stored {0}")]
    Stored(&'static str),
    /// An event could not be handed to the bus.
    #[error("{0}")]
    Bus(#[from] bus::Error),
    /// A password could not be hashed.
    #[error("hash a password: {0}")]
    Password(#[from] argon2::password_hash::Error),
    /// The thread that hashes passwords ended.
    #[error("hash a password: {0}")]
    Hashing(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A refusal with a stable code for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    kind: Code,
    code: &'static str,
    message: String,
    field: Option<&'static str>,
}

impl Refusal {
    fn new(kind: Code, code: &'static str, message: impl Into<String>) -> Self {
        Self { kind, code, message: message.into(), field: None }
    }

    /// A request that is malformed.
    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, code, message)
    }

    /// A caller who may not.
    pub(crate) fn denied(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::PermissionDenied, code, message)
    }

    /// A thing that is not there, or is another organization's.
    pub(crate) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, code, message)
    }

    /// A state that does not allow it.
    pub(crate) fn precondition(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::FailedPrecondition, code, message)
    }

    /// A caller who has not proved who they are.
    pub(crate) fn unauthenticated(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, code, message)
    }

    /// Too many attempts.
    pub(crate) fn exhausted(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(Code::ResourceExhausted, code, message)
    }

    /// The same refusal, about this field of the request.
    pub(crate) fn at(self, field: &'static str) -> Self {
        Self { field: Some(field), ..self }
    }

    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.code
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let status = guard::status(refusal.kind, refusal.code, refusal.message);
        refusal.field.map_or(status.clone(), |field| guard::at_field(status, field))
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

impl Error {
    fn is_transient(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(answer)) => {
                let class = answer.code().map(|code| code.chars().take(2).collect::<String>());
                class.is_some_and(|class| ["08", "40", "53", "57"].contains(&class.as_str()))
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
