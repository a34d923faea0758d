use model::IssueCategory;

/// Why the sync-engine could not do something.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database failed.
    #[error("use the database: {0}")]
    Database(#[from] sqlx::Error),
    /// The database could not be opened or migrated.
    #[error(transparent)]
    Open(#[from] chassis::DatabaseError),
    /// The client for the reranker cannot be set up.
    #[error("set up the reranker: {0}")]
    Reranker(#[source] connector::http::HttpError),
    /// The bus failed.
    #[error(transparent)]
    Bus(#[from] bus::Error),
    /// What the database holds cannot be read: it was written by something newer, or by hand.
    #[error("read {what} from the database: {source}")]
    Stored {
        /// What was read.
        what: &'static str,
        /// Why it cannot be.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A mapping changed while what it decides was being stored: the same again finds it as it is now.
    #[error("store what a mapping decided: the mapping changed meanwhile")]
    Moved,
    /// The caller asked for something that cannot be; the code is stable, the text is for people.
    #[error("{message}")]
    Refused {
        /// What kind of refusal.
        kind: Refusal,
        /// The stable code.
        code: &'static str,
        /// In words, without record values.
        message: String,
        /// The field that it is about.
        field: Option<String>,
    },
}

/// What kind of refusal, in gRPC's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request is malformed or a value does not fit.
    Invalid,
    /// There is no such thing in the caller's organization.
    NotFound,
    /// It exists already.
    Exists,
    /// Something must be done first.
    NotReady,
    /// Somebody changed it in between.
    Changed,
}

impl Error {
    pub(crate) fn refused(kind: Refusal, code: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { kind, code, message: message.into(), field: None }
    }

    pub(crate) fn invalid_field(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self::Refused { kind: Refusal::Invalid, code, message: message.into(), field: Some(field.to_owned()) }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::refused(Refusal::NotFound, "not_found", format!("there is no such {what}"))
    }

    /// Whether the database is out of reach for now, or gave way to somebody else: the same call may succeed later.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(answer)) => {
                let code = answer.code().unwrap_or_default();
                ["08", "40", "53", "57"].iter().any(|class| code.starts_with(class))
            }
            Self::Database(error) => matches!(
                error,
                sqlx::Error::Io(_)
                    | sqlx::Error::Tls(_)
                    | sqlx::Error::PoolTimedOut
                    | sqlx::Error::PoolClosed
                    | sqlx::Error::WorkerCrashed
            ),
            Self::Bus(error) => error.is_transient(),
            Self::Moved => true,
            Self::Open(_) | Self::Reranker(_) | Self::Stored { .. } | Self::Refused { .. } => false,
        }
    }

    /// Whether a transaction was ended for another one's sake: both locked the same rows in another order, or a mapping
    /// that it had read was changed meanwhile.
    pub(crate) fn gave_way(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(answer)) => {
                answer.code().is_some_and(|code| code.starts_with("40"))
            }
            error => matches!(error, Self::Moved),
        }
    }

    /// Whether Postgres refused a text because of a character that it cannot keep.
    pub(crate) fn is_unstorable_text(&self) -> bool {
        let Self::Database(sqlx::Error::Database(answer)) = self else { return false };
        matches!(answer.code().as_deref(), Some("22021" | "22P05"))
    }

    pub(crate) fn stored(what: &'static str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Stored { what, source: Box::new(source) }
    }
}

/// The category's name in the database and over gRPC.
pub(crate) const fn category_name(category: IssueCategory) -> &'static str {
    match category {
        IssueCategory::Auth => "auth",
        IssueCategory::Permission => "permission",
        IssueCategory::RateLimit => "rate_limit",
        IssueCategory::Validation => "validation",
        IssueCategory::Duplicate => "duplicate",
        IssueCategory::Missing => "missing",
        IssueCategory::SchemaDrift => "schema_drift",
        IssueCategory::Value => "value",
        IssueCategory::Unavailable => "unavailable",
        IssueCategory::Ambiguous => "ambiguous",
        IssueCategory::Conflict => "conflict",
    }
}
