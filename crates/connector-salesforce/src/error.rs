//! Salesforce's failures, as kinds with a retry. A message never holds a field's value, which Salesforce likes to quote.

use std::time::Duration;

use connector::{Error, ErrorKind, Response, Retry, with_words};

use crate::wire::{Failure, OAuthFailure};

/// What is being done as long as nobody knows better.
const CALL: &str = "call Salesforce";
/// The allocation of a day is a rolling one, so a part of it comes back all the time.
const AFTER_DAILY: Duration = Duration::from_secs(900);
/// A request that holds a slot of the concurrent ones is over after a while.
const AFTER_CONCURRENT: Duration = Duration::from_secs(5);
/// 3,600 logins an hour are allowed per user.
const AFTER_LOGINS: Duration = Duration::from_secs(60);
/// How often it is looked whether an administrator gave the access to the API back; nobody waits that long in a call.
const AFTER_DISABLED: Duration = Duration::from_secs(35);
/// The organization, or the user, has no access to the API.
const API_DISABLED: [&str; 2] = ["API_DISABLED_FOR_ORG", "API_CURRENTLY_DISABLED"];

/// Whether an answer is a failure, and which.
pub(crate) fn check(response: &Response) -> Result<(), Error> {
    if response.status < 400 && response.status != 300 {
        return Ok(());
    }
    let said = |kind, message: &str| Err(Error::new(kind, CALL, message));
    if response.status == 300 {
        // Its body is a list of addresses.
        return said(ErrorKind::Duplicate, "several records in Salesforce have this external id");
    }
    if response.status == 429 {
        // Salesforce itself says it by a 403: this is of something on the way, whatever it writes.
        return Err(crowded(response));
    }
    // Gateways answer with pages of HTML: then the status is all there is.
    if let Ok(failures) = serde_json::from_slice::<Vec<Failure>>(&response.body)
        && let Some(failure) = failures.first()
    {
        return Err(read(failure));
    }
    if let Ok(failure) = serde_json::from_slice::<OAuthFailure>(&response.body) {
        return Err(oauth(&failure));
    }
    match response.status {
        401 => said(ErrorKind::TokenExpired, "Salesforce does not accept the access token"),
        403 => said(ErrorKind::Permission, "Salesforce does not allow this call"),
        404 => said(ErrorKind::NotFound, "Salesforce has no such thing"),
        410 => said(ErrorKind::Protocol, "Salesforce has retired this version of its API"),
        412 => said(ErrorKind::Unavailable, "the record was changed in Salesforce at the same time"),
        414 => said(ErrorKind::Validation, "the request is too long for Salesforce"),
        status @ (408 | 420 | 500..=599) => {
            said(ErrorKind::Unavailable, &format!("Salesforce answered {status}"))
        }
        status => said(ErrorKind::Protocol, &format!("Salesforce answered {status}")),
    }
}

/// Too many calls, for as long as the answer says.
fn crowded(response: &Response) -> Error {
    let error = Error::new(ErrorKind::RateLimit, CALL, "Salesforce received too many calls");
    let asked = response.headers.get(http::header::RETRY_AFTER);
    let asked = asked.and_then(|asked| asked.to_str().ok()?.trim().parse().ok());
    match asked {
        Some(seconds) => error.with_retry(Retry::After(Duration::from_secs(seconds))),
        None => error,
    }
}

/// Why the token endpoint refuses.
fn oauth(failure: &OAuthFailure) -> Error {
    let refused = |message: &str| (ErrorKind::Permission, message.to_owned());
    let (kind, message) = match failure.error.as_str() {
        "invalid_grant" | "inactive_user" | "inactive_org" | "invalid_app_access" => {
            (ErrorKind::AccessRevoked, dead_grant(failure))
        }
        "rate_limit_exceeded" => {
            let message = "Salesforce allows no more logins of this user for a while";
            let error =
                Error::new(ErrorKind::RateLimit, CALL, message).with_retry(Retry::After(AFTER_LOGINS));
            return error.with_code(failure.error.as_str());
        }
        "server_error" | "temporarily_unavailable" | "unknown_error" => {
            (ErrorKind::Unavailable, "Salesforce's login is out of order".to_owned())
        }
        "invalid_client_id" | "invalid_client" | "unauthorized_client" => {
            refused("Salesforce does not know the consumer key and secret of this installation")
        }
        "redirect_uri_mismatch" => refused("the Salesforce app lacks this installation's callback address"),
        "invalid_scope" => refused("the Salesforce app does not have the scopes that were asked for"),
        _ => (ErrorKind::Protocol, "Salesforce's login does not understand the request".to_owned()),
    };
    Error::new(kind, CALL, message).with_code(failure.error.as_str())
}

/// Why a grant is dead.
fn dead_grant(failure: &OAuthFailure) -> String {
    let described = failure.error_description.to_ascii_lowercase();
    let why = match failure.error.as_str() {
        "inactive_user" => "the user who connected is deactivated",
        "inactive_org" => "the organization is locked",
        "invalid_app_access" => {
            "the user who connected is not approved for the app: an administrator assigns it to a profile or permission set"
        }
        _ if described.contains("inactive user") => "the user who connected is deactivated",
        _ if described.contains("ip restricted") => {
            "the user who connected may not sign in from this address or at this hour: an administrator relaxes the app's \
             IP restrictions"
        }
        _ if described.contains("code") => "the authorization was used or has expired",
        _ => "the access was revoked, the app was blocked, or its refresh token expired by the app's policy",
    };
    format!("Salesforce no longer accepts this connection: {why}")
}

/// A failure of a call or of one record of a call, by Salesforce's code.
pub(crate) fn read(failure: &Failure) -> Error {
    let (kind, message) = of_code(failure);
    let mut error = Error::new(kind, CALL, message).with_code(failure.code.as_str());
    if failure.code == "REQUEST_LIMIT_EXCEEDED" {
        let concurrent = failure.message.starts_with("Concurrent");
        error.retry = Retry::After(if concurrent { AFTER_CONCURRENT } else { AFTER_DAILY });
    }
    if is_api_disabled(&error) {
        error.retry = Retry::After(AFTER_DISABLED);
    }
    match failure.fields.first() {
        Some(field) => error.with_field(field.as_str()),
        None => error,
    }
}

/// Whether the API cannot be called at all, by anybody or by the user who connected.
pub(crate) fn is_api_disabled(error: &Error) -> bool {
    error.code.as_deref().is_some_and(|code| API_DISABLED.contains(&code))
}

fn of_code(failure: &Failure) -> (ErrorKind, String) {
    let plain = |kind, message: &str| (kind, message.to_owned());
    let said = |kind, otherwise: &str| (kind, with_words(otherwise, &failure.message));
    match failure.code.as_str() {
        "INVALID_SESSION_ID" | "INVALID_AUTH_HEADER" => {
            plain(ErrorKind::TokenExpired, "Salesforce does not accept the access token")
        }
        "REQUEST_LIMIT_EXCEEDED" if failure.message.starts_with("Concurrent") => {
            plain(ErrorKind::RateLimit, "too many long requests run in the Salesforce organization")
        }
        "REQUEST_LIMIT_EXCEEDED" => {
            plain(ErrorKind::RateLimit, "the Salesforce organization's API calls of 24 hours are used up")
        }
        "UNABLE_TO_LOCK_ROW" => {
            plain(ErrorKind::Unavailable, "another transaction in Salesforce holds the record")
        }
        "SERVER_UNAVAILABLE"
        | "UNKNOWN_EXCEPTION"
        | "REQUEST_RUNNING_TOO_LONG"
        | "QUERY_TIMEOUT"
        | "OPERATION_TOO_LARGE"
        | "PROCESSING_HALTED" => plain(ErrorKind::Unavailable, "Salesforce is out of order for now"),
        code if API_DISABLED.contains(&code) => plain(
            ErrorKind::Permission,
            "the Salesforce organization or the user who connected has no access to the API: it needs an edition with API \
             access, and the permission \"API Enabled\"",
        ),
        "INVALID_OPERATION_WITH_EXPIRED_PASSWORD" => plain(
            ErrorKind::Permission,
            "the password of the user who connected has expired: sign in to Salesforce and change it",
        ),
        "FUNCTIONALITY_NOT_ENABLED"
        | "CLIENT_NOT_ACCESSIBLE_FOR_USER"
        | "INSUFFICIENT_ACCESS"
        | "INSUFFICIENT_ACCESS_OR_READONLY"
        | "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY"
        | "CANNOT_MODIFY_MANAGED_OBJECT" => {
            said(ErrorKind::Permission, "the user who connected may not do this in Salesforce")
        }
        "INVALID_FIELD_FOR_INSERT_UPDATE" => plain(
            ErrorKind::Permission,
            "the user who connected may not write this field in Salesforce: field-level security makes it read-only",
        ),
        "INVALID_TYPE" => plain(
            ErrorKind::Permission,
            "Salesforce does not have the object any more, or the user who connected lacks the object permission \"Read\" on it",
        ),
        "INVALID_FIELD" | "INVALID_QUERY_FILTER_OPERATOR" => {
            let otherwise = "Salesforce does not have this field or object any more";
            (ErrorKind::SchemaDrift, with_words(otherwise, without_query(&failure.message)))
        }
        "ENTITY_IS_DELETED" => plain(ErrorKind::NotFound, "the record was deleted in Salesforce"),
        "NOT_FOUND" if failure.message.contains("external ID") => plain(
            ErrorKind::SchemaDrift,
            "Salesforce does not have the field for Accord's record ids any more, or hides it from the user who connected",
        ),
        "NOT_FOUND" | "INVALID_CROSS_REFERENCE_KEY" | "MALFORMED_ID" => plain(
            ErrorKind::NotFound,
            "Salesforce has no such record, or hides it from the user who connected",
        ),
        "DUPLICATES_DETECTED" => plain(
            ErrorKind::Duplicate,
            "a duplicate rule in Salesforce finds a record that is too similar, and forbids a second one",
        ),
        "DUPLICATE_VALUE" | "DUPLICATE_EXTERNAL_ID" => {
            plain(ErrorKind::Duplicate, "another record in Salesforce has this unique value already")
        }
        _ => (ErrorKind::Validation, refused(failure)),
    }
}

/// What is said of a query that cannot be run, without the query, which comes first and may be long.
fn without_query(message: &str) -> &str {
    message.find("No such column").map_or(message, |at| &message[at..])
}

/// Why Salesforce refuses a value. What its own words would quote is said in ours.
fn refused(failure: &Failure) -> String {
    let text = match failure.code.as_str() {
        "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST" => {
            "the value is none of the picklist's values in Salesforce, or not one of the record type's"
        }
        "STRING_TOO_LONG" => {
            let longest = failure.message.split("max length=").nth(1).unwrap_or_default();
            let digits: String = longest.chars().take_while(char::is_ascii_digit).collect();
            if !digits.is_empty() {
                return format!(
                    "the value is longer than the {digits} characters that Salesforce's field takes"
                );
            }
            "the value is longer than Salesforce's field"
        }
        "NUMBER_OUTSIDE_VALID_RANGE" => "the number is too large for Salesforce's field",
        "INVALID_EMAIL_ADDRESS" => "Salesforce does not take the value as an e-mail address",
        "CANNOT_UPDATE_CONVERTED_LEAD" => "the lead is converted: Salesforce lets nobody change it any more",
        "JSON_PARSER_ERROR" => "Salesforce does not take the value for a field of this type",
        "FIELD_CUSTOM_VALIDATION_EXCEPTION" => {
            return with_words("a validation rule in Salesforce refuses the record", &failure.message);
        }
        "REQUIRED_FIELD_MISSING" => return required(failure),
        "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY" => {
            return with_words("automation in Salesforce refuses the record", &failure.message);
        }
        _ => return with_words("Salesforce refuses the record", &failure.message),
    };
    text.to_owned()
}

fn required(failure: &Failure) -> String {
    if failure.fields.is_empty() {
        return "a field that Salesforce requires is missing".to_owned();
    }
    format!("fields that Salesforce requires are missing: {}", failure.fields.join(", "))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use connector::conformance::every_documented_error_is_understood;

    use super::*;

    fn answer(status: u16, body: impl Into<Bytes>) -> Response {
        Response { status, headers: http::HeaderMap::new(), body: body.into() }
    }

    #[test]
    fn every_documented_error_body_has_its_kind_and_retry() {
        let table = include_str!("../fixtures/errors.json");
        assert!(every_documented_error_is_understood(table, check) >= 30);
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_a_panic(status in 300_u16..600, body in ".*") {
            let _ = check(&answer(status, body));
        }
    }
}
