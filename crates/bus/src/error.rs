use async_nats::jetstream;

/// What went wrong, as far as a caller must know to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The server did not answer, or not in time; the same call may succeed later.
    Unreachable,
    /// The server refused our name or password, or our permissions do not reach.
    Unauthorized,
    /// The server is older than this SDK can rely on.
    ServerTooOld,
    /// The server answered that it will not do it; the same call fails again.
    Refused,
    /// The message, subject or configuration is not one that the bus carries.
    Invalid,
    /// The body is larger than [`crate::MAX_BODY_BYTES`].
    TooLarge,
    /// The body is not the JSON that the reader expected.
    Undecodable,
    /// Postgres did not answer; the same call may succeed later.
    DatabaseUnavailable,
    /// Postgres refused the statement.
    Database,
}

impl ErrorKind {
    /// The stable code of this kind.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Unreachable => "bus_unreachable",
            Self::Unauthorized => "bus_unauthorized",
            Self::ServerTooOld => "bus_server_too_old",
            Self::Refused => "bus_refused",
            Self::Invalid => "bus_invalid",
            Self::TooLarge => "bus_message_too_large",
            Self::Undecodable => "bus_undecodable",
            Self::DatabaseUnavailable => "bus_database_unavailable",
            Self::Database => "bus_database",
        }
    }
}

pub(crate) type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A failure of the bus. Its text continues "failed to …" and holds no message body.
#[derive(Debug, thiserror::Error)]
#[error("{op}: {detail}")]
pub struct Error {
    kind: ErrorKind,
    op: &'static str,
    detail: String,
    #[source]
    source: Option<Source>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, op: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, op, detail: detail.into(), source: None }
    }

    pub(crate) fn caused(kind: ErrorKind, op: &'static str, source: impl Into<Source>) -> Self {
        let source = source.into();
        Self { kind, op, detail: source.to_string(), source: Some(source) }
    }

    /// The failure of a JetStream call: permanent only where the server answered so.
    pub(crate) fn jetstream(op: &'static str, source: impl Into<Source>) -> Self {
        let source = source.into();
        let kind = match answer(source.as_ref()) {
            Some(answer) if answer.code() < 500 => ErrorKind::Refused,
            _ => ErrorKind::Unreachable,
        };
        Self::caused(kind, op, source)
    }

    /// Whether the server gave this answer.
    pub(crate) fn is_answer(&self, code: jetstream::ErrorCode) -> bool {
        let source = self.source.as_ref().and_then(|source| answer(source.as_ref()));
        source.is_some_and(|answer| answer.error_code() == code)
    }

    pub(crate) fn database(op: &'static str, source: sqlx::Error) -> Self {
        let kind = match &source {
            sqlx::Error::Database(answer) if !passing(answer.code().as_deref()) => ErrorKind::Database,
            sqlx::Error::Database(_)
            | sqlx::Error::Io(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => ErrorKind::DatabaseUnavailable,
            _ => ErrorKind::Database,
        };
        Self::caused(kind, op, source)
    }

    /// What went wrong.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The stable code of what went wrong.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// The operation that failed, as a phrase.
    #[must_use]
    pub const fn op(&self) -> &'static str {
        self.op
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unreachable | ErrorKind::DatabaseUnavailable)
    }
}

/// The JetStream API's own answer, where the chain of causes holds one.
fn answer<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e jetstream::Error> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(answer) = error.downcast_ref::<jetstream::Error>() {
            return Some(answer);
        }
        cause = error.source();
    }
    None
}

/// Postgres answers that pass: lost connection, serialization or deadlock, resources, operator intervention.
fn passing(code: Option<&str>) -> bool {
    code.is_some_and(|code| ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class)))
}
