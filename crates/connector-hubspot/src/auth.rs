//! Connecting a portal: the consent page, tokens, and what the connection may do.

use std::time::Duration;

use connector::{
    Account, AuthorizeRequest, Body, Error, ErrorKind, Grant, Host, MissingScope, Request, Response, Session,
};
use http::Method;
use secrecy::SecretString;
use url::Url;

use crate::{
    client::Client,
    config::{Config, Paths},
    error, wire,
};

/// The rate class of the token endpoints.
pub(crate) const OAUTH: &str = "oauth";

/// The objects that every portal has, with what one of them is called.
const OBJECTS: [(&str, &str); 3] = [("companies", "company"), ("deals", "deal"), ("contacts", "contact")];

/// The scopes without which something does not work, each with what that is.
fn required() -> impl Iterator<Item = MissingScope> {
    let of = |(objects, one): (&str, &str)| {
        [
            (
                format!("crm.objects.{objects}.read"),
                format!(
                    "Accord cannot read {objects}: the user who connects needs HubSpot CRM read permission"
                ),
            ),
            (
                format!("crm.objects.{objects}.write"),
                format!(
                    "Accord cannot update {objects}: the user who connects needs HubSpot CRM write permission"
                ),
            ),
            (
                format!("crm.schemas.{objects}.read"),
                format!("Accord cannot see which properties {objects} have, so they cannot be mapped"),
            ),
            (
                format!("crm.schemas.{objects}.write"),
                format!("Accord cannot add its record id to {objects}, so it could create a {one} twice"),
            ),
        ]
    };
    let itself = ("oauth".to_owned(), "Accord cannot connect to HubSpot at all".to_owned());
    std::iter::once(itself)
        .chain(OBJECTS.into_iter().flat_map(of))
        .map(|(scope, consequence)| MissingScope { scope, consequence })
}

/// Only a portal whose subscription has custom objects grants this one.
const CUSTOM_OBJECTS: &str = "crm.schemas.custom.read";
const OPTIONAL: [&str; 5] = [
    "crm.objects.owners.read",
    CUSTOM_OBJECTS,
    "crm.schemas.custom.write",
    "crm.objects.custom.read",
    "crm.objects.custom.write",
];

const ENTERPRISE: &str = "Enterprise";
const BELOW_ENTERPRISE: &str = "Free to Professional";
const LIMITS_BELOW_ENTERPRISE: &str = "This portal's subscription has no custom objects, which need HubSpot \
    Enterprise: companies, deals and contacts sync. HubSpot gives a free account the same five searches and eleven other calls \
    a second but fewer features; what it refuses is shown here in its own words.";
const TEST_PORTAL: &str = "This is a test or sandbox portal of HubSpot, not a live one.";

pub(crate) fn authorize_url(config: &Config, request: &AuthorizeRequest<'_>) -> Url {
    let scopes: Vec<String> = required().map(|required| required.scope).collect();
    let mut url = config.app_url.clone();
    url.set_path("/oauth/authorize");
    // HubSpot documents `%20` between scopes, which a form-encoded `+` is not.
    let mut query = serde_urlencoded::to_string([
        ("client_id", config.client_id.as_str()),
        ("redirect_uri", request.redirect_uri),
        ("scope", &scopes.join(" ")),
        ("optional_scope", &OPTIONAL.join(" ")),
        ("state", request.state),
        ("code_challenge", request.code_challenge),
        ("code_challenge_method", "S256"),
    ])
    .unwrap_or_default();
    query = query.replace('+', "%20");
    url.set_query(Some(&query));
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
    token_request(config, "", fields)
}

pub(crate) fn refresh_request(config: &Config, refresh_token: &SecretString) -> Request {
    let fields = vec![("grant_type", "refresh_token".into()), ("refresh_token", refresh_token.clone())];
    token_request(config, "", fields)
}

pub(crate) fn revoke_request(config: &Config, refresh_token: &SecretString) -> Request {
    let fields = vec![("token", refresh_token.clone()), ("token_type_hint", "refresh_token".into())];
    Request { idempotent: true, ..token_request(config, "/revoke", fields) }
}

pub(crate) fn introspect_request(config: &Config, access_token: SecretString) -> Request {
    let fields = vec![("token", access_token), ("token_type_hint", "access_token".into())];
    Request { idempotent: true, ..token_request(config, "/introspect", fields) }
}

/// A call of the token endpoint, which takes its parameters in the body only. A code works once, and a refresh token
/// may: such calls are not repeated blindly.
fn token_request(config: &Config, action: &str, mut fields: Vec<(&'static str, SecretString)>) -> Request {
    fields.push(("client_id", config.client_id.as_str().into()));
    fields.push(("client_secret", config.client_secret.clone()));
    Request {
        host: Host::Login,
        class: OAUTH,
        method: Method::POST,
        path: format!("{}{action}", Paths(config.api_version).token()),
        headers: Vec::new(),
        body: Body::Form(fields),
        idempotent: false,
    }
}

pub(crate) fn read_grant(response: &Response) -> Result<Grant, Error> {
    const OPERATION: &str = "get tokens from HubSpot";
    error::check(response).map_err(|error| Error { operation: OPERATION, ..error })?;
    let tokens: wire::Tokens = serde_json::from_slice(&response.body)
        .map_err(|error| Error::unreadable("HubSpot", OPERATION, &error))?;
    Ok(Grant {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        expires_in: Some(Duration::from_secs(tokens.expires_in)),
        api_url: None,
    })
}

/// Which portal the connection is for, and whether it can do what it must.
pub(crate) async fn account(config: &Config, session: &Session) -> Result<Account, Error> {
    let client = Client::new(session, config.api_version);
    let info = client.token_info(introspect_request(config, session.access_token().await?)).await?;
    let info: wire::TokenInfo = info.read()?;
    if !info.active {
        let message = "HubSpot does not know the connection's access token";
        return Err(Error::new(ErrorKind::TokenExpired, "read the HubSpot portal", message));
    }
    let mut missing = missing(&info.scopes);
    if !missing.iter().any(|missing| missing.scope == "crm.objects.companies.read") {
        match client.list("companies", "limit=1").await {
            Ok(_) => {}
            Err(refusal) if refusal.kind == ErrorKind::Permission => missing.push(no_crm(&refusal)),
            Err(other) => return Err(other),
        }
    }
    let details = client.account_details().await?;
    let details: wire::AccountDetails = details.read()?;
    let enterprise = info.scopes.iter().any(|scope| scope == CUSTOM_OBJECTS);
    let mut notices = Vec::new();
    if !enterprise {
        notices.push(LIMITS_BELOW_ENTERPRISE.to_owned());
    }
    if !matches!(details.account_type.as_str(), "" | "STANDARD") {
        notices.push(TEST_PORTAL.to_owned());
    }
    Ok(Account {
        id: info.hub_id.to_string(),
        name: info.hub_domain.unwrap_or_else(|| format!("HubSpot portal {}", info.hub_id)),
        tier: Some(if enterprise { ENTERPRISE } else { BELOW_ENTERPRISE }.to_owned()),
        scopes: info.scopes,
        missing,
        notices,
    })
}

fn missing(granted: &[String]) -> Vec<MissingScope> {
    required().filter(|required| !granted.contains(&required.scope)).collect()
}

fn no_crm(refusal: &Error) -> MissingScope {
    let consequence = format!(
        "this HubSpot portal does not give access to its CRM, so nothing can sync; choose a portal with \
         CRM access ({})",
        refusal.message
    );
    MissingScope { scope: "CRM access".to_owned(), consequence }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            client_id: "the-app".into(),
            client_secret: "s3cret".into(),
            base_url: "https://api.hubapi.com".parse().unwrap(),
            app_url: "https://app.hubspot.com".parse().unwrap(),
            api_version: crate::ApiVersion::Classic,
        }
    }

    #[test]
    fn the_consent_page_is_asked_with_scopes_state_and_challenge() {
        let request = AuthorizeRequest {
            login_url: &config().base_url,
            redirect_uri: "https://a.example/cb?x=1",
            state: "s+1",
            code_challenge: "c-_",
        };
        let url = authorize_url(&config(), &request);
        assert_eq!(url.path(), "/oauth/authorize");
        assert!(url.as_str().contains("scope=oauth%20crm.objects.companies.read%20"));
        let pairs: std::collections::HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(pairs["state"], "s+1");
        assert_eq!(pairs["redirect_uri"], "https://a.example/cb?x=1");
        assert_eq!(pairs["code_challenge_method"], "S256");
        assert!(!pairs["optional_scope"].contains('+'));
        assert!(!url.as_str().contains("s3cret"));
    }

    #[test]
    fn each_missing_scope_is_explained() {
        let granted = required().map(|required| required.scope);
        let granted: Vec<String> = granted.filter(|scope| scope != "crm.objects.deals.write").collect();
        let missing = missing(&granted);
        assert_eq!(missing.len(), 1);
        assert_eq!(missing[0].scope, "crm.objects.deals.write");
        assert!(missing[0].consequence.contains("write permission"));
    }

    #[test]
    fn a_grant_keeps_the_new_refresh_token() {
        let body = r#"{"token_type":"bearer","refresh_token":"na1-2","access_token":"CJ","expires_in":1800}"#;
        let response = Response { status: 200, headers: http::HeaderMap::new(), body: body.into() };
        let grant = read_grant(&response).unwrap();
        assert_eq!(grant.expires_in, Some(Duration::from_secs(1800)));
        assert!(grant.refresh_token.is_some());
        assert!(!format!("{grant:?}").contains("na1-2"));
    }
}
