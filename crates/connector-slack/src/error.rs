//! Slack's failures, as kinds with a retry. Slack says no under HTTP 200, by a name of its own.

use std::time::Duration;

use connector::{Error, ErrorKind, Response, Retry};
use http::header::RETRY_AFTER;

use crate::wire::Verdict;

/// What is being done as long as nobody knows better.
const CALL: &str = "call Slack";
/// How long to wait where Slack does not say.
const PAUSE: Duration = Duration::from_secs(30);

/// Whether an answer is a failure, and which.
pub(crate) fn check(response: &Response) -> Result<(), Error> {
    let verdict = serde_json::from_slice::<Verdict>(&response.body).ok();
    match (response.status, verdict) {
        (429, _) => Err(too_many(response)),
        (_, Some(Verdict { ok: false, error, needed })) if !error.is_empty() => {
            Err(named(&error, &needed, response))
        }
        (200..=299, Some(Verdict { ok: true, .. })) => Ok(()),
        // What broke in the middle may have been done.
        (500 | 502 | 504, _) => {
            let message = format!("Slack answered {}", response.status);
            Err(Error::new(ErrorKind::AnswerLost, CALL, message))
        }
        (500..=599, _) => {
            Err(Error::new(ErrorKind::Unavailable, CALL, format!("Slack answered {}", response.status)))
        }
        (status, _) => {
            let message = format!("Slack's answer does not read as documented (HTTP {status})");
            Err(Error::new(ErrorKind::Protocol, CALL, message))
        }
    }
}

fn too_many(response: &Response) -> Error {
    let seconds =
        response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let pause = seconds.map_or(PAUSE, Duration::from_secs);
    let error = Error::new(ErrorKind::RateLimit, CALL, "Slack received too many calls of this kind");
    error.with_retry(Retry::After(pause)).with_code("ratelimited")
}

/// A failure by its name.
fn named(name: &str, needed: &str, response: &Response) -> Error {
    if matches!(name, "ratelimited" | "rate_limited" | "accesslimited") {
        return too_many(response);
    }
    let (kind, message) = if name == "missing_scope" {
        (ErrorKind::Permission, format!("Slack did not grant Accord the scope {needed}: connect Slack again"))
    } else {
        let (kind, message) = of_name(name);
        (kind, message.to_owned())
    };
    Error::new(kind, CALL, message).with_code(name)
}

fn of_name(name: &str) -> (ErrorKind, &'static str) {
    grant(name).or_else(|| passing(name)).or_else(|| place(name)).unwrap_or_else(|| deed(name))
}

/// About tokens, and the app.
fn grant(name: &str) -> Option<(ErrorKind, &'static str)> {
    use ErrorKind::{AccessRevoked, Permission, TokenExpired};
    Some(match name {
        "token_expired" => (TokenExpired, "Slack does not accept the access token any more"),
        "invalid_auth" | "account_inactive" | "token_revoked" | "team_access_not_granted" | "not_authed" => {
            (AccessRevoked, "Slack no longer accepts this connection: Accord was removed from the workspace")
        }
        "invalid_code" | "code_already_used" => (AccessRevoked, "the authorization was used or has expired"),
        "invalid_refresh_token" => {
            (AccessRevoked, "Slack no longer accepts this connection: its refresh token was used or revoked")
        }
        "invalid_client_id" | "bad_client_secret" => {
            (Permission, "Slack does not know the client id and secret of this installation")
        }
        "bad_redirect_uri" | "oauth_authorization_url_mismatch" => {
            (Permission, "the Slack app does not have this installation's callback address")
        }
        "no_permission"
        | "not_allowed_token_type"
        | "access_denied"
        | "ekm_access_denied"
        | "org_login_required"
        | "two_factor_setup_required"
        | "cannot_install_an_org_installed_app"
        | "no_scopes" => {
            (Permission, "Slack does not allow Accord this call: an administrator of the workspace can")
        }
        _ => return None,
    })
}

/// What passes by itself.
fn passing(name: &str) -> Option<(ErrorKind, &'static str)> {
    Some(match name {
        // Slack documents that some of it may have been done.
        "fatal_error" | "internal_error" => (ErrorKind::AnswerLost, "Slack broke off"),
        "service_unavailable" | "request_timeout" | "team_added_to_org" | "update_failed" => {
            (ErrorKind::Unavailable, "Slack is out of order for now")
        }
        _ => return None,
    })
}

/// About the channel, the message or the person.
fn place(name: &str) -> Option<(ErrorKind, &'static str)> {
    use ErrorKind::{NotFound, Permission, Validation};
    Some(match name {
        "not_in_channel" => {
            (Permission, "Accord is not in the channel: write /invite @Accord there, or choose another one")
        }
        "channel_not_found" => (
            NotFound,
            "Slack has no such channel, or it is private and Accord is not in it: write /invite @Accord there, or choose \
             another one",
        ),
        "is_archived" => {
            (Validation, "the channel is archived: choose another one, or bring it back in Slack")
        }
        "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_non_threadable_channel"
        | "restricted_action_thread_locked" => (
            Permission,
            "the workspace does not let Accord post in the channel: an administrator can, or choose another one",
        ),
        "message_not_found" => (NotFound, "the message is not in Slack any more"),
        "cant_update_message" | "edit_window_closed" | "is_inactive" => {
            (Validation, "Slack does not let this message be changed any more")
        }
        "user_not_in_channel" => (NotFound, "the person is not in the channel"),
        "user_not_found" | "users_not_found" | "user_not_visible" => (NotFound, "Slack has no such person"),
        "messages_tab_disabled" | "cannot_dm_bot" => (Permission, "the person takes no messages from apps"),
        _ => return None,
    })
}

/// About what was asked for.
fn deed(name: &str) -> (ErrorKind, &'static str) {
    match name {
        "expired_trigger_id" | "trigger_expired" => {
            (ErrorKind::Validation, "the dialog was opened later than three seconds after the click")
        }
        "exchanged_trigger_id" | "trigger_exchanged" | "invalid_trigger_id" => {
            (ErrorKind::Validation, "the click has its dialog already")
        }
        "invalid_cursor" => (ErrorKind::Unavailable, "Slack forgot where its list goes on"),
        "message_limit_exceeded" => {
            (ErrorKind::Validation, "the workspace takes no more messages on its plan")
        }
        "msg_too_long"
        | "no_text"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "metadata_too_large"
        | "invalid_metadata_format" => (ErrorKind::Validation, "Slack does not take the message as it is"),
        "deprecated_endpoint" | "method_deprecated" | "unknown_method" => {
            (ErrorKind::Protocol, "Slack has retired a call that Accord makes")
        }
        _ => (ErrorKind::Validation, "Slack refuses the call"),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use connector::conformance::every_documented_error_is_understood;

    use super::*;

    #[test]
    fn every_documented_error_body_has_its_kind_and_retry() {
        let table = include_str!("../fixtures/errors.json");
        assert!(every_documented_error_is_understood(table, check) >= 30);
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_a_panic(status in 200_u16..600, body in ".*") {
            let _ = check(&Response { status, headers: http::HeaderMap::new(), body: Bytes::from(body) });
        }
    }
}
