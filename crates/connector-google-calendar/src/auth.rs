//! Connecting an account: the consent page, tokens, and what the connection may do.

use std::time::Duration;

use connector::{
    Account, AuthorizeRequest, Body, Error, Grant, Host, MissingScope, Request, Response, Session,
};
use http::Method;
use secrecy::SecretString;
use url::Url;

use crate::{client::Client, config::Config, error, wire};

/// The rate class of tokens and of who somebody is.
pub(crate) const OAUTH: &str = "oauth";

const EVENTS: &str = "https://www.googleapis.com/auth/calendar.events.readonly";
const MEETINGS: &str = "https://www.googleapis.com/auth/meetings.space.readonly";

/// The least that is needed; a person can leave each out on the consent page but the first two.
const ASKED: [&str; 4] = ["openid", "email", EVENTS, MEETINGS];

/// Scopes that allow as much or more, so that an older or wider consent is not called incomplete.
const AS_GOOD: [(&str, &[&str], &str); 2] = [
    (
        EVENTS,
        &[
            "https://www.googleapis.com/auth/calendar",
            "https://www.googleapis.com/auth/calendar.readonly",
            "https://www.googleapis.com/auth/calendar.events",
        ],
        "Accord cannot see the calendar, so no meeting is captured: connect again and leave \"See your events\" ticked",
    ),
    (
        MEETINGS,
        &[],
        "Accord cannot see what was said in Google Meet, so meetings come without their transcripts: connect again and \
         leave \"See your meetings\" ticked",
    ),
];

pub(crate) fn authorize_url(config: &Config, request: &AuthorizeRequest<'_>) -> Url {
    let mut url = config.accounts_url.clone();
    url.set_path("/o/oauth2/v2/auth");
    url.query_pairs_mut().extend_pairs([
        ("client_id", config.client_id.as_str()),
        ("redirect_uri", request.redirect_uri),
        ("response_type", "code"),
        ("scope", &ASKED.join(" ")),
        // Both are needed for a refresh token: Google gives one with the first consent alone.
        ("access_type", "offline"),
        ("prompt", "consent"),
        ("state", request.state),
        ("code_challenge", request.code_challenge),
        ("code_challenge_method", "S256"),
    ]);
    url
}

pub(crate) fn exchange_request(
    config: &Config,
    code: &str,
    redirect_uri: &str,
    code_verifier: &SecretString,
) -> Request {
    let fields = vec![
        ("grant_type", "authorization_code".into()),
        ("code", code.into()),
        ("redirect_uri", redirect_uri.into()),
        ("code_verifier", code_verifier.clone()),
    ];
    token_request(config, fields)
}

pub(crate) fn refresh_request(config: &Config, refresh_token: &SecretString) -> Request {
    let fields = vec![("grant_type", "refresh_token".into()), ("refresh_token", refresh_token.clone())];
    // A refresh replaces nothing, so it does no harm twice.
    Request { idempotent: true, ..token_request(config, fields) }
}

/// Takes back everything that the account granted to this installation.
pub(crate) fn revoke_request(refresh_token: &SecretString) -> Request {
    let fields = vec![("token", refresh_token.clone())];
    request(Host::Login, "/revoke", fields, true)
}

pub(crate) fn token_info_request(access_token: SecretString) -> Request {
    // In the body: addresses are written into logs on their way.
    request(Host::Api, "/oauth2/v2/tokeninfo", vec![("access_token", access_token)], true)
}

fn token_request(config: &Config, mut fields: Vec<(&'static str, SecretString)>) -> Request {
    fields.push(("client_id", config.client_id.as_str().into()));
    fields.push(("client_secret", config.client_secret.clone()));
    request(Host::Login, "/token", fields, false)
}

fn request(host: Host, path: &str, fields: Vec<(&'static str, SecretString)>, idempotent: bool) -> Request {
    Request {
        host,
        class: OAUTH,
        method: Method::POST,
        path: path.to_owned(),
        headers: Vec::new(),
        body: Body::Form(fields),
        idempotent,
    }
}

pub(crate) fn read_grant(response: &Response) -> Result<Grant, Error> {
    const OPERATION: &str = "get tokens from Google";
    error::check(response).map_err(|error| Error { operation: OPERATION, ..error })?;
    let tokens: wire::Tokens = serde_json::from_slice(&response.body)
        .map_err(|error| Error::unreadable("Google", OPERATION, &error))?;
    Ok(Grant {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_in: Some(Duration::from_secs(tokens.expires_in)),
        api_url: None,
    })
}

/// Whose calendar the connection is for, and whether it can do what it must.
pub(crate) async fn account(session: &Session) -> Result<Account, Error> {
    let client = Client::new(session);
    let granted = client.token_info(token_info_request(session.access_token().await?)).await?;
    let scopes: Vec<String> = granted.scope.split_whitespace().map(str::to_owned).collect();
    let user = client.user_info().await?;
    let name = if user.email.is_empty() { "A Google account".to_owned() } else { user.email };
    let missing = missing(&scopes);
    Ok(Account { id: user.sub, name, tier: None, missing, scopes, notices: Vec::new() })
}

fn missing(granted: &[String]) -> Vec<MissingScope> {
    let has = |scope: &str| granted.iter().any(|granted| granted == scope);
    AS_GOOD
        .iter()
        .filter(|(scope, wider, _)| !has(scope) && !wider.iter().any(|scope| has(scope)))
        .map(|(scope, _, consequence)| MissingScope {
            scope: (*scope).to_owned(),
            consequence: (*consequence).to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::try_google("the-app".into(), "s3cret".into()).unwrap()
    }

    #[test]
    fn the_consent_page_is_asked_for_offline_access_with_state_and_challenge() {
        let request = AuthorizeRequest {
            login_url: &config().token_url,
            redirect_uri: "https://a.example/cb?x=1",
            state: "s+1",
            code_challenge: "c-_",
        };
        let url = authorize_url(&config(), &request);
        assert!(url.as_str().starts_with("https://accounts.google.com/o/oauth2/v2/auth?"), "{url}");
        let pairs: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs["state"], "s+1");
        assert_eq!(pairs["redirect_uri"], "https://a.example/cb?x=1");
        assert_eq!((pairs["access_type"].as_str(), pairs["prompt"].as_str()), ("offline", "consent"));
        assert_eq!(pairs["code_challenge_method"], "S256");
        assert_eq!(pairs["scope"].split(' ').count(), 4);
        assert!(!url.as_str().contains("s3cret"));
    }

    #[test]
    fn each_missing_scope_is_explained_and_a_wider_one_is_as_good() {
        let scopes =
            |names: &[&str]| missing(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert!(scopes(&ASKED).is_empty());
        assert!(scopes(&["https://www.googleapis.com/auth/calendar", MEETINGS]).is_empty());
        let missing = scopes(&["openid", EVENTS]);
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].scope, MEETINGS);
        assert!(missing[0].consequence.contains("without their transcripts"));
    }

    #[test]
    fn a_refresh_brings_no_refresh_token_and_the_old_one_stays() {
        let body =
            r#"{"access_token":"ya29.s3cret","expires_in":3599,"scope":"openid","token_type":"Bearer"}"#;
        let response = Response { status: 200, headers: http::HeaderMap::new(), body: body.into() };
        let grant = read_grant(&response).unwrap();
        assert_eq!(grant.expires_in, Some(Duration::from_secs(3_599)));
        assert!(grant.refresh_token.is_none());
        assert!(!format!("{grant:?}").contains("s3cret"));
    }
}
