//! Microsoft's failures, as kinds with a retry. Its own words quote names, addresses and what was sent, so they are not told:
//! its codes say enough.

use std::time::Duration;

use connector::{Error, ErrorKind, Response, Retry};
use http::header::RETRY_AFTER;

use crate::wire::{Failure, OAuthFailure};

/// What is being done as long as nobody knows better.
const CALL: &str = "call Microsoft";
/// How long to wait after a refusal for too many calls that does not say it.
const AFTER_TOO_MANY: Duration = Duration::from_secs(10);
/// Codes of an account that has no mailbox which Graph can open.
const WITHOUT_MAILBOX: [&str; 4] = [
    "mailboxnotenabledforrestapi",
    "mailboxnothostedinexchangeonline",
    "errornonexistentmailbox",
    "mailboxnotfound",
];
/// Codes of a position that Microsoft does not know any more.
const LOST: [&str; 4] =
    ["syncstatenotfound", "syncstateinvalid", "errorinvalidsyncstatedata", "resyncrequired"];
const TOO_MANY: [&str; 6] = [
    "applicationthrottled",
    "toomanyrequests",
    "activitylimitreached",
    "errorexceededmessagelimit",
    "errormessagesubmissionblocked",
    "errortoomanyobjectsopened",
];

/// Whether an answer is a failure, and which.
pub(crate) fn check(response: &Response) -> Result<(), Error> {
    if response.status < 400 {
        return Ok(());
    }
    // Gateways answer with pages of HTML: then the status is all there is.
    if let Ok(failure) = serde_json::from_slice::<OAuthFailure>(&response.body) {
        return Err(login(&failure, response));
    }
    let code = serde_json::from_slice::<Failure>(&response.body).map(|failure| failure.error.code);
    let code = code.unwrap_or_default();
    let (kind, message) = of_graph(response.status, &code.to_ascii_lowercase());
    let error = Error::new(kind, CALL, message).with_retry(retry(kind, response));
    Err(if code.is_empty() { error } else { error.with_code(code) })
}

/// Whether the account that connected has no mailbox.
pub(crate) fn is_without_mailbox(error: &Error) -> bool {
    let code = error.code.as_deref().unwrap_or_default().to_ascii_lowercase();
    WITHOUT_MAILBOX.contains(&code.as_str())
}

fn of_graph(status: u16, code: &str) -> (ErrorKind, String) {
    let plain = |kind, message: &str| (kind, message.to_owned());
    if LOST.contains(&code) || status == 410 {
        return plain(ErrorKind::PositionLost, "Microsoft does not know the position in the folder any more");
    }
    if TOO_MANY.contains(&code) || status == 429 {
        return plain(ErrorKind::RateLimit, "Microsoft received too many calls for this mailbox");
    }
    if WITHOUT_MAILBOX.contains(&code) {
        let message = "the account that connected has no mailbox in Exchange Online: a guest, an account without a licence, or \
                       a mailbox on a server of your own";
        return plain(ErrorKind::Permission, message);
    }
    match status {
        401 => plain(ErrorKind::TokenExpired, "Microsoft does not accept the access token"),
        403 => plain(ErrorKind::Permission, "the account that connected did not allow this, or may not"),
        404 => plain(ErrorKind::NotFound, "the mailbox has no such thing"),
        409 | 412 | 423 => plain(ErrorKind::Unavailable, "the mail is being changed by somebody else"),
        408 | 500..=506 | 508..=599 => (ErrorKind::Unavailable, format!("Microsoft answered {status}")),
        400 | 405..=407 | 411 | 413..=422 | 507 => {
            (ErrorKind::Validation, format!("Microsoft does not take the call ({status})"))
        }
        status => (ErrorKind::Protocol, format!("Microsoft answered {status}")),
    }
}

/// When a retry makes sense. Asking again before the time counts against the limit.
fn retry(kind: ErrorKind, response: &Response) -> Retry {
    let seconds =
        response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let asked = seconds.map(|seconds| Retry::After(Duration::from_secs(seconds)));
    match kind {
        ErrorKind::RateLimit => asked.unwrap_or(Retry::After(AFTER_TOO_MANY)),
        ErrorKind::Unavailable => asked.unwrap_or(Retry::Backoff),
        _ => Retry::Never,
    }
}

/// Why the token endpoint refuses, by the numbers of
/// <https://learn.microsoft.com/en-us/entra/identity-platform/reference-error-codes>.
fn login(failure: &OAuthFailure, response: &Response) -> Error {
    let has = |codes: &[u32]| failure.error_codes.iter().any(|code| codes.contains(code));
    let is_busy = response.status == 429 || response.status >= 500;
    // 90033 is a passing failure; 50196 and 50197 say that an app asks in a loop.
    let (kind, message) = if is_busy
        || failure.error == "temporarily_unavailable"
        || has(&[90_033, 50_196, 50_197])
    {
        let kind = if response.status == 429 { ErrorKind::RateLimit } else { ErrorKind::Unavailable };
        (kind, "Microsoft's login is out of order for now".to_owned())
    } else {
        match failure.error.as_str() {
            "invalid_grant"
            | "interaction_required"
            | "login_required"
            | "consent_required"
            | "access_denied" => (ErrorKind::AccessRevoked, dead_grant(failure)),
            "invalid_client" if has(&[7_000_222]) => {
                let message =
                    "the client secret of the app at Microsoft has expired: an administrator makes a new one";
                (ErrorKind::Permission, message.to_owned())
            }
            "invalid_client" | "unauthorized_client" => {
                let message = "Microsoft does not know the client id and secret of this installation, or not in this tenant";
                (ErrorKind::Permission, message.to_owned())
            }
            "invalid_request" if has(&[50_011]) => {
                let message = "the app at Microsoft does not have this installation's callback address";
                (ErrorKind::Permission, message.to_owned())
            }
            "invalid_request" if has(&[90_002]) => {
                (ErrorKind::Permission, "Microsoft has no such tenant".to_owned())
            }
            "invalid_scope" => {
                let message = "the app at Microsoft does not have the scopes that were asked for";
                (ErrorKind::Permission, message.to_owned())
            }
            _ => (ErrorKind::Protocol, "Microsoft's login does not understand the request".to_owned()),
        }
    };
    let error = Error::new(kind, CALL, message).with_retry(retry(kind, response));
    match failure.error_codes.first() {
        Some(code) => error.with_code(format!("AADSTS{code}")),
        None => error.with_code(failure.error.as_str()),
    }
}

/// Why a grant is dead.
fn dead_grant(failure: &OAuthFailure) -> String {
    let code = failure.error_codes.first().copied().unwrap_or_default();
    let why = match code {
        50_173 => "the password was reset, or an administrator ended the sessions",
        50_057 => "the account is disabled",
        50_020 | 50_034 => "the account is not in this tenant any more",
        50_074 | 50_076 | 50_078 | 50_079 => "Microsoft wants the person to prove again who they are",
        53_000 | 53_001 | 53_003 => "a Conditional Access policy of the tenant blocks it",
        54_005 | 70_008 | 50_148 | 501_481 => "the authorization was used or has expired",
        700_082 => "it was not used for 90 days",
        65_001 | 65_004 | 90_094 => "the consent is missing or was taken back",
        _ if failure.suberror.as_deref() == Some("consent_required") => {
            "the consent is missing or was taken back"
        }
        _ => "the access was revoked or has expired",
    };
    format!("Microsoft no longer accepts this connection: {why}")
}

#[cfg(test)]
mod tests {
    use connector::conformance::every_documented_error_is_understood;

    use super::*;

    #[test]
    fn every_documented_error_body_has_its_kind_and_retry() {
        let table = include_str!("../fixtures/errors.json");
        assert!(every_documented_error_is_understood(table, check) >= 40);
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_a_panic(status in 300_u16..600, body in ".*") {
            let _ = check(&Response { status, headers: http::HeaderMap::new(), body: body.into() });
        }
    }
}
