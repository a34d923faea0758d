//! Google's failures, as kinds with a retry. Calendar says a quota by 403 or by 429, so the reason counts and not the status.

use std::time::Duration;

use connector::{Error, ErrorKind, Response, Retry, with_words};
use http::HeaderMap;

use crate::wire::{ApiFailure, Failure, Refusal};

/// What is being done as long as nobody knows better.
const CALL: &str = "call Google";
/// A quota of the calendar's own, which comes back bit by bit.
const AFTER_USAGE: Duration = Duration::from_secs(900);
/// The budget of the day, which comes back at midnight in California: look every hour.
const AFTER_DAILY: Duration = Duration::from_secs(3600);

/// Whether an answer is a failure, and which.
pub(crate) fn check(response: &Response) -> Result<(), Error> {
    if response.status < 400 {
        return Ok(());
    }
    // Gateways answer with pages of HTML: then the status is all there is.
    let failure: Failure = serde_json::from_slice(&response.body).unwrap_or_default();
    let api = match &failure.error {
        Some(Refusal::OAuth(code)) => return Err(oauth(code, &failure, response.status)),
        Some(Refusal::Api(api)) => api,
        None => &ApiFailure::default(),
    };
    let said = |kind, otherwise: &str| Error::new(kind, CALL, with_words(otherwise, &api.message));
    let plain = |kind, message: &str| Error::new(kind, CALL, message);
    let reason = reason(api);
    let error = match response.status {
        // A token that is no token at all, as after a restore from elsewhere.
        400 if at_position(api) => position_lost(),
        400 => said(ErrorKind::Protocol, "Google does not understand the request"),
        // Of an address that is to be told of changes.
        401 if reason.contains("webhookUrl") => {
            said(ErrorKind::Validation, "Google does not take the address")
        }
        401 => plain(ErrorKind::TokenExpired, "Google does not accept the access token"),
        403 => forbidden(reason, &response.headers, &said),
        404 => plain(ErrorKind::NotFound, "Google has no such thing, or hides it from the account"),
        410 if reason == "deleted" => plain(ErrorKind::NotFound, "it was deleted in Google Calendar"),
        410 => position_lost(),
        429 => too_many(&response.headers),
        408 | 500..=599 => plain(ErrorKind::Unavailable, &format!("Google answered {}", response.status)),
        status => said(ErrorKind::Protocol, &format!("Google answered {status}")),
    };
    Err(if reason.is_empty() { error } else { error.with_code(reason) })
}

/// The vendor's own word for it: of Calendar, or of Meet.
fn reason(api: &ApiFailure) -> &str {
    let classic = api.errors.iter().map(|error| error.reason.as_str());
    let modern = api.details.iter().map(|detail| detail.reason.as_str());
    let mut told = classic.chain(modern).chain([api.status.as_str()]);
    told.find(|reason| !reason.is_empty()).unwrap_or_default()
}

fn at_position(api: &ApiFailure) -> bool {
    api.errors.iter().any(|error| matches!(error.location.as_str(), "syncToken" | "pageToken"))
}

fn position_lost() -> Error {
    let message = "Google Calendar does not know where reading ended any more, so everything is read again";
    Error::new(ErrorKind::PositionLost, CALL, message)
}

fn forbidden(reason: &str, headers: &HeaderMap, said: &impl Fn(ErrorKind, &str) -> Error) -> Error {
    let plain = |kind, message: &str| Error::new(kind, CALL, message);
    match reason {
        "rateLimitExceeded" | "userRateLimitExceeded" | "RATE_LIMIT_EXCEEDED" => too_many(headers),
        "quotaExceeded" => {
            let message = "the account's usage limits of Google Calendar are used up for now";
            plain(ErrorKind::RateLimit, message).with_retry(Retry::After(AFTER_USAGE))
        }
        "dailyLimitExceeded" => {
            let message = "the Google project's calls of the day are used up";
            plain(ErrorKind::RateLimit, message).with_retry(Retry::After(AFTER_DAILY))
        }
        "accessNotConfigured" | "SERVICE_DISABLED" => plain(
            ErrorKind::Permission,
            "the API is not enabled in the Google Cloud project of this installation's OAuth client",
        ),
        "insufficientPermissions" | "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => plain(
            ErrorKind::Permission,
            "the consent does not allow this call: connect again and leave every permission ticked",
        ),
        _ => said(ErrorKind::Permission, "Google does not allow this call"),
    }
}

/// Quotas are of a sliding minute. Google promises no `Retry-After` and asks for growing pauses.
fn too_many(headers: &HeaderMap) -> Error {
    let error = Error::new(ErrorKind::RateLimit, CALL, "Google received too many calls in a minute");
    match retry_after(headers) {
        Some(pause) => error.with_retry(Retry::After(pause)),
        None => error,
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Why the token endpoint refuses.
fn oauth(code: &str, failure: &Failure, status: u16) -> Error {
    let (kind, message) = match code {
        "invalid_grant" => (ErrorKind::AccessRevoked, dead_grant(failure)),
        "invalid_token" => (ErrorKind::AccessRevoked, "Google no longer knows this connection"),
        "invalid_client" | "unauthorized_client" => {
            (ErrorKind::Permission, "Google does not know the client id and secret of this installation")
        }
        "redirect_uri_mismatch" => (
            ErrorKind::Permission,
            "the Google OAuth client does not have this installation's callback address",
        ),
        "invalid_scope" => {
            (ErrorKind::Permission, "the Google OAuth client does not have the scopes that were asked for")
        }
        "org_internal" | "admin_policy_enforced" | "access_denied" => {
            (ErrorKind::Permission, "the policy of the Google Workspace organization does not allow this app")
        }
        _ if status >= 500 => (ErrorKind::Unavailable, "Google's login is out of order"),
        _ => (ErrorKind::Protocol, "Google's login does not understand the request"),
    };
    Error::new(kind, CALL, message).with_code(code)
}

/// Why a grant is dead.
fn dead_grant(failure: &Failure) -> &'static str {
    let described = failure.error_description.to_ascii_lowercase();
    if failure.error_subtype == "invalid_rapt" {
        "Google no longer accepts this connection: the organization asks its people to sign in again after a while"
    } else if described.contains("deleted") {
        "Google no longer accepts this connection: the account was deleted"
    } else if described.contains("code") {
        "Google does not accept the authorization: it was used or has expired"
    } else {
        "Google no longer accepts this connection: the access was removed in the Google account, was not used for half a \
         year, or ended after seven days because the app's publishing status is Testing"
    }
}

#[cfg(test)]
mod tests {
    use connector::conformance::every_documented_error_is_understood;

    use super::*;

    #[test]
    fn every_documented_error_body_has_its_kind_and_retry() {
        let table = include_str!("../fixtures/errors.json");
        assert!(every_documented_error_is_understood(table, check) >= 25);
    }

    #[test]
    fn success_is_no_failure() {
        for status in [200, 204] {
            assert!(check(&Response { status, headers: HeaderMap::new(), body: "".into() }).is_ok());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_a_panic(status in 400_u16..600, body in ".*") {
            let _ = check(&Response { status, headers: HeaderMap::new(), body: body.into() });
        }
    }
}
