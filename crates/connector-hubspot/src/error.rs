//! HubSpot's failures, as kinds with a retry. A message never holds a field's value, which HubSpot likes to quote.

use std::time::Duration;

use connector::{Error, ErrorKind, Response, Retry, with_words};
use http::HeaderMap;

use crate::wire::{Failure, RefusedValue, texts};

/// What is being done as long as nobody knows better.
const CALL: &str = "call HubSpot";
/// The official client libraries wait this long after a `SECONDLY` refusal.
const AFTER_SECONDLY: Duration = Duration::from_secs(1);
/// The same after a `TEN_SECONDLY_ROLLING` one.
const AFTER_TEN_SECONDLY: Duration = Duration::from_secs(10);
/// The daily budget comes back at the portal's midnight, which nobody tells us: look every hour.
const AFTER_DAILY: Duration = Duration::from_secs(3600);
/// A record that a bulk operation holds is free again after two seconds at the earliest.
const AFTER_LOCKED: Duration = Duration::from_secs(2);
/// A portal that moves to another data centre says when to come back; this is for when it does not.
const AFTER_MIGRATION: Duration = Duration::from_secs(60);

/// Whether an answer is a failure, and which.
pub(crate) fn check(response: &Response) -> Result<(), Error> {
    if response.status < 400 {
        return Ok(());
    }
    // Proxies in front of HubSpot answer with pages of HTML: then the status is all there is.
    let failure: Failure = serde_json::from_slice(&response.body).unwrap_or_default();
    if let Some(error) = oauth(&failure) {
        return Err(error);
    }
    let said = |kind, otherwise: &str| Error::new(kind, CALL, words(&failure, otherwise));
    let error = match response.status {
        400 => refused(&failure),
        401 => said(ErrorKind::TokenExpired, "HubSpot does not accept the access token"),
        403 => forbidden(&failure),
        404 => said(ErrorKind::NotFound, "HubSpot has no such record"),
        409 => Error::new(ErrorKind::Duplicate, CALL, "HubSpot has a record with this unique value already"),
        413 | 414 => said(ErrorKind::Validation, "the request is too large for HubSpot"),
        423 => said(ErrorKind::Unavailable, "a bulk operation holds the record")
            .with_retry(Retry::After(AFTER_LOCKED)),
        429 => rate_limited(&failure, &response.headers),
        477 => said(ErrorKind::Unavailable, "HubSpot is moving the portal to another data centre")
            .with_retry(Retry::After(retry_after(&response.headers).unwrap_or(AFTER_MIGRATION))),
        408 | 500..=599 => {
            let otherwise = format!("HubSpot answered {}", response.status);
            said(ErrorKind::Unavailable, &otherwise)
        }
        status => said(ErrorKind::Protocol, &format!("HubSpot answered {status}")),
    };
    let code = Some(failure.category).filter(|category| !category.is_empty());
    Err(Error { code: error.code.or(code.map(Into::into)), ..error })
}

/// Why the token endpoint refuses; its answers carry `BAD_…` or, on newer paths, the codes of RFC 6749.
fn oauth(failure: &Failure) -> Option<Error> {
    let newer = failure.error.as_deref().unwrap_or_default();
    let spelled =
        if failure.status.is_empty() || failure.status == "error" { newer } else { &failure.status };
    let (kind, message) = match spelled {
        "" => return None,
        "BAD_REFRESH_TOKEN" | "invalid_grant" => (
            ErrorKind::AccessRevoked,
            "HubSpot no longer accepts this connection: the app was removed in HubSpot's Connected Apps settings, or \
             the user who connected it lost access",
        ),
        "BAD_AUTH_CODE" | "EXPIRED_AUTH_CODE" | "BAD_REDIRECT_URI" | "MISMATCH_REDIRECT_URI_AUTH_CODE" => (
            ErrorKind::AccessRevoked,
            "HubSpot does not accept the authorization: it was used or has expired",
        ),
        "BAD_CLIENT_ID" | "BAD_CLIENT_SECRET" | "invalid_client" => {
            (ErrorKind::Permission, "HubSpot does not know the client id and secret of this installation")
        }
        "MISSING_SCOPES" | "invalid_scope" => {
            (ErrorKind::Permission, "the HubSpot app does not have the scopes that were asked for")
        }
        other if other.starts_with("BAD_") || failure.error.is_some() => {
            (ErrorKind::Protocol, "HubSpot's token endpoint does not understand the request")
        }
        _ => return None,
    };
    Some(Error::new(kind, CALL, message).with_code(spelled))
}

fn refused(failure: &Failure) -> Error {
    let Some(RefusedValue { name, error }) = refused_value(failure) else {
        return Error::new(ErrorKind::Validation, CALL, words(failure, "HubSpot refuses the request"));
    };
    let (kind, message) = match error.as_str() {
        "PROPERTY_DOESNT_EXIST" => (ErrorKind::SchemaDrift, "HubSpot does not have this property any more"),
        "READ_ONLY_VALUE" => {
            (ErrorKind::Validation, "HubSpot calculates this property itself: it is read-only")
        }
        "INVALID_OPTION" => {
            (ErrorKind::Validation, "the value is not one of the property's options in HubSpot")
        }
        "INVALID_DATE" => (ErrorKind::Validation, "HubSpot does not take the value as a date"),
        "INVALID_INTEGER" | "INVALID_LONG" | "INVALID_NUMBER" | "INVALID_DOUBLE" => {
            (ErrorKind::Validation, "HubSpot does not take the value as a number")
        }
        "INVALID_EMAIL" => (ErrorKind::Validation, "HubSpot does not take the value as an e-mail address"),
        "CONFLICTING_UNIQUE_VALUE" => {
            (ErrorKind::Duplicate, "another record in HubSpot has this unique value already")
        }
        _ => (ErrorKind::Validation, "HubSpot refuses the value"),
    };
    Error::new(kind, CALL, message).with_code(error).with_field(name)
}

/// The first value that HubSpot complains about: embedded as JSON in the message, or listed beside it.
fn refused_value(failure: &Failure) -> Option<RefusedValue> {
    let embedded = failure.message.find('[').map(|at| &failure.message[at..]);
    let embedded: Option<Vec<RefusedValue>> = embedded.and_then(|list| {
        // Words may follow the list, so only the first JSON value counts.
        serde_json::Deserializer::from_str(list).into_iter().next()?.ok()
    });
    embedded.and_then(|list| list.into_iter().next()).or_else(|| {
        failure.errors.iter().find_map(|detail| {
            let name = texts(&detail.context, "propertyName").next()?.to_owned();
            Some(RefusedValue { name, error: detail.code.clone()? })
        })
    })
}

fn forbidden(failure: &Failure) -> Error {
    let needed: Vec<&str> =
        failure.errors.iter().flat_map(|detail| texts(&detail.context, "requiredGranularScopes")).collect();
    let message = match (failure.category.as_str(), needed.is_empty()) {
        ("MISSING_SCOPES", true) => "the connection lacks a HubSpot permission for this call".to_owned(),
        ("MISSING_SCOPES", false) => {
            format!("the connection lacks a HubSpot permission: {}", needed.join(", "))
        }
        _ => words(failure, "HubSpot does not allow this call"),
    };
    Error::new(ErrorKind::Permission, CALL, message)
}

fn rate_limited(failure: &Failure, headers: &HeaderMap) -> Error {
    let (pause, message) = match failure.policy_name.as_deref() {
        Some("DAILY") => {
            (AFTER_DAILY, "HubSpot's daily limit of API calls is used up until the portal's midnight")
        }
        Some("SECONDLY") => (AFTER_SECONDLY, "HubSpot's limit of searches a second is used up"),
        _ => (AFTER_TEN_SECONDLY, "HubSpot's limit of API calls in ten seconds is used up"),
    };
    let pause = retry_after(headers).map_or(pause, |asked| asked.max(pause));
    let error = Error::new(ErrorKind::RateLimit, CALL, message).with_retry(Retry::After(pause));
    match &failure.policy_name {
        Some(policy) => error.with_code(policy.as_str()),
        None => error,
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What went wrong, in HubSpot's words as far as they embed no values.
fn words(failure: &Failure, otherwise: &str) -> String {
    let plain = failure.message.split(['[', '{', '=']).next().unwrap_or_default();
    with_words(otherwise, plain)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use connector::conformance::every_documented_error_is_understood;

    use super::*;

    fn answer(status: u16, body: impl Into<Bytes>) -> Response {
        Response { status, headers: HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn every_documented_error_body_has_its_kind_and_retry() {
        let table = include_str!("../fixtures/errors.json");
        assert!(every_documented_error_is_understood(table, check) >= 25);
    }

    #[test]
    fn success_and_partial_success_are_no_failures() {
        for status in [200, 201, 204, 207] {
            assert!(check(&answer(status, "")).is_ok());
        }
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_a_panic(status in 400_u16..600, body in ".*") {
            let _ = check(&answer(status, body));
        }
    }
}
