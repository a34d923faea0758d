//! Connecting a workspace: the consent page, tokens, and what the connection may do.

use std::time::Duration;

use connector::{
    Account, AuthorizeRequest, Body, Error, ErrorKind, Grant, Host, MissingScope, Request, Response, Session,
};
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{client::Client, config::Config, error, wire};

/// The rate class of the token endpoints.
pub(crate) const OAUTH: &str = "oauth";

/// The scopes that are asked for, each with what does not work without it.
const SCOPES: [(&str, &str); 7] = [
    ("chat:write", "Accord cannot post in any channel"),
    ("channels:read", "no public channel can be chosen"),
    ("groups:read", "no private channel can be chosen"),
    (
        "channels:history",
        "Accord cannot see whether a message was posted already, so it could post one twice",
    ),
    (
        "groups:history",
        "Accord cannot see whether a private channel has a message already, so it could post one twice",
    ),
    ("users:read", "Accord cannot see who clicked a button"),
    ("users:read.email", "Accord cannot suggest which of its users somebody in Slack is"),
];

/// What refresh tokens begin with; what else keeps a grant alive is an access token that never ends.
const REFRESH_TOKEN: &str = "xoxe-";

pub(crate) fn authorize_url(config: &Config, request: &AuthorizeRequest<'_>) -> Url {
    let scopes: Vec<&str> = SCOPES.iter().map(|(scope, _)| *scope).collect();
    let mut url = request.login_url.clone();
    url.set_path("/oauth/v2/authorize");
    url.query_pairs_mut()
        .clear()
        .append_pair("client_id", &config.client_id)
        .append_pair("scope", &scopes.join(","))
        .append_pair("redirect_uri", request.redirect_uri)
        .append_pair("state", request.state);
    url
}

pub(crate) fn exchange_request(config: &Config, code: &str, redirect_uri: &str) -> Request {
    token_request(
        config,
        "oauth.v2.access",
        vec![("code", code.into()), ("redirect_uri", redirect_uri.into())],
    )
}

/// A token that never ended, and of which Slack says that it has, belongs to an app that began to rotate tokens since: it is
/// exchanged, once, for one that does.
pub(crate) fn refresh_request(config: &Config, refresh_token: &SecretString) -> Request {
    if !refresh_token.expose_secret().starts_with(REFRESH_TOKEN) {
        return token_request(config, "oauth.v2.exchange", vec![("token", refresh_token.clone())]);
    }
    let fields = vec![("grant_type", "refresh_token".into()), ("refresh_token", refresh_token.clone())];
    token_request(config, "oauth.v2.access", fields)
}

/// Access tokens are revoked, and refresh tokens not: an app that rotates its tokens is removed in Slack.
pub(crate) fn revoke_request(refresh_token: &SecretString) -> Option<Request> {
    if refresh_token.expose_secret().starts_with(REFRESH_TOKEN) {
        return None;
    }
    let fields = vec![("token", refresh_token.clone())];
    Some(Request { idempotent: true, ..form("auth.revoke", fields) })
}

fn token_request(config: &Config, action: &str, mut fields: Vec<(&'static str, SecretString)>) -> Request {
    fields.push(("client_id", config.client_id.as_str().into()));
    fields.push(("client_secret", config.client_secret.clone()));
    form(action, fields)
}

/// A code and a refresh token work once: such calls are not repeated.
fn form(action: &str, fields: Vec<(&'static str, SecretString)>) -> Request {
    Request {
        host: Host::Login,
        class: OAUTH,
        method: Method::POST,
        path: format!("/api/{action}"),
        headers: Vec::new(),
        body: Body::Form(fields),
        idempotent: false,
    }
}

/// A bot token that does not rotate lives until it is revoked. It is then what keeps the grant, as a refresh token would.
pub(crate) fn read_grant(response: &Response) -> Result<Grant, Error> {
    const OPERATION: &str = "get tokens from Slack";
    error::check(response).map_err(|error| {
        let kind = if error.kind == ErrorKind::TokenExpired { ErrorKind::AccessRevoked } else { error.kind };
        Error { operation: OPERATION, kind, ..error }
    })?;
    let tokens: wire::Tokens = serde_json::from_slice(&response.body)
        .map_err(|source| Error::unreadable("Slack", OPERATION, &source))?;
    if tokens.is_enterprise_install {
        let message = "Accord was installed in a whole Enterprise organization: install it in one workspace";
        return Err(Error::new(ErrorKind::Permission, OPERATION, message));
    }
    let refresh_token = tokens.refresh_token.unwrap_or_else(|| tokens.access_token.clone());
    Ok(Grant {
        refresh_token: Some(refresh_token),
        access_token: tokens.access_token,
        expires_in: tokens.expires_in.map(Duration::from_secs),
        api_url: None,
    })
}

/// Which workspace the connection is for, and whether it can do what it must.
pub(crate) async fn account(session: &Session) -> Result<Account, Error> {
    let (identity, scopes) = Client(session).test().await?;
    let missing = SCOPES.into_iter().filter(|(scope, _)| !scopes.iter().any(|granted| granted == scope));
    let missing = missing.map(|(scope, consequence)| MissingScope {
        scope: scope.to_owned(),
        consequence: consequence.to_owned(),
    });
    let missing = missing.collect();
    let wire::Identity { team, team_id } = identity;
    Ok(Account { id: team_id, name: team, tier: None, scopes, missing, notices: Vec::new() })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn grant(body: Value) -> Result<Grant, Error> {
        let (status, headers) = (200, http::HeaderMap::new());
        read_grant(&Response { status, headers, body: Bytes::from(body.to_string()) })
    }

    fn config() -> Config {
        Config {
            client_id: "1.2".to_owned(),
            client_secret: "secret".into(),
            signing_secret: "signing".into(),
            base_url: Url::parse("https://slack.com").unwrap(),
        }
    }

    #[test]
    fn scopes_are_asked_for_with_commas() {
        let login_url = Url::parse("https://slack.com").unwrap();
        let request = AuthorizeRequest {
            login_url: &login_url,
            redirect_uri: "https://a.example/b",
            state: "s",
            code_challenge: "c",
        };
        let url = authorize_url(&config(), &request);
        let scope = url.query_pairs().find(|(name, _)| name == "scope").unwrap().1.into_owned();
        assert!(scope.starts_with("chat:write,channels:read,"), "{scope}");
        assert_eq!(url.path(), "/oauth/v2/authorize");
    }

    #[test]
    fn a_token_without_an_end_is_what_keeps_the_grant() {
        let grant = grant(json!({"ok": true, "access_token": "xoxb-1", "team": {"id": "T1"}})).unwrap();
        assert_eq!(grant.expires_in, None);
        let kept = grant.refresh_token.unwrap();
        assert_eq!(kept.expose_secret(), "xoxb-1");
        assert_eq!(revoke_request(&kept).unwrap().path, "/api/auth.revoke");
        assert_eq!(refresh_request(&config(), &kept).path, "/api/oauth.v2.exchange");
    }

    #[test]
    fn a_token_that_rotates_brings_its_successor() {
        let body = json!({"ok": true, "access_token": "xoxe.xoxb-1-a", "refresh_token": "xoxe-1-b", "expires_in": 43_200});
        let grant = grant(body).unwrap();
        assert_eq!(grant.expires_in, Some(Duration::from_secs(43_200)));
        let kept = grant.refresh_token.unwrap();
        assert_eq!(kept.expose_secret(), "xoxe-1-b");
        assert!(revoke_request(&kept).is_none());
        assert_eq!(refresh_request(&config(), &kept).path, "/api/oauth.v2.access");
    }

    #[test]
    fn an_installation_in_a_whole_enterprise_is_refused_and_a_spent_code_is_a_dead_grant() {
        let body = json!({"ok": true, "access_token": "xoxb-1", "team": null, "is_enterprise_install": true});
        assert_eq!(grant(body).unwrap_err().kind, ErrorKind::Permission);
        for error in ["invalid_code", "code_already_used", "invalid_refresh_token", "token_expired"] {
            let refused = grant(json!({"ok": false, "error": error})).unwrap_err();
            assert_eq!(refused.kind, ErrorKind::AccessRevoked, "{error}");
        }
    }
}
