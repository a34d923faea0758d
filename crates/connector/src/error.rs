use std::{fmt, time::Duration};

use model::IssueCategory;

use crate::words::storable;

/// What went wrong at a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The access token is no longer good; a new one may be.
    TokenExpired,
    /// The grant is dead: somebody must connect again.
    AccessRevoked,
    /// The grant does not allow this call.
    Permission,
    /// Too many calls; this one did nothing.
    RateLimit,
    /// The connection's own budget has no call left; none was made.
    BudgetSpent,
    /// The vendor refuses a value.
    Validation,
    /// The vendor has such a record already.
    Duplicate,
    /// The record is not there.
    NotFound,
    /// An object or field is not there any more.
    SchemaDrift,
    /// A field of the vendor's schema is larger than Accord takes in.
    SchemaTooLarge,
    /// The vendor is out of order for now; the call did nothing.
    Unavailable,
    /// No whole answer came: the call may have been carried out.
    AnswerLost,
    /// The answer is not what the vendor documents.
    Protocol,
    /// The account has no stream of changes.
    NoStream,
    /// The vendor does not know a stream's position any more: changes may be missing.
    PositionLost,
}

impl ErrorKind {
    /// Its stable code in events and on the screen.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::TokenExpired => "token_expired",
            Self::AccessRevoked => "access_revoked",
            Self::Permission => "permission_missing",
            Self::RateLimit => "rate_limited",
            Self::BudgetSpent => "budget_spent",
            Self::Validation => "validation_failed",
            Self::Duplicate => "duplicate",
            Self::NotFound => "not_found",
            Self::SchemaDrift => "schema_drift",
            Self::SchemaTooLarge => "schema_too_large",
            Self::Unavailable => "vendor_unavailable",
            Self::AnswerLost => "answer_lost",
            Self::Protocol => "vendor_protocol",
            Self::NoStream => "no_stream",
            Self::PositionLost => "position_lost",
        }
    }

    /// The category of the issue that a failed write becomes.
    #[must_use]
    pub const fn category(self) -> IssueCategory {
        match self {
            Self::TokenExpired | Self::AccessRevoked => IssueCategory::Auth,
            Self::Permission => IssueCategory::Permission,
            Self::RateLimit | Self::BudgetSpent => IssueCategory::RateLimit,
            Self::Validation => IssueCategory::Validation,
            Self::Duplicate => IssueCategory::Duplicate,
            Self::NotFound => IssueCategory::Missing,
            Self::SchemaDrift | Self::SchemaTooLarge => IssueCategory::SchemaDrift,
            Self::Unavailable | Self::AnswerLost | Self::Protocol | Self::NoStream | Self::PositionLost => {
                IssueCategory::Unavailable
            }
        }
    }

    const fn usual_retry(self) -> Retry {
        match self {
            Self::RateLimit | Self::Unavailable | Self::AnswerLost => Retry::Backoff,
            _ => Retry::Never,
        }
    }
}

/// Whether, and when, the same call may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not without a change.
    Never,
    /// Soon; the runtime chooses when.
    Backoff,
    /// Not before this time has passed, says the vendor.
    After(Duration),
}

/// A failure at a vendor: what, whether a retry makes sense, during which operation, and the vendor's words. It holds
/// no secret and no field value.
#[derive(Debug)]
pub struct Error {
    /// What went wrong.
    pub kind: ErrorKind,
    /// Whether and when to try again.
    pub retry: Retry,
    /// What was being done, as a phrase: `search companies`.
    pub operation: &'static str,
    /// The vendor's words, without secrets and field values.
    pub message: String,
    /// The vendor's own code, where it gives one.
    pub code: Option<Box<str>>,
    /// The field that the vendor complains about, where it names one.
    pub field: Option<Box<str>>,
    /// What caused it.
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The longest pause that a vendor is believed, in seconds: limits by the day are the longest there are.
const LONGEST_ASKED_PAUSE_S: u64 = 24 * 3600;

impl Error {
    /// A failure with the retry that is usual for its kind.
    #[must_use]
    pub fn new(kind: ErrorKind, operation: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        storable(&mut message);
        Self { kind, retry: kind.usual_retry(), operation, message, code: None, field: None, source: None }
    }

    /// The same with another retry. A pause of more than a day is taken for a day.
    #[must_use]
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = match retry {
            Retry::After(pause) if pause.as_secs() >= LONGEST_ASKED_PAUSE_S => {
                Retry::After(Duration::from_secs(LONGEST_ASKED_PAUSE_S))
            }
            retry => retry,
        };
        self
    }

    /// The same with the vendor's own code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<Box<str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// The same with the field that the vendor names.
    #[must_use]
    pub fn with_field(mut self, field: impl Into<Box<str>>) -> Self {
        let mut field = String::from(field.into());
        storable(&mut field);
        self.field = Some(field.into());
        self
    }

    /// The same with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// An answer that does not read as the vendor documents it.
    #[must_use]
    pub fn unreadable(vendor: &str, operation: &'static str, source: &serde_json::Error) -> Self {
        // The parser's words may quote the body, so only where it stumbled is told.
        let (line, column) = (source.line(), source.column());
        let message = format!("{vendor}'s answer does not read as documented (line {line}, column {column})");
        Self::new(ErrorKind::Protocol, operation, message)
    }

    /// The same failure for another write of its call, without the cause.
    #[must_use]
    pub fn again(&self) -> Self {
        Self {
            kind: self.kind,
            retry: self.retry,
            operation: self.operation,
            message: self.message.clone(),
            code: self.code.clone(),
            field: self.field.clone(),
            source: None,
        }
    }

    /// Whether the same call may succeed later, without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.retry != Retry::Never
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.operation, self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn std::error::Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_is_believed_a_pause_of_a_day_at_most() {
        let error = |seconds| {
            let pause = Retry::After(Duration::from_secs(seconds));
            Error::new(ErrorKind::RateLimit, "test", "wait").with_retry(pause).retry
        };
        assert_eq!(error(u64::MAX), Retry::After(Duration::from_secs(24 * 3600)));
        assert_eq!(error(7), Retry::After(Duration::from_secs(7)));
    }
}
