use std::{collections::BTreeSet, sync::Arc, time::Duration};

use model::SystemClock;
use secrecy::{ExposeSecret, SecretString};

use super::{Driver, Fault, Subject, make_some, went_well};
use crate::{
    Error, ErrorKind, Grant, Session,
    http::Client,
    session::{Line, Site},
};

/// R10, R77: who the account is, and objects and fields with distinct names.
///
/// # Panics
/// With what was missed.
pub async fn the_account_and_its_schema_are_read(driver: &dyn Driver) {
    let subject = Subject::of(driver).await;
    let account = went_well("read the account", subject.connector.account(&subject.session).await);
    assert!(!account.id.is_empty(), "the account has no id");
    assert!(account.missing.is_empty(), "scopes are missing: {:?}", account.missing);
    if subject.connector.capabilities().objects.is_empty() {
        return;
    }
    let schemas = went_well("describe", subject.connector.describe(&subject.session).await);
    for object in subject.connector.capabilities().objects {
        let Some(schema) = schemas.iter().find(|schema| schema.name == *object) else {
            panic!("describe does not show {object}")
        };
        let names: BTreeSet<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names.len(), schema.fields.len(), "{object} has two fields of one name");
        assert!(!names.is_empty(), "{object} has no fields");
    }
    let sample = subject.schema.fields.iter().find(|field| field.name == subject.sample.text_field);
    assert!(sample.is_some_and(|field| !field.read_only), "the sample's field cannot be written");
}

/// R115, R116: a refresh brings an access token that works, and a new refresh token where the vendor rotates.
///
/// # Panics
/// With what was missed.
pub async fn a_refresh_brings_a_working_token(driver: &dyn Driver) {
    let connector = driver.connector();
    let (_, refresh_token) = driver.grant().await;
    let grant = went_well("refresh", refresh(driver, &refresh_token).await);
    assert!(grant.expires_in.is_none_or(|lives| lives > Duration::ZERO));
    if connector.capabilities().rotates_refresh_token {
        assert!(grant.refresh_token.is_some(), "the vendor rotates, but no new refresh token was read");
    }
    works(driver, grant.access_token).await;
}

/// R115, R116: where a refresh brings a new refresh token, that one is good for the next refresh; the one before need not be,
/// and is then a dead one, not a passing failure.
///
/// # Panics
/// With what was missed.
pub async fn a_rotated_refresh_token_replaces_the_one_before(driver: &dyn Driver) {
    if !driver.rotates() {
        return;
    }
    let (_, first) = driver.grant().await;
    let mut newest = first.clone();
    for _ in 0..2 {
        let grant = went_well("refresh", refresh(driver, &newest).await);
        let Some(next) = grant.refresh_token else { panic!("no new refresh token was read") };
        assert_ne!(next.expose_secret(), newest.expose_secret(), "the vendor rotates");
        works(driver, grant.access_token).await;
        newest = next;
    }
    if let Err(error) = refresh(driver, &first).await {
        assert_eq!(error.kind, ErrorKind::AccessRevoked, "failed to {error}");
        assert!(!error.is_transient(), "a token that was replaced is not tried again");
    }
}

async fn works(driver: &dyn Driver, access_token: SecretString) {
    let connector = driver.connector();
    let session = Session::for_tests(Arc::clone(&connector), &driver.account(), access_token);
    let session = went_well("open a session", session);
    went_well("read the account with the new token", connector.account(&session).await);
}

/// R118, R119: revoked access is [`ErrorKind::AccessRevoked`] at the next refresh, and the token is refused before.
///
/// # Panics
/// With what was missed.
pub async fn a_dead_grant_is_told_from_a_passing_failure(driver: &dyn Driver) {
    make_some(driver).await;
    let subject = Subject::of(driver).await;
    let (_, refresh_token) = driver.grant().await;
    driver.revoke().await;
    let refused = match refresh(driver, &refresh_token).await {
        Ok(_) => panic!("a revoked grant was refreshed"),
        Err(error) => error,
    };
    assert_eq!(refused.kind, ErrorKind::AccessRevoked);
    assert!(!refused.is_transient(), "a dead grant is no passing failure");
    assert!(!refused.to_string().contains(refresh_token.expose_secret()), "the error shows the token");
    match subject.read_some().await {
        Ok(_) => panic!("a revoked token still reads"),
        Err(error) => assert!(
            matches!(error.kind, ErrorKind::TokenExpired | ErrorKind::AccessRevoked),
            "a refused token is {:?}",
            error.kind
        ),
    }
}

/// A 429, an outage and a cut answer pass without anybody noticing.
///
/// # Panics
/// With what was missed.
pub async fn passing_failures_are_retried(driver: &dyn Driver) {
    let count = make_some(driver).await;
    let subject = Subject::of(driver).await;
    for fault in [Fault::TooManyCalls, Fault::OutOfOrder, Fault::CutAnswer] {
        driver.fault(fault).await;
        assert_eq!(went_well("read", subject.read_some().await), count, "after {fault:?}");
    }
}

async fn refresh(driver: &dyn Driver, refresh_token: &SecretString) -> Result<Grant, Error> {
    let connector = driver.connector();
    let http = Client::try_new(Duration::from_secs(10)).map_err(|error| {
        Error::new(ErrorKind::Protocol, "open a client", "TLS cannot be set up").with_source(error)
    })?;
    let site = went_well("find the login", Site::new(connector.as_ref(), "", &driver.account()));
    let line = Line::new(Arc::clone(&connector), http, Arc::new(SystemClock), site);
    let answer = line.call_unchecked(&connector.refresh_request(refresh_token)).await?;
    connector.read_grant(&answer)
}
