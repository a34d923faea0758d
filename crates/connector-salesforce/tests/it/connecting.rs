use connector::{Connector, ErrorKind, Session};
use sandbox::salesforce::{Edition, Environment, Settings};
use secrecy::ExposeSecret;

use crate::org::{connected, connected_with};

const BULK_FROM: u64 = connector_salesforce::BULK_FROM;

#[tokio::test]
async fn the_account_is_the_organization() {
    let org = connected().await;
    let account = org.salesforce.account(&org.session).await.unwrap();
    assert_eq!(account.id, org.sandbox.organization_id());
    assert_eq!(account.id.len(), 18);
    assert!(!account.name.is_empty());
    assert_eq!(account.tier.as_deref(), Some("Enterprise Edition"));
    assert!(account.scopes.iter().any(|scope| scope == "api"), "{:?}", account.scopes);
    assert!(account.missing.is_empty() && account.notices.is_empty(), "{account:?}");
    assert!(
        org.grant
            .api_url
            .as_ref()
            .is_some_and(|url| org.sandbox.url().starts_with(url.as_str().trim_end_matches('/')))
    );
}

#[tokio::test]
async fn a_sandbox_organization_says_that_it_is_one() {
    let settings = Settings { environment: Environment::Sandbox, ..Settings::default() };
    let org = connected_with(settings, BULK_FROM).await;
    let account = org.salesforce.account(&org.session).await.unwrap();
    assert!(account.notices.iter().any(|notice| notice.contains("sandbox")), "{:?}", account.notices);
}

#[tokio::test]
async fn an_edition_without_the_api_is_said_in_words() {
    let settings = Settings { edition: Edition::Professional, api_enabled: false, ..Settings::default() };
    let org = connected_with(settings, BULK_FROM).await;
    let refused = org.salesforce.account(&org.session).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Permission);
    assert!(refused.message.contains("API Enabled"), "{refused}");
}

#[tokio::test]
async fn a_refresh_keeps_or_replaces_the_refresh_token_as_the_app_has_it() {
    for rotates in [false, true] {
        let settings = Settings { rotate_refresh_token: rotates, ..Settings::default() };
        let org = connected_with(settings, BULK_FROM).await;
        let refresh_token = org.grant.refresh_token.clone().unwrap();
        let refresh = async |token| {
            let answer = org.session.send(org.salesforce.refresh_request(token)).await?;
            org.salesforce.read_grant(&answer)
        };
        let grant = refresh(&refresh_token).await.unwrap();
        assert_eq!(grant.refresh_token.is_some(), rotates);
        assert!(grant.expires_in.is_none() && grant.api_url.is_some());
        let id = org.sandbox.organization_id();
        let session = Session::for_tests(org.salesforce.clone(), id, grant.access_token).unwrap();
        org.salesforce.account(&session).await.unwrap();
        if rotates {
            // Using a rotated one again ends the grant.
            assert_eq!(refresh(&refresh_token).await.unwrap_err().kind, ErrorKind::AccessRevoked);
            assert_eq!(
                refresh(&grant.refresh_token.unwrap()).await.unwrap_err().kind,
                ErrorKind::AccessRevoked
            );
        }
    }
}

#[tokio::test]
async fn what_we_take_back_is_dead() {
    let org = connected().await;
    let refresh_token = org.grant.refresh_token.clone().unwrap();
    let revoke = org.salesforce.revoke_request(&refresh_token).unwrap();
    org.session.send(revoke).await.unwrap();
    let refused = org.session.send(org.salesforce.refresh_request(&refresh_token)).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::AccessRevoked);
    assert!(!refused.to_string().contains(refresh_token.expose_secret()));
    let refused = org.salesforce.account(&org.session).await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::TokenExpired);
}
