//! How a caller is told that something is not done.

use chassis::guard::status;
use tonic::{Code, Status};

use crate::{
    failure::Failure,
    oauth::OauthFailure,
    receiving::{self, NotTaken},
    store::Connection,
};

pub(super) fn must_work(connection: &Connection) -> Result<(), Status> {
    if connection.works() {
        return Ok(());
    }
    let message = format!("The connection is {}.", connection.state.name().replace('_', " "));
    Err(status(Code::FailedPrecondition, "connection_state", message))
}

/// A failure that is logged here and told without its inside.
pub(super) fn failed(failure: impl Into<Failure>) -> Status {
    match failure.into() {
        Failure::Vendor(error) => {
            let code = if error.is_transient() { Code::Unavailable } else { Code::FailedPrecondition };
            status(code, error.kind.code(), error.message)
        }
        failure => {
            tracing::error!(error = %failure, "could not answer a request");
            let code = match failure.code() {
                "database_unavailable" => "database_unavailable",
                "secret_unreadable" => "secret_unreadable",
                _ => "bus_unavailable",
            };
            status(Code::Unavailable, code, "Accord's own storage does not answer. Try again shortly.")
        }
    }
}

pub(super) fn not_taken(reason: NotTaken) -> Status {
    match reason {
        NotTaken::Failed(failure) => failed(failure),
        NotTaken::Refused(refusal) => receiving::refused(refusal),
        NotTaken::NoSuchVendor => {
            status(Code::NotFound, "vendor_unknown", "No vendor of this name sends requests here.")
        }
    }
}

pub(super) fn oauth_failed(failure: OauthFailure) -> Status {
    match failure {
        OauthFailure::Failed(failure) => failed(failure),
        OauthFailure::Refused(refusal) => {
            let code = if refusal.forged { Code::PermissionDenied } else { Code::FailedPrecondition };
            status(code, refusal.code, refusal.message)
        }
    }
}
