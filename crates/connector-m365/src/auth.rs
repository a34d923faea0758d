//! Connecting a mailbox: the consent page, tokens, and what the connection may do.

use std::time::Duration;

use connector::{
    Account, AuthorizeRequest, Body, Error, ErrorKind, Grant, Host, MissingScope, Request, Response, Session,
};
use http::Method;
use secrecy::SecretString;
use url::Url;

use crate::{client::Client, config::Config, error, wire};

/// The rate class of the token endpoint.
pub(crate) const LOGIN: &str = "login";

const READ_USER: &str = "User.Read";
const READ_MAIL: &str = "Mail.Read";
const WRITE_MAIL: &str = "Mail.ReadWrite";
const SEND_MAIL: &str = "Mail.Send";

const NO_USER: &str =
    "Accord cannot see whose mailbox this is: allow it to sign you in and read your profile (User.Read)";
const NO_MAIL: &str = "Accord cannot read mail, so nothing is logged: allow it to read your mail";
const NO_SENDING: &str = "Accord reads this mailbox and cannot send from it, so sequences and campaigns do not: connect it again and \
                          allow it to write and send mail (Mail.ReadWrite and Mail.Send)";

pub(crate) fn authorize_url(config: &Config, request: &AuthorizeRequest<'_>) -> Url {
    let mut url = request.login_url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["oauth2", "v2.0", "authorize"]);
    }
    let scopes = ["offline_access", READ_USER, READ_MAIL, WRITE_MAIL, SEND_MAIL].join(" ");
    url.query_pairs_mut()
        .append_pair("client_id", &config.client_id)
        .append_pair("response_type", "code")
        .append_pair("response_mode", "query")
        .append_pair("redirect_uri", request.redirect_uri)
        .append_pair("scope", &scopes)
        .append_pair("state", request.state)
        .append_pair("code_challenge", request.code_challenge)
        .append_pair("code_challenge_method", "S256")
        // Whoever is signed in already may have several mailboxes.
        .append_pair("prompt", "select_account");
    url
}

/// A confidential client proves itself twice: by its secret and by the verifier.
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
    // A code works once.
    token_request(config, fields, false)
}

/// An old refresh token keeps working after a new one was given, so asking twice does no harm.
pub(crate) fn refresh_request(config: &Config, refresh_token: &SecretString) -> Request {
    let fields = vec![("grant_type", "refresh_token".into()), ("refresh_token", refresh_token.clone())];
    token_request(config, fields, true)
}

fn token_request(
    config: &Config,
    mut fields: Vec<(&'static str, SecretString)>,
    idempotent: bool,
) -> Request {
    fields.push(("client_id", config.client_id.as_str().into()));
    fields.push(("client_secret", config.client_secret.clone()));
    Request {
        host: Host::Login,
        class: LOGIN,
        method: Method::POST,
        path: "/oauth2/v2.0/token".to_owned(),
        headers: vec![("Accept", "application/json".to_owned())],
        body: Body::Form(fields),
        idempotent,
    }
}

pub(crate) fn read_grant(response: &Response) -> Result<Grant, Error> {
    const OPERATION: &str = "get tokens from Microsoft";
    error::check(response).map_err(|error| Error { operation: OPERATION, ..error })?;
    let tokens: wire::Tokens = serde_json::from_slice(&response.body)
        .map_err(|source| Error::unreadable("Microsoft", OPERATION, &source))?;
    Ok(Grant {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_in: Some(Duration::from_secs(tokens.expires_in)),
        api_url: None,
    })
}

/// Whose mailbox the connection is for, and whether it can do what it must. Tokens are opaque and nobody tells their scopes,
/// so what they are for is tried.
pub(crate) async fn account(session: &Session) -> Result<Account, Error> {
    let client = Client(session);
    let user = client.me().await.map_err(|error| match error.kind {
        ErrorKind::Permission => Error { message: NO_USER.to_owned(), ..error },
        _ => error,
    })?;
    let user: wire::User = user.read()?;
    let (mut scopes, mut missing, mut notices) = (vec![READ_USER.to_owned()], Vec::new(), Vec::new());
    match client.look().await {
        Ok(_) => scopes.push(READ_MAIL.to_owned()),
        Err(error) if error.kind == ErrorKind::Permission && !error::is_without_mailbox(&error) => {
            missing.push(MissingScope { scope: READ_MAIL.to_owned(), consequence: NO_MAIL.to_owned() });
        }
        Err(error) => return Err(error),
    }
    // Who does not allow it is read all the same.
    let may = client.may_write_and_send().await?;
    scopes.extend(
        [WRITE_MAIL, SEND_MAIL]
            .into_iter()
            .zip(may)
            .filter(|(_, may)| *may)
            .map(|(scope, _)| scope.to_owned()),
    );
    if may != [true, true] {
        notices.push(NO_SENDING.to_owned());
    }
    let names = [user.mail, user.user_principal_name, user.display_name].into_iter().flatten();
    let name = names.map(|name| name.0).find(|name| !name.is_empty());
    Ok(Account {
        name: name.unwrap_or_else(|| format!("mailbox {}", user.id)),
        id: user.id,
        tier: None,
        scopes,
        missing,
        notices,
    })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn config() -> Config {
        Config {
            client_id: "the-app".into(),
            client_secret: "s3cret".into(),
            login_url: crate::LOGIN_URL.parse().unwrap(),
            graph_url: crate::GRAPH_URL.parse().unwrap(),
        }
    }

    #[test]
    fn the_consent_page_is_asked_with_scopes_state_and_challenge() {
        let request = AuthorizeRequest {
            login_url: &"https://login.microsoftonline.com/common".parse().unwrap(),
            redirect_uri: "https://a.example/cb?x=1",
            state: "s+1",
            code_challenge: "c-_",
        };
        let url = authorize_url(&config(), &request);
        assert_eq!(url.path(), "/common/oauth2/v2.0/authorize");
        let pairs: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs["state"], "s+1");
        assert_eq!(pairs["scope"], "offline_access User.Read Mail.Read Mail.ReadWrite Mail.Send");
        assert_eq!(pairs["redirect_uri"], "https://a.example/cb?x=1");
        assert_eq!(
            (pairs["code_challenge"].as_str(), pairs["code_challenge_method"].as_str()),
            ("c-_", "S256")
        );
        assert!(!url.as_str().contains("s3cret"));
    }

    #[test]
    fn a_grant_keeps_the_new_refresh_token() {
        let body = r#"{"token_type":"Bearer","scope":"Mail.Read User.Read","expires_in":3599,"ext_expires_in":3599,
            "access_token":"eyJ0","refresh_token":"1.AX2"}"#;
        let response = Response { status: 200, headers: http::HeaderMap::new(), body: body.into() };
        let grant = read_grant(&response).unwrap();
        assert_eq!(grant.expires_in, Some(Duration::from_secs(3_599)));
        assert_eq!(grant.refresh_token.as_ref().unwrap().expose_secret(), "1.AX2");
        assert!(!format!("{grant:?}").contains("1.AX2"));
    }

    #[test]
    fn only_a_refresh_may_be_asked_twice() {
        assert!(refresh_request(&config(), &"r".into()).idempotent);
        assert!(!exchange_request(&config(), "c", "https://a.example", &"v".into()).idempotent);
    }
}
