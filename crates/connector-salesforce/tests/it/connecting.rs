use connector::{Connector, Cursor, ErrorKind, Fetch, Session};
use jiff::Timestamp;
use sandbox::salesforce::{Edition, Environment, Settings};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::org::{Org, connected, connected_with, consent_to, fields, session};

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

/// What an account lacks, each as its name and its words.
async fn missing(org: &Org) -> Vec<(String, String)> {
    let account = org.salesforce.account(&org.session).await.unwrap();
    account.missing.into_iter().map(|missing| (missing.scope, missing.consequence)).collect()
}

#[tokio::test]
async fn a_token_without_a_scope_is_said_in_words_before_the_api_refuses_it() {
    let org = connected().await;
    for (scopes, lacking, words) in [
        ("id refresh_token", "api", "cannot call Salesforce's API"),
        ("id api", "refresh_token", "perform requests at any time"),
    ] {
        let grant = consent_to(&org.sandbox, &org.salesforce, Some(scopes)).await;
        assert_eq!(grant.refresh_token.is_none(), lacking == "refresh_token");
        let session = session(&org.sandbox, &org.salesforce, &grant);
        let account = org.salesforce.account(&session).await.unwrap();
        assert_eq!(account.missing.len(), 1, "{account:?}");
        assert_eq!(account.missing[0].scope, lacking);
        assert!(account.missing[0].consequence.contains(words), "{account:?}");
    }
}

#[tokio::test]
async fn an_organization_or_a_user_without_the_api_is_said_in_words() {
    for edition in [Edition::Professional, Edition::Enterprise] {
        let settings = Settings { edition, api_enabled: false, ..Settings::default() };
        let org = connected_with(settings, BULK_FROM).await;
        let account = org.salesforce.account(&org.session).await.unwrap();
        assert_eq!(account.id, org.sandbox.organization_id(), "the token says whose it is");
        let missing = missing(&org).await;
        assert_eq!(missing.len(), 1, "{missing:?}");
        assert_eq!(missing[0].0, "API Enabled");
        assert!(missing[0].1.contains("has no access to the API"), "{missing:?}");
    }
}

#[tokio::test]
async fn object_permissions_that_the_user_lacks_are_said_in_words() {
    let org = connected().await;
    let taken = json!({"hidden_objects": ["Lead"], "read_only_objects": ["Contact"]});
    org.sandbox.change_settings(taken).unwrap();
    let missing = missing(&org).await;
    let names: Vec<&str> = missing.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["Contact: Create", "Contact: Edit", "Lead: Read", "Lead: Create", "Lead: Edit"]);
    assert!(missing[1].1.contains("object permission \"Edit\" on Contact"), "{missing:?}");
    // Taken away later, it is said of the reading that fails.
    let schema = org.schema("Account").await;
    org.sandbox.change_settings(json!({"hidden_objects": ["Account"]})).unwrap();
    let names = fields(&["Name"]);
    let from = Cursor::at(Timestamp::UNIX_EPOCH);
    let fetch = Fetch { object: "Account", schema: &schema, fields: &names, from: &from, until: None };
    let refused = org.salesforce.fetch_changes(&org.session, &fetch).await.unwrap_err();
    assert!(refused.message.contains("object permission \"Read\""), "{refused}");
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
