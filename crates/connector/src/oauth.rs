//! The four steps of an authorization: begin, start, complete, confirm. The first and the last are made by a person or
//! program that has proved who it is, the two between by a browser that has not. What the vendor gave that browser is
//! exchanged only when the one who began confirms, so that nobody's account is joined to another's organization by
//! a link that was sent around.

use std::{sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bus::outbox;
use model::{Caller, ConnectionChanged, ConnectionId, OrganizationId, kind};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use crate::{
    Account, AuthorizeRequest, Connector, Error, ErrorKind, Grant, Session,
    core::Core,
    failure::Failure,
    publisher::Publisher,
    session::{FixedToken, Line, Site},
    store::{Authorization, Connection, NewAuthorization, NewConnection, Store, TokenRow},
    tokens::{ACCESS, REFRESH_TOKEN},
};

/// How long the address to begin at may be opened, once: it is opened at once by the browser that asked for it, and
/// should be worth little to anybody else.
const TICKET_LASTS: Duration = Duration::from_secs(120);
/// How long the consent may take from then on.
const FLOW_LASTS: Duration = Duration::from_secs(600);
/// How long what the vendor gave waits to be confirmed; the vendor's own patience is not much longer.
const CODE_LASTS: Duration = Duration::from_secs(300);
/// So much is repeated of a vendor's code for a refusal.
const LONGEST_ERROR: usize = 60;
const VERIFIER: &str = "pkce_verifier";
const CODE: &str = "authorization_code";
/// The console's page that confirms in the name of whoever is signed in there.
const CONFIRM_PATH: &str = "settings/integrations/return";

/// Why an authorization ended without a connection.
#[derive(Debug)]
pub(crate) struct Refusal {
    /// A stable code.
    pub(crate) code: &'static str,
    /// In words for people.
    pub(crate) message: String,
    /// Whether the browser did not prove that the flow is its own.
    pub(crate) forged: bool,
}

/// How a step of an authorization fails.
#[derive(Debug)]
pub(crate) enum OauthFailure {
    /// It is refused.
    Refused(Refusal),
    /// It could not be decided.
    Failed(Failure),
}

impl<T: Into<Failure>> From<T> for OauthFailure {
    fn from(failure: T) -> Self {
        Self::Failed(failure.into())
    }
}

/// What the vendor sent back with the browser.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Callback<'a> {
    pub(crate) vendor: &'a str,
    pub(crate) state: &'a str,
    pub(crate) code: &'a str,
    pub(crate) error: &'a str,
    pub(crate) nonce: &'a str,
}

/// What somebody wants authorized.
#[derive(Clone, Copy)]
pub(crate) struct NewFlow<'a> {
    pub(crate) organization: OrganizationId,
    pub(crate) actor: &'a str,
    pub(crate) connector: &'a dyn Connector,
    /// The connection that is authorized again.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) return_path: &'a str,
    /// Where to sign in, see [`Connector::login_url`].
    pub(crate) site: &'a str,
}

/// Step 1: a ticket for the browser.
pub(crate) async fn begin(core: &Core, flow: &NewFlow<'_>) -> Result<Url, Failure> {
    let (ticket, now) = (random_text(), core.now());
    let authorization = NewAuthorization {
        id: Uuid::new_v4(),
        organization: flow.organization,
        vendor: flow.connector.vendor().name,
        connection: flow.connection,
        actor: flow.actor,
        return_path: flow.return_path,
        site: flow.site,
        ticket_hash: &hash(&ticket),
        expires_at: now + TICKET_LASTS,
    };
    core.store.begin_authorization(&authorization, now).await?;
    let mut url = below(&core.config.api_url, "oauth/start");
    url.query_pairs_mut().append_pair("ticket", &ticket);
    Ok(url)
}

/// Step 2: the ticket is spent for the vendor's consent page and a nonce for the browser.
pub(crate) async fn start(core: &Core, ticket: &str) -> Result<(Url, String), OauthFailure> {
    let unknown =
        || refused("oauth_ticket_unknown", "This link was used already or is too old. Start again.", true);
    let authorization = core.store.ticket(&hash(ticket), core.now()).await?.ok_or_else(unknown)?;
    let connector = core.connectors.get(authorization.vendor.as_str()).ok_or_else(unknown)?;
    let login_url = connector.login_url(&authorization.site).map_err(vendor_refused)?;
    let (state, nonce, verifier) = (random_text(), random_text(), random_text());
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(hash(&verifier));
    let sealer = core.sealer(authorization.organization, &authorization.id.to_string());
    let sealed = sealer.seal(VERIFIER, &SecretString::from(verifier))?;
    let (state_hash, nonce_hash, ends) = (hash(&state), hash(&nonce), core.now() + FLOW_LASTS);
    let store = &core.store;
    if !store.start_authorization(authorization.id, &state_hash, &nonce_hash, &sealed, ends).await? {
        return Err(unknown());
    }
    let url = connector.authorize_url(&AuthorizeRequest {
        login_url: &login_url,
        redirect_uri: redirect_uri(core, &authorization.vendor).as_str(),
        state: &state,
        code_challenge: &challenge,
    });
    Ok((url, nonce))
}

/// Step 3: the browser came back. The console's address where it is confirmed.
pub(crate) async fn complete(core: &Core, callback: &Callback<'_>) -> Result<Url, OauthFailure> {
    let spent = core.store.complete_authorization(&hash(callback.state), core.now()).await?;
    let Some(authorization) = spent.filter(|authorization| authorization.vendor == callback.vendor) else {
        let refusal = Refusal {
            code: "oauth_state_unknown",
            message: "This authorization was not started here, was used already, or is too old. Start again."
                .to_owned(),
            forged: true,
        };
        // The browser's nonce may tell whose flow this was; else there is no organization to tell.
        if let Some(authorization) = core.store.authorization_of_nonce(&hash(callback.nonce)).await? {
            tell_refused(core, &authorization, &refusal).await?;
        }
        tracing::warn!(vendor = callback.vendor, "an authorization came back with an unknown state");
        return Err(OauthFailure::Refused(refusal));
    };
    let kept = keep(core, callback, &authorization).await;
    told(core, &authorization, kept).await
}

/// Step 4: whoever began confirms. The connection, and the console's path to go to.
pub(crate) async fn confirm(
    core: &Core,
    caller: &Caller,
    token: &str,
) -> Result<(Connection, String), OauthFailure> {
    let Some(authorization) = core.store.take_code(&hash(token), core.now()).await? else {
        let message =
            "This consent was confirmed already, or is unknown here. If nothing is connected, start again.";
        return Err(refused("oauth_confirm_unknown", message, true));
    };
    let is_own =
        authorization.organization == caller.organization && authorization.actor == caller.actor.to_string();
    if !is_own {
        let refusal = Refusal {
            code: "oauth_confirm_not_yours",
            message: "Somebody else began this authorization, so nothing was connected. Begin it yourself from Settings > Integrations."
                .to_owned(),
            forged: true,
        };
        tell_not_yours(core, authorization, caller, &refusal).await?;
        return Err(OauthFailure::Refused(refusal));
    }
    let connected = finish(core, &authorization).await;
    let connection = told(core, &authorization, connected).await?;
    Ok((connection, authorization.return_path))
}

/// Tells those who were kept apart: the organization of the flow, and that of the one who came with its consent. Neither
/// learns anything of the other.
async fn tell_not_yours(
    core: &Core,
    flow: Authorization,
    caller: &Caller,
    refusal: &Refusal,
) -> Result<(), Failure> {
    let is_colleague = flow.organization == caller.organization;
    if !is_colleague {
        tell_refused(core, &flow, refusal).await?;
    }
    let came = Authorization {
        organization: caller.organization,
        actor: caller.actor.to_string(),
        connection: flow.connection.filter(|_| is_colleague),
        ..flow
    };
    tell_refused(core, &came, refusal).await
}

/// Tells the audit log of a refusal, and passes on what there was.
async fn told<T>(
    core: &Core,
    authorization: &Authorization,
    outcome: Result<T, OauthFailure>,
) -> Result<T, OauthFailure> {
    if let Err(OauthFailure::Refused(refusal)) = &outcome {
        tell_refused(core, authorization, refusal).await?;
    }
    outcome
}

/// Keeps the code of a callback that is in order, sealed, until it is confirmed.
async fn keep(
    core: &Core,
    callback: &Callback<'_>,
    authorization: &Authorization,
) -> Result<Url, OauthFailure> {
    let nonce_fits = authorization.nonce_hash == hash(callback.nonce);
    if !nonce_fits {
        let message = "This browser did not start the authorization. Start again.";
        return Err(refused("oauth_nonce_mismatch", message, true));
    }
    if !callback.error.is_empty() || callback.code.is_empty() {
        return Err(not_consented(core, callback, authorization));
    }
    let sealer = core.sealer(authorization.organization, &authorization.id.to_string());
    let code = sealer.seal(CODE, &SecretString::from(callback.code))?;
    let (token, expires_at) = (random_text(), core.now() + CODE_LASTS);
    core.store.keep_code(authorization.id, &hash(&token), &code, expires_at).await?;
    let mut url = below(&core.config.console_url, CONFIRM_PATH);
    url.query_pairs_mut().append_pair("confirm", &token);
    Ok(url)
}

/// Why a browser came back without a code. What it says of it is a code of the vendor, and no text to repeat.
fn not_consented(core: &Core, callback: &Callback<'_>, authorization: &Authorization) -> OauthFailure {
    let connector = core.connectors.get(authorization.vendor.as_str());
    match (callback.error, connector) {
        ("invalid_scope", Some(connector)) => {
            let (label, asked) = (connector.vendor().label, scopes_asked_for(core, connector.as_ref()));
            let message = format!(
                "Not connected: {label} does not let Accord's app ask for all of the scopes that it needs ({asked}). \
                 An administrator adds them to the app at {label}."
            );
            refused("missing_scopes", message, false)
        }
        ("" | "access_denied", _) | (_, None) => {
            let message = "The authorization was cancelled at the vendor. Nothing was connected.";
            refused("oauth_denied", message, false)
        }
        (error, Some(connector)) => {
            let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || *letter == '_';
            let code: String = error.chars().filter(is_plain).take(LONGEST_ERROR).collect();
            let label = connector.vendor().label;
            let message = format!(
                "{label} did not let the user authorize Accord's app ({code}). Nothing was connected. An administrator \
                 of {label} can say why, and allow it."
            );
            refused("oauth_denied", message, false)
        }
    }
}

/// The scopes that the vendor's consent page is asked for.
fn scopes_asked_for(core: &Core, connector: &dyn Connector) -> String {
    let page = connector.authorize_url(&AuthorizeRequest {
        login_url: connector.base_url(),
        redirect_uri: redirect_uri(core, connector.vendor().name).as_str(),
        state: "",
        code_challenge: "",
    });
    let scope = page.query_pairs().find(|(name, _)| name == "scope");
    scope.map(|(_, scopes)| scopes.into_owned()).unwrap_or_default()
}

/// Exchanges what was kept, and connects.
async fn finish(core: &Core, authorization: &Authorization) -> Result<Connection, OauthFailure> {
    if authorization.expires_at <= core.now() {
        let message = "The consent was confirmed too late, so nothing was connected. Start again and confirm within five minutes.";
        return Err(refused("oauth_confirm_expired", message, false));
    }
    let connector = core
        .connectors
        .get(authorization.vendor.as_str())
        .ok_or_else(|| refused("vendor_unknown", "This vendor is not served here.", false))?;
    let site = Site::new(connector.as_ref(), &authorization.site, "").map_err(vendor_refused)?;
    let line = Line::new(connector.clone(), core.http.clone(), core.clock.clone(), site);
    let grant = exchange(core, &line, authorization).await?;
    if let Some(api_url) = &grant.api_url {
        line.site.api.store(Arc::new(api_url.clone()));
    }
    let session = Session::new(line.clone(), Arc::new(FixedToken(grant.access_token.clone())));
    let account = match connector.account(&session).await {
        Ok(account) => account.storable(),
        Err(error) => {
            take_back(&line, &grant).await;
            return Err(vendor_refused(error));
        }
    };
    if let Err(refusal) = check_account(core, authorization, &account, &grant).await {
        take_back(&line, &grant).await;
        return Err(refusal);
    }
    connect(core, connector.as_ref(), authorization, &account, &grant).await
}

async fn exchange(core: &Core, line: &Line, authorization: &Authorization) -> Result<Grant, OauthFailure> {
    let sealer = core.sealer(authorization.organization, &authorization.id.to_string());
    let (Some(code), Some(verifier)) = (&authorization.code, &authorization.verifier) else {
        let message = "This authorization was not started. Start again.";
        return Err(refused("oauth_state_unknown", message, true));
    };
    let (code, verifier) = (sealer.open(CODE, code)?, sealer.open(VERIFIER, verifier)?);
    let redirect_uri = redirect_uri(core, &authorization.vendor);
    let request = line.connector.exchange_request(code.expose_secret(), redirect_uri.as_str(), &verifier);
    let answer = line.call_unchecked(&request).await.map_err(vendor_refused)?;
    line.connector.read_grant(&answer).map_err(vendor_refused)
}

fn vendor_refused(error: Error) -> OauthFailure {
    if error.is_transient() {
        return OauthFailure::Failed(error.into());
    }
    let code = match error.kind {
        ErrorKind::Permission => "missing_scopes",
        _ => "oauth_exchange_refused",
    };
    refused(code, error.message, false)
}

/// The scopes are enough, and an existing connection stays with its account.
async fn check_account(
    core: &Core,
    authorization: &Authorization,
    account: &Account,
    grant: &Grant,
) -> Result<(), OauthFailure> {
    if !account.missing.is_empty() {
        let words: Vec<String> = account
            .missing
            .iter()
            .map(|missing| format!("{} ({})", missing.consequence, missing.scope))
            .collect();
        return Err(refused("missing_scopes", format!("Not connected: {}", words.join("; ")), false));
    }
    if grant.refresh_token.is_none() {
        let message = "The vendor gave no refresh token, so the connection would end by itself.";
        return Err(refused("oauth_no_refresh_token", message, false));
    }
    let Some(id) = authorization.connection else { return Ok(()) };
    let existing = core.store.connection(id).await?;
    if existing.is_some_and(|existing| existing.account_id != account.id) {
        let message = "Another account was chosen at the vendor. To change accounts, disconnect first.";
        return Err(refused("account_changed", message, false));
    }
    Ok(())
}

async fn connect(
    core: &Core,
    connector: &dyn Connector,
    authorization: &Authorization,
    account: &Account,
    grant: &Grant,
) -> Result<Connection, OauthFailure> {
    let now = core.now();
    let new = NewConnection {
        id: authorization.connection.unwrap_or_else(|| ConnectionId::generate(now)),
        organization: authorization.organization,
        vendor: connector.vendor().name,
        site: &authorization.site,
        account,
        actor: &authorization.actor,
        now,
    };
    let mut tx = core.store.pool.begin().await?;
    let id = Store::upsert_connection(&mut tx, &new).await?;
    let sealer = core.sealer(authorization.organization, &id.to_string());
    let nothing = SecretString::default();
    let tokens = TokenRow {
        generation: 0,
        access: sealer.seal(ACCESS, &grant.access_token)?,
        refresh: sealer.seal(REFRESH_TOKEN, grant.refresh_token.as_ref().unwrap_or(&nothing))?,
        expires: grant.expires_in.map(|lives| (now + lives, lives)),
        api_url: grant.api_url.as_ref().map(|url| url.as_str().to_owned()),
        intent: false,
    };
    Store::put_tokens(&mut tx, id, &tokens).await?;
    let fact = ConnectionChanged {
        connection: Some(id),
        vendor: new.vendor.to_owned(),
        state: Some(model::ConnectionState::Active),
        account: Some(account.id.clone()),
        reason: None,
        message: None,
        at: now,
    };
    let publisher = Publisher::new(authorization.organization, new.vendor);
    let event = publisher.connection(kind::CONNECTION_AUTHORIZED, &authorization.actor, &fact)?;
    outbox::enqueue(&mut tx, &[event]).await?;
    tx.commit().await?;
    core.forget_link(id);
    core.waker.wake();
    let stored = core.store.connection(id).await?;
    let connection = stored.ok_or_else(|| Failure::Store(sqlx::Error::RowNotFound))?;
    // R10: the schema is read now; when that fails the owner of the partition tries again.
    if let Some(link) = core.link(&connection).await?
        && let Err(failure) = core.refresh_schema(&link, &authorization.actor).await
    {
        tracing::warn!(connection = %id, error = %failure, "could not read the schema yet");
    }
    core.changed.notify_one();
    Ok(connection)
}

async fn tell_refused(core: &Core, authorization: &Authorization, refusal: &Refusal) -> Result<(), Failure> {
    let Some(connector) = core.connectors.get(authorization.vendor.as_str()) else { return Ok(()) };
    let fact = ConnectionChanged {
        connection: authorization.connection,
        vendor: authorization.vendor.clone(),
        state: None,
        account: None,
        reason: Some(refusal.code.to_owned()),
        message: Some(refusal.message.clone()),
        at: core.now(),
    };
    let publisher = Publisher::new(authorization.organization, connector.vendor().name);
    let event = publisher.connection(kind::CONNECTION_REFUSED, &authorization.actor, &fact)?;
    let mut tx = core.store.pool.begin().await?;
    outbox::enqueue(&mut tx, &[event]).await?;
    tx.commit().await?;
    core.waker.wake();
    Ok(())
}

/// Gives a grant back that is not wanted; best effort.
async fn take_back(line: &Line, grant: &Grant) {
    let request = grant.refresh_token.as_ref().and_then(|token| line.connector.revoke_request(token));
    if let Some(request) = request
        && let Err(error) = line.call_unchecked(&request).await
    {
        tracing::warn!(%error, "could not give an authorization back");
    }
}

/// Gives the grant of a connection back at the vendor. A grant that is dead already is as good.
pub(crate) async fn revoke(core: &Core, connection: &Connection) -> Result<(), Failure> {
    let Some(link) = core.link(connection).await? else { return Ok(()) };
    let Some(row) = core.store.tokens(connection.id).await? else { return Ok(()) };
    let sealer = core.sealer(connection.organization, &connection.id.to_string());
    let token = sealer.open(REFRESH_TOKEN, &row.refresh)?;
    if token.expose_secret().is_empty() {
        return Ok(());
    }
    let Some(request) = link.connector.revoke_request(&token) else {
        let message = "the vendor takes no such authorization back";
        return Err(Error::new(ErrorKind::Unavailable, "give the authorization back", message).into());
    };
    let answer = link.line.call_unchecked(&request).await?;
    tracing::debug!(connection = %connection.id, status = answer.status, "gave the authorization back");
    if answer.status >= 500 || answer.status == 429 {
        let message = format!("the vendor answered {}", answer.status);
        return Err(Error::new(ErrorKind::Unavailable, "give the authorization back", message).into());
    }
    Ok(())
}

/// Whether a text is a path of the console and nothing else.
pub(crate) fn is_return_path(path: &str) -> bool {
    path.len() <= 512
        && path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(['\\', '#'])
        && path.chars().all(|character| character.is_ascii_graphic())
}

fn redirect_uri(core: &Core, vendor: &str) -> Url {
    below(&core.config.api_url, &format!("oauth/callback/{vendor}"))
}

/// The address of a path below another, whether that ends in a slash or not.
fn below(base: &Url, path: &str) -> Url {
    let address = format!("{}/{path}", base.as_str().trim_end_matches('/'));
    Url::parse(&address).unwrap_or_else(|_| base.clone())
}

fn refused(code: &'static str, message: impl Into<String>, forged: bool) -> OauthFailure {
    OauthFailure::Refused(Refusal { code, message: message.into(), forged })
}

fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// 256 random bits as text.
fn random_text() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_return_path_never_leaves_the_console(path in ".{0,40}") {
            if is_return_path(&path) {
                let console = Url::parse("https://console.example/").unwrap();
                let url = below(&console, path.trim_start_matches('/'));
                prop_assert_eq!(url.host_str(), Some("console.example"));
                prop_assert_eq!(url.scheme(), "https");
            }
        }
    }

    #[test]
    fn addresses_elsewhere_are_no_return_paths() {
        for path in
            ["https://evil.example", "//evil.example", "/\\evil.example", "", "settings", "/a b", "/a\n"]
        {
            assert!(!is_return_path(path), "{path:?}");
        }
        assert!(is_return_path("/settings/integrations?tab=1"));
    }
}
