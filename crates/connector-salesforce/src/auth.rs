//! Connecting an organization: the consent page, tokens, and what the connection may do.

use connector::{
    Account, AuthorizeRequest, Body, Error, ErrorKind, Grant, Host, MissingScope, Request, Response, Session,
};
use http::Method;
use secrecy::SecretString;
use url::Url;

use crate::{
    client::Client,
    config::Config,
    error, login,
    objects::{EDITIONS_WITH_EVENTS, NAMES},
    wire,
};

/// The rate class of the token endpoints.
pub(crate) const LOGIN: &str = "login";

/// The scopes that are asked for. `refresh_token` is also known as `offline_access`.
const SCOPES: &str = "api refresh_token id";
/// The scope without which there is no call of the API.
const API: &str = "api";
/// What is being done when a connection is made.
const OPERATION: &str = "read the Salesforce organization";

const SANDBOX: &str = "This is a sandbox or scratch organization of Salesforce, not a live one.";
const NO_EVENTS: &str = "This edition of Salesforce has no Change Data Capture: changes are polled, so they arrive within a \
    minute instead of seconds.";

pub(crate) fn authorize_url(config: &Config, request: &AuthorizeRequest<'_>) -> Url {
    let mut url = request.login_url.clone();
    url.set_path("/services/oauth2/authorize");
    url.query_pairs_mut()
        .clear()
        .append_pair("response_type", "code")
        .append_pair("client_id", &config.client_id)
        .append_pair("redirect_uri", request.redirect_uri)
        .append_pair("scope", SCOPES)
        .append_pair("state", request.state)
        .append_pair("code_challenge", request.code_challenge)
        .append_pair("code_challenge_method", "S256");
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
    token_request(config, "token", fields)
}

pub(crate) fn refresh_request(config: &Config, refresh_token: &SecretString) -> Request {
    let fields = vec![("grant_type", "refresh_token".into()), ("refresh_token", refresh_token.clone())];
    token_request(config, "token", fields)
}

pub(crate) fn revoke_request(config: &Config, refresh_token: &SecretString) -> Request {
    let request = token_request(config, "revoke", vec![("token", refresh_token.clone())]);
    Request { idempotent: true, ..request }
}

fn introspect_request(config: &Config, access_token: SecretString) -> Request {
    let fields = vec![("token", access_token), ("token_type_hint", "access_token".into())];
    Request { idempotent: true, ..token_request(config, "introspect", fields) }
}

/// A code works once, and where refresh tokens rotate, using one twice ends the grant: such calls are not repeated.
fn token_request(config: &Config, action: &str, mut fields: Vec<(&'static str, SecretString)>) -> Request {
    fields.push(("client_id", config.client_id.as_str().into()));
    fields.push(("client_secret", config.client_secret.clone()));
    Request {
        host: Host::Login,
        class: LOGIN,
        method: Method::POST,
        path: format!("/services/oauth2/{action}"),
        headers: vec![("Accept", "application/json".to_owned())],
        body: Body::Form(fields),
        idempotent: false,
    }
}

pub(crate) fn read_grant(config: &Config, response: &Response) -> Result<Grant, Error> {
    const OPERATION: &str = "get tokens from Salesforce";
    error::check(response).map_err(|error| Error { operation: OPERATION, ..error })?;
    let tokens: wire::Tokens = serde_json::from_slice(&response.body)
        .map_err(|source| Error::unreadable("Salesforce", OPERATION, &source))?;
    Ok(Grant {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_in: None,
        api_url: Some(login::api_url(config.login_url.as_ref(), &tokens.instance_url)?),
    })
}

/// Which organization the connection is for, and whether it can do what it must. The login says first what the token is
/// good for: without the scope, or the permission, to call the API, nothing else can be asked.
pub(crate) async fn account(config: &Config, session: &Session) -> Result<Account, Error> {
    let client = Client(session);
    let info = token_info(config, client).await?;
    let scopes: Vec<String> = info.scope.split_whitespace().map(str::to_owned).collect();
    let missing: Vec<MissingScope> = missing_scopes(&scopes).collect();
    let mut known = Account {
        id: organization_of(&info.sub).to_owned(),
        name: "Salesforce".to_owned(),
        tier: None,
        scopes,
        missing,
        notices: Vec::new(),
    };
    if known.missing.iter().any(|missing| missing.scope == API) {
        return Ok(known);
    }
    let organization = match organization(client).await {
        Ok(organization) => organization,
        Err(error) if error::is_api_disabled(&error) => {
            known.missing.push(MissingScope { scope: "API Enabled".to_owned(), consequence: error.message });
            return Ok(known);
        }
        Err(error) => return Err(error),
    };
    let global = client.global().await?;
    known.missing.extend(missing_rights(&global.read()?));
    let mut notices = Vec::new();
    let tier = organization.organization_type;
    if tier.as_deref().is_some_and(|tier| EDITIONS_WITH_EVENTS.iter().all(|edition| !tier.contains(edition)))
    {
        notices.push(NO_EVENTS.to_owned());
    }
    if organization.is_sandbox {
        notices.push(SANDBOX.to_owned());
    }
    let instance = organization.instance_name.unwrap_or_default();
    let name =
        if organization.name.is_empty() { format!("Salesforce {instance}") } else { organization.name };
    Ok(Account { id: organization.id, name, tier, notices, ..known })
}

/// What the token is good for. One that is over is renewed, where it can be.
async fn token_info(config: &Config, client: Client<'_>) -> Result<wire::TokenInfo, Error> {
    let session = client.session();
    let mut token = session.access_token().await?;
    for is_renewed in [false, true] {
        let info: wire::TokenInfo =
            client.token_info(introspect_request(config, token.clone())).await?.read()?;
        if info.active {
            return Ok(info);
        }
        if !is_renewed {
            token = session.renewed_access_token(&token).await?;
        }
    }
    let message = "Salesforce does not know the connection's access token";
    Err(Error::new(ErrorKind::TokenExpired, OPERATION, message))
}

/// The organization in the address of an identity, which ends in its id and the user's.
fn organization_of(identity: &str) -> &str {
    identity.rsplit('/').nth(1).unwrap_or_default()
}

async fn organization(client: Client<'_>) -> Result<wire::Organization, Error> {
    let soql = "SELECT Id, Name, OrganizationType, IsSandbox, InstanceName FROM Organization";
    let rows = client.query(soql, false).await.map_err(|error| Error { operation: OPERATION, ..error })?;
    let rows: wire::Rows<wire::Organization> = rows.read()?;
    rows.records.into_iter().next().ok_or_else(|| {
        let message =
            "the user who connected may not see the organization: it needs \"View Setup and Configuration\"";
        Error::new(ErrorKind::Permission, OPERATION, message)
    })
}

fn missing_scopes(granted: &[String]) -> impl Iterator<Item = MissingScope> {
    let has = |names: &[&str]| granted.iter().any(|scope| names.contains(&scope.as_str()));
    let rows = [
        (has(&[API, "full"]), API, "Accord cannot call Salesforce's API, so nothing can sync"),
        (
            has(&["refresh_token", "offline_access"]),
            "refresh_token",
            "the connection ends with the user's session: allow the app to \"perform requests at any time\"",
        ),
    ];
    rows.into_iter().filter(|(has, ..)| !has).map(|(_, scope, consequence)| MissingScope {
        scope: scope.to_owned(),
        consequence: consequence.to_owned(),
    })
}

/// Rights on objects that the user who connected does not have, in words.
fn missing_rights(global: &wire::Global) -> Vec<MissingScope> {
    let mut missing = Vec::new();
    for name in NAMES {
        let object = global.sobjects.iter().find(|object| object.name == name);
        let rights = [
            (object.is_some_and(|object| object.queryable), "Read", "read it"),
            (object.is_some_and(|object| object.createable), "Create", "create records of it"),
            (object.is_some_and(|object| object.updateable), "Edit", "update it"),
        ];
        let lacking = rights.iter().filter(|(has, ..)| !has);
        missing.extend(lacking.map(|(_, right, deed)| MissingScope {
            scope: format!("{name}: {right}"),
            consequence: format!(
                "Accord cannot {deed}: give the user who connects the object permission \"{right}\" on {name}"
            ),
        }));
    }
    missing
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn config(login_url: Option<&str>) -> Config {
        Config {
            client_id: "3MVG9".into(),
            client_secret: "s3cret".into(),
            login_url: login_url.map(|url| url.parse().unwrap()),
            pubsub_url: crate::PUBSUB_URL.parse().unwrap(),
            longest_silence: crate::LONGEST_SILENCE,
            pubsub_authority: None,
            bulk_from: crate::BULK_FROM,
        }
    }

    #[test]
    fn the_consent_page_is_asked_with_scopes_state_and_challenge() {
        let login_url = "https://acme.my.salesforce.com".parse().unwrap();
        let request = AuthorizeRequest {
            login_url: &login_url,
            redirect_uri: "https://a.example/cb?x=1",
            state: "s+1",
            code_challenge: "c-_",
        };
        let url = authorize_url(&config(None), &request);
        assert_eq!(url.host_str(), Some("acme.my.salesforce.com"));
        let pairs: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs["state"], "s+1");
        assert_eq!(pairs["scope"], "api refresh_token id");
        assert_eq!(pairs["redirect_uri"], "https://a.example/cb?x=1");
        assert_eq!(pairs["code_challenge_method"], "S256");
        assert!(!url.as_str().contains("s3cret"));
    }

    #[test]
    fn a_grant_has_no_end_and_the_address_of_the_organization() {
        let answer =
            |body: &'static str| Response { status: 200, headers: http::HeaderMap::new(), body: body.into() };
        let classic =
            r#"{"access_token":"00D!AR","instance_url":"https://acme.my.salesforce.com","issued_at":"1"}"#;
        let grant = read_grant(&config(None), &answer(classic)).unwrap();
        assert!(grant.refresh_token.is_none() && grant.expires_in.is_none());
        assert_eq!(grant.api_url.unwrap().as_str(), "https://acme.my.salesforce.com/");
        let rotated =
            r#"{"access_token":"a","refresh_token":"r2","instance_url":"https://acme.my.salesforce.com"}"#;
        let grant = read_grant(&config(None), &answer(rotated)).unwrap();
        assert_eq!(grant.refresh_token.unwrap().expose_secret(), "r2");
        let elsewhere = r#"{"access_token":"a","instance_url":"https://evil.example"}"#;
        assert_eq!(read_grant(&config(None), &answer(elsewhere)).unwrap_err().kind, ErrorKind::Protocol);
    }

    #[test]
    fn what_is_missing_is_said_in_words() {
        let global: wire::Global = serde_json::from_str(
            r#"{"sobjects":[{"name":"Account","queryable":true,"createable":true,"updateable":false},
                {"name":"Contact","queryable":true,"createable":true,"updateable":true},
                {"name":"Opportunity","queryable":true,"createable":true,"updateable":true}]}"#,
        )
        .unwrap();
        let missing = missing_rights(&global);
        let scopes: Vec<&str> = missing.iter().map(|missing| missing.scope.as_str()).collect();
        assert_eq!(scopes, ["Account: Edit", "Lead: Read", "Lead: Create", "Lead: Edit"]);
        assert!(missing[0].consequence.contains("object permission \"Edit\" on Account"));
        let scopes: Vec<_> = missing_scopes(&["full".into()]).map(|missing| missing.scope).collect();
        assert_eq!(scopes, ["refresh_token"]);
    }
}
